//! Queries by TCP: several on one connection, answered in the order in which answers are there
//! (RFC 7766), with limits on connections, of all and of each client, and on idle time.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::places::{Place, Places};
use crate::limit::Rarely;
use crate::listen::Answers;
use crate::message::Transport;
use crate::service::Reaction;

/// Connections to one address at once; for one beyond, one that is idle is closed, or where none is, itself.
const CONNECTIONS: usize = 150;

/// Of one client. Who asks for much does so by one connection.
const OF_ONE: usize = 16;

/// Between two warnings.
const WARNING: Duration = Duration::from_secs(10);

/// Queries of one connection that are answered at once; the next isn't read before.
const AT_ONCE: usize = 32;

/// A connection without a whole query for this long is closed. Longer than any answer takes.
const IDLE: Duration = Duration::from_secs(10);

/// Accepts and answers connections.
pub(super) async fn serve(listener: TcpListener, service: Arc<impl Answers>) {
    let (places, warning) = (Places::new(CONNECTIONS, OF_ONE), Rarely::new(WARNING));
    // The connections end with the listener.
    let mut connections = JoinSet::new();
    loop {
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, say: it must not keep this loop spinning.
                tracing::warn!(%error, "accepting by TCP");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let now = Instant::now();
        let Some((place, lost)) = places.enter(service.together(client.ip()), now) else {
            service.counts().unconnected.grow();
            if warning.is_due(now) {
                let (most, of_one) = (CONNECTIONS, OF_ONE);
                tracing::warn!(%client, most, of_one, "TCP connections: the limit is reached, and more are turned away");
            }
            continue;
        };
        let service = service.clone();
        connections.spawn(async move {
            tokio::select! {
                () = connection(stream, client, &*service, &place) => {}
                _ = lost => tracing::debug!(%client, "TCP connection closed: it was idle, and another one needs its place"),
            }
        });
    }
}

async fn connection(stream: TcpStream, client: SocketAddr, service: &impl Answers, place: &Place) {
    let (reader, writer) = stream.into_split();
    let (replies, to_send) = mpsc::channel(AT_ONCE);
    let ended = tokio::try_join!(read(reader, client.ip(), (service, place), replies), write(writer, to_send, place));
    if let Err(error) = ended {
        tracing::debug!(%client, %error, "TCP connection closed");
    }
}

/// Reads queries until the client ends or idles.
async fn read(
    mut reader: OwnedReadHalf,
    client: IpAddr,
    (service, place): (&impl Answers, &Place),
    replies: mpsc::Sender<Vec<u8>>,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(query) = timeout(IDLE, next(&mut reader)).await?? {
        place.asked();
        let permit = room.clone().acquire_owned().await.map_err(io::Error::other)?;
        match service.react(&query, client, Transport::Tcp) {
            Reaction::Reply(reply) => replies.send(reply).await.map_err(io::Error::other)?,
            Reaction::Wait(pending) => {
                let replies = replies.clone();
                tokio::spawn(async move {
                    // A client that has gone misses nothing.
                    let _ = replies.send(pending.reply().await).await;
                    drop(permit);
                });
            }
            Reaction::Nothing => return Err(io::Error::new(io::ErrorKind::InvalidData, "what came is no query")),
        }
    }
    Ok(())
}

/// The next message; nothing at the end of the stream.
async fn next(reader: &mut OwnedReadHalf) -> io::Result<Option<Vec<u8>>> {
    let length = match reader.read_u16().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut message = vec![0; length.into()];
    reader.read_exact(&mut message).await?;
    Ok(Some(message))
}

/// Sends replies until there will be no more.
async fn write(mut writer: OwnedWriteHalf, mut replies: mpsc::Receiver<Vec<u8>>, place: &Place) -> io::Result<()> {
    while let Some(reply) = replies.recv().await {
        let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
        timeout(IDLE, writer.write_all(&[&length.to_be_bytes(), &reply[..]].concat())).await??;
        place.answered(Instant::now());
    }
    Ok(())
}
