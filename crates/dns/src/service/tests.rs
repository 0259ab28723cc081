//! Who gets which reply, and a hundred thousand bad packets.

use hickory_proto::op::{Message, MessageType, OpCode};
use hickory_proto::rr::DNSClass;

use super::*;
use crate::testing::{Mutator, bytes, query, served, with_edns};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 1, 1));

fn reply(query: &Message) -> Message {
    match served().hear(&bytes(query), CLIENT, Transport::Udp) {
        Heard::Reply(reply) => Message::from_vec(&reply).expect("a readable reply"),
        other => panic!("no reply: {other:?}"),
    }
}

#[test]
fn the_bits_of_our_own_answers_are_right() {
    for (name, wanted, code, answers, authorities) in [
        ("_xmpp-server._tcp.Fabrikam.TEST.", RecordType::SRV, ResponseCode::NoError, 2, 0),
        ("_xmpp-server._tcp.fabrikam.test.", RecordType::A, ResponseCode::NoError, 0, 1),
        ("_xmpp-server._tcp.", RecordType::SRV, ResponseCode::NXDomain, 0, 1),
    ] {
        for edns in [false, true] {
            let mut query = query(name, wanted);
            query.metadata.authentic_data = true;
            query.metadata.checking_disabled = true;
            if edns {
                query = with_edns(query, 1232);
                query.edns.as_mut().expect("just set").set_dnssec_ok(true);
            }
            let reply = reply(&query);
            assert_eq!((reply.id, reply.response_code), (query.id, code));
            assert!(reply.authoritative && reply.recursion_available && reply.recursion_desired);
            assert!(!reply.authentic_data, "what is forged is not authentic");
            assert!(reply.checking_disabled && !reply.truncation);
            assert!(reply.queries[0].name().eq_case(query.queries[0].name()), "the case of the question");
            assert_eq!((reply.answers.len(), reply.authorities.len()), (answers, authorities));
            assert_eq!(reply.edns.map(|edns| edns.flags().dnssec_ok), edns.then_some(true));
        }
    }
}

#[test]
fn refusals_say_so() {
    let mut chaos = query("version.bind.", RecordType::TXT);
    chaos.queries[0].set_query_class(DNSClass::CH);
    let mut no_recursion = query("fabrikam.test.", RecordType::A);
    no_recursion.metadata.recursion_desired = false;
    for query in [chaos, no_recursion, query("contoso.test.", RecordType::AXFR)] {
        let reply = reply(&query);
        assert_eq!(reply.response_code, ResponseCode::Refused);
        assert!(!reply.authoritative);
        assert_eq!(reply.queries, query.queries);
    }
    let mut ours = query("gateway1.contoso.test.", RecordType::A);
    ours.metadata.recursion_desired = false;
    assert_eq!(reply(&ours).answers.len(), 1, "our own answers need no recursion");
}

#[test]
fn strangers_are_refused() {
    let query = query("gateway1.contoso.test.", RecordType::A);
    let served = served();
    for (client, allowed) in [
        ("127.9.9.9", true),
        ("::ffff:127.0.0.1", true),
        ("128.0.0.1", false),
        ("::1", false),
        ("::ffff:192.0.2.1", false),
    ] {
        let heard = served.hear(&bytes(&query), client.parse().expect("an address"), Transport::Udp);
        let Heard::Reply(reply) = heard else { panic!("no reply for {client}") };
        let reply = Message::from_vec(&reply).expect("a readable reply");
        assert_eq!(reply.response_code == ResponseCode::NoError, allowed, "{client}");
        assert_eq!(reply.response_code == ResponseCode::Refused, !allowed, "{client}");
    }
}

#[test]
fn what_is_not_ours_is_forwarded() {
    let heard = served().hear(&bytes(&query("fabrikam.test.", RecordType::A)), CLIENT, Transport::Udp);
    assert!(matches!(heard, Heard::Forward(request) if request.question.query_type() == RecordType::A));
}

#[test]
fn bad_packets_do_no_harm() {
    let mut update = query("contoso.test.", RecordType::SOA);
    update.metadata.op_code = OpCode::Update;
    let deep = format!("_xmpp-server._tcp.{}.", vec!["a"; 110].join("."));
    let seeds = [
        query("_xmpp-server._tcp.fabrikam.test.", RecordType::SRV),
        with_edns(query("_xmpps-server._tcp.contoso.test.", RecordType::SRV), 1232),
        with_edns(query("gateway1.contoso.test.", RecordType::ANY), 400),
        query("_xmpp-server._tcp.", RecordType::SRV),
        with_edns(query("fabrikam.test.", RecordType::AAAA), 4096),
        with_edns(query(&deep, RecordType::SRV), 512),
        update,
    ];
    let seeds = seeds.map(|seed| bytes(&seed));
    let (served, mut mutator) = (served(), Mutator(1));
    let mut seen = [0; 5];
    for _ in 0..100_000 {
        let bad = mutator.mutate(&seeds);
        let transport = if bad.len() % 2 == 0 { Transport::Udp } else { Transport::Tcp };
        match served.hear(&bad, CLIENT, transport) {
            Heard::Nothing => {
                assert!(bad.len() < 12 || bad[2] & 0x80 != 0, "only what is no query stays unanswered: {bad:?}");
                seen[0] += 1;
            }
            Heard::Forward(request) => {
                let error = request.error(ResponseCode::ServFail);
                assert!(error.len() <= request.limit());
                seen[1] += 1;
            }
            Heard::Reply(bytes) => {
                let reply = Message::from_vec(&bytes).expect("a readable reply");
                assert_eq!(bytes[..2], bad[..2], "the id");
                assert_eq!(reply.message_type, MessageType::Response);
                assert!(transport == Transport::Tcp || bytes.len() <= 1232);
                assert!(!reply.authentic_data);
                seen[match reply.response_code {
                    ResponseCode::NoError | ResponseCode::NXDomain => 2,
                    ResponseCode::FormErr => 3,
                    _ => 4,
                }] += 1;
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 500), "each kind of outcome was seen: {seen:?}");
}
