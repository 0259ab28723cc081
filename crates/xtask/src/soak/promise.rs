//! What fedge promises for each fault, and what a run shows of that.

use testkit::rig::{Deed, Fault, Outcome, Report, Victim};

/// Flowing again within this time.
const PAUSE_MS: u64 = 3000;
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
                flowing(way, outcome, &mut broken);
            }
            if report.rooms[0] < report.rooms[1] {
                broken.push(format!("{} of {} rooms intact", report.rooms[0], report.rooms[1]));
            }
        }
        (_, Victim::NextHop | Victim::Partner) => {
            // What the server itself lost with its life isn't ours.
            for (way, outcome) in ways {
                held(way, outcome, &mut broken);
            }
        }
        (_, victim) => {
            // Whoever speaks to the victim itself does so at its own risk, but for what was acknowledged to it.
            let [mut ours, mut theirs] = ways;
            if victim == Victim::Gateway {
                std::mem::swap(&mut ours, &mut theirs);
            }
            silent(ours.0, ours.1, &mut broken);
            // ejabberd has no acknowledgements: what was on its way to the victim is stated, and not promised.
            if victim == Victim::Gateway || report.partner == "prosody" {
                acknowledged(theirs.0, theirs.1, &mut broken);
            }
        }
    }
    if !report.flows {
        broken.push("nothing flows in the end, in one way at least".to_owned());
    }
    broken
}

fn perfect(way: &str, outcome: &Outcome, broken: &mut Vec<String>) {
    let Outcome { lost, returned, doubled, disordered, .. } = *outcome;
    for (count, what) in [(lost, "lost"), (returned, "returned"), (doubled, "doubled"), (disordered, "disordered")] {
        if count > 0 {
            broken.push(format!("{way} {count} {what}"));
        }
    }
}

/// Nothing without a word, nothing twice, and soon again.
fn silent(way: &str, outcome: &Outcome, broken: &mut Vec<String>) {
    let Outcome { lost, doubled, disordered, returned_though_arrived, .. } = *outcome;
    for (count, what) in [(lost, "lost"), (doubled, "doubled"), (disordered, "disordered")] {
        if count > 0 {
            broken.push(format!("{way} {count} {what}"));
        }
    }
    if returned_though_arrived > WINDOW {
        broken.push(format!("{way} {returned_though_arrived} returned though they arrived: more than a window"));
    }
    flowing(way, outcome, broken);
}

/// Soon again.
fn flowing(way: &str, outcome: &Outcome, broken: &mut Vec<String>) {
    match outcome.pause_ms {
        Some(pause) if pause <= PAUSE_MS => {}
        Some(pause) => broken.push(format!("{way} a pause of {:.1} s", pause as f64 / 1000.0)),
        None => broken.push(format!("{way} nothing of what was sent after the fault arrived")),
    }
}

/// Nothing that was acknowledged to the sender's server, and nothing twice. The order is not ours alone: a Prosody
/// that connects anew sends what is said meanwhile before what waited.
fn acknowledged(way: &str, outcome: &Outcome, broken: &mut Vec<String>) {
    let Outcome { lost, unacknowledged, doubled, .. } = *outcome;
    let returned = outcome.errors.get("recipient-unavailable").copied().unwrap_or_default();
    // What a Prosody returned or dropped itself it had no acknowledgement for.
    let acknowledged = lost.saturating_sub(unacknowledged.saturating_sub(returned));
    for (count, what) in [(acknowledged, "lost that were acknowledged"), (doubled, "doubled")] {
        if count > 0 {
            broken.push(format!("{way} {count} {what}"));
        }
    }
}

/// Nothing that fedge had accepted and not handed over, and nothing twice.
fn held(way: &str, outcome: &Outcome, broken: &mut Vec<String>) {
    let ours =
        |place: &&String| place.contains(": in flight") || place.contains(": returned") || place.contains(": failed");
    for (place, count) in outcome.lost_at.iter().filter(|(place, _)| ours(place)) {
        broken.push(format!("{way} {count} lost that fedge had ({place})"));
    }
    for (count, what) in [(outcome.doubled, "doubled"), (outcome.disordered, "disordered")] {
        if count > 0 {
            broken.push(format!("{way} {count} {what}"));
        }
    }
}
