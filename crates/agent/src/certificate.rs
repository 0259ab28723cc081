//! What a certificate of the control plane says: who, in which role, for how long, and by which key.

use api::agent::{Digest, Role, Validity};
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use crate::disk::sha256;

/// What is read in it. Nothing here says that it can be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The member's FQDN: the one DNS name in it.
    pub fqdn: String,
    /// Its role: the one organizational unit in its subject.
    pub role: Role,
    /// For how long it is good.
    pub validity: Validity,
    /// The hash of its key (SHA-256 of the SubjectPublicKeyInfo), which people compare.
    pub fingerprint: Digest,
}

/// Something that is no certificate of a control plane.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is no certificate of a control plane ({0})")]
pub struct Alien(String);

impl Shown {
    /// Reads a member's certificate.
    ///
    /// # Errors
    /// When it isn't one that a control plane makes.
    pub fn parse(der: &CertificateDer<'_>) -> Result<Shown, Alien> {
        let certificate = parsed(der)?;
        let alternative = certificate.subject_alternative_name().map_err(|error| Alien(error.to_string()))?;
        let names = alternative.iter().flat_map(|extension| &extension.value.general_names);
        let names: Vec<&str> = names
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(*name),
                _ => None,
            })
            .collect();
        let [fqdn] = names[..] else { return Err(Alien(format!("{} DNS names are in it, and not one", names.len()))) };
        let units: Vec<&str> =
            certificate.subject().iter_organizational_unit().filter_map(|unit| unit.as_str().ok()).collect();
        let role = Role::ALL.into_iter().find(|role| units == [role.word()]);
        let role = role.ok_or_else(|| Alien(format!("its organizational units are {units:?}, and not one role")))?;
        let seconds = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).unwrap_or(0);
        let validity = certificate.validity();
        Ok(Shown {
            fqdn: fqdn.to_owned(),
            role,
            validity: Validity { not_before: seconds(validity.not_before), not_after: seconds(validity.not_after) },
            fingerprint: sha256(certificate.public_key().raw),
        })
    }
}

/// The hash of the key in any certificate.
///
/// # Errors
/// When it is none.
pub fn fingerprint(der: &CertificateDer<'_>) -> Result<Digest, Alien> {
    Ok(sha256(parsed(der)?.public_key().raw))
}

fn parsed<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Alien> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok((rest, _)) => Err(Alien(format!("{} bytes follow it", rest.len()))),
        Err(error) => Err(Alien(error.to_string())),
    }
}
