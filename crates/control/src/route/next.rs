//! What whoever drives an operation does next: decided from what lies in the store and what is seen.

use std::time::Duration;

use api::local::ServiceState;
use api::route::{Kind, Need, State};
use topology::document::Role;

use super::conditions::{Ground, conditions};
use super::operation::Operation;
use super::plan::REST;
use super::sight::{Drain, Facts, Found, Probe, Sight};

mod names;

/// Before the commit, what is missing may take so long to be seen: a controller that just took over knows nobody yet.
const PREPARE: Duration = Duration::from_secs(6);
/// Members that are reached have so long to go by the new route, before the operation goes on without them.
const APPLY: Duration = Duration::from_secs(10);
/// For so long traffic is waited for where a probe has got through; it may be night.
const QUIET: Duration = Duration::from_secs(5);
/// An edge server that was there before the commit may be busy for so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// A driver that has just begun to look may not have heard those who are there.
const HEARD: Duration = Duration::from_secs(2);
/// The target has so long to be seen serving.
const VERIFY: Duration = Duration::from_secs(15);

/// What the decision is made from.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The operation.
    pub operation: &'a Operation,
    /// Why what the store says can't be relied on, where that is so.
    pub uncertain: Option<&'a str>,
    /// Whether the pool that it moves to is in the topology.
    pub declared: bool,
    /// What is seen.
    pub sight: &'a Sight,
    /// For how long the operation has been in its state, as this driver has seen it.
    pub waited: Duration,
    /// The same, and time in which it waited for somebody counts.
    pub stayed: Duration,
    /// For how long this driver has been looking, without a gap.
    pub looked: Duration,
    /// How many stanzas the target had taken in when this driver saw the commit.
    pub stanzas: u64,
}

/// What is done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Go on to this state, for this reason.
    Enter(State, String),
    /// Make the target the route.
    Commit,
    /// Have these edge servers finish what they have.
    Drain(Vec<String>),
    /// Take it back, by a new operation, for this reason.
    TakeBack(String),
    /// Have these zones hold what they should; meanwhile this is waited for.
    Publish(Vec<String>, String),
    /// Look again; this is waited for.
    Wait(String),
    /// The same, and it is for somebody, who may take his time.
    Await(Need, String),
}

/// Decides it.
pub fn next(moment: &Moment<'_>) -> Next {
    match moment.operation.state {
        State::Preparing => prepare(moment),
        // What another driver saw, or this one a while ago, may not be so any more.
        State::Ready => match able(moment) {
            Ok(_) => Next::Commit,
            Err(missing) => Next::Enter(State::Preparing, format!("it isn't ready any more: {missing}")),
        },
        State::Committed => applied(moment),
        State::Applying => match names::published(moment) {
            Ok(told) => Next::Enter(State::Verifying, told),
            Err(first) => first,
        },
        State::Verifying => verify(moment),
        State::Degraded => degraded(moment),
        State::Draining => drain(moment),
        State::Done | State::RolledBack | State::Superseded => Next::Wait("nothing".to_owned()),
    }
}

fn prepare(moment: &Moment<'_>) -> Next {
    let operation = moment.operation;
    if !moment.declared {
        return Next::Enter(State::RolledBack, format!("{} is not in the topology any more", operation.to));
    }
    match able(moment) {
        Ok(accepted) => {
            let accepted = accepted.join(", ");
            let waived = if accepted.is_empty() { String::new() } else { format!("; accepted: {accepted}") };
            Next::Enter(State::Ready, format!("{} can take the route{waived}", operation.to))
        }
        Err(missing) if moment.waited < PREPARE => Next::Wait(missing),
        Err(missing) => Next::Enter(State::RolledBack, format!("the route stays with {}: {missing}", operation.from)),
    }
}

/// Whether the target can take the route: the codes of what was accepted not to be so, or what is missing.
fn able(moment: &Moment<'_>) -> Result<Vec<String>, String> {
    let operation = moment.operation;
    let ground = Ground {
        from: &operation.from,
        to: &operation.to,
        kind: operation.kind,
        uncertain: moment.uncertain,
        busy: None,
    };
    let conditions = conditions(&ground, moment.sight, &operation.accepted);
    let missing: Vec<String> = conditions
        .iter()
        .filter(|condition| condition.refuses())
        .map(|condition| format!("{} ({})", condition.code, condition.seen))
        .collect();
    if !missing.is_empty() {
        return Err(missing.join("; "));
    }
    Ok(conditions.into_iter().filter(|condition| condition.accepted).map(|condition| condition.code).collect())
}

/// Whether members go by the new route. Those that aren't reached are told as soon as they are, and hold up nobody.
fn applied(moment: &Moment<'_>) -> Next {
    let epoch = moment.operation.epoch;
    let goes_by_it = |facts: &Facts| facts.epoch.is_some_and(|known| known >= epoch);
    let members = &moment.sight.members;
    let names = |wanted: &dyn Fn(&Facts) -> bool| -> Vec<&str> {
        // A witness carries nothing, whatever the route is.
        let led = members.iter().filter(|(_, facts)| facts.role != Role::Witness);
        led.filter(|(_, facts)| wanted(facts)).map(|(fqdn, _)| fqdn.as_str()).collect()
    };
    let late = names(&|facts| facts.reached && !goes_by_it(facts));
    let gone = names(&|facts| !facts.reached);
    let told = names(&|facts| facts.reached && goes_by_it(facts));
    let gateway = moment.sight.gateways().any(|(_, facts)| facts.reached && goes_by_it(facts));
    let waits = if late.is_empty() { gone.join(", ") } else { late.join(", ") };
    if !gateway {
        let why = format!("no gateway goes by epoch {epoch} of the route yet: {waits}");
        return if moment.waited < APPLY { Next::Wait(why) } else { Next::Enter(State::Degraded, why) };
    }
    if !late.is_empty() && moment.waited < APPLY {
        return Next::Wait(format!("not yet told of epoch {epoch}: {waits}"));
    }
    let mut what = format!("{} members go by epoch {epoch}", told.len());
    for (which, names) in [("told again until they do", late), ("not reached, and told when they are", gone)] {
        if !names.is_empty() {
            what.push_str(&format!("; {which}: {}", names.join(", ")));
        }
    }
    Next::Enter(State::Applying, what)
}

/// The edge servers of the target that take partners in, and the gateways that use them; or what is missing.
fn in_use<'a>(moment: &Moment<'a>) -> Result<(Vec<&'a str>, Vec<&'a str>), String> {
    let Moment { operation, sight, .. } = moment;
    let to = operation.to.as_str();
    let goes_by_it = |facts: &Facts| facts.epoch.is_some_and(|known| known >= operation.epoch);
    let serving: Vec<&str> =
        sight.edges(to).filter(|(_, facts)| facts.serves() && goes_by_it(facts)).map(|(fqdn, _)| fqdn).collect();
    if serving.is_empty() {
        return Err(format!("no edge server of {to} takes partners in by epoch {}", operation.epoch));
    }
    let uses =
        |facts: &Facts| facts.reached && goes_by_it(facts) && serving.iter().any(|edge| facts.trunks.contains(*edge));
    let gateways: Vec<&str> = sight.gateways().filter(|(_, facts)| uses(facts)).map(|(fqdn, _)| fqdn).collect();
    if gateways.is_empty() {
        return Err(format!("no gateway that goes by epoch {} has a trunk to {to}", operation.epoch));
    }
    Ok((serving, gateways))
}

/// What was seen of these edge servers from outside since the commit: what was seen before says nothing of now.
fn looks<'a>(moment: &Moment<'a>, edges: &[&'a str]) -> Vec<(&'a str, &'a Probe)> {
    let probes = edges.iter().filter_map(|edge| moment.sight.probes.get(*edge).map(|probe| (*edge, probe)));
    probes.filter(|(_, probe)| probe.age < moment.waited).collect()
}

/// What shows that the target serves, or what doesn't.
fn seen_serving(moment: &Moment<'_>) -> Result<String, String> {
    let (serving, gateways) = in_use(moment)?;
    let fresh = looks(moment, &serving);
    let Some((edge, good)) = fresh.iter().find(|(_, probe)| probe.is_good()) else {
        let bad = fresh.iter().map(|(edge, probe)| format!("{edge}, seen from {}: {}", probe.by, probe.seen));
        let bad: Vec<String> = bad.collect();
        let why = if bad.is_empty() { "nobody has looked at it from outside yet".to_owned() } else { bad.join("; ") };
        return Err(why);
    };
    Ok(format!("{edge} answered {} ({}); used by {}", good.by, good.seen, gateways.join(", ")))
}

/// Whether nothing speaks against the target but that nobody could look whose word is enough. That may be this controller's own
/// fault, whose clock has jumped, for instance.
fn is_unsure(moment: &Moment<'_>) -> bool {
    in_use(moment)
        .is_ok_and(|(serving, _)| looks(moment, &serving).iter().all(|(_, probe)| probe.found == Found::Unsure))
}

/// Stanzas that the target has taken in since the commit, and partners that have a stream open with it.
fn traffic(moment: &Moment<'_>) -> (u64, u64) {
    let edges = || moment.sight.edges(&moment.operation.to);
    let stanzas = edges().fold(0_u64, |sum, (_, facts)| sum.saturating_add(facts.stanzas));
    let partners = edges().fold(0_u64, |sum, (_, facts)| sum.saturating_add(facts.partners));
    (stanzas.saturating_sub(moment.stanzas), partners)
}

/// Why the target serves, in a sentence, once enough is seen.
fn verified(moment: &Moment<'_>) -> Result<String, String> {
    let seen = seen_serving(moment)?;
    let (stanzas, partners) = traffic(moment);
    if stanzas > 0 || partners > 0 {
        let partners = if partners == 1 { "1 partner".to_owned() } else { format!("{partners} partners") };
        return Ok(format!("{seen}; {partners} and {stanzas} stanzas were seen on it"));
    }
    if moment.waited < QUIET {
        return Err("no partner has been seen on it yet".to_owned());
    }
    Ok(format!("{seen}; no partner has said anything meanwhile"))
}

fn verify(moment: &Moment<'_>) -> Next {
    let operation = moment.operation;
    let why = match verified(moment) {
        Ok(seen) => return Next::Enter(State::Draining, seen),
        Err(why) => why,
    };
    let edges = || moment.sight.edges(&operation.to);
    // It isn't dead, and whoever stopped it knows why.
    if edges().any(|(_, facts)| facts.is_stopped()) && !edges().any(|(_, facts)| facts.serves()) {
        let to = &operation.to;
        let what = format!("the federation services of {to} are stopped: `fedge service start --pool {to}`");
        return Next::Await(Need::Start, what);
    }
    if moment.waited < VERIFY {
        return Next::Wait(why);
    }
    if operation.takes_back.is_none() && !is_unsure(moment) && is_healthy(moment) {
        return Next::TakeBack(format!(
            "{} was not seen serving ({why}), and {} still does",
            operation.to, operation.from
        ));
    }
    Next::Enter(State::Degraded, why)
}

/// Whether the pool that had the route could have it again.
fn is_healthy(moment: &Moment<'_>) -> bool {
    let sight = moment.sight;
    let serving: Vec<&str> =
        sight.edges(&moment.operation.from).filter(|(_, facts)| facts.serves()).map(|(fqdn, _)| fqdn).collect();
    sight.gateways().any(|(_, facts)| facts.reached && serving.iter().any(|edge| facts.trunks.contains(*edge)))
}

fn degraded(moment: &Moment<'_>) -> Next {
    // Partners that find the old pool first had better find it open.
    let told = match names::published(moment) {
        Ok(told) => told,
        Err(first) => return first,
    };
    match verified(moment) {
        Ok(seen) if moment.sight.zones.is_empty() => Next::Enter(State::Draining, seen),
        Ok(seen) => Next::Enter(State::Draining, format!("{told}; {seen}")),
        Err(why) => Next::Wait(why),
    }
}

fn drain(moment: &Moment<'_>) -> Next {
    let Moment { operation, sight, .. } = moment;
    let mut untold = Vec::new();
    let mut busy = Vec::new();
    let mut reports = Vec::new();
    for (edge, facts) in sight.edges(&operation.from) {
        let rested = facts.rested == Some(operation.epoch);
        match (facts.reached, sight.drains.get(edge)) {
            (_, Some(Drain::Finished(report))) => reports.push(format!("{edge}: {report}")),
            (_, Some(Drain::Failed(why))) => reports.push(format!("{edge} couldn't be told: {why}")),
            (false, _) if moment.looked < HEARD => busy.push(edge),
            (false, _) if operation.kind != Kind::Failover && moment.waited < PATIENCE => busy.push(edge),
            (false, _) => reports.push(format!("{edge} is not reached, so it wasn't told")),
            (true, _) if rested => reports.push(format!("{edge} has finished what it had")),
            (true, Some(Drain::Told)) => busy.push(edge),
            (true, None) if facts.service == Some(ServiceState::Stopped) => {
                reports.push(format!("{edge} is stopped, and has nothing to finish"));
            }
            (true, None) => untold.push(edge.to_owned()),
        }
    }
    if !untold.is_empty() {
        return Next::Drain(untold);
    }
    if !busy.is_empty() {
        let partners = sight.partners(&operation.from).unwrap_or_default();
        return Next::Wait(format!("{} to finish; partners still there: {partners}", busy.join(", ")));
    }
    let rests = sight.edges(&operation.from).any(|(edge, facts)| {
        facts.rested == Some(operation.epoch) || matches!(sight.drains.get(edge), Some(Drain::Finished(_)))
    });
    let then = format!("; {} refuses partners for {REST} s, and stands by then", operation.from);
    Next::Enter(State::Done, format!("{}{}", reports.join("; "), if rests { then.as_str() } else { "" }))
}

#[cfg(test)]
mod tests;
