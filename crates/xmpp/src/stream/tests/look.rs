//! A stream that only looks: it sees what is offered, proves nothing, and tells how far any stream came.

use super::*;

const STARTTLS: &str = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>";
const OFFERS: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
    <mechanism>PLAIN</mechanism><mechanism>EXTERNAL</mechanism></mechanisms>\
    <dialback xmlns='urn:xmpp:features:dialback'/><sm xmlns='urn:xmpp:sm:3'/><limits xmlns='urn:xmpp:stream-limits:0'>\
    <max-bytes>262144</max-bytes><idle-seconds>3600</idle-seconds></limits></stream:features>";

fn header(more: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' \
         xmlns:stream='http://etherx.jabber.org/streams' from='fabrikam.test' {more}>"
    )
}

fn looked(caller: &Caller) -> bool {
    caller.steps.iter().any(|step| matches!(step, Step::Looked))
}

#[test]
fn it_goes_to_the_features_behind_tls_and_proves_nothing() {
    for (named, terms) in [(true, USUAL), (false, USUAL), (false, STRICT)] {
        let mut caller = Caller::new(Goal::Look { named }, terms, false);
        assert_eq!(caller.machine.phase(), Phase::Header);
        caller.hears(&header("id='1' version='1.0'"));
        assert_eq!(caller.machine.phase(), Phase::Features);
        caller.hears(STARTTLS);
        assert!(!looked(&caller) && caller.machine.offers().is_some_and(|offers| offers.starttls));
        caller.hears("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        caller.machine.answer(caller.now, Answer::TlsUp { certificate: true, own_certificate: false });
        assert_eq!(caller.machine.offers(), None, "what came in clear may be anybody's");
        assert!(matches!(caller.machine.poll(caller.now), Some(Step::Ask(Question::Judge { .. }))));
        // Also behind a certificate that nobody would take.
        caller.machine.answer(caller.now, Answer::Judged(Err("it is somebody else's".to_owned())));
        caller.run();
        caller.hears(&header("id='2' version='1.0'"));
        caller.hears(OFFERS);
        assert!(looked(&caller));
        let offers = caller.machine.offers().expect("they came");
        assert_eq!(offers.mechanisms, ["PLAIN", "EXTERNAL"]);
        assert!(offers.dialback && offers.stream_management && caller.machine.speaks_dialback());
        assert_eq!((offers.max_bytes, offers.idle_seconds), (Some(262_144), Some(3600)));
        assert!(!caller.sent.contains("<auth") && !caller.sent.contains("<db:"), "{}", caller.sent);
        assert_eq!(caller.sent.matches("from='contoso.test'").count(), if named { 2 } else { 0 }, "{}", caller.sent);
        assert_eq!(caller.sent.matches("to='fabrikam.test'").count(), 2, "{}", caller.sent);
        // Whatever comes now, it says nothing but its end.
        let said = caller.sent.len();
        caller.hears("<db:result from='fabrikam.test' to='contoso.test' type='valid'/>");
        caller.hears(OFFERS);
        caller.machine.close(caller.now, None);
        caller.hears("</stream:stream>");
        assert_eq!(&caller.sent[said..], "</stream:stream>");
    }
}

#[test]
fn where_there_is_no_tls_it_sees_what_is_there_or_fails_as_any_stream_would() {
    let mut caller = Caller::new(Goal::Look { named: true }, NO_TLS, false);
    caller.hears(&(header("id='1' version='1.0'") + OFFERS));
    assert!(looked(&caller));
    let mut caller = Caller::new(Goal::Look { named: true }, NO_TLS, false);
    caller.hears(&header("id='1'"));
    assert!(looked(&caller) && !caller.sent.contains("<db:result"), "{}", caller.sent);
    let mut caller = Caller::new(Goal::Look { named: true }, USUAL, false);
    caller.hears(&(header("id='1' version='1.0'") + "<stream:features/>"));
    assert_eq!(caller.ended_with(), Some(Condition::PolicyViolation));
    assert_eq!(caller.machine.phase(), Phase::Features);
}

#[test]
fn how_far_a_stream_came_is_known_also_once_it_has_ended() {
    let refused = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/><text>no</text></failure>";
    let invalid = "<db:result from='fabrikam.test' to='contoso.test' type='invalid'/>";
    for (terms, said, phase) in [
        (USUAL, String::new(), Phase::Header),
        (USUAL, header("id='1' version='1.0'"), Phase::Features),
        (STRICT, header("id='1' version='1.0'") + OFFERS, Phase::External),
        (STRICT, header("id='1' version='1.0'") + OFFERS + refused, Phase::External),
        (USUAL, header("id='1' version='1.0'") + OFFERS + refused, Phase::Dialback),
        (USUAL, header("id='1' version='1.0'") + OFFERS + refused + invalid, Phase::Dialback),
    ] {
        let mut caller = Caller::new(Goal::Carry, terms, true);
        caller.hears(&said);
        assert_eq!(caller.machine.phase(), phase, "{said}");
        let because = caller.machine.external_refused().is_some_and(|why| why.contains("not-authorized no"));
        assert_eq!(because, phase == Phase::Dialback, "{said}");
    }
}
