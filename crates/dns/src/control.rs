//! fedge-dns under controllers: gateways and local domains come with their snapshots, and not from the file.

use std::sync::Arc;
use std::time::Instant;

use agent::serve::{self, Agent, AgentError, Member, Serving};
use agent::state::Kept;
use api::agent::Role;
use api::local::{Reply, Request, Status};
use daemon::control::Control;
use daemon::life;
use daemon::log::LogLevel;
use tokio::sync::{mpsc, oneshot};

use crate::config::Leads;

/// The daemon's name and version.
pub const PROGRAM: (&str, &str) = ("fedge-dns", env!("CARGO_PKG_VERSION"));

/// A snapshot that the daemon is to go by, and whom to tell how that went.
pub(crate) type Change = (Arc<Kept>, oneshot::Sender<Result<(), String>>);

/// What controllers reach: the agent at work, and the snapshots that it takes.
pub(crate) struct Controlled {
    pub(crate) agent: Arc<Agent>,
    pub(crate) changes: mpsc::Receiver<Change>,
    _serving: Serving,
}

impl Controlled {
    /// Lets controllers come.
    ///
    /// # Errors
    /// When the machine was never enrolled, or can't listen.
    pub(crate) fn begin(control: &Control, level: LogLevel) -> Result<Controlled, ControlledError> {
        let agent = Arc::new(control.open(Role::Dns, PROGRAM)?);
        let listeners = life::listen(&control.listen)?;
        for concern in agent.concerns() {
            tracing::warn!("{concern}");
        }
        let (sender, changes) = mpsc::channel(1);
        let follower = Follower { changes: sender, level, agent: agent.clone(), began: Instant::now() };
        let serving = serve::serve(listeners, agent.clone(), Arc::new(follower));
        Ok(Controlled { agent, changes, _serving: serving })
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
    Listen(#[from] life::ListenError),
}

struct Follower {
    changes: mpsc::Sender<Change>,
    level: LogLevel,
    agent: Arc<Agent>,
    began: Instant,
}

impl Member for Follower {
    fn check(&self, snapshot: &Kept) -> Result<(), String> {
        Leads::read(&snapshot.content).map(drop).map_err(|faults| faults.to_string())
    }

    async fn apply(&self, snapshot: Arc<Kept>) -> Result<(), String> {
        let ends = |_| "fedge-dns is about to end".to_owned();
        let (done, told) = oneshot::channel();
        self.changes.send((snapshot, done)).await.map_err(|_| ends(()))?;
        told.await.map_err(|_| ends(()))?
    }

    fn ask(&self, request: Request) -> mpsc::Receiver<Reply> {
        let (sender, replies) = mpsc::channel(1);
        let reply = match request {
            Request::Status => Reply::Status(Status {
                program: PROGRAM.0.to_owned(),
                version: PROGRAM.1.to_owned(),
                up_seconds: self.began.elapsed().as_secs(),
                log_level: self.level.name(),
                faces: Vec::new(),
                route: None,
                members: Vec::new(),
                concerns: self.agent.concerns(),
            }),
            Request::LogLevel { level } => match self.level.set(&level) {
                Ok(()) => Reply::Done { what: format!("logging from level {level} on") },
                Err(why) => Reply::Refused { why },
            },
            _ => Reply::Refused { why: "fedge-dns carries no streams; ask an edge server or a gateway".to_owned() },
        };
        // There is room, and somebody to take it.
        let _ = sender.try_send(reply);
        replies
    }
}
