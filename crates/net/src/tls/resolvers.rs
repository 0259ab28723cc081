//! How rustls gets at the certificate that was picked for one handshake.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Accepted: what was picked, or nothing, and then rustls ends the handshake with an alert.
pub(super) struct Picked(pub(super) Option<Arc<CertifiedKey>>);

impl ResolvesServerCert for Picked {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }
}

/// Dialed: what we would show, and whether the peer made us show it.
pub(super) struct IfAsked {
    certificate: Option<Arc<CertifiedKey>>,
    shown: AtomicBool,
}

impl IfAsked {
    pub(super) fn new(certificate: Option<Arc<CertifiedKey>>) -> IfAsked {
        IfAsked { certificate, shown: AtomicBool::new(false) }
    }

    /// Whether the peer asked for our certificate, we had one, and it can check our kind of key.
    pub(super) fn shown(&self) -> bool {
        self.shown.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for IfAsked {
    /// The list of CAs that the peer would like is not looked at: servers send lists that don't hold
    /// the CA they accept us by, and a certificate too many does no harm.
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let certificate = self.certificate.as_ref().filter(|own| own.key.choose_scheme(schemes).is_some())?;
        self.shown.store(true, Ordering::Relaxed);
        Some(certificate.clone())
    }

    fn has_certs(&self) -> bool {
        self.certificate.is_some()
    }
}

impl fmt::Debug for Picked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picked({})", if self.0.is_some() { "one" } else { "none" })
    }
}

impl fmt::Debug for IfAsked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IfAsked({})", if self.certificate.is_some() { "one" } else { "none" })
    }
}
