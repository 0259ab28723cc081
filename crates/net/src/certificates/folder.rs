//! A folder of certificates and keys: found by their names, replaced as a whole, never half.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys};
use rustls_pki_types::pem::{Error as PemError, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use xmpp::domain::Domain;
use xmpp::identity::{Names, speaks_for};

use super::{Certificates, Fingerprint, Leaf, read_bounded};
use crate::crypto;

/// The certificates in a folder, each picked by the names in it; the files' own names don't matter.
///
/// Three ways of laying them down are understood, side by side:
/// - `NAME.crt` (or `.cer`, `.pem`) with the chain, leaf first, and `NAME.key` beside it;
/// - one `NAME.pem` with chain and key;
/// - `NAME/fullchain.pem` and `NAME/privkey.pem`, as ACME clients write them.
///
/// Anything else, and what starts with a dot, is left alone.
pub struct Folder {
    path: Option<PathBuf>,
    set: ArcSwap<Set>,
    /// What the files looked like when they were last read, with success or without.
    read: Mutex<Fingerprint>,
}

/// One certificate of ours.
#[derive(Debug, Clone)]
pub struct Own {
    /// The file with the chain.
    pub file: PathBuf,
    /// Whom it speaks for.
    pub names: Names,
    /// When it becomes valid.
    pub not_before: SystemTime,
    /// When it expires.
    pub not_after: SystemTime,
    key: Arc<CertifiedKey>,
}

/// What is wrong with one file, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {what}; {remedy}", file.display())]
pub struct Fault {
    /// The file, or the folder.
    pub file: PathBuf,
    /// What was found in it.
    pub what: String,
    /// What would put it right.
    pub remedy: String,
}

/// Everything that is wrong with a folder, one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Folder {
    /// Reads the certificates in `path`. A folder without any is no fault: there may be only dialback.
    ///
    /// # Errors
    /// When the folder or a file in it can't be used; every fault is told, not just the first.
    pub fn open(path: impl Into<PathBuf>) -> Result<Folder, Faults> {
        let path = path.into();
        let fingerprint = fingerprint(&path);
        let set = Set::read(&path)?;
        Ok(Folder { path: Some(path), set: ArcSwap::from_pointee(set), read: Mutex::new(fingerprint) })
    }

    /// No certificates at all.
    pub fn empty() -> Folder {
        Folder { path: None, set: ArcSwap::default(), read: Mutex::default() }
    }

    /// Reads the folder again and swaps the whole set at once; answers how many certificates it holds.
    /// Streams that are up keep what they were set up with.
    ///
    /// # Errors
    /// When anything in the folder is at fault; then the old set stays in use, whole.
    pub fn reload(&self) -> Result<usize, Faults> {
        let Some(path) = &self.path else { return Ok(0) };
        // Taken before reading: what is written meanwhile will count as a change afterwards.
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = fingerprint(path);
        let set = Set::read(path)?;
        let count = set.all.len();
        self.set.store(Arc::new(set));
        Ok(count)
    }

    /// Whether a file was written, replaced, added or removed since the folder was last read, be it in
    /// vain. Cheap enough to be asked every few seconds.
    pub fn changed(&self) -> bool {
        let Some(path) = &self.path else { return false };
        fingerprint(path) != *self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every certificate in use, for logs and status: which file, whom it speaks for, when it expires.
    pub fn list(&self) -> Vec<Own> {
        self.set.load().all.iter().map(|own| Own::clone(own)).collect()
    }

    /// Until when the certificate is good that is shown as `domain`; nothing where there is none, or not yet.
    pub fn good_until(&self, domain: &Domain, now: SystemTime) -> Option<SystemTime> {
        self.set.load().pick(domain).filter(|own| own.not_before <= now).map(|own| own.not_after)
    }
}

impl Certificates for Folder {
    fn certificate(&self, domain: &Domain) -> Option<Arc<CertifiedKey>> {
        self.set.load().pick(domain).map(|own| own.key.clone())
    }
}

impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Folder({:?}, {} certificates)", self.path, self.set.load().all.len())
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// The certificates of one reading, and which of them is the best for a domain.
#[derive(Default)]
struct Set {
    all: Vec<Arc<Own>>,
    exact: HashMap<Domain, Arc<Own>>,
    /// By the domain below which the wildcard stands.
    wildcard: HashMap<Domain, Arc<Own>>,
}

impl Set {
    fn read(path: &Path) -> Result<Set, Faults> {
        let mut set = Set::default();
        let mut faults = Vec::new();
        let sources = sources(path).map_err(|error| {
            Faults(vec![fault(path, format!("it can't be read ({error})"), "name a folder that this user may read")])
        })?;
        for source in &sources {
            match source.read() {
                Ok(own) => set.add(own),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(set) } else { Err(Faults(faults)) }
    }

    fn add(&mut self, own: Own) {
        let own = Arc::new(own);
        for name in own.names.all() {
            let name = name.split_once('.').filter(|(first, _)| first.starts_with('_')).map_or(name, |(_, rest)| rest);
            if let Some(Ok(parent)) = name.strip_prefix("*.").map(Domain::parse) {
                keep_the_later(&mut self.wildcard, parent, &own);
            } else if let Some(domain) = Domain::parse(name).ok().filter(|domain| speaks_for(&own.names, domain)) {
                keep_the_later(&mut self.exact, domain, &own);
            }
        }
        self.all.push(own);
    }

    fn pick(&self, domain: &Domain) -> Option<&Own> {
        let below = || {
            let (_, parent) = domain.to_ascii().split_once('.')?;
            self.wildcard.get(&Domain::parse(parent).ok()?)
        };
        let own = self.exact.get(domain).or_else(below)?;
        speaks_for(&own.names, domain).then_some(own)
    }
}

fn keep_the_later(best: &mut HashMap<Domain, Arc<Own>>, domain: Domain, own: &Arc<Own>) {
    let kept = best.entry(domain).or_insert_with(|| own.clone());
    if own.not_after > kept.not_after {
        *kept = own.clone();
    }
}

/// Where one certificate lies.
struct Source {
    chain: PathBuf,
    key: PathBuf,
}

/// Every certificate that the folder should hold, in the order of their names.
fn sources(folder: &Path) -> io::Result<Vec<Source>> {
    let mut found = Vec::new();
    found.extend(acme_pair(folder));
    for path in entries(folder)? {
        if path.is_dir() {
            found.extend(acme_pair(&path));
        } else if is_chain(&path) && !(is_acme_name(&path) && folder.join("fullchain.pem").exists()) {
            let beside = path.with_extension("key");
            let key = if beside.exists() { beside } else { path.clone() };
            found.push(Source { chain: path, key });
        }
    }
    Ok(found)
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<PathBuf>>>()?;
    paths.retain(|path| path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b".")));
    paths.sort();
    Ok(paths)
}

fn acme_pair(folder: &Path) -> Option<Source> {
    let chain = folder.join("fullchain.pem");
    chain.exists().then(|| Source { chain, key: folder.join("privkey.pem") })
}

fn is_chain(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "crt" || extension == "cer" || extension == "pem")
}

/// The four files that ACME clients write; only two of them are needed.
fn is_acme_name(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| ["cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"].iter().any(|acme| name == *acme))
}

fn fingerprint(folder: &Path) -> Fingerprint {
    let files = sources(folder).unwrap_or_default().into_iter().flat_map(|source| [source.chain, source.key]);
    Fingerprint::take(files.chain([folder.to_owned()]))
}

impl Source {
    fn read(&self) -> Result<Own, Fault> {
        let chain = self.read_chain()?;
        let key = self.read_key()?;
        let leaf = Leaf::parse(&chain[0]).map_err(|malformed| {
            fault(
                &self.chain,
                format!("the first certificate can't be used: {malformed}"),
                "ask its issuer for a new one",
            )
        })?;
        if leaf.names.is_empty() {
            return Err(fault(
                &self.chain,
                "no name in its subjectAltName can speak for an XMPP domain",
                "get one with the domain as dNSName; put the server's own certificate before those of its issuers",
            ));
        }
        let key = CertifiedKey::from_der(chain, key, &crypto::provider()).map_err(|error| self.unfit(&error))?;
        Ok(Own {
            file: self.chain.clone(),
            names: leaf.names,
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            key: Arc::new(key),
        })
    }

    fn read_chain(&self) -> Result<Vec<CertificateDer<'static>>, Fault> {
        let remedy = "it must hold the certificate in PEM, then those of its issuers";
        let chain = CertificateDer::pem_slice_iter(&self.bytes(&self.chain)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| fault(&self.chain, broken_pem(&error), remedy))?;
        if chain.is_empty() {
            return Err(fault(&self.chain, "there is no certificate in it", remedy));
        }
        Ok(chain)
    }

    fn read_key(&self) -> Result<PrivateKeyDer<'static>, Fault> {
        let bytes = self.bytes(&self.key)?;
        PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
            let encrypted = bytes.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED);
            match error {
                PemError::NoItemsFound if encrypted => fault(
                    &self.key,
                    "its private key is protected by a passphrase",
                    "take that off (`openssl pkey -in OLD -out NEW`) and protect the file by its permissions",
                ),
                PemError::NoItemsFound => fault(
                    &self.key,
                    format!("there is no private key for {}", self.chain.display()),
                    format!(
                        "put it into {}, or into the same file as the certificate",
                        self.chain.with_extension("key").display()
                    ),
                ),
                error => fault(&self.key, broken_pem(&error), "it must hold the private key in PEM"),
            }
        })
    }

    fn bytes(&self, path: &Path) -> Result<Vec<u8>, Fault> {
        read_bounded(path).map_err(|error| {
            fault(path, format!("it can't be read ({error})"), "let the user that fedge runs as read it")
        })
    }

    fn unfit(&self, error: &TlsError) -> Fault {
        match error {
            TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => fault(
                &self.key,
                format!("this private key does not belong to the first certificate in {}", self.chain.display()),
                "renew both together; the server's own certificate comes first in its file",
            ),
            TlsError::InvalidCertificate(_) => fault(
                &self.chain,
                format!("its first certificate can't be used ({error})"),
                "ask its issuer for an X.509 version 3 certificate",
            ),
            _ => fault(
                &self.key,
                format!("its private key can't be used ({error})"),
                "use ECDSA P-256, P-384 or P-521, Ed25519, or RSA of 2048 to 8192 bits",
            ),
        }
    }
}

const ENCRYPTED: &[u8] = b"ENCRYPTED";

/// Never with the text of the faulty line: it may be a line of a key.
fn broken_pem(error: &PemError) -> &'static str {
    match error {
        PemError::MissingSectionEnd { .. } => "it is cut off: an END line is missing",
        PemError::Base64Decode(_) => "it is damaged: what stands between BEGIN and END is no base64",
        _ => "it is no PEM file",
    }
}

fn fault(file: &Path, what: impl Into<String>, remedy: impl Into<String>) -> Fault {
    Fault { file: file.to_owned(), what: what.into(), remedy: remedy.into() }
}
