//! Every kind of name and type against the decision, then any name and type at all.

use hickory_proto::rr::RecordType::{self as T, ANY, SRV};
use proptest::prelude::*;

use super::*;
use crate::testing::{question, settings, view};

fn decide(name: &str, wanted: T) -> Decision {
    answer(&view(), &question(name, wanted))
}

/// `priority weight port target` or an address, as zone files have them.
fn data(decision: &Decision) -> Vec<String> {
    match decision {
        Decision::Answer { answers, .. } => answers.iter().map(|record| record.data.to_string()).collect(),
        other => panic!("not an answer: {other:?}"),
    }
}

#[test]
fn partners_lead_to_the_gateways() {
    let gateways = ["10 10 5269 gateway1.contoso.test.", "20 10 5269 gateway2.contoso.test."];
    for domain in ["fabrikam.test", "conference.a.b.c.d.example", "test", "xn--bcher-kva.example", "nocontoso.test"] {
        for service in ["_xmpp-server", "_xmpps-server", "_XMPP-Server"] {
            assert_eq!(data(&decide(&format!("{service}._tcp.{domain}."), SRV)), gateways, "{service} {domain}");
        }
    }
    let Decision::Answer { answers, additionals } = decide("_XMPP-server._TCP.Fabrikam.test.", SRV) else {
        panic!("not an answer");
    };
    assert!(answers.iter().all(|record| record.ttl == 5));
    assert_eq!(answers[0].name.to_ascii(), "_XMPP-server._TCP.Fabrikam.test.", "the case of the question");
    let additional: Vec<String> = additionals.iter().map(|record| record.data.to_string()).collect();
    assert_eq!(additional, ["127.0.2.1", "2001:db8::1", "127.0.2.2"]);
}

#[test]
fn local_domains_lead_to_their_next_hops() {
    for (domain, target) in [
        ("contoso.test", "10 10 5269 next-hop-127-0-1-1.gateway1.contoso.test."),
        ("CONTOSO.test", "10 10 5269 next-hop-127-0-1-1.gateway1.contoso.test."),
        ("chat.contoso.test", "10 10 5299 xmpp.contoso.test."),
        ("six.contoso.test", "10 10 5269 next-hop-2001-0db8-0000-0000-0000-0000-0000-0005.gateway1.contoso.test."),
    ] {
        assert_eq!(data(&decide(&format!("_xmpp-server._tcp.{domain}."), SRV)), [target]);
        // A next hop doesn't tell direct TLS from STARTTLS as fedge does.
        let direct = decide(&format!("_xmpps-server._tcp.{domain}."), SRV);
        assert!(matches!(direct, Decision::NoData(_)), "{direct:?}");
    }
    let direct = ["10 10 5270 next-hop-127-0-1-3.gateway1.contoso.test."];
    assert_eq!(data(&decide("_xmpps-server._tcp.direct.contoso.test.", SRV)), direct);
    assert!(matches!(decide("_xmpp-server._tcp.direct.contoso.test.", SRV), Decision::NoData(_)));
}

#[test]
fn direct_tls_can_be_left_out_for_partners() {
    let view = View::new(crate::view::Settings { direct_tls: false, ..settings() });
    let ask = |name: &str| answer(&view, &question(name, SRV));
    assert!(matches!(ask("_xmpps-server._tcp.fabrikam.test."), Decision::NoData(_)));
    assert!(matches!(ask("_xmpp-server._tcp.fabrikam.test."), Decision::Answer { .. }));
    assert!(matches!(ask("_xmpps-server._tcp.direct.contoso.test."), Decision::Answer { .. }));
}

#[test]
fn the_view_answers_the_addresses_of_its_targets() {
    for (name, wanted, addresses) in [
        ("gateway1.contoso.test.", T::A, "127.0.2.1"),
        ("Gateway1.CONTOSO.test.", T::AAAA, "2001:db8::1"),
        ("next-hop-127-0-1-1.gateway1.contoso.test.", T::A, "127.0.1.1"),
        ("next-hop-2001-0db8-0000-0000-0000-0000-0000-0005.gateway1.contoso.test.", T::AAAA, "2001:db8::5"),
    ] {
        assert_eq!(data(&decide(name, wanted)), [addresses], "{name}");
    }
}

#[test]
fn what_owned_names_lack_is_no_data() {
    let zones = [
        ("gateway2.contoso.test.", T::AAAA, "gateway2.contoso.test."),
        ("gateway1.contoso.test.", T::MX, "gateway1.contoso.test."),
        ("gateway1.contoso.test.", T::CNAME, "gateway1.contoso.test."),
        ("next-hop-127-0-1-1.gateway1.contoso.test.", T::AAAA, "next-hop-127-0-1-1.gateway1.contoso.test."),
        ("_xmpp-server._tcp.fabrikam.test.", T::A, "_tcp.fabrikam.test."),
        ("_xmpp-server._tcp.fabrikam.test.", T::SOA, "_tcp.fabrikam.test."),
        ("_xmpps-server._tcp.contoso.test.", T::TXT, "_tcp.contoso.test."),
        ("_xmpps-server._tcp.contoso.test.", ANY, "_tcp.contoso.test."),
        ("_tcp.fabrikam.test.", T::A, "_tcp.fabrikam.test."),
        ("_tcp.fabrikam.test.", ANY, "_tcp.fabrikam.test."),
    ];
    for (name, wanted, zone) in zones {
        let Decision::NoData(soa) = decide(name, wanted) else { panic!("{name} {wanted}") };
        assert_eq!(soa.name.to_ascii(), zone, "{name} {wanted}");
        let RData::SOA(data) = &soa.data else { panic!("no SOA record") };
        assert_eq!((soa.ttl, data.minimum), (5, 5), "the denial holds as long as an answer");
    }
    for zone in ["_tcp.fabrikam.test.", "gateway1.contoso.test."] {
        assert_eq!(data(&decide(zone, T::SOA)).len(), 1, "the zone that denials speak of is there");
    }
}

#[test]
fn what_is_no_domain_does_not_exist() {
    for name in [
        "_xmpp-server._tcp.",
        "_xmpps-server._tcp.",
        "_xmpp-server._tcp.192.0.2.1.",
        "_xmpp-server._tcp.a b.test.",
        "_xmpp-server._tcp.*.test.",
        "_xmpp-server._tcp.a\0b.test.",
        "_xmpp-server._tcp.bücher.test.",
    ] {
        for wanted in [SRV, T::A, ANY] {
            let decision = decide(name, wanted);
            assert!(matches!(decision, Decision::NoName(_)), "{name} {decision:?}");
        }
    }
}

#[test]
fn names_that_fedge_refuses_do_not_leak_past_it() {
    for domain in ["xn--strae-oqa.example", "foo_bar.example", "-a.test", "xn--a.test"] {
        assert!(Domain::parse(domain).is_err(), "{domain} is refused");
        assert_eq!(data(&decide(&format!("_xmpp-server._tcp.{domain}."), SRV)).len(), 2, "{domain}");
    }
}

#[test]
fn everything_else_is_forwarded() {
    for (name, wanted) in [
        ("fabrikam.test.", T::A),
        ("fabrikam.test.", SRV),
        ("contoso.test.", T::A),
        (".", T::NS),
        ("_tcp.", T::A),
        ("_xmpp-client._tcp.contoso.test.", SRV),
        ("_xmpp-server._udp.contoso.test.", SRV),
        ("_xmpp-server.contoso.test.", SRV),
        ("_xmpp-server.", SRV),
        ("x._xmpp-server._tcp.contoso.test.", SRV),
        ("next-hop-127-0-1-9.gateway1.contoso.test.", T::A),
        ("x.gateway1.contoso.test.", T::A),
        ("contoso.test.", T::Unknown(65280)),
    ] {
        assert_eq!(decide(name, wanted), Decision::Forward, "{name} {wanted}");
    }
}

#[test]
fn any_gets_little() {
    assert_eq!(data(&decide("_xmpp-server._tcp.fabrikam.test.", ANY)).len(), 2);
    assert_eq!(data(&decide("gateway1.contoso.test.", ANY)), ["127.0.2.1"]);
    let Decision::Minimal(record) = decide("fabrikam.test.", ANY) else { panic!("not minimal") };
    assert_eq!(record.record_type(), T::HINFO);
}

#[test]
fn classes_and_operations_are_refused() {
    for class in [DNSClass::CH, DNSClass::HS, DNSClass::ANY, DNSClass::NONE, DNSClass::Unknown(9)] {
        let mut question = question("_xmpp-server._tcp.fabrikam.test.", SRV);
        question.set_query_class(class);
        assert_eq!(answer(&view(), &question), Decision::Refuse(Refusal::Class));
    }
    for wanted in [T::AXFR, T::IXFR, T::OPT, T::TSIG, T::ZERO, T::Unknown(200)] {
        for name in ["fabrikam.test.", "gateway1.contoso.test.", "_xmpp-server._tcp.fabrikam.test."] {
            assert_eq!(decide(name, wanted), Decision::Refuse(Refusal::Type), "{name} {wanted}");
        }
    }
}

/// Names that are ours, nearly ours, or anything.
fn any_name() -> impl Strategy<Value = Name> {
    let words = ["_xmpp-server", "_xmpps-server", "_tcp", "gateway1", "contoso", "test", "xn--strae-oqa", "192", "*"];
    let label = prop_oneof![
        proptest::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 1..64),
    ];
    proptest::collection::vec(label, 0..8).prop_filter_map("too long", |labels| {
        let mut name = Name::from_labels(labels).ok()?;
        name.set_fqdn(true);
        Some(name)
    })
}

proptest! {
    #[test]
    fn a_name_is_answered_forwarded_or_refused_as_a_whole(name in any_name(), number in any::<u16>()) {
        let view = view();
        let ask = |wanted| answer(&view, &Query::query(name.clone(), wanted));
        let all = [SRV, T::A, T::AAAA, T::TXT, T::NS].map(ask);
        let exists = all.iter().any(|decision| matches!(decision, Decision::Answer { .. } | Decision::NoData(_)));
        let denied = all.iter().any(|decision| matches!(decision, Decision::NoName(_)));
        let forwarded = all.contains(&Decision::Forward);
        prop_assert_eq!(u8::from(exists) + u8::from(denied) + u8::from(forwarded), 1, "{:?}", all);
        let other = ask(T::from(number));
        match other {
            Decision::Forward | Decision::Minimal(_) => prop_assert!(forwarded),
            Decision::Answer { .. } | Decision::NoData(_) => prop_assert!(exists),
            Decision::NoName(_) => prop_assert!(denied),
            Decision::Refuse(reason) => prop_assert_eq!(reason, Refusal::Type),
        }
    }

    #[test]
    fn every_domain_leads_somewhere(labels in proptest::collection::vec("[a-zA-Z0-9]([a-zA-Z0-9]{0,20}[a-zA-Z0-9])?", 1..6)) {
        let domain = labels.join(".");
        prop_assume!(domain.parse::<std::net::Ipv4Addr>().is_err());
        let decision = decide(&format!("_xmpp-server._tcp.{domain}."), SRV);
        let Decision::Answer { answers, .. } = decision else { panic!("{domain}: {decision:?}") };
        for record in &answers {
            let RData::SRV(srv) = &record.data else { panic!("{record}") };
            prop_assert!(!srv.target.is_root(), "`.` would say that there is no such service");
            prop_assert_eq!(srv.port, 5269);
        }
    }
}
