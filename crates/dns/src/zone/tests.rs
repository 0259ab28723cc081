//! What is said to questions, rule by rule, as hickory-proto reads it; and that all of it comes of one snapshot.

use std::net::IpAddr;

use hickory_proto::op::{Edns, Message, OpCode, ResponseCode as Code};
use hickory_proto::rr::{DNSClass, Name, RecordType as T};
use proptest::prelude::*;
use topology::records::{Target, TargetEdge};
use topology::zone::{NameServer, Names, Targets, Zone};

use super::*;
use crate::message::Transport;
use crate::testing::{Mutator, bytes, query, with_edns};

const SRV: &str = "_xmpp-server._tcp.contoso.test.";

fn embedded(name: &str) -> Zone {
    let server = |number: u8, more: &[&str]| NameServer {
        fqdn: format!("dns{number}.contoso.test").parse().expect("a name"),
        addresses: std::iter::once(IpAddr::from([192, 0, 2, number]))
            .chain(more.iter().map(|text| text.parse().expect("an address")))
            .collect(),
    };
    let servers = vec![server(1, &["2001:db8::1"]), server(2, &[])];
    Zone { name: name.to_owned(), publisher: Publisher::Embedded { servers, signed: false } }
}

fn elsewhere(name: &str) -> Zone {
    Zone { name: name.to_owned(), publisher: Publisher::Manual { servers: Vec::new() } }
}

fn published(zones: Vec<Zone>) -> Published {
    let edge = |pool: u8, number: u8| TargetEdge {
        fqdn: format!("edge{pool}{number}.contoso.test").parse().expect("a name"),
        addresses: vec![
            IpAddr::from([203, 0, pool, number]),
            format!("2001:db8::{pool}:{number}").parse().expect("one"),
        ],
    };
    let pool = |pool: u8| Target {
        fqdn: format!("pool{pool}.contoso.test").parse().expect("a name"),
        edges: vec![edge(pool, 1), edge(pool, 2)],
        tlsa: vec![format!("3 1 1 {}", "5c".repeat(32)).parse().expect("a record")],
    };
    let locals = ["contoso.test", "chat.contoso.test", "adatum.test"].map(str::to_owned).to_vec();
    Published { names: Names::default(), locals, pools: vec![pool(1), pool(2)], zones }
}

fn mark(epoch: u64) -> Mark {
    Mark { owner: "a1b2".to_owned(), epoch, topology: 3 }
}

fn made(published: &Published, epoch: u64) -> Zones {
    let routed = if epoch % 2 == 1 { "pool1.contoso.test" } else { "pool2.contoso.test" };
    Zones::new(published, routed, &mark(epoch), &Signing::default()).expect("a pool")
}

fn contoso() -> Zones {
    made(&published(vec![embedded("contoso.test.")]), 1)
}

/// What is said, in bytes; nothing where nothing is.
fn bytes_said(zones: &Zones, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let mut out = vec![7; 3];
    match query::read(query, transport) {
        Ok(query) => zones.answer(&query).write(&query, &mut out),
        Err(query::Unfit::Error(head, code)) => reply::write_bare(head, code, &mut out),
        Err(query::Unfit::Silence) => return None,
    }
    Some(out)
}

fn said(zones: &Zones, query: &Message, transport: Transport) -> Message {
    let bytes = bytes_said(zones, &bytes(query), transport).expect("a reply");
    let said = Message::from_vec(&bytes).expect("readable");
    assert_eq!((said.id, said.recursion_available), (query.id, false));
    said
}

fn ask(zones: &Zones, name: &str, wanted: T) -> Message {
    said(zones, &with_edns(query(name, wanted), 1232), Transport::Udp)
}

fn lines(records: &[hickory_proto::rr::Record]) -> Vec<String> {
    records
        .iter()
        .map(|record| format!("{} {} {} {}", record.name, record.ttl, record.record_type(), record.data))
        .collect()
}

fn is_nothing(said: &Message, code: Code, zone: &str) {
    assert_eq!((said.response_code, said.authoritative, said.answers.len()), (code, true, 0), "{said:?}");
    let soa = format!("{zone} 5 SOA dns1.contoso.test. hostmaster.{zone} 4 3600 600 86400 5");
    assert_eq!(lines(&said.authorities), [soa], "RFC 2308 §3");
}

fn is_refused(said: &Message) {
    assert_eq!((said.response_code, said.authoritative), (Code::Refused, false), "{said:?}");
    assert!(said.answers.is_empty() && said.authorities.is_empty() && said.additionals.is_empty());
}

#[test]
fn a_service_leads_to_pools_with_their_addresses_and_the_route_is_first() {
    let said = ask(&contoso(), SRV, T::SRV);
    assert_eq!((said.response_code, said.authoritative, said.truncation), (Code::NoError, true, false));
    assert_eq!(
        lines(&said.answers),
        [format!("{SRV} 30 SRV 10 0 5269 pool1.contoso.test."), format!("{SRV} 30 SRV 20 0 5269 pool2.contoso.test.")]
    );
    let additionals = lines(&said.additionals);
    assert_eq!(additionals.len(), 8);
    assert_eq!(additionals[0], "pool1.contoso.test. 30 A 203.0.1.1");
    assert_eq!(additionals[2], "pool1.contoso.test. 30 AAAA 2001:db8::1:1");
    let moved = made(&published(vec![embedded("contoso.test.")]), 2);
    assert!(lines(&ask(&moved, SRV, T::SRV).answers)[0].ends_with("10 0 5269 pool2.contoso.test."));
}

#[test]
fn the_top_says_who_has_authority() {
    let said = ask(&contoso(), "contoso.test.", T::NS);
    assert_eq!(
        lines(&said.answers),
        ["contoso.test. 3600 NS dns1.contoso.test.", "contoso.test. 3600 NS dns2.contoso.test."]
    );
    assert_eq!(lines(&said.additionals)[1], "dns1.contoso.test. 3600 AAAA 2001:db8::1");
    let said = ask(&contoso(), "contoso.test.", T::SOA);
    let soa = "contoso.test. 5 SOA dns1.contoso.test. hostmaster.contoso.test. 4 3600 600 86400 5";
    assert_eq!(lines(&said.answers), [soa]);
    assert_eq!(lines(&ask(&contoso(), "dns2.contoso.test.", T::A).answers), ["dns2.contoso.test. 3600 A 192.0.2.2"]);
    let said = ask(&contoso(), "_epoch.contoso.test.", T::TXT);
    assert_eq!(lines(&said.answers), ["_epoch.contoso.test. 30 TXT fedge owner=a1b2 epoch=1 topology=3"]);
}

#[test]
fn there_is_no_such_type_or_no_such_name() {
    let zones = contoso();
    is_nothing(&ask(&zones, SRV, T::A), Code::NoError, "contoso.test.");
    is_nothing(&ask(&zones, "contoso.test.", T::MX), Code::NoError, "contoso.test.");
    // A name that has only names below it exists (RFC 8020).
    is_nothing(&ask(&zones, "_tcp.contoso.test.", T::SRV), Code::NoError, "contoso.test.");
    is_nothing(&ask(&zones, "_tcp.contoso.test.", T::ANY), Code::NoError, "contoso.test.");
    for name in ["nobody.contoso.test.", "x._tcp.contoso.test.", "x.y.z.contoso.test.", "\u{0}.contoso.test."] {
        is_nothing(&ask(&zones, name, T::SRV), Code::NXDomain, "contoso.test.");
    }
}

#[test]
fn what_is_in_no_zone_of_ours_is_refused() {
    let zones = contoso();
    for name in [".", "test.", "fabrikam.test.", "_xmpp-server._tcp.adatum.test.", "notcontoso.test."] {
        is_refused(&ask(&zones, name, T::SRV));
    }
    is_refused(&ask(&Zones::default(), SRV, T::SRV));
    let zones = made(&published(vec![embedded("contoso.test."), elsewhere("chat.contoso.test.")]), 1);
    is_refused(&ask(&zones, "_xmpp-server._tcp.chat.contoso.test.", T::SRV));
    is_refused(&ask(&zones, "chat.contoso.test.", T::SOA));
    assert_eq!(ask(&zones, SRV, T::SRV).answers.len(), 2);
}

#[test]
fn transfers_other_classes_and_other_operations_are_refused() {
    for wanted in [T::AXFR, T::IXFR, T::Unknown(253), T::Unknown(128), T::ZERO] {
        is_refused(&ask(&contoso(), "contoso.test.", wanted));
    }
    let mut chaos = query("version.bind.", T::TXT);
    chaos.queries[0].set_query_class(DNSClass::CH);
    is_refused(&said(&contoso(), &chaos, Transport::Tcp));
    for operation in [OpCode::Notify, OpCode::Update, OpCode::Status] {
        let mut other = query("contoso.test.", T::SOA);
        other.metadata.op_code = operation;
        let said = said(&contoso(), &other, Transport::Udp);
        assert_eq!((said.response_code, said.op_code, said.queries.len()), (Code::NotImp, operation, 0));
    }
}

#[test]
fn everything_at_once_is_one_set() {
    let any = |name: &str| lines(&ask(&contoso(), name, T::ANY).answers);
    assert_eq!(
        any("pool1.contoso.test."),
        ["pool1.contoso.test. 30 A 203.0.1.1", "pool1.contoso.test. 30 A 203.0.1.2"]
    );
    assert_eq!(any(SRV).len(), 2);
    assert_eq!(any("contoso.test.").len(), 2);
}

#[test]
fn a_zone_may_be_the_name_of_the_service_itself() {
    let zones = made(&published(vec![embedded(SRV), embedded("pool1.contoso.test.")]), 1);
    let said = ask(&zones, SRV, T::SRV);
    assert_eq!(said.answers.len(), 2);
    assert_eq!(said.additionals.len(), 4, "of the pool whose name is a zone of ours, and not of the other");
    assert_eq!(ask(&zones, SRV, T::NS).answers.len(), 2);
    assert_eq!(lines(&ask(&zones, SRV, T::ANY).answers).len(), 2);
    assert_eq!(ask(&zones, &format!("_epoch.{SRV}"), T::TXT).answers.len(), 1);
    is_nothing(&ask(&zones, SRV, T::A), Code::NoError, SRV);
    is_nothing(&ask(&zones, &format!("x.{SRV}"), T::A), Code::NXDomain, SRV);
    is_refused(&ask(&zones, "_tcp.contoso.test.", T::SRV));
    is_refused(&ask(&zones, "dns1.contoso.test.", T::A));
}

#[test]
fn of_two_zones_the_longer_has_the_name() {
    let zones = made(&published(vec![embedded("contoso.test."), embedded(SRV)]), 1);
    is_nothing(&ask(&zones, SRV, T::A), Code::NoError, SRV);
    is_nothing(&ask(&zones, "_tcp.contoso.test.", T::A), Code::NXDomain, "contoso.test.");
    assert_eq!(ask(&zones, SRV, T::SRV).answers.len(), 2);
}

fn aliased(zones: Vec<Zone>) -> Zones {
    let mut published = published(zones);
    published.names.alias = Some("fed.contoso.test".parse().expect("a name"));
    made(&published, 1)
}

#[test]
fn aliases_are_followed_as_far_as_our_zones_go() {
    let common = "_xmpp-server._tcp.fed.contoso.test.";
    let zones = aliased(vec![embedded("contoso.test."), embedded("adatum.test.")]);
    for name in [SRV, "_xmpp-server._tcp.adatum.test."] {
        let said = ask(&zones, name, T::SRV);
        let expected = [
            format!("{name} 30 CNAME {common}"),
            format!("{common} 30 SRV 10 0 5269 pool1.contoso.test."),
            format!("{common} 30 SRV 20 0 5269 pool2.contoso.test."),
        ];
        assert_eq!(lines(&said.answers), expected);
        assert_eq!(said.additionals.len(), 8);
        // The target has no such records: its zone says so (RFC 2308 §2.2).
        let said = ask(&zones, name, T::A);
        assert_eq!((said.response_code, said.answers.len()), (Code::NoError, 1));
        assert!(lines(&said.authorities)[0].starts_with("contoso.test. 5 SOA"), "{said:?}");
        for kind in [T::CNAME, T::ANY] {
            assert_eq!(lines(&ask(&zones, name, kind).answers), expected[..1]);
        }
    }
    // Beyond them others know.
    let said = ask(&aliased(vec![embedded("adatum.test.")]), "_xmpp-server._tcp.adatum.test.", T::SRV);
    let alias = format!("_xmpp-server._tcp.adatum.test. 30 CNAME {common}");
    assert_eq!((lines(&said.answers), said.authorities.len()), (vec![alias], 0));
}

#[test]
fn letters_come_back_as_they_were_asked() {
    let asked = "_XMPP-Server._tCp.cOnToSo.TEST.";
    let said = ask(&contoso(), asked, T::SRV);
    assert_eq!(said.queries[0].name().to_ascii(), asked);
    assert_eq!(said.answers[0].name.to_ascii(), asked);
    assert!(said.answers[0].data.to_string().ends_with("pool1.contoso.test."), "and what is said is not touched");
}

#[test]
fn edns_is_answered_by_edns_and_only_then() {
    assert!(said(&contoso(), &query(SRV, T::SRV), Transport::Udp).edns.is_none());
    let mut asked = with_edns(query(SRV, T::SRV), 4096);
    asked.edns.as_mut().expect("it is there").set_dnssec_ok(true);
    let edns = said(&contoso(), &asked, Transport::Udp).edns.expect("it was asked for");
    assert_eq!((edns.max_payload(), edns.version(), edns.flags().dnssec_ok), (1232, 0, true));
    let mut later = query(SRV, T::SRV);
    let mut edns = Edns::new();
    edns.set_version(1);
    later.set_edns(edns);
    let said = said(&contoso(), &later, Transport::Udp);
    assert_eq!((u16::from(said.response_code), said.answers.len()), (u16::from(Code::BADVERS), 0));
    assert_eq!(said.edns.map(|edns| edns.version()), Some(0));
}

#[test]
fn what_does_not_fit_is_left_out_or_marked_as_truncated() {
    let mut many = published(vec![embedded("contoso.test.")]);
    many.names.targets = Targets::Edge;
    let edges = |pool: u8, count: u8| {
        (1..=count).map(move |number| TargetEdge {
            fqdn: format!("edge{pool}x{number}.contoso.test").parse().expect("a name"),
            addresses: vec![IpAddr::from([203, 0, pool, number])],
        })
    };
    many.pools[0].edges = edges(1, 8).collect();
    many.pools[1].edges = edges(2, 2).collect();
    let zones = made(&many, 1);
    let without = said(&zones, &query(SRV, T::SRV), Transport::Udp);
    assert_eq!((without.answers.len(), without.additionals.len(), without.truncation), (10, 0, false));
    assert_eq!(ask(&zones, SRV, T::SRV).additionals.len(), 10);
    many.pools[0].edges = edges(1, 200).collect();
    let zones = made(&many, 1);
    let cut = ask(&zones, SRV, T::SRV);
    assert_eq!((cut.answers.len(), cut.truncation, cut.authoritative), (0, true, true));
    let whole = said(&zones, &query(SRV, T::SRV), Transport::Tcp);
    assert_eq!((whole.answers.len(), whole.additionals.len(), whole.truncation), (202, 202, false));
    // Names stand where no pointer reaches too.
    many.pools[0].edges = (1..=800u16)
        .map(|number| TargetEdge {
            fqdn: format!("edge{number}.contoso.test").parse().expect("a name"),
            addresses: vec![IpAddr::from([203, 0, 1, 1])],
        })
        .collect();
    let whole = said(&made(&many, 1), &query(SRV, T::SRV), Transport::Tcp);
    assert_eq!(whole.additionals.last().map(|record| record.name.to_ascii()), Some("edge2x2.contoso.test.".to_owned()));
}

#[test]
fn a_reply_to_nothing_that_is_a_query() {
    let zones = contoso();
    let mut reply = query(SRV, T::SRV);
    reply.metadata.message_type = hickory_proto::op::MessageType::Response;
    assert_eq!(bytes_said(&zones, &bytes(&reply), Transport::Udp), None);
    assert_eq!(bytes_said(&zones, &bytes(&reply)[..11], Transport::Udp), None);
    let good = bytes(&query(SRV, T::SRV));
    let mut two = query(SRV, T::SRV);
    two.add_query(two.queries[0].clone());
    let (trailing, short) = ([&good[..], &[0]].concat(), &good[..good.len() - 1]);
    for bad in [&bytes(&two), &trailing, short, &good[..12]] {
        let said = bytes_said(&zones, bad, Transport::Udp).expect("a reply");
        assert_eq!(Message::from_vec(&said).expect("readable").response_code, Code::FormErr);
    }
}

/// Damaged queries are answered by something that can be read, or not at all.
#[test]
fn nothing_that_is_sent_brings_it_out_of_its_way() {
    let zones = contoso();
    let seeds: Vec<Vec<u8>> =
        [query(SRV, T::SRV), with_edns(query("x.contoso.test.", T::ANY), 4096)].iter().map(bytes).collect();
    let mut mutator = Mutator(17);
    let mut answered = 0;
    for _ in 0..100_000 {
        let damaged = mutator.mutate(&seeds);
        let Some(said) = bytes_said(&zones, &damaged, Transport::Udp) else { continue };
        assert!(said.len() <= 1232);
        assert_eq!(said[..2], damaged[..2]);
        // Names may have come that hickory-proto reads otherwise; lengths and counts are always right.
        Message::from_vec(&said).unwrap_or_else(|error| panic!("{error}: {damaged:?} {said:?}"));
        answered += 1;
    }
    assert!(answered > 50_000, "{answered}");
}

#[test]
fn a_route_to_a_pool_that_is_not_there_publishes_nothing() {
    let published = published(vec![embedded("contoso.test.")]);
    let unserved = Zones::new(&published, "pool9.contoso.test", &mark(1), &Signing::default()).err();
    assert_eq!(unserved, Some(Unserved::NoPool("pool9.contoso.test".to_owned())));
}

#[test]
fn ten_thousand_domains_are_made_in_time() {
    let mut published = published(vec![embedded("contoso.test.")]);
    published.locals = (0..10_000).map(|number| format!("local{number}.contoso.test")).collect();
    let began = std::time::Instant::now();
    let zones = made(&published, 1);
    assert_eq!(ask(&zones, "_xmpp-server._tcp.local9999.contoso.test.", T::SRV).answers.len(), 2);
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    let Publisher::Embedded { signed, .. } = &mut published.zones[0].publisher else { panic!("one of ours") };
    *signed = true;
    let drawn = agent::zone_key::ZoneKey::draw().expect("randomness");
    let key = agent::zone_key::ZoneKey::read(&drawn).expect("a key");
    let signing = Signing { keys: [("contoso.test.".to_owned(), key)].into(), now: 1_800_000_000 };
    let began = std::time::Instant::now();
    let zones = Zones::new(&published, "pool1.contoso.test", &mark(1), &signing).expect("they can be signed");
    let mut asked = with_edns(query("_xmpp-server._tcp.local9999.contoso.test.", T::SRV), 1232);
    asked.edns.as_mut().expect("it is there").set_dnssec_ok(true);
    assert_eq!(said(&zones, &asked, Transport::Udp).answers.len(), 3);
    assert!(began.elapsed().as_secs() < 40, "{:?}", began.elapsed());
}

/// What a zone holds, by hickory-proto's names and types, made without any of the code under test.
fn expected(published: &Published, epoch: u64) -> Vec<(String, String, Vec<String>)> {
    let routed = if epoch % 2 == 1 { "pool1.contoso.test" } else { "pool2.contoso.test" };
    let contents = published.contents(routed, &mark(epoch)).expect("a pool");
    let sets = contents.iter().flat_map(topology::records::Contents::all);
    sets.map(|set| (set.name, set.kind, set.values)).collect()
}

proptest! {
    /// Whatever is asked of whatever topology, what is said is what that snapshot publishes, and no other.
    #[test]
    fn every_answer_is_of_one_snapshot(
        epoch in 1u64..100,
        edges in any::<bool>(),
        alias in any::<bool>(),
        direct in any::<bool>(),
        ttl in 1u32..300,
        locals in proptest::collection::btree_set("[a-c]{1,2}(\\.[a-c]{1,2})?", 1..6),
        sub in any::<bool>(),
        asked in proptest::collection::vec(("(_epoch|_tcp|_xmpp-server\\._tcp|[a-c]{1,2}|pool1)", any::<prop::sample::Index>()), 20),
    ) {
        let mut published = published(vec![embedded("contoso.test.")]);
        published.locals = locals.iter().map(|local| format!("{local}.contoso.test")).collect();
        if sub {
            published.zones.push(embedded(&format!("_tcp.{}.", published.locals[0])));
        }
        published.names = Names {
            ttl,
            targets: if edges { Targets::Edge } else { Targets::Pool },
            alias: alias.then(|| "fed.contoso.test".parse().expect("a name")),
            direct_tls_port: direct.then_some(5270),
        };
        let zones = made(&published, epoch);
        let sets = expected(&published, epoch);
        let mut names: Vec<String> = sets.iter().map(|(name, ..)| name.clone()).collect();
        names.extend(asked.iter().map(|(label, at)| format!("{label}.{}", at.get(&names))).collect::<Vec<_>>());
        for name in names {
            for kind in [T::SRV, T::A, T::AAAA, T::TXT, T::CNAME] {
                let said = said(&zones, &query(&name, kind), Transport::Tcp);
                let own = sets.iter().find(|set| set.0 == name && set.1 == kind.to_string());
                if let Some((_, _, values)) = own {
                    let values: Vec<String> = values.iter().map(|value| value.trim_matches('"').to_owned()).collect();
                    let answers: Vec<String> = said.answers.iter().map(|record| record.data.to_string()).collect();
                    prop_assert_eq!(answers, values);
                } else if !sets.iter().any(|set| set.0 == name && set.1 == "CNAME") {
                    prop_assert!(said.answers.is_empty(), "{} {}", name, kind);
                    let parsed = Name::from_ascii(&name).expect("a name");
                    let exists = sets.iter().any(|set| parsed.zone_of(&Name::from_ascii(&set.0).expect("a name")));
                    // Tops and servers are there beyond what is published, and what is above in another zone isn't.
                    let own_top = published.zones.iter().any(|zone| zone.name == name);
                    if !sub {
                        let code = if exists || own_top { Code::NoError } else { Code::NXDomain };
                        prop_assert_eq!(said.response_code, code, "{}", name);
                    }
                    let serial = format!(" {} 3600 600 86400 5", mark(epoch).serial());
                    prop_assert!(lines(&said.authorities)[0].ends_with(&serial));
                }
                for record in said.answers.iter().chain(&said.additionals) {
                    let of_set = sets.iter().any(|(name, kind, _)| {
                        record.name.to_ascii() == *name && record.record_type().to_string() == *kind
                    });
                    prop_assert!(of_set && record.ttl == ttl, "{}", record);
                }
            }
        }
    }
}

#[test]
fn below_a_target_it_is_told_by_which_certificate_it_is_known() {
    let zones = contoso();
    let said = ask(&zones, "_5269._tcp.pool2.contoso.test.", T::TLSA);
    assert_eq!((said.response_code, said.authoritative, said.answers.len()), (Code::NoError, true, 1), "{said:?}");
    assert_eq!(said.answers[0].data.to_string().to_lowercase(), format!("3 1 1 {}", "5c".repeat(32)));
    // Between it and the target there is a name without anything.
    assert_eq!(ask(&zones, "_tcp.pool2.contoso.test.", T::TLSA).response_code, Code::NoError);
    assert_eq!(ask(&zones, "_5270._tcp.pool2.contoso.test.", T::TLSA).response_code, Code::NXDomain);
}
