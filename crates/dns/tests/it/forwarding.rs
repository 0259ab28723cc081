//! What isn't the view's: passed on, kept, counted down, cut to size.

use std::collections::BTreeMap;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{RData, Record, RecordType as T};

use crate::rig::{
    Daemon, Resolver, Say, address, aliases, ask, denied, error, eventually, query, reply, tcp, udp, with_edns,
};

#[test]
fn answers_are_passed_on_kept_and_counted_down() {
    let resolver = Resolver::that(|query, _| Say::This(address(query, 300, 7)));
    let daemon = Daemon::forwarding(&[&resolver]);
    let first = ask(daemon.address, "Fabrikam.test.", T::A);
    assert_eq!(first.response_code, ResponseCode::NoError);
    assert_eq!((first.answers[0].data.to_string().as_str(), first.answers[0].ttl), ("192.0.2.7", 300));
    assert!(first.recursion_available && !first.authoritative, "others' answers are not ours");
    let later = eventually("a smaller TTL", || {
        let again = ask(daemon.address, "FABRIKAM.test.", T::A);
        assert_eq!(again.queries[0].name().to_ascii(), "FABRIKAM.test.", "the case of this question");
        (again.answers[0].ttl < 300).then_some(again)
    });
    assert_eq!(later.answers.len(), 1);
    assert_eq!(resolver.heard().len(), 1, "asked once");
}

#[test]
fn denials_are_kept_as_long_as_they_say() {
    let resolver = Resolver::that(|query, _| Say::This(denied(query, 1)));
    let daemon = Daemon::forwarding(&[&resolver]);
    let denied = ask(daemon.address, "nobody.test.", T::A);
    assert_eq!(denied.response_code, ResponseCode::NXDomain);
    assert_eq!(denied.authorities[0].ttl, 1, "no longer than its SOA record says");
    assert!(!denied.authoritative);
    eventually("asked again", || {
        ask(daemon.address, "nobody.test.", T::A);
        (resolver.heard().len() >= 2).then_some(())
    });
}

#[test]
fn flags_of_dnssec_go_both_ways() {
    let resolver = Resolver::that(|query, _| {
        let mut reply = address(query, 300, 7);
        reply.metadata.authentic_data = true;
        Say::This(reply)
    });
    let daemon = Daemon::forwarding(&[&resolver]);
    let plain = query("fabrikam.test.", T::A);
    let mut checks = with_edns(plain.clone(), 1232);
    checks.edns.as_mut().expect("just set").set_dnssec_ok(true);
    let mut disabled = plain.clone();
    disabled.metadata.checking_disabled = true;
    for (query, authentic) in [(&plain, false), (&checks, true), (&disabled, false)] {
        let reply = udp(daemon.address, query);
        assert_eq!(reply.authentic_data, authentic, "AD only for whoever understands it");
        assert_eq!(reply.checking_disabled, query.checking_disabled);
    }
    let seen =
        |query: &Message| (query.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok), query.checking_disabled);
    let seen: Vec<(bool, bool)> = resolver.heard().iter().map(seen).collect();
    assert_eq!(seen, [(false, false), (true, false), (false, true)], "each has an answer of its own");
}

#[test]
fn who_validates_is_pointed_out_once() {
    let resolver = Resolver::that(|query, _| Say::This(denied(query, 60)));
    let daemon = Daemon::forwarding(&[&resolver]);
    for name in ["test.", "fabrikam.test."] {
        ask(daemon.address, name, T::DNSKEY);
    }
    daemon.line("the client validates DNSSEC");
    assert_eq!(daemon.log().iter().filter(|line| line["level"] == "WARN").count(), 1);
}

/// An answer of so many records of 100 bytes.
fn text(query: &Message, records: usize) -> Message {
    let mut reply = reply(query);
    let record = |_| {
        let text = TXT::new(vec!["x".repeat(100)]);
        Record::from_rdata(query.queries[0].name().clone(), 300, RData::TXT(text))
    };
    reply.answers = (0..records).map(record).collect();
    reply
}

#[test]
fn what_is_cut_by_udp_is_asked_for_by_tcp() {
    let resolver = Resolver::that(|query, by_tcp| {
        let mut reply = text(query, if by_tcp { 30 } else { 0 });
        reply.metadata.truncation = !by_tcp;
        Say::This(reply)
    });
    let daemon = Daemon::forwarding(&[&resolver]);
    let plain = query("long.test.", T::TXT);
    for (query, limit) in [(plain.clone(), 512), (with_edns(plain.clone(), 1232), 1232)] {
        let cut = udp(daemon.address, &query);
        assert!(cut.truncation && cut.answers.is_empty(), "30 records don't fit into {limit} bytes");
        assert_eq!(cut.edns.is_some(), query.edns.is_some());
    }
    let whole = &tcp(daemon.address, &[plain])[0];
    assert!(!whole.truncation);
    assert_eq!(whole.answers.len(), 30);
    assert_eq!(resolver.heard().len(), 2, "by UDP, then by TCP, then from the cache");
}

#[test]
fn what_fits_is_not_cut() {
    let resolver = Resolver::that(|query, _| Say::This(text(query, 6)));
    let daemon = Daemon::forwarding(&[&resolver]);
    let plain = query("medium.test.", T::TXT);
    for (query, fits) in [(plain.clone(), false), (with_edns(plain.clone(), 600), false), (with_edns(plain, 900), true)]
    {
        let reply = udp(daemon.address, &query);
        assert_eq!((reply.truncation, reply.answers.len()), (!fits, if fits { 6 } else { 0 }));
    }
}

#[test]
fn answers_by_tcp_come_when_they_are_there() {
    let resolver = Resolver::that(|query, _| {
        let slow = query.queries[0].name().to_ascii().starts_with("slow");
        let wait = std::time::Duration::from_millis(if slow { 300 } else { 0 });
        Say::Late(wait, address(query, 300, 7))
    });
    let daemon = Daemon::forwarding(&[&resolver]);
    let queries = ["slow.test.", "fast.test.", "_xmpp-server._tcp.fabrikam.test."].map(|name| query(name, T::A));
    let replies = tcp(daemon.address, &queries);
    assert_eq!(replies.last().expect("three").id, queries[0].id, "the slow one last");
    let by_id: BTreeMap<u16, &Message> = replies.iter().map(|reply| (reply.id, reply)).collect();
    for query in &queries {
        assert_eq!(by_id[&query.id].queries, query.queries);
    }
}

#[test]
fn one_question_of_many_clients_is_asked_once() {
    let wait = std::time::Duration::from_millis(900);
    let resolver = Resolver::that(move |query, _| Say::Late(wait, address(query, 0, 7)));
    let daemon = Daemon::forwarding(&[&resolver]);
    let clients = (0..20).map(|_| {
        let server = daemon.address;
        std::thread::spawn(move || ask(server, "fabrikam.test.", T::A).answers.len())
    });
    let clients: Vec<_> = clients.collect();
    for client in clients {
        assert_eq!(client.join().expect("no panic"), 1);
    }
    assert!(resolver.heard().len() < 5, "asked {} times for 20 clients", resolver.heard().len());
}

#[test]
fn aliases_in_a_circle_are_passed_on_as_they_are() {
    let resolver = Resolver::that(|query, _| Say::This(aliases(query)));
    let daemon = Daemon::forwarding(&[&resolver]);
    let reply = ask(daemon.address, "circle.test.", T::A);
    assert_eq!((reply.response_code, reply.answers.len()), (ResponseCode::NoError, 2));
    assert_eq!(resolver.heard().len(), 1, "followed by nobody");
}

#[test]
fn nothing_is_kept_that_may_not_be() {
    let resolver = Resolver::that(|query, _| match query.queries[0].name().to_ascii().as_str() {
        "zero.test." => Say::This(address(query, 0, 7)),
        "undated.test." => Say::This(error(query, ResponseCode::NXDomain)),
        _ => Say::This(address(query, u32::MAX, 7)),
    });
    let daemon = Daemon::forwarding(&[&resolver]);
    for name in ["zero.test.", "undated.test.", "forever.test."] {
        let before = resolver.heard().len();
        for _ in 0..3 {
            ask(daemon.address, name, T::A);
        }
        assert_eq!(resolver.heard().len() - before, 3, "{name}");
    }
}
