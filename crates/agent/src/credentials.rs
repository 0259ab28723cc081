//! Who a member is: its key, made on its machine and never leaving it, and the certificates that it was given.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use api::agent::{Credentials, Digest, Issued, Role, Validity};
use net::crypto;
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::authority::member_params;
use crate::certificate::{Alien, Shown};
use crate::disk::{self, sha256};

/// The member's key, in its state folder.
pub const KEY: &str = "member.key";
/// Its certificate for the agent, and the CA of controllers.
pub const AGENT: [&str; 2] = ["agent.crt", "agent-ca.crt"];
/// Its certificate for the trunk, and the trunk's CA.
pub const TRUNK: [&str; 2] = ["trunk.crt", "trunk-ca.crt"];

/// Enrolment takes as long as a person takes to copy a fingerprint.
const SELF_SIGNED_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Why a member's credentials can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file can't be read or written.
    #[error("{}: {error}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The key is damaged.
    #[error("{}: there is no private key in it ({error}); remove it and enrol this member anew", file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        error: rcgen::Error,
    },
    /// It was never enrolled.
    #[error("{}: it is not there, so this member was never enrolled; its command `enrol` does that", .0.display())]
    NotEnrolled(PathBuf),
    /// No certificate.
    #[error("{0} can't be used: there is no certificate in it; enrol this member anew")]
    Empty(&'static str),
    /// Not a certificate of ours.
    #[error("{0} can't be used: {1}; enrol this member anew")]
    Alien(&'static str, Alien),
    /// It is for another key, name or role.
    #[error("{what} is for {seen}, and this member is {expected}; enrol this member anew")]
    Another {
        /// Which certificate.
        what: &'static str,
        /// For whom it is.
        seen: String,
        /// Who we are.
        expected: String,
    },
    /// It is not of the CA that came with it, or out of its time.
    #[error(
        "{0} can't be used: {1}; look at the clocks of this machine and of the controller, or enrol this member anew"
    )]
    Untrusted(&'static str, rustls::Error),
    /// The name can't stand in a certificate.
    #[error("`{fqdn}` can't stand in a certificate ({error}); name the member by its FQDN")]
    Name {
        /// The name.
        fqdn: String,
        /// What is wrong with it.
        error: rcgen::Error,
    },
}

/// Who this member is, by name, role and key.
pub struct Own {
    /// Its FQDN.
    pub fqdn: String,
    /// Its role.
    pub role: Role,
    key: KeyPair,
}

// Without the key.
impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::fmt::Display for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the {} {} with the key {}", self.role, self.fqdn, self.fingerprint())
    }
}

impl Own {
    /// With a key that is only in memory, as a controller has it.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn draw(fqdn: &str, role: Role) -> Result<Own, rcgen::Error> {
        Ok(Own { fqdn: fqdn.to_owned(), role, key: KeyPair::generate()? })
    }

    /// With the key in the state folder, which is made if there is none.
    ///
    /// # Errors
    /// When it can't be read or written.
    pub fn open(folder: &Path, fqdn: &str, role: Role) -> Result<Own, CredentialsError> {
        let file = folder.join(KEY);
        let key = match fs::read_to_string(&file) {
            Ok(text) => KeyPair::from_pem(&text).map_err(|error| CredentialsError::Key { file, error })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = KeyPair::generate().map_err(|error| CredentialsError::Key { file: file.clone(), error })?;
                let written = disk::replace(&file, &[key.serialize_pem().as_bytes()], disk::SECRET);
                written.map_err(|error| CredentialsError::Io { file, error })?;
                key
            }
            Err(error) => return Err(CredentialsError::Io { file, error }),
        };
        Ok(Own { fqdn: fqdn.to_owned(), role, key })
    }

    /// The hash of the key (SHA-256 of the SubjectPublicKeyInfo), which people compare.
    pub fn fingerprint(&self) -> Digest {
        sha256(&self.key.subject_public_key_info())
    }

    /// A request for certificates: PKCS #10, PEM.
    ///
    /// # Errors
    /// When the name can't stand in one.
    pub fn signing_request(&self) -> Result<String, CredentialsError> {
        let request = CertificateParams::new(vec![self.fqdn.clone()])
            .and_then(|params| params.serialize_request(&self.key)?.pem());
        request.map_err(|error| CredentialsError::Name { fqdn: self.fqdn.clone(), error })
    }

    /// A certificate that only says who we are, for whoever compares the fingerprint.
    pub(crate) fn self_signed(&self) -> Result<CertificateDer<'static>, CredentialsError> {
        let made = member_params(&self.fqdn, self.role, SystemTime::now(), SELF_SIGNED_LIFE)
            .and_then(|params| params.self_signed(&self.key));
        let made = made.map_err(|error| CredentialsError::Name { fqdn: self.fqdn.clone(), error })?;
        Ok(made.der().clone())
    }

    pub(crate) fn secret(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.serialize_der().into())
    }

    /// Whether these credentials are ours, good now, and for what our role does with them.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self, credentials: &Credentials) -> Result<Validity, CredentialsError> {
        let validity =
            self.check_issued("the agent's certificate", &credentials.agent, self.role == Role::Controller)?;
        if let Some(trunk) = &credentials.trunk {
            self.check_issued("the trunk's certificate", trunk, self.role == Role::Gateway)?;
        }
        Ok(validity)
    }

    fn check_issued(&self, what: &'static str, issued: &Issued, dials: bool) -> Result<Validity, CredentialsError> {
        let (chain, roots) = (certificates(what, &issued.certificate)?, roots(&issued.ca)?);
        let shown = Shown::parse(&chain[0]).map_err(|error| CredentialsError::Alien(what, error))?;
        if (&shown.fqdn, shown.role, shown.fingerprint) != (&self.fqdn, self.role, self.fingerprint()) {
            let seen = format!("the {} {} with the key {}", shown.role, shown.fqdn, shown.fingerprint);
            return Err(CredentialsError::Another { what, seen, expected: self.to_string() });
        }
        let (now, provider) = (UnixTime::now(), crypto::provider());
        let unusable = |error: rustls::Error| CredentialsError::Untrusted(what, error);
        let built = |error: rustls::server::VerifierBuilderError| unusable(rustls::Error::General(error.to_string()));
        if dials {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().map_err(built)?;
            verifier.verify_client_cert(&chain[0], &chain[1..], now).map_err(unusable)?;
        } else {
            let name = ServerName::try_from(self.fqdn.as_str())
                .map_err(|error| unusable(rustls::Error::General(error.to_string())))?;
            let verifier =
                WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().map_err(built)?;
            verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], now).map_err(unusable)?;
        }
        Ok(shown.validity)
    }
}

pub(crate) fn certificates(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let found = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    found.ok().filter(|found| !found.is_empty()).ok_or(CredentialsError::Empty(what))
}

pub(crate) fn roots(pem: &str) -> Result<RootCertStore, CredentialsError> {
    let mut roots = RootCertStore::empty();
    for root in certificates("the CA's certificate", pem)? {
        roots.add(root).map_err(|error| CredentialsError::Untrusted("the CA's certificate", error))?;
    }
    Ok(roots)
}

/// Puts credentials into the state folder. The trunk's files are those that `[trunk]` would name.
///
/// # Errors
/// When they can't be written.
pub fn install(folder: &Path, credentials: &Credentials) -> Result<(), CredentialsError> {
    let trunk = credentials.trunk.iter().map(|trunk| (TRUNK, trunk));
    for ([certificate, ca], issued) in trunk.chain([(AGENT, &credentials.agent)]) {
        // The CA first: with the new one, an old certificate still is what it was.
        for (name, text) in [(ca, &issued.ca), (certificate, &issued.certificate)] {
            let file = folder.join(name);
            let written = disk::replace(&file, &[text.as_bytes()], disk::PUBLIC);
            written.map_err(|error| CredentialsError::Io { file, error })?;
        }
    }
    Ok(())
}

/// Reads the agent's part of what was installed.
///
/// # Errors
/// When it can't be read, or nothing was installed.
pub fn installed(folder: &Path) -> Result<Issued, CredentialsError> {
    let read = |name| {
        let file = folder.join(name);
        fs::read_to_string(&file).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => CredentialsError::NotEnrolled(file),
            _ => CredentialsError::Io { file, error },
        })
    };
    let [certificate, ca] = AGENT;
    Ok(Issued { certificate: read(certificate)?, ca: read(ca)? })
}
