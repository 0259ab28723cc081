//! The trunk's own CA, by which gateways and edge servers know each other; each in its role only.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
/// Members' clocks may be this much behind ours.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);
const CA: &str = "ca.crt";
const CA_KEY: &str = "ca.key";

/// What a member of the trunk may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Accept trunks.
    Edge,
    /// Dial them.
    Gateway,
}

/// Why a CA or a member's files can't be made.
#[derive(Debug, thiserror::Error)]
pub enum TrunkCaError {
    /// There is something already.
    #[error("{}: it is there already and is not overwritten; name another folder or member", .0.display())]
    AlreadyThere(PathBuf),
    /// A file can't be read or written.
    #[error("{}: {error}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The CA's files are damaged, or a name can't stand in a certificate.
    #[error("{0}; `fedge trunk init` makes a CA, and a member's name is a host name")]
    Make(#[from] rcgen::Error),
}

/// Makes a CA in `folder`; gives the certificate's path, which every member gets.
///
/// # Errors
/// When there is one, or a file can't be written.
pub fn init(folder: &Path) -> Result<PathBuf, TrunkCaError> {
    let (certificate, key) = (folder.join(CA), folder.join(CA_KEY));
    for file in [&certificate, &key] {
        refuse_existing(file)?;
    }
    let mut params = params("fedge trunk", 20 * YEAR);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let secret = KeyPair::generate()?;
    let made = params.self_signed(&secret)?;
    let made_folder = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made_folder.map_err(|error| TrunkCaError::Io { file: folder.to_owned(), error })?;
    write(&key, &secret.serialize_pem(), 0o600)?;
    write(&certificate, &made.pem(), 0o644)?;
    Ok(certificate)
}

/// Makes a member's certificate and key beside the CA; gives their paths.
///
/// # Errors
/// When the CA can't be read, the member has files already, or they can't be written.
pub fn member(folder: &Path, name: &str, role: Role) -> Result<[PathBuf; 2], TrunkCaError> {
    let (file, key_file) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
    for file in [&file, &key_file] {
        refuse_existing(file)?;
    }
    let read = |name: &str| {
        let file = folder.join(name);
        fs::read_to_string(&file).map_err(|error| TrunkCaError::Io { file, error })
    };
    let issuer = Issuer::from_ca_cert_pem(&read(CA)?, KeyPair::from_pem(&read(CA_KEY)?)?)?;
    let mut params = params(name, 5 * YEAR);
    params.subject_alt_names = vec![rcgen::SanType::DnsName(name.to_owned().try_into()?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match role {
        Role::Edge => ExtendedKeyUsagePurpose::ServerAuth,
        Role::Gateway => ExtendedKeyUsagePurpose::ClientAuth,
    }];
    params.use_authority_key_identifier_extension = true;
    let secret = KeyPair::generate()?;
    let made = params.signed_by(&secret, &issuer)?;
    write(&key_file, &secret.serialize_pem(), 0o600)?;
    write(&file, &made.pem(), 0o644)?;
    Ok([file, key_file])
}

fn params(name: &str, life: Duration) -> CertificateParams {
    let now = SystemTime::now();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + life).into();
    params
}

fn refuse_existing(file: &Path) -> Result<(), TrunkCaError> {
    if fs::symlink_metadata(file).is_ok() { Err(TrunkCaError::AlreadyThere(file.to_owned())) } else { Ok(()) }
}

fn write(file: &Path, text: &str, mode: u32) -> Result<(), TrunkCaError> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
    opened
        .and_then(|mut opened| opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all()))
        .map_err(|error| TrunkCaError::Io { file: file.to_owned(), error })
}
