//! The end that we bring about on an accepted stream: when it is said, and what passes until then and after it.

use std::time::Duration;

use super::*;

const MS: Duration = Duration::from_millis(1);

/// By which the peer is asked whether it listens, and its answer.
const ASKED: &str = "<r xmlns='urn:xmpp:sm:3'/>";
const ANSWER: &str = "<a xmlns='urn:xmpp:sm:3' h='0'/>";

/// A stream that is to end, after one stanza that isn't settled; whether its peer counts.
fn finishing(counts: bool) -> Host {
    let mut host = Host::authenticated();
    if counts {
        host.hears("<enable xmlns='urn:xmpp:sm:3'/>");
    }
    host.hears(HELLO);
    host.machine.finish(host.now, Some(StreamError::new(Condition::SystemShutdown, "moving")));
    host.run();
    host.sent.clear();
    host
}

/// Lets time pass until the machine wants to be looked at.
fn tick(host: &mut Host) -> Duration {
    let deadline = host.machine.deadline().expect("a deadline");
    let passed = deadline.saturating_duration_since(host.now);
    host.now += passed;
    host.machine.tick(host.now);
    host.run();
    passed
}

#[test]
fn everything_is_settled_and_told_before_the_end_is_said() {
    let mut host = finishing(true);
    host.now += 100 * MS;
    host.machine.tick(host.now);
    host.hears(HELLO);
    assert_eq!((host.passed(), host.sent.as_str()), (2, ""), "it is read on");
    host.machine.settled(1);
    host.now += 100 * MS;
    host.machine.tick(host.now);
    host.run();
    assert_eq!(host.sent, "");
    host.machine.settled(2);
    host.run();
    assert_eq!(host.sent, "<a xmlns='urn:xmpp:sm:3' h='2'/>");
    tick(&mut host);
    assert!(host.sent.ends_with(ASKED), "{}", host.sent);
    host.hears(ANSWER);
    assert!(host.sent.contains("'/><stream:error><system-shutdown ") && host.sent.ends_with("</stream:stream>"));
    host.hears("</stream:stream>");
    assert!(matches!(host.steps.last(), Some(Step::End(End::Closed))));
}

/// After two stanzas the peer says something every 8 ms, and each stanza is settled at once, until the end is
/// said; when that is.
fn hears_on_and_on(host: &mut Host) -> Duration {
    let (began, mut number) = (host.now, 2);
    while !host.sent.contains("</stream:stream>") {
        assert!(host.now < began + Duration::from_secs(30), "it never ends");
        number += 1;
        host.hears(HELLO);
        host.machine.settled(number);
        for _ in 0..8 {
            host.machine.tick(host.now);
            host.now += MS;
            host.run();
        }
    }
    host.now - began
}

#[test]
fn where_there_is_no_pause_to_speak_of_any_moment_will_do_in_the_end() {
    for counts in [true, false] {
        let mut host = finishing(counts);
        host.now += 8 * MS;
        host.hears(HELLO);
        (1..=2).for_each(|number| host.machine.settled(number));
        let took = hears_on_and_on(&mut host);
        assert!((Duration::from_secs(19)..Duration::from_secs(21)).contains(&took), "{took:?}");
    }
}

#[test]
fn who_pauses_as_a_rule_is_told_early_in_a_pause() {
    let mut host = Host::authenticated();
    for number in 1..=5 {
        host.now += 50 * MS;
        host.hears(HELLO);
        host.machine.settled(number);
    }
    host.hears(HELLO);
    host.machine.finish(host.now, None);
    host.now += 40 * MS;
    host.machine.settled(6);
    assert_eq!(tick(&mut host), Duration::ZERO);
    assert!(!host.sent.contains("</stream:stream>"), "the next stanza may be on its way");
    let deadline = host.machine.deadline().expect("a deadline");
    assert_eq!(deadline - host.now, 35 * MS, "if it doesn't come, the peer has stopped");
    host.now += 10 * MS;
    host.hears(HELLO);
    host.machine.settled(7);
    assert_eq!(tick(&mut host), 5 * MS);
    assert!(host.sent.contains("</stream:stream>"));
}

#[test]
fn who_is_slow_to_answer_would_be_slow_to_hear_of_the_end() {
    let mut host = finishing(true);
    for number in 1..=5 {
        host.machine.settled(number);
        host.now += 50 * MS;
        host.hears(HELLO);
    }
    host.machine.settled(6);
    host.run();
    host.sent.clear();
    tick(&mut host);
    assert_eq!(host.sent, ASKED);
    host.now += 20 * MS;
    host.hears(ANSWER);
    assert_eq!(host.sent, ASKED, "by the time at which it hears that, it would be about to speak");
    host.now += 25 * MS;
    host.hears(HELLO);
    host.machine.settled(7);
    host.run();
    host.sent.clear();
    tick(&mut host);
    host.hears(HELLO);
    host.hears(ANSWER);
    assert!(!host.sent.contains("</stream:stream>"), "it has spoken meanwhile");
    host.machine.settled(8);
    host.run();
    host.sent.clear();
    tick(&mut host);
    assert_eq!(host.sent, ASKED);
    host.now += 2 * MS;
    host.hears(ANSWER);
    assert!(host.sent.ends_with("</stream:stream>"), "{}", host.sent);
}

#[test]
fn who_seldom_speaks_is_not_waited_for() {
    let mut host = Host::authenticated();
    for number in 1..=3 {
        host.now += Duration::from_secs(600);
        host.hears(HELLO);
        host.machine.settled(number);
    }
    host.now += Duration::from_secs(3);
    host.machine.finish(host.now, None);
    host.run();
    assert!(host.sent.contains("</stream:stream>"));
}

#[test]
fn half_a_stanza_is_no_pause() {
    let mut host = finishing(true);
    host.machine.settled(1);
    host.now += 5 * MS;
    host.hears("<message from='a@contoso.test'");
    host.now += 100 * MS;
    host.machine.tick(host.now);
    host.run();
    assert!(!host.sent.contains("</stream:stream>"), "there is more to come: {}", host.sent);
}

#[test]
fn where_something_is_always_open_no_more_is_looked_at_in_the_end() {
    let mut host = finishing(true);
    for number in 1..=2200 {
        host.now += 10 * MS;
        host.hears(HELLO);
        host.machine.settled(number);
        host.machine.tick(host.now);
        host.run();
    }
    assert_eq!((host.passed(), host.sent.contains("</stream:stream>")), (2201, false), "it is read on");
    host.now += Duration::from_secs(1);
    host.hears(HELLO);
    host.machine.settled(2201);
    assert_eq!(tick(&mut host), Duration::ZERO);
    assert!(host.sent.contains("h='2201'/><stream:error>") && host.sent.ends_with("</stream:stream>"), "{}", host.sent);
    assert_eq!(host.passed(), 2201, "it returns the other one by itself");
}

#[test]
fn what_is_never_settled_ends_the_stream_all_the_same() {
    for counts in [true, false] {
        let mut host = finishing(counts);
        let began = host.now;
        while !host.sent.contains("</stream:stream>") {
            tick(&mut host);
        }
        let drain = Settings::default().drain;
        assert_eq!(host.now - began, if counts { drain * 5 / 6 } else { drain * 4 / 6 });
        host.hears(HELLO);
        assert_eq!(host.passed(), if counts { 1 } else { 2 }, "nobody else would send or return it");
        host.hears("</stream:stream>");
        assert!(matches!(host.steps.last(), Some(Step::End(End::Closed))));
    }
}

#[test]
fn a_window_that_is_full_does_not_hide_the_peers_end() {
    let mut host = finishing(true);
    host.hears(&HELLO.repeat(1000));
    assert_eq!(host.passed(), 400);
    host.now += Duration::from_secs(26);
    host.machine.tick(host.now);
    host.hears("</stream:stream>");
    assert!(matches!(host.steps.last(), Some(Step::End(End::Closed))), "{:?}", host.steps.last());
}
