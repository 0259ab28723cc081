//! The keys of zones that are to be signed and have none yet: made with the topology that says so, in one transaction. A zone
//! keeps its key, also where it isn't signed for a while: its parent may still name that one.

use agent::zone_key::{ZoneKey, ZoneKeyError};
use store::{Expect, StoreError, Transaction};
use topology::document::Topology;

use crate::ledger::Ledger;
use crate::records::{self, Secrets};

/// New keys.
#[derive(Debug)]
pub(crate) struct Drawn {
    /// All secrets, with them.
    after: Secrets,
    expect: Expect,
    /// What the audit trail says of them.
    pub(crate) told: Vec<String>,
}

impl Drawn {
    /// Puts them into the store, if its secrets are still what they were.
    pub(crate) fn put(self, transaction: Transaction) -> Transaction {
        let key = records::secrets();
        transaction.expect(key.clone(), self.expect).put(key, records::write(&self.after))
    }
}

/// Keys for the signed zones of a topology; nothing where each has one.
///
/// # Errors
/// As the store, and where there is no randomness.
pub(crate) async fn drawn(ledger: &Ledger, topology: &Topology) -> Result<Option<Drawn>, StoreError> {
    if !topology.zones.iter().any(topology::zone::Zone::is_signed) {
        return Ok(None);
    }
    let (found, expect) = ledger.one::<Secrets>(&records::secrets()).await?;
    let mut after = found.ok_or_else(|| StoreError::Damaged {
        what: "there are no secrets in the store".to_owned(),
        fix: "bring the store back from a backup".to_owned(),
    })?;
    let mut told = Vec::new();
    for zone in topology.zones.iter().filter(|zone| zone.is_signed()) {
        if after.zones.contains_key(&zone.name) {
            continue;
        }
        let no_key = |error: ZoneKeyError| StoreError::Refused {
            what: format!("no key can be made to sign the zone {}: {error}", zone.name),
            fix: "look at the system that the controller runs on".to_owned(),
        };
        let drawn = ZoneKey::draw().map_err(no_key)?;
        let key = ZoneKey::read(&drawn).map_err(no_key)?;
        told.push(format!("zone {}: a new key, {}", zone.name, key.tag()));
        after.zones.insert(zone.name.clone(), drawn.reveal().to_owned());
    }
    Ok((!told.is_empty()).then_some(Drawn { after, expect, told }))
}
