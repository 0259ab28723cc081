//! The sockets of the laboratory's DNS.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::Question;
use super::answer::{self, Answer};
use super::delegated;
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
                let Some(response) = respond(&zones, &buffer[..length], from, false) else { continue };
                let (udp, question) = (udp.clone(), buffer[..length].to_vec());
                tokio::spawn(async move {
                    let Some(bytes) = response.bytes(&question, false).await else { return };
                    // Whoever doesn't take it any more doesn't need it.
                    let _ = udp.send_to(&bytes, from).await;
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
        let Some(response) = respond(&zones, &bytes, from, true) else { continue };
        let Some(bytes) = response.bytes(&bytes, true).await else { continue };
        let length = u16::try_from(bytes.len()).expect("the laboratory's answers are small");
        stream.write_all(&[&length.to_be_bytes()[..], &bytes].concat()).await?;
    }
}

/// What is done about a question.
enum Response {
    /// It is answered from here.
    Own(Answer),
    /// These have authority.
    Delegated(Vec<SocketAddr>),
}

impl Response {
    /// What goes back, when it is there. None is silence.
    async fn bytes(self, question: &[u8], tcp: bool) -> Option<Vec<u8>> {
        match self {
            Response::Own(Answer { bytes, after }) => {
                tokio::time::sleep(after).await;
                Some(bytes)
            }
            Response::Delegated(servers) => match delegated::ask(&servers, question, tcp).await {
                Some(answer) => Some(answer),
                None => answer::failed(&answer::question(question)?),
            },
        }
    }
}

fn respond(zones: &Mutex<Zones>, bytes: &[u8], from: SocketAddr, tcp: bool) -> Option<Response> {
    let question = answer::question(bytes)?;
    let mut zones = zones.lock().unwrap_or_else(PoisonError::into_inner);
    zones.questions.extend(question.queries.iter().map(|query| Question {
        from,
        name: query.name.to_lowercase().to_ascii(),
        kind: query.query_type,
        tcp,
    }));
    if let Some(servers) = question.queries.first().and_then(|query| zones.delegated(&query.name)) {
        return Some(Response::Delegated(servers));
    }
    answer::answer(&zones, &question, tcp).map(Response::Own)
}
