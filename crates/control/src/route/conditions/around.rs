//! Conditions on what lies around the two pools.

use api::route::Condition;

use super::{condition, waivable};
use crate::route::sight::Sight;

/// The servers inside, as gateways find them. A move changes nothing about them; but who wants federation to go on wants them.
pub(super) fn next_hops(sight: &Sight) -> Condition {
    let reached = || sight.gateways().filter(|(_, facts)| facts.reached).map(|(fqdn, _)| fqdn);
    let unseen: Vec<&str> = reached().filter(|gateway| !sight.hops.contains_key(*gateway)).collect();
    let looks = || reached().filter_map(|gateway| sight.hops.get(gateway).map(|hops| (gateway, hops)));
    let bad: Vec<String> = looks()
        .flat_map(|(by, hops)| hops.bad.iter().map(move |(domain, seen)| format!("{domain} ({seen}, seen from {by})")))
        .collect();
    let good: Vec<String> = looks()
        .filter(|(_, hops)| !hops.good.is_empty())
        .map(|(by, hops)| format!("{} from {by}", hops.good.join(", ")))
        .collect();
    let holds = unseen.is_empty() && bad.is_empty();
    let mut seen = Vec::new();
    if !bad.is_empty() {
        seen.push(format!("no stream gets through to {}", bad.join("; ")));
    }
    if !unseen.is_empty() {
        seen.push(format!("not looked at yet by {}", unseen.join(", ")));
    }
    if holds && good.is_empty() {
        let nobody = reached().next().is_none();
        let why = if nobody {
            "no gateway is reached that could look"
        } else {
            "there are only patterns, and what they match isn't known"
        };
        seen.push(why.to_owned());
    } else if holds {
        seen.push(format!("answered: {}", good.join("; ")));
    }
    let fix = "bring those servers up, or accept that nothing reaches them; `fedge probe DOMAIN --via GATEWAY` shows each stage";
    waivable(condition("next-hops", holds, seen.join("; "), fix))
}
