//! Our own certificates: which one speaks for a domain, and the folder that they are kept in.

use std::sync::Arc;

use rustls::sign::CertifiedKey;
use xmpp::domain::Domain;

mod dane;
mod folder;
mod leaf;
mod pem;
mod shown;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use dane::fitting;
pub use folder::{Fault, Faults, Folder, Own};
pub(crate) use leaf::system_time;
pub use leaf::{Leaf, Malformed, utc};
pub(crate) use pem::{Fingerprint, read_bounded};
pub use shown::Shown;

/// Where certificates of ours come from: a folder of files, or a CA that mints them on demand.
pub trait Certificates: Send + Sync {
    /// The certificate to show as `domain`, with its chain and key; `None` if we have none.
    fn certificate(&self, domain: &Domain) -> Option<Arc<CertifiedKey>>;
}

/// No certificate of ours, for who proves nothing to anybody.
#[derive(Debug, Clone, Copy)]
pub struct NoCertificates;

impl Certificates for NoCertificates {
    fn certificate(&self, _domain: &Domain) -> Option<Arc<CertifiedKey>> {
        None
    }
}
