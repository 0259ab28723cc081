//! Topologies made current: checked, compared with the one before, numbered, and never without the pool that has the route.

use store::{Expect, Keys, StoreError, Transaction};
use topology::document::{Topology, difference};

use crate::audit::{Deed, Hash};
use crate::ledger::{Ledger, put_document, read_document};
use crate::records::{self, Head, Route, Version};

pub mod zone_keys;

/// How often it is tried again when only other secrets changed meanwhile.
const ATTEMPTS: usize = 20;

/// What is the case, as the store says it at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// The topology's version.
    pub version: u64,
    /// The document's digest.
    pub digest: Hash,
    /// The document.
    pub document: String,
    /// What it means.
    pub topology: Topology,
    /// The route.
    pub route: Route,
}

/// What publishing did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The version that is current now.
    pub version: u64,
    /// What it changes; empty where it was current already.
    pub changes: Vec<String>,
}

/// Why a topology isn't published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// It is faulty.
    #[error("the topology has faults")]
    Faulty(Vec<String>),
    /// It was made from another version than the current one.
    #[error("the topology was made from version {from}, and {current}{} is current by now", published(by.as_ref()))]
    Overtaken {
        /// From which it was made.
        from: u64,
        /// What is current; 0 for none.
        current: u64,
        /// Who published that.
        by: Option<String>,
    },
    /// The pool that carries the route would be gone.
    #[error("the pool {0} carries the route, and is not in this topology")]
    RouteLost(String),
    /// There is no such version.
    #[error("there is no version {0} of the topology")]
    NoVersion(u64),
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// What is the case; nothing before the first topology.
///
/// # Errors
/// As the store, and when what lies there can't be read.
pub async fn current(ledger: &Ledger) -> Result<Option<Current>, StoreError> {
    let (head, route) = (records::head(), records::route());
    let snapshot = ledger.read(&[Keys::One(head.clone()), Keys::One(route.clone())]).await?;
    let (Some(at), Some(routed)) = (snapshot.get(&head), snapshot.get(&route)) else { return Ok(None) };
    let at: Head = records::read(&head, at)?;
    let routed: Route = records::read(&route, routed)?;
    let (record, document) = version(ledger, at.version).await?.ok_or_else(|| StoreError::Damaged {
        what: format!("version {} of the topology is current and not in the store", at.version),
        fix: "bring the store back from a backup".to_owned(),
    })?;
    let topology = Topology::read("topology.toml", &document).map_err(|faults| StoreError::Damaged {
        what: format!("version {} of the topology can't be read: {faults}", at.version),
        fix: "has a newer fedge published it? Run that one".to_owned(),
    })?;
    Ok(Some(Current { version: at.version, digest: record.document, document, topology, route: routed }))
}

/// A version, and its document.
///
/// # Errors
/// As the store.
pub async fn version(ledger: &Ledger, version: u64) -> Result<Option<(Version, String)>, StoreError> {
    let (record, _) = ledger.one::<Version>(&records::version(version)).await?;
    match record {
        Some(record) => {
            let document = read_document(ledger, &record.document).await?;
            Ok(Some((record, document)))
        }
        None => Ok(None),
    }
}

/// All versions, the latest first, and which is current.
///
/// # Errors
/// As the store.
pub async fn history(ledger: &Ledger) -> Result<(Vec<(u64, Version)>, Option<u64>), StoreError> {
    let head = records::head();
    let snapshot = ledger.read(&[Keys::One(head.clone()), Keys::Under(records::versions())]).await?;
    let current = snapshot.get(&head).map(|entry| records::read::<Head>(&head, entry)).transpose()?;
    let mut versions = Vec::new();
    for (key, entry) in snapshot.entries.iter().filter(|(key, _)| **key != head) {
        let number = key.last().parse().unwrap_or_default();
        versions.push((number, records::read(key, entry)?));
    }
    versions.reverse();
    Ok((versions, current.map(|head| head.version)))
}

/// Makes a document the current topology. `from` is the version that it was made from, where its author knows.
///
/// # Errors
/// Why not; then nothing changed.
pub async fn publish(
    ledger: &Ledger,
    who: &str,
    document: &str,
    from: Option<u64>,
    why: &str,
) -> Result<Published, PublishError> {
    let topology = Topology::read("topology.toml", document).map_err(|faults| PublishError::Faulty(faults.drawn()))?;
    let before = current(ledger).await?;
    let version = before.as_ref().map_or(0, |before| before.version);
    if let Some(from) = from.filter(|from| *from != version) {
        return Err(overtaken(ledger, from, version).await);
    }
    let changes = before.as_ref().map_or_else(
        || topology.members().map(|member| format!("{} {} comes", member.role, member.fqdn)).collect(),
        |before| difference(&before.topology, &topology),
    );
    if before.as_ref().is_some_and(|before| before.document == document) {
        return Ok(Published { version, changes: Vec::new() });
    }
    let route = before.as_ref().map(|before| before.route.clone());
    if let Some(route) = route.as_ref().filter(|route| !has_pool(&topology, &route.pool)) {
        return Err(PublishError::RouteLost(route.pool.clone()));
    }
    let digest = put_document(ledger, document).await?;
    let next = version + 1;
    let record = Version { document: digest, at: ledger.now(), who: who.to_owned(), why: why.to_owned() };
    let mut attempts = 0;
    let done = loop {
        let drawn = zone_keys::drawn(ledger, &topology).await?;
        // Keys first: an entry may not have room for all, and they stand nowhere else.
        let lines = drawn.iter().flat_map(|drawn| &drawn.told).chain(&changes).cloned();
        let deed = Deed {
            who: who.to_owned(),
            what: "publish topology".to_owned(),
            why: why.to_owned(),
            before: if version == 0 { String::new() } else { format!("version {version}") },
            after: format!("version {next}, {digest}\n{}", lines.collect::<Vec<_>>().join("\n")),
        };
        let done = match transaction(ledger, version, &record, route.as_ref(), &topology).await {
            Ok(transaction) => {
                let transaction = drawn.into_iter().fold(transaction, |transaction, drawn| drawn.put(transaction));
                ledger.change(&transaction, &deed).await
            }
            Err(error) => Err(error),
        };
        attempts += 1;
        match done {
            // Somebody has changed other secrets meanwhile.
            Err(StoreError::Conflict(key)) if key == records::secrets() && attempts < ATTEMPTS => {}
            done => break done,
        }
    };
    match done {
        Ok(()) => Ok(Published { version: next, changes }),
        Err(StoreError::Conflict(key)) if key == records::head() || key == records::version(next) => {
            Err(overtaken(ledger, version, next).await)
        }
        Err(error) => Err(error.into()),
    }
}

/// Where it can't be read who it was, that isn't said.
async fn overtaken(ledger: &Ledger, from: u64, current: u64) -> PublishError {
    let record = ledger.one::<Version>(&records::version(current)).await;
    let by = record.ok().and_then(|(record, _)| record).map(|record| record.who);
    PublishError::Overtaken { from, current, by }
}

fn published(by: Option<&String>) -> String {
    by.map(|by| format!(", which {by} published,")).unwrap_or_default()
}

pub(crate) fn has_pool(topology: &Topology, pool: &str) -> bool {
    topology.pools.iter().any(|known| known.fqdn.as_str() == pool)
}

/// Puts the next version if `version` is still current. The route must be what it was: else its pool may just have changed
/// to one that isn't in this topology.
async fn transaction(
    ledger: &Ledger,
    version: u64,
    record: &Version,
    route: Option<&Route>,
    topology: &Topology,
) -> Result<Transaction, StoreError> {
    let next = version + 1;
    let (head, expect_head) = ledger.one::<Head>(&records::head()).await?;
    let (found, expect_route) = ledger.one::<Route>(&records::route()).await?;
    if head.map_or(0, |head| head.version) != version {
        return Err(StoreError::Conflict(records::head()));
    }
    if found.as_ref() != route {
        return Err(StoreError::Conflict(records::route()));
    }
    let transaction = Transaction::new()
        .expect(records::head(), expect_head)
        .expect(records::route(), expect_route)
        .expect(records::version(next), Expect::Absent)
        .put(records::head(), records::write(&Head { version: next }))
        .put(records::version(next), records::write(record));
    let first = topology.route.first().filter(|_| route.is_none());
    Ok(match first {
        Some(pool) => {
            let route = Route { epoch: 1, pool: pool.to_string(), previous: None, operation: None };
            transaction.put(records::route(), records::write(&route))
        }
        None => transaction,
    })
}

#[cfg(test)]
mod tests;
