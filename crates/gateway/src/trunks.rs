//! Trunks to edge servers: dialed again and again, for as long as they are among those that there should be.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use net::race::{Milestone, Pace, race};
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
/// An address that leaves us waiting has the next one tried beside it: an edge server that has several isn't given up for one
/// that is silent.
const PACE: Pace = Pace { connect: Duration::from_millis(200), stream: Duration::from_millis(400), at_once: 8 };

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
    let (mut told, mut last) = (String::new(), None);
    // Its other end is dropped when the edge server is one no more.
    while addresses.has_changed().is_ok() {
        let at = addresses.borrow().clone();
        let error = once(&name, &at, &mut last, &dialer, &members).await;
        // One line for each new reason, not for each attempt.
        if error != told && addresses.has_changed().is_ok() {
            tracing::warn!(edge = name, addresses = ?at, reason = error, "no trunk to this edge server");
            told = error;
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Serves it at the first address that answers, which is the `last` one from then on; tells why that ended, or why none did.
async fn once(
    name: &str,
    addresses: &[SocketAddr],
    last: &mut Option<SocketAddr>,
    dialer: &Dialer,
    members: &Arc<Members>,
) -> String {
    let dial = |address, milestone: Milestone| {
        let (name, dialer) = (name.to_owned(), dialer.clone());
        async move {
            let socket = TcpStream::connect(address).await?;
            milestone.connected();
            dialer.dial(socket, &name).await
        }
    };
    match reach(addresses, *last, dial).await {
        Ok((address, stream)) => {
            *last = Some(address);
            match members.serve(stream, &[name.to_owned()]).await {
                Err(error) => error.to_string(),
                Ok(never) => match never {},
            }
        }
        Err(error) => error,
    }
}

/// Dials the addresses, the one that served last before the others; gives who answers first, or why nobody does.
async fn reach<T, F>(
    addresses: &[SocketAddr],
    last: Option<SocketAddr>,
    dial: impl Fn(SocketAddr, Milestone) -> F,
) -> Result<(SocketAddr, T), String>
where
    T: Send + 'static,
    F: Future<Output = Result<T, ConnectionError>> + Send + 'static,
{
    let mut addresses = addresses.to_vec();
    addresses.sort_by_key(|address| Some(*address) != last);
    let several = addresses.len() > 1;
    let attempt = |address, milestone| {
        let dialed = tokio::time::timeout(PATIENCE, dial(address, milestone));
        async move {
            match dialed.await {
                Ok(Ok(stream)) => Ok((address, stream)),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("nothing came within {} s", PATIENCE.as_secs())),
            }
        }
    };
    let failed = |failures: Vec<(SocketAddr, String)>| {
        let told = failures.into_iter();
        let told = told.map(|(address, error)| if several { format!("{address}: {error}") } else { error });
        told.collect::<Vec<_>>().join("; ")
    };
    race(addresses, PACE, attempt, |_| {}).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use net::trunk::members;
    use tokio::time::Instant;

    use super::*;

    fn address(number: u8) -> SocketAddr {
        ([127, 0, 0, number], 5270).into()
    }

    /// Those of these numbers are silent, the others answer after a while, and that with the number 1 refuses.
    async fn reached(addresses: &[SocketAddr], last: Option<SocketAddr>, silent: &[u8]) -> Result<SocketAddr, String> {
        let dial = |at: SocketAddr, milestone: Milestone| {
            let is_silent = silent.iter().any(|number| address(*number) == at);
            async move {
                if is_silent {
                    std::future::pending::<()>().await;
                }
                milestone.connected();
                tokio::time::sleep(Duration::from_millis(50)).await;
                if at == address(1) { Err(ConnectionError::Closed) } else { Ok(()) }
            }
        };
        reach(addresses, last, dial).await.map(|(address, ())| address)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_does_not_have_its_edge_server_given_up() {
        let (began, all) = (Instant::now(), [2, 3, 4, 5].map(address));
        assert_eq!(reached(&all, None, &[2, 3, 4]).await, Ok(address(5)));
        assert!(began.elapsed() < members::PATIENCE / 2, "it took {:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn the_address_that_served_last_comes_first() {
        let (began, all) = (Instant::now(), [2, 3, 4].map(address));
        assert_eq!(reached(&all, Some(address(4)), &[2, 3]).await, Ok(address(4)));
        assert_eq!(began.elapsed(), Duration::from_millis(50));
    }

    #[tokio::test(start_paused = true)]
    async fn each_address_that_does_not_answer_is_told() {
        let both = "127.0.0.1:5270: the other end closed the connection; 127.0.0.2:5270: nothing came within 2 s";
        assert_eq!(reached(&[1, 2].map(address), None, &[2]).await, Err(both.to_owned()));
        assert_eq!(reached(&[address(2)], None, &[2]).await, Err("nothing came within 2 s".to_owned()));
    }
}
