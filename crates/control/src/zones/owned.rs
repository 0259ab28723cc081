//! The names in a zone that are ours, as the store has them: adopted by somebody, or written there first by us.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use store::{Expect, Key, Keys, StoreError, Transaction};
use topology::records::{Contents, Mark};

use crate::audit::Deed;
use crate::ledger::Ledger;
use crate::records;

/// How often it is tried again when somebody else wrote meanwhile.
const ATTEMPTS: usize = 20;

/// What is ours in a zone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// The names, absolute, in small letters.
    pub names: BTreeSet<String>,
    /// The mark that was written last, as it stands in the zone.
    #[serde(default)]
    pub applied: Option<String>,
}

/// What is ours in each zone, by its name.
///
/// # Errors
/// As the store.
pub async fn all(ledger: &Ledger) -> Result<BTreeMap<String, Owned>, StoreError> {
    let snapshot = ledger.read(&[Keys::Under(records::zones())]).await?;
    let read = |(key, entry): (&Key, &store::Entry)| Ok((format!("{}.", key.last()), records::read(key, entry)?));
    snapshot.entries.iter().map(read).collect()
}

/// What is ours in this zone.
///
/// # Errors
/// As the store.
pub async fn of(ledger: &Ledger, zone: &str) -> Result<(Owned, Key, Expect), StoreError> {
    let key = records::zone(zone)?;
    let (owned, expect) = ledger.one::<Owned>(&key).await?;
    Ok((owned.unwrap_or_default(), key, expect))
}

/// Writes down, before it is done, that what a zone should hold will be ours. Gives all that is.
///
/// # Errors
/// As the store.
pub async fn claim(
    ledger: &Ledger,
    contents: &Contents,
    (who, why): (&str, &str),
) -> Result<BTreeSet<String>, StoreError> {
    let zone = &contents.zone.name;
    let wanted: BTreeSet<String> = contents.sets.iter().map(|set| set.name.clone()).collect();
    let mut attempts = 0;
    loop {
        let (mut owned, key, expect) = of(ledger, zone).await?;
        let fresh: Vec<String> = wanted.difference(&owned.names).cloned().collect();
        if fresh.is_empty() {
            return Ok(owned.names);
        }
        let deed = Deed {
            who: who.to_owned(),
            what: format!("own names in {zone}"),
            why: why.to_owned(),
            before: format!("{} names", owned.names.len()),
            after: fresh.join("\n"),
        };
        owned.names.extend(fresh);
        let claim = Transaction::new().expect(key.clone(), expect).put(key.clone(), records::write(&owned));
        match ledger.change(&claim, &deed).await {
            Ok(()) => return Ok(owned.names),
            Err(StoreError::Conflict(conflict)) if conflict == key && attempts < ATTEMPTS => attempts += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Writes down that a zone holds what it should: names that were ours and aren't wanted any more are gone. Of two controllers,
/// the one with the later mark is right.
///
/// # Errors
/// As the store.
pub async fn settle(ledger: &Ledger, contents: &Contents) -> Result<(), StoreError> {
    let mut attempts = 0;
    loop {
        let (before, key, expect) = of(ledger, &contents.zone.name).await?;
        let earlier = before.applied.as_deref().and_then(|text| text.parse::<Mark>().ok());
        if earlier.is_some_and(|mark| mark == contents.mark || !mark.is_not_after(&contents.mark)) {
            return Ok(());
        }
        let names = contents.sets.iter().map(|set| set.name.clone()).collect();
        let after = Owned { names, applied: Some(contents.mark.to_string()) };
        let put = Transaction::new().expect(key.clone(), expect).put(key.clone(), records::write(&after));
        match ledger.put(&put).await {
            Err(StoreError::Conflict(conflict)) if conflict == key && attempts < ATTEMPTS => attempts += 1,
            settled => return settled,
        }
    }
}
