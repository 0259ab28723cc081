//! One listening address: its UDP and its TCP socket, and what they do until it is closed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use crate::service::Service;

mod tcp;
mod udp;

/// How often another port is tried when the system's choice for TCP is taken for UDP.
const TRIES: usize = 20;

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
