//! Why a store didn't do something, by what it means for the caller.

use crate::key::Key;

/// Why a store didn't do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was there first. Nothing was done; read again and decide anew.
    #[error("{0} isn't what it was: somebody else changed it meanwhile")]
    Conflict(Key),
    /// The store won't ever do this as it is. Nothing was done.
    #[error("{what}; {fix}")]
    Refused {
        /// What it won't do, and why.
        what: String,
        /// What to do.
        fix: String,
    },
    /// The store couldn't be reached, or has no majority. Nothing was done; try again.
    #[error("the store can't be reached: {0}")]
    Unreachable(String),
    /// The answer to a transaction was lost: it may have been done, or be done yet.
    #[error("it isn't known whether the store did it: {0}")]
    Unknown(String),
    /// What lies there isn't what a store of fedge's writes.
    #[error("{what}; {fix}")]
    Damaged {
        /// What was found.
        what: String,
        /// What to do.
        fix: String,
    },
}
