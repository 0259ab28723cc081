//! The control plane's CAs: one by which controllers and agents know each other, one for the trunk; each member in its role.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use api::agent::{Credentials, Digest, Issued, Role};
use aws_lc_rs::rand;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::certificate::fingerprint;
use crate::disk;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Members are told its fingerprint once, by hand; that should last.
const CA_LIFE: Duration = DAY.saturating_mul(20 * 365);
/// They are renewed by themselves when two thirds are over: a control plane may be away for a month.
const MEMBER_LIFE: Duration = DAY.saturating_mul(90);
/// Members' clocks may be this much behind ours.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);
/// A common name may be no longer (RFC 5280, ub-common-name).
const COMMON_NAME: usize = 64;

/// Why a CA can't be used, or a certificate not made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// There is something already.
    #[error("{}: it is there already and is not overwritten; name another folder", .0.display())]
    AlreadyThere(PathBuf),
    /// A file can't be read or written.
    #[error("{}: {error}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The CA's certificate or key is damaged, or a name can't stand in a certificate.
    #[error("the certificate can't be made ({0}); the CA's files must be whole, and the name an FQDN")]
    Make(#[from] rcgen::Error),
    /// What is to be the CA's certificate is none.
    #[error("the CA's certificate can't be read; restore it from the backup")]
    Certificate,
    /// A request that isn't signed with the key that was enrolled.
    #[error("the request is for the key {seen}, and {expected} is enrolled; enrol the member anew")]
    Key {
        /// In the request.
        seen: Digest,
        /// The enrolled one.
        expected: Digest,
    },
}

/// A CA with its key.
pub struct Authority {
    certificate: String,
    fingerprint: Digest,
    issuer: Issuer<'static, KeyPair>,
}

/// What a role may do between controllers and agents: controllers dial, all others accept.
fn at_agents(role: Role) -> ExtendedKeyUsagePurpose {
    match role {
        Role::Controller => ExtendedKeyUsagePurpose::ClientAuth,
        Role::Edge | Role::Gateway | Role::Dns | Role::Witness => ExtendedKeyUsagePurpose::ServerAuth,
    }
}

/// What a role may do on the trunk: gateways dial, edge servers accept, and others have no part in it.
fn on_the_trunk(role: Role) -> Option<ExtendedKeyUsagePurpose> {
    match role {
        Role::Gateway => Some(ExtendedKeyUsagePurpose::ClientAuth),
        Role::Edge => Some(ExtendedKeyUsagePurpose::ServerAuth),
        Role::Dns | Role::Witness | Role::Controller => None,
    }
}

impl Authority {
    fn make(name: &str) -> Result<(Authority, String), AuthorityError> {
        let mut params = params(name, SystemTime::now(), CA_LIFE);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        let (certificate, secret) = (params.self_signed(&key)?.pem(), key.serialize_pem());
        Ok((Authority::from_pem(certificate, &secret)?, secret))
    }

    fn from_pem(certificate: String, key: &str) -> Result<Authority, AuthorityError> {
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|_| AuthorityError::Certificate)?;
        let fingerprint = fingerprint(&der).map_err(|_| AuthorityError::Certificate)?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, KeyPair::from_pem(key)?)?;
        Ok(Authority { certificate, fingerprint, issuer })
    }

    /// Its certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The hash of its key, which a new member is told.
    pub fn fingerprint(&self) -> Digest {
        self.fingerprint
    }

    fn issue(
        &self,
        key: &impl PublicKeyData,
        fqdn: &str,
        role: Role,
        purpose: ExtendedKeyUsagePurpose,
        now: SystemTime,
    ) -> Result<Issued, AuthorityError> {
        let mut params = member_params(fqdn, role, now, MEMBER_LIFE)?;
        params.serial_number = Some(serial());
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        Ok(Issued { certificate: params.signed_by(key, &self.issuer)?.pem(), ca: self.certificate.clone() })
    }
}

/// What stands in the certificate of a controller's API, where members' have their role.
const API: &str = "api";

/// A certificate with its key, both PEM.
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// A member's certificate, but for its extended key usage. Nothing that the member asks for gets into it but its key.
pub(crate) fn member_params(
    fqdn: &str,
    role: Role,
    now: SystemTime,
    life: Duration,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = params(fqdn, now, life);
    params.distinguished_name.push(DnType::OrganizationalUnitName, role.word());
    params.subject_alt_names = vec![SanType::DnsName(fqdn.to_owned().try_into()?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    Ok(params)
}

/// By itself, it would be the key's hash, and so the same in each certificate of a member.
fn serial() -> SerialNumber {
    let mut bits = [0_u8; 16];
    rand::fill(&mut bits).expect("the system's source of randomness works; without it no TLS would either");
    bits[0] &= 0x7f;
    SerialNumber::from_slice(&bits)
}

fn params(name: &str, now: SystemTime, life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if name.len() <= COMMON_NAME {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + life).into();
    params
}

/// Both CAs of a control plane. Whoever has their keys is the control plane.
pub struct Authorities {
    /// By which controllers and agents know each other.
    pub agent: Authority,
    /// By which edge servers and gateways know each other.
    pub trunk: Authority,
}

const AGENT: &str = "agent-ca";
const TRUNK: &str = "trunk-ca";

impl Authorities {
    /// Makes both in `folder`, for the first controller; others get copies of the files.
    ///
    /// # Errors
    /// When there are some, or a file can't be written.
    pub fn make(folder: &Path) -> Result<Authorities, AuthorityError> {
        let failed = |file: &Path, error| AuthorityError::Io { file: file.to_owned(), error };
        for name in [AGENT, TRUNK] {
            for file in files(folder, name) {
                if fs::symlink_metadata(&file).is_ok() {
                    return Err(AuthorityError::AlreadyThere(file));
                }
            }
        }
        let (agent, trunk) = (Authority::make("fedge control plane")?, Authority::make("fedge trunk")?);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| failed(folder, error))?;
        for (name, (authority, key)) in [(AGENT, &agent), (TRUNK, &trunk)] {
            let [certificate_file, key_file] = files(folder, name);
            let contents = [(key_file, key, disk::SECRET), (certificate_file, &authority.certificate, disk::PUBLIC)];
            for (file, text, mode) in contents {
                disk::replace(&file, &[text.as_bytes()], mode).map_err(|error| failed(&file, error))?;
            }
        }
        Ok(Authorities { agent: agent.0, trunk: trunk.0 })
    }

    /// Reads both from `folder`.
    ///
    /// # Errors
    /// When a file can't be read, or is damaged.
    pub fn read(folder: &Path) -> Result<Authorities, AuthorityError> {
        let authority = |name| {
            let [certificate, key] = files(folder, name)
                .map(|file| fs::read_to_string(&file).map_err(|error| AuthorityError::Io { file, error }));
            Authority::from_pem(certificate?, &key?)
        };
        Ok(Authorities { agent: authority(AGENT)?, trunk: authority(TRUNK)? })
    }

    /// A key and a certificate for a controller's API, under that name and at those addresses: good for nothing but to be
    /// asked there.
    ///
    /// # Errors
    /// When the name can't stand in a certificate.
    pub fn api(&self, fqdn: &str, addresses: &[IpAddr]) -> Result<Identity, AuthorityError> {
        let mut params = params(fqdn, SystemTime::now(), MEMBER_LIFE);
        params.distinguished_name.push(DnType::OrganizationalUnitName, API);
        params.subject_alt_names = vec![SanType::DnsName(fqdn.to_owned().try_into()?)];
        params.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.serial_number = Some(serial());
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.agent.issuer)?.pem();
        Ok(Identity { certificate, key: key.serialize_pem() })
    }

    /// Answers a member's request with all certificates that its role needs. `enrolled` is the hash of the key that
    /// was compared when it was enrolled: no other gets a certificate in its name.
    ///
    /// # Errors
    /// When the request isn't signed with that key, or the name can't stand in a certificate.
    pub fn answer(
        &self,
        request: &str,
        fqdn: &str,
        role: Role,
        enrolled: Digest,
    ) -> Result<Credentials, AuthorityError> {
        self.answer_at(request, fqdn, role, enrolled, SystemTime::now())
    }

    pub(crate) fn answer_at(
        &self,
        request: &str,
        fqdn: &str,
        role: Role,
        enrolled: Digest,
        now: SystemTime,
    ) -> Result<Credentials, AuthorityError> {
        let key = CertificateSigningRequestParams::from_pem(request)?.public_key;
        let seen = disk::sha256(&key.subject_public_key_info());
        if seen != enrolled {
            return Err(AuthorityError::Key { seen, expected: enrolled });
        }
        let trunk = on_the_trunk(role).map(|purpose| self.trunk.issue(&key, fqdn, role, purpose, now));
        Ok(Credentials { agent: self.agent.issue(&key, fqdn, role, at_agents(role), now)?, trunk: trunk.transpose()? })
    }
}

fn files(folder: &Path, name: &str) -> [PathBuf; 2] {
    [folder.join(format!("{name}.crt")), folder.join(format!("{name}.key"))]
}
