//! Accepting: from a listening socket to stanzas in the holder.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use xmpp::stream::End;

use crate::face::FaceState;
use crate::link::log_end;
use crate::links::Links;
use crate::streams::{Command, Direction, Registered};

mod driver;

pub use driver::Opened;

/// More can't wait to be accepted.
const WAITING: usize = 4096;

/// Accepts streams until `stop` says so. `links` take the errors that go back to senders.
pub async fn serve(
    listener: TcpListener,
    face: Arc<FaceState>,
    links: Links,
    places: Arc<Semaphore>,
    mut stop: tokio::sync::watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((socket, peer)) => begin(socket, peer, &places, &face, &links),
            Err(error) => {
                tracing::warn!(face = %face.face, %error, "a connection could not be accepted");
                // Out of descriptors, most likely: some will be free again soon.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    // Closing the listener would reset those who wait to be accepted; their peers see them as up, and
    // would not try elsewhere. Bounded, so that a crowd can't keep us from ending.
    let Ok(listener) = listener.into_std() else { return };
    for (socket, peer) in std::iter::from_fn(|| listener.accept().ok()).take(WAITING) {
        if socket.set_nonblocking(true).is_ok()
            && let Ok(socket) = TcpStream::from_std(socket)
        {
            begin(socket, peer, &places, &face, &links);
        }
    }
}

fn begin(socket: TcpStream, peer: SocketAddr, places: &Arc<Semaphore>, face: &Arc<FaceState>, links: &Links) {
    // Refused at once: a sender's server then tries its next target.
    let Ok(place) = places.clone().try_acquire_owned() else {
        tracing::warn!(face = %face.face, %peer, most = face.settings.streams, "too many streams; one was refused");
        return refuse(&socket);
    };
    run(socket, peer, place, face.clone(), links.clone());
}

/// Closes with RST, so that the peer doesn't take it for a stream that was served.
fn refuse(socket: &TcpStream) {
    let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

fn run(socket: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit, face: Arc<FaceState>, links: Links) {
    let (entry, commands) = enter(&face, peer);
    let opening = Box::pin(driver::open(socket, face.clone(), entry.clone()));
    tokio::spawn(serve_one(opening, entry, commands, place, face, links));
}

/// Serves a connection that was made in another way: in a simulation, or to count what a stanza costs without sockets.
pub fn run_opened(opened: Opened, peer: SocketAddr, place: OwnedSemaphorePermit, face: Arc<FaceState>, links: Links) {
    let (entry, commands) = enter(&face, peer);
    let opening = Box::pin(std::future::ready(Ok(Some(opened))));
    tokio::spawn(serve_one(opening, entry, commands, place, face, links));
}

/// Entered at once, so that whoever tells all streams something tells this one, too.
fn enter(face: &FaceState, peer: SocketAddr) -> (Arc<Registered>, mpsc::UnboundedReceiver<Command>) {
    let (entry, commands) = face.streams.enter(face.face, Direction::Accepted, peer);
    tracing::debug!(face = %face.face, stream = entry.number(), %peer, "connection accepted");
    (Arc::new(entry), commands)
}

async fn serve_one(
    opening: driver::Opening,
    entry: Arc<Registered>,
    commands: mpsc::UnboundedReceiver<Command>,
    _place: OwnedSemaphorePermit,
    face: Arc<FaceState>,
    links: Links,
) {
    match driver::serve(opening, face.clone(), links, entry.clone(), commands).await {
        // Not worth a line of its own: monitoring and some servers connect every few seconds.
        Ok(End::Probe) => {
            tracing::debug!(face = %face.face, stream = entry.number(), "nothing was said on this connection");
        }
        end => log_end(&face, &entry, &end),
    }
}
