//! From the configuration and the files that it names to two faces, ready to work.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use gateway::ca::{CaError, InternalCa};
use net::certificates::{Certificates as _, Folder, utc};
use net::crypto::{Sha2, random_id};
use net::dead::Dead;
use net::face::FaceState;
use net::fate::Fates;
use net::holder::{Holder, Returns};
use net::judge::{Judge, TrustFault};
use net::resolve::{ResolveError, Resolver};
use net::streams::Streams;
use net::tls::Tls;
use topology::face::Face;
use topology::policy::Policy;
use xmpp::dialback::Secrets;
use xmpp::domain::Domain;

use crate::config::{Config, FaceConfig};

/// Stanzas whose fate is remembered.
const FATES: usize = 20_000;
/// A certificate that expires within this time is worth a word.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);
/// A shorter secret could be guessed.
const SECRET: usize = 16;

/// What a file that the configuration names is at fault with.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// The external face's own certificates.
    #[error("{0}")]
    Certificates(#[from] net::certificates::Faults),
    /// Roots or revocation lists.
    #[error("{0}")]
    Trust(#[from] TrustFault),
    /// The internal CA.
    #[error("{0}")]
    Ca(#[from] CaError),
    /// DNS can't be asked at all.
    #[error("{0}")]
    Resolver(#[from] ResolveError),
    /// Dialback secrets.
    #[error("{}: {what}; write one secret a line, each of at least 16 characters (`openssl rand -hex 32` makes one)", file.display())]
    Secrets {
        /// The file.
        file: PathBuf,
        /// What was found.
        what: String,
    },
}

/// Both faces, and what they share with those who look after them.
pub struct Faces {
    /// Towards partners, and what goes back to them.
    pub external: (Arc<FaceState>, Returns),
    /// Towards our own servers, and what goes back to them.
    pub internal: (Arc<FaceState>, Returns),
    /// What can be replaced while they run.
    pub parts: Parts,
    /// The open streams of both.
    pub streams: Arc<Streams>,
    /// What became of the latest stanzas.
    pub fates: Arc<Fates>,
}

/// What can be replaced while the faces run.
#[derive(Clone)]
pub struct Parts {
    /// Who may speak to whom.
    pub policy: Arc<ArcSwap<Policy>>,
    /// The external face's own certificates.
    pub folder: Arc<Folder>,
    /// The internal CA, where there is one.
    pub ca: Option<Arc<InternalCa>>,
    /// Whose certificates count outside, and inside.
    pub judges: [Arc<ArcSwap<Judge>>; 2],
    /// What dialback keys are made with outside, and inside.
    pub secrets: [Arc<ArcSwap<Secrets>>; 2],
}

impl Faces {
    /// Reads all files that the configuration names.
    ///
    /// # Errors
    /// When one of them can't be used.
    pub fn new(config: &Config) -> Result<Faces, PartsError> {
        let parts = Parts::read(config)?;
        let streams = Arc::new(Streams::default());
        let fates = Arc::new(Fates::new(FATES));
        let listen = config.external.listen.iter().chain(&config.gateway.listen).map(SocketAddr::ip);
        let own_addresses: Vec<IpAddr> = listen.filter(|address| !address.is_unspecified()).collect();
        let policy = parts.policy.clone();
        let speaking = gateway::speaking(parts.ca.clone(), move |domain| policy.load().partner(domain).is_ok());
        let face = |face: Face, settings: &FaceConfig, tls: Tls| -> Result<_, PartsError> {
            let index = usize::from(face == Face::Internal);
            let (holder, returns) = Holder::new(config.settings.hold.clone(), fates.clone());
            let state = FaceState {
                face,
                settings: config.settings.clone(),
                policy: parts.policy.clone(),
                judge: parts.judges[index].clone(),
                secrets: parts.secrets[index].clone(),
                tls,
                resolver: Resolver::new(&settings.resolvers)?,
                own_addresses: own_addresses.clone(),
                private_targets: config.private_targets,
                streams: streams.clone(),
                holder,
                dead: Mutex::new(Dead::default()),
            };
            Ok((Arc::new(state), returns))
        };
        let external = face(Face::External, &config.external, Tls::new(parts.folder.clone()))?;
        let internal = face(Face::Internal, &config.gateway, Tls::new(speaking))?;
        Ok(Faces { external, internal, parts, streams, fates })
    }
}

impl Parts {
    fn read(config: &Config) -> Result<Parts, PartsError> {
        let judge = |face: &FaceConfig| Judge::new(face.trusted.roots.clone(), face.trusted.revoked.clone());
        let shared = |judge| Arc::new(ArcSwap::from_pointee(judge));
        let secrets = |face: &FaceConfig| -> Result<_, PartsError> {
            Ok(Arc::new(ArcSwap::from_pointee(secrets(face.dialback_secrets.as_deref())?)))
        };
        Ok(Parts {
            policy: Arc::new(ArcSwap::from_pointee(config.policy.clone())),
            folder: Arc::new(Folder::open(&config.certificates)?),
            ca: config.ca.as_deref().map(InternalCa::load).transpose()?.map(Arc::new),
            judges: [shared(judge(&config.external)?), shared(judge(&config.gateway)?)],
            secrets: [secrets(&config.external)?, secrets(&config.gateway)?],
        })
    }

    /// Takes over what a configuration that was read again says: policy, roots, secrets, and the
    /// files in the folders. Each only if all of them can be read.
    ///
    /// # Errors
    /// When one of them can't be used; then nothing changes.
    pub fn replace(&self, config: &Config) -> Result<(), PartsError> {
        let fresh = Parts::read(config)?;
        self.folder.reload()?;
        if let Some(ca) = &self.ca {
            ca.reload()?;
        }
        self.policy.store(fresh.policy.load_full());
        for (old, new) in self.judges.iter().zip(&fresh.judges) {
            old.store(new.load_full());
        }
        for (old, new) in self.secrets.iter().zip(&fresh.secrets) {
            old.store(new.load_full());
        }
        Ok(())
    }

    /// What somebody should look at, in sentences.
    pub fn concerns(&self, now: SystemTime) -> Vec<String> {
        let mut concerns = Vec::new();
        let policy = self.policy.load();
        let locals: Vec<Domain> = policy.locals().iter().map(|local| local.pattern.domain().clone()).collect();
        for local in policy.locals().iter().filter(|local| !local.pattern.is_wildcard()) {
            let domain = local.pattern.domain();
            if self.folder.certificate(domain).is_none() {
                concerns.push(format!(
                    "there is no certificate for {domain}; partners can't use TLS with it until there is one in the folder"
                ));
            }
        }
        for own in self.folder.list() {
            let file = own.file.display();
            if own.not_after < now {
                concerns.push(format!("{file}: the certificate expired on {}; renew it", utc(own.not_after)));
            } else if own.not_after < now + SOON {
                concerns.push(format!("{file}: the certificate expires on {}; renew it", utc(own.not_after)));
            } else if own.not_before > now {
                concerns.push(format!("{file}: the certificate is not valid before {}", utc(own.not_before)));
            }
        }
        if let Some(ca) = &self.ca {
            if ca.expires() < now + SOON {
                concerns
                    .push(format!("the internal CA expires on {}; renew it with `fedge ca renew`", utc(ca.expires())));
            }
            let unguarded = ca.unguarded(&locals).iter().map(ToString::to_string).collect::<Vec<_>>();
            if !unguarded.is_empty() {
                let domains = unguarded.join(", ");
                concerns.push(format!("the internal CA isn't barred from {domains}; renew it with `fedge ca renew`"));
            }
            if ca.root_key_is_online() {
                concerns.push("the internal CA's root key lies on this machine; take it offline".to_owned());
            }
        }
        for (file, since) in self.judges.iter().flat_map(|judge| judge.load().stale(now)) {
            concerns.push(format!(
                "{}: this revocation list should have been replaced on {}",
                file.display(),
                utc(since)
            ));
        }
        concerns
    }
}

/// The secrets in a file, or one drawn now: keys live for moments, so a restart may change it where
/// no other edge must know it.
fn secrets(file: Option<&Path>) -> Result<Secrets, PartsError> {
    let Some(file) = file else { return Ok(Secrets::new(&Sha2, random_id().as_bytes(), &[])) };
    let fault = |what: String| PartsError::Secrets { file: file.to_owned(), what };
    let text = std::fs::read_to_string(file).map_err(|error| fault(format!("it can't be read ({error})")))?;
    let lines: Vec<&[u8]> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::as_bytes).collect();
    if lines.iter().any(|line| line.len() < SECRET) {
        return Err(fault("a secret in it is too short".to_owned()));
    }
    match lines.split_first() {
        Some((emitted, accepted)) => Ok(Secrets::new(&Sha2, emitted, accepted)),
        None => Err(fault("there is no secret in it".to_owned())),
    }
}
