//! Answers a question, rightly or as wrongly as it was asked for.

use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::zones::Zones;
use super::{Misbehaviour, absolute};

/// Seconds for which anything may be kept.
const TTL: u32 = 1;
/// What UDP carries unless the question says otherwise (RFC 1035 §4.2.1), and what we send at most.
const UDP_BYTES: (u16, u16) = (512, 1232);

/// An answer, and how long it is held back.
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    pub(super) after: Duration,
}

/// Answers the message in `bytes`. None is silence: also towards what isn't a question.
pub(super) fn answer(zones: &Zones, question: &Message, tcp: bool) -> Option<Answer> {
    let [query] = &question.queries[..] else { return None };
    let misbehaviour = zones.misbehaviour(&query.name);
    let mut message = Message::response(question.id, question.op_code);
    message.metadata.recursion_desired = question.recursion_desired;
    message.metadata.authoritative = true;
    message.add_query(query.clone());
    if question.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_BYTES.1);
        message.set_edns(edns);
    }
    look_up(zones, query.name.clone(), query.query_type, &mut message);
    let mut after = Duration::ZERO;
    match misbehaviour {
        None => {}
        Some(Misbehaviour::Late(time)) => after = time,
        Some(Misbehaviour::Silent) => return None,
        Some(Misbehaviour::WrongId) => message.metadata.id = question.id.wrapping_add(1),
        Some(Misbehaviour::WrongQuestion) => {
            message.queries[0].set_name(elsewhere(&query.name));
            message.answers.iter_mut().for_each(|record| record.name = elsewhere(&record.name));
        }
        Some(Misbehaviour::WrongOwner) => {
            message.answers.iter_mut().for_each(|record| record.name = elsewhere(&record.name));
        }
        Some(Misbehaviour::Truncated) if !tcp => message = message.truncate(),
        Some(Misbehaviour::Truncated) => {}
        Some(Misbehaviour::ServFail) => {
            message.answers.clear();
            message.authorities.clear();
            message.metadata.response_code = ResponseCode::ServFail;
        }
    }
    Some(Answer { bytes: encode(&message, question, tcp), after })
}

/// The message that `bytes` are, if it is a question.
pub(super) fn question(bytes: &[u8]) -> Option<Message> {
    let message = Message::from_vec(bytes).ok()?;
    (message.message_type == MessageType::Query && message.op_code == OpCode::Query).then_some(message)
}

/// The answer of a resolver that found nobody who knows.
pub(super) fn failed(question: &Message) -> Option<Vec<u8>> {
    let mut message = Message::response(question.id, question.op_code);
    message.metadata.recursion_desired = question.recursion_desired;
    message.metadata.response_code = ResponseCode::ServFail;
    message.add_queries(question.queries.iter().cloned());
    message.to_vec().ok()
}

fn encode(message: &Message, question: &Message, tcp: bool) -> Vec<u8> {
    let bytes = message.to_vec().expect("the laboratory's names and records can be encoded");
    let limit = question.edns.as_ref().map_or(UDP_BYTES.0, |edns| edns.max_payload().clamp(UDP_BYTES.0, UDP_BYTES.1));
    if tcp || bytes.len() <= usize::from(limit) {
        return bytes;
    }
    message.truncate().to_vec().expect("less of the same")
}

/// Fills in what is known about `name`, following aliases (RFC 1034 §4.3.2).
fn look_up(zones: &Zones, mut name: Name, kind: RecordType, message: &mut Message) {
    let mut seen = Vec::new();
    loop {
        let records = zones.records(&name);
        let found = records.iter().filter(|data| data.record_type() == kind || kind == RecordType::ANY);
        let alias = records.iter().find(|data| matches!(data, RData::CNAME(_)));
        let before = message.answers.len();
        message.add_answers(found.map(|data| Record::from_rdata(name.clone(), TTL, data.clone())));
        if message.answers.len() > before {
            return;
        }
        let Some(RData::CNAME(target)) = alias else { break };
        message.add_answer(Record::from_rdata(name.clone(), TTL, RData::CNAME(target.clone())));
        seen.push(name);
        if seen.contains(target) {
            return;
        }
        name = target.0.clone();
    }
    if !zones.exists(&name) {
        message.metadata.response_code = ResponseCode::NXDomain;
    }
    message.add_authority(soa(&name));
}

/// What lets a negative answer be kept (RFC 2308 §3). Each top-level domain is a zone.
fn soa(name: &Name) -> Record {
    let apex = name.trim_to(1);
    let data = SOA::new(absolute("ns.test"), absolute("hostmaster.test"), 1, 3600, 600, 86_400, TTL);
    Record::from_rdata(apex, TTL, RData::SOA(data))
}

fn elsewhere(name: &Name) -> Name {
    name.prepend_label("elsewhere").expect("the laboratory's names are short")
}
