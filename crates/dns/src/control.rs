//! fedge-dns under controllers: gateways and local domains come with their snapshots, and not from the file.

use std::time::{Instant, SystemTime};

use agent::serve::Agent;
use agent::state::Kept;
use agent::zone_key::ZoneKey;
use api::agent::content::Secret;
use api::agent::{Head, Role};
use api::local::{Reply, Request, Status};
use daemon::control::{self, Control, Controlled, ControlledError};
use daemon::desk::unix;
use daemon::log::LogLevel;
use tokio::sync::mpsc;
use topology::faults::Faults;
use topology::records::Mark;

use crate::config::Leads;
use crate::zone::{Signing, ZoneKeys, Zones};

/// The daemon's name and version.
pub const PROGRAM: (&str, &str) = ("fedge-dns", env!("CARGO_PKG_VERSION"));

/// Lets controllers come.
///
/// # Errors
/// When the machine was never enrolled, or can't listen.
pub(crate) fn begin(control: &Control, level: LogLevel) -> Result<Controlled, ControlledError> {
    let check = |snapshot: &Kept| {
        let leads = Leads::read(&snapshot.content);
        leads.and_then(|leads| check(snapshot, &leads)).map_err(|faults| faults.to_string())
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

/// The zones as of a snapshot, signed at `now`: none, where partners' resolvers don't reach this server.
///
/// # Errors
/// Why they can't be served.
pub(crate) fn zones(snapshot: &Kept, leads: &Leads, now: SystemTime) -> Result<Zones, Faults> {
    let Some(published) = &leads.published else { return Ok(Zones::default()) };
    let signing = Signing { keys: keys(snapshot, leads)?, now: unix(now) };
    let made = Zones::new(published, &snapshot.head.route.pool, &mark(snapshot), &signing);
    made.map_err(|unserved| faults(snapshot, &unserved.to_string()))
}

/// Whether zones can be served by a snapshot.
fn check(snapshot: &Kept, leads: &Leads) -> Result<(), Faults> {
    let Some(published) = &leads.published else { return Ok(()) };
    let of = (published, snapshot.head.route.pool.as_str(), &mark(snapshot));
    Zones::check(of, &keys(snapshot, leads)?).map_err(|unserved| faults(snapshot, &unserved.to_string()))
}

fn mark(snapshot: &Kept) -> Mark {
    let Head { installation, version, route, .. } = &snapshot.head;
    Mark { owner: installation.clone(), epoch: route.epoch, topology: *version }
}

fn keys(snapshot: &Kept, leads: &Leads) -> Result<ZoneKeys, Faults> {
    let read = |(zone, drawn): (&String, &Secret)| match ZoneKey::read(drawn) {
        Ok(key) => Ok((zone.clone(), key)),
        Err(error) => Err(faults(snapshot, &format!("of the key of the zone {zone}: {error}"))),
    };
    leads.zone_keys.iter().map(read).collect()
}

/// One fault. Nothing is shown of the content, in which secrets are.
fn faults(snapshot: &Kept, what: &str) -> Faults {
    let mut faults = Faults::new("snapshot", &snapshot.content);
    faults.add(
        0..0,
        what,
        "look at the version of the topology that the controllers have, at its [route] and [[zone]]",
    );
    faults
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
