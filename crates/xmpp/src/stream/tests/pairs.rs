//! Whom an accepted stream lets speak to whom.

use super::*;

#[test]
fn each_pair_on_one_stream_has_its_own_policy() {
    let mut host = Host::authenticated();
    host.hears("<message from='a@contoso.test' to='b@rooms.fabrikam.test'/>");
    host.hears("<message id='m1' from='a@contoso.test' to='b@forbidden.test'><body>x</body></message>");
    host.hears("<message type='error' from='a@contoso.test' to='b@forbidden.test'/>");
    let steps = &host.steps[..];
    assert!(matches!(&steps[0], Step::Stanza { pair, .. } if pair.to == domain("rooms.fabrikam.test")));
    let Step::Return { pair, stanza, .. } = &steps[1] else { panic!("{steps:?}") };
    assert_eq!(pair.to, domain("contoso.test"));
    assert_eq!(stanza.type_().as_deref(), Some("error"));
    assert!(matches!(&steps[2], Step::Discard { .. }), "an error is never returned");
    assert_eq!(host.ended_with(), None);
}

#[test]
fn what_servers_read_in_different_ways_goes_back_to_its_sender() {
    for head in [
        // Openfire and jabberd2 take the first attribute of that local name.
        "xmlns:x='u' x:from='boss@fabrikam.test' from='a@contoso.test' to='b@fabrikam.test'",
        "xmlns:x='u' from='a@contoso.test' to='b@fabrikam.test' x:to='c@fabrikam.test'",
        "from='a@contoso.test' to='b@fabrikam.test' xml:id='1'",
        // Tigase resolves no references: to it, this would be a user of fabrikam.test.
        "from='contoso.test&#47;b@fabrikam.test' to='b@fabrikam.test'",
        "from='a@contoso.test' to='b&#64;fabrikam.test'",
        "from='a@cont&#111;so.test' to='b@fabrikam.test'",
        // To Prosody these are other domains than those that we proved.
        "from='a@contoso.test.' to='b@fabrikam.test'",
        "from='a@contoso.test' to='b@xn--bcher-kva.example'",
        // Nobody delivers to these.
        "from='a@contoso.test' to='@fabrikam.test'",
        "from='a@contoso.test' to='b@fabrikam.test/'",
        "from='a@contoso.test' to='b@fabrikam..test'",
        "from='a@contoso.test' to='b@stra\u{df}e.example'",
        "from='a@contoso.test' to='192.0.2.1'",
    ] {
        let mut host = Host::authenticated();
        host.hears(&format!("<message type='chat' id='1' {head}><body>x</body></message>"));
        let [Step::Return { pair: way, stanza, .. }] = &host.steps[..] else { panic!("{head}: {:?}", host.steps) };
        assert_eq!((&way.from, &way.to), (&pair().to, &pair().from));
        // Its sender is one that the pair's way back may carry.
        assert_eq!((stanza.from().as_deref(), stanza.type_().as_deref()), (Some("fabrikam.test"), Some("error")));
        host.hears(&format!("<iq type='result' id='1' {head}/>"));
        assert!(matches!(host.steps[1..], [Step::Discard { .. }]), "a result is never returned: {:?}", host.steps);
        host.hears(HELLO);
        assert_eq!((host.passed(), host.ended_with()), (1, None), "{head}");
    }
}

#[test]
fn references_that_change_nothing_pass() {
    for head in [
        "from='&#97;@contoso.test/&apos;&amp;&#x40;' to='b@fabrikam.test/&lt;'",
        "from='a@CONTOSO.Test' to='Fabrikam.TEST'",
    ] {
        let mut host = Host::authenticated();
        host.hears(&format!("<message {head}/>"));
        let [Step::Stanza { pair: way, .. }] = &host.steps[..] else { panic!("{head}: {:?}", host.steps) };
        assert_eq!(*way, pair());
    }
}

#[test]
fn a_prefixed_stanza_is_a_stanza() {
    let mut host = Host::authenticated();
    host.hears("<s:message xmlns:s='jabber:server' from='a@contoso.test' to='b@fabrikam.test'/>");
    assert_eq!(host.passed(), 1);
    host.hears("<s:message xmlns:s='jabber:server' from='a@evil.test' to='b@fabrikam.test'/>");
    assert_eq!((host.passed(), host.ended_with()), (1, Some(Condition::InvalidFrom)));
}

#[test]
fn an_error_is_never_much_larger_than_what_it_returns() {
    let mut host = Host::authenticated();
    let id = "'".repeat(100_000);
    host.hears(&format!("<iq type='get' id=\"{id}\" from='a@contoso.test' to='b@forbidden.test'/>"));
    let [Step::Return { stanza, .. }] = &host.steps[..] else { panic!("{:?}", host.steps) };
    assert!(stanza.bytes().len() < 1000);
}

#[test]
fn one_stream_carries_so_many_pairs_and_no_more() {
    let mut host = Host::authenticated();
    for number in 0..1001 {
        host.hears(&format!("<iq type='get' id='{number}' from='a@contoso.test' to='b{number}.test'/>"));
    }
    assert_eq!((host.passed(), host.machine.pairs().len()), (999, 1000));
    assert!(host.machine.pairs().is_sorted());
    assert!(matches!(&host.steps[999..], [Step::Return { .. }, Step::Return { .. }]));
    host.hears(HELLO);
    assert_eq!(host.passed(), 1000, "the pairs that are there go on");
}

#[test]
fn terms_say_by_which_proof_and_under_what_a_pair_comes() {
    let words = |terms: Terms, method, secure| terms.admits(method, secure).err().map(|error| error.text);
    let not = |what: &str| Some(format!("{what} is not accepted here"));
    assert_eq!(words(USUAL, Method::Dialback, true), None);
    assert_eq!(words(USUAL, Method::External, true), None);
    assert_eq!(words(USUAL, Method::Dialback, false).as_deref(), Some("TLS is required here"));
    assert_eq!(words(STRICT, Method::Dialback, true), not("dialback"));
    assert_eq!(words(Terms { dialback: true, ..STRICT }, Method::Dialback, true), not("dialback"));
    assert_eq!(words(NO_TLS, Method::External, true), not("EXTERNAL"));
    assert_eq!(words(NO_TLS, Method::Dialback, false), None);
}

#[test]
fn the_question_of_a_pair_says_how_it_is_protected() {
    let mut machine = Accepted::new(Instant::now(), "s3cret".into(), false, false, Settings::default());
    machine.input().extend_from_slice(HEADER.as_bytes());
    let now = Instant::now();
    assert!(matches!(machine.poll(now), Some(Step::Ask(Question::Arrive { secure: false, .. }))));
    machine.answer(now, Answer::Arrive(Ok(NO_TLS)));
    machine.input().extend_from_slice(b"<db:result from='contoso.test' to='fabrikam.test'>k</db:result>");
    let asked = std::iter::from_fn(|| machine.poll(now)).find(|step| matches!(step, Step::Ask(_)));
    let Some(Step::Ask(question)) = asked else { panic!("nothing was asked") };
    assert_eq!(question, Question::Admit { pair: pair(), method: Method::Dialback, secure: false });
}
