//! One face from its configuration and files: what judges peers, what makes dialback keys, and the face itself.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use api::agent::content::Secret;
use arc_swap::ArcSwap;
use net::certificates::utc;
use net::crypto::{Sha2, random_id};
use net::dead::Dead;
use net::face::{self, FaceState};
use net::fate::Fates;
use net::holder::{Holder, Returns};
use net::judge::{Judge, TrustFault};
use net::network::Tcp;
use net::resolve::{ResolveError, Resolver};
use net::streams::Streams;
use net::tls::Tls;
use net::turns::Turns;
use topology::face::Face;
use topology::faults::Faults;
use topology::policy::Policy;
use xmpp::dialback::Secrets;

use crate::settings::FaceConfig;

/// Stanzas of each face whose fate is remembered.
const FATES: usize = 20_000;
/// A shorter secret could be guessed.
const SECRET: usize = 16;

/// What a file that a face's configuration names is at fault with.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// Roots or revocation lists.
    #[error("{0}")]
    Trust(#[from] TrustFault),
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

/// What a face reads from files, and can be replaced while it runs.
#[derive(Clone)]
pub struct Parts {
    judge: Arc<ArcSwap<Judge>>,
    secrets: Arc<ArcSwap<Secrets>>,
    /// Whether the secret was drawn at the start, as there is no file.
    drawn: bool,
}

/// What the faces of a process share.
#[derive(Clone)]
pub struct Shared {
    /// Who may speak to whom.
    pub policy: Arc<ArcSwap<Policy>>,
    /// The open streams.
    pub streams: Arc<Streams>,
    /// In which streams are set up.
    pub turns: Turns,
    /// What became of the latest stanzas.
    pub fates: Arc<Fates>,
    /// Addresses of this process, which are never dialed for an outsider.
    pub own_addresses: Vec<IpAddr>,
    /// Whether partners may be at addresses that aren't public.
    pub private_targets: bool,
}

impl Shared {
    /// For faces that go by this policy.
    pub fn new(policy: Policy, own_addresses: Vec<IpAddr>, private_targets: bool) -> Shared {
        Shared {
            policy: Arc::new(ArcSwap::from_pointee(policy)),
            streams: Arc::default(),
            turns: Turns::for_this_machine(),
            fates: Arc::new(Fates::new(FATES)),
            own_addresses,
            private_targets,
        }
    }
}

impl Parts {
    /// Reads a face's files.
    ///
    /// # Errors
    /// When one of them can't be used.
    pub fn read(config: &FaceConfig) -> Result<Parts, PartsError> {
        let judge = Judge::new(config.trusted.roots.clone(), config.trusted.revoked.clone())?;
        let secrets = secrets(config.dialback_secrets.as_deref())?;
        Ok(Parts {
            judge: Arc::new(ArcSwap::from_pointee(judge)),
            secrets: Arc::new(ArcSwap::from_pointee(secrets)),
            drawn: config.dialback_secrets.is_none(),
        })
    }

    /// The face itself, and what goes back to the senders on it.
    ///
    /// # Errors
    /// When DNS can't be asked at all.
    pub fn face(
        &self,
        face: Face,
        config: &FaceConfig,
        settings: &face::Settings,
        shared: &Shared,
        tls: Tls,
    ) -> Result<(Arc<FaceState>, Returns), PartsError> {
        let (holder, returns) = Holder::new(settings.hold.clone(), &shared.fates);
        let state = FaceState {
            face,
            settings: settings.clone(),
            policy: shared.policy.clone(),
            judge: self.judge.clone(),
            secrets: self.secrets.clone(),
            tls,
            turns: shared.turns.clone(),
            resolver: Resolver::new(&config.resolvers)?,
            network: Arc::new(Tcp),
            own_addresses: shared.own_addresses.clone(),
            private_targets: shared.private_targets,
            streams: shared.streams.clone(),
            holder,
            dead: Mutex::new(Dead::default()),
        };
        Ok((Arc::new(state), returns))
    }

    /// Takes over what was read anew.
    pub fn replace(&self, fresh: &Parts) {
        self.judge.store(fresh.judge.load_full());
        // A drawn secret lives as long as the process: keys that are under way were made with it.
        if !(self.drawn && fresh.drawn) {
            self.secrets.store(fresh.secrets.load_full());
        }
    }

    /// Makes dialback keys of these from now on.
    pub fn make_keys_of(&self, secrets: Secrets) {
        self.secrets.store(Arc::new(secrets));
    }

    /// Reads roots and revocation lists again if their files changed, and says so in the log.
    pub fn look(&self) {
        let judge = self.judge.load();
        if judge.changed() {
            match judge.reload() {
                Ok(()) => tracing::info!("roots and revocation lists were read again"),
                Err(error) => tracing::error!(%error, "roots or revocation lists can't be used; those of before stay"),
            }
        }
    }

    /// What somebody should look at, in sentences.
    pub fn concerns(&self, now: SystemTime) -> Vec<String> {
        let stale = self.judge.load().stale(now);
        let told = |(file, since): (PathBuf, SystemTime)| {
            format!("{}: this revocation list should have been replaced on {}", file.display(), utc(since))
        };
        stale.into_iter().map(told).collect()
    }
}

/// The secrets in a file, or one drawn now: keys live for moments, so a restart may change it where
/// no other edge must know it.
fn secrets(file: Option<&Path>) -> Result<Secrets, PartsError> {
    let Some(file) = file else { return Ok(Secrets::new(&Sha2, random_id().as_bytes(), &[])) };
    let fault = |what: String| PartsError::Secrets { file: file.to_owned(), what };
    let text = std::fs::read_to_string(file).map_err(|error| fault(format!("it can't be read ({error})")))?;
    let lines: Vec<&[u8]> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::as_bytes).collect();
    made_of(&lines).map_err(|what| fault(what.to_owned()))
}

/// The secrets that controllers send, the first of which makes keys.
pub fn secrets_of(sent: &[Secret], faults: &mut Faults) -> Option<Secrets> {
    let lines: Vec<&[u8]> = sent.iter().map(|secret| secret.reveal().as_bytes()).collect();
    let fault = |what| faults.add(0..0, what, "run the same fedge on the controllers");
    made_of(&lines).map_err(fault).ok()
}

fn made_of(lines: &[&[u8]]) -> Result<Secrets, &'static str> {
    if lines.iter().any(|line| line.len() < SECRET) {
        return Err("a dialback secret in it is too short");
    }
    match lines.split_first() {
        Some((emitted, accepted)) => Ok(Secrets::new(&Sha2, emitted, accepted)),
        None => Err("there is no dialback secret in it"),
    }
}
