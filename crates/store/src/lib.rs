//! Where topology and state live: a small map with compare-and-set transactions, and hints that it changed.
//!
//! Reads and transactions are linearizable. Three stores do this: in memory, in a file, in an etcd cluster. They have
//! the same limits and the same errors, so that what is built on one can go to another.

mod copy;
mod error;
#[cfg(feature = "etcd")]
pub mod etcd;
mod hints;
mod key;
mod memory;
mod open;
mod settle;
mod sqlite;
mod transaction;

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;

pub use copy::copy;
pub use error::StoreError;
pub use hints::{Hinter, Hints};
pub use key::{Key, KeyError, Keys};
pub use memory::Memory;
pub use open::open;
pub use settle::Writer;
pub use sqlite::Sqlite;
pub use transaction::{Expect, MOST_BYTES, MOST_WRITES, Transaction, VALUE_BYTES, Write};

/// What a store answers in its own time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// It grows with every transaction that changes something, by one or more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// What lies at a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What was put there.
    pub value: Vec<u8>,
    /// The revision of the transaction that put it.
    pub revision: Revision,
}

/// What was there at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The store's revision then.
    pub revision: Revision,
    /// What was asked for, as far as it was there.
    pub entries: BTreeMap<Key, Entry>,
}

/// A store. All methods may be called at once.
pub trait Store: Send + Sync + fmt::Debug {
    /// What lies at these keys, all at the same moment, which is not before the call.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] and [`StoreError::Damaged`].
    fn read<'a>(&'a self, keys: &'a [Keys]) -> Answer<'a, Snapshot>;

    /// Does all of it if everything is as it expects, and nothing otherwise.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] alone leaves open whether it was done, or will be; [`Writer`] finds out. After any other
    /// nothing was done.
    fn transact<'a>(&'a self, transaction: &'a Transaction) -> Answer<'a, Revision>;

    /// Tells when something under these keys may have changed. A hint is no more than that: what changed is found by
    /// reading, and whoever must not miss a change reads every few seconds besides.
    fn watch(&self, keys: &Keys) -> Hints;

    /// What it is and where, for people; without secrets.
    fn name(&self) -> String;
}

impl Snapshot {
    /// What lies at this key.
    pub fn get(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// The revision of what lies at this key, or that nothing does: what a transaction expects that must find it so.
    pub fn expect(&self, key: &Key) -> Expect {
        self.get(key).map_or(Expect::Absent, |entry| Expect::Unchanged(entry.revision))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
