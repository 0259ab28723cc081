//! Transactions, and the limits that all stores keep alike.

use crate::Revision;
use crate::error::StoreError;
use crate::key::Key;

/// The longest value, in bytes.
pub const VALUE_BYTES: usize = 512 * 1024;
/// What a transaction may put in all, in bytes, keys included: below what etcd takes by default (1.5 MiB).
pub const MOST_BYTES: usize = 1024 * 1024;
/// Expectations, and writes, that a transaction may have: below what etcd takes by default (128).
pub const MOST_WRITES: usize = 100;

/// What a key must be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing lies there.
    Absent,
    /// What lies there was put by the transaction with this revision.
    Unchanged(Revision),
}

/// What is done to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// This is put there, whatever was there.
    Put(Vec<u8>),
    /// Nothing lies there any more.
    Delete,
}

/// What is done as a whole or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// What must be so.
    pub expected: Vec<(Key, Expect)>,
    /// What is done then; each key at most once.
    pub writes: Vec<(Key, Write)>,
}

impl Transaction {
    /// Does nothing yet.
    pub fn new() -> Transaction {
        Transaction::default()
    }

    /// Only if this key is like this.
    #[must_use]
    pub fn expect(mut self, key: Key, expect: Expect) -> Transaction {
        self.expected.push((key, expect));
        self
    }

    /// Puts something there.
    #[must_use]
    pub fn put(mut self, key: Key, value: impl Into<Vec<u8>>) -> Transaction {
        self.writes.push((key, Write::Put(value.into())));
        self
    }

    /// Takes away what is there, if anything is.
    #[must_use]
    pub fn delete(mut self, key: Key) -> Transaction {
        self.writes.push((key, Write::Delete));
        self
    }

    /// Whether it keeps the limits. Every store asks this before it does anything.
    ///
    /// # Errors
    /// [`StoreError::Refused`], with what is too much.
    pub fn check(&self) -> Result<(), StoreError> {
        let refused = |what: String, fix: &str| Err(StoreError::Refused { what, fix: fix.to_owned() });
        let count = self.expected.len().max(self.writes.len());
        if count > MOST_WRITES {
            return refused(
                format!("a transaction has {count} parts, and may have {MOST_WRITES}"),
                "cut it in several",
            );
        }
        if self.writes.is_empty() {
            return refused("a transaction writes nothing".to_owned(), "read instead");
        }
        let mut all = 0;
        for (index, (key, write)) in self.writes.iter().enumerate() {
            let bytes = if let Write::Put(value) = write { value.len() } else { 0 };
            if bytes > VALUE_BYTES {
                let what = format!("what is to lie at {key} has {bytes} bytes, and may have {VALUE_BYTES}");
                return refused(what, "cut it in several");
            }
            all += bytes + key.as_str().len();
            if self.writes[..index].iter().any(|(other, _)| other == key) {
                return refused(format!("a transaction writes {key} twice"), "write each key once");
            }
        }
        if all > MOST_BYTES {
            return refused(format!("a transaction has {all} bytes, and may have {MOST_BYTES}"), "cut it in several");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Key {
        format!("k/{number}").parse().expect("a key")
    }

    fn refusal(transaction: &Transaction) -> String {
        match transaction.check() {
            Err(StoreError::Refused { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn limits_are_kept_before_anything_is_done() {
        let many = |count| (0..count).fold(Transaction::new(), |all, number| all.put(key(number), "x"));
        assert_eq!(many(MOST_WRITES).check(), Ok(()));
        assert!(refusal(&many(MOST_WRITES + 1)).contains("101 parts"));
        assert!(refusal(&Transaction::new()).contains("writes nothing"));
        assert!(refusal(&many(1).put(key(0), "y")).contains("k/0 twice"));
        let large =
            |count, bytes| (0..count).fold(Transaction::new(), |all, number| all.put(key(number), vec![0; bytes]));
        assert_eq!(large(1, VALUE_BYTES).check(), Ok(()));
        assert!(refusal(&large(1, VALUE_BYTES + 1)).contains("may have 524288"));
        assert!(refusal(&large(2, VALUE_BYTES)).contains("may have 1048576"));
    }
}
