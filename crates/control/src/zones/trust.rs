//! The keys of signed zones, by which validating resolvers know them.

use std::collections::BTreeMap;

use agent::zone_key::ZoneKey;
use topology::document::Topology;

use crate::records::Secrets;

/// Those of a topology's signed zones, by the zones' names. One that can't be read isn't there: its servers say so.
pub(super) fn keys(topology: &Topology, secrets: &Secrets) -> BTreeMap<String, ZoneKey> {
    let drawn = secrets.zone_keys();
    let signed = topology.zones.iter().filter(|zone| zone.is_signed());
    signed.filter_map(|zone| Some((zone.name.clone(), ZoneKey::read(drawn.get(&zone.name)?).ok()?))).collect()
}
