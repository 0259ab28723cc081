//! Writers on a store that loses questions and answers, and does late what it was asked.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use proptest::prelude::*;

use super::*;
use crate::memory::Memory;
use crate::{Answer, Hints, Snapshot};

/// What becomes of a transaction.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Done,
    /// Nobody heard of it.
    Lost,
    /// It was done, and nobody heard of that.
    Unheard,
    /// It is done only after the next one.
    Late,
}

/// A store to which this happens, in turn.
#[derive(Debug)]
struct Faulty {
    memory: Memory,
    fates: Mutex<VecDeque<Fate>>,
    late: Mutex<Vec<Transaction>>,
}

impl Store for Faulty {
    fn read<'a>(&'a self, keys: &'a [Keys]) -> Answer<'a, Snapshot> {
        self.memory.read(keys)
    }

    fn transact<'a>(&'a self, transaction: &'a Transaction) -> Answer<'a, Revision> {
        Box::pin(async move {
            let fate = self.fates.lock().unwrap_or_else(PoisonError::into_inner).pop_front().unwrap_or(Fate::Done);
            let unknown = || Err(StoreError::Unknown("no answer".to_owned()));
            let late = std::mem::take(&mut *self.late.lock().unwrap_or_else(PoisonError::into_inner));
            let answer = match fate {
                Fate::Done => self.memory.transact(transaction).await,
                Fate::Lost => unknown(),
                Fate::Unheard => self.memory.transact(transaction).await.and(unknown()).or_else(|_| unknown()),
                Fate::Late => {
                    self.late.lock().unwrap_or_else(PoisonError::into_inner).push(transaction.clone());
                    unknown()
                }
            };
            for transaction in late {
                let _ = self.memory.transact(&transaction).await;
            }
            answer
        })
    }

    fn watch(&self, keys: &Keys) -> Hints {
        self.memory.watch(keys)
    }

    fn name(&self) -> String {
        "faulty".to_owned()
    }
}

fn key(text: &str) -> Key {
    text.parse().expect("a key")
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![Just(Fate::Done), Just(Fate::Lost), Just(Fate::Unheard), Just(Fate::Late)]
}

/// Writes so many numbered entries, and gives the numbers of those that were done, by what the writer was told.
async fn told(store: Arc<Faulty>, count: usize) -> Vec<usize> {
    let writer = Writer::new(store, key("writer/ctl1"), 7);
    let mut done = Vec::new();
    for number in 0..count {
        let entry = Transaction::new().put(key(&format!("entry/{number}")), "x");
        match writer.transact(&entry).await {
            Ok(_) => done.push(number),
            Err(StoreError::Unreachable(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    done
}

proptest! {
    #[test]
    fn what_a_writer_is_told_is_what_was_done(fates in proptest::collection::vec(fate(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let (told, there) = runtime.expect("a runtime").block_on(async {
            let memory = Memory::new();
            let faulty = Faulty { memory: memory.clone(), fates: Mutex::new(fates.into()), late: Mutex::default() };
            let store = Arc::new(faulty);
            let told = told(store.clone(), 12).await;
            // What was still under way comes now, or never.
            let late = std::mem::take(&mut *store.late.lock().expect("nobody panicked"));
            for transaction in late {
                let _ = memory.transact(&transaction).await;
            }
            let there = memory.read(&[Keys::Under(key("entry"))]).await.expect("it is in memory");
            (told, there.entries.into_keys().collect::<Vec<_>>())
        });
        let mut told: Vec<Key> = told.into_iter().map(|number| key(&format!("entry/{number}"))).collect();
        told.sort();
        prop_assert_eq!(told, there);
    }
}

#[tokio::test]
async fn a_conflict_is_one() {
    let memory = Memory::new();
    let writer = Writer::new(Arc::new(memory.clone()), key("writer/ctl1"), 7);
    let first = Transaction::new().expect(key("a"), Expect::Absent).put(key("a"), "1");
    writer.transact(&first).await.expect("nothing was there");
    assert_eq!(writer.transact(&first).await, Err(StoreError::Conflict(key("a"))));
}

#[tokio::test]
async fn changes_are_hinted_at_and_many_are_one_hint() {
    let memory = Memory::new();
    let mut hints = memory.watch(&Keys::Under(key("a")));
    let put = |at: &str| Transaction::new().put(key(at), "1");
    memory.transact(&put("b")).await.expect("it is in memory");
    memory.transact(&put("a/1")).await.expect("it is in memory");
    memory.transact(&put("a/2")).await.expect("it is in memory");
    hints.next().await;
    let nothing_more = tokio::time::timeout(Duration::from_millis(20), hints.next()).await;
    assert!(nothing_more.is_err(), "one hint for both");
}
