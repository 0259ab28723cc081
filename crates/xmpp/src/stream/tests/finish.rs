//! The end that we bring about on an accepted stream: when it is said, and what passes until then and after it.

use std::time::Duration;

use super::*;

const MS: Duration = Duration::from_millis(1);

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
    assert!(host.sent.contains("'/><stream:error><system-shutdown ") && host.sent.ends_with("</stream:stream>"));
    host.hears("</stream:stream>");
    assert!(matches!(host.steps.last(), Some(Step::End(End::Closed))));
}

#[test]
fn the_end_is_said_in_a_pause_and_a_short_one_will_do_when_time_runs_out() {
    for counts in [true, false] {
        let mut host = finishing(counts);
        host.machine.settled(1);
        let began = host.now;
        let mut number = 1;
        while !host.sent.contains("</stream:stream>") {
            assert!(host.now < began + Duration::from_secs(20), "there is a pause of 8 ms after every stanza");
            host.hears(HELLO);
            number += 1;
            host.machine.settled(number);
            host.now += 8 * MS;
            host.machine.tick(host.now);
            host.run();
        }
        let waited = host.now.duration_since(began);
        assert!(waited > Duration::from_secs(11), "with more time left, a longer one can come: {waited:?}");
    }
    let mut host = finishing(true);
    host.machine.settled(1);
    host.now += 10 * MS;
    host.hears("<message from='a@contoso.test'");
    host.now += 100 * MS;
    host.machine.tick(host.now);
    host.run();
    assert!(!host.sent.contains("</stream:stream>"), "there is more to come: {}", host.sent);
}

#[test]
fn who_never_pauses_is_read_no_more_until_what_came_is_settled() {
    let mut host = finishing(true);
    host.machine.settled(1);
    host.now += Duration::from_secs(20);
    host.hears(HELLO);
    host.machine.tick(host.now);
    host.hears(HELLO);
    assert_eq!((host.passed(), host.sent.contains("</stream:stream>")), (2, false));
    host.machine.settled(2);
    assert_eq!(tick(&mut host), Duration::ZERO);
    assert!(host.sent.contains("h='2'/><stream:error>") && host.sent.ends_with("</stream:stream>"), "{}", host.sent);
    assert_eq!(host.passed(), 2, "it returns that one by itself");
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
