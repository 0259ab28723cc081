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
    host.machine.finish(host.now, Some(StreamError::new(Condition::SystemShutdown, "moving")), None);
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
fn with_less_time_than_usual_it_is_over_by_then_whatever_the_peer_does() {
    for counts in [true, false] {
        let mut host = Host::authenticated();
        if counts {
            host.hears("<enable xmlns='urn:xmpp:sm:3'/>");
        }
        (1..=2).for_each(|_| host.hears(HELLO));
        let began = host.now;
        host.machine.finish(began, None, Some(began + Duration::from_secs(3)));
        (1..=2).for_each(|number| host.machine.settled(number));
        let took = hears_on_and_on(&mut host);
        assert!(took < Duration::from_millis(2600), "{took:?}");
        while !matches!(host.steps.last(), Some(Step::End(_))) {
            tick(&mut host);
        }
        assert_eq!(host.now - began, Duration::from_secs(3), "the peer never ended its side");
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
    host.machine.finish(host.now, None, None);
    host.now += 40 * MS;
    host.machine.settled(6);
    assert_eq!(tick(&mut host), Duration::ZERO);
    assert!(!host.sent.contains("</stream:stream>"), "the next stanza may be on its way");
    let deadline = host.machine.deadline().expect("a deadline");
    assert_eq!(deadline - host.now, 460 * MS, "if nothing comes for so long, the peer has stopped");
    host.now += 10 * MS;
    host.hears(HELLO);
    host.machine.settled(7);
    assert_eq!(tick(&mut host), 5 * MS);
    assert!(host.sent.contains("</stream:stream>"));
}

#[test]
fn who_counts_nothing_and_says_something_all_the_time_says_on_until_it_stops() {
    let mut host = Host::authenticated();
    let mut number = 0;
    let mut says = |host: &mut Host, after: Duration| {
        let until = host.now + after;
        while host.now < until {
            host.now += MS;
            host.machine.tick(host.now);
            host.run();
        }
        number += 1;
        host.hears(HELLO);
        host.machine.settled(number);
        host.run();
    };
    (0..50).for_each(|_| says(&mut host, 5 * MS));
    host.machine.finish_patiently(host.now, None);
    // Now and then the machine has something else to do, and it comes late.
    for round in 0..2000 {
        says(&mut host, if round % 40 == 0 { 45 * MS } else { 5 * MS });
        assert_eq!(host.sent, "", "round {round}");
    }
    let deadline = host.machine.deadline().expect("a deadline");
    assert!(deadline - host.now >= 400 * MS, "{:?}", deadline - host.now);
    host.now = deadline;
    host.machine.tick(host.now);
    host.run();
    assert!(host.sent.contains("</stream:stream>"));
}

#[test]
fn whoever_took_his_time_has_none_when_everything_ends() {
    let mut host = Host::authenticated();
    host.hears(HELLO);
    host.machine.finish_patiently(host.now, None);
    host.now += Duration::from_secs(60);
    host.machine.tick(host.now);
    host.run();
    assert!(!host.sent.contains("</stream:stream>"), "something is open");
    host.machine.finish(host.now, None, Some(host.now + Duration::from_secs(3)));
    while !matches!(host.steps.last(), Some(Step::End(_))) {
        tick(&mut host);
    }
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
    host.machine.finish(host.now, None, None);
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

/// The peer says something every 5 ms for so long, or until the end is said. Each stanza is settled 12 ms after it came,
/// so that something is always open; `answers` says after how many stanzas the peer answers when it is asked, if it
/// does. Gives how many it said.
fn never_pauses(host: &mut Host, answers: Option<usize>, most: Duration) -> usize {
    let (began, mut said, mut looked) = (host.now, 0, host.passed());
    let mut open = std::collections::VecDeque::new();
    let mut answer_after = None;
    while !host.sent.contains("</stream:stream>") && host.now < began + most {
        host.hears(HELLO);
        said += 1;
        if let Some(left) = answer_after.as_mut() {
            *left -= 1;
        }
        if host.sent.contains(ASKED) {
            host.sent.clear();
            answer_after = answers;
        }
        if answer_after == Some(0) {
            answer_after = None;
            host.hears(ANSWER);
        }
        for _ in 0..5 {
            open.extend((looked + 1..=host.passed()).map(|number| (host.now + 12 * MS, number)));
            looked = host.passed();
            while let Some((_, number)) = open.pop_front_if(|(at, _)| *at <= host.now) {
                host.machine.settled(number as u64);
            }
            host.machine.tick(host.now);
            host.run();
            host.now += MS;
        }
    }
    said
}

#[test]
fn what_is_open_of_who_never_pauses_is_vouched_for() {
    let mut host = finishing(true);
    host.machine.settled(1);
    let began = host.now;
    let said = never_pauses(&mut host, Some(1), Duration::from_secs(30));
    let took = host.now - began;
    assert!((Duration::from_secs(15)..Duration::from_millis(15_200)).contains(&took), "{took:?}");
    assert_eq!(host.passed(), said + 1, "everything was read");
    let told = format!("h='{}'/><stream:error>", host.passed());
    assert!(host.sent.contains(&told), "and is acknowledged, though not all of it is settled: {}", host.sent);
    let told = host.sent.clone();
    (1..=host.passed() as u64).for_each(|number| host.machine.settled(number));
    host.run();
    assert_eq!(host.sent, told, "nothing is told after the end");
}

#[test]
fn who_has_more_to_say_than_we_have_read_is_listened_to() {
    let mut host = finishing(true);
    host.machine.settled(1);
    let said = never_pauses(&mut host, Some(60), Duration::from_secs(19));
    assert!(!host.sent.contains("</stream:stream>"), "it would have to return what it said meanwhile");
    assert_eq!(host.passed(), said + 1);
}

/// A stream whose peer never pauses, asked and answered at the moment from which on it is vouched.
fn asked() -> Host {
    let mut host = finishing(true);
    host.now += Duration::from_secs(15);
    host.machine.tick(host.now);
    host.run();
    assert!(host.sent.ends_with(ASKED), "{}", host.sent);
    host.hears(&format!("{HELLO}{ANSWER}{HELLO}"));
    assert_eq!(host.passed(), 3, "it is listened to");
    host
}

#[test]
fn what_does_not_get_its_outcome_soon_is_not_vouched_for() {
    let mut host = asked();
    assert_eq!(tick(&mut host), 250 * MS);
    (1..=2).for_each(|number| host.machine.settled(number));
    host.hears(HELLO);
    host.sent.clear();
    assert_eq!(tick(&mut host), Duration::from_secs(1), "it comes too late");
    assert_eq!(host.sent, ASKED, "it is tried again");
    host.hears(ANSWER);
    (3..=4).for_each(|number| host.machine.settled(number));
    host.hears(HELLO);
    tick(&mut host);
    assert!(host.sent.contains("h='5'/><stream:error>"), "{}", host.sent);
}

#[test]
fn more_than_is_on_its_way_is_not_vouched_for() {
    let mut host = asked();
    host.hears(&HELLO.repeat(150));
    (1..=2).for_each(|number| host.machine.settled(number));
    host.run();
    assert!(!host.sent.contains("</stream:stream>"), "151 are open: {}", host.sent);
    (3..=60).for_each(|number| host.machine.settled(number));
    host.hears(HELLO);
    tick(&mut host);
    assert!(host.sent.contains("h='154'/><stream:error>"), "{}", host.sent);
}

#[test]
fn in_the_middle_of_a_stanza_nothing_is_vouched_for() {
    let mut host = asked();
    host.hears("<message from='a@contoso.test'");
    (1..=2).for_each(|number| host.machine.settled(number));
    host.machine.tick(host.now);
    host.run();
    assert!(!host.sent.contains("</stream:stream>"), "the peer would return it: {}", host.sent);
}

#[test]
fn what_a_peer_that_counts_says_after_our_end_passes_but_for_what_it_returns_itself() {
    let mut host = finishing(true);
    host.hears(&HELLO.repeat(1399));
    assert_eq!(host.passed(), 400, "a window of them");
    host.now += Duration::from_secs(26);
    host.machine.tick(host.now);
    host.run();
    assert!(host.sent.ends_with("</stream:stream>"), "{}", host.sent);
    assert_eq!(host.passed(), 900, "the last 500 come back by themselves");
    host.hears(&HELLO.repeat(7));
    assert_eq!(host.passed(), 907);
    host.hears("</stream:stream>");
    assert_eq!(host.passed(), 907);
    assert!(matches!(host.steps.last(), Some(Step::End(End::Closed))));
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
