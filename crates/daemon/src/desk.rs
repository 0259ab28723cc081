//! The desk where local commands ask: a Unix socket, for those who may open it.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use api::local::{
    self, FaceStatus, Health, Member, Pair, Reply, Request, Rest, ServiceAction, ServiceState, Stanza, State, Status,
    Stream,
};
use net::face::FaceState;
use net::fate::{Fates, Record};
use net::streams::{Command, Direction, StreamInfo, Streams};
use net::trunk::members::Standing;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;
use topology::face::Face;

use crate::life;
use crate::log::LogLevel;
use crate::probe::{NO_FACE, Probes};

/// A request is longer only by mistake.
const REQUEST: u64 = 64 * 1024;
/// Replies that may wait to be taken.
const REPLIES: usize = 16;
/// Before the next try, when a connection can't be accepted.
const PAUSE: Duration = Duration::from_millis(100);
/// For a request to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is said where nothing can be stopped alone.
const NO_SERVICE: &str =
    "there is no federation service here that could be stopped alone; end the daemon, which drains";

/// What is said where somebody has stopped something.
const STOPPED: &str = "an administrator has stopped the federation service; `service start` starts it";

/// What is said where the route has just left.
const RESTING: &str = "the route has left its pool, so partners are refused for a while and look for the other one";

/// What the desk knows.
pub struct Desk {
    /// The daemon's name and version.
    pub program: (&'static str, &'static str),
    /// When the daemon began.
    pub began: Instant,
    /// The level of the log.
    pub level: LogLevel,
    /// The open streams.
    pub streams: Arc<Streams>,
    /// What became of stanzas.
    pub fates: Arc<Fates>,
    /// Whether the daemon drains, from [`Desk::drains`] on.
    pub draining: AtomicBool,
    /// Each face, and where it listens.
    pub faces: Vec<(Arc<FaceState>, Vec<SocketAddr>)>,
    /// From where it is probed, where there is no face.
    pub looks_from: Option<Arc<FaceState>>,
    /// What is probed at this moment.
    pub probes: Probes,
    /// What is this daemon's alone.
    pub office: Box<dyn Office>,
}

/// What a daemon's desk answers that is this daemon's alone.
pub trait Office: Send + Sync {
    /// What somebody should look at, in sentences.
    fn concerns(&self) -> Vec<String>;

    /// Why nothing that comes could be brought on, in a sentence, while that is so.
    fn hindrance(&self) -> Option<String> {
        None
    }

    /// The other ends of its trunk, where it has one over the network.
    fn members(&self) -> Vec<Standing> {
        Vec::new()
    }

    /// The certificates that this daemon shows.
    fn certificates(&self) -> Vec<Certificate>;

    /// Our own domains for which it has no certificate, or none that is good for another week.
    fn uncovered(&self) -> Vec<String> {
        Vec::new()
    }

    /// How the federation service is, where there is one that can be stopped alone.
    fn service(&self) -> Option<local::Service> {
        None
    }

    /// Has something done with it; one reply, when it is done.
    fn order(&self, _action: ServiceAction, _seconds: Option<u64>, _rest: Option<Rest>) -> mpsc::Receiver<Reply> {
        let (sender, replies) = mpsc::channel(1);
        // There is room, and somebody to take it.
        let _ = sender.try_send(Reply::Refused { why: NO_SERVICE.to_owned() });
        replies
    }

    /// By what controllers lead it, where they do.
    fn led(&self) -> Option<local::Led> {
        None
    }

    /// Whether the federation route leads here, as controllers have confirmed; nothing where they don't lead.
    fn routed(&self) -> Option<bool> {
        None
    }

    /// The pool that carries the route, where it is decided here.
    fn route(&self) -> Option<String> {
        None
    }

    /// Makes this pool carry the route.
    ///
    /// # Errors
    /// Why it can't, and what to do.
    fn set_route(&self, _pool: &str) -> Result<(), String> {
        Err("the route is decided at the gateways; ask them".to_owned())
    }
}

/// A certificate of the daemon's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Where it is used: `external`, `internal`, `trunk` or `control`.
    pub used_for: &'static str,
    /// Its file, or what it is.
    pub name: String,
    /// When it expires.
    pub not_after: SystemTime,
}

/// Why there is no desk.
#[derive(Debug, thiserror::Error)]
#[error("{}: no socket for local commands could be opened there ({error}); its folder must exist and be this user's", socket.display())]
pub struct DeskError {
    socket: PathBuf,
    error: io::Error,
}

/// A socket on which nobody answers yet; leaving scope takes it away.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    place: Place,
}

/// An open desk; leaving scope closes it and takes the socket away.
#[derive(Debug)]
pub struct Open {
    _serving: JoinSet<()>,
    _place: Place,
}

/// Where a socket of ours is.
#[derive(Debug)]
struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Makes the socket, before there is a desk. One that a daemon left behind is replaced; one that
/// answers isn't, nor is anything else.
///
/// # Errors
/// When that can't be done.
pub fn bind(path: &Path) -> Result<Socket, DeskError> {
    let failed = |error| DeskError { socket: path.to_owned(), error };
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(failed(io::Error::new(io::ErrorKind::AddrInUse, "another daemon answers there")));
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path).map_err(failed)?,
        Ok(_) => {
            let what = "something else than a socket is there";
            return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, what)));
        }
        Err(_) => {}
    }
    let socket = Socket { listener: UnixListener::bind(path).map_err(failed)?, place: Place(path.to_owned()) };
    // The owner and the group: traces show who talks to whom.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failed)?;
    Ok(socket)
}

/// Opens the desk.
pub fn open(socket: Socket, desk: Arc<Desk>) -> Open {
    let mut serving = JoinSet::new();
    serving.spawn(accept(socket.listener, desk));
    Open { _serving: serving, _place: socket.place }
}

async fn accept(listener: UnixListener, desk: Arc<Desk>) {
    let mut asked = JoinSet::new();
    loop {
        while asked.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let desk = desk.clone();
                asked.spawn(async move {
                    if let Err(error) = serve(stream, &desk).await {
                        tracing::debug!(%error, "a local command left early");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a local command could not be accepted");
                // Out of descriptors, most likely: some will be free again soon.
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(stream: UnixStream, desk: &Desk) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader.take(REQUEST));
    let mut line = String::new();
    tokio::time::timeout(PATIENCE, reader.read_line(&mut line)).await??;
    let request = match serde_json::from_str(&line) {
        Ok(request) => request,
        Err(error) => {
            let why = format!("this request can't be read ({error}); are both of one version?");
            return send(&mut writer, &Reply::Refused { why }).await;
        }
    };
    let mut replies = desk.ask(&request);
    let mut gone = [0];
    loop {
        tokio::select! {
            biased;
            reply = replies.recv() => match reply {
                Some(reply) => send(&mut writer, &reply).await?,
                None => return Ok(()),
            },
            // Whoever asked has left.
            _ = reader.read(&mut gone) => return Ok(()),
        }
    }
}

async fn send(writer: &mut (impl tokio::io::AsyncWrite + Unpin), reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    writer.write_all(&line).await
}

/// Passes on what is said on a stream, until it ends or nobody listens any more.
async fn trace(number: u64, mut lines: broadcast::Receiver<String>, replies: mpsc::Sender<Reply>) {
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            () = replies.closed() => return,
        };
        let (reply, last) = match line {
            Ok(line) => (Reply::Traced { line }, false),
            Err(RecvError::Lagged(lost)) => (Reply::Traced { line: format!("… {lost} lines came too fast") }, false),
            Err(RecvError::Closed) => (Reply::Done { what: format!("stream {number} ended") }, true),
        };
        if replies.send(reply).await.is_err() || last {
            return;
        }
    }
}

fn no_stream(number: u64) -> Reply {
    Reply::Refused { why: format!("there is no open stream {number}; `streams` lists them") }
}

impl Desk {
    /// Answers a local command, or a controller that asks as one would; nothing more comes after the last reply.
    pub fn ask(&self, request: &Request) -> mpsc::Receiver<Reply> {
        if let Request::Service { action, seconds, rest } = *request {
            return self.office.order(action, seconds, rest);
        }
        if let Request::Probe(request) = request {
            let faces: Vec<_> = self.faces.iter().map(|(face, _)| face).chain(&self.looks_from).cloned().collect();
            return self.probes.begin(&faces, request);
        }
        let (sender, replies) = mpsc::channel(REPLIES);
        if let Request::Trace { stream } = *request
            && let Some(lines) = self.streams.trace(stream)
        {
            tokio::spawn(trace(stream, lines, sender));
        } else {
            // There is room, and somebody to take it.
            let _ = sender.try_send(self.answer(request));
        }
        replies
    }

    /// From now on, it answers that the daemon takes nothing new.
    pub fn drains(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    fn health(&self) -> Health {
        let (state, why) = self.state();
        Health { state, why, routed: self.office.routed() }
    }

    fn state(&self) -> (State, Option<String>) {
        if self.draining.load(Ordering::Relaxed) {
            return (State::Draining, Some("it finishes what it has, and takes nothing new".to_owned()));
        }
        match self.office.service().map(|service| service.state) {
            Some(ServiceState::Draining) => {
                (State::Draining, Some("its federation service is being drained".to_owned()))
            }
            Some(ServiceState::Stopped) => (State::Stopped, Some(STOPPED.to_owned())),
            Some(ServiceState::Resting) => (State::Draining, Some(RESTING.to_owned())),
            Some(ServiceState::Running) | None => match self.office.hindrance() {
                Some(why) => (State::Waiting, Some(why)),
                None => (State::Ready, None),
            },
        }
    }

    fn answer(&self, request: &Request) -> Reply {
        match request {
            Request::Status => Reply::Status(self.status()),
            Request::Health => Reply::Health(self.health()),
            Request::Streams => Reply::Streams { streams: self.streams.list().into_iter().map(shown_stream).collect() },
            Request::Close { stream } if self.streams.command(*stream, Command::Close) => {
                Reply::Done { what: format!("stream {stream} is being closed") }
            }
            Request::Close { stream } | Request::Trace { stream } => no_stream(*stream),
            Request::LogLevel { level } => match self.level.set(level) {
                Ok(()) => Reply::Done { what: format!("logging from level {level} on") },
                Err(why) => Reply::Refused { why },
            },
            Request::Route { pool } => match self.office.set_route(pool) {
                Ok(()) => Reply::Done { what: format!("the route is on {pool}") },
                Err(why) => Reply::Refused { why },
            },
            Request::Stanza { id } => Reply::Stanzas { stanzas: self.fates.of(id).iter().map(shown_stanza).collect() },
            Request::Probe(_) => Reply::Refused { why: NO_FACE.to_owned() },
            Request::Service { .. } => match self.office.service() {
                Some(service) => Reply::Service(service),
                None => Reply::Refused { why: NO_SERVICE.to_owned() },
            },
        }
    }

    fn status(&self) -> Status {
        let (streams, files) = (self.streams.counted(), life::open_files());
        let face = |(face, listen): &(Arc<FaceState>, Vec<SocketAddr>)| {
            let count = |wanted| {
                let here = streams.iter().filter(|((on, direction, _), _)| *on == face.face && *direction == wanted);
                here.map(|(_, count)| count).sum()
            };
            FaceStatus {
                face: face.face.to_string(),
                listen: listen.iter().map(ToString::to_string).collect(),
                accepted_streams: count(Direction::Accepted),
                dialed_streams: count(Direction::Dialed),
                // Each is an open file, too.
                places: Some((face.settings.streams as u64).min(files)),
                stanzas: face.holder.total(),
                errors: face.holder.errors() as u64,
            }
        };
        let members = self.office.members().into_iter().map(|standing| Member {
            name: standing.name,
            connected: standing.connected,
            routed: standing.routed,
        });
        Status {
            program: self.program.0.to_owned(),
            version: self.program.1.to_owned(),
            route: self.office.route(),
            led: self.office.led(),
            members: members.collect(),
            up_seconds: self.began.elapsed().as_secs(),
            now: Some(unix(SystemTime::now())),
            log_level: self.level.name(),
            faces: self.faces.iter().map(face).collect(),
            concerns: self.office.concerns(),
            service: self.office.service(),
            partners: partners(&self.streams.list()),
            certificates: self.office.certificates().into_iter().map(shown_certificate).collect(),
            uncovered: self.office.uncovered(),
        }
    }
}

/// With whom a stream is open on the external face, and proven.
fn partners(streams: &[StreamInfo]) -> u64 {
    let external = streams.iter().filter(|info| info.face == Face::External);
    let partners = external.flat_map(|info| {
        info.pairs.iter().map(|(pair, _)| if info.direction == Direction::Accepted { &pair.from } else { &pair.to })
    });
    partners.collect::<BTreeSet<_>>().len() as u64
}

fn shown_stream(info: StreamInfo) -> Stream {
    let pair = |(pair, method): &(xmpp::domain::DomainPair, xmpp::stream::Method)| Pair {
        from: pair.from.to_string(),
        to: pair.to.to_string(),
        method: method.to_string(),
    };
    Stream {
        number: info.number,
        face: info.face.to_string(),
        direction: info.direction.to_string(),
        peer: info.peer.to_string(),
        pairs: info.pairs.iter().map(pair).collect(),
        tls: info.tls,
        open_seconds: info.opened.elapsed().unwrap_or_default().as_secs(),
        stanzas: info.stanzas,
    }
}

fn shown_certificate(certificate: Certificate) -> local::Certificate {
    let Certificate { used_for, name, not_after } = certificate;
    local::Certificate { used_for: used_for.to_owned(), name, not_after: unix(not_after) }
}

/// Seconds since 1970.
pub fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn shown_stanza(record: &Record) -> Stanza {
    Stanza {
        from: record.pair.from.to_string(),
        to: record.pair.to.to_string(),
        kind: record.kind.to_owned(),
        accepted_at: unix(record.accepted),
        changed_at: unix(record.changed),
        fate: record.fate.to_string(),
    }
}
