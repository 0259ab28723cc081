//! Queries by UDP.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::sleep;

use crate::message::Transport;
use crate::service::{Reaction, Service};

/// Answers what comes to `socket`.
pub(super) async fn serve(socket: UdpSocket, service: Arc<Service>) {
    let socket = Arc::new(socket);
    let mut buffer = vec![0; usize::from(u16::MAX)];
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
        match service.hear(&buffer[..length], client.ip(), Transport::Udp) {
            Reaction::Reply(reply) => send(&socket, &reply, client).await,
            Reaction::Wait(pending) => {
                let socket = socket.clone();
                tokio::spawn(async move { send(&socket, &pending.reply().await, client).await });
            }
            Reaction::Nothing => {}
        }
    }
}

/// Sends a reply. Whom it can't reach asks again.
async fn send(socket: &UdpSocket, reply: &[u8], client: std::net::SocketAddr) {
    if let Err(error) = socket.send_to(reply, client).await {
        tracing::debug!(%client, %error, "the reply can't be sent");
    }
}
