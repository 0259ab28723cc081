//! Trunks from gateways: accepted, made sure of, and served.

use std::sync::Arc;
use std::time::Duration;

use net::trunk::members::Members;
use net::trunk::tls::Acceptor;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// For a gateway to finish its handshake.
const PATIENCE: Duration = Duration::from_secs(5);
/// Before the next try, when a connection can't be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts gateways for as long as the edge runs.
pub async fn accept(listener: TcpListener, acceptor: Acceptor, members: Arc<Members>) {
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
