//! The store as the controllers use it: every change carries an entry of the audit trail, in one transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::de::DeserializeOwned;
use store::{Expect, Key, Keys, Snapshot, Store, StoreError, Transaction, Writer};

use crate::audit::{self, Broken, Deed, Entry, Hash};
use crate::records::{self, Installation, Secrets};

mod documents;

pub use documents::{DOCUMENT_BYTES, put_document, read_document};

/// How often a change is tried again when only the audit trail went on meanwhile.
const ATTEMPTS: usize = 20;
/// Entries of the audit trail that are read at once.
const PAGE: u64 = 500;

/// The store, as a controller writes it.
#[derive(Debug)]
pub struct Ledger {
    writer: Writer,
    clock: fn() -> u64,
    entries: AtomicU64,
}

/// How the audit trail was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many entries were looked at.
    pub entries: u64,
    /// The hash of the last one.
    pub hash: Hash,
    /// Where the trail is broken.
    pub broken: Option<Broken>,
}

impl Ledger {
    /// Of this store, for the controller of that name; `life` is random, `clock` gives milliseconds since 1970.
    ///
    /// # Errors
    /// [`StoreError::Refused`], when the name can't be part of a key.
    pub fn new(store: Arc<dyn Store>, controller: &str, life: u64, clock: fn() -> u64) -> Result<Ledger, StoreError> {
        let place: Key = format!("writer/{controller}").parse().map_err(|error: store::KeyError| {
            StoreError::Refused { what: error.to_string(), fix: "name the controller by its FQDN".to_owned() }
        })?;
        Ok(Ledger { writer: Writer::new(store, place, life), clock, entries: AtomicU64::new(0) })
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        self.writer.store()
    }

    /// How many entries of the audit trail were written here.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Milliseconds since 1970.
    pub fn now(&self) -> u64 {
        (self.clock)()
    }

    /// What lies at this key, and what a transaction expects that must find it so.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn one<R: DeserializeOwned>(&self, key: &Key) -> Result<(Option<R>, Expect), StoreError> {
        let snapshot = self.read(&[Keys::One(key.clone())]).await?;
        let record = snapshot.get(key).map(|entry| records::read(key, entry)).transpose()?;
        Ok((record, snapshot.expect(key)))
    }

    /// What lies at these keys at one moment.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn read(&self, keys: &[Keys]) -> Result<Snapshot, StoreError> {
        self.store().read(keys).await
    }

    /// Does the transaction and writes down the deed, both or neither.
    ///
    /// # Errors
    /// As [`Writer::transact`]; a conflict is one of the transaction's own.
    pub async fn change(&self, transaction: &Transaction, deed: &Deed) -> Result<(), StoreError> {
        let mut last = StoreError::Conflict(records::audit_head());
        for _ in 0..ATTEMPTS {
            let (head, expect) = self.one::<audit::Head>(&records::audit_head()).await?;
            let (entry, next) = head.unwrap_or_default().append(deed.clone(), self.now());
            let place = records::audit(entry.number);
            let written = transaction
                .clone()
                .expect(records::audit_head(), expect)
                .expect(place.clone(), Expect::Absent)
                .put(records::audit_head(), records::write(&next))
                .put(place, records::write(&entry));
            match self.writer.transact(&written).await {
                // Another controller did something else meanwhile.
                Err(StoreError::Conflict(key)) if key == records::audit_head() => last = StoreError::Conflict(key),
                settled => {
                    settled?;
                    self.entries.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
            }
        }
        Err(last)
    }

    /// Does a transaction that is no deed of its own, such as laying down a document before it is published.
    ///
    /// # Errors
    /// As [`Writer::transact`].
    pub async fn put(&self, transaction: &Transaction) -> Result<(), StoreError> {
        self.writer.transact(transaction).await.map(|_| ())
    }

    /// Writes down a deed that changes nothing in the store.
    ///
    /// # Errors
    /// As [`Ledger::change`].
    pub async fn note(&self, deed: &Deed) -> Result<(), StoreError> {
        self.change(&Transaction::new(), deed).await
    }

    /// The installation and its secrets; where there is none yet, one is founded with these.
    ///
    /// # Errors
    /// As [`Ledger::change`].
    pub async fn installation(
        &self,
        id: &str,
        secrets: &Secrets,
        who: &str,
    ) -> Result<(Installation, Secrets), StoreError> {
        if let Some(there) = self.founded().await? {
            return Ok(there);
        }
        let fresh = Installation { id: id.to_owned(), at: self.now() };
        let deed = Deed {
            who: who.to_owned(),
            what: "found installation".to_owned(),
            why: String::new(),
            before: String::new(),
            after: format!("installation {id}"),
        };
        let (key, secrets_key) = (records::installation(), records::secrets());
        let found = Transaction::new()
            .expect(key.clone(), Expect::Absent)
            .put(key.clone(), records::write(&fresh))
            .put(secrets_key, records::write(secrets));
        match self.change(&found, &deed).await {
            Ok(()) => Ok((fresh, secrets.clone())),
            // Another controller was first.
            Err(StoreError::Conflict(conflict)) if conflict == key => {
                self.founded().await?.ok_or(StoreError::Conflict(key))
            }
            Err(error) => Err(error),
        }
    }

    async fn founded(&self) -> Result<Option<(Installation, Secrets)>, StoreError> {
        let (installation, secrets) = (records::installation(), records::secrets());
        let snapshot = self.read(&[Keys::One(installation.clone()), Keys::One(secrets.clone())]).await?;
        let (Some(found), Some(hidden)) = (snapshot.get(&installation), snapshot.get(&secrets)) else {
            return Ok(None);
        };
        Ok(Some((records::read(&installation, found)?, records::read(&secrets, hidden)?)))
    }

    /// Entries of the audit trail, from this number on, at most so many.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn audit(&self, from: u64, most: u64) -> Result<Vec<Entry>, StoreError> {
        let numbers = from.max(1)..from.max(1).saturating_add(most.min(PAGE));
        let keys: Vec<Keys> = numbers.map(|number| Keys::One(records::audit(number))).collect();
        let snapshot = self.read(&keys).await?;
        snapshot.entries.iter().map(|(key, entry)| records::read(key, entry)).collect()
    }

    /// Whether the whole audit trail is what was written.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn verify(&self) -> Result<Verified, StoreError> {
        let head_key = records::audit_head();
        // All at one moment: entries that come meanwhile are not cut off.
        let snapshot = self.read(&[Keys::One(head_key.clone()), Keys::Under(records::audits())]).await?;
        let head = snapshot.get(&head_key).map(|entry| records::read(&head_key, entry)).transpose()?;
        let head: audit::Head = head.unwrap_or_default();
        let entries = snapshot.entries.iter().filter(|(key, _)| **key != head_key);
        let entries: Vec<Entry> = entries.map(|(key, entry)| records::read(key, entry)).collect::<Result<_, _>>()?;
        let broken = audit::verify(&entries, &head).err();
        Ok(Verified { entries: entries.len() as u64, hash: head.hash, broken })
    }
}

#[cfg(test)]
mod tests;
