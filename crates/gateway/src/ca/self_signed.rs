//! Certificates that vouch for nobody: TLS towards servers that ask for dialback instead.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use net::certificates::Certificates;
use rustls::sign::CertifiedKey;
use xmpp::domain::Domain;

use super::cache::Cache;
use super::{CaError, LEAF_LIFE, LEAVES_KEPT, Only, fresh, leaf_params, told, with_key};

/// Makes a self-signed certificate for each domain it is asked for: where there is no internal CA,
/// an internal server that demands TLS still gets it, and verifies by dialback.
pub struct SelfSigned {
    cache: Mutex<Cache>,
}

impl SelfSigned {
    /// Nothing made yet.
    pub fn new() -> SelfSigned {
        SelfSigned { cache: Mutex::new(Cache::new(LEAVES_KEPT)) }
    }

    /// These certificates, only for what `allowed` says yes to: the domains that policy knows.
    pub fn only(self, allowed: impl Fn(&Domain) -> bool + Send + Sync + 'static) -> impl Certificates {
        Only { certificates: self, allowed }
    }

    fn leaf_at(&self, domain: &Domain, now: SystemTime) -> Result<Arc<CertifiedKey>, CaError> {
        let cache = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = cache().fresh(domain, now) {
            return Ok(kept);
        }
        let end = now + LEAF_LIFE;
        let params = leaf_params(domain, now, end)?;
        let leaf = Arc::new(with_key(domain, |key| params.self_signed(key), &[])?);
        cache().keep(domain, leaf.clone(), fresh(now, end));
        Ok(leaf)
    }
}

impl Certificates for SelfSigned {
    fn certificate(&self, domain: &Domain) -> Option<Arc<CertifiedKey>> {
        told(domain, self.leaf_at(domain, SystemTime::now()))
    }
}

impl Default for SelfSigned {
    fn default() -> SelfSigned {
        SelfSigned::new()
    }
}

impl std::fmt::Debug for SelfSigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SelfSigned")
    }
}
