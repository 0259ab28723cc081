//! A member's agent: answers controllers, keeps the snapshots that they send, and has the member go by them.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, SystemTime};

use api::agent::{Credentials, Digest, Hello, Reply, Request, Role, Route, Snapshot, Validity, WORDS};
use api::local;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::certificate::Shown;
use crate::credentials::{self, CredentialsError, Own};
use crate::door::{self, Visitor};
use crate::lines::LineError;
use crate::state::{Incomplete, Kept, State, StateError};
use crate::succession;
use crate::tls;

/// Controllers connected at a time; the handshakes of more are answered when there is room.
const CONTROLLERS: usize = 16;
/// A controller that has nothing to say asks how we stand; one that doesn't is gone.
const SILENCE: Duration = Duration::from_secs(60);

/// What goes by the snapshots: a daemon.
pub trait Member: Send + Sync + 'static {
    /// Whether it can go by this; nothing is changed by asking.
    ///
    /// # Errors
    /// What in it can't be, and what to do.
    fn check(&self, snapshot: &Kept) -> Result<(), String>;

    /// Goes by this from now on. It is on the disk already. The same may come again.
    ///
    /// # Errors
    /// What didn't work, and what to do.
    fn apply(&self, snapshot: Arc<Kept>) -> impl Future<Output = Result<(), String>> + Send;

    /// Whether the route of the snapshot is known to be the route. After a start, and until a controller says so, it
    /// isn't.
    fn confirmed(&self, _route: &Route) {}

    /// New certificates are in the state folder.
    fn renewed(&self) {}

    /// Answers what a local command would ask, until all is said or nobody listens.
    fn ask(&self, request: local::Request) -> mpsc::Receiver<local::Reply>;
}

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The state folder.
    #[error("{0}")]
    State(#[from] StateError),
    /// The credentials in it.
    #[error("{0}")]
    Credentials(#[from] CredentialsError),
    /// Enrolled as something else.
    #[error(
        "{seen} was enrolled with this state folder, and this is the daemon of a {expected}; give each its own folder"
    )]
    Role {
        /// Who was.
        seen: Box<str>,
        /// What we are.
        expected: Role,
    },
}

/// The agent of an enrolled member. It has the state folder for itself.
pub struct Agent {
    program: (&'static str, &'static str),
    own: Own,
    tls: Arc<ArcSwap<ServerConfig>>,
    state: Arc<Mutex<State>>,
    standing: StdMutex<Standing>,
    concerns: Vec<String>,
}

/// How the member stands.
#[derive(Debug, Clone)]
struct Standing {
    have: Option<Arc<Kept>>,
    /// Whether the daemon goes by it.
    applied: bool,
    confirmed: bool,
    certificate: Validity,
}

impl Agent {
    /// Opens the state folder of a member that was enrolled. An expired certificate is no reason not to start: without
    /// a controller, everything goes on as it was.
    ///
    /// # Errors
    /// When the folder can't be used, or the member was never enrolled.
    pub fn open(folder: &Path, role: Role, program: (&'static str, &'static str)) -> Result<Agent, AgentError> {
        let (state, found) = State::open(folder)?;
        let issued = credentials::installed(folder)?;
        let what = "the agent's certificate";
        let chain = credentials::certificates(what, &issued.certificate)?;
        let shown = Shown::parse(&chain[0]).map_err(|alien| CredentialsError::Alien(what, alien))?;
        if shown.role != role {
            let seen = format!("the {} {}", shown.role, shown.fqdn).into();
            return Err(AgentError::Role { seen, expected: role });
        }
        let own = Own::open(folder, &shown.fqdn, role)?;
        if own.fingerprint() != shown.fingerprint {
            let seen = format!("the key {}", shown.fingerprint);
            return Err(CredentialsError::Another { what, seen, expected: own.to_string() }.into());
        }
        let config = tls::accepting(&own, &issued)?;
        let have = found.snapshot.map(Arc::new);
        let standing = Standing { applied: have.is_some(), have, confirmed: false, certificate: shown.validity };
        Ok(Agent {
            program,
            own,
            tls: Arc::new(ArcSwap::from_pointee(config)),
            state: Arc::new(Mutex::new(state)),
            standing: StdMutex::new(standing),
            concerns: found.concerns,
        })
    }

    /// The member's FQDN.
    pub fn fqdn(&self) -> &str {
        &self.own.fqdn
    }

    /// The hash of the member's key.
    pub fn fingerprint(&self) -> Digest {
        self.own.fingerprint()
    }

    /// The snapshot that the member goes by, or starts from.
    pub fn snapshot(&self) -> Option<Arc<Kept>> {
        self.standing().have
    }

    /// Whether a controller has said since the start that the snapshot's route is the route.
    pub fn is_confirmed(&self) -> bool {
        self.standing().confirmed
    }

    /// For how long its certificate is good.
    pub fn certificate(&self) -> Validity {
        self.standing().certificate
    }

    /// What somebody should look at, in sentences.
    pub fn concerns(&self) -> Vec<String> {
        concerns(&self.standing(), &self.concerns, unix(SystemTime::now()))
    }

    /// How the member stands.
    pub fn hello(&self) -> Hello {
        let standing = self.standing();
        Hello {
            words: WORDS,
            fqdn: self.own.fqdn.clone(),
            role: self.own.role,
            program: self.program.0.to_owned(),
            version: self.program.1.to_owned(),
            have: standing.have.as_ref().map(|have| have.head.clone()),
            applied: standing.applied,
            confirmed: standing.confirmed,
            certificate: Some(standing.certificate),
            concerns: self.concerns(),
        }
    }

    fn standing(&self) -> Standing {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stands(&self, change: impl FnOnce(&mut Standing)) {
        change(&mut self.standing.lock().unwrap_or_else(PoisonError::into_inner));
    }

    async fn answer(&self, member: &impl Member, request: Request) -> Reply {
        match request {
            Request::Hello => Reply::Hello(self.hello()),
            Request::Snapshot(sent) => self.take(member, sent).await,
            Request::Confirm { installation, route } => self.confirm(member, &installation, &route),
            Request::SigningRequest => match self.own.signing_request() {
                Ok(pem) => Reply::SigningRequest { pem },
                Err(error) => Reply::Refused { why: error.to_string() },
            },
            Request::Credentials(credentials) => match self.renew(&credentials).await {
                Ok(validity) => {
                    member.renewed();
                    Reply::Installed(validity)
                }
                Err(error) => Reply::Refused { why: error.to_string() },
            },
            Request::Enrol { .. } => {
                let why = "this member is enrolled already; to enrol it anew, run its command `enrol` there first";
                Reply::Refused { why: why.to_owned() }
            }
            // The session answers it: there may be more than one reply.
            Request::Local { .. } => Reply::End,
        }
    }

    async fn take(&self, member: &impl Member, sent: Snapshot) -> Reply {
        let refused = |why: String| Reply::Refused { why };
        // One at a time, also where several controllers send.
        let state = self.state.clone().lock_owned().await;
        let standing = self.standing();
        let have = standing.have.as_deref();
        if let Err(refusal) = succession::accept(&self.own.fqdn, have.map(|have| &have.head), &sent.head) {
            return refused(refusal.to_string());
        }
        let kept = match Kept::of(sent, have) {
            Ok(kept) => kept,
            Err(Incomplete::Missing(content)) => return Reply::Missing { content },
            Err(damaged) => return refused(damaged.to_string()),
        };
        let known = have == Some(&kept);
        if let Err(why) = member.check(&kept) {
            return refused(why);
        }
        let kept = Arc::new(kept);
        if !known && let Err(error) = keep(state, &kept).await {
            return refused(error);
        }
        self.stands(|standing| {
            standing.have = Some(kept.clone());
            standing.applied &= known;
        });
        if !known || !standing.applied {
            if let Err(why) = member.apply(kept.clone()).await {
                return refused(format!("the snapshot is kept and will be tried again, but can't be applied: {why}"));
            }
            self.stands(|standing| standing.applied = true);
            let (version, epoch) = (kept.head.version, kept.head.route.epoch);
            tracing::info!(version, epoch, pool = kept.head.route.pool, "a snapshot was taken");
        }
        self.route_is_known(member, &kept.head.route);
        Reply::Applied { version: kept.head.version, epoch: kept.head.route.epoch }
    }

    fn confirm(&self, member: &impl Member, installation: &str, route: &Route) -> Reply {
        let Standing { have, applied, .. } = self.standing();
        if have.is_some() && !applied {
            let why = "the snapshot with this route is kept here and could not be applied; send it again";
            return Reply::Refused { why: why.to_owned() };
        }
        let head = have.as_deref().map(|have| &have.head);
        match (succession::confirm(head, installation, route), head) {
            (Ok(()), Some(head)) => {
                self.route_is_known(member, route);
                Reply::Applied { version: head.version, epoch: route.epoch }
            }
            (Ok(()), None) => Reply::Refused { why: succession::Refusal::Nothing.to_string() },
            (Err(refusal), _) => Reply::Refused { why: refusal.to_string() },
        }
    }

    fn route_is_known(&self, member: &impl Member, route: &Route) {
        if !self.is_confirmed() {
            tracing::info!(epoch = route.epoch, pool = route.pool, "a controller confirms the route");
        }
        self.stands(|standing| standing.confirmed = true);
        member.confirmed(route);
    }

    async fn renew(&self, credentials: &Credentials) -> Result<Validity, CredentialsError> {
        let validity = self.own.check(credentials)?;
        let config = tls::accepting(&self.own, &credentials.agent)?;
        let state = self.state.lock().await;
        credentials::install(state.folder(), credentials)?;
        drop(state);
        self.tls.store(Arc::new(config));
        self.stands(|standing| standing.certificate = validity);
        tracing::info!(not_after = validity.not_after, "a controller renewed the certificates");
        Ok(validity)
    }

    async fn session(&self, member: &impl Member, visitor: &mut Visitor) -> LineError {
        let mut said = visitor.lines.write(&Reply::Hello(self.hello())).await;
        loop {
            if let Err(error) = said {
                return error;
            }
            said = match visitor.lines.read(SILENCE).await {
                Ok(Request::Local { request }) => local(member, request, visitor).await,
                Ok(request) => {
                    let reply = self.answer(member, request).await;
                    if let Reply::Refused { why } = &reply {
                        tracing::warn!(controller = visitor.controller, why, "a controller's request was refused");
                    }
                    visitor.lines.write(&reply).await
                }
                Err(LineError::Unreadable(error)) => {
                    let why = LineError::Unreadable(error).to_string();
                    visitor.lines.write(&Reply::Refused { why }).await
                }
                Err(error) => Err(error),
            };
        }
    }
}

/// Passes on what the member answers. Who says something else, or leaves, has heard enough.
async fn local(member: &impl Member, request: local::Request, visitor: &mut Visitor) -> Result<(), LineError> {
    let mut replies = member.ask(request);
    loop {
        let reply = tokio::select! {
            biased;
            reply = replies.recv() => reply,
            () = visitor.lines.stirs() => None,
        };
        match reply {
            Some(reply) => visitor.lines.write(&Reply::Local { reply }).await?,
            None => return visitor.lines.write(&Reply::End).await,
        }
    }
}

/// Writing waits for the disk.
async fn keep(mut state: tokio::sync::OwnedMutexGuard<State>, kept: &Arc<Kept>) -> Result<(), String> {
    let kept = kept.clone();
    let written = tokio::task::spawn_blocking(move || state.keep(&kept)).await;
    match written {
        Ok(written) => written.map_err(|error| error.to_string()),
        Err(failed) => Err(io::Error::other(failed).to_string()),
    }
}

fn concerns(standing: &Standing, found: &[String], now: u64) -> Vec<String> {
    let mut concerns = found.to_vec();
    if standing.have.is_none() {
        concerns.push("no controller has sent a snapshot yet; look whether one can reach this member".to_owned());
    } else if !standing.confirmed {
        let why = "no controller has been here since the start, so the route is the last one known, and unconfirmed; look \
                   whether one can reach this member";
        concerns.push(why.to_owned());
    }
    let Validity { not_before, not_after } = standing.certificate;
    // A new one was due long before.
    let last_sixth = not_after.saturating_sub(not_after.saturating_sub(not_before) / 6);
    if now >= not_after {
        let why = "the certificate by which controllers know this member has expired; enrol it anew";
        concerns.push(why.to_owned());
    } else if now >= last_sixth {
        concerns.push(format!(
            "the certificate by which controllers know this member ends in {} days and no controller has renewed it; look \
             whether one can reach this member",
            (not_after - now) / (24 * 3600)
        ));
    }
    concerns
}

pub(crate) fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// An agent at work; leaving scope ends it.
#[derive(Debug)]
pub struct Serving {
    _tasks: JoinSet<()>,
}

/// Answers controllers on the listeners.
pub fn serve(listeners: Vec<TcpListener>, agent: Arc<Agent>, member: Arc<impl Member>) -> Serving {
    for listener in &listeners {
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, "controllers may come");
        }
    }
    let (sender, mut visitors) = mpsc::channel::<Visitor>(1);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut doors = door::open(listeners, &agent.tls, &sender);
        let mut served = JoinSet::new();
        loop {
            if served.len() == CONTROLLERS {
                served.join_next().await;
                continue;
            }
            let Some(mut visitor) = visitors.recv().await else { break };
            while served.try_join_next().is_some() {}
            let (agent, member) = (agent.clone(), member.clone());
            served.spawn(async move {
                let (controller, address) = (visitor.controller.clone(), visitor.address);
                tracing::info!(controller, %address, "a controller came");
                let reason = agent.session(&*member, &mut visitor).await;
                visitor.lines.close().await;
                tracing::info!(controller, %address, %reason, "a controller left");
            });
        }
        doors.shutdown().await;
    });
    Serving { _tasks: tasks }
}

#[cfg(test)]
mod tests;
