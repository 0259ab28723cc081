//! One question to one name server: over UDP, and over TCP where the answer is too long for that.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};
use topology::records::RecordSet;

use crate::records::{self, RecordError};

#[cfg(test)]
mod tests;

/// What an answer over UDP may be long without being cut into fragments anywhere (DNS flag day 2020).
const UDP_BYTES: u16 = 1232;
/// A datagram may get lost, and so may all of them: it is sent twice, and then TCP is tried, each for a third of the patience
/// of whoever asks.
const TRIES: u32 = 3;

/// Whom a question is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// A server that has authority: what it only remembers doesn't count.
    Authority,
    /// A resolver, which finds out.
    Resolver,
}

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether there is such a name.
    pub exists: bool,
    /// The sets in the answer: of the name that was asked for, and of what it is an alias of.
    pub sets: Vec<RecordSet>,
    /// The serial of the zone, where it was said.
    pub serial: Option<u32>,
}

/// Why nothing is known.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nothing came.
    #[error("{server} said nothing for {} ms; is it up, and may this machine reach UDP and TCP port {} there?", .patience.as_millis(), .server.port())]
    Silent {
        /// Who was asked.
        server: SocketAddr,
        /// For how long it was waited.
        patience: Duration,
    },
    /// The system says why.
    #[error("{server} can't be asked: {error}")]
    Unreachable {
        /// Who was asked.
        server: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// It doesn't say.
    #[error("{server} answers {code} when it is asked for {name}: {}", meaning(*.code))]
    Refused {
        /// Who was asked.
        server: SocketAddr,
        /// For what.
        name: String,
        /// How it refuses.
        code: ResponseCode,
    },
    /// It isn't the one to ask.
    #[error(
        "{server} has no authority over {name}; name only servers to which the zone is delegated, or that it is transferred to"
    )]
    NoAuthority {
        /// Who was asked.
        server: SocketAddr,
        /// For what.
        name: String,
    },
    /// It is no DNS.
    #[error("{server} answers what can't be understood")]
    Garbage {
        /// Who was asked.
        server: SocketAddr,
    },
    /// The question can't be asked.
    #[error(transparent)]
    Question(#[from] RecordError),
}

fn meaning(code: ResponseCode) -> &'static str {
    match code {
        ResponseCode::Refused => "it doesn't serve that zone, or not for this machine",
        ResponseCode::ServFail => "it has trouble with that zone; its log says which",
        ResponseCode::NotAuth => "it has no authority there",
        _ => "its log may say why",
    }
}

/// Asks `server` for records of one type at a name, for at most `patience`.
///
/// # Errors
/// Why it isn't known. That there is no such name or no such record is an answer.
pub async fn ask(
    server: SocketAddr,
    name: &str,
    kind: &str,
    manner: Manner,
    patience: Duration,
) -> Result<Answer, AskError> {
    let mut question = Message::query();
    question.metadata.recursion_desired = manner == Manner::Resolver;
    question.add_query(Query::query(records::name(name)?, records::kind(kind)?));
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_BYTES);
    question.set_edns(edns);
    let bytes = question.to_vec().map_err(|_| RecordError(name.to_owned()))?;
    let deadline = Instant::now() + patience;
    let again = patience / TRIES;
    let told = match over_udp(server, &question, &bytes, deadline - again, again).await {
        Ok(Some(message)) if !message.metadata.truncation => Ok(message),
        Ok(_) => over_tcp(server, &bytes, deadline).await,
        Err(error) => Err(error),
    };
    let message = match told {
        Ok(message) => message,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(AskError::Silent { server, patience }),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(AskError::Garbage { server }),
        Err(error) => return Err(AskError::Unreachable { server, error }),
    };
    if message.queries != question.queries {
        return Err(AskError::Garbage { server });
    }
    read(server, name, manner, &message)
}

fn read(server: SocketAddr, name: &str, manner: Manner, message: &Message) -> Result<Answer, AskError> {
    let code = message.metadata.response_code;
    if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return Err(AskError::Refused { server, name: name.to_owned(), code });
    }
    if manner == Manner::Authority && !message.metadata.authoritative {
        return Err(AskError::NoAuthority { server, name: name.to_owned() });
    }
    let all = message.answers.iter().chain(&message.authorities);
    let serial = all.filter_map(|record| match &record.data {
        RData::SOA(soa) => Some(soa.serial),
        _ => None,
    });
    Ok(Answer {
        exists: code == ResponseCode::NoError,
        serial: serial.max(),
        sets: records::sets(message.answers.iter().filter(|record| record.record_type() != RecordType::RRSIG)),
    })
}

/// Nothing where nothing came.
async fn over_udp(
    server: SocketAddr,
    question: &Message,
    bytes: &[u8],
    deadline: Instant,
    again: Duration,
) -> io::Result<Option<Message>> {
    let own = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(own).await?;
    socket.connect(server).await?;
    let mut buffer = [0; UDP_BYTES as usize];
    while Instant::now() < deadline {
        socket.send(bytes).await?;
        let until = deadline.min(Instant::now() + again);
        while let Ok(received) = timeout_at(until, socket.recv(&mut buffer)).await {
            // What is no answer to this question is somebody else's, or a guess.
            match Message::from_vec(&buffer[..received?]) {
                Ok(message) if message.id == question.id && message.queries == question.queries => {
                    return Ok(Some(message));
                }
                _ => {}
            }
        }
    }
    Ok(None)
}

async fn over_tcp(server: SocketAddr, bytes: &[u8], deadline: Instant) -> io::Result<Message> {
    let patience = deadline.saturating_duration_since(Instant::now());
    let answer = timeout(patience, exchange(server, bytes)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let message = Message::from_vec(&answer).map_err(|_| io::ErrorKind::InvalidData)?;
    if message.id.to_be_bytes() == bytes[..2] { Ok(message) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// One message over a TCP connection of its own, and what comes back (RFC 7766 §8).
pub(crate) async fn exchange(server: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let length = u16::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes()[..], bytes].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.sets.iter().flat_map(RecordSet::lines).collect();
        match (self.exists, lines.is_empty()) {
            (false, _) => f.write_str("no such name"),
            (true, true) => f.write_str("no such record"),
            (true, false) => f.write_str(&lines.join("; ")),
        }
    }
}
