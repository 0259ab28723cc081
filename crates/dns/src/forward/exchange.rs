//! One question to one resolver: by UDP, again while nothing comes back, by TCP when the answer
//! was too long for UDP (RFC 1035 §4.2, RFC 7766).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Header, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::RData;
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, DecodeError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::cache::Ask;
use crate::message::UDP_LIMIT;

/// A datagram that wasn't answered for this long is sent again.
const RESEND: Duration = Duration::from_secs(1);

/// Why a resolver's answer is none.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It said that it can't answer.
    #[error("it answered {0}")]
    Code(ResponseCode),
    /// It answered our question with something that is no DNS message.
    #[error("its answer can't be read: {0}")]
    Unreadable(#[from] DecodeError),
    /// It answered a question by TCP that was not asked.
    #[error("it answered by TCP what it was not asked")]
    Other,
    /// Its answer by TCP was cut too, as by UDP.
    #[error("its answer is cut by TCP too")]
    Cut,
    /// There was no way to it.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The question as it stands in messages.
pub(super) fn question(ask: &Ask) -> Query {
    Query::query(ask.name.clone(), ask.wanted)
}

/// Asks `resolver`, for as long as the caller waits.
pub(super) async fn exchange(resolver: SocketAddr, ask: &Ask) -> Result<Message, Fault> {
    let query = query(ask);
    let bytes = query.to_vec().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let said = by_udp(resolver, &query, &bytes).await?;
    let said = if said.truncation { by_tcp(resolver, &query, &bytes).await? } else { said };
    if answers(said.response_code) { Ok(said) } else { Err(Fault::Code(said.response_code)) }
}

/// With a random id; from a random port it comes anyway.
fn query(ask: &Ask) -> Message {
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.metadata.checking_disabled = ask.checking_disabled;
    query.metadata.authentic_data = true;
    query.add_query(question(ask));
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_LIMIT).set_dnssec_ok(ask.dnssec_ok);
    query.set_edns(edns);
    query
}

async fn by_udp(resolver: SocketAddr, query: &Message, bytes: &[u8]) -> Result<Message, Fault> {
    let any: SocketAddr = match resolver {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(resolver).await?;
    // More than we ask for: some send more than they are asked for.
    let mut buffer = vec![0; 4096];
    loop {
        socket.send(bytes).await?;
        let answer = async {
            loop {
                let length = socket.recv(&mut buffer).await?;
                if let Some(said) = accept(query, &buffer[..length]) {
                    return said;
                }
            }
        };
        if let Ok(said) = timeout(RESEND, answer).await {
            return said;
        }
    }
}

async fn by_tcp(resolver: SocketAddr, query: &Message, bytes: &[u8]) -> Result<Message, Fault> {
    let mut stream = TcpStream::connect(resolver).await?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), bytes].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    match accept(query, &answer) {
        Some(Ok(said)) if said.truncation => Err(Fault::Cut),
        Some(said) => said,
        None => Err(Fault::Other),
    }
}

/// Reads an answer to `query`; nothing when it is none: another id, another question, a query. What
/// is none says nothing about the resolver either: anybody could have sent it.
pub fn accept(query: &Message, bytes: &[u8]) -> Option<Result<Message, Fault>> {
    let mut decoder = BinDecoder::new(bytes);
    let header = Header::read(&mut decoder).ok()?;
    if header.id != query.id || header.message_type != MessageType::Response || header.op_code != query.op_code {
        return None;
    }
    let code = header.response_code;
    match header.counts.queries {
        // Servers that could not read a query don't repeat it.
        0 if !answers(code) => return Some(Err(Fault::Code(code))),
        1 if Query::read(&mut decoder).is_ok_and(|question| query.queries == [question]) => {}
        _ => return None,
    }
    if header.truncation {
        let mut cut = Message::error_msg(header.id, header.op_code, code);
        cut.metadata.truncation = true;
        return Some(Ok(cut));
    }
    Some(Message::from_vec(bytes).map(tidy).map_err(Fault::Unreadable))
}

/// Whether a response code is an answer; the others mean that there is none. YXDOMAIN is what
/// became of a name under a DNAME record (RFC 6672 §2.2).
fn answers(code: ResponseCode) -> bool {
    matches!(code, ResponseCode::NoError | ResponseCode::NXDomain | ResponseCode::YXDomain)
}

/// Makes the TTLs what they mean: too large is none (RFC 2181 §8), and a denial holds no longer
/// than its SOA record says (RFC 2308 §5).
fn tidy(mut said: Message) -> Message {
    for record in said.answers.iter_mut().chain(&mut said.authorities).chain(&mut said.additionals) {
        if record.ttl > i32::MAX.unsigned_abs() {
            record.ttl = 0;
        }
    }
    for record in &mut said.authorities {
        if let RData::SOA(soa) = &record.data {
            record.ttl = record.ttl.min(soa.minimum);
        }
    }
    said
}

#[cfg(test)]
mod tests;
