//! The view's own answers, by both transports.

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, RecordType as T};

use crate::rig::{Daemon, Resolver, Say, address, ask, query, tcp, udp, udp_from, with_edns};

fn records(message: &Message) -> Vec<String> {
    message.answers.iter().map(|record| record.data.to_string()).collect()
}

#[test]
fn names_of_the_view_are_answered_by_both_transports() {
    let resolver = Resolver::silent();
    let daemon = Daemon::forwarding(&[&resolver]);
    let gateways = ["10 10 5269 gateway1.contoso.test.", "20 10 5269 gateway2.contoso.test."].as_slice();
    let next_hop = ["10 10 5269 next-hop-127-0-1-1.gateway1.contoso.test."].as_slice();
    let ok = ResponseCode::NoError;
    let cases = [
        ("_xmpp-server._tcp.fabrikam.test.", T::SRV, ok, gateways),
        ("_xmpps-server._tcp.fabrikam.test.", T::SRV, ok, gateways),
        ("_XMPP-Server._TCP.a.b.c.Fabrikam.Example.", T::SRV, ok, gateways),
        ("_xmpp-server._tcp.xn--strae-oqa.example.", T::SRV, ok, gateways),
        ("_xmpp-server._tcp.contoso.test.", T::SRV, ok, next_hop),
        ("_xmpp-server._tcp.conference.contoso.test.", T::SRV, ok, next_hop),
        ("_xmpps-server._tcp.contoso.test.", T::SRV, ok, &[]),
        ("next-hop-127-0-1-1.gateway1.contoso.test.", T::A, ok, &["127.0.1.1"]),
        ("gateway1.contoso.test.", T::A, ok, &["127.0.2.1"]),
        ("gateway1.contoso.test.", T::AAAA, ok, &["2001:db8::1"]),
        ("gateway2.contoso.test.", T::AAAA, ok, &[]),
        ("gateway1.contoso.test.", T::TXT, ok, &[]),
        ("gateway1.contoso.test.", T::ANY, ok, &["127.0.2.1"]),
        ("_xmpp-server._tcp.fabrikam.test.", T::A, ok, &[]),
        ("_tcp.fabrikam.test.", T::A, ok, &[]),
        ("_xmpp-server._tcp.", T::SRV, ResponseCode::NXDomain, &[]),
        ("_xmpp-server._tcp.192.0.2.1.", T::SRV, ResponseCode::NXDomain, &[]),
    ];
    let queries: Vec<Message> = cases.iter().map(|(name, wanted, ..)| query(name, *wanted)).collect();
    let by_tcp = tcp(daemon.address, &queries);
    for ((name, wanted, code, expected), (query, tcp)) in cases.iter().zip(queries.iter().zip(&by_tcp)) {
        let udp = udp(daemon.address, query);
        assert_eq!(&udp, tcp, "{name}: UDP and TCP say the same");
        assert_eq!(udp.response_code, *code, "{name} {wanted}");
        assert_eq!(records(&udp), *expected, "{name} {wanted}");
        assert!(udp.authoritative && udp.recursion_available && !udp.authentic_data, "{name}");
        assert!(udp.queries[0].name().eq_case(query.queries[0].name()), "{name}: the case of the question");
        assert_eq!(udp.authorities.len(), usize::from(expected.is_empty()), "{name}: a denial has its SOA record");
        assert!(udp.answers.iter().chain(&udp.authorities).all(|record| record.ttl == 5), "{name}");
    }
    assert!(resolver.heard().is_empty(), "nobody else was asked");
}

#[test]
fn direct_tls_can_be_left_out() {
    let daemon = Daemon::with(&["127.0.0.1:9".parse().expect("an address")], "direct_tls = false");
    let direct = ask(daemon.address, "_xmpps-server._tcp.fabrikam.test.", T::SRV);
    assert_eq!((direct.response_code, direct.answers.len()), (ResponseCode::NoError, 0));
    assert_eq!(ask(daemon.address, "_xmpp-server._tcp.fabrikam.test.", T::SRV).answers.len(), 2);
}

#[test]
fn bad_and_unwelcome_queries_get_their_error() {
    let resolver = Resolver::that(|query, _| Say::This(address(query, 60, 1)));
    let daemon = Daemon::with(&[resolver.address], "clients = [\"127.0.0.1\"]");
    let partner = query("_xmpp-server._tcp.fabrikam.test.", T::SRV);
    let good = partner.to_vec().expect("a query");
    let from =
        |client: &str, bytes: &[u8]| udp_from(client.parse().expect("an address"), daemon.address, bytes).response_code;
    assert_eq!(from("127.0.0.1", &good), ResponseCode::NoError);
    assert_eq!(from("127.0.0.2", &good), ResponseCode::Refused, "not one of the clients");
    assert_eq!(from("127.0.0.2", &good[..20]), ResponseCode::Refused, "nor told what is wrong with its query");
    assert_eq!(from("127.0.0.1", &good[..20]), ResponseCode::FormErr, "half a question");

    let mut chaos = query("version.bind.", T::TXT);
    chaos.queries[0].set_query_class(DNSClass::CH);
    let mut update = query("contoso.test.", T::SOA);
    update.metadata.op_code = OpCode::Update;
    let mut alone = query("fabrikam.test.", T::A);
    alone.metadata.recursion_desired = false;
    for (query, code) in [
        (chaos, ResponseCode::Refused),
        (query("contoso.test.", T::AXFR), ResponseCode::Refused),
        (alone, ResponseCode::Refused),
        (update, ResponseCode::NotImp),
        (query("fabrikam.test.", T::ANY), ResponseCode::NoError),
    ] {
        assert_eq!(udp(daemon.address, &query).response_code, code, "{query}");
        assert_eq!(tcp(daemon.address, std::slice::from_ref(&query))[0].response_code, code, "{query}");
    }
    let mut future = with_edns(partner, 1232);
    future.edns.as_mut().expect("just set").set_version(1);
    assert_eq!(u16::from(udp(daemon.address, &future).response_code), 16, "BADVERS");
    assert!(resolver.heard().is_empty(), "nobody else was asked");
}
