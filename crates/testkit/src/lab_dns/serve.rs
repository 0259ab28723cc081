//! The sockets of the laboratory's DNS.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::Question;
use super::answer::{self, Answer};
use super::zones::Zones;

/// Serves for ever.
pub(super) async fn serve(udp: std::net::UdpSocket, tcp: std::net::TcpListener, zones: Arc<Mutex<Zones>>) {
    let udp = Arc::new(UdpSocket::from_std(udp).expect("a socket for this runtime"));
    let tcp = TcpListener::from_std(tcp).expect("a socket for this runtime");
    let mut buffer = [0; 4096];
    loop {
        tokio::select! {
            received = udp.recv_from(&mut buffer) => {
                // An error is what a client's port said that is closed by now.
                let Ok((length, from)) = received else { continue };
                let Some(answer) = respond(&zones, &buffer[..length], from, false) else { continue };
                let udp = udp.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(answer.after).await;
                    // Whoever doesn't take it any more doesn't need it.
                    let _ = udp.send_to(&answer.bytes, from).await;
                });
            }
            accepted = tcp.accept() => {
                let Ok((stream, from)) = accepted else { continue };
                tokio::spawn(connection(stream, from, zones.clone()));
            }
        }
    }
}

/// Serves one connection until the other side ends it, in whatever way.
async fn connection(mut stream: TcpStream, from: SocketAddr, zones: Arc<Mutex<Zones>>) -> std::io::Result<()> {
    loop {
        let mut bytes = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut bytes).await?;
        let Some(Answer { bytes, after }) = respond(&zones, &bytes, from, true) else { continue };
        tokio::time::sleep(after).await;
        let length = u16::try_from(bytes.len()).expect("the laboratory's answers are small");
        stream.write_all(&[&length.to_be_bytes()[..], &bytes].concat()).await?;
    }
}

fn respond(zones: &Mutex<Zones>, bytes: &[u8], from: SocketAddr, tcp: bool) -> Option<Answer> {
    let question = answer::question(bytes)?;
    let mut zones = zones.lock().unwrap_or_else(PoisonError::into_inner);
    zones.questions.extend(question.queries.iter().map(|query| Question {
        from,
        name: query.name.to_lowercase().to_ascii(),
        kind: query.query_type,
        tcp,
    }));
    answer::answer(&zones, &question, tcp)
}
