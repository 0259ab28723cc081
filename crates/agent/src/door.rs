//! The door of an agent: listens, shakes hands, and lets in controllers and nobody else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::agent::Reply;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::lines::{self, Lines};
use crate::tls;

/// For a controller to finish its handshake.
const PATIENCE: Duration = Duration::from_secs(5);
/// Before the next try, when a connection can't be accepted.
const PAUSE: Duration = Duration::from_millis(100);
/// Handshakes at a time on one listener; more wait to be accepted.
const HANDSHAKES: usize = 128;

/// A controller that came in.
pub(crate) struct Visitor {
    pub(crate) lines: Lines<TlsStream<TcpStream>>,
    /// Its FQDN.
    pub(crate) controller: String,
    pub(crate) address: SocketAddr,
}

/// Lets controllers in on the listeners; leaving scope closes the door.
pub(crate) fn open(
    listeners: Vec<TcpListener>,
    config: &Arc<ArcSwap<ServerConfig>>,
    visitors: &mpsc::Sender<Visitor>,
) -> JoinSet<()> {
    let mut doors = JoinSet::new();
    for listener in listeners {
        doors.spawn(accept(listener, config.clone(), visitors.clone()));
    }
    doors
}

async fn accept(listener: TcpListener, config: Arc<ArcSwap<ServerConfig>>, visitors: mpsc::Sender<Visitor>) {
    let (mut shaking, room) = (JoinSet::new(), Arc::new(Semaphore::new(HANDSHAKES)));
    // It is never closed.
    while let Ok(permit) = room.clone().acquire_owned().await {
        while shaking.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((socket, address)) => {
                let (acceptor, visitors) = (TlsAcceptor::from(config.load_full()), visitors.clone());
                shaking.spawn(async move {
                    let why = match tokio::time::timeout(PATIENCE, shake(socket, address, acceptor)).await {
                        Ok(Ok(visitor)) => {
                            visitors.send(visitor).await.err().map(|_| "nobody is to come any more".to_owned())
                        }
                        Ok(Err(why)) => Some(why),
                        Err(_) => Some(format!("no handshake within {} s", PATIENCE.as_secs())),
                    };
                    if let Some(why) = why {
                        tracing::warn!(%address, why, "somebody at the agent's door was sent away");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a controller's connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn shake(socket: TcpStream, address: SocketAddr, acceptor: TlsAcceptor) -> Result<Visitor, String> {
    let shaken = async {
        lines::ready(&socket)?;
        acceptor.accept(socket).await
    };
    let stream = shaken.await.map_err(|error| error.to_string())?;
    let seen = tls::controller(stream.get_ref().1.peer_certificates());
    let mut lines = Lines::new(stream);
    match seen {
        Ok(seen) => Ok(Visitor { lines, controller: seen.fqdn, address }),
        Err(stranger) => {
            let why = stranger.to_string();
            let _ = lines.write(&Reply::Refused { why: why.clone() }).await;
            lines.close().await;
            Err(why)
        }
    }
}
