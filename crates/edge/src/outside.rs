//! The external face made ready: our own certificates, and what somebody should know of them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use daemon::desk::Certificate;
use daemon::parts::{Parts, PartsError, Shared};
use daemon::settings::FaceConfig;
use net::certificates::{Certificates as _, Folder, Own, utc};
use net::face::{self, FaceState};
use net::holder::Returns;
use net::tls::Tls;
use topology::face::Face;
use topology::policy::Policy;
use xmpp::dialback::Secrets;
use xmpp::domain::Domain;

/// A certificate that expires within this time is worth a word.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);
/// For so long a certificate must be good where the route is moved to.
const LASTING: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a file of the external face is at fault with.
#[derive(Debug, thiserror::Error)]
pub enum OutsideError {
    /// Our own certificates.
    #[error("{0}")]
    Certificates(#[from] net::certificates::Faults),
    /// Roots, revocation lists, secrets, DNS.
    #[error("{0}")]
    Parts(#[from] PartsError),
}

/// What the external face reads from files.
#[derive(Clone)]
pub struct Outside {
    parts: Parts,
    folder: Arc<Folder>,
}

impl Outside {
    /// Reads them.
    ///
    /// # Errors
    /// When one can't be used.
    pub fn read(config: &FaceConfig, certificates: &Path) -> Result<Outside, OutsideError> {
        Ok(Outside { parts: Parts::read(config)?, folder: Arc::new(Folder::open(certificates)?) })
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
        self.parts.face(Face::External, config, settings, shared, Tls::new(self.folder.clone()))
    }

    /// The certificates that we have.
    pub fn certificates(&self) -> Vec<Certificate> {
        let named = |own: Own| Certificate {
            used_for: "external",
            name: own.file.file_name().unwrap_or(own.file.as_os_str()).to_string_lossy().into_owned(),
            not_after: own.not_after,
        };
        self.folder.list().into_iter().map(named).collect()
    }

    /// Takes over what was read anew.
    ///
    /// # Errors
    /// When the certificates can't be used; then those of before stay.
    pub fn replace(&self, fresh: &Outside) -> Result<(), net::certificates::Faults> {
        self.folder.reload()?;
        self.parts.replace(&fresh.parts);
        Ok(())
    }

    /// Makes dialback keys of these from now on.
    pub fn make_keys_of(&self, secrets: Secrets) {
        self.parts.make_keys_of(secrets);
    }

    /// Reads certificates, roots and revocation lists again if their files changed.
    pub fn look(&self) {
        if self.folder.changed() {
            match self.folder.reload() {
                Ok(certificates) => tracing::info!(certificates, "certificates were read again"),
                Err(error) => tracing::error!(%error, "certificates can't be used; those of before stay"),
            }
        }
        self.parts.look();
    }

    /// Our own domains for which there is no certificate that is good for another week, and who has the route must have one.
    pub fn uncovered(&self, policy: &Policy, now: SystemTime) -> Vec<String> {
        let locals = policy.locals().iter().filter(|local| !local.pattern.is_wildcard());
        let domains = locals.map(|local| local.pattern.domain());
        let lasts = |domain: &Domain| self.folder.good_until(domain, now).is_some_and(|until| until > now + LASTING);
        domains.filter(|domain| !lasts(domain)).map(Domain::to_string).collect()
    }

    /// What somebody should look at, in sentences.
    pub fn concerns(&self, policy: &Policy, now: SystemTime) -> Vec<String> {
        let mut concerns = Vec::new();
        for local in policy.locals().iter().filter(|local| !local.pattern.is_wildcard()) {
            let domain = local.pattern.domain();
            if self.folder.certificate(domain).is_none() {
                concerns.push(format!(
                    "there is no certificate for {domain}; partners can't use TLS with it until there is one in the folder"
                ));
            }
        }
        for own in self.folder.list() {
            let file = own.file.display();
            if own.not_after < now {
                concerns.push(format!("{file}: the certificate expired on {}; renew it", utc(own.not_after)));
            } else if own.not_after < now + SOON {
                concerns.push(format!("{file}: the certificate expires on {}; renew it", utc(own.not_after)));
            } else if own.not_before > now {
                concerns.push(format!("{file}: the certificate is not valid before {}", utc(own.not_before)));
            }
        }
        concerns.extend(self.parts.concerns(now));
        concerns
    }
}
