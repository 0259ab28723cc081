//! Resolvers that are dead, late, lying, failing, or ourselves.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::RecordType as T;

use crate::rig::{Daemon, Resolver, Say, address, ask, error, eventually, question};

fn good() -> Resolver {
    Resolver::that(|query, _| Say::This(address(query, 0, 7)))
}

/// Asks for a name, and says how long that took.
fn timed(daemon: &Daemon, name: &str) -> (Message, Duration) {
    let start = Instant::now();
    (ask(daemon.address, name, T::A), start.elapsed())
}

#[test]
fn a_silent_resolver_is_passed_over_quickly_and_remembered() {
    let (dead, alive) = (Resolver::silent(), good());
    let daemon = Daemon::forwarding(&[&dead, &alive]);
    let (first, took) = timed(&daemon, "a.test.");
    assert_eq!(first.answers.len(), 1);
    assert!(took < Duration::from_secs(4), "not only after the query would have failed: {took:?}");
    daemon.line("the resolver does not answer");
    let asked = dead.heard().len();
    for number in 0..10 {
        assert_eq!(timed(&daemon, &format!("a{number}.test.")).0.answers.len(), 1);
    }
    assert!(dead.heard().len() < asked + 3, "the dead one is asked last, but for a try now and then");
    assert_eq!(alive.heard().len(), 11);
}

#[test]
fn a_resolver_that_comes_back_is_used_again() {
    let silent = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let sleeps = silent.clone();
    let first = Resolver::that(move |query, _| match sleeps.load(std::sync::atomic::Ordering::Relaxed) {
        true => Say::Nothing,
        false => Say::This(address(query, 0, 1)),
    });
    let second = good();
    let daemon = Daemon::forwarding(&[&first, &second]);
    assert_eq!(timed(&daemon, "a.test.").0.answers[0].data.to_string(), "192.0.2.7");
    silent.store(false, std::sync::atomic::Ordering::Relaxed);
    eventually("the first is asked again", || {
        let answer = timed(&daemon, "a.test.").0.answers[0].data.to_string();
        (answer == "192.0.2.1").then_some(())
    });
    daemon.line("the resolver answers again");
}

#[test]
fn a_closed_port_is_noticed_at_once() {
    let closed = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let alive = good();
    let daemon = Daemon::with(&[closed, alive.address], "");
    assert_eq!(timed(&daemon, "a.test.").0.answers.len(), 1);
    let why = daemon.line("the resolver does not answer")["why"].to_string();
    assert!(why.contains("refused"), "its refusal was noticed, not its silence: {why}");
}

#[test]
fn when_none_answers_the_query_fails_in_time() {
    let (one, other) = (Resolver::silent(), Resolver::silent());
    let daemon = Daemon::forwarding(&[&one, &other]);
    let (reply, took) = timed(&daemon, "a.test.");
    assert_eq!(reply.response_code, ResponseCode::ServFail);
    assert!(took < Duration::from_secs(5), "clients ask again after five seconds: {took:?}");
    assert!(!one.heard().is_empty() && !other.heard().is_empty());
    assert_eq!(ask(daemon.address, "_xmpp-server._tcp.fabrikam.test.", T::SRV).answers.len(), 2, "ours go on");
    let (again, took) = timed(&daemon, "a.test.");
    assert_eq!(again.response_code, ResponseCode::ServFail);
    assert!(took < Duration::from_secs(1), "a failure is kept for a moment: {took:?}");
}

#[test]
fn failures_are_passed_over_and_not_passed_on() {
    let codes = [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::FormErr, ResponseCode::NotImp];
    for code in codes {
        let failing = Resolver::that(move |query, _| Say::This(error(query, code)));
        let alive = good();
        let daemon = Daemon::forwarding(&[&failing, &alive]);
        for name in ["a.test.", "b.test."] {
            assert_eq!(timed(&daemon, name).0.answers.len(), 1, "{code}");
        }
        assert_eq!(failing.heard().len(), 2, "it is alive and asked first still");
        assert!(!daemon.log().iter().any(|line| line["level"] == "WARN"), "nor was its silence noticed");
        let daemon = Daemon::forwarding(&[&failing]);
        assert_eq!(timed(&daemon, "a.test.").0.response_code, ResponseCode::ServFail, "{code}");
    }
}

#[test]
fn a_late_answer_is_an_answer() {
    let late = Resolver::that(|query, _| Say::Late(Duration::from_millis(1500), address(query, 0, 7)));
    let daemon = Daemon::forwarding(&[&late]);
    assert_eq!(timed(&daemon, "a.test.").0.answers.len(), 1);
    assert!(late.heard().len() > 1, "the question was sent again meanwhile");
}

/// Answers that must not be believed, each with the wrong address.
fn lies(query: &Message) -> Vec<Vec<u8>> {
    let lie = |change: fn(&mut Message)| {
        let mut lie = address(query, 300, 66);
        change(&mut lie);
        lie.to_vec().expect("a message")
    };
    vec![
        lie(|lie| lie.metadata.id ^= 1),
        lie(|lie| lie.queries[0] = question("other.test.", T::A)),
        lie(|lie| lie.queries[0] = question("a.test.", T::AAAA)),
        lie(|lie| lie.queries.clear()),
        lie(|lie| lie.metadata.message_type = MessageType::Query),
        vec![0; 3],
    ]
}

#[test]
fn lies_are_not_believed() {
    let liar = Resolver::that(|query, _| {
        let truth = address(query, 0, 7).to_vec().expect("a message");
        Say::Bytes([lies(query), vec![truth]].concat())
    });
    let daemon = Daemon::forwarding(&[&liar]);
    assert_eq!(timed(&daemon, "a.test.").0.answers[0].data.to_string(), "192.0.2.7");
    let liar = Resolver::that(|query, _| Say::Bytes(lies(query)));
    let daemon = Daemon::forwarding(&[&liar]);
    assert_eq!(timed(&daemon, "a.test.").0.response_code, ResponseCode::ServFail);
}

#[test]
fn answers_that_are_no_messages_are_passed_over() {
    let broken = Resolver::that(|query, _| {
        let mut bytes = address(query, 300, 66).to_vec().expect("a message");
        bytes.truncate(bytes.len() - 14);
        Say::Bytes(vec![bytes])
    });
    let alive = good();
    let daemon = Daemon::forwarding(&[&broken, &alive]);
    assert_eq!(timed(&daemon, "a.test.").0.answers[0].data.to_string(), "192.0.2.7");
    let cut = Resolver::that(|query, _| {
        let mut reply = address(query, 300, 66);
        reply.metadata.truncation = true;
        Say::This(reply)
    });
    let daemon = Daemon::forwarding(&[&cut]);
    assert_eq!(timed(&daemon, "a.test.").0.response_code, ResponseCode::ServFail, "cut by TCP too");
}

#[test]
fn two_that_forward_to_each_other_come_to_an_end() {
    let nobody: SocketAddr = "127.0.0.1:9".parse().expect("an address");
    let one = Daemon::with(&[nobody], "");
    let other = Daemon::with(&[one.address], "");
    one.reload(|config| config.replace(&nobody.to_string(), &other.address.to_string()));
    one.line("serves the internal view as configured now");
    let (reply, took) = timed(&one, "a.test.");
    assert_eq!(reply.response_code, ResponseCode::ServFail);
    assert!(took < Duration::from_secs(10), "{took:?}");
    let forwarded = |daemon: &Daemon| daemon.log().iter().filter(|line| line["message"] == "forwarded").count();
    let circles = forwarded(&one) + forwarded(&other);
    assert!(circles < 30, "each waits for the other instead of asking again: {circles}");
}
