//! The internal CA: speaks as partners towards internal servers, with certificates minted on demand.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use net::certificates::{Certificates, Leaf};
use net::crypto;
use rcgen::{
    Certificate, CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use xmpp::domain::Domain;

mod cache;
mod constraints;
mod error;
mod make;
mod self_signed;
#[cfg(test)]
mod tests;

use cache::Cache;
use constraints::Constraints;
pub use error::CaError;
pub use make::Made;
pub use self_signed::SelfSigned;

/// A leaf lives this long; it is minted anew after half of it.
const LEAF_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Internal servers' clocks may be this much behind ours.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);
/// How many leaves are kept; a partner domain more than that costs a signature, nothing else.
const LEAVES_KEPT: usize = 4096;

const INTERMEDIATE: &str = "intermediate.crt";
const INTERMEDIATE_KEY: &str = "intermediate.key";
const ROOT: &str = "root.crt";
const ROOT_KEY: &str = "root.key";

/// The CA that internal servers trust for federation and nobody else has heard of. Its root stays
/// offline; what signs here is an intermediate that no server accepts for a local domain.
///
/// It mints for any domain that its constraints allow. Which domains exist at all is policy, and
/// [`InternalCa::only`] puts that in front of it.
pub struct InternalCa {
    folder: PathBuf,
    /// Swapped as a whole when the files are read again.
    signer: RwLock<Arc<Signer>>,
    cache: Mutex<Cache>,
}

/// The intermediate as it was read.
struct Signer {
    issuer: Issuer<'static, KeyPair>,
    /// The intermediate, and whatever follows it in its file.
    chain: Vec<CertificateDer<'static>>,
    not_after: SystemTime,
    constraints: Constraints,
}

impl InternalCa {
    /// Makes a new CA in `folder`: root and intermediate, each with its key. The intermediate is
    /// barred from `local` domains and all below them, and from SRVName and XmppAddr names
    /// altogether; with `partners`, also from every domain that isn't one of them or below one
    /// (for `*.contoso.test` give `contoso.test`).
    ///
    /// # Errors
    /// When one of the files is already there, which nothing ever overwrites, or can't be written; or
    /// when no local domain is given.
    pub fn init(folder: &Path, local: &[Domain], partners: Option<&[Domain]>) -> Result<Made, CaError> {
        make::init(folder, local, partners, SystemTime::now())
    }

    /// Replaces the intermediate, for new local domains or partners or because it expires. The root
    /// stays, so internal servers need not be told; its key has to be in `folder` for the moment.
    ///
    /// # Errors
    /// When the root or its key isn't there, or a file can't be written.
    pub fn renew(folder: &Path, local: &[Domain], partners: Option<&[Domain]>) -> Result<Made, CaError> {
        make::renew(folder, local, partners, SystemTime::now())
    }

    /// Reads the intermediate and its key, all that minting needs.
    ///
    /// # Errors
    /// When a file can't be read, is damaged, isn't a CA's, or has expired.
    pub fn load(folder: &Path) -> Result<InternalCa, CaError> {
        InternalCa::load_at(folder, SystemTime::now())
    }

    fn load_at(folder: &Path, now: SystemTime) -> Result<InternalCa, CaError> {
        let signer = Signer::read(folder, now)?;
        Ok(InternalCa {
            folder: folder.to_owned(),
            signer: RwLock::new(Arc::new(signer)),
            cache: Mutex::new(Cache::new(LEAVES_KEPT)),
        })
    }

    /// Reads the files again, after [`InternalCa::renew`]; what was minted before is forgotten.
    ///
    /// # Errors
    /// As [`InternalCa::load`]; then everything stays as it was.
    pub fn reload(&self) -> Result<(), CaError> {
        let signer = Arc::new(Signer::read(&self.folder, SystemTime::now())?);
        *self.signer.write().unwrap_or_else(PoisonError::into_inner) = signer;
        *self.cache() = Cache::new(LEAVES_KEPT);
        Ok(())
    }

    /// A certificate for `domain`, minted now or not long ago: one dNSName, no subject, usage as
    /// server and client, good for at least another 15 days or until the intermediate expires.
    ///
    /// # Errors
    /// When the constraints exclude `domain`, so that servers would refuse it, or the intermediate
    /// has expired.
    pub fn leaf(&self, domain: &Domain) -> Result<Arc<CertifiedKey>, CaError> {
        self.leaf_at(domain, SystemTime::now())
    }

    fn leaf_at(&self, domain: &Domain, now: SystemTime) -> Result<Arc<CertifiedKey>, CaError> {
        if let Some(kept) = self.cache().fresh(domain, now) {
            return Ok(kept);
        }
        let signer = self.signer();
        signer.constraints.check(domain)?;
        if now >= signer.not_after {
            return Err(CaError::Expired { file: self.folder.join(INTERMEDIATE), at: signer.not_after });
        }
        // Not under the lock: others shall get theirs meanwhile. Two at once for one domain do no harm.
        let end = signer.not_after.min(now + LEAF_LIFE);
        let leaf = Arc::new(signer.mint(domain, now, end)?);
        self.cache().keep(domain, leaf.clone(), fresh(now, end));
        Ok(leaf)
    }

    fn signer(&self) -> Arc<Signer> {
        self.signer.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the intermediate expires; [`InternalCa::renew`] in good time.
    pub fn expires(&self) -> SystemTime {
        self.signer().not_after
    }

    /// Those of `local` that the intermediate is not barred from, because they are newer than it is:
    /// it should be renewed.
    pub fn unguarded(&self, local: &[Domain]) -> Vec<Domain> {
        let signer = self.signer();
        local.iter().filter(|domain| !signer.constraints.excludes(domain)).cloned().collect()
    }

    /// Whether the root's key still lies beside the intermediate, where it doesn't belong.
    pub fn root_key_is_online(&self) -> bool {
        self.folder.join(ROOT_KEY).exists()
    }

    /// This CA, minting only for what `allowed` says yes to: the domains that policy knows. Those among
    /// them that the constraints bar get a certificate that is merely self-signed, for dialback.
    pub fn only(self: Arc<Self>, allowed: impl Fn(&Domain) -> bool + Send + Sync + 'static) -> impl Certificates {
        Only { certificates: Speaking { ca: self, else_by_itself: SelfSigned::new() }, allowed }
    }
}

impl Signer {
    fn read(folder: &Path, now: SystemTime) -> Result<Signer, CaError> {
        let (file, key_file) = (folder.join(INTERMEDIATE), folder.join(INTERMEDIATE_KEY));
        let (issuer, chain) = read_issuer(&file, &key_file)?;
        let broken = |what: String| CaError::Broken { file: file.clone(), what };
        let constraints = Constraints::read(&chain[0]).map_err(broken)?;
        let dates = Leaf::parse(&chain[0]).map_err(|malformed| broken(malformed.to_string()))?;
        if now > dates.not_after {
            return Err(CaError::Expired { file, at: dates.not_after });
        }
        Ok(Signer { issuer, chain, not_after: dates.not_after, constraints })
    }

    fn mint(&self, domain: &Domain, now: SystemTime, end: SystemTime) -> Result<CertifiedKey, CaError> {
        let mut params = leaf_params(domain, now, end)?;
        params.use_authority_key_identifier_extension = true;
        with_key(domain, |key| params.signed_by(key, &self.issuer), &self.chain)
    }
}

/// What every leaf says: one name, both usages, and nothing that a server might read another name in.
fn leaf_params(domain: &Domain, now: SystemTime, end: SystemTime) -> Result<CertificateParams, CaError> {
    let name = domain.to_ascii().try_into();
    let name = name.map_err(|error: rcgen::Error| CaError::Mint { domain: domain.clone(), why: error.to_string() })?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::DnsName(name)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.is_ca = IsCa::ExplicitNoCa;
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = end.into();
    Ok(params)
}

/// A new key, the certificate that `sign` makes for it, and the chain that follows.
fn with_key(
    domain: &Domain,
    sign: impl FnOnce(&KeyPair) -> Result<Certificate, rcgen::Error>,
    chain: &[CertificateDer<'static>],
) -> Result<CertifiedKey, CaError> {
    let failed = |why: String| CaError::Mint { domain: domain.clone(), why };
    let key = KeyPair::generate().map_err(|error| failed(error.to_string()))?;
    let leaf = sign(&key).map_err(|error| failed(error.to_string()))?;
    let chain = std::iter::once(leaf.der().clone()).chain(chain.iter().cloned()).collect();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    CertifiedKey::from_der(chain, key, &crypto::provider()).map_err(|error| failed(error.to_string()))
}

/// When a leaf is shown again instead of a new one: for half of its life.
fn fresh(now: SystemTime, end: SystemTime) -> Range<SystemTime> {
    now..now + end.duration_since(now).unwrap_or_default() / 2
}

impl Certificates for InternalCa {
    fn certificate(&self, domain: &Domain) -> Option<Arc<CertifiedKey>> {
        told(domain, self.leaf(domain))
    }
}

/// By the CA where its constraints allow it.
struct Speaking {
    ca: Arc<InternalCa>,
    else_by_itself: SelfSigned,
}

impl Certificates for Speaking {
    fn certificate(&self, domain: &Domain) -> Option<Arc<CertifiedKey>> {
        match self.ca.leaf(domain) {
            Err(CaError::Excluded(_) | CaError::NotPermitted(_)) => self.else_by_itself.certificate(domain),
            minted => told(domain, minted),
        }
    }
}

struct Only<C, F> {
    certificates: C,
    allowed: F,
}

impl<C: Certificates, F: Fn(&Domain) -> bool + Send + Sync> Certificates for Only<C, F> {
    fn certificate(&self, domain: &Domain) -> Option<Arc<CertifiedKey>> {
        (self.allowed)(domain).then(|| self.certificates.certificate(domain))?
    }
}

fn told(domain: &Domain, minted: Result<Arc<CertifiedKey>, CaError>) -> Option<Arc<CertifiedKey>> {
    minted.inspect_err(|error| tracing::warn!(%domain, %error, "no certificate minted")).ok()
}

impl std::fmt::Debug for InternalCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "InternalCa({}, {:?})", self.folder.display(), self.signer().constraints)
    }
}

/// A CA's certificate, what follows it, and the key that belongs to it.
fn read_issuer(
    file: &Path,
    key_file: &Path,
) -> Result<(Issuer<'static, KeyPair>, Vec<CertificateDer<'static>>), CaError> {
    let read = |file: &Path| {
        std::fs::read_to_string(file).map_err(|error| CaError::Unreadable { file: file.to_owned(), error })
    };
    let broken = |file: &Path, what: &str| CaError::Broken { file: file.to_owned(), what: what.to_owned() };
    let chain = CertificateDer::pem_slice_iter(read(file)?.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or_else(|| broken(file, "there is no well-formed certificate in it"))?;
    let key_text = read(key_file)?;
    let key = KeyPair::from_pem(&key_text).map_err(|_| broken(key_file, "there is no usable private key in it"))?;
    let der = PrivateKeyDer::from_pem_slice(key_text.as_bytes())
        .map_err(|_| broken(key_file, "there is no usable private key in it"))?;
    CertifiedKey::from_der(chain.clone(), der, &crypto::provider())
        .map_err(|_| broken(key_file, "it does not belong to the certificate beside it"))?;
    let issuer =
        Issuer::from_ca_cert_der(&chain[0], key).map_err(|_| broken(file, "its certificate can't be used for a CA"))?;
    Ok((issuer, chain))
}
