//! The two machines joined by a fake wire, and each alone against a peer gone wrong.

use std::time::Instant;

use bytes::BytesMut;

use super::*;

mod clocks;
mod dialback;
mod dialed;
mod faults;
mod finish;
mod joined;
mod look;
mod pairs;
mod walks;

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
    /// Bytes from the dialing side arrive in two parts, cut after this many in all; those to it, too.
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

    /// Carries a piece of what is under way to where it is read; whether there was any.
    fn carry(&self, from: &mut Vec<u8>, to: &mut BytesMut, passed: &mut usize) -> bool {
        let until_cut = self.cut.checked_sub(*passed).filter(|rest| *rest > 0).unwrap_or(usize::MAX);
        let count = from.len().min(self.piece).min(until_cut);
        to.extend(from.drain(..count));
        *passed += count;
        count > 0
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
    let (mut outcome, mut passed, mut passed_back) = (Outcome::default(), 0, 0);
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
        moved |= world.carry(&mut to_accepted, accepted.input(), &mut passed);
        moved |= world.carry(&mut to_dialed, dialed.input(), &mut passed_back);
        if !moved {
            return outcome;
        }
    }
}

const HELLO: &str = "<message from='a@contoso.test' to='b@fabrikam.test' xml:lang='en'><body>hello</body></message>";

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
    xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' \
    from='contoso.test' to='fabrikam.test' version='1.0'>";

/// An accepted machine whose every question is answered kindly, but for keys and `forbidden…`.
struct Host {
    machine: Accepted,
    now: Instant,
    terms: Terms,
    sent: String,
    steps: Vec<Step>,
}

impl Host {
    fn new(secure: bool) -> Host {
        Host::with(secure, USUAL)
    }

    fn with(secure: bool, terms: Terms) -> Host {
        let now = Instant::now();
        let machine = Accepted::new(now, "s3cret".into(), secure, secure, Settings::default());
        Host { machine, now, terms, sent: String::new(), steps: Vec::new() }
    }

    fn authenticated() -> Host {
        let mut host = Host::new(true);
        host.hears(HEADER);
        host.hears("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
        host.hears(HEADER);
        host.sent.clear();
        host.steps.clear();
        host
    }

    fn hears(&mut self, text: &str) {
        self.machine.input().extend_from_slice(text.as_bytes());
        self.run();
    }

    fn answer(&mut self, answer: Answer) {
        self.machine.answer(self.now, answer);
        self.run();
    }

    fn run(&mut self) {
        while let Some(step) = self.machine.poll(self.now) {
            match step {
                Step::Send(bytes) => self.sent.push_str(std::str::from_utf8(&bytes).expect("UTF-8")),
                Step::Ask(Question::Arrive { .. }) => self.machine.answer(self.now, Answer::Arrive(Ok(self.terms))),
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

    /// What the stream passed on.
    fn passed(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step, Step::Stanza { .. })).count()
    }
}

/// A dialed machine whose every question is answered kindly, and what it heard from its peer.
struct Caller {
    machine: Dialed,
    now: Instant,
    sent: String,
    steps: Vec<Step>,
}

impl Caller {
    fn new(goal: Goal, terms: Terms, secure: bool) -> Caller {
        let now = Instant::now();
        let machine = Dialed::new(now, pair(), goal, terms, secure, true, Settings::default());
        let mut caller = Caller { machine, now, sent: String::new(), steps: Vec::new() };
        caller.run();
        caller
    }

    fn hears(&mut self, text: &str) {
        self.machine.input().extend_from_slice(text.as_bytes());
        self.run();
    }

    fn run(&mut self) {
        while let Some(step) = self.machine.poll(self.now) {
            match step {
                Step::Send(bytes) => self.sent.push_str(std::str::from_utf8(&bytes).expect("UTF-8")),
                Step::Ask(Question::Judge { .. }) => self.machine.answer(self.now, Answer::Judged(Ok(()))),
                Step::Ask(Question::MakeKey { id, .. }) => {
                    self.machine.answer(self.now, Answer::MadeKey(format!("key for {id}")));
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
