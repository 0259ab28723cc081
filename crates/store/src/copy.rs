//! From one store to another: everything, and looked at afterwards.

use crate::key::Keys;
use crate::transaction::{Expect, MOST_BYTES, Transaction};
use crate::{Snapshot, Store, StoreError};

/// How much a copying transaction has at most, in bytes: several values, and never more than one may have.
const PART_BYTES: usize = MOST_BYTES / 2;
const PART_WRITES: usize = 50;

/// Copies everything, and gives how many keys there were. What is there already as it should be stays, so that a copy that
/// broke off can be made again; nobody may write into either store meanwhile.
///
/// # Errors
/// [`StoreError::Refused`] when something else is in the other store, or when it isn't the same afterwards; and what the
/// stores say.
pub async fn copy(from: &dyn Store, to: &dyn Store) -> Result<usize, StoreError> {
    let source = from.read(&[Keys::All]).await?;
    let there = to.read(&[Keys::All]).await?;
    let other =
        there.entries.iter().find(|(key, entry)| source.get(key).is_none_or(|wanted| wanted.value != entry.value));
    if let Some((key, _)) = other {
        return Err(StoreError::Refused {
            what: format!("there is something at {key} in {} that {} doesn't have so", to.name(), from.name()),
            fix: "copy into an empty store".to_owned(),
        });
    }
    let mut part = Transaction::new();
    let mut bytes = 0;
    for (key, entry) in source.entries.iter().filter(|(key, _)| there.get(key).is_none()) {
        if !part.writes.is_empty() && (bytes + entry.value.len() > PART_BYTES || part.writes.len() >= PART_WRITES) {
            to.transact(&std::mem::take(&mut part)).await?;
            bytes = 0;
        }
        bytes += entry.value.len();
        part = part.expect(key.clone(), Expect::Absent).put(key.clone(), entry.value.clone());
    }
    if !part.writes.is_empty() {
        to.transact(&part).await?;
    }
    let (source, copied) = (from.read(&[Keys::All]).await?, to.read(&[Keys::All]).await?);
    if values(&source).eq(values(&copied)) {
        return Ok(copied.entries.len());
    }
    Err(StoreError::Refused {
        what: format!("{} and {} are not the same after all", from.name(), to.name()),
        fix: "stop every fedge-control that uses one of them, and copy again".to_owned(),
    })
}

fn values(snapshot: &Snapshot) -> impl Iterator<Item = (&crate::Key, &Vec<u8>)> {
    snapshot.entries.iter().map(|(key, entry)| (key, &entry.value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, Memory};

    fn key(number: usize) -> Key {
        format!("k/{number:04}").parse().expect("a key")
    }

    async fn filled(count: usize, bytes: usize) -> Memory {
        let memory = Memory::new();
        for number in 0..count {
            let put = Transaction::new().put(key(number), vec![b'x'; bytes + number]);
            memory.transact(&put).await.expect("it is in memory");
        }
        memory
    }

    #[tokio::test]
    async fn everything_is_copied_and_once_more_is_nothing() {
        for (count, bytes) in [(0, 0), (1, 0), (333, 10), (5, 300_000)] {
            let (from, to) = (filled(count, bytes).await, Memory::new());
            assert_eq!(copy(&from, &to).await, Ok(count));
            assert_eq!(copy(&from, &to).await, Ok(count), "what broke off can be made again");
        }
    }

    #[tokio::test]
    async fn what_broke_off_goes_on_and_what_is_something_else_is_left_alone() {
        let (from, to) = (filled(100, 10).await, filled(30, 10).await);
        assert_eq!(copy(&from, &to).await, Ok(100));
        let other = filled(1, 11).await;
        assert!(matches!(copy(&from, &other).await, Err(StoreError::Refused { .. })));
        let more = filled(101, 10).await;
        assert!(matches!(copy(&from, &more).await, Err(StoreError::Refused { .. })));
    }
}
