//! A store in memory: for simulations, and gone with the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::StoreError;
use crate::hints::{Hinter, Hints};
use crate::key::{Key, Keys};
use crate::transaction::{Expect, Transaction, Write};
use crate::{Answer, Entry, Revision, Snapshot, Store};

/// A store in memory. Copies are the same store.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    revision: Revision,
    entries: BTreeMap<Key, Entry>,
    watching: Vec<(Keys, Hinter)>,
}

impl Memory {
    /// An empty one.
    pub fn new() -> Memory {
        Memory::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    fn read<'a>(&'a self, keys: &'a [Keys]) -> Answer<'a, Snapshot> {
        Box::pin(async move {
            let state = self.state();
            let mut entries = BTreeMap::new();
            for keys in keys {
                match keys {
                    Keys::One(key) => entries.extend(state.entries.get_key_value(key).map(copied)),
                    Keys::Under(_) | Keys::All => {
                        entries.extend(state.entries.iter().filter(|(key, _)| keys.contain(key)).map(copied));
                    }
                }
            }
            Ok(Snapshot { revision: state.revision, entries })
        })
    }

    fn transact<'a>(&'a self, transaction: &'a Transaction) -> Answer<'a, Revision> {
        Box::pin(async move { self.state().transact(transaction) })
    }

    fn watch(&self, keys: &Keys) -> Hints {
        let (hinter, hints) = Hints::new();
        self.state().watching.push((keys.clone(), hinter));
        hints
    }

    fn name(&self) -> String {
        "memory".to_owned()
    }
}

fn copied((key, entry): (&Key, &Entry)) -> (Key, Entry) {
    (key.clone(), entry.clone())
}

impl State {
    fn transact(&mut self, transaction: &Transaction) -> Result<Revision, StoreError> {
        transaction.check()?;
        for (key, expect) in &transaction.expected {
            let found = self.entries.get(key).map_or(Expect::Absent, |entry| Expect::Unchanged(entry.revision));
            if found != *expect {
                return Err(StoreError::Conflict(key.clone()));
            }
        }
        self.revision.0 += 1;
        for (key, write) in &transaction.writes {
            match write {
                Write::Put(value) => {
                    self.entries.insert(key.clone(), Entry { value: value.clone(), revision: self.revision });
                }
                Write::Delete => {
                    self.entries.remove(key);
                }
            }
        }
        // Who doesn't listen any more is forgotten with the first change.
        self.watching
            .retain(|(keys, hinter)| !transaction.writes.iter().any(|(key, _)| keys.contain(key)) || hinter.hint());
        Ok(self.revision)
    }
}
