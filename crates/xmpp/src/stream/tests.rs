//! The two machines joined by a fake wire, and each alone against a peer gone wrong.

use std::time::{Duration, Instant};

use super::*;

fn domain(text: &str) -> Domain {
    Domain::parse(text).expect("a domain")
}

fn pair() -> DomainPair {
    DomainPair::new(domain("contoso.test"), domain("fabrikam.test"))
}

const STRICT: Terms = Terms { tls: Need::Required, external: Need::Required, dialback: false };
const USUAL: Terms = Terms { tls: Need::Required, external: Need::Optional, dialback: true };
const NO_TLS: Terms = Terms { tls: Need::NotSupported, external: Need::NotSupported, dialback: true };

/// What the world around the two machines is like.
#[derive(Clone)]
struct World {
    dialed_terms: Terms,
    accepted_terms: Terms,
    dialed_certificate: Result<(), String>,
    accepted_certificate: Result<(), String>,
    direct_tls: bool,
    key: KeyVerdict,
    /// Bytes from the dialing side arrive in two parts, cut after this many in all.
    cut: usize,
    /// Nothing longer than this arrives at once.
    piece: usize,
}

impl World {
    fn new(terms: Terms) -> World {
        World {
            dialed_terms: terms,
            accepted_terms: terms,
            dialed_certificate: Ok(()),
            accepted_certificate: Ok(()),
            direct_tls: false,
            key: KeyVerdict::Valid,
            cut: usize::MAX,
            piece: usize::MAX,
        }
    }
}

#[derive(Debug, Default)]
struct Outcome {
    ready: Option<Method>,
    authenticated: Vec<(DomainPair, Method)>,
    stanzas: Vec<String>,
    dialed_end: Option<End>,
    accepted_end: Option<End>,
}

/// Joins the two and lets them talk until nothing moves; once ready, `said` is sent.
fn join(world: &World, said: &[&str]) -> Outcome {
    let now = Instant::now();
    let settings = Settings::default();
    let mut dialed =
        Dialed::new(now, pair(), Goal::Carry, world.dialed_terms, world.direct_tls, true, settings.clone());
    let mut accepted = Accepted::new(now, "s3cret".into(), world.direct_tls, world.direct_tls, settings);
    let (mut to_accepted, mut to_dialed) = (Vec::new(), Vec::new());
    let (mut outcome, mut passed) = (Outcome::default(), 0);
    loop {
        let mut moved = false;
        while let Some(step) = dialed.poll(now) {
            moved = true;
            match step {
                Step::Send(bytes) => to_accepted.extend_from_slice(&bytes),
                Step::StartTls => dialed.answer(now, Answer::TlsUp { certificate: true, own_certificate: true }),
                Step::Ask(Question::Judge { .. }) => {
                    dialed.answer(now, Answer::Judged(world.accepted_certificate.clone()));
                }
                Step::Ask(Question::MakeKey { id, .. }) => dialed.answer(now, Answer::MadeKey(format!("key for {id}"))),
                Step::Ready { method } => {
                    outcome.ready = Some(method);
                    said.iter().for_each(|stanza| to_accepted.extend_from_slice(stanza.as_bytes()));
                }
                Step::End(end) => outcome.dialed_end = Some(end),
                other => panic!("the dialing side took an unexpected step: {other:?}"),
            }
        }
        while let Some(step) = accepted.poll(now) {
            moved = true;
            match step {
                Step::Send(bytes) => to_dialed.extend_from_slice(&bytes),
                Step::StartTls => accepted.answer(now, Answer::TlsUp { certificate: true, own_certificate: true }),
                Step::Ask(Question::Arrive { .. }) => accepted.answer(now, Answer::Arrive(Ok(world.accepted_terms))),
                Step::Ask(Question::Judge { .. }) => {
                    accepted.answer(now, Answer::Judged(world.dialed_certificate.clone()));
                }
                Step::Ask(Question::Admit { pair, .. }) => accepted.answer(now, Answer::Admit(pair, Ok(()))),
                Step::Ask(Question::VerifyKey { pair, id, key }) => {
                    assert_eq!(key, format!("key for {id}"));
                    accepted.answer(now, Answer::Key { pair, verdict: world.key.clone() });
                }
                Step::Authenticated { pair, method } => outcome.authenticated.push((pair, method)),
                Step::Stanza { stanza, .. } => {
                    outcome.stanzas.push(String::from_utf8(stanza.bytes().to_vec()).expect("UTF-8"));
                }
                Step::End(end) => outcome.accepted_end = Some(end),
                other => panic!("the accepting side took an unexpected step: {other:?}"),
            }
        }
        if !to_accepted.is_empty() {
            let until_cut = world.cut.checked_sub(passed).filter(|rest| *rest > 0).unwrap_or(usize::MAX);
            let count = to_accepted.len().min(world.piece).min(until_cut);
            accepted.input().extend(to_accepted.drain(..count));
            passed += count;
            moved = true;
        }
        if !to_dialed.is_empty() {
            let count = to_dialed.len().min(world.piece);
            dialed.input().extend(to_dialed.drain(..count));
            moved = true;
        }
        if !moved {
            return outcome;
        }
    }
}

const HELLO: &str = "<message from='a@contoso.test' to='b@fabrikam.test' xml:lang='en'><body>hello</body></message>";

#[test]
fn external_over_starttls_carries_a_stanza_verbatim() {
    let outcome = join(&World::new(STRICT), &[HELLO]);
    assert_eq!(outcome.ready, Some(Method::External));
    assert_eq!(outcome.authenticated, [(pair(), Method::External)]);
    assert_eq!(outcome.stanzas, [HELLO]);
    assert_eq!((outcome.dialed_end, outcome.accepted_end), (None, None));
}

#[test]
fn direct_tls_and_no_tls_work_where_terms_allow() {
    let outcome = join(&World { direct_tls: true, ..World::new(STRICT) }, &[HELLO]);
    assert_eq!((outcome.ready, outcome.stanzas.len()), (Some(Method::External), 1));
    let outcome = join(&World::new(NO_TLS), &[HELLO]);
    assert_eq!((outcome.ready, outcome.stanzas.len()), (Some(Method::Dialback), 1));
}

#[test]
fn a_bad_certificate_falls_to_dialback_only_where_terms_allow() {
    let bad = || Err("expired".to_owned());
    let outcome = join(&World { dialed_certificate: bad(), ..World::new(USUAL) }, &[HELLO]);
    assert_eq!((outcome.ready, outcome.stanzas.len()), (Some(Method::Dialback), 1));
    let outcome = join(&World { dialed_certificate: bad(), ..World::new(STRICT) }, &[HELLO]);
    assert_eq!((outcome.ready, outcome.stanzas.len()), (None, 0));
    assert!(matches!(outcome.accepted_end, Some(End::OurError(error)) if error.text.contains("expired")));
    let outcome = join(&World { accepted_certificate: bad(), ..World::new(STRICT) }, &[HELLO]);
    assert_eq!(outcome.authenticated, []);
    assert!(matches!(outcome.dialed_end, Some(End::OurError(error)) if error.condition == Condition::NotAuthorized));
}

#[test]
fn a_key_that_is_invalid_or_cannot_be_verified_carries_nothing() {
    for (key, condition) in [
        (KeyVerdict::Invalid, Condition::NotAuthorized),
        (KeyVerdict::Unreachable("no route".into()), Condition::RemoteConnectionFailed),
    ] {
        let outcome =
            join(&World { key, dialed_certificate: Err("self-signed".into()), ..World::new(USUAL) }, &[HELLO]);
        assert_eq!((outcome.ready, outcome.authenticated.len()), (None, 0));
        assert!(matches!(outcome.dialed_end, Some(End::OurError(error)) if error.condition == condition));
    }
}

#[test]
fn bytes_may_be_split_anywhere() {
    for terms in [STRICT, NO_TLS] {
        for piece in [1, 2, 3, 7, 64] {
            let outcome = join(&World { piece, ..World::new(terms) }, &[HELLO, HELLO]);
            assert_eq!(outcome.stanzas, [HELLO, HELLO], "pieces of {piece}");
        }
        for cut in 1..1600 {
            let outcome = join(&World { cut, ..World::new(terms) }, &[HELLO]);
            assert_eq!(outcome.stanzas, [HELLO], "cut after {cut}");
        }
    }
}

// One machine against a peer gone wrong.

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
    xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' \
    from='contoso.test' to='fabrikam.test' version='1.0'>";

/// An accepted machine whose every question is answered kindly, with direct TLS already up.
struct Host {
    machine: Accepted,
    now: Instant,
    sent: String,
    steps: Vec<Step>,
}

impl Host {
    fn new(secure: bool) -> Host {
        let now = Instant::now();
        let machine = Accepted::new(now, "s3cret".into(), secure, secure, Settings::default());
        Host { machine, now, sent: String::new(), steps: Vec::new() }
    }

    fn authenticated() -> Host {
        let mut host = Host::new(true);
        host.hears(HEADER);
        host.hears("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
        host.hears(HEADER);
        host.sent.clear();
        host
    }

    fn hears(&mut self, text: &str) {
        self.machine.input().extend_from_slice(text.as_bytes());
        self.run();
    }

    fn run(&mut self) {
        while let Some(step) = self.machine.poll(self.now) {
            match step {
                Step::Send(bytes) => self.sent.push_str(std::str::from_utf8(&bytes).expect("UTF-8")),
                Step::Ask(Question::Arrive { .. }) => self.machine.answer(self.now, Answer::Arrive(Ok(USUAL))),
                Step::Ask(Question::Judge { .. }) => self.machine.answer(self.now, Answer::Judged(Ok(()))),
                Step::Ask(Question::Admit { pair, .. }) => {
                    let admitted = if pair.to.as_str().starts_with("forbidden") {
                        Err(StreamError::new(Condition::PolicyViolation, "forbidden"))
                    } else {
                        Ok(())
                    };
                    self.machine.answer(self.now, Answer::Admit(pair, admitted));
                }
                other => self.steps.push(other),
            }
        }
    }

    fn ended_with(&self) -> Option<Condition> {
        self.steps.iter().find_map(|step| match step {
            Step::End(End::OurError(error)) => Some(error.condition),
            _ => None,
        })
    }
}

#[test]
fn each_kind_of_fault_gets_its_stream_error() {
    let cases = [
        ("<message from='a@contoso.test' to='b@fabrikam.test'><body></message>", Condition::NotWellFormed),
        ("<!-- a comment -->", Condition::RestrictedXml),
        ("<message from='a@evil.test' to='b@fabrikam.test'/>", Condition::InvalidFrom),
        ("<message from='a@sub.contoso.test' to='b@fabrikam.test'/>", Condition::InvalidFrom),
        ("<message to='b@fabrikam.test'/>", Condition::ImproperAddressing),
        ("<message from='a@contoso.test'/>", Condition::ImproperAddressing),
        ("<message from='@contoso.test' to='b@fabrikam.test'/>", Condition::ImproperAddressing),
        ("<nonsense xmlns='jabber:server'/>", Condition::UnsupportedStanzaType),
        ("<x xmlns='urn:example:unknown'/>", Condition::UnsupportedStanzaType),
        ("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", Condition::PolicyViolation),
    ];
    for (text, condition) in cases {
        let mut host = Host::authenticated();
        host.hears(text);
        assert_eq!(host.ended_with(), Some(condition), "{text}");
        assert!(host.sent.contains(&format!("<{condition} ")), "{}", host.sent);
        assert!(host.sent.ends_with("</stream:stream>"));
    }
}

#[test]
fn a_bad_header_gets_a_header_and_its_error() {
    let cases = [
        (HEADER.replace("xmlns='jabber:server'", "xmlns='jabber:client'"), Condition::InvalidNamespace),
        (HEADER.replace("http://etherx.jabber.org/streams", "urn:wrong"), Condition::InvalidNamespace),
        (HEADER.replace(" to='fabrikam.test'", ""), Condition::ImproperAddressing),
        (HEADER.replace("to='fabrikam.test'", "to='a..b'"), Condition::HostUnknown),
        (HEADER.replace(" version='1.0'>", ">"), Condition::UnsupportedVersion),
    ];
    for (header, condition) in cases {
        let mut host = Host::new(false);
        host.hears(&header);
        let first = host.sent.split("version='1.0'?><stream:stream").count();
        assert_eq!((host.ended_with(), first), (Some(condition), 2), "{header}");
    }
}

#[test]
fn nothing_passes_before_identity_is_proven() {
    let mut host = Host::new(true);
    host.hears(HEADER);
    host.hears(HELLO);
    assert_eq!(host.ended_with(), Some(Condition::NotAuthorized));
    let mut host = Host::new(false);
    host.hears(HEADER);
    host.hears("<db:result from='contoso.test' to='fabrikam.test'>key</db:result>");
    assert_eq!(host.ended_with(), Some(Condition::PolicyViolation), "dialback before TLS");
}

#[test]
fn plaintext_behind_starttls_ends_the_stream() {
    let mut host = Host::new(false);
    host.hears(HEADER);
    host.hears("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><message/>");
    assert_eq!(host.ended_with(), Some(Condition::PolicyViolation));
    assert!(!host.steps.iter().any(|step| matches!(step, Step::StartTls)));
}

#[test]
fn a_foreign_authorization_identity_is_refused() {
    let mut host = Host::new(true);
    host.hears(HEADER);
    // base64 of evil.test
    host.hears("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>ZXZpbC50ZXN0</auth>");
    assert!(host.sent.contains("<invalid-authzid/>"));
    assert!(!host.steps.iter().any(|step| matches!(step, Step::Authenticated { .. })));
}

#[test]
fn each_pair_on_one_stream_has_its_own_policy() {
    let mut host = Host::authenticated();
    host.hears("<message from='a@contoso.test' to='b@rooms.fabrikam.test'/>");
    host.hears("<message id='m1' from='a@contoso.test' to='b@forbidden.test'><body>x</body></message>");
    host.hears("<message type='error' from='a@contoso.test' to='b@forbidden.test'/>");
    let steps = &host.steps[1..];
    assert!(matches!(&steps[0], Step::Stanza { pair, .. } if pair.to == domain("rooms.fabrikam.test")));
    let Step::Return { pair, stanza } = &steps[1] else { panic!("{steps:?}") };
    assert_eq!(pair.to, domain("contoso.test"));
    assert_eq!(stanza.type_().as_deref(), Some("error"));
    assert!(matches!(&steps[2], Step::Discard { .. }), "an error is never returned");
    assert_eq!(host.ended_with(), None);
}

#[test]
fn several_keys_are_verified_at_once_and_one_refusal_spares_the_stream() {
    let mut host = Host::authenticated();
    for to in ["one", "two", "forbidden"] {
        host.hears(&format!("<db:result from='im.contoso.test' to='{to}.fabrikam.test'>k</db:result>"));
    }
    let asked: Vec<_> = host
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Ask(Question::VerifyKey { pair, .. }) => Some(pair.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(asked.len(), 2);
    assert!(host.sent.contains("type='error'") && host.sent.contains("<not-allowed "));
    host.machine.answer(host.now, Answer::Key { pair: asked[1].clone(), verdict: KeyVerdict::Valid });
    host.machine.answer(host.now, Answer::Key { pair: asked[0].clone(), verdict: KeyVerdict::Invalid });
    host.run();
    host.hears("<message from='a@im.contoso.test' to='b@two.fabrikam.test'/>");
    assert!(matches!(host.steps.last(), Some(Step::Stanza { .. })));
    assert_eq!(host.ended_with(), None);
}

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
