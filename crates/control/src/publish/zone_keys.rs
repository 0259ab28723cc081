//! The keys of zones that are to be signed and have none yet: made with the topology that says so, in one transaction. A zone
//! keeps its key, also where it isn't signed for a while: its parent may still name that one. Only somebody who knows that it
//! doesn't has it forgotten.

use agent::zone_key::{ZoneKey, ZoneKeyError};
use api::agent::content::Secret;
use store::{Expect, StoreError, Transaction};
use topology::document::Topology;

use crate::audit::Deed;
use crate::ledger::Ledger;
use crate::records::{self, Head, Secrets};

/// The keys of signed zones, new ones among them.
#[derive(Debug)]
pub(crate) struct Drawn {
    /// All secrets, with them.
    after: Secrets,
    expect: Expect,
    /// What the audit trail says of new ones.
    pub(crate) told: Vec<String>,
}

/// Why a key isn't forgotten.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// It is in use.
    #[error("the zone {0} is signed with it")]
    InUse(String),
    /// There is none.
    #[error("the zone {0} has no key")]
    NoKey(String),
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl Drawn {
    /// Puts what is new into the store, if its secrets are still what they were: no key that is needed may be gone by then.
    pub(crate) fn put(self, transaction: Transaction) -> Transaction {
        let key = records::secrets();
        let transaction = transaction.expect(key.clone(), self.expect);
        if self.told.is_empty() { transaction } else { transaction.put(key, records::write(&self.after)) }
    }
}

/// Keys for the signed zones of a topology; nothing where it has none of those.
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
    Ok(Some(Drawn { after, expect, told }))
}

/// Forgets the key of a zone that isn't signed, so that it gets another when it is signed again. The name is absolute.
///
/// # Errors
/// Why not; then nothing changed.
pub async fn forget(ledger: &Ledger, zone: &str, (who, why): (&str, &str)) -> Result<(), ForgetError> {
    let current = super::current(ledger).await?;
    let (head, expect_head) = ledger.one::<Head>(&records::head()).await?;
    if head.map(|head| head.version) != current.as_ref().map(|current| current.version) {
        return Err(StoreError::Conflict(records::head()).into());
    }
    let mut zones = current.iter().flat_map(|current| &current.topology.zones);
    if zones.any(|known| known.name == zone && known.is_signed()) {
        return Err(ForgetError::InUse(zone.to_owned()));
    }
    let key = records::secrets();
    let (found, expect) = ledger.one::<Secrets>(&key).await?;
    let no_key = || ForgetError::NoKey(zone.to_owned());
    let mut after = found.ok_or_else(no_key)?;
    let forgotten = after.zones.remove(zone).map(Secret::new).ok_or_else(no_key)?;
    let tag = ZoneKey::read(&forgotten).map_or_else(|_| "unreadable".to_owned(), |key| key.tag().to_string());
    let deed = Deed {
        who: who.to_owned(),
        what: format!("forget the key of the zone {zone}"),
        why: why.to_owned(),
        before: format!("key {tag}"),
        after: String::new(),
    };
    // A topology that signs it again may come meanwhile.
    let transaction = Transaction::new().expect(records::head(), expect_head).expect(key.clone(), expect);
    Ok(ledger.change(&transaction.put(key, records::write(&after)), &deed).await?)
}
