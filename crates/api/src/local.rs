//! Asking a daemon on the same machine, over its Unix socket: one JSON line there, lines back.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;

use crate::probe;

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Request {
    /// How the daemon is: one [`Reply::Status`].
    Status,
    /// Whether it can serve: one [`Reply::Health`].
    Health,
    /// The open streams: one [`Reply::Streams`].
    Streams,
    /// End a stream: one [`Reply::Done`].
    Close {
        /// Its number.
        stream: u64,
    },
    /// Log from another level on: one [`Reply::Done`].
    LogLevel {
        /// `error`, `warn`, `info`, `debug` or `trace`.
        level: String,
    },
    /// Follow a stream: [`Reply::Traced`] until the asker leaves, then [`Reply::Done`] when the
    /// stream ends.
    Trace {
        /// Its number.
        stream: u64,
    },
    /// Make another pool carry the route: one [`Reply::Done`].
    Route {
        /// Its name.
        pool: String,
    },
    /// What became of the stanzas with this id: one [`Reply::Stanzas`].
    Stanza {
        /// The id.
        id: String,
    },
    /// Of the federation service: one [`Reply::Service`] when it is done, and where it drains, when it has.
    Service {
        /// What to do with it.
        action: ServiceAction,
        /// For how many seconds it may drain; what the configuration says where it isn't given.
        seconds: Option<u64>,
        /// How it goes on after a drain, where the route has left its pool.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rest: Option<Rest>,
    },
    /// How far a domain's servers can be reached: one [`Reply::Probed`].
    Probe(probe::Request),
}

/// What follows a drain because the route has left the pool: partners are refused for a while, so that they look for the
/// pool that has it now, and then taken in again by a pool that stands by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// The epoch with which the route left. Who has finished for it already, does nothing more.
    pub epoch: u64,
    /// For how many seconds partners are refused, at most an hour.
    pub seconds: u64,
}

/// What is done with the federation service: with what an edge server does for partners, its entrance and its external
/// streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceAction {
    /// Say how it is.
    Status,
    /// Take partners in again.
    Start,
    /// Drain it, and leave it closed, also over a restart, until it is started.
    Stop,
    /// Drain it, and take partners in again after that.
    Drain,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant, reason = "there is one at a time, on its way to whoever asked")]
pub enum Reply {
    /// How the daemon is.
    Status(Status),
    /// Whether it can serve.
    Health(Health),
    /// The open streams, oldest first.
    Streams {
        /// One each.
        streams: Vec<Stream>,
    },
    /// The latest stanzas with an id.
    Stanzas {
        /// One each; ids aren't unique.
        stanzas: Vec<Stanza>,
    },
    /// Something was said on a followed stream.
    Traced {
        /// Direction (`<` received, `>` sent) and XML without text.
        line: String,
    },
    /// How the federation service is.
    Service(Service),
    /// How far a domain's servers could be reached.
    Probed(probe::Probed),
    /// It was done.
    Done {
        /// What was done.
        what: String,
    },
    /// It can't be done.
    Refused {
        /// Why, and what to do instead.
        why: String,
    },
}

/// How a daemon is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its name, such as `fedge-edge`.
    pub program: String,
    /// Its version.
    pub version: String,
    /// For how many seconds it has been running.
    pub up_seconds: u64,
    /// What its clock says: seconds since 1970. Older versions don't tell.
    #[serde(default)]
    pub now: Option<u64>,
    /// The level from which on it logs.
    pub log_level: String,
    /// Its faces.
    pub faces: Vec<FaceStatus>,
    /// The pool that carries the route, where that is decided by this daemon.
    pub route: Option<String>,
    /// By what controllers lead it, where they do.
    #[serde(default)]
    pub led: Option<Led>,
    /// The other ends of its trunk, where it has one over the network.
    pub members: Vec<Member>,
    /// What somebody should look at, in sentences; empty when all is well.
    pub concerns: Vec<String>,
    /// Its federation service, where it has one.
    #[serde(default)]
    pub service: Option<Service>,
    /// Partners with whom a stream is open on the external face, and proven.
    #[serde(default)]
    pub partners: u64,
    /// The certificates that it shows.
    #[serde(default)]
    pub certificates: Vec<Certificate>,
    /// Our own domains for which it has no certificate, or none that is good for another week.
    #[serde(default)]
    pub uncovered: Vec<String>,
}

/// How a federation service is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// In one word.
    pub state: ServiceState,
    /// Since when: seconds since 1970.
    pub since: u64,
    /// How its last drain went, if there was one.
    pub last: Option<Drained>,
    /// The epoch of the route for which it has finished what it had, since the daemon started.
    #[serde(default)]
    pub rested: Option<u64>,
}

/// How a federation service is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// It takes partners in.
    Running,
    /// It finishes what it has, and takes nothing new.
    Draining,
    /// It is closed.
    Stopped,
    /// It is closed for a while, since the route has left its pool.
    Resting,
}

impl ServiceState {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            ServiceState::Running => "running",
            ServiceState::Draining => "draining",
            ServiceState::Stopped => "stopped",
            ServiceState::Resting => "resting",
        }
    }
}

impl std::fmt::Display for ServiceState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// How a drain went, in stanzas that were under way when it began, or came while it drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// Taken by the next server.
    pub finished: u64,
    /// Sent back to their senders as errors.
    pub returned: u64,
    /// Without an outcome when it ended, and errors that couldn't be brought to their senders.
    pub left: u64,
    /// How long it took.
    pub seconds: u64,
    /// Partners' streams that stay until they pause, since what they say meanwhile would be lost otherwise.
    #[serde(default)]
    pub stay: u64,
}

/// A certificate that a daemon shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Where it is used: `external`, `internal` or `trunk`.
    pub used_for: String,
    /// Its file, or what it is.
    pub name: String,
    /// When it expires: seconds since 1970.
    pub not_after: u64,
}

/// By what controllers lead a daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Led {
    /// The topology's version.
    pub version: u64,
    /// The route's epoch.
    pub epoch: u64,
    /// The pool that carries the route.
    pub pool: String,
    /// Whether a controller has said since the start that this is the route.
    pub confirmed: bool,
}

/// Whether a daemon can serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// In one word.
    pub state: State,
    /// Why it isn't ready, in a sentence.
    pub why: Option<String>,
    /// Whether it is where the federation route leads, as controllers have confirmed; nothing where they don't lead it.
    #[serde(default)]
    pub routed: Option<bool>,
}

/// How far a daemon can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It takes what comes, and can bring it on.
    Ready,
    /// It works, but nobody is there to whom what comes could be brought: the other end of the trunk is missing.
    Waiting,
    /// It finishes what it has, and takes nothing new.
    Draining,
    /// It runs, and doesn't answer: it is frozen, or its machine has far too much to do.
    Silent,
    /// Nobody is at its socket, or an administrator has stopped its federation service.
    Stopped,
}

impl State {
    /// All that there are.
    pub const ALL: [State; 5] = [State::Ready, State::Waiting, State::Draining, State::Silent, State::Stopped];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            State::Ready => "ready",
            State::Waiting => "waiting",
            State::Draining => "draining",
            State::Silent => "silent",
            State::Stopped => "stopped",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// An edge server as a gateway sees it, or a gateway as an edge server does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Whether the trunk to it is up.
    pub connected: bool,
    /// Whether it carries the route.
    pub routed: bool,
}

/// How a face is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaceStatus {
    /// `external` or `internal`.
    pub face: String,
    /// Where it accepts streams.
    pub listen: Vec<String>,
    /// Streams that were accepted and are open.
    pub accepted_streams: u64,
    /// Streams that were dialed and are open.
    pub dialed_streams: u64,
    /// How many streams it accepts at once. Older versions don't tell.
    #[serde(default)]
    pub places: Option<u64>,
    /// What became of the stanzas that came in on it.
    pub stanzas: Counts,
    /// Errors on their way back to the senders of such stanzas. Older versions don't tell.
    #[serde(default)]
    pub errors: u64,
}

/// What became of stanzas. At any time `accepted = taken + returned + failed + in_flight`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Came in and may pass.
    pub accepted: u64,
    /// Taken by the next server.
    pub taken: u64,
    /// Went back to their senders as errors.
    pub returned: u64,
    /// Errors, results and presence of rooms that couldn't be delivered, which are not returned.
    pub failed: u64,
    /// Without an outcome yet.
    pub in_flight: u64,
}

impl std::ops::Add for Counts {
    type Output = Counts;

    fn add(self, other: Counts) -> Counts {
        Counts {
            accepted: self.accepted + other.accepted,
            taken: self.taken + other.taken,
            returned: self.returned + other.returned,
            failed: self.failed + other.failed,
            in_flight: self.in_flight + other.in_flight,
        }
    }
}

impl std::ops::Sub for Counts {
    type Output = Counts;

    /// Takes away what was added before.
    fn sub(self, other: Counts) -> Counts {
        Counts {
            accepted: self.accepted - other.accepted,
            taken: self.taken - other.taken,
            returned: self.returned - other.returned,
            failed: self.failed - other.failed,
            in_flight: self.in_flight - other.in_flight,
        }
    }
}

/// An open stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Its number, by which commands name it.
    pub number: u64,
    /// `external` or `internal`.
    pub face: String,
    /// `accepted` or `dialed`.
    pub direction: String,
    /// The peer's address.
    pub peer: String,
    /// TLS version and cipher suite.
    pub tls: Option<String>,
    /// Who speaks to whom on it, and how that was proven.
    pub pairs: Vec<Pair>,
    /// For how many seconds it has been open.
    pub open_seconds: u64,
    /// Stanzas that passed.
    pub stanzas: u64,
}

/// A domain pair on a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The domain that sends.
    pub from: String,
    /// The domain that receives.
    pub to: String,
    /// `EXTERNAL` or `dialback`.
    pub method: String,
}

/// What became of a stanza.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stanza {
    /// The domain that sent it.
    pub from: String,
    /// The domain that was to receive it.
    pub to: String,
    /// `message`, `presence` or `iq`.
    pub kind: String,
    /// When it came in: seconds since 1970.
    pub accepted_at: u64,
    /// When its fate was last heard of: seconds since 1970.
    pub changed_at: u64,
    /// What happened, in words.
    pub fate: String,
}

/// Why a daemon couldn't be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens, or we may not.
    #[error("nobody answers at {socket} ({error}); is the daemon running, and may this user open its socket?")]
    Unreachable {
        /// The socket.
        socket: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The connection broke.
    #[error("the daemon's answer broke off: {0}")]
    Broken(#[from] std::io::Error),
    /// Another version, most likely.
    #[error("the daemon's answer can't be read ({0}); are both of one version?")]
    Unreadable(#[from] serde_json::Error),
}

/// The answers to one request.
#[derive(Debug)]
pub struct Replies(Lines<BufReader<UnixStream>>);

/// Asks the daemon that listens on `socket`.
///
/// # Errors
/// When nobody answers there.
pub async fn ask(socket: &Path, request: &Request) -> Result<Replies, AskError> {
    let unreachable = |error| AskError::Unreachable { socket: socket.display().to_string(), error };
    let mut stream = UnixStream::connect(socket).await.map_err(unreachable)?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    Ok(Replies(BufReader::new(stream).lines()))
}

impl Replies {
    /// The next answer; nothing after the last.
    ///
    /// # Errors
    /// When the connection broke or the answer can't be read.
    pub async fn next(&mut self) -> Result<Option<Reply>, AskError> {
        match self.0.next_line().await? {
            Some(line) => Ok(Some(serde_json::from_str(&line)?)),
            None => Ok(None),
        }
    }
}
