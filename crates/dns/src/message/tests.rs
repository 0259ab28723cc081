//! Malformed queries, flags, and sizes of replies.

use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::*;
use crate::testing::{bytes, query, with_edns};

fn code(unfit: Unfit) -> ResponseCode {
    match unfit {
        Unfit::Error(error) => Message::from_vec(&error).expect("a readable error").response_code,
        Unfit::Silence => panic!("nothing is answered"),
    }
}

fn read_udp(bytes: &[u8]) -> Result<Request, Unfit> {
    read(bytes, Transport::Udp)
}

#[test]
fn what_must_not_be_answered_is_not() {
    let good = bytes(&query("contoso.test.", RecordType::A));
    for length in 0..12 {
        assert_eq!(read_udp(&good[..length]), Err(Unfit::Silence), "{length} bytes");
        assert_eq!(refusal(&good[..length]), None);
    }
    let mut reply = good.clone();
    reply[2] |= 0x80;
    assert_eq!(read_udp(&reply), Err(Unfit::Silence), "a reply");
    assert_eq!(refusal(&reply), None);
}

#[test]
fn malformed_queries_are_format_errors() {
    let good = bytes(&query("contoso.test.", RecordType::A));
    for length in 12..good.len() {
        let error = read_udp(&good[..length]).expect_err("cut off");
        assert_eq!(code(error), ResponseCode::FormErr, "{length} bytes");
    }
    for (what, at, byte) in [
        ("no question", 5, 0),
        ("a second question that isn't there", 5, 2),
        ("an answer", 7, 1),
        ("an authority", 9, 1),
        ("an additional record that isn't there", 11, 1),
        ("a pointer forwards", 12, 0xc0),
        ("a label of an unknown kind", 12, 0x80),
    ] {
        let mut bad = good.clone();
        bad[at] = byte;
        let error = read_udp(&bad).expect_err(what);
        assert_eq!(code(error), ResponseCode::FormErr, "{what}");
    }
    let mut two = query("contoso.test.", RecordType::A);
    two.queries.push(two.queries[0].clone());
    assert_eq!(code(read_udp(&bytes(&two)).expect_err("two questions")), ResponseCode::FormErr);
    let mut twice = bytes(&with_edns(query("contoso.test.", RecordType::A), 1232));
    let opt = twice[twice.len() - 11..].to_vec();
    twice.extend(opt);
    twice[11] = 2;
    assert_eq!(code(read_udp(&twice).expect_err("two OPT records")), ResponseCode::FormErr);
}

#[test]
fn errors_repeat_what_the_client_needs_to_know_them_by() {
    let mut bad = bytes(&query("contoso.test.", RecordType::A));
    bad.truncate(20);
    let Err(Unfit::Error(error)) = read_udp(&bad) else { panic!("no error") };
    let error = Message::from_vec(&error).expect("a readable error");
    assert_eq!(error.id.to_be_bytes(), bad[..2]);
    assert!(error.recursion_desired && error.recursion_available);
    assert_eq!(error.message_type, MessageType::Response);
}

#[test]
fn other_operations_and_versions_are_not_implemented() {
    let mut update = query("contoso.test.", RecordType::SOA);
    update.metadata.op_code = OpCode::Update;
    assert_eq!(code(read_udp(&bytes(&update)).expect_err("an update")), ResponseCode::NotImp);
    let mut future = with_edns(query("contoso.test.", RecordType::A), 1232);
    future.edns.as_mut().expect("just set").set_version(1);
    // BADVERS and TSIG's BADSIG have the same number.
    let error = code(read_udp(&bytes(&future)).expect_err("EDNS 1"));
    assert_eq!(u16::from(error), u16::from(ResponseCode::BADVERS));
}

fn text(records: usize, length: usize) -> Message {
    let mut said = Message::response(0, OpCode::Query);
    let name = Name::from_ascii("contoso.test.").expect("a name");
    let record = |_| Record::from_rdata(name.clone(), 60, RData::TXT(TXT::new(vec!["x".repeat(length)])));
    said.answers = (0..records).map(record).collect();
    said
}

#[test]
fn a_reply_is_as_long_as_the_client_takes() {
    let plain = query("contoso.test.", RecordType::TXT);
    for (what, query, transport, limit) in [
        ("no EDNS", plain.clone(), Transport::Udp, 512),
        ("EDNS with less than the least", with_edns(plain.clone(), 100), Transport::Udp, 512),
        ("EDNS", with_edns(plain.clone(), 900), Transport::Udp, 900),
        ("EDNS with more than the most", with_edns(plain.clone(), 4096), Transport::Udp, 1232),
        ("TCP", plain, Transport::Tcp, 65535),
    ] {
        let request = read(&bytes(&query), transport).expect(what);
        assert_eq!(request.limit(), limit, "{what}");
        for records in [1, 3, 4, 6, 8, 10, 20, 400] {
            let reply = request.forwarded(text(records, 100).into());
            assert!(reply.len() <= limit, "{what}, {records}");
            let reply = Message::from_vec(&reply).expect("a readable reply");
            let whole = 29 + if query.edns.is_some() { 11 } else { 0 } + records * (12 + 101) <= limit;
            assert_eq!(reply.truncation, !whole, "{what}, {records}");
            assert_eq!(reply.answers.len(), if whole { records } else { 0 }, "{what}, {records}");
            assert_eq!(reply.edns.is_some(), query.edns.is_some(), "{what}");
            assert_eq!(reply.queries, query.queries);
        }
    }
}

#[test]
fn additional_records_are_left_out_before_a_reply_is_cut() {
    let request = read_udp(&bytes(&query("contoso.test.", RecordType::TXT))).expect("a query");
    let mut said = text(3, 100);
    said.additionals = text(3, 100).answers;
    let reply = Message::from_vec(&request.forwarded(said.into())).expect("a readable reply");
    assert_eq!((reply.answers.len(), reply.additionals.len(), reply.truncation), (3, 0, false));
}

#[test]
fn authenticity_is_said_to_whoever_understands_it() {
    let mut said = text(1, 10);
    said.metadata.authentic_data = true;
    said.metadata.authoritative = true;
    let plain = query("contoso.test.", RecordType::TXT);
    let mut asks = plain.clone();
    asks.metadata.authentic_data = true;
    let mut checks = with_edns(plain.clone(), 1232);
    checks.edns.as_mut().expect("just set").set_dnssec_ok(true);
    checks.metadata.checking_disabled = true;
    for (query, authentic) in [(plain, false), (asks, true), (checks, true)] {
        let request = read_udp(&bytes(&query)).expect("a query");
        let reply = Message::from_vec(&request.forwarded(said.clone().into())).expect("a readable reply");
        assert_eq!(reply.authentic_data, authentic);
        assert_eq!(reply.checking_disabled, query.checking_disabled);
        assert!(!reply.authoritative, "what others said is not ours");
    }
}
