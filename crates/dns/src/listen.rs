//! One listening address: its UDP and its TCP socket, and what they do until it is closed.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use crate::counts::Counts;
use crate::message::Transport;
use crate::service::{Reaction, Service};
use crate::zone::rate::network;
use crate::zone::service::Authority;

mod authority;
mod places;
mod tcp;
mod udp;

/// How often another port is tried when the system's choice for TCP is taken for UDP.
const TRIES: usize = 20;

/// What connections ask.
trait Answers: Send + Sync + 'static {
    /// What to do about a query that came from `client`.
    fn react(&self, bytes: &[u8], client: IpAddr, transport: Transport) -> Reaction;

    /// Whose connections are counted together with this client's.
    fn together(&self, client: IpAddr) -> u128;

    /// What came and what became of it.
    fn counts(&self) -> &Counts;
}

impl Answers for Service {
    fn react(&self, bytes: &[u8], client: IpAddr, transport: Transport) -> Reaction {
        self.hear(bytes, client, transport)
    }

    /// Our own servers are each a client of its own.
    fn together(&self, client: IpAddr) -> u128 {
        match client.to_canonical() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
            IpAddr::V6(v6) => v6.to_bits(),
        }
    }

    fn counts(&self) -> &Counts {
        self.counts()
    }
}

impl Answers for Authority {
    fn react(&self, bytes: &[u8], client: IpAddr, transport: Transport) -> Reaction {
        let mut reply = Vec::new();
        if self.hear(bytes, client, transport, &mut reply) { Reaction::Reply(reply) } else { Reaction::Nothing }
    }

    /// Whoever has one address has all of its network.
    fn together(&self, client: IpAddr) -> u128 {
        network(client.to_canonical())
    }

    fn counts(&self) -> &Counts {
        self.counts()
    }
}

/// An address that answers. Dropped, it does no more.
pub struct Listener {
    address: SocketAddr,
    _sockets: JoinSet<()>,
}

impl Listener {
    /// Opens `address` for both transports. Port 0 means one port of the system's choice for both.
    ///
    /// # Errors
    /// When the address can't be had.
    pub async fn open(address: SocketAddr, service: &Arc<Service>) -> io::Result<Listener> {
        let (tcp, udp) = bind(address).await?;
        let address = udp.local_addr()?;
        let mut sockets = JoinSet::new();
        sockets.spawn(tcp::serve(tcp, service.clone()));
        sockets.spawn(udp::serve(udp, service.clone()));
        Ok(Listener { address, _sockets: sockets })
    }

    /// The same for zones.
    ///
    /// # Errors
    /// When the address can't be had.
    pub async fn open_zones(address: SocketAddr, authority: &Arc<Authority>) -> io::Result<Listener> {
        let (tcp, udp) = bind(address).await?;
        let address = udp.local_addr()?;
        let mut sockets = JoinSet::new();
        sockets.spawn(tcp::serve(tcp, authority.clone()));
        sockets.spawn(authority::serve(udp, authority.clone()));
        Ok(Listener { address, _sockets: sockets })
    }

    /// The address, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn bind(address: SocketAddr) -> io::Result<(TcpListener, UdpSocket)> {
    let mut tries = if address.port() == 0 { TRIES } else { 1 };
    loop {
        let tcp = TcpListener::bind(address).await?;
        tries -= 1;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((tcp, udp)),
            Err(error) if tries == 0 => return Err(error),
            Err(_) => {}
        }
    }
}
