//! The internal face made ready: certificates for partners' domains, minted or merely self-signed.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use daemon::desk::Certificate;
use daemon::parts::{Parts, PartsError, Shared};
use daemon::settings::FaceConfig;
use net::certificates::{Certificates, utc};
use net::face::{self, FaceState};
use net::holder::Returns;
use net::tls::Tls;
use topology::face::Face;
use topology::policy::Policy;
use xmpp::dialback::Secrets;
use xmpp::domain::Domain;

use crate::ca::{CaError, InternalCa, SelfSigned};

/// A CA that expires within this time is worth a word.
const SOON: Duration = Duration::from_secs(30 * 24 * 3600);

/// What a file of the internal face is at fault with.
#[derive(Debug, thiserror::Error)]
pub enum InsideError {
    /// The internal CA.
    #[error("{0}")]
    Ca(#[from] CaError),
    /// Roots, revocation lists, secrets, DNS.
    #[error("{0}")]
    Parts(#[from] PartsError),
}

/// What the internal face reads from files.
#[derive(Clone)]
pub struct Inside {
    parts: Parts,
    ca: Option<Arc<InternalCa>>,
}

impl Inside {
    /// Reads them.
    ///
    /// # Errors
    /// When one can't be used.
    pub fn read(config: &FaceConfig, ca: Option<&Path>) -> Result<Inside, InsideError> {
        let ca = ca.map(InternalCa::load).transpose()?.map(Arc::new);
        Ok(Inside { parts: Parts::read(config)?, ca })
    }

    /// The face itself, and what goes back to the senders on it.
    ///
    /// # Errors
    /// When DNS can't be asked at all.
    pub fn face(
        &self,
        config: &FaceConfig,
        settings: &face::Settings,
        shared: &Shared,
    ) -> Result<(Arc<FaceState>, Returns), PartsError> {
        let policy = shared.policy.clone();
        let speaking = speaking(self.ca.clone(), move |domain| policy.load().partner(domain).is_ok());
        self.parts.face(Face::Internal, config, settings, shared, Tls::new(speaking))
    }

    /// Takes over what was read anew.
    ///
    /// # Errors
    /// When the CA's files can't be used; then they stay as they were.
    pub fn replace(&self, fresh: &Inside) -> Result<(), CaError> {
        if let Some(ca) = &self.ca {
            ca.reload()?;
        }
        self.parts.replace(&fresh.parts);
        Ok(())
    }

    /// Makes dialback keys of these from now on.
    pub fn make_keys_of(&self, secrets: Secrets) {
        self.parts.make_keys_of(secrets);
    }

    /// Reads roots and revocation lists again if their files changed.
    pub fn look(&self) {
        self.parts.look();
    }

    /// The certificate that all those we show are made by, if there is one.
    pub fn certificate(&self) -> Option<Certificate> {
        let ca = self.ca.as_ref()?;
        Some(Certificate { used_for: "internal", name: "internal CA".to_owned(), not_after: ca.expires() })
    }

    /// What somebody should look at, in sentences.
    pub fn concerns(&self, policy: &Policy, now: SystemTime) -> Vec<String> {
        let mut concerns = self.parts.concerns(now);
        let Some(ca) = &self.ca else { return concerns };
        if ca.expires() < now + SOON {
            concerns.push(format!("the internal CA expires on {}; renew it with `fedge ca renew`", utc(ca.expires())));
        }
        let locals: Vec<Domain> = policy.locals().iter().map(|local| local.pattern.domain().clone()).collect();
        let unguarded = ca.unguarded(&locals).iter().map(ToString::to_string).collect::<Vec<_>>();
        if !unguarded.is_empty() {
            let domains = unguarded.join(", ");
            concerns.push(format!("the internal CA isn't barred from {domains}; renew it with `fedge ca renew`"));
        }
        if ca.root_key_is_online() {
            concerns.push("the internal CA's root key lies on this machine; take it offline".to_owned());
        }
        concerns
    }
}

/// The certificates to show internal servers: minted by the internal CA, or merely self-signed
/// where there is none and servers verify by dialback; only for the domains that policy `allows`.
fn speaking(
    ca: Option<Arc<InternalCa>>,
    allows: impl Fn(&Domain) -> bool + Send + Sync + 'static,
) -> Arc<dyn Certificates> {
    match ca {
        Some(ca) => Arc::new(ca.only(allows)),
        None => Arc::new(SelfSigned::new().only(allows)),
    }
}
