//! Bytes to queries and replies to bytes: what of a message counts, what is malformed, what fits.

use std::sync::Arc;

use hickory_proto::op::{Edns, Header, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use crate::answer::Decision;

/// The largest UDP message that passes every path unfragmented, as resolvers agreed on it: what we
/// send and accept at most.
pub const UDP_LIMIT: u16 = 1232;

/// What every host takes (RFC 1035 §4.2.1).
pub(crate) const UDP_WITHOUT_EDNS: u16 = 512;

/// What carried a query here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One datagram.
    Udp,
    /// A connection, with lengths before messages (RFC 7766).
    Tcp,
}

/// A query that can be decided about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked, in the case in which it was asked.
    pub question: Query,
    /// Whether signatures may come with the answer (RFC 3225).
    pub dnssec_ok: bool,
    /// Whether the client checks signatures itself (RFC 4035 §3.2.2).
    pub checking_disabled: bool,
    /// Whether we may ask others.
    pub recursion_desired: bool,
    /// Whether AD means anything to the client (RFC 6840 §5.7).
    wants_authentic: bool,
    id: u16,
    edns: Option<u16>,
    transport: Transport,
}

/// What came instead of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// Not even a header, or a reply: whoever answers those is in a loop soon.
    Silence,
    /// An error that says what is wrong: FORMERR, NOTIMP, BADVERS.
    Error(Vec<u8>),
}

/// Reads what came by `transport`.
///
/// # Errors
/// What to send back, if anything.
pub fn read(bytes: &[u8], transport: Transport) -> Result<Request, Unfit> {
    let header = Header::read(&mut BinDecoder::new(bytes)).map_err(|_| Unfit::Silence)?;
    if header.message_type != MessageType::Query {
        return Err(Unfit::Silence);
    }
    let error = |code| Unfit::Error(bare(&header, code));
    if header.op_code != OpCode::Query {
        return Err(error(ResponseCode::NotImp));
    }
    // One question and no records but pseudo-records (RFC 9619 §4).
    let counts = header.counts;
    if counts.queries != 1 || counts.answers != 0 || counts.authorities != 0 {
        return Err(error(ResponseCode::FormErr));
    }
    let mut message = Message::from_vec(bytes).map_err(|_| error(ResponseCode::FormErr))?;
    let question = message.queries.pop().ok_or_else(|| error(ResponseCode::FormErr))?;
    let edns = message.edns.as_ref();
    let dnssec_ok = edns.is_some_and(|edns| edns.flags().dnssec_ok);
    let request = Request {
        question,
        dnssec_ok,
        checking_disabled: header.checking_disabled,
        recursion_desired: header.recursion_desired,
        wants_authentic: dnssec_ok || header.authentic_data,
        id: header.id,
        edns: edns.map(Edns::max_payload),
        transport,
    };
    if edns.is_some_and(|edns| edns.version() != 0) {
        return Err(Unfit::Error(request.error(ResponseCode::BADVERS)));
    }
    Ok(request)
}

/// The refusal of whatever `bytes` are, read no further than the header; nothing when they must not
/// be answered.
pub fn refusal(bytes: &[u8]) -> Option<Vec<u8>> {
    let header = Header::read(&mut BinDecoder::new(bytes)).ok()?;
    (header.message_type == MessageType::Query).then(|| bare(&header, ResponseCode::Refused))
}

/// An error without a question, for who asked none that can be read.
fn bare(header: &Header, code: ResponseCode) -> Vec<u8> {
    let mut error = Message::error_msg(header.id, header.op_code, code);
    error.metadata.recursion_desired = header.recursion_desired;
    error.metadata.recursion_available = true;
    error.to_vec().expect("a header can be written")
}

impl Request {
    /// The reply that carries an error and nothing else.
    pub fn error(&self, code: ResponseCode) -> Vec<u8> {
        self.fit(self.reply(code))
    }

    /// The reply that carries out `decision`; nothing when that is to forward the question.
    pub fn decided(&self, decision: Decision) -> Option<Vec<u8>> {
        let mut reply = self.reply(match decision {
            Decision::NoName(_) => ResponseCode::NXDomain,
            Decision::Refuse(_) => ResponseCode::Refused,
            _ => ResponseCode::NoError,
        });
        reply.metadata.authoritative =
            matches!(decision, Decision::Answer { .. } | Decision::NoData(_) | Decision::NoName(_));
        match decision {
            Decision::Answer { answers, additionals } => {
                reply.answers = answers;
                reply.additionals = additionals;
            }
            Decision::NoData(soa) | Decision::NoName(soa) => reply.authorities = vec![soa],
            Decision::Minimal(record) => reply.answers = vec![record],
            Decision::Refuse(_) => {}
            Decision::Forward => return None,
        }
        Some(self.fit(reply))
    }

    /// The reply that passes on what a resolver of the site said.
    pub fn forwarded(&self, said: Arc<Message>) -> Vec<u8> {
        let said = Arc::unwrap_or_clone(said);
        let mut reply = self.reply(said.response_code);
        reply.metadata.authentic_data = said.authentic_data && self.wants_authentic;
        reply.answers = said.answers;
        reply.authorities = said.authorities;
        reply.additionals = said.additionals;
        self.fit(reply)
    }

    fn reply(&self, code: ResponseCode) -> Message {
        let mut reply = Message::error_msg(self.id, OpCode::Query, code);
        reply.metadata.recursion_desired = self.recursion_desired;
        reply.metadata.recursion_available = true;
        reply.metadata.checking_disabled = self.checking_disabled;
        reply.queries = vec![self.question.clone()];
        reply.edns = self.edns.map(|_| {
            let mut edns = Edns::new();
            edns.set_max_payload(UDP_LIMIT).set_dnssec_ok(self.dnssec_ok);
            edns
        });
        reply
    }

    /// How long a reply may be.
    pub fn limit(&self) -> usize {
        usize::from(match self.transport {
            Transport::Tcp => u16::MAX,
            Transport::Udp => self.edns.map_or(UDP_WITHOUT_EDNS, |size| size.clamp(UDP_WITHOUT_EDNS, UDP_LIMIT)),
        })
    }

    /// Writes `reply` so that it fits: without the additional records if need be, which nobody
    /// misses (RFC 2181 §9), else without any, and marked as truncated.
    fn fit(&self, mut reply: Message) -> Vec<u8> {
        let fits = |reply: &Message| reply.to_vec().ok().filter(|bytes| bytes.len() <= self.limit());
        if let Some(bytes) = fits(&reply) {
            return bytes;
        }
        reply.additionals.clear();
        fits(&reply).unwrap_or_else(|| reply.truncate().to_vec().expect("a question that was read can be written"))
    }
}

#[cfg(test)]
mod tests;
