//! Partners told by DNS: whether every name server answers what the route demands, and what is to be done for that.

use std::time::Duration;

use api::route::{Need, State};
use topology::zone::Publisher;

use super::{Moment, Next};
use crate::zones::{Look, Publishing};

/// What a name server said longer ago than this says nothing of now.
const FRESH: Duration = Duration::from_secs(10);
/// For so long all name servers have to answer: secondaries have to hear of a change, and to fetch it.
const PUBLISH: Duration = Duration::from_secs(15);

/// That partners are told, in a sentence; or what comes first.
pub(super) fn published(moment: &Moment<'_>) -> Result<String, Next> {
    let zones = &moment.sight.zones;
    if zones.is_empty() {
        let by_hand = "DNS is changed by hand: the records of the plan say how; both pools take partners in meanwhile";
        return Ok(by_hand.to_owned());
    }
    // What was said before the commit may have been right for another one, long ago: not all zones have a mark.
    let within = FRESH.min(moment.stayed);
    let said: Vec<(&Look, Result<String, String>)> = zones.iter().map(|look| (look, look.published(within))).collect();
    let missing: Vec<(&Look, String)> =
        said.iter().filter_map(|(look, said)| Some((*look, missing(look, said.clone().err()?)))).collect();
    if missing.is_empty() {
        let told: Vec<String> = said.into_iter().filter_map(|(_, said)| said.ok()).collect();
        return Ok(format!("epoch {} is in DNS: {}", moment.operation.epoch, told.join("; ")));
    }
    let told: Vec<String> = missing.iter().map(|(_, why)| why.clone()).collect();
    let why = told.join("; ");
    let by_hand = missing.iter().all(|(look, _)| matches!(look.contents.zone.publisher, Publisher::Manual { .. }));
    if by_hand {
        return Err(Next::Await(Need::Records, format!("DNS is to be changed by hand: {why}")));
    }
    let waiting = moment.operation.state != State::Applying || moment.waited < PUBLISH;
    if !waiting {
        return Err(Next::Enter(State::Degraded, why));
    }
    let to_do: Vec<String> = missing
        .iter()
        .filter(|(look, _)| is_to_be_changed(look) && look.publishing.is_due())
        .map(|(look, _)| look.zone().to_owned())
        .collect();
    Err(if to_do.is_empty() { Next::Wait(why) } else { Next::Publish(to_do, why) })
}

/// Why it isn't published: that it can't be changed, where that is so.
fn missing(look: &Look, why: String) -> String {
    match &look.publishing {
        Publishing::Failed { why, .. } if is_to_be_changed(look) => why.clone(),
        _ => why,
    }
}

/// Whether the name server that takes updates lacks something.
fn is_to_be_changed(look: &Look) -> bool {
    let Publisher::Rfc2136 { primary, .. } = look.contents.zone.publisher else { return false };
    look.standing(primary, FRESH) != crate::zones::Standing::Current
}

#[cfg(test)]
mod tests;
