//! The internal face: speaks as partners towards our own servers.

use std::sync::Arc;

use net::certificates::Certificates;
use xmpp::domain::Domain;

use crate::ca::{InternalCa, SelfSigned};

pub mod ca;

/// The certificates to show internal servers: minted by the internal CA, or merely self-signed
/// where there is none and servers verify by dialback; only for the domains that policy `allows`.
pub fn speaking(
    ca: Option<Arc<InternalCa>>,
    allows: impl Fn(&Domain) -> bool + Send + Sync + 'static,
) -> Arc<dyn Certificates> {
    match ca {
        Some(ca) => Arc::new(ca.only(allows)),
        None => Arc::new(SelfSigned::new().only(allows)),
    }
}
