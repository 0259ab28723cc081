//! What a judge goes by: trusted roots, and revocation lists.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor};
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_parser::asn1_rs::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::certificates::{read_bounded, system_time, utc};

/// Which roots are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// The certificates in a PEM file. A server's own certificate in it is trusted as it is: that is
    /// how a self-signed partner is pinned.
    File(PathBuf),
    /// What the operating system trusts.
    System,
    /// Both.
    Both(PathBuf),
}

/// Why roots or revocation lists can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustFault {
    /// A file can't be read.
    #[error("{}: it can't be read ({error}); let the user that fedge runs as read it", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file of roots holds none, or a broken one.
    #[error("{}: {what}; it must hold the certificates of trusted CAs in PEM", file.display())]
    BadRoots {
        /// The file.
        file: PathBuf,
        /// What was found.
        what: String,
    },
    /// A file is no revocation list.
    #[error("{}: {what}; it must be an X.509 revocation list (version 2, complete and direct) in PEM or DER", file.display())]
    BadCrl {
        /// The file.
        file: PathBuf,
        /// What was found.
        what: String,
    },
    /// The operating system has no roots.
    #[error(
        "this system trusts no CA at all{0}; install its package of CA certificates (`ca-certificates`), or name a file of roots"
    )]
    NoSystemRoots(String),
}

impl Roots {
    /// The file, where there is one.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Roots::File(file) | Roots::Both(file) => Some(file),
            Roots::System => None,
        }
    }

    fn system(&self) -> bool {
        matches!(self, Roots::System | Roots::Both(_))
    }
}

/// One reading of all the files.
pub(super) struct Trust {
    pub(super) anchors: Vec<TrustAnchor<'static>>,
    /// The certificates of the file: one of them that a peer shows as its own needs no issuer.
    pinned: Vec<CertificateDer<'static>>,
    /// The newest first: of one issuer's lists, the first that fits is asked.
    lists: Vec<RevocationList>,
}

struct RevocationList {
    file: PathBuf,
    issued: SystemTime,
    next: Option<SystemTime>,
    list: CertRevocationList<'static>,
}

impl Trust {
    pub(super) fn read(roots: &Roots, crls: &[PathBuf]) -> Result<Trust, TrustFault> {
        let mut trust = Trust { anchors: Vec::new(), pinned: Vec::new(), lists: Vec::new() };
        if let Some(file) = roots.file() {
            trust.add_file(file)?;
        }
        if roots.system() {
            trust.add_system()?;
        }
        for file in crls {
            trust.lists.extend(read_lists(file)?);
        }
        trust.lists.sort_by_key(|list| std::cmp::Reverse(list.issued));
        Ok(trust)
    }

    fn add_file(&mut self, file: &Path) -> Result<(), TrustFault> {
        let bad = |what: String| TrustFault::BadRoots { file: file.to_owned(), what };
        let found: Vec<CertificateDer<'static>> = pem_items(&read(file)?).map_err(|what| bad(what.to_owned()))?;
        if found.is_empty() {
            return Err(bad("there is no certificate in it".to_owned()));
        }
        for (index, root) in found.iter().enumerate() {
            let anchor = webpki::anchor_from_trusted_cert(root)
                .map_err(|error| bad(format!("its certificate number {} can't be used ({error})", index + 1)))?;
            self.anchors.push(anchor.to_owned());
        }
        self.pinned = found;
        Ok(())
    }

    /// One odd certificate among the system's hundred is not worth refusing to start.
    fn add_system(&mut self) -> Result<(), TrustFault> {
        let found = rustls_native_certs::load_native_certs();
        let before = self.anchors.len();
        let usable = found.certs.iter().filter_map(|root| webpki::anchor_from_trusted_cert(root).ok());
        self.anchors.extend(usable.map(|anchor| anchor.to_owned()));
        if self.anchors.len() == before {
            let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
            return Err(TrustFault::NoSystemRoots(why));
        }
        Ok(())
    }

    pub(super) fn is_pinned(&self, leaf: &CertificateDer<'_>) -> bool {
        self.pinned.iter().any(|pinned| pinned.as_ref() == leaf.as_ref())
    }

    pub(super) fn crls(&self) -> Vec<&CertRevocationList<'_>> {
        self.lists.iter().map(|list| &list.list).collect()
    }

    pub(super) fn stale(&self, now: SystemTime) -> Vec<(PathBuf, SystemTime)> {
        let stale = |list: &RevocationList| Some((list.file.clone(), list.next.filter(|&next| next < now)?));
        self.lists.iter().filter_map(stale).collect()
    }
}

fn read_lists(file: &Path) -> Result<Vec<RevocationList>, TrustFault> {
    let bad = |what: String| TrustFault::BadCrl { file: file.to_owned(), what };
    let bytes = read(file)?;
    let lists: Vec<CertificateRevocationListDer<'static>> = if bytes.starts_with(&[0x30]) {
        vec![CertificateRevocationListDer::from(bytes)]
    } else {
        pem_items(&bytes).map_err(|what| bad(what.to_owned()))?
    };
    if lists.is_empty() {
        return Err(bad("there is no revocation list in it".to_owned()));
    }
    lists.iter().map(|der| read_list(file, der).map_err(bad)).collect()
}

fn read_list(file: &Path, der: &CertificateRevocationListDer<'_>) -> Result<RevocationList, String> {
    let list = OwnedCertRevocationList::from_der(der).map_err(|error| format!("it can't be used ({error})"))?;
    let (_, dates) = CertificateRevocationList::from_der(der).map_err(|error| format!("it can't be used ({error})"))?;
    Ok(RevocationList {
        file: file.to_owned(),
        issued: system_time(dates.last_update()),
        next: dates.next_update().map(system_time),
        list: list.into(),
    })
}

fn read(file: &Path) -> Result<Vec<u8>, TrustFault> {
    read_bounded(file).map_err(|error| TrustFault::Unreadable { file: file.to_owned(), error })
}

fn pem_items<T: PemObject>(bytes: &[u8]) -> Result<Vec<T>, &'static str> {
    T::pem_slice_iter(bytes).collect::<Result<Vec<T>, _>>().map_err(|_| "it is damaged: not well-formed PEM")
}

impl std::fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.file.display(), utc(self.issued))
    }
}
