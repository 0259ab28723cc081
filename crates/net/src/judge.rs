//! The certificate rule: does this peer's chain lead to a root of ours, and does it speak for this domain, now?

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{
    EndEntityCert, ExpirationPolicy, KeyUsage, RevocationCheckDepth, RevocationOptions, RevocationOptionsBuilder,
    UnknownStatusPolicy,
};
use xmpp::domain::Domain;
use xmpp::identity::speaks_for;

use crate::certificates::{Fingerprint, Leaf};
use crate::crypto;

mod fault;
#[cfg(test)]
mod tests;
mod trust;

pub use fault::CertificateFault;
use trust::Trust;
pub use trust::{Roots, TrustFault};

/// No honest chain is longer, and each certificate costs signatures to check.
const CHAIN_CERTIFICATES: usize = 10;
/// No honest chain is bigger.
const CHAIN_BYTES: usize = 64 * 1024;

/// Judges peers' certificates. TLS accepts every chain; what it is worth is decided here, once the
/// peer has said which domain it speaks for, and again for each further domain.
pub struct Judge {
    roots: Roots,
    crls: Vec<PathBuf>,
    trust: ArcSwap<Trust>,
    read: Mutex<Fingerprint>,
}

impl Judge {
    /// A judge who trusts these roots, and refuses what these revocation lists (PEM or DER) name.
    ///
    /// Certificates of an issuer without a list among `crls` count as not revoked. A list past its
    /// next update still counts for what it names; [`Judge::stale`] tells of it.
    ///
    /// # Errors
    /// When a file can't be read or holds nothing usable, or there are no system roots.
    pub fn new(roots: Roots, crls: Vec<PathBuf>) -> Result<Judge, TrustFault> {
        let fingerprint = fingerprint(&roots, &crls);
        let trust = Trust::read(&roots, &crls)?;
        Ok(Judge { roots, crls, trust: ArcSwap::from_pointee(trust), read: Mutex::new(fingerprint) })
    }

    /// Reads roots and revocation lists again. Streams already judged aren't judged again.
    ///
    /// # Errors
    /// As [`Judge::new`]; what was trusted and revoked before then stays as it was.
    pub fn reload(&self) -> Result<(), TrustFault> {
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = fingerprint(&self.roots, &self.crls);
        self.trust.store(Arc::new(Trust::read(&self.roots, &self.crls)?));
        Ok(())
    }

    /// Whether the file of roots or a revocation list changed since they were last read.
    pub fn changed(&self) -> bool {
        fingerprint(&self.roots, &self.crls) != *self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The revocation lists that should have been replaced by now, and since when.
    pub fn stale(&self, now: SystemTime) -> Vec<(PathBuf, SystemTime)> {
        self.trust.load().stale(now)
    }

    /// Whether `chain`, leaf first, leads to a root and its leaf speaks for `domain` (RFC 6120
    /// §13.7). Usage as a server or as a client will do: public CAs no longer issue the latter,
    /// and a federating server is both. Common names never count.
    ///
    /// # Errors
    /// Why not, in a sentence.
    pub fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        domain: &Domain,
        now: SystemTime,
    ) -> Result<(), CertificateFault> {
        let (leaf_der, intermediates) = chain.split_first().ok_or(CertificateFault::None)?;
        let size: usize = chain.iter().map(|certificate| certificate.len()).sum();
        if chain.len() > CHAIN_CERTIFICATES || size > CHAIN_BYTES {
            return Err(CertificateFault::TooBig { certificates: chain.len(), bytes: size });
        }
        let leaf = Leaf::parse(leaf_der).map_err(|malformed| CertificateFault::Malformed(malformed.0))?;
        let trust = self.trust.load();
        if trust.is_pinned(leaf_der) {
            fault::check_dates(&leaf, now)?;
        } else {
            verify(&trust, leaf_der, intermediates, now).map_err(|error| fault::explain(&error, &leaf))?;
        }
        if speaks_for(&leaf.names, domain) { Ok(()) } else { Err(CertificateFault::other_names(domain, &leaf.names)) }
    }
}

impl std::fmt::Debug for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Judge({:?}, {} revocation lists)", self.roots, self.crls.len())
    }
}

fn verify(
    trust: &Trust,
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    now: SystemTime,
) -> Result<(), webpki::Error> {
    let leaf = EndEntityCert::try_from(leaf)?;
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let provider = crypto::provider();
    let as_a = |usage: KeyUsage| {
        leaf.verify_for_usage(
            provider.signature_verification_algorithms.all,
            &trust.anchors,
            intermediates,
            UnixTime::since_unix_epoch(since_1970),
            usage,
            revocation(&trust.crls()),
            None,
        )
        .map(|_| ())
    };
    match as_a(KeyUsage::server_auth()) {
        // Other faults can hide a usage that doesn't fit, where there are several paths to a root.
        Err(as_server) => as_a(KeyUsage::client_auth()).map_err(|as_client| match as_server {
            webpki::Error::RequiredEkuNotFoundContext(_) => as_client,
            other => other,
        }),
        fine => fine,
    }
}

fn revocation<'a>(crls: &'a [&'a webpki::CertRevocationList<'a>]) -> Option<RevocationOptions<'a>> {
    let options = RevocationOptionsBuilder::new(crls).ok()?;
    Some(
        options
            .with_depth(RevocationCheckDepth::Chain)
            .with_status_policy(UnknownStatusPolicy::Allow)
            .with_expiration_policy(ExpirationPolicy::Ignore)
            .build(),
    )
}

fn fingerprint(roots: &Roots, crls: &[PathBuf]) -> Fingerprint {
    Fingerprint::take(roots.file().into_iter().chain(crls.iter().map(PathBuf::as_path)).map(PathBuf::from))
}
