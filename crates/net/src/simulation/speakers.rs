//! What simulated servers say on their streams: by the machines of `xmpp`, or by a script where a peculiarity is wanted.

use std::time::Instant;

use bytes::BytesMut;
use xmpp::dialback::Secrets;
use xmpp::domain::DomainPair;
use xmpp::stanza::Stanza;
use xmpp::stream::{Accepted, Answer, Dialed, Goal, KeyVerdict, Need, Question, Settings, Step, Terms};

use crate::clock::now;
use crate::crypto::{Sha2, random_id};

pub(super) mod plain;

/// How a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Has XEP-0198, both ways.
    Counting,
    /// Proves itself by dialback only. Answers barriers, and asks us as we ask it.
    Dialback,
    /// Has no acknowledgements, and answers barriers.
    Asked,
    /// Declares dialback and answers no barrier.
    Mute,
    /// Neither counts nor has dialback.
    Silent,
}

impl Kind {
    pub(super) const ALL: [Kind; 5] = [Kind::Counting, Kind::Dialback, Kind::Asked, Kind::Mute, Kind::Silent];

    /// What streams between such a server and us demand.
    pub(super) fn terms(self) -> Terms {
        let external = if self == Kind::Dialback { Need::NotSupported } else { Need::Optional };
        Terms { tls: Need::Required, external, dialback: true }
    }
}

/// What a speaker did when it was let.
#[derive(Default)]
pub(super) struct Acted {
    /// Stanzas that came.
    pub(super) stanzas: Vec<Stanza>,
    /// Of those that were written, so many are acknowledged by now in all.
    pub(super) acknowledged: Option<u64>,
    /// The stream is over, after what is to be said.
    pub(super) over: bool,
}

/// One side of a stream.
pub(super) trait Speaker: Send {
    fn input(&mut self) -> &mut BytesMut;
    fn eof(&mut self);
    fn deadline(&self) -> Option<Instant>;
    fn tick(&mut self);
    /// Looks at what came, and puts what is to be said to the end of `out`.
    fn act(&mut self, out: &mut BytesMut) -> Acted;
}

/// One that sends stanzas.
pub(super) trait Sender: Speaker {
    /// Whether stanzas may be written.
    fn is_ready(&self) -> bool;
    /// So many were written.
    fn wrote(&mut self, stanzas: u64);
    /// Ends our side.
    fn close(&mut self);
}

/// An accepted stream, by the machine.
pub(super) struct ByMachine {
    machine: Accepted,
    terms: Terms,
    secrets: Secrets,
}

impl ByMachine {
    pub(super) fn new(kind: Kind, secrets: Secrets) -> ByMachine {
        let machine = Accepted::new(now(), random_id(), true, true, Settings::default());
        ByMachine { machine, terms: kind.terms(), secrets }
    }

    fn answer(&self, question: Question) -> Answer {
        match question {
            Question::Arrive { .. } => Answer::Arrive(Ok(self.terms)),
            Question::Admit { pair, .. } => Answer::Admit(pair, Ok(())),
            Question::Judge { .. } => Answer::Judged(Ok(())),
            Question::VerifyKey { pair, id, key } => {
                let valid = self.secrets.made(&Sha2, &pair, &id, &key);
                Answer::Key { pair, verdict: if valid { KeyVerdict::Valid } else { KeyVerdict::Invalid } }
            }
            Question::CheckKey { pair, id, key } => {
                let valid = self.secrets.made(&Sha2, &pair, &id, &key);
                Answer::CheckedKey { pair, id, valid }
            }
            Question::MakeKey { pair, id } => Answer::MadeKey(self.secrets.key(&Sha2, &pair, &id)),
        }
    }
}

impl Speaker for ByMachine {
    fn input(&mut self) -> &mut BytesMut {
        self.machine.input()
    }

    fn eof(&mut self) {
        self.machine.eof();
    }

    fn deadline(&self) -> Option<Instant> {
        self.machine.deadline()
    }

    fn tick(&mut self) {
        self.machine.tick(now());
    }

    fn act(&mut self, out: &mut BytesMut) -> Acted {
        let mut acted = Acted::default();
        while let Some(step) = self.machine.poll(now()) {
            match step {
                Step::Send(bytes) => out.extend_from_slice(&bytes),
                Step::Ask(question) => {
                    let answer = self.answer(question);
                    self.machine.answer(now(), answer);
                }
                Step::Stanza { stanza, receipt, .. } => {
                    acted.stanzas.push(stanza);
                    self.machine.settled(receipt);
                }
                Step::End(_) => acted.over = true,
                _ => {}
            }
        }
        acted
    }
}

/// A dialed stream, by the machine.
pub(super) struct DialedByMachine {
    machine: Dialed,
    secrets: Secrets,
    ready: bool,
}

impl DialedByMachine {
    pub(super) fn new(kind: Kind, pair: DomainPair, secrets: Secrets) -> DialedByMachine {
        let machine = Dialed::new(now(), pair, Goal::Carry, kind.terms(), true, true, Settings::default());
        DialedByMachine { machine, secrets, ready: false }
    }
}

impl Speaker for DialedByMachine {
    fn input(&mut self) -> &mut BytesMut {
        self.machine.input()
    }

    fn eof(&mut self) {
        self.machine.eof();
    }

    fn deadline(&self) -> Option<Instant> {
        self.machine.deadline()
    }

    fn tick(&mut self) {
        self.machine.tick(now());
    }

    fn act(&mut self, out: &mut BytesMut) -> Acted {
        let mut acted = Acted::default();
        while let Some(step) = self.machine.poll(now()) {
            match step {
                Step::Send(bytes) => out.extend_from_slice(&bytes),
                Step::Ask(Question::MakeKey { pair, id }) => {
                    let key = self.secrets.key(&Sha2, &pair, &id);
                    self.machine.answer(now(), Answer::MadeKey(key));
                }
                Step::Ask(_) => self.machine.answer(now(), Answer::Judged(Ok(()))),
                Step::Ready { .. } => self.ready = true,
                Step::Taken { stanzas } => acted.acknowledged = Some(stanzas),
                Step::End(_) => acted.over = true,
                _ => {}
            }
        }
        acted
    }
}

impl Sender for DialedByMachine {
    fn is_ready(&self) -> bool {
        self.ready && !self.machine.is_closing()
    }

    fn wrote(&mut self, stanzas: u64) {
        self.machine.sent(now(), stanzas);
    }

    fn close(&mut self) {
        self.machine.close(now(), None);
    }
}

/// Who accepts as a server of that kind.
pub(super) fn accepting(kind: Kind, secrets: &Secrets) -> Box<dyn Speaker> {
    match kind {
        Kind::Counting | Kind::Dialback => Box::new(ByMachine::new(kind, secrets.clone())),
        Kind::Asked | Kind::Mute | Kind::Silent => Box::new(plain::Receiver::new(kind)),
    }
}

/// Who sends as a server of that kind, first of all for this pair.
pub(super) fn sending(kind: Kind, pair: &DomainPair, secrets: &Secrets) -> Box<dyn Sender> {
    match kind {
        Kind::Counting | Kind::Dialback => Box::new(DialedByMachine::new(kind, pair.clone(), secrets.clone())),
        Kind::Asked | Kind::Mute | Kind::Silent => Box::new(plain::Dialing::new(pair)),
    }
}
