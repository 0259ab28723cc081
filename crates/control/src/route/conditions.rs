//! What must be so before a move is made: each condition with what was seen, and what to do where it isn't so.

use std::time::Duration;

use api::route::{Condition, Kind};
use topology::document::Role;

use super::sight::{Facts, Found, Probe, Sight};

mod around;
mod dns;

/// For so long it counts what a probe saw. A new one is begun as soon as somebody prepares a move.
const LOOKED: Duration = Duration::from_secs(10);

/// What the store says of the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ground<'a> {
    /// The pool that carries the route.
    pub from: &'a str,
    /// The pool that is to.
    pub to: &'a str,
    /// What kind of move it is.
    pub kind: Kind,
    /// Why what the store says can't be relied on, where that is so.
    pub uncertain: Option<&'a str>,
    /// Another operation that has not come so far that it may be superseded.
    pub busy: Option<u64>,
}

/// Every condition of a move, in the order in which somebody should look at them. Those in `accept` need not hold where they
/// can be waived.
pub fn conditions(ground: &Ground<'_>, sight: &Sight, accept: &[String]) -> Vec<Condition> {
    let mut all = vec![store_known(ground), no_operation(ground), target_other(ground)];
    if ground.from != ground.to {
        all.extend([target_serves(ground, sight), target_whole(ground, sight), target_current(ground, sight)]);
        all.extend([target_certificates(ground, sight), target_port(ground, sight)]);
        all.push(around::target_capacity(ground, sight));
        all.extend([gateways_reach(ground, sight), gateways_whole(ground, sight)]);
        all.extend([around::next_hops(sight), around::clocks(sight)]);
        all.extend(dns::all(ground, sight));
        all.extend(old(ground, sight));
    }
    for condition in &mut all {
        condition.accepted = !condition.holds && condition.waivable && accept.contains(&condition.code);
    }
    all
}

fn condition(code: &str, holds: bool, seen: String, fix: &str) -> Condition {
    let fix = if holds { String::new() } else { fix.to_owned() };
    Condition { code: code.to_owned(), holds, seen, fix, waivable: false, accepted: false }
}

fn waivable(condition: Condition) -> Condition {
    Condition { waivable: true, ..condition }
}

fn store_known(ground: &Ground<'_>) -> Condition {
    let seen = ground.uncertain.unwrap_or("the store answers, and no member knows more than it");
    condition("store-known", ground.uncertain.is_none(), seen.to_owned(), "`fedge status` says what to do about it")
}

fn no_operation(ground: &Ground<'_>) -> Condition {
    let seen = match ground.busy {
        Some(number) => format!("operation {number} is under way"),
        None => "no other operation is under way".to_owned(),
    };
    condition(
        "no-operation",
        ground.busy.is_none(),
        seen,
        "`fedge route watch` shows it until it rests; then ask again",
    )
}

fn target_other(ground: &Ground<'_>) -> Condition {
    let other = ground.from != ground.to;
    let seen = if other {
        format!("{} carries the route", ground.from)
    } else {
        format!("{} carries the route already", ground.to)
    };
    condition("target-other", other, seen, "there is nothing to move; `fedge route verify` looks whether it serves")
}

fn target_serves(ground: &Ground<'_>, sight: &Sight) -> Condition {
    let edges: Vec<_> = sight.edges(ground.to).collect();
    let able = edges.iter().filter(|(_, facts)| facts.can_serve()).count();
    let seen = format!("{able} of {} edge servers of {} can take the route", edges.len(), ground.to);
    let fix = "bring one of them up first; the conditions below say what each lacks";
    condition("target-serves", able > 0, seen, fix)
}

fn target_whole(ground: &Ground<'_>, sight: &Sight) -> Condition {
    let gone = told(sight.edges(ground.to).filter(|(_, facts)| !facts.reached));
    let whole = gone.is_empty();
    let seen =
        if whole { format!("all edge servers of {} are reached", ground.to) } else { format!("not reached: {gone}") };
    waivable(condition("target-whole", whole, seen, "start them, or accept that the others carry it alone"))
}

fn target_current(ground: &Ground<'_>, sight: &Sight) -> Condition {
    let behind = sight.edges(ground.to).filter(|(_, facts)| facts.reached && !facts.current);
    let behind = told(behind);
    let current = behind.is_empty();
    let seen = if current {
        "those that are reached go by the current topology and secrets".to_owned()
    } else {
        format!("reached, and don't go by the current topology and secrets: {behind}")
    };
    condition("target-current", current, seen, "wait a moment; if it stays so, `fedge status` says why they refuse it")
}

/// Each says for itself what it has; what partners are shown may be something else, where something else answers at its
/// address.
fn target_certificates(ground: &Ground<'_>, sight: &Sight) -> Condition {
    let reached = || sight.edges(ground.to).filter(|(_, facts)| facts.reached);
    let lacking: Vec<String> = reached()
        .filter(|(_, facts)| !facts.uncovered.is_empty())
        .map(|(fqdn, facts)| format!("{fqdn} for {}", some(&facts.uncovered)))
        .collect();
    let shown: Vec<String> = reached()
        .filter_map(|(fqdn, _)| Some((fqdn, probed(sight, fqdn)?)))
        .filter(|(_, probe)| !probe.uncovered.is_empty())
        .map(|(fqdn, probe)| format!("{fqdn} for {}, seen from {}", some(&probe.uncovered), probe.by))
        .collect();
    if lacking.is_empty() && !shown.is_empty() {
        let seen = format!("partners are shown a certificate that isn't good: {}", shown.join("; "));
        let fix = "they say that they have better ones, so look whether something else answers at their external addresses, \
                   and whether their chains are whole; `fedge probe DOMAIN --at ADDRESS:5269` shows what is shown there";
        return condition("target-certificates", false, seen, fix);
    }
    let unfit: Vec<String> = reached()
        .filter_map(|(fqdn, _)| Some((fqdn, probed(sight, fqdn)?)))
        .filter(|(_, probe)| !probe.unfit.is_empty())
        .map(|(fqdn, probe)| format!("{fqdn} for {}, seen from {}", some(&probe.unfit), probe.by))
        .collect();
    if lacking.is_empty() && !unfit.is_empty() {
        let seen =
            format!("partners are shown a certificate that fits no TLSA record of that pool: {}", unfit.join("; "));
        let fix = "`fedge dns tlsa` prints the records that fit; publish a topology with them. Or accept that partners which check \
                   DANE don't come";
        return waivable(condition("target-certificates", false, seen, fix));
    }
    let covered = lacking.is_empty();
    let seen = if covered {
        "each has a certificate for every local domain that is good for a week and more".to_owned()
    } else {
        format!("without a certificate that is good for a week and more: {}", [lacking, shown].concat().join("; "))
    };
    condition(
        "target-certificates",
        covered,
        seen,
        "lay certificates into their folders; they are taken over by themselves",
    )
}

/// What was seen of it from elsewhere, if that wasn't too long ago.
fn probed<'a>(sight: &'a Sight, fqdn: &str) -> Option<&'a Probe> {
    sight.probes.get(fqdn).filter(|probe| probe.age < LOOKED)
}

/// The port is looked at from elsewhere. Where an administrator has stopped the service, it is closed, as it should be.
fn target_port(ground: &Ground<'_>, sight: &Sight) -> Condition {
    let running: Vec<_> = sight.edges(ground.to).filter(|(_, facts)| facts.serves()).collect();
    let resting = |facts: &Facts| facts.reached && !facts.serves();
    if running.is_empty() {
        let closed = sight.edges(ground.to).any(|(_, facts)| resting(facts));
        let seen = "their federation services don't run, so their ports are not looked at".to_owned();
        return condition("target-port", closed, seen, "bring one of them up first");
    }
    let mut good = Vec::new();
    let mut bad = Vec::new();
    let mut unsure = Vec::new();
    for (fqdn, _) in running {
        let told = |probe: &Probe| format!("{fqdn} ({}, seen from {})", probe.seen, probe.by);
        match probed(sight, fqdn) {
            Some(probe) => match probe.found {
                Found::Good => good.push(told(probe)),
                Found::Bad => bad.push(told(probe)),
                Found::Unsure => unsure.push(told(probe)),
            },
            None => unsure.push(format!("{fqdn} (nobody else was there to look)")),
        }
    }
    let seen = [
        ("partners get in", &good),
        (if good.is_empty() { "no partner would get in" } else { "not good" }, &bad),
        ("it can't be told", &unsure),
    ];
    let seen = seen.iter().filter(|(_, edges)| !edges.is_empty());
    let seen = seen.map(|(which, edges)| format!("{which}: {}", edges.join("; "))).collect::<Vec<_>>().join("; ");
    if good.is_empty() && bad.is_empty() && ground.kind == Kind::Failover {
        // The dead pool may have had the only ones who could.
        let fix = "look at it from outside by other means, and accept that nobody here has";
        return waivable(condition("target-port", false, seen, fix));
    }
    let fix = "open port 5269 to the outside; `fedge probe` shows each stage of such a stream";
    condition("target-port", !good.is_empty(), seen, fix)
}

fn gateways_reach(ground: &Ground<'_>, sight: &Sight) -> Condition {
    let reaching: Vec<&str> =
        sight.gateways().filter(|(_, facts)| reaches(ground, sight, facts)).map(|(fqdn, _)| fqdn).collect();
    let seen = if reaching.is_empty() {
        format!("no gateway has a trunk to an edge server of {}", ground.to)
    } else {
        format!("with a trunk to {}: {}", ground.to, reaching.join(", "))
    };
    let fix = "look at the firewall between gateways and that pool: TCP 5270, from inside";
    condition("gateways-reach", !reaching.is_empty(), seen, fix)
}

fn gateways_whole(ground: &Ground<'_>, sight: &Sight) -> Condition {
    let lacking = told(sight.gateways().filter(|(_, facts)| !reaches(ground, sight, facts)));
    let whole = lacking.is_empty();
    let seen =
        if whole { "all gateways have one".to_owned() } else { format!("not reached, or without one: {lacking}") };
    let fix = "bring them up, or accept that the internal servers use the others";
    waivable(condition("gateways-whole", whole, seen, fix))
}

fn reaches(ground: &Ground<'_>, sight: &Sight, gateway: &Facts) -> bool {
    gateway.reached && sight.edges(ground.to).any(|(edge, _)| gateway.trunks.contains(edge))
}

/// Of the pool that carries the route: a switchover wants it healthy, so that it can finish what it has; a failover wants it
/// dead, and takes what can't be known of a dead one only from who accepts that.
fn old(ground: &Ground<'_>, sight: &Sight) -> Vec<Condition> {
    let edges: Vec<_> = sight.edges(ground.from).collect();
    let gone = told(edges.iter().copied().filter(|(_, facts)| !facts.reached));
    let seen = if gone.is_empty() {
        format!("all edge servers of {} are reached, and can finish what they have", ground.from)
    } else {
        format!("not reached, so they can't be told to finish what they have: {gone}")
    };
    let whole = gone.is_empty();
    match ground.kind {
        Kind::Switchover | Kind::Failback => {
            let fix = "bring them up; or if that pool is dead, this is a failover: `fedge route failover`";
            vec![condition("old-reached", whole, seen, fix)]
        }
        Kind::Failover => {
            let serving = told(edges.iter().copied().filter(|(edge, facts)| facts.serves() && is_used(sight, edge)));
            let dead = serving.is_empty();
            let still =
                if dead { format!("{} doesn't serve", ground.from) } else { format!("it still serves: {serving}") };
            let fix =
                "this is a switchover: `fedge route switchover`; or accept it, where partners can't reach that pool";
            vec![
                waivable(condition("old-dead", dead, still, fix)),
                waivable(condition("old-reached", whole, seen, "bring them up; or accept that nobody tells them")),
            ]
        }
    }
}

/// Whether a gateway has a trunk to it.
fn is_used(sight: &Sight, edge: &str) -> bool {
    sight.gateways().any(|(_, gateway)| gateway.reached && gateway.trunks.contains(edge))
}

/// What is well to know of a move, and refuses nothing.
pub fn warnings(ground: &Ground<'_>, sight: &Sight) -> Vec<String> {
    let mut warnings = Vec::new();
    let edges: Vec<_> = sight.edges(ground.to).collect();
    let stopped = told(edges.iter().copied().filter(|(_, facts)| facts.is_stopped()));
    if !edges.is_empty() && edges.iter().all(|(_, facts)| !facts.serves()) && !stopped.is_empty() {
        warnings.push(format!(
            "an administrator has stopped the federation services of {}: {stopped}. The route moves, and \
             until they are started (`fedge service start --pool {}`) it is {} that serves, for as long as it lives; the \
             operation waits for that",
            ground.to, ground.to, ground.from
        ));
    } else if !stopped.is_empty() {
        warnings.push(format!("an administrator has stopped, and others carry it alone: {stopped}"));
    }
    let used: Vec<&str> = sight
        .edges(ground.from)
        .filter(|(edge, facts)| !facts.reached && is_used(sight, edge))
        .map(|(edge, _)| edge)
        .collect();
    if ground.kind == Kind::Failover && !used.is_empty() {
        warnings.push(format!(
            "controllers don't reach them, and gateways do: {}. They may serve partners as ever, and nothing finishes what they \
             have; look at the way from here to TCP 5271 first",
            used.join(", ")
        ));
    }
    let silent = told(sight.of_role(Role::Dns).filter(|(_, facts)| !facts.reached));
    if !silent.is_empty() {
        warnings.push(format!("not reached, and told as soon as they are: {silent}"));
    }
    let blind = told(sight.of_role(Role::Witness).filter(|(_, facts)| !facts.reached));
    if !blind.is_empty() {
        warnings.push(format!("not reached, so nobody looks from there: {blind}"));
    }
    warnings
}

/// Their names, with what is wrong with each where that is known.
fn told<'a>(members: impl Iterator<Item = (&'a str, &'a Facts)>) -> String {
    let told = members.map(|(fqdn, facts)| match &facts.problem {
        // It names the member itself, mostly.
        Some(problem) => {
            let problem = problem.strip_prefix(fqdn).unwrap_or(problem).trim_start_matches([':', ' ']);
            format!("{fqdn} ({problem})")
        }
        None => fqdn.to_owned(),
    });
    told.collect::<Vec<_>>().join(", ")
}

/// The first few, and how many more there are.
fn some(names: &[String]) -> String {
    let shown = names.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > 3 { format!("{shown} and {} more", names.len() - 3) } else { shown }
}

#[cfg(test)]
mod tests;
