//! Conditions on DNS: whether partners can be told, and by whom.

use std::net::SocketAddr;

use api::route::{Condition, Kind};
use topology::zone::Publisher;

use super::{Ground, LOOKED, condition, some, waivable};
use crate::route::sight::Sight;
use crate::zones::{Look, Standing};

/// All of them; none where no zone is declared, since DNS is somebody else's business then.
pub(super) fn all(ground: &Ground<'_>, sight: &Sight) -> Vec<Condition> {
    let zones = &sight.zones;
    if zones.is_empty() {
        return Vec::new();
    }
    vec![reached(ground, zones), ours(zones), current(zones), writable(ground, zones)]
}

fn servers(look: &Look) -> Vec<(SocketAddr, Standing)> {
    let servers = look.contents.zone.publisher.servers();
    servers.into_iter().map(|server| (server, look.standing(server, LOOKED))).collect()
}

fn is_reached(standing: &Standing) -> bool {
    !matches!(standing, Standing::Silent(_) | Standing::Unasked)
}

/// Each zone with what is told of its name servers, in a sentence.
fn told<'a>(zones: impl Iterator<Item = &'a Look>, is_meant: impl Fn(&Standing) -> bool) -> Vec<String> {
    let of = |look: &Look| -> Vec<String> {
        let bad = servers(look).into_iter().filter(|(_, standing)| is_meant(standing));
        bad.map(|(server, standing)| format!("{}: {}", look.zone(), standing.told(&look.named(server)))).collect()
    };
    zones.flat_map(of).collect()
}

fn names(zones: &[Look]) -> String {
    some(&zones.iter().map(|look| look.zone().to_owned()).collect::<Vec<_>>())
}

/// What a dead site had can't be asked. What stays says at least the standbys, and DNS is told as soon as it is back.
fn reached(ground: &Ground<'_>, zones: &[Look]) -> Condition {
    let silent = told(zones.iter(), |standing| !is_reached(standing));
    let holds = silent.is_empty();
    let seen =
        if holds { format!("all name servers of {} answer with authority", names(zones)) } else { silent.join("; ") };
    let fix = "bring them up, or open the way from controllers to their port 53, UDP and TCP";
    let made = condition("dns-reached", holds, seen, fix);
    if ground.kind == Kind::Failover { waivable(made) } else { made }
}

/// Nobody accepts that two installations publish in one zone. That nobody has published there yet can be mended, and accepted.
fn ours(zones: &[Look]) -> Condition {
    let code = "dns-ours";
    let others: Vec<String> =
        zones.iter().filter_map(|look| Some(format!("{} has `{}`", look.zone(), look.another()?))).collect();
    if !others.is_empty() {
        let fix = "two installations must not publish in one zone; if the other one is no more, delete the TXT record `_epoch` of the \
                   zone, and `fedge dns apply --adopt`";
        return condition(code, false, format!("the mark of somebody else: {}", others.join(", ")), fix);
    }
    let unmarked = told(zones.iter(), |standing| *standing == Standing::Unmarked);
    let foreign: Vec<String> = zones
        .iter()
        .filter(|look| !look.foreign().is_empty())
        .map(|look| {
            let sets: Vec<String> = look.foreign().iter().map(|set| format!("{} {}", set.name, set.kind)).collect();
            format!("{} has records of somebody else at {}", look.zone(), some(&sets))
        })
        .collect();
    // Whoever changes a zone by hand knows what he does there.
    let foreign = foreign.into_iter().zip(zones).filter(|(_, look)| takes_updates(look)).map(|(told, _)| told);
    let bad: Vec<String> = unmarked.into_iter().chain(foreign).collect();
    let holds = bad.is_empty();
    let seen = if holds { format!("nobody else publishes in {}", names(zones)) } else { bad.join("; ") };
    let fix = "`fedge dns plan` shows what is there, `fedge dns apply` publishes, and with `--adopt` takes over what somebody else \
               has put there";
    waivable(condition(code, holds, seen, fix))
}

fn takes_updates(look: &Look) -> bool {
    matches!(look.contents.zone.publisher, Publisher::Rfc2136 { .. })
}

fn current(zones: &[Look]) -> Condition {
    let is_behind =
        |standing: &Standing| matches!(standing, Standing::Behind(_) | Standing::Ahead(_) | Standing::Different(_));
    let behind = told(zones.iter(), is_behind);
    let holds = behind.is_empty();
    let seen = if holds { format!("{} hold what they should", names(zones)) } else { behind.join("; ") };
    let fix = "`fedge dns plan` shows the difference and `fedge dns apply` makes it; or accept it: the move changes all of it besides";
    waivable(condition("dns-current", holds, seen, fix))
}

/// The dead site may have had the primary: what is said goes out by the new pool all the same, and partners that look anew find
/// it as the second.
fn writable(ground: &Ground<'_>, zones: &[Look]) -> Condition {
    let updated: Vec<&Look> = zones.iter().filter(|look| takes_updates(look)).collect();
    let bad: Vec<String> = updated
        .iter()
        .filter_map(|look| match &look.writable {
            None => Some(format!("{}: it wasn't tried yet whether it takes updates", look.zone())),
            Some(Err(why)) => Some(format!("{}: {why}", look.zone())),
            Some(Ok(())) => None,
        })
        .collect();
    let holds = bad.is_empty();
    let seen = match (updated.len(), holds) {
        (0, _) => "no zone takes updates from here".to_owned(),
        (_, true) => {
            let names: Vec<String> = updated.iter().map(|look| look.zone().to_owned()).collect();
            format!("updates are taken for {}", some(&names))
        }
        (_, false) => bad.join("; "),
    };
    let fix = "mend what the name server or the key lacks; `fedge dns plan` tries it again";
    let made = condition("dns-writable", holds, seen, fix);
    if ground.kind == Kind::Failover { waivable(made) } else { made }
}

#[cfg(test)]
mod tests;
