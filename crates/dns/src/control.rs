//! fedge-dns under controllers: gateways and local domains come with their snapshots, and not from the file.

use std::time::{Instant, SystemTime};

use agent::serve::Agent;
use agent::state::Kept;
use api::agent::{Head, Role};
use api::local::{Reply, Request, Status};
use daemon::control::{self, Control, Controlled, ControlledError};
use daemon::desk::unix;
use daemon::log::LogLevel;
use tokio::sync::mpsc;
use topology::faults::Faults;
use topology::records::Mark;

use crate::config::Leads;
use crate::zone::Zones;

/// The daemon's name and version.
pub const PROGRAM: (&str, &str) = ("fedge-dns", env!("CARGO_PKG_VERSION"));

/// Lets controllers come.
///
/// # Errors
/// When the machine was never enrolled, or can't listen.
pub(crate) fn begin(control: &Control, level: LogLevel) -> Result<Controlled, ControlledError> {
    let check = |snapshot: &Kept| {
        let leads = Leads::read(&snapshot.content);
        leads.and_then(|leads| zones(snapshot, &leads)).map(drop).map_err(|faults| faults.to_string())
    };
    let began = Instant::now();
    let ask = move |agent: &Agent, request: &Request| {
        let (sender, replies) = mpsc::channel(1);
        // There is room, and somebody to take it.
        let _ = sender.try_send(answer(request, agent, &level, began));
        replies
    };
    Controlled::begin(control, (Role::Dns, PROGRAM), check, ask)
}

/// The zones as of a snapshot: none, where partners' resolvers don't reach this server.
///
/// # Errors
/// When the pool with the route isn't among those that are published: without any, federation would end.
pub(crate) fn zones(snapshot: &Kept, leads: &Leads) -> Result<Zones, Faults> {
    let Some(published) = &leads.published else { return Ok(Zones::default()) };
    let Head { installation, version, route, .. } = &snapshot.head;
    let mark = Mark { owner: installation.clone(), epoch: route.epoch, topology: *version };
    Zones::new(published, &route.pool, &mark).ok_or_else(|| {
        let mut faults = Faults::new("snapshot", &snapshot.content);
        let what = format!("the route is with {}, which isn't among the pools that are published", route.pool);
        faults.add(0..0, what, "the topology must have it in [route]; look at the version that the controllers have");
        faults
    })
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
