//! The daemon's life: read, open, work, drain.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use net::bridge;
use net::face::FaceState;
use net::holder::Returns;
use net::serve::{Served, serve};
use net::streams::{Command, Direction, Streams};
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::ask::AskFailure;
use crate::config::{Config, ConfigError};
use crate::faces::{Faces, PartsError};
use crate::local::{self, Desk};
use crate::{log, reload};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// After the last stanza has left, dialed streams are given this long to end.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why the daemon doesn't run.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Its configuration.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// A file that the configuration names.
    #[error("{0}")]
    Parts(#[from] PartsError),
    /// An address that it should listen on.
    #[error(
        "{address}: fedge can't listen there ({error}); is the address this machine's, and does nobody else listen on it?"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// The socket for local commands.
    #[error("{0}")]
    Local(#[from] local::DeskError),
    /// The system.
    #[error("the system does not let fedge run: {0}")]
    System(#[from] std::io::Error),
    /// A daemon that was asked.
    #[error("{0}")]
    Ask(#[from] AskFailure),
}

/// Checks a configuration and all files that it names, and says what it found.
///
/// # Errors
/// When the daemon would not start with it.
pub fn check(file: &Path) -> Result<(), Failure> {
    let config = Config::read(file)?;
    // The resolvers of both faces want a runtime, though nothing is asked.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    let faces = Faces::new(&config)?;
    let mut told = format!("{}: good\n", file.display());
    let policy = &config.policy;
    let federation = if policy.is_open() { "everybody" } else { "those listed" };
    let _ = writeln!(
        told,
        "{} local domains, {} partners, federation with {federation}; {} certificates",
        policy.locals().len(),
        policy.partners().len(),
        faces.parts.folder.list().len()
    );
    for concern in faces.parts.concerns(SystemTime::now()) {
        let _ = writeln!(told, "warning: {concern}");
    }
    print!("{told}");
    Ok(())
}

/// Runs the daemon until SIGTERM or SIGINT.
///
/// # Errors
/// When it can't start.
pub fn run(file: &Path) -> Result<(), Failure> {
    let config = Config::read(file)?;
    let level = log::init(&config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(work(file, &config, level))
}

async fn work(file: &Path, config: &Config, level: log::LogLevel) -> Result<(), Failure> {
    let began = Instant::now();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let Faces { external: (external, outward), internal: (internal, inward), parts, streams, fates } =
        Faces::new(config)?;
    // All are open before any is served: half a border is none.
    let listeners = (listen(&config.external.listen)?, listen(&config.gateway.listen)?);
    let mut at_work = [begin(&external, listeners.0, outward), begin(&internal, listeners.1, inward)];
    let mut trunk = JoinSet::new();
    bridge::join(&at_work[0].end, &at_work[1].end, &mut trunk);
    let desk = Desk {
        began,
        level,
        parts: parts.clone(),
        streams: streams.clone(),
        fates,
        faces: [(external.clone(), config.external.listen.clone()), (internal.clone(), config.gateway.listen.clone())],
    };
    let _desk = match &config.socket {
        Some(socket) => Some(local::open(socket, desk)?),
        None => None,
    };
    let watching = tokio::spawn(reload::watch(file.to_owned(), parts));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "fedge-edge is ready");
    notify(&[NotifyState::Ready]);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    notify(&[NotifyState::Stopping]);
    watching.abort();
    drain(&mut at_work, &[external, internal], &streams, config.settings.stream.drain).await;
    Ok(())
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

fn listen(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, Failure> {
    addresses.iter().map(|&address| listen_on(address).map_err(|error| Failure::Listen { address, error })).collect()
}

fn listen_on(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn begin(face: &Arc<FaceState>, listeners: Vec<TcpListener>, returns: Returns) -> Served {
    for listener in &listeners {
        if let Ok(address) = listener.local_addr() {
            tracing::info!(face = %face.face, %address, "accepting streams");
        }
    }
    serve(face, listeners, returns)
}

/// Takes nothing new, finishes what was accepted, and closes: first what comes in, then what goes out.
async fn drain(at_work: &mut [Served], faces: &[Arc<FaceState>], streams: &Arc<Streams>, most: Duration) {
    let began = Instant::now();
    for served in at_work {
        served.stop_accepting().await;
    }
    streams.command_all(Direction::Accepted, Command::Shutdown);
    let accepted_are_gone = tokio::time::timeout(most, streams.none_left(Direction::Accepted)).await.is_ok();
    let settled = async {
        for face in faces {
            face.holder.settled().await;
        }
    };
    let all_settled = tokio::time::timeout(most.saturating_sub(began.elapsed()).max(FAREWELL), settled).await.is_ok();
    streams.command_all(Direction::Dialed, Command::Close);
    let _ = tokio::time::timeout(FAREWELL, streams.none_left(Direction::Dialed)).await;
    for face in faces {
        let counts = face.holder.total();
        tracing::info!(
            face = %face.face, accepted = counts.accepted, taken = counts.taken, returned = counts.returned,
            failed = counts.failed, left = counts.in_flight, "stanzas that came in"
        );
    }
    tracing::info!(seconds = began.elapsed().as_secs(), accepted_are_gone, all_settled, "fedge-edge is drained");
}
