//! A dialed stream against peers that do as they like.

use std::time::Duration;

use super::*;

#[test]
fn a_key_is_asked_about_without_proof_of_our_own() {
    let now = Instant::now();
    let goal = Goal::Verify { id: "their-id".into(), key: "k".into() };
    let mut dialed = Dialed::new(now, pair(), goal, NO_TLS, false, false, Settings::default());
    dialed.input().extend_from_slice(
        "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' \
         xmlns:stream='http://etherx.jabber.org/streams' id='x' version='1.0'>\
         <stream:features/><db:verify from='fabrikam.test' to='contoso.test' id='other' type='invalid'/>\
         <db:verify from='fabrikam.test' to='contoso.test' id='their-id' type='valid'/>"
            .as_bytes(),
    );
    let steps: Vec<_> = std::iter::from_fn(|| dialed.poll(now)).collect();
    assert!(steps.iter().any(
        |step| matches!(step, Step::Send(bytes) if bytes.starts_with(b"<db:verify") && bytes.ends_with(b">k</db:verify>"))
    ));
    assert!(matches!(steps.last(), Some(Step::Verified { valid: true })));
}

/// A peer's header, with `more` in it.
fn header(more: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' \
         xmlns:stream='http://etherx.jabber.org/streams' from='fabrikam.test' to='contoso.test' {more}>"
    )
}

const STARTTLS: &str = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>";
const EXTERNAL: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
    <mechanism>PLAIN</mechanism><mechanism>EXTERNAL</mechanism></mechanisms></stream:features>";
const NOTHING: &str = "<stream:features/>";

fn ready(caller: &Caller) -> bool {
    caller.steps.iter().any(|step| matches!(step, Step::Ready { .. }))
}

#[test]
fn plaintext_behind_proceed_ends_the_stream() {
    let mut caller = Caller::new(Goal::Carry, USUAL, false);
    caller.hears(&header("id='1' version='1.0'"));
    caller.hears(STARTTLS);
    caller.hears(&("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>".to_owned() + &header("id='2' version='1.0'")));
    assert_eq!(caller.ended_with(), Some(Condition::PolicyViolation));
    assert!(!caller.steps.iter().any(|step| matches!(step, Step::StartTls)));
}

#[test]
fn a_peer_that_strips_tls_gets_nothing() {
    for (said, condition) in [
        (header("id='1' version='1.0'") + NOTHING, Condition::PolicyViolation),
        (header("id='1' version='1.0'") + EXTERNAL, Condition::PolicyViolation),
        (header("id='1'"), Condition::UnsupportedVersion),
        (
            header("id='1' version='1.0'") + STARTTLS + "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
            Condition::PolicyViolation,
        ),
    ] {
        for goal in [Goal::Carry, Goal::Verify { id: "1".into(), key: "k".into() }] {
            let mut caller = Caller::new(goal, USUAL, false);
            caller.hears(&said);
            assert_eq!(caller.ended_with(), Some(condition), "{said}");
            assert!(!caller.sent.contains("<auth") && !caller.sent.contains("<db:"), "{}", caller.sent);
        }
    }
}

#[test]
fn each_fault_of_the_peer_gets_its_stream_error() {
    let opened = header("id='1' version='1.0'");
    for (said, condition) in [
        (opened.replace("xmlns='jabber:server'", "xmlns='jabber:client'"), Condition::InvalidNamespace),
        (opened.replace("http://etherx.jabber.org/streams", "u"), Condition::InvalidNamespace),
        (opened.replace("='fabrikam.test'", "=fabrikam.test"), Condition::NotWellFormed),
        ("<stream:features/>".to_owned(), Condition::BadFormat),
        (opened.clone() + HELLO, Condition::NotAuthorized),
        (opened.clone() + NOTHING + HELLO, Condition::NotAuthorized),
        (opened.clone() + "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", Condition::UnsupportedStanzaType),
        (opened.clone() + "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", Condition::UnsupportedStanzaType),
        (opened.clone() + EXTERNAL + EXTERNAL, Condition::UnsupportedStanzaType),
        (opened.clone() + &"<a>".repeat(65), Condition::PolicyViolation),
        (opened.clone() + "<!-- -->", Condition::RestrictedXml),
        (header("version='1.0'") + NOTHING, Condition::BadFormat),
    ] {
        let mut caller = Caller::new(Goal::Carry, USUAL, true);
        caller.hears(&said);
        assert_eq!(caller.ended_with(), Some(condition), "{said}");
        assert!(!ready(&caller) && caller.sent.ends_with("</stream:stream>"), "{}", caller.sent);
    }
}

/// Nothing that the peer says makes the stream ready before its turn.
#[test]
fn words_before_their_turn_make_nothing_ready() {
    let valid = "<db:result from='fabrikam.test' to='contoso.test' type='valid'/>";
    let mut caller = Caller::new(Goal::Carry, USUAL, true);
    caller.hears(&(header("id='1' version='1.0'") + valid));
    assert!(!ready(&caller));
    caller.hears(EXTERNAL);
    caller.hears(valid);
    assert!(!ready(&caller), "we are in the middle of SASL");
    caller.hears("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>");
    assert!(caller.sent.contains(">key for 1</db:result>"));
    for other in [
        "<db:result from='evil.test' to='contoso.test' type='valid'/>",
        "<db:result from='fabrikam.test' to='other.test' type='valid'/>",
        "<db:verify from='fabrikam.test' to='contoso.test' id='1' type='valid'/>",
    ] {
        caller.hears(other);
        assert!(!ready(&caller), "{other}");
    }
    caller.hears(valid);
    assert!(ready(&caller));
    caller.hears(valid);
    assert_eq!(caller.steps.len(), 1, "{:?}", caller.steps);
}

#[test]
fn why_external_failed_is_not_forgotten_when_dialback_fails_too() {
    let mut caller = Caller::new(Goal::Carry, USUAL, true);
    caller.hears(&(header("id='1' version='1.0'") + EXTERNAL));
    caller.hears(
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/><text>no clientAuth</text></failure>\
         <db:result from='fabrikam.test' to='contoso.test' type='error'><error type='cancel'>\
         <remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>",
    );
    let Some(Step::End(End::OurError(error))) = caller.steps.last() else { panic!("{:?}", caller.steps) };
    assert_eq!(error.condition, Condition::RemoteConnectionFailed);
    for part in ["remote-server-not-found", "not-authorized no clientAuth"] {
        assert!(error.text.contains(part), "{}", error.text);
    }
}

#[test]
fn an_answer_about_another_key_is_no_answer() {
    let mut caller = Caller::new(Goal::Verify { id: "their-id".into(), key: "k".into() }, USUAL, true);
    caller.hears(&(header("id='1' version='1.0'") + NOTHING));
    assert!(caller.sent.ends_with("<db:verify from='contoso.test' to='fabrikam.test' id='their-id'>k</db:verify>"));
    for other in [
        "<db:verify from='fabrikam.test' to='contoso.test' id='1' type='valid'/>",
        "<db:verify from='evil.test' to='contoso.test' id='their-id' type='valid'/>",
        "<db:verify from='fabrikam.test' to='evil.test' id='their-id' type='valid'/>",
        "<db:result from='fabrikam.test' to='contoso.test' type='valid'/>",
    ] {
        caller.hears(other);
        assert!(caller.steps.is_empty(), "{other}: {:?}", caller.steps);
    }
    caller.hears("<db:verify from='fabrikam.test' to='contoso.test' id='their-id' type='invalid'/>");
    assert!(matches!(caller.steps[..], [Step::Verified { valid: false }]));
    caller.hears("<db:verify from='fabrikam.test' to='contoso.test' id='their-id' type='error'/>");
    assert_eq!(caller.ended_with(), Some(Condition::RemoteConnectionFailed));
}

#[test]
fn a_peer_that_closes_or_fails_while_we_wait_is_told_apart() {
    for (said, expected) in [
        (header("id='1' version='1.0'") + "</stream:stream>", End::PeerClosed),
        (
            header("id='1' version='1.0'")
                + "<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
            End::PeerError(StreamError::new(Condition::NotAuthorized, "")),
        ),
        (
            header("id='1' version='1.0'") + "<stream:error><made-up xmlns='u'/></stream:error>",
            End::PeerError(StreamError::new(Condition::UndefinedCondition, "")),
        ),
    ] {
        let mut caller = Caller::new(Goal::Carry, USUAL, true);
        caller.hears(&said);
        let Some(Step::End(end)) = caller.steps.last() else { panic!("{:?}", caller.steps) };
        assert_eq!(*end, expected);
        assert!(caller.sent.ends_with("</stream:stream>"));
    }
}

const COUNTS: &str = "<stream:features><sm xmlns='urn:xmpp:sm:3'/></stream:features>";

/// A stream that is ready, at a peer that counts or one that only answers in its turn.
fn ready_caller(counts: bool) -> Caller {
    let mut caller = Caller::new(Goal::Carry, USUAL, true);
    caller.hears(&(header("id='1' version='1.0'") + EXTERNAL));
    caller.hears("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    caller.hears(&(header("id='2' version='1.0'") + if counts { COUNTS } else { NOTHING }));
    if counts {
        assert!(caller.sent.ends_with("<enable xmlns='urn:xmpp:sm:3'/>") && !ready(&caller), "nothing is sent before");
        caller.hears("<enabled xmlns='urn:xmpp:sm:3'/>");
    }
    assert!(ready(&caller));
    caller.steps.clear();
    caller.sent.clear();
    caller
}

#[test]
fn what_the_peer_took_before_its_end_counts_in_a_drain_too() {
    for (counts, question, answer) in [
        (true, "<r xmlns='urn:xmpp:sm:3'/>", "<a xmlns='urn:xmpp:sm:3' h='3'/>"),
        (
            false,
            "<db:verify from='contoso.test' to='fabrikam.test' id='taken-3'>",
            "<db:verify from='fabrikam.test' to='contoso.test' id='taken-3' type='invalid'/>",
        ),
    ] {
        let mut caller = ready_caller(counts);
        caller.machine.sent(caller.now, 3);
        caller.run();
        assert!(caller.sent.starts_with(question), "{}", caller.sent);
        caller.machine.close(caller.now, None);
        caller.run();
        caller.machine.sent(caller.now, 1);
        let before = caller.sent.len();
        caller.hears(answer);
        assert!(matches!(caller.steps[..], [Step::Taken { stanzas: 3 }]), "{:?}", caller.steps);
        assert_eq!(caller.sent.len(), before, "nothing is asked any more");
        caller.hears("</stream:stream>");
        assert!(matches!(caller.steps.last(), Some(Step::End(End::Closed))));
    }
}

/// Whoever neither counts nor declares dialback, on the stream on which it is asked, is believed soon.
#[test]
fn how_long_a_barrier_is_waited_for_hangs_on_what_the_peer_declares() {
    let declared = "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>";
    for (features, header_took, patience) in [(NOTHING, 1, 250), (NOTHING, 600, 2400), (declared, 1, 5000)] {
        let mut caller = Caller::new(Goal::Carry, USUAL, true);
        caller.hears(&(header("id='1' version='1.0'") + EXTERNAL));
        caller.hears("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        caller.now += Duration::from_millis(header_took);
        caller.hears(&(header("id='2' version='1.0'") + features));
        caller.steps.clear();
        caller.machine.sent(caller.now, 3);
        caller.run();
        assert!(caller.steps.is_empty() && caller.sent.contains("id='taken-3'"), "{}", caller.sent);
        assert_eq!(caller.machine.deadline(), Some(caller.now + Duration::from_millis(patience)));
        caller.machine.tick(caller.now + Duration::from_millis(patience));
        caller.run();
        assert!(matches!(caller.steps[..], [Step::Taken { stanzas: 3 }]), "{:?}", caller.steps);
        // And yet, should it answer, it is waited for from then on.
        caller.hears("<db:verify from='fabrikam.test' to='contoso.test' id='taken-3' type='invalid'/>");
        caller.now += Duration::from_secs(60);
        caller.machine.sent(caller.now, 1);
        caller.run();
        assert!(caller.sent.contains("id='taken-4'") && caller.steps.len() == 1, "{:?}", caller.steps);
    }
}

#[test]
fn a_peer_that_will_not_count_after_all_is_asked_in_turn() {
    let mut caller = Caller::new(Goal::Carry, USUAL, true);
    caller.hears(&(header("id='1' version='1.0'") + EXTERNAL + "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"));
    caller.hears(&(header("id='2' version='1.0'") + COUNTS));
    caller.hears(
        "<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
    );
    assert!(ready(&caller));
    caller.machine.sent(caller.now, 1);
    caller.run();
    assert!(caller.sent.contains("<db:verify "));
}

#[test]
fn lies_about_what_was_taken_count_for_nothing() {
    let mut caller = ready_caller(true);
    caller.machine.sent(caller.now, 3);
    for h in ["4", "-1", "4294967295", "99999999999999999999", "x", ""] {
        caller.hears(&format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"));
    }
    caller.hears("<a xmlns='urn:xmpp:sm:3'/><db:verify id='taken-3' type='invalid'/>");
    assert!(caller.steps.is_empty(), "{:?}", caller.steps);
    caller.hears("<a xmlns='urn:xmpp:sm:3' h='2'/>");
    assert!(matches!(caller.steps[..], [Step::Taken { stanzas: 2 }]));
}

#[test]
fn what_would_be_asked_is_no_deadline_once_nothing_is_asked_any_more() {
    // A peer that has nothing new; one that leaves the second of two questions open.
    for (answer, open) in [("h='0'", 0), ("h='1'", 64)] {
        let mut caller = ready_caller(true);
        caller.machine.sent(caller.now, 1);
        caller.run();
        caller.hears(&format!("<a xmlns='urn:xmpp:sm:3' {answer}/>"));
        caller.machine.sent(caller.now, open);
        caller.run();
        let again = caller.machine.deadline().expect("a deadline");
        assert!(again <= caller.now + Duration::from_secs(1), "it is asked again");
        caller.machine.close(caller.now, None);
        caller.run();
        let asked = caller.sent.len();
        let end = caller.machine.deadline().expect("a deadline");
        assert_eq!(end, caller.now + Settings::default().drain, "{answer}");
        caller.machine.tick(again);
        caller.now = again;
        caller.run();
        assert_eq!((caller.machine.deadline(), caller.sent.len()), (Some(end), asked), "{answer}");
    }
}
