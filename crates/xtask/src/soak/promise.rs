//! What fedge promises for each fault, and what a run shows of that.

use testkit::rig::{Deed, FEDGE, Fault, Outcome, Report, Victim};

/// Flowing again within this time.
const PAUSE_MS: u64 = 3000;
/// With clocks later than this, a pause is no measurement.
pub(super) const LATE_MS: u64 = 300;
/// For a Prosody to set up a stream that nobody hinders.
const MOMENT_MS: u64 = 2000;
/// What a link may have in flight.
const WINDOW: usize = 5000;

/// What isn't as promised, in sentences; empty when all is.
pub(super) fn broken(fault: Fault, report: &Report) -> Vec<String> {
    let mut broken = report.notes.clone();
    let ways = [("outbound", &report.outbound), ("inbound", &report.inbound)];
    match (fault.deed, fault.victim) {
        (Deed::Move | Deed::Drain, _) => {
            for (way, outcome) in ways {
                perfect(way, outcome, &mut broken);
                flowing(way, outcome, report.late_ms, &mut broken);
            }
            if report.rooms[0] < 2 {
                broken.push(format!("{} of 2 rooms intact", report.rooms[0]));
            }
        }
        (_, Victim::NextHop | Victim::Partner) => {
            // What the server itself lost with its life isn't ours.
            for (way, outcome) in ways {
                accounted(way, outcome, &mut broken);
            }
        }
        (_, victim) => {
            // Whoever speaks to the victim itself does so at its own risk, but for what was acknowledged to it.
            let [mut ours, mut theirs] = ways;
            if victim == Victim::Gateway {
                std::mem::swap(&mut ours, &mut theirs);
            }
            silent(ours.0, ours.1, &mut broken);
            flowing(ours.0, ours.1, report.late_ms, &mut broken);
            accounted(theirs.0, theirs.1, &mut broken);
        }
    }
    // An ejabberd that couldn't connect, or was reset while TLS came up, returns all that its users say for up to 300 s.
    // Where nobody but the packet filter resets connections to an edge server, that would be fedge's doing.
    let filter_resets =
        fault.deed == Deed::Reject && matches!(fault.victim, Victim::Edge | Victim::Pool | Victim::Outside);
    let it_says_so = || report.inbound.server_said.iter().any(|line| line.contains("bouncing for"));
    let sulks = report.partner == "ejabberd" && (fault.victim == Victim::Partner || (filter_resets && it_says_so()));
    for (index, (way, _)) in ways.into_iter().enumerate() {
        let excused = sulks && index == 1;
        if !report.flowed[index] && !excused {
            broken.push(format!("{way} nothing flows in the end"));
        }
    }
    broken
}

fn perfect(way: &str, outcome: &Outcome, broken: &mut Vec<String>) {
    let Outcome { lost, returned, doubled, .. } = *outcome;
    let disordered = disordered(outcome, Some(MOMENT_MS));
    for (count, what) in [(lost, "lost"), (returned, "returned"), (doubled, "doubled"), (disordered, "disordered")] {
        if count > 0 {
            broken.push(format!("{way} {count} {what}"));
        }
    }
}

/// Nothing without a word, nothing twice, nothing out of order.
fn silent(way: &str, outcome: &Outcome, broken: &mut Vec<String>) {
    let Outcome { lost, doubled, returned_though_arrived, .. } = *outcome;
    let disordered = disordered(outcome, Some(MOMENT_MS));
    for (count, what) in [(lost, "lost"), (doubled, "doubled"), (disordered, "disordered")] {
        if count > 0 {
            broken.push(format!("{way} {count} {what}"));
        }
    }
    if returned_though_arrived > WINDOW {
        broken.push(format!("{way} {returned_though_arrived} returned though they arrived: more than a window"));
    }
}

/// Soon again, as far as this machine was able to see it.
fn flowing(way: &str, outcome: &Outcome, late_ms: u64, broken: &mut Vec<String>) {
    match outcome.pause_ms {
        Some(_) if late_ms > LATE_MS => {}
        Some(pause) if pause <= PAUSE_MS + late_ms => {}
        Some(pause) => broken.push(format!("{way} a pause of {:.1} s", pause as f64 / 1000.0)),
        None => broken.push(format!("{way} nothing of what was sent after the fault arrived")),
    }
}

/// Nothing that fedge had, nothing twice, nothing out of order.
fn accounted(way: &str, outcome: &Outcome, broken: &mut Vec<String>) {
    let fedge = outcome.lost_by.get(FEDGE).copied().unwrap_or_default();
    let disordered = disordered(outcome, None);
    for (count, what) in [(fedge, "lost that fedge had"), (outcome.doubled, "doubled"), (disordered, "disordered")] {
        if count > 0 {
            broken.push(format!("{way} {count} {what}"));
        }
    }
}

/// Those out of order that the sender's server didn't disorder itself: a Prosody that sets up a stream sends what is
/// said meanwhile before what waited, once for each stream. Where nothing keeps it waiting, that is over in a moment.
fn disordered(outcome: &Outcome, within_ms: Option<u64>) -> usize {
    let its_own =
        outcome.steps_back <= outcome.streams && within_ms.is_none_or(|most| outcome.disordered_age_ms <= most);
    if its_own { 0 } else { outcome.disordered }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(look: impl Fn(&mut Vec<String>)) -> Vec<String> {
        let mut broken = Vec::new();
        look(&mut broken);
        broken
    }

    #[test]
    fn a_pause_is_judged_only_while_the_machine_keeps_time() {
        let after = |pause_ms, late_ms| {
            let outcome = Outcome { pause_ms, ..Outcome::default() };
            told(|broken| flowing("out", &outcome, late_ms, broken)).len()
        };
        assert_eq!(
            [after(Some(3100), 0), after(Some(3100), 200), after(Some(9000), 200), after(Some(9000), 900)],
            [1, 0, 1, 0]
        );
        assert_eq!(after(None, 900), 1, "an end is none however late the clocks are");
    }

    #[test]
    fn a_server_may_overtake_its_own_queue_once_for_each_stream() {
        let outcome = |steps_back| Outcome { disordered: 9, steps_back, streams: 1, ..Outcome::default() };
        assert!(told(|broken| accounted("out", &outcome(1), broken)).is_empty());
        assert_eq!(told(|broken| accounted("out", &outcome(2), broken)), ["out 9 disordered"]);
        let late = Outcome { disordered_age_ms: 5000, ..outcome(1) };
        assert_eq!(told(|broken| silent("out", &late, broken)), ["out 9 disordered"]);
    }

    #[test]
    fn only_what_fedge_lost_counts_where_others_lose_too() {
        let lost_by = [(FEDGE.to_owned(), 2), (testkit::rig::QUEUE.to_owned(), 640)].into();
        let outcome = Outcome { lost: 642, lost_by, ..Outcome::default() };
        assert_eq!(told(|broken| accounted("in", &outcome, broken)), ["in 2 lost that fedge had"]);
    }
}
