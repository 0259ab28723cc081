//! Making root and intermediate, and laying them down: keys for nobody else's eyes, nothing overwritten.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use xmpp::domain::Domain;

use super::constraints::Constraints;
use super::{CLOCK_SKEW, CaError, INTERMEDIATE, INTERMEDIATE_KEY, ROOT, ROOT_KEY, read_issuer};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
/// Internal servers are told to trust it once, by hand; that should last.
const ROOT_LIFE: Duration = YEAR.saturating_mul(20);
const INTERMEDIATE_LIFE: Duration = YEAR.saturating_mul(5);

/// Only the owner may read it.
const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;

/// What was made, and where each part of it belongs. Its text says so to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// What internal servers are told to trust.
    pub root: PathBuf,
    /// To be taken away from this machine.
    pub root_key: PathBuf,
    /// What stays, with its key beside it.
    pub intermediate: PathBuf,
    /// That key.
    pub intermediate_key: PathBuf,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.root.display())?;
        writeln!(f, "  Make the internal servers trust it, in their settings for server-to-server streams only,")?;
        writeln!(f, "  not in the system's store.")?;
        writeln!(f, "{}", self.root_key.display())?;
        writeln!(f, "  Take it off this machine now and keep it offline: whoever has it can speak as anybody to")?;
        writeln!(f, "  the internal servers. It is needed again only to renew the intermediate.")?;
        writeln!(f, "{}", self.intermediate.display())?;
        writeln!(f, "{}", self.intermediate_key.display())?;
        write!(f, "  They stay: the gateway mints with them. They can't speak for a local domain.")
    }
}

impl Made {
    fn within(folder: &Path) -> Made {
        Made {
            root: folder.join(ROOT),
            root_key: folder.join(ROOT_KEY),
            intermediate: folder.join(INTERMEDIATE),
            intermediate_key: folder.join(INTERMEDIATE_KEY),
        }
    }
}

pub(super) fn init(
    folder: &Path,
    local: &[Domain],
    partners: Option<&[Domain]>,
    now: SystemTime,
) -> Result<Made, CaError> {
    let made = Made::within(folder);
    let files = [&made.root, &made.root_key, &made.intermediate, &made.intermediate_key];
    if let Some(file) = files.into_iter().find(|file| fs::symlink_metadata(file).is_ok()) {
        return Err(CaError::AlreadyThere { file: file.clone() });
    }
    let constraints = constraints(local, partners)?;
    let (root, root_params, root_key) = root(&local[0], now)?;
    let root_secret = root_key.serialize_pem();
    let (intermediate, intermediate_key) =
        intermediate(&constraints, &local[0], &Issuer::new(root_params, root_key), now + ROOT_LIFE, now)?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| CaError::Unwritable { file: folder.to_owned(), error })?;
    let contents = [
        (&made.root_key, root_secret, SECRET),
        (&made.intermediate_key, intermediate_key.serialize_pem(), SECRET),
        (&made.intermediate, intermediate.pem(), PUBLIC),
        (&made.root, root.pem(), PUBLIC),
    ];
    for (index, (file, text, mode)) in contents.iter().enumerate() {
        if let Err(error) = write_new(file, text, *mode) {
            // Half a CA would only stand in the way of the next try.
            for (written, _, _) in &contents[..index] {
                let _ = fs::remove_file(written);
            }
            return Err(CaError::Unwritable { file: (*file).clone(), error });
        }
    }
    Ok(made)
}

pub(super) fn renew(
    folder: &Path,
    local: &[Domain],
    partners: Option<&[Domain]>,
    now: SystemTime,
) -> Result<Made, CaError> {
    let made = Made::within(folder);
    let constraints = constraints(local, partners)?;
    let (root, chain) = read_issuer(&made.root, &made.root_key)?;
    let dates = net::certificates::Leaf::parse(&chain[0])
        .map_err(|malformed| CaError::Broken { file: made.root.clone(), what: malformed.to_string() })?;
    if now > dates.not_after {
        return Err(CaError::Expired { file: made.root, at: dates.not_after });
    }
    let (intermediate, key) = intermediate(&constraints, &local[0], &root, dates.not_after, now)?;
    // Key and certificate can't change places at one stroke; a gateway that starts in between is told
    // that they don't belong together, and one that runs goes on with what it has read.
    replace(&made.intermediate_key, &key.serialize_pem(), SECRET)?;
    replace(&made.intermediate, &intermediate.pem(), PUBLIC)?;
    Ok(made)
}

fn constraints(local: &[Domain], partners: Option<&[Domain]>) -> Result<Constraints, CaError> {
    if local.is_empty() {
        return Err(CaError::NoLocalDomain);
    }
    if partners.is_some_and(<[Domain]>::is_empty) {
        return Err(CaError::NoPartner);
    }
    Ok(Constraints::new(local, partners))
}

fn root(domain: &Domain, now: SystemTime) -> Result<(Certificate, CertificateParams, KeyPair), CaError> {
    let mut params = params(&format!("fedge internal root of {domain}"), now, now + ROOT_LIFE);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok((certificate, params, key))
}

/// The constraints stand in the intermediate because Java and Erlang ignore those of a root.
fn intermediate(
    constraints: &Constraints,
    domain: &Domain,
    root: &Issuer<'_, KeyPair>,
    root_end: SystemTime,
    now: SystemTime,
) -> Result<(Certificate, KeyPair), CaError> {
    let end = root_end.min(now + INTERMEDIATE_LIFE);
    let mut params = params(&format!("fedge internal intermediate of {domain}"), now, end);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.use_authority_key_identifier_extension = true;
    params.custom_extensions = vec![constraints.extension()];
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, root).map_err(failed)?;
    Ok((certificate, key))
}

fn params(name: &str, now: SystemTime, end: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = end.into();
    params
}

// By value, as `map_err` hands it over.
#[allow(clippy::needless_pass_by_value)]
fn failed(error: rcgen::Error) -> CaError {
    CaError::Make(error.to_string())
}

fn write_new(file: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
    opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all()).inspect_err(|_| {
        let _ = fs::remove_file(file);
    })
}

fn replace(file: &Path, text: &str, mode: u32) -> Result<(), CaError> {
    let unwritable = |error| CaError::Unwritable { file: file.to_owned(), error };
    let fresh = file.with_extension("new");
    if let Err(error) = fs::remove_file(&fresh)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(unwritable(error));
    }
    write_new(&fresh, text, mode).and_then(|()| fs::rename(&fresh, file)).map_err(unwritable)
}
