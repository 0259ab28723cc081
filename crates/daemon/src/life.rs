//! A daemon's life around its work: signals, listening, readiness, drain.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::local::{Counts, Drained};
use net::face::FaceState;
use net::holder::Returns;
use net::serve::{Served, serve};
use net::streams::{Command, Direction, Streams};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Connections that may wait to be accepted; the kernel's own limit is the same (net.core.somaxconn).
const BACKLOG: u32 = 4096;
/// Something is given this long to end, however long what came before it took.
const FAREWELL: Duration = Duration::from_secs(5);

/// An address can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error(
    "{address}: fedge can't listen there ({error}); is the address this machine's, and does nobody else listen on it?"
)]
pub struct ListenError {
    address: SocketAddr,
    error: std::io::Error,
}

/// Waits for the signals that end a daemon.
pub struct Ending {
    terminate: Signal,
    interrupt: Signal,
}

impl Ending {
    /// From now on, these signals don't end the process by themselves.
    ///
    /// # Errors
    /// When the system lets no signal be caught.
    pub fn new() -> std::io::Result<Ending> {
        Ok(Ending { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one of them.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Lets this process have as many files open as it may at all: each stream is one, and systems give
/// far fewer at first, for the sake of old programs.
pub fn allow_open_files(streams: usize) {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_err() {
        tracing::warn!(files = soft, "more open files were not allowed");
    }
    if (hard as usize) < streams {
        tracing::warn!(
            files = hard,
            streams,
            "fewer files may be open than streams; raise LimitNOFILE or `ulimit -Hn`"
        );
    }
}

/// How many files this process may have open at once.
pub fn open_files() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
}

/// Tells log and service manager that the daemon works.
pub fn ready(program: &str, version: &str) {
    tracing::info!(version, "{program} is ready");
    notify(&[NotifyState::Ready]);
}

/// Tells the service manager that the daemon is as far as it gets by itself.
pub fn waiting() {
    notify(&[NotifyState::Ready]);
}

/// Tells the service manager that the daemon ends.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

/// Listens on all of the addresses; on those that are also among `shared` whether or not this machine has them now.
///
/// # Errors
/// With the first on which that fails.
pub fn listen(addresses: &[SocketAddr], shared: &[SocketAddr]) -> Result<Vec<TcpListener>, ListenError> {
    let listen = |&address: &SocketAddr| {
        listen_on(address, shared.contains(&address)).map_err(|error| ListenError { address, error })
    };
    addresses.iter().map(listen).collect()
}

fn listen_on(address: SocketAddr, shared: bool) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    if shared {
        // When the address comes, there is no time to notice it and to listen then: whoever connects before is refused.
        let socket = socket2::SockRef::from(&socket);
        if address.is_ipv4() { socket.set_freebind_v4(true) } else { socket.set_freebind_v6(true) }?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Whether this machine has an address now.
pub fn has(address: IpAddr) -> bool {
    std::net::UdpSocket::bind((address, 0)).is_ok()
}

/// Puts a face to work.
pub fn begin(face: &Arc<FaceState>, listeners: Vec<TcpListener>, returns: Returns) -> Served {
    let mut served = serve(face, returns);
    accept(&mut served, listeners);
    served
}

/// Has a face that is at work accept streams.
pub fn accept(served: &mut Served, listeners: Vec<TcpListener>) {
    for listener in &listeners {
        if let Ok(address) = listener.local_addr() {
            tracing::info!(face = %served.end.face.face, %address, "accepting streams");
        }
    }
    served.accept(listeners);
}

/// Takes nothing new, finishes what was accepted, and closes: first what comes in, then what goes out. Tells what became
/// of what was under way. Where the process `ends` with it, what is left goes back; else it can be accepted again later.
pub async fn drain(at_work: &mut [Served], streams: &Streams, most: Duration, ends: bool) -> Drained {
    let began = Instant::now();
    let before = total(at_work);
    for served in at_work.iter_mut() {
        served.stop_accepting().await;
    }
    streams.command_all(Direction::Accepted, Command::Shutdown(began + most));
    let accepted_are_gone = tokio::time::timeout(most, streams.none_left(Direction::Accepted)).await.is_ok();
    let left = most.saturating_sub(began.elapsed()).max(FAREWELL);
    let all_settled = tokio::time::timeout(left, settled(at_work)).await.is_ok();
    if !all_settled {
        // What can't be delivered goes back as long as there is somebody to bring it back.
        at_work.iter().for_each(|served| served.end.links.give_up());
        if tokio::time::timeout(FAREWELL, settled(at_work)).await.is_err() && ends {
            // Of what is at another process, nobody will hear any more.
            at_work.iter().for_each(|served| served.end.face.holder.give_up());
        }
    }
    for served in at_work.iter() {
        let _ = tokio::time::timeout(FAREWELL, served.end.links.idle()).await;
    }
    streams.command_all(Direction::Dialed, Command::Close);
    let left = most.saturating_sub(began.elapsed()).max(FAREWELL);
    let dialed_are_gone = tokio::time::timeout(left, streams.none_left(Direction::Dialed)).await.is_ok();
    for served in at_work.iter() {
        let counts = served.end.face.holder.total();
        tracing::info!(
            face = %served.end.face.face, accepted = counts.accepted, taken = counts.taken, returned = counts.returned,
            failed = counts.failed, left = counts.in_flight, "stanzas that came in"
        );
    }
    let after = total(at_work);
    let drained = Drained {
        finished: after.taken - before.taken,
        returned: after.returned + after.failed - before.returned - before.failed,
        left: after.in_flight + errors(at_work),
        seconds: began.elapsed().as_secs(),
        stay: 0,
    };
    let Drained { finished, returned, left, seconds, .. } = drained;
    tracing::info!(seconds, finished, returned, left, accepted_are_gone, all_settled, dialed_are_gone, "drained");
    drained
}

/// Errors that aren't brought to their senders yet.
fn errors(at_work: &[Served]) -> u64 {
    at_work.iter().map(|served| served.end.face.holder.errors() as u64).sum()
}

/// What became of everything that came in so far, on all faces; and of what the other face has given, where that is another
/// process, which has the account of it.
fn total(at_work: &[Served]) -> Counts {
    let came_in = at_work.iter().fold(Counts::default(), |total, served| total + served.end.face.holder.total());
    match at_work {
        [alone] => came_in + alone.end.links.given(),
        _ => came_in,
    }
}

/// The same for a pool that the route has left, and that works on: nobody is hurried. Who never pauses and counts nothing
/// loses what it says while it hears of an end, so it says on; such streams stay until they pause, and are told how many
/// they are.
pub async fn depart(at_work: &mut [Served], streams: &Streams, most: Duration) -> Drained {
    let began = Instant::now();
    let before = total(at_work);
    for served in at_work.iter_mut() {
        served.stop_accepting().await;
    }
    streams.command_all(Direction::Accepted, Command::Depart);
    let _ = tokio::time::timeout(most, streams.none_left(Direction::Accepted)).await;
    let stay = streams.list().iter().filter(|info| info.direction == Direction::Accepted).count();
    if stay == 0 {
        let left = most.saturating_sub(began.elapsed()).max(FAREWELL);
        let _ = tokio::time::timeout(left, settled(at_work)).await;
    }
    for served in at_work.iter() {
        let _ = tokio::time::timeout(FAREWELL, served.end.links.idle()).await;
    }
    streams.command_all(Direction::Dialed, Command::Close);
    let _ = tokio::time::timeout(FAREWELL, streams.none_left(Direction::Dialed)).await;
    let after = total(at_work);
    tracing::info!(
        seconds = began.elapsed().as_secs(),
        stay,
        left = after.in_flight,
        "the pool has let its partners go"
    );
    Drained {
        finished: after.taken - before.taken,
        returned: after.returned + after.failed - before.returned - before.failed,
        // What those say who stay is under way, and no remainder.
        left: if stay == 0 { after.in_flight + errors(at_work) } else { 0 },
        seconds: began.elapsed().as_secs(),
        stay: stay as u64,
    }
}

/// Waits until everything that was accepted has its outcome.
async fn settled(at_work: &[Served]) {
    for served in at_work {
        served.end.face.holder.settled().await;
    }
}
