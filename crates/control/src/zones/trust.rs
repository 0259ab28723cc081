//! The keys of signed zones, and by what their parents are to know them.

use std::collections::BTreeMap;

use agent::zone_key::{TTL, ZoneKey};
use api::dns::Signed;
use topology::document::Topology;

use super::planned::AskError;
use crate::ledger::Ledger;
use crate::publish;
use crate::records::{self, Secrets};

/// Those of a topology's signed zones, by the zones' names. One that can't be read isn't there: its servers say so.
pub(super) fn keys(topology: &Topology, secrets: &Secrets) -> BTreeMap<String, ZoneKey> {
    let drawn = secrets.zone_keys();
    let signed = topology.zones.iter().filter(|zone| zone.is_signed());
    signed.filter_map(|zone| Some((zone.name.clone(), ZoneKey::read(drawn.get(&zone.name)?).ok()?))).collect()
}

/// What the parent of each signed zone is to have, by what the store says now: whoever has just published asks at once.
///
/// # Errors
/// When there is no zone, and as the store.
pub async fn signed(ledger: &Ledger) -> Result<Vec<Signed>, AskError> {
    // In this order: a key came with the topology that signs its zone.
    let current = publish::current(ledger).await?.ok_or(AskError::NoTopology)?;
    let (secrets, _) = ledger.one::<Secrets>(&records::secrets()).await?;
    if current.topology.zones.is_empty() {
        return Err(AskError::NoZones);
    }
    let line = |zone: &str, kind: &str, value: String| format!("{zone} {TTL} IN {kind} {value}");
    let told = keys(&current.topology, &secrets.unwrap_or_default()).into_iter().map(|(zone, key)| Signed {
        ds: line(&zone, "DS", key.parents(&zone)),
        dnskey: line(&zone, "DNSKEY", key.own()),
        zone,
    });
    Ok(told.collect())
}
