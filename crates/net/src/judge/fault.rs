//! Why a certificate is not good enough, in sentences for the person who must find out.

use std::time::{Duration, SystemTime};

use rustls_pki_types::UnixTime;
use xmpp::domain::Domain;
use xmpp::identity::Names;

use crate::certificates::{Leaf, utc};

/// How many names of a foreign certificate a sentence lists.
const NAMES_SHOWN: usize = 5;

/// Why a peer's certificate does not prove who it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// The peer showed none.
    #[error("the peer showed no certificate")]
    None,
    /// Past its end, or an issuer's is.
    #[error("the certificate, or an issuer's, expired on {}", utc(*.0))]
    Expired(SystemTime),
    /// Before its start, or an issuer's is.
    #[error("the certificate, or an issuer's, is not valid before {}; is a clock wrong?", utc(*.0))]
    NotYetValid(SystemTime),
    /// No path to a trusted root.
    #[error("no trusted CA issued the certificate, or the peer left out the intermediate certificates")]
    UnknownIssuer,
    /// It vouches for itself.
    #[error("the certificate is self-signed")]
    SelfSigned,
    /// A revocation list names it.
    #[error("the certificate, or an issuer's, has been revoked")]
    Revoked,
    /// It is in order, but another domain's.
    #[error("the certificate is not for {domain}: it speaks for {}", listed(names, *more))]
    OtherNames {
        /// The domain that it should speak for.
        domain: Domain,
        /// The first of its names, made fit for a log.
        names: Vec<String>,
        /// How many more there are.
        more: usize,
    },
    /// It is for neither servers nor clients.
    #[error("the certificate is for neither servers nor clients: its extended key usage says something else")]
    WrongUsage,
    /// An issuer may not issue such certificates.
    #[error("an issuer of the certificate may not issue it: {0}")]
    Constrained(&'static str),
    /// The encoding is broken, or not what X.509 version 3 allows.
    #[error("the certificate is malformed: {0}")]
    Malformed(String),
    /// More than is worth looking at.
    #[error(
        "the peer showed {certificates} certificates of {bytes} bytes; at most {} and {} are looked at",
        super::CHAIN_CERTIFICATES,
        super::CHAIN_BYTES
    )]
    TooBig {
        /// How many came.
        certificates: usize,
        /// Their size together.
        bytes: usize,
    },
    /// Anything else that a check of signatures, issuers or revocation lists may find.
    #[error("the certificate can't be trusted: {0}")]
    Untrusted(String),
}

impl CertificateFault {
    pub(super) fn other_names(domain: &Domain, names: &Names) -> CertificateFault {
        let shown: Vec<String> = names.all().take(NAMES_SHOWN).map(fit_for_a_log).collect();
        let more = names.all().count() - shown.len();
        CertificateFault::OtherNames { domain: domain.clone(), names: shown, more }
    }
}

/// The names come from whoever made the certificate: no control characters, no novels.
fn fit_for_a_log(name: &str) -> String {
    name.chars().take(253).flat_map(char::escape_debug).collect()
}

fn listed(names: &[String], more: usize) -> String {
    match (names, more) {
        ([], _) => "no domain at all".to_owned(),
        (names, 0) => names.join(", "),
        (names, more) => format!("{} and {more} more", names.join(", ")),
    }
}

pub(super) fn check_dates(leaf: &Leaf, now: SystemTime) -> Result<(), CertificateFault> {
    if now > leaf.not_after {
        return Err(CertificateFault::Expired(leaf.not_after));
    }
    if now < leaf.not_before {
        return Err(CertificateFault::NotYetValid(leaf.not_before));
    }
    Ok(())
}

/// Translates what the chain check found.
pub(super) fn explain(error: &webpki::Error, leaf: &Leaf) -> CertificateFault {
    use webpki::Error as E;
    match error {
        E::CertExpired { not_after, .. } => CertificateFault::Expired(at(*not_after)),
        E::CertNotValidYet { not_before, .. } => CertificateFault::NotYetValid(at(*not_before)),
        E::UnknownIssuer | E::CaUsedAsEndEntity if leaf.self_issued => CertificateFault::SelfSigned,
        E::UnknownIssuer => CertificateFault::UnknownIssuer,
        E::CertRevoked => CertificateFault::Revoked,
        E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => CertificateFault::WrongUsage,
        E::NameConstraintViolation => CertificateFault::Constrained("its name constraints exclude a name in it"),
        E::PathLenConstraintViolated => {
            CertificateFault::Constrained("there are too many issuers between root and leaf")
        }
        E::EndEntityUsedAsCa => CertificateFault::Constrained("it is no CA"),
        E::InvalidSignatureForPublicKey => {
            CertificateFault::Untrusted("its CA has the name of a trusted one, and another key".to_owned())
        }
        E::CaUsedAsEndEntity => CertificateFault::Untrusted("it is a CA's, not a server's".to_owned()),
        E::BadDer
        | E::BadDerTime
        | E::ExtensionValueInvalid
        | E::InvalidCertValidity
        | E::InvalidSerialNumber
        | E::MalformedDnsIdentifier
        | E::MalformedExtensions
        | E::MalformedNameConstraint
        | E::SignatureAlgorithmMismatch
        | E::TrailingData(_)
        | E::UnsupportedCertVersion
        | E::UnsupportedCriticalExtension => CertificateFault::Malformed(error.to_string()),
        other => CertificateFault::Untrusted(other.to_string()),
    }
}

fn at(time: UnixTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs())
}
