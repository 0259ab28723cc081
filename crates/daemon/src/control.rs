//! `[control]`: where controllers come to a daemon that goes by what they send, and how it gets what they send.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use agent::credentials;
use agent::serve::{self, Agent, AgentError, Member, Serving};
use agent::state::Kept;
use api::agent::Role;
use api::local::{self, Reply, Request};
use net::trunk::tls;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};
use toml::Spanned;
use topology::faults::Faults;

use crate::desk::Certificate;
use crate::life::{self, ListenError};

/// `[control]`, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "docs/configuration.md says what each key means")]
pub struct Section {
    pub listen: Spanned<Vec<SocketAddr>>,
    pub state: PathBuf,
}

/// Where controllers come to, and what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Where the agent listens.
    pub listen: Vec<SocketAddr>,
    /// The folder of the key, the certificates and the snapshot.
    pub state: PathBuf,
}

/// A snapshot that the daemon is to go by, and whom to tell how that went.
pub type Change = (Arc<Kept>, oneshot::Sender<Result<(), String>>);

/// What controllers reach of a daemon: snapshots are checked at once, and handed over to whoever runs the daemon.
pub struct Follower<Check, Ask> {
    check: Check,
    ask: Ask,
    changes: mpsc::Sender<Change>,
}

impl<Check, Ask> Follower<Check, Ask> {
    /// `check` says whether the daemon could go by a snapshot, `ask` answers what a local command would ask. What comes
    /// out of the channel is to be gone by, in its order.
    pub fn new(check: Check, ask: Ask) -> (Follower<Check, Ask>, mpsc::Receiver<Change>) {
        let (changes, receiver) = mpsc::channel(1);
        (Follower { check, ask, changes }, receiver)
    }
}

impl<Check, Ask> Member for Follower<Check, Ask>
where
    Check: Fn(&Kept) -> Result<(), String> + Send + Sync + 'static,
    Ask: Fn(Request) -> mpsc::Receiver<Reply> + Send + Sync + 'static,
{
    fn check(&self, snapshot: &Kept) -> Result<(), String> {
        (self.check)(snapshot)
    }

    async fn apply(&self, snapshot: Arc<Kept>) -> Result<(), String> {
        let ends = || "the daemon is about to end; send the snapshot again when it is back".to_owned();
        let (done, told) = oneshot::channel();
        self.changes.send((snapshot, done)).await.map_err(|_| ends())?;
        told.await.map_err(|_| ends())?
    }

    fn ask(&self, request: Request) -> mpsc::Receiver<Reply> {
        (self.ask)(request)
    }
}

impl Section {
    /// What it means; the folder is found from `folder`.
    pub fn read(&self, folder: &Path, faults: &mut Faults) -> Control {
        if self.listen.get_ref().is_empty() {
            let remedy = "name this machine's internal address, such as \"10.0.0.10:5271\"";
            faults.add(self.listen.span(), "no controller could come", remedy);
        }
        Control { listen: self.listen.get_ref().clone(), state: folder.join(&self.state) }
    }
}

impl Control {
    /// What an enrolled edge server or gateway shows on the trunk, and knows others by.
    pub fn trunk(&self) -> tls::Files {
        let [certificate, ca] = credentials::TRUNK.map(|name| self.state.join(name));
        tls::Files { ca, certificate, key: self.state.join(credentials::KEY) }
    }
}

/// Why controllers can't come.
#[derive(Debug, thiserror::Error)]
pub enum ControlledError {
    /// The state folder and what is in it.
    #[error("{0}")]
    Agent(#[from] AgentError),
    /// An address that the agent should listen on.
    #[error("{0}")]
    Listen(#[from] ListenError),
    /// A snapshot that was kept can't be understood by this version.
    #[error("the snapshot in the state folder can't be used: {0}")]
    Snapshot(#[from] Faults),
}

/// What controllers reach of a daemon: the agent at work, and the snapshots that it takes.
pub struct Controlled {
    /// The agent.
    pub agent: Arc<Agent>,
    /// What is to be gone by, in its order.
    pub changes: mpsc::Receiver<Change>,
    _serving: Serving,
}

impl Controlled {
    /// Lets controllers come. `check` says whether the daemon could go by a snapshot, `ask` answers what a local command
    /// would ask.
    ///
    /// # Errors
    /// When the machine was never enrolled, or can't listen.
    pub fn begin(
        control: &Control,
        (role, program): (Role, (&'static str, &'static str)),
        check: impl Fn(&Kept) -> Result<(), String> + Send + Sync + 'static,
        ask: impl Fn(&Agent, &Request) -> mpsc::Receiver<Reply> + Send + Sync + 'static,
    ) -> Result<Controlled, ControlledError> {
        let agent = Arc::new(Agent::open(&control.state, role, program)?);
        let listeners = life::listen(&control.listen, &[])?;
        for concern in agent.concerns() {
            tracing::warn!("{concern}");
        }
        let asked = agent.clone();
        let (follower, changes) = Follower::new(check, move |request| ask(&asked, &request));
        let serving = serve::serve(listeners, agent.clone(), Arc::new(follower));
        Ok(Controlled { agent, changes, _serving: serving })
    }

    /// The snapshot to start from: the one that was kept; where none is, the first that comes, with whom to tell how
    /// that went.
    pub async fn first(&mut self) -> (Arc<Kept>, Option<oneshot::Sender<Result<(), String>>>) {
        if let Some(kept) = self.agent.snapshot() {
            return (kept, None);
        }
        // So that whoever waits for us to be ready doesn't end us meanwhile.
        life::waiting();
        tracing::error!("there is no snapshot here, so nothing is done until a controller sends one");
        match self.changes.recv().await {
            Some((kept, done)) => (kept, Some(done)),
            None => std::future::pending().await,
        }
    }

    /// The next snapshot, and whom to tell how it went.
    pub async fn next(&mut self) -> Change {
        match self.changes.recv().await {
            Some(change) => change,
            // Its sender is the agent's, which we have.
            None => std::future::pending().await,
        }
    }
}

/// By what controllers lead the daemon; nothing before the first snapshot.
pub fn led(agent: &Agent) -> Option<local::Led> {
    let head = agent.snapshot()?.head.clone();
    let confirmed = agent.is_confirmed();
    Some(local::Led { version: head.version, epoch: head.route.epoch, pool: head.route.pool, confirmed })
}

/// By which controllers know this daemon.
pub fn certificate(agent: &Agent) -> Certificate {
    let not_after = SystemTime::UNIX_EPOCH + Duration::from_secs(agent.certificate().not_after);
    Certificate { used_for: "control", name: agent.fqdn().to_owned(), not_after }
}

#[cfg(test)]
mod tests {
    use api::agent::Route;

    use super::*;

    fn follower() -> (impl Member, mpsc::Receiver<Change>) {
        let check = |snapshot: &Kept| if snapshot.content.is_empty() { Err("it is empty".to_owned()) } else { Ok(()) };
        Follower::new(check, |_| mpsc::channel(1).1)
    }

    fn kept(content: &str) -> Kept {
        let route = Route { epoch: 1, pool: "pool1.contoso.test".to_owned() };
        Kept::new("contoso-1", "edge1.contoso.test", (1, "topology"), route, content.to_owned())
    }

    #[tokio::test]
    async fn who_sent_a_snapshot_hears_how_it_went() {
        let (follower, mut changes) = follower();
        assert_eq!(follower.check(&kept("")), Err("it is empty".to_owned()));
        for said in [Ok(()), Err("no port is free".to_owned())] {
            let (applied, ()) = tokio::join!(follower.apply(Arc::new(kept("a"))), async {
                let (snapshot, done) = changes.recv().await.expect("a change");
                assert_eq!(*snapshot, kept("a"));
                done.send(said.clone()).expect("somebody waits");
            });
            assert_eq!(applied, said);
        }
        // Nobody is left with the belief that it was done.
        let (applied, ()) = tokio::join!(follower.apply(Arc::new(kept("a"))), async {
            drop(changes.recv().await);
        });
        assert!(applied.expect_err("dropped").contains("about to end"));
        drop(changes);
        assert!(follower.apply(Arc::new(kept("a"))).await.expect_err("nobody runs it").contains("about to end"));
    }
}
