//! Conditions on what lies around the two pools.

use api::route::Condition;

use super::{Ground, condition, waivable};
use crate::route::sight::{Facts, Sight};

/// Clocks may be so many seconds apart.
const APART: u64 = 60;

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

/// Certificates are judged by each machine's own clock, and what happened when is put together from all of them.
pub(super) fn clocks(sight: &Sight) -> Condition {
    let reached = || sight.members.iter().filter(|(_, facts)| facts.reached);
    let apart: Vec<String> = reached()
        .filter_map(|(fqdn, facts)| Some((fqdn, facts.clock.filter(|clock| clock.unsigned_abs() > APART)?)))
        .map(|(fqdn, clock)| {
            format!("{fqdn} is {} s {}", clock.unsigned_abs(), if clock < 0 { "behind" } else { "ahead" })
        })
        .collect();
    let holds = apart.is_empty();
    let mut seen = if holds {
        vec![format!("no member's is more than {APART} s from this controller's")]
    } else {
        vec![format!("by this controller's: {}", apart.join(", "))]
    };
    seen.extend(untold(reached().filter(|(_, facts)| facts.clock.is_none())));
    let fix = "set them by NTP; where all of them are off alike, it is this controller's; or accept it";
    waivable(condition("clocks", holds, seen.join("; "), fix))
}

/// Whether those who come from the old pool find room.
pub(super) fn target_capacity(ground: &Ground<'_>, sight: &Sight) -> Condition {
    let code = "target-capacity";
    let old: Vec<_> = sight.edges(ground.from).filter(|(_, facts)| facts.reached).collect();
    if old.is_empty() {
        let seen = format!("how many streams come from {} isn't known, since none of it is reached", ground.from);
        return waivable(condition(code, true, seen, ""));
    }
    // A partner to whom we have dialed may dial next time.
    let coming = old.iter().fold(0_u64, |sum, (_, facts)| sum.saturating_add(facts.streams.max(facts.partners)));
    let able: Vec<_> = sight.edges(ground.to).filter(|(_, facts)| facts.can_serve()).collect();
    let untold = untold(able.iter().copied().filter(|(_, facts)| facts.places.is_none()));
    let free = able.iter().fold(0_u64, |sum, (_, facts)| {
        sum.saturating_add(facts.places.unwrap_or_default().saturating_sub(facts.streams))
    });
    let holds = untold.is_some() || free >= coming;
    let mut seen =
        vec![format!("{} has places for {free} more streams, and {coming} are on {}", ground.to, ground.from)];
    seen.extend(untold);
    let fix = "raise `streams` under `[limits]` there, and LimitNOFILE with it, bring up more of its edge servers, or accept that \
               some partners are refused at first";
    waivable(condition(code, holds, seen.join("; "), fix))
}

/// Who doesn't say such things.
fn untold<'a>(members: impl Iterator<Item = (impl AsRef<str> + 'a, &'a Facts)>) -> Option<String> {
    let names: Vec<String> = members.map(|(fqdn, _)| fqdn.as_ref().to_owned()).collect();
    (!names.is_empty()).then(|| format!("not told by {}", names.join(", ")))
}
