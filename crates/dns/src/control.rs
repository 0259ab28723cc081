//! fedge-dns under controllers: gateways and local domains come with their snapshots, and not from the file.

use std::sync::Arc;
use std::time::Instant;

use agent::serve::{self, Agent, AgentError, Serving};
use agent::state::Kept;
use api::agent::Role;
use api::local::{Reply, Request, Status};
use daemon::control::{Change, Control, Follower};
use daemon::life;
use daemon::log::LogLevel;
use tokio::sync::mpsc;

use crate::config::Leads;

/// The daemon's name and version.
pub const PROGRAM: (&str, &str) = ("fedge-dns", env!("CARGO_PKG_VERSION"));

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
        let listeners = life::listen(&control.listen, &[])?;
        for concern in agent.concerns() {
            tracing::warn!("{concern}");
        }
        let check = |snapshot: &Kept| Leads::read(&snapshot.content).map(drop).map_err(|faults| faults.to_string());
        let (asked, began) = (agent.clone(), Instant::now());
        let ask = move |request: Request| {
            let (sender, replies) = mpsc::channel(1);
            // There is room, and somebody to take it.
            let _ = sender.try_send(answer(&request, &asked, &level, began));
            replies
        };
        let (follower, changes) = Follower::new(check, ask);
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

fn answer(request: &Request, agent: &Agent, level: &LogLevel, began: Instant) -> Reply {
    match request {
        Request::Status => Reply::Status(Status {
            program: PROGRAM.0.to_owned(),
            version: PROGRAM.1.to_owned(),
            up_seconds: began.elapsed().as_secs(),
            log_level: level.name(),
            faces: Vec::new(),
            route: None,
            members: Vec::new(),
            concerns: agent.concerns(),
        }),
        Request::LogLevel { level: wanted } => match level.set(wanted) {
            Ok(()) => Reply::Done { what: format!("logging from level {wanted} on") },
            Err(why) => Reply::Refused { why },
        },
        _ => Reply::Refused { why: "fedge-dns carries no streams; ask an edge server or a gateway".to_owned() },
    }
}
