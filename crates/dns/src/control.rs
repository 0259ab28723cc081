//! fedge-dns under controllers: gateways and local domains come with their snapshots, and not from the file.

use std::time::{Instant, SystemTime};

use agent::serve::Agent;
use agent::state::Kept;
use api::agent::Role;
use api::local::{Reply, Request, Status};
use daemon::control::{self, Control, Controlled, ControlledError};
use daemon::desk::unix;
use daemon::log::LogLevel;
use tokio::sync::mpsc;

use crate::config::Leads;

/// The daemon's name and version.
pub const PROGRAM: (&str, &str) = ("fedge-dns", env!("CARGO_PKG_VERSION"));

/// Lets controllers come.
///
/// # Errors
/// When the machine was never enrolled, or can't listen.
pub(crate) fn begin(control: &Control, level: LogLevel) -> Result<Controlled, ControlledError> {
    let check = |snapshot: &Kept| Leads::read(&snapshot.content).map(drop).map_err(|faults| faults.to_string());
    let began = Instant::now();
    let ask = move |agent: &Agent, request: &Request| {
        let (sender, replies) = mpsc::channel(1);
        // There is room, and somebody to take it.
        let _ = sender.try_send(answer(request, agent, &level, began));
        replies
    };
    Controlled::begin(control, (Role::Dns, PROGRAM), check, ask)
}

fn answer(request: &Request, agent: &Agent, level: &LogLevel, began: Instant) -> Reply {
    match request {
        Request::Status => Reply::Status(Status {
            program: PROGRAM.0.to_owned(),
            version: PROGRAM.1.to_owned(),
            up_seconds: began.elapsed().as_secs(),
            now: Some(unix(SystemTime::now())),
            log_level: level.name(),
            faces: Vec::new(),
            route: None,
            led: control::led(agent),
            members: Vec::new(),
            concerns: agent.concerns(),
            service: None,
            partners: 0,
            certificates: Vec::new(),
            uncovered: Vec::new(),
        }),
        Request::LogLevel { level: wanted } => match level.set(wanted) {
            Ok(()) => Reply::Done { what: format!("logging from level {wanted} on") },
            Err(why) => Reply::Refused { why },
        },
        _ => Reply::Refused { why: "fedge-dns carries no streams; ask an edge server or a gateway".to_owned() },
    }
}
