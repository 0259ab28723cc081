//! What can go wrong with the internal CA, and what to do about it.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use net::certificates::utc;
use xmpp::domain::Domain;

/// Why a CA can't be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A CA is there already.
    #[error(
        "{}: there is a CA already; internal servers may trust it, so it is never overwritten. \
         Renew its intermediate, or name another folder", file.display()
    )]
    AlreadyThere {
        /// The file that was found.
        file: PathBuf,
    },
    /// Nothing to protect was named.
    #[error("no local domain was named; they are what the CA must never speak for, so name them all")]
    NoLocalDomain,
    /// An allow-list without a single domain.
    #[error("the list of partners is empty; name at least one, or leave the list out to allow all but local domains")]
    NoPartner,
    /// A file can't be read.
    #[error("{}: it can't be read ({error}); `fedge ca init` makes it, and the user that fedge runs as must be able to read it", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file can't be written.
    #[error("{}: it can't be written ({error})", file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {what}; restore it, or make a new CA in an empty folder", file.display())]
    Broken {
        /// The file.
        file: PathBuf,
        /// What was found.
        what: String,
    },
    /// The CA's time is over.
    #[error("{}: it expired on {}; renew it with the root's key", file.display(), utc(*at))]
    Expired {
        /// The file.
        file: PathBuf,
        /// When.
        at: SystemTime,
    },
    /// A local domain, or one below.
    #[error("the internal CA may not speak for {0}, which is a local domain or below one; use dialback for it")]
    Excluded(Domain),
    /// Not on the list that the intermediate was made with.
    #[error("the internal CA may not speak for {0}, which is not among its partners; renew its intermediate with it")]
    NotPermitted(Domain),
    /// The provider or the encoder failed.
    #[error("no certificate could be made for {domain}: {why}")]
    Mint {
        /// For whom.
        domain: Domain,
        /// What they said.
        why: String,
    },
    /// The provider or the encoder failed.
    #[error("the CA could not be made: {0}")]
    Make(String),
}
