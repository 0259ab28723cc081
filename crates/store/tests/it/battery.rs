//! What every store must do. Each test takes a store that nobody else uses, and keys below one of its own.

use std::sync::Arc;
use std::time::Duration;

use store::{Expect, Key, Keys, Revision, Store, StoreError, Transaction, VALUE_BYTES, Writer};

/// Longer than anything takes here that is to come at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// A store under test.
pub(crate) type Tried = Arc<dyn Store>;

pub(crate) fn key(text: &str) -> Key {
    text.parse().expect("a key")
}

fn put(at: &str, value: &str) -> Transaction {
    Transaction::new().put(key(at), value)
}

/// What lies below this key: last words and values.
async fn below(store: &Tried, at: &str) -> Vec<(String, String)> {
    let snapshot = store.read(&[Keys::Under(key(at))]).await.expect("it can be read");
    let shown = |(key, entry): (Key, store::Entry)| {
        (key.last().to_owned(), String::from_utf8(entry.value).expect("we put text there"))
    };
    snapshot.entries.into_iter().map(shown).collect()
}

/// All of it, in turn.
pub(crate) async fn all(store: Tried) {
    transactions_are_whole(&store).await;
    expectations_are_kept(&store).await;
    reads_find_what_they_ask_for(&store).await;
    many_are_read_at_one_moment(&store).await;
    limits_are_kept(&store).await;
    changes_are_hinted_at(&store).await;
    counting_together(vec![store.clone(), store.clone()], 25).await;
}

async fn transactions_are_whole(store: &Tried) {
    let first = store.transact(&put("whole/a", "1").put(key("whole/b"), "1")).await.expect("nothing is expected");
    let failed = put("whole/a", "2").put(key("whole/c"), "2").expect(key("whole/b"), Expect::Absent);
    assert_eq!(store.transact(&failed).await, Err(StoreError::Conflict(key("whole/b"))));
    let text = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(below(store, "whole").await, text(&[("a", "1"), ("b", "1")]));
    let second = store.transact(&put("whole/a", "3").delete(key("whole/b")).delete(key("whole/no"))).await;
    assert!(second.expect("nothing is expected") > first);
    assert_eq!(below(store, "whole").await, text(&[("a", "3")]));
}

async fn expectations_are_kept(store: &Tried) {
    let fresh = put("expected/a", "1").expect(key("expected/a"), Expect::Absent);
    let first = store.transact(&fresh).await.expect("nothing was there");
    assert_eq!(store.transact(&fresh).await, Err(StoreError::Conflict(key("expected/a"))));
    let with = |revision: Revision| put("expected/a", "2").expect(key("expected/a"), Expect::Unchanged(revision));
    let second = store.transact(&with(first)).await.expect("it is as it was");
    assert_eq!(store.transact(&with(first)).await, Err(StoreError::Conflict(key("expected/a"))));
    // What was taken away and put there again is another.
    store.transact(&Transaction::new().delete(key("expected/a"))).await.expect("it is there");
    assert_eq!(store.transact(&with(second)).await, Err(StoreError::Conflict(key("expected/a"))));
    store.transact(&put("expected/a", "2")).await.expect("nothing is expected");
    assert_eq!(store.transact(&with(second)).await, Err(StoreError::Conflict(key("expected/a"))));
    // Something may be expected of what isn't written.
    let elsewhere = put("expected/b", "1").expect(key("expected/a"), Expect::Absent);
    assert_eq!(store.transact(&elsewhere).await, Err(StoreError::Conflict(key("expected/a"))));
}

async fn reads_find_what_they_ask_for(store: &Tried) {
    for at in ["read/a", "read/a/1", "read/a.b", "read/a0", "reads/a"] {
        store.transact(&put(at, at)).await.expect("nothing is expected");
    }
    let found = |snapshot: store::Snapshot| snapshot.entries.into_keys().collect::<Vec<_>>();
    let one = store.read(&[Keys::One(key("read/a"))]).await.expect("it can be read");
    assert_eq!(one.get(&key("read/a")).map(|entry| entry.value.clone()), Some(b"read/a".to_vec()));
    assert_eq!(found(one), [key("read/a")]);
    let under = store.read(&[Keys::Under(key("read/a"))]).await.expect("it can be read");
    assert_eq!(found(under), [key("read/a/1")]);
    let several = [Keys::Under(key("read")), Keys::One(key("reads/a")), Keys::One(key("read/no"))];
    let several = store.read(&several).await.expect("it can be read");
    assert_eq!(several.expect(&key("read/no")), Expect::Absent);
    assert_eq!(found(several).len(), 5);
    let all = store.read(&[Keys::All]).await.expect("it can be read");
    assert!(all.entries.len() >= 5 && all.entries.values().all(|entry| entry.revision <= all.revision));
}

/// More than any store gives in one piece, while somebody replaces every fifth again and again.
async fn many_are_read_at_one_moment(store: &Tried) {
    let all = |value: &str, which: Vec<usize>| {
        which.iter().fold(Transaction::new(), |all, at| all.put(key(&format!("many/{at:04}")), value))
    };
    for from in (0..500).step_by(100) {
        store.transact(&all("0", (from..from + 100).collect())).await.expect("nothing is expected");
    }
    let fifths: Vec<_> = (1..20).map(|round| all(&round.to_string(), (0..500).step_by(5).collect())).collect();
    let writing = {
        let store = store.clone();
        tokio::spawn(async move {
            for transaction in fifths {
                store.transact(&transaction).await.expect("nothing is expected");
            }
        })
    };
    let mut last = String::new();
    while last != "19" {
        let done = writing.is_finished();
        let found = below(store, "many").await;
        assert_eq!(found.len(), 500);
        last.clone_from(&found[0].1);
        for (at, (_, value)) in found.iter().enumerate() {
            assert_eq!(value, if at % 5 == 0 { &last } else { "0" }, "they are of one moment");
        }
        assert!(last == "19" || !done, "what was done is read");
    }
    writing.await.expect("it went well");
}

async fn limits_are_kept(store: &Tried) {
    let longest = vec![b'x'; VALUE_BYTES];
    let large = Transaction::new().put(key("limits/a"), longest.clone());
    store.transact(&large).await.expect("it is as long as it may be");
    let too_large = Transaction::new().put(key("limits/b"), [&longest[..], b"x"].concat());
    assert!(matches!(store.transact(&too_large).await, Err(StoreError::Refused { .. })));
    let many = |count| (0..count).fold(Transaction::new(), |all, at| all.put(key(&format!("limits/many/{at}")), "x"));
    store.transact(&many(store::MOST_WRITES)).await.expect("they are as many as there may be");
    assert!(matches!(store.transact(&many(store::MOST_WRITES + 1)).await, Err(StoreError::Refused { .. })));
    assert_eq!(below(store, "limits/many").await.len(), store::MOST_WRITES);
}

async fn changes_are_hinted_at(store: &Tried) {
    let mut hints = store.watch(&Keys::Under(key("hinted")));
    for round in 0..3 {
        store.transact(&put("hinted/a", &round.to_string())).await.expect("nothing is expected");
        // A hint may be of something else; but one comes after each change.
        loop {
            tokio::time::timeout(PATIENCE, hints.next()).await.expect("a hint comes");
            if below(store, "hinted").await == [("a".to_owned(), round.to_string())] {
                break;
            }
        }
    }
}

/// A writer at each of these, which are all one store, counts up one number; each count is there in the end.
pub(crate) async fn counting_together(stores: Vec<Tried>, each: u64) {
    let counters = stores.into_iter().enumerate().map(|(index, store)| {
        tokio::spawn(async move {
            let writer = Writer::new(store, key(&format!("writer/{index}")), index as u64);
            for _ in 0..each {
                tokio::time::timeout(PATIENCE, count_up(&writer)).await.expect("it is its turn in time");
            }
            writer
        })
    });
    let counters: Vec<_> = counters.collect();
    let count = counters.len() as u64;
    let mut store = None;
    for counter in counters {
        store = Some(counter.await.expect("it went well").store().clone());
    }
    let store = store.expect("somebody counted");
    assert_eq!(number(&store).await.0, count * each);
}

/// Adds one, whatever becomes of the answers on the way.
pub(crate) async fn count_up(writer: &Writer) {
    loop {
        let Ok((number, expect)) = try_number(writer.store()).await else { continue };
        let next = put("count", &(number + 1).to_string()).expect(key("count"), expect);
        match writer.transact(&next).await {
            Ok(_) => return,
            Err(StoreError::Conflict(_) | StoreError::Unreachable(_)) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    }
}

/// The number that is counted up.
pub(crate) async fn number(store: &Tried) -> (u64, Expect) {
    try_number(store).await.expect("it can be read")
}

async fn try_number(store: &Tried) -> Result<(u64, Expect), StoreError> {
    let snapshot = store.read(&[Keys::One(key("count"))]).await?;
    let text = snapshot.get(&key("count")).map(|entry| String::from_utf8_lossy(&entry.value).into_owned());
    Ok((text.map_or(0, |text| text.parse().expect("a number")), snapshot.expect(&key("count"))))
}
