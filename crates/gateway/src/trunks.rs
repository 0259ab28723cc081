//! Trunks to edge servers: dialed again and again, for as long as they are among those that there should be.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use net::trunk::connection::ConnectionError;
use net::trunk::members::Members;
use net::trunk::tls::Dialer;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::course::Edge;

/// Between two attempts to reach an edge server.
const RETRY: Duration = Duration::from_millis(200);
/// For an edge server to answer at one of its addresses.
const PATIENCE: Duration = Duration::from_secs(2);

/// Those to all edge servers.
pub struct Trunks {
    dialer: Dialer,
    members: Arc<Members>,
    /// Where each is dialed; without it, no more.
    dialed: Mutex<BTreeMap<String, watch::Sender<Vec<SocketAddr>>>>,
}

impl Trunks {
    /// None yet.
    pub fn new(dialer: Dialer, members: Arc<Members>) -> Trunks {
        Trunks { dialer, members, dialed: Mutex::default() }
    }

    /// From now on, these are the edge servers. A trunk to another one ends when what is under way on it is finished;
    /// where one's address changed, that counts for its next connection.
    pub fn lead_to<'a>(&self, edges: impl Iterator<Item = &'a Edge>) {
        let mut wanted: BTreeMap<&str, &Edge> = edges.map(|edge| (edge.name.as_str(), edge)).collect();
        let names: Vec<String> = wanted.keys().map(|name| (*name).to_owned()).collect();
        self.members.become_those(&names);
        let mut dialed = self.dialed.lock().unwrap_or_else(PoisonError::into_inner);
        dialed.retain(|name, addresses| match wanted.remove(name.as_str()) {
            Some(edge) => {
                addresses.send_if_modified(|before| {
                    let changed = *before != edge.addresses;
                    before.clone_from(&edge.addresses);
                    changed
                });
                true
            }
            None => false,
        });
        for (name, edge) in wanted {
            let (sender, addresses) = watch::channel(edge.addresses.clone());
            tokio::spawn(keep(name.to_owned(), addresses, self.dialer.clone(), self.members.clone()));
            dialed.insert(name.to_owned(), sender);
        }
    }

    /// Reads our certificate again if its files changed.
    pub fn look(&self) {
        self.dialer.look();
    }

    /// When our certificate expires.
    pub fn expires(&self) -> std::time::SystemTime {
        self.dialer.expires()
    }
}

/// Keeps a trunk to an edge server up, until nobody wants it any more.
async fn keep(name: String, addresses: watch::Receiver<Vec<SocketAddr>>, dialer: Dialer, members: Arc<Members>) {
    let mut told = String::new();
    // Its other end is dropped when the edge server is one no more.
    while addresses.has_changed().is_ok() {
        let at = addresses.borrow().clone();
        let error = once(&name, &at, &dialer, &members).await;
        // One line for each new reason, not for each attempt.
        if error != told && addresses.has_changed().is_ok() {
            tracing::warn!(edge = name, addresses = ?at, reason = error, "no trunk to this edge server");
            told = error;
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Serves it at the first address that answers; tells why that ended, or why none did.
async fn once(name: &str, addresses: &[SocketAddr], dialer: &Dialer, members: &Arc<Members>) -> String {
    let mut told = Vec::new();
    for address in addresses {
        let reached = tokio::time::timeout(PATIENCE, async {
            let socket = TcpStream::connect(address).await?;
            dialer.dial(socket, name).await
        });
        let error = match reached.await {
            Ok(Ok(stream)) => match members.serve(stream, &[name.to_owned()]).await {
                Err(error) => return error.to_string(),
                Ok(never) => match never {},
            },
            Ok(Err(error)) => ConnectionError::to_string(&error),
            Err(_) => format!("nothing came within {} s", PATIENCE.as_secs()),
        };
        told.push(if addresses.len() > 1 { format!("{address}: {error}") } else { error });
    }
    told.join("; ")
}
