//! Whatever is said in whatever order, and however questions are answered: what must never happen.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const EXTERNAL: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
    <mechanism>EXTERNAL</mechanism></mechanisms></stream:features>";
const NOTHING: &str = "<stream:features/>";
const SUCCESS: &str = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
const VALID: &str =
    "<db:result xmlns:db='jabber:server:dialback' from='contoso.test' to='fabrikam.test' type='valid'/>";

const LINES: &[&str] = &[
    EXTERNAL,
    NOTHING,
    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>",
    SUCCESS,
    VALID,
    HEADER,
    HEADER,
    "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' to='fabrikam.test' version='1.0'>",
    "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' to='fabrikam.test'>",
    "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>",
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>ZXZpbC50ZXN0</auth>",
    "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    "<db:result xmlns:db='jabber:server:dialback' from='contoso.test' to='fabrikam.test'>k</db:result>",
    "<db:result xmlns:db='jabber:server:dialback' from='evil.test' to='fabrikam.test'>k</db:result>",
    "<db:result xmlns:db='jabber:server:dialback' from='evil.test' to='fabrikam.test' type='valid'/>",
    "<db:verify xmlns:db='jabber:server:dialback' from='evil.test' to='fabrikam.test' id='1'>k</db:verify>",
    "<db:verify xmlns:db='jabber:server:dialback' from='evil.test' to='fabrikam.test' id='1' type='valid'/>",
    "<message from='a@contoso.test' to='b@fabrikam.test'/>",
    "<message from='a@contoso.test' to='b@forbidden.test'/>",
    "<message from='a@evil.test' to='b@fabrikam.test'/>",
    "<iq type='result' from='a@contoso.test' to='@'/>",
    "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>",
    "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    " ",
    "</stream:stream>",
];

/// What happens next to a machine.
#[derive(Debug, Clone)]
enum Event {
    Line(&'static str),
    /// The oldest open question is answered, kindly or not.
    Answer(bool),
    Close,
    Eof,
    Seconds(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        24 => select(LINES).prop_map(Event::Line),
        24 => prop_oneof![4 => Just(true), 1 => Just(false)].prop_map(Event::Answer),
        1 => Just(Event::Close),
        1 => Just(Event::Eof),
        1 => select(vec![1, 40, 400, 4000]).prop_map(Event::Seconds),
    ]
}

/// How some streams begin, so that they get anywhere.
fn preface() -> impl Strategy<Value = Vec<Event>> {
    let (header, yes) = (Event::Line(HEADER), Event::Answer(true));
    let key = Event::Line("<db:result from='contoso.test' to='fabrikam.test'>k</db:result>");
    let auth = Event::Line("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
    let opened = vec![header.clone(), yes.clone(), yes.clone()];
    let by_key = [opened.clone(), vec![key, yes.clone(), yes.clone()]].concat();
    let by_certificate = [opened.clone(), vec![auth, header, yes]].concat();
    select(vec![vec![], opened, by_key, by_certificate])
}

/// The same, where we dialed.
fn answered() -> impl Strategy<Value = Vec<Event>> {
    let (header, yes, line) = (Event::Line(HEADER), Event::Answer(true), Event::Line);
    let by_certificate = vec![yes.clone(), header.clone(), line(EXTERNAL), line(SUCCESS), header.clone()];
    let by_key = vec![yes.clone(), header.clone(), line(NOTHING), yes.clone()];
    let done = [by_key.clone(), vec![line(VALID)]].concat();
    select(vec![vec![], vec![yes, header], by_certificate, by_key, done])
}

fn answer(question: Question, kindly: bool, terms: Terms) -> Answer {
    let refused = || StreamError::new(Condition::PolicyViolation, "refused");
    match question {
        Question::Arrive { .. } => Answer::Arrive(if kindly { Ok(terms) } else { Err(refused()) }),
        Question::Admit { pair, .. } => Answer::Admit(pair, if kindly { Ok(()) } else { Err(refused()) }),
        Question::Judge { .. } => Answer::Judged(if kindly { Ok(()) } else { Err("expired".into()) }),
        Question::VerifyKey { pair, .. } => {
            Answer::Key { pair, verdict: if kindly { KeyVerdict::Valid } else { KeyVerdict::Invalid } }
        }
        Question::CheckKey { pair, id, .. } => Answer::CheckedKey { pair, id, valid: kindly },
        Question::MakeKey { id, .. } => Answer::MadeKey(id),
    }
}

/// What a walk remembers of what it saw.
#[derive(Default)]
struct Seen {
    /// Domains that the machine said are proven.
    proven: Vec<Domain>,
    asked: std::collections::VecDeque<Question>,
    tls: bool,
    footer: bool,
    over: bool,
}

impl Seen {
    fn step(&mut self, step: Step) {
        assert!(!self.over, "{step:?} follows the end");
        match step {
            Step::Send(bytes) => {
                assert!(!self.footer, "{bytes:?} follows our own end of the stream");
                assert!(!self.tls, "{bytes:?} would go into a TLS handshake");
                self.footer = bytes.ends_with(words::FOOTER);
            }
            Step::StartTls => self.tls = true,
            Step::Ask(question) => self.asked.push_back(question),
            Step::Authenticated { pair, .. } => self.proven.push(pair.from),
            Step::Stanza { pair, stanza, .. } => {
                let from = stanza.from().expect("a `from`").into_owned();
                assert_eq!(crate::jid::domain_of(&from), pair.from.as_str());
                assert!(self.proven.contains(&pair.from), "{from} passed, {:?} are proven", self.proven);
            }
            Step::End(_) => self.over = true,
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10_000) })]

    #[test]
    fn an_accepted_stream_passes_only_what_is_proven(
        events in (preface(), vec(event(), 0..40)).prop_map(|(preface, rest)| [preface, rest].concat()),
        terms in select(vec![STRICT, USUAL, NO_TLS, Terms { tls: Need::Optional, ..USUAL }]),
        secure in any::<bool>(),
    ) {
        let mut now = Instant::now();
        let mut machine = Accepted::new(now, "s3cret".into(), secure, secure, Settings::default());
        let mut seen = Seen::default();
        for event in events {
            match event {
                Event::Line(line) if !seen.tls => machine.input().extend_from_slice(line.as_bytes()),
                Event::Answer(_) if seen.tls => {
                    seen.tls = false;
                    machine.answer(now, Answer::TlsUp { certificate: true, own_certificate: true });
                }
                Event::Answer(kindly) => {
                    if let Some(question) = seen.asked.pop_front() {
                        machine.answer(now, answer(question, kindly, terms));
                    }
                }
                Event::Close => machine.close(now, None),
                Event::Eof => machine.eof(),
                Event::Seconds(seconds) => {
                    now += std::time::Duration::from_secs(seconds);
                    machine.tick(now);
                }
                Event::Line(_) => {}
            }
            while let Some(step) = machine.poll(now) {
                seen.step(step);
            }
            prop_assert_eq!(machine.is_over(), seen.over);
            prop_assert_eq!(machine.deadline().is_none(), seen.over);
            if terms == STRICT {
                prop_assert!(!seen.proven.contains(&domain("evil.test")), "nobody showed a certificate for it");
            }
        }
    }

    #[test]
    fn a_dialed_stream_is_ready_only_when_the_peer_let_us_in(
        events in (answered(), vec(event(), 0..40)).prop_map(|(answered, rest)| [answered, rest].concat()),
        terms in select(vec![STRICT, USUAL, NO_TLS]),
        secure in any::<bool>(),
    ) {
        let mut now = Instant::now();
        let mut machine = Dialed::new(now, pair().reversed(), Goal::Carry, terms, secure, true, Settings::default());
        let (mut seen, mut said) = (Seen::default(), String::new());
        for event in events {
            match event {
                Event::Line(line) if !seen.tls => {
                    let line = if line == HEADER { HEADER.replace("from=", "id='1' from=") } else { line.to_owned() };
                    machine.input().extend_from_slice(line.as_bytes());
                }
                Event::Answer(_) if seen.tls => {
                    seen.tls = false;
                    machine.answer(now, Answer::TlsUp { certificate: true, own_certificate: true });
                }
                Event::Answer(kindly) => {
                    if let Some(question) = seen.asked.pop_front() {
                        machine.answer(now, answer(question, kindly, terms));
                    }
                }
                Event::Close => machine.close(now, None),
                Event::Eof => machine.eof(),
                Event::Seconds(seconds) => {
                    now += std::time::Duration::from_secs(seconds);
                    machine.tick(now);
                }
                Event::Line(_) => {}
            }
            while let Some(step) = machine.poll(now) {
                if let Step::Send(bytes) = &step {
                    said.push_str(std::str::from_utf8(bytes).expect("UTF-8"));
                }
                if let Step::Ready { method } = step {
                    let proof = if method == Method::External { "<auth " } else { "<db:result " };
                    prop_assert!(said.contains(proof), "ready by {}, and we said {}", method, said);
                }
                seen.step(step);
            }
            prop_assert_eq!(machine.is_over(), seen.over);
        }
    }
}
