//! Trunks from gateways: accepted, made sure of, and served, at the addresses where they are to come.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use daemon::life::{self, ListenError};
use net::trunk::members::Members;
use net::trunk::tls::Acceptor;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// For a gateway to finish its handshake.
const PATIENCE: Duration = Duration::from_secs(5);
/// Before the next try, when a connection can't be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// All of them.
pub struct Trunks {
    acceptor: Acceptor,
    members: Arc<Members>,
    listening: Mutex<BTreeMap<SocketAddr, Listening>>,
}

/// What accepts at one address, with the trunks that came by it; leaving scope ends it.
struct Listening(AbortHandle);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Addresses that are listened on, and not yet served.
pub struct Opened(Vec<(SocketAddr, TcpListener)>);

impl Trunks {
    /// None, and nobody may come.
    pub fn new(acceptor: Acceptor, members: Arc<Members>) -> Trunks {
        Trunks { acceptor, members, listening: Mutex::default() }
    }

    /// Listens on those of the addresses where nobody did.
    ///
    /// # Errors
    /// With the first on which that fails; then nothing is changed.
    pub fn open(&self, addresses: &[SocketAddr]) -> Result<Opened, ListenError> {
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh: Vec<SocketAddr> =
            addresses.iter().filter(|address| !listening.contains_key(address)).copied().collect();
        let opened = life::listen(&fresh, &[])?;
        Ok(Opened(fresh.into_iter().zip(opened).collect()))
    }

    /// From now on, these gateways may come, at these addresses; who came by another address comes again by one of
    /// these.
    pub fn admit(&self, gateways: &[String], addresses: &[SocketAddr], opened: Opened) {
        self.members.become_those(gateways);
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        listening.retain(|address, _| addresses.contains(address));
        for (address, listener) in opened.0 {
            let task = tokio::spawn(accept(listener, self.acceptor.clone(), self.members.clone()));
            listening.insert(address, Listening(task.abort_handle()));
        }
    }

    /// Who is at the other ends.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Reads our certificate again if its files changed.
    pub fn look(&self) {
        self.acceptor.look();
    }

    /// When our certificate expires.
    pub fn expires(&self) -> SystemTime {
        self.acceptor.expires()
    }
}

/// Accepts gateways for as long as nobody ends it.
async fn accept(listener: TcpListener, acceptor: Acceptor, members: Arc<Members>) {
    let mut served = JoinSet::new();
    loop {
        while served.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((socket, _)) => {
                served.spawn(serve(socket, acceptor.clone(), members.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a gateway's connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(socket: TcpStream, acceptor: Acceptor, members: Arc<Members>) {
    let peer = socket.peer_addr().map(|address| address.to_string()).unwrap_or_default();
    let error = match tokio::time::timeout(PATIENCE, acceptor.accept(socket)).await {
        Ok(Ok((stream, names))) => match members.serve(stream, &names).await {
            Err(error) => error.to_string(),
            Ok(never) => match never {},
        },
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no handshake within {} s", PATIENCE.as_secs()),
    };
    tracing::info!(peer, reason = error, "a trunk from a gateway ended");
}
