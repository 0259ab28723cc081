//! Queries to zones by UDP. Nothing waits, so that one buffer is enough for all.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::sleep;

use crate::message::Transport;
use crate::zone::service::Authority;

/// Answers what comes to `socket`.
pub(super) async fn serve(socket: UdpSocket, authority: Arc<Authority>) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    let mut reply = Vec::with_capacity(usize::from(u16::MAX));
    loop {
        let (length, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                // Whatever it is, it must not keep this loop spinning.
                tracing::warn!(%error, "receiving by UDP");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if authority.hear(&buffer[..length], client.ip(), Transport::Udp, &mut reply) {
            send(&socket, &reply, client).await;
        }
    }
}

/// Sends a reply. Whom it can't reach asks again.
async fn send(socket: &UdpSocket, reply: &[u8], client: SocketAddr) {
    let sent: io::Result<usize> = socket.send_to(reply, client).await;
    if let Err(error) = sent {
        tracing::debug!(%client, %error, "the reply can't be sent");
    }
}
