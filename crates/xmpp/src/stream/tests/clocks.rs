//! Time on a stream: set-up, keep-alive, idleness, and its end.

use std::time::Duration;

use super::*;

#[test]
fn a_stream_that_says_nothing_ends_in_time_and_a_probe_leaves_quietly() {
    let mut host = Host::new(false);
    let deadline = host.machine.deadline().expect("a deadline");
    host.machine.tick(deadline.checked_sub(Duration::from_millis(1)).expect("a time"));
    host.run();
    assert!(host.steps.is_empty());
    host.machine.tick(deadline);
    host.run();
    assert_eq!(host.ended_with(), Some(Condition::ConnectionTimeout));

    let mut probe = Host::new(false);
    probe.machine.eof();
    probe.run();
    assert!(matches!(probe.steps[..], [Step::End(End::Probe)]));
    assert_eq!(probe.sent, "");
}

#[test]
fn keep_alive_then_idle_close_then_the_peers_end() {
    let mut host = Host::authenticated();
    let first = host.machine.deadline().expect("a deadline");
    host.machine.tick(first);
    host.run();
    assert_eq!(host.sent, " ");
    host.sent.clear();
    host.machine.tick(host.now + Duration::from_secs(3600));
    host.run();
    assert_eq!(host.sent, "</stream:stream>");
    host.hears(HELLO);
    assert!(matches!(host.steps.last(), Some(Step::Stanza { .. })), "what is still in flight is taken");
    host.hears("</stream:stream>");
    assert!(matches!(host.steps.last(), Some(Step::End(End::Closed))));
}

/// Peers that stop talking wherever they are: each stream ends after the time to establish.
#[test]
fn whoever_falls_silent_is_given_up() {
    let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>evil</auth>";
    for (secure, said) in [
        (false, vec![]),
        (false, vec!["<?xml"]),
        (false, vec![HEADER]),
        (false, vec![HEADER, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"]),
        (true, vec![HEADER, auth]),
        (true, vec![HEADER, "<db:result from='contoso.test' to='fabrikam.test'>k</db:result>"]),
        (true, vec![HEADER, " ", " "]),
    ] {
        let mut host = Host::new(secure);
        said.iter().for_each(|text| host.hears(text));
        let (before, tls) = (host.sent.len(), host.steps.iter().any(|step| matches!(step, Step::StartTls)));
        let deadline = host.machine.deadline().expect("a deadline");
        assert_eq!(deadline, host.now + Duration::from_secs(60), "{said:?}");
        host.machine.tick(deadline);
        host.run();
        assert_eq!(host.ended_with(), Some(Condition::ConnectionTimeout), "{said:?}");
        // In the middle of a TLS handshake, words in clear would only confuse.
        assert_eq!(host.sent.len() == before, tls, "{said:?}: {}", host.sent);
        assert!(host.machine.is_over() && host.machine.deadline().is_none());
    }
    for (secure, said) in [
        (false, vec![]),
        (
            false,
            vec![
                "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' id='1' version='1.0'>",
            ],
        ),
        (
            true,
            vec![
                "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' id='1' version='1.0'>\
            <stream:features/>",
            ],
        ),
    ] {
        let mut caller = Caller::new(Goal::Carry, USUAL, secure);
        said.iter().for_each(|text| caller.hears(text));
        caller.machine.tick(caller.machine.deadline().expect("a deadline"));
        caller.run();
        assert_eq!(caller.ended_with(), Some(Condition::ConnectionTimeout), "{said:?}");
    }
}

#[test]
fn what_we_write_puts_the_keep_alive_off_and_stanzas_the_idle_close() {
    let mut host = Host::authenticated();
    let second = Duration::from_secs(1);
    host.machine.sent(host.now + 200 * second);
    assert_eq!(host.machine.deadline(), Some(host.now + 500 * second));
    host.machine.sent(host.now + 3500 * second);
    assert_eq!(host.machine.deadline(), Some(host.now + 3600 * second));
    host.now += 3000 * second;
    host.hears(" ");
    assert_eq!(host.machine.deadline(), Some(host.now + 600 * second), "white space is no traffic");
    host.hears(HELLO);
    assert_eq!(host.machine.deadline(), Some(host.now + 800 * second));
}

#[test]
fn a_drain_takes_what_comes_and_says_nothing_more() {
    let mut host = Host::authenticated();
    let shutdown = StreamError::new(Condition::SystemShutdown, "moving");
    host.machine.close(host.now, Some(&shutdown));
    host.run();
    assert!(host.sent.starts_with("<stream:error><system-shutdown ") && host.sent.ends_with("</stream:stream>"));
    let before = host.sent.len();
    host.machine.close(host.now, Some(&shutdown));
    for text in [
        HELLO,
        "<db:verify from='contoso.test' to='fabrikam.test' id='1'>k</db:verify>",
        "<db:result from='a.test' to='fabrikam.test'>k</db:result>",
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'/>",
        HELLO,
    ] {
        host.hears(text);
    }
    assert_eq!((host.passed(), host.steps.len()), (2, 2), "{:?}", host.steps);
    host.hears("</stream:stream>");
    assert!(matches!(host.steps.last(), Some(Step::End(End::Closed))));
    assert_eq!(host.sent.len(), before, "nothing follows our end of the stream (RFC 6120 §4.4)");
}

#[test]
fn a_drain_that_the_peer_ignores_ends_in_time() {
    let mut host = Host::authenticated();
    host.machine.close(host.now, None);
    host.run();
    host.machine.tick(host.now + Duration::from_secs(29));
    host.run();
    assert!(!host.machine.is_over());
    host.machine.tick(host.now + Duration::from_secs(30));
    host.run();
    assert!(matches!(host.steps[..], [Step::End(End::Closed)]));
}

#[test]
fn a_fault_while_draining_still_ends_the_stream() {
    let mut host = Host::authenticated();
    host.machine.close(host.now, None);
    host.run();
    host.hears("<message from='a@evil.test' to='b@fabrikam.test'/>");
    assert_eq!((host.ended_with(), host.passed()), (Some(Condition::InvalidFrom), 0));
    assert!(host.sent.ends_with("</stream:stream>") && !host.sent.contains("error"));
}

#[test]
fn how_a_stream_ended_is_told_apart() {
    let ended = |text: &str, eof: bool| {
        let mut host = Host::authenticated();
        host.hears(text);
        if eof {
            host.machine.eof();
            host.run();
        }
        let Some(Step::End(end)) = host.steps.pop() else { panic!("{text}: {:?}", host.steps) };
        (end, host.sent)
    };
    let footer = "</stream:stream>".to_owned();
    assert_eq!(ended("</stream:stream>", false), (End::PeerClosed, footer.clone()));
    assert_eq!(ended("", true), (End::Vanished, String::new()));
    assert_eq!(ended("<message ", true), (End::Vanished, String::new()));
    let gone = "<stream:error><host-gone xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
        <text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>bye&#10;bye</text></stream:error>";
    assert_eq!(ended(gone, false), (End::PeerError(StreamError::new(Condition::HostGone, "bye bye")), footer));
}
