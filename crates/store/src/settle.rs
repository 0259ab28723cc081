//! Transactions whose outcome is always found out, also where the answer was lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::error::StoreError;
use crate::key::{Key, Keys};
use crate::transaction::{Expect, Transaction};
use crate::{Revision, Store};

/// Between two attempts to find out.
const PAUSE: Duration = Duration::from_millis(200);
/// How many of them.
const ATTEMPTS: u32 = 50;

/// Somebody who writes into a store, one transaction after the other.
///
/// Each of its transactions also puts a mark of its own at one key, and expects there the mark that was seen last. So
/// after a lost answer the mark says whether the transaction was done. Where it wasn't, another mark is put: what was
/// still under way finds that one and can't be done any more.
#[derive(Debug)]
pub struct Writer {
    store: Arc<dyn Store>,
    place: Key,
    /// What makes this writer's marks different from those of others that had its name before.
    life: u64,
    count: AtomicU64,
    turn: Mutex<()>,
}

impl Writer {
    /// A writer whose marks lie at `place`, which nobody else uses at the same time; `life` is a random number, another
    /// one each time.
    pub fn new(store: Arc<dyn Store>, place: Key, life: u64) -> Writer {
        Writer { store, place, life, count: AtomicU64::new(0), turn: Mutex::new(()) }
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Does the transaction, or finds out that it wasn't and won't be done.
    ///
    /// # Errors
    /// As [`Store::transact`]; [`StoreError::Unknown`] only where the store couldn't be reached for so long afterwards that
    /// it can't be told.
    pub async fn transact(&self, transaction: &Transaction) -> Result<Revision, StoreError> {
        let _turn = self.turn.lock().await;
        let before = self.look().await?;
        let mark = self.mark();
        let marked = transaction.clone().expect(self.place.clone(), before.0).put(self.place.clone(), mark.clone());
        match self.store.transact(&marked).await {
            Err(StoreError::Unknown(why)) => self.find_out(before, &mark, why).await,
            // Only a stranger with our name changes our mark.
            settled => settled,
        }
    }

    async fn find_out(&self, before: (Expect, Vec<u8>), mark: &[u8], why: String) -> Result<Revision, StoreError> {
        for _ in 0..ATTEMPTS {
            match self.fence(&before, mark).await {
                Ok(Some(done)) => return Ok(done),
                Ok(None) => return Err(StoreError::Unreachable(why)),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        Err(StoreError::Unknown(why))
    }

    /// The revision with which it was done, or that it wasn't and won't be.
    async fn fence(&self, before: &(Expect, Vec<u8>), mark: &[u8]) -> Result<Option<Revision>, StoreError> {
        let (found, value) = self.look().await?;
        if let (Expect::Unchanged(revision), true) = (found, value == mark) {
            return Ok(Some(revision));
        }
        // Another mark of ours than before is the fence, of an attempt whose answer was lost as well.
        if found != before.0 {
            return Ok(None);
        }
        let fence = Transaction::new().expect(self.place.clone(), found).put(self.place.clone(), self.mark());
        self.store.transact(&fence).await.map(|_| None)
    }

    async fn look(&self) -> Result<(Expect, Vec<u8>), StoreError> {
        let snapshot = self.store.read(&[Keys::One(self.place.clone())]).await?;
        let value = snapshot.get(&self.place).map(|entry| entry.value.clone()).unwrap_or_default();
        Ok((snapshot.expect(&self.place), value))
    }

    fn mark(&self) -> Vec<u8> {
        format!("{:016x} {}", self.life, self.count.fetch_add(1, Ordering::Relaxed)).into_bytes()
    }
}

#[cfg(test)]
mod tests;
