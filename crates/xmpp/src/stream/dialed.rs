//! The machine of a stream that we open: prove who we are, then send; or ask about a key.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::accepted::check_namespaces;
use super::error::{Condition, StreamError};
use super::words::{self, Dialback, DialbackContent};
use super::{Answer, Method, Need, Question, Settings, Step, Terms, wire::Wire};
use crate::dialback;
use crate::domain::{Domain, DomainPair};
use crate::stanza::Stanza;
use crate::xml::tree::Element;
use crate::xml::{Frame, Header, Verbatim};

mod acks;
mod keys;
mod look;

use acks::Acks;
pub use look::{Offers, Phase};

/// What a stream is dialed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// To carry the pair's stanzas.
    Carry,
    /// To ask the authoritative server of `pair.to` whether it made a key that was shown to
    /// `pair.from` (XEP-0220 §2.3).
    Verify {
        /// The id of the stream on which the key was shown.
        id: String,
        /// The key.
        key: String,
    },
    /// To see what is there: nothing is proven, and nothing is asked.
    Look {
        /// Whether the header says who we are; else it says only whom we look for.
        named: bool,
    },
}

/// A stream that we dialed.
pub struct Dialed {
    wire: Wire,
    state: State,
    pair: DomainPair,
    goal: Goal,
    terms: Terms,
    secure: bool,
    own_certificate: bool,
    authenticated: bool,
    /// The id that the peer gave in its latest header.
    id: Option<String>,
    /// The peer's latest header declares dialback.
    speaks_dialback: bool,
    /// Why EXTERNAL failed, for the error if dialback fails too.
    external_refused: Option<String>,
    /// What the peer's latest features offer, once they have come as well protected as the stream is now.
    offers: Option<Offers>,
    /// When we opened the stream on which stanzas go after EXTERNAL.
    opened: Instant,
    /// How long the peer's answer to the first barrier may take.
    patience: Duration,
    /// What the peer has taken; from the moment that stanzas may be written.
    acks: Option<Acks>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    AwaitJudgement,
    ExpectHeader,
    ExpectFeatures,
    ExpectProceed,
    ExpectTls,
    ExpectSasl,
    AwaitKey,
    ExpectResult,
    ExpectVerdict,
    ExpectEnabled,
    Ready,
    Looked,
}

impl Dialed {
    /// A stream on a connection that was just made. `secure` says that direct TLS is up.
    pub fn new(
        now: Instant,
        pair: DomainPair,
        goal: Goal,
        terms: Terms,
        secure: bool,
        own_certificate: bool,
        settings: Settings,
    ) -> Dialed {
        let mut dialed = Dialed {
            wire: Wire::new(now, settings, opening(&pair, &goal)),
            state: State::ExpectHeader,
            pair,
            goal,
            terms,
            secure,
            own_certificate,
            authenticated: false,
            id: None,
            speaks_dialback: false,
            external_refused: None,
            offers: None,
            opened: now,
            patience: acks::patience(true, Duration::ZERO),
            acks: None,
        };
        if secure {
            dialed.judge();
        } else {
            dialed.open();
        }
        dialed
    }

    /// Where received bytes go.
    pub fn input(&mut self) -> &mut BytesMut {
        &mut self.wire.input
    }

    /// The peer sends no more.
    pub fn eof(&mut self) {
        self.wire.eof();
    }

    /// When to [`tick`](Self::tick) at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        // A deadline for what isn't done then would be due for ever.
        let acks = self.acks.as_ref().and_then(|acks| acks.deadline(!self.wire.is_closing()));
        self.wire.deadline().map(|deadline| acks.map_or(deadline, |acks| acks.min(deadline)))
    }

    /// Lets the clocks act.
    pub fn tick(&mut self, now: Instant) {
        self.wire.tick(now);
        self.taken(|acks| acks.tick(now));
    }

    /// The driver begins to write so many stanzas, and says by [`sent`](Self::sent) when they are out. The peer may tell
    /// before that of those that have come. Gives what is to be written right behind them, in the same piece, if anything is.
    #[must_use]
    pub fn sending(&mut self, now: Instant, stanzas: u64) -> Option<Bytes> {
        self.acks.as_mut()?.leave(now, stanzas, &self.pair)
    }

    /// The driver wrote something: so many stanzas, or none.
    pub fn sent(&mut self, now: Instant, stanzas: u64) {
        self.wire.sent(now);
        if stanzas > 0 {
            self.wire.stanza_passed(now);
            if let Some(acks) = &mut self.acks {
                acks.wrote(now, stanzas);
            }
            self.taken(|acks| acks.tick(now));
        }
    }

    /// Follows what is received, or stops following; returns what was seen since the last call,
    /// without any text in it.
    pub fn follow(&mut self, on: bool) -> Vec<String> {
        self.wire.follow(on)
    }

    /// Ends our side; what the peer still sends is read until its end.
    pub fn close(&mut self, now: Instant, error: Option<&StreamError>) {
        self.wire.close(now, error);
    }

    /// Ends our side, as what comes next goes another way, and lets a peer that hasn't told anything yet tell what it has
    /// taken of all before that: by its answer, or else by its own end (RFC 6120 §4.4).
    pub fn part(&mut self, now: Instant) {
        if let Some(question) = self.acks.as_mut().and_then(|acks| acks.last_question(now, &self.pair)) {
            self.wire.send(question);
        }
        self.close(now, None);
    }

    /// Whether our side has ended: nothing may be written any more.
    pub fn is_closing(&self) -> bool {
        self.wire.is_closing()
    }

    /// The domain pair.
    pub fn pair(&self) -> &DomainPair {
        &self.pair
    }

    /// Whether the stream is over and its last step was taken.
    pub fn is_over(&self) -> bool {
        self.wire.is_over()
    }

    /// The next step, or nothing until bytes, an answer or time come in.
    pub fn poll(&mut self, now: Instant) -> Option<Step> {
        loop {
            if let Some(step) = self.wire.next_step() {
                return Some(step);
            }
            self.ask_what_was_taken(now);
            if matches!(self.state, State::AwaitJudgement | State::ExpectTls | State::AwaitKey) {
                return None;
            }
            match self.wire.frame() {
                Some(frame) => self.frame(now, frame),
                None => return self.wire.next_step(),
            }
        }
    }

    fn open(&mut self) {
        self.state = State::ExpectHeader;
        self.wire.open();
    }

    fn judge(&mut self) {
        self.state = State::AwaitJudgement;
        self.wire.step(Step::Ask(Question::Judge { domain: self.pair.to.clone() }));
    }

    fn fail(&mut self, condition: Condition, text: impl AsRef<str>) {
        self.wire.fail(StreamError::new(condition, text));
    }

    fn frame(&mut self, now: Instant, frame: Frame) {
        match (self.state, frame) {
            (_, Frame::Whitespace) => {}
            (_, Frame::Footer) => {
                if self.wire.is_closing() {
                    self.taken(Acks::ended);
                }
                self.wire.peer_closed();
            }
            (State::ExpectHeader, Frame::Header(header)) => self.header(*header),
            (State::ExpectHeader, _) | (_, Frame::Header(_)) => {
                self.fail(Condition::NotWellFormed, "a stream header and then its elements were expected");
            }
            (_, Frame::Element(element)) => self.element(now, element),
        }
    }

    fn header(&mut self, header: Header) {
        if let Err(error) = check_namespaces(&header) {
            return self.wire.fail(error);
        }
        let version_1 = words::is_version_1(&header);
        (self.id, self.speaks_dialback) = (header.id, header.dialback);
        if version_1 {
            self.state = State::ExpectFeatures;
        } else if self.terms.tls == Need::Required && !self.secure {
            self.fail(
                Condition::UnsupportedVersion,
                "the peer speaks no XMPP 1.0, so it has no STARTTLS; TLS is required",
            );
        } else if !self.looked() {
            self.by_dialback();
        }
    }

    fn element(&mut self, now: Instant, element: Verbatim) {
        let Err(element) = Stanza::of(element) else {
            return self.fail(Condition::NotAuthorized, "stanzas may not come on a stream that we dialed");
        };
        if element.namespace() == words::STREAMS && element.name() == "error" {
            return self.wire.peer_error(&element);
        }
        let Ok(tree) = Element::of(&element) else {
            return self.fail(Condition::BadFormat, "this element can't be read");
        };
        match (self.state, element.namespace(), element.name()) {
            (State::Ready, words::STREAM_MANAGEMENT, "a") => {
                let handled = tree.attr("h").and_then(|handled| handled.parse().ok());
                self.taken(|acks| acks.counted(now, handled?));
            }
            (State::Ready, dialback::NAMESPACE, "verify") => {
                let id = tree.attr("id").unwrap_or_default().to_owned();
                self.taken(|acks| acks.answered(&id));
            }
            _ if self.wire.is_closing() => {}
            (State::ExpectFeatures, words::STREAMS, "features") => self.features(now, &tree),
            (State::ExpectProceed, words::TLS, "proceed") => self.proceed(),
            (State::ExpectProceed, words::TLS, "failure") => {
                self.fail(Condition::PolicyViolation, "the peer offered STARTTLS and then refused it");
            }
            (State::ExpectSasl, words::SASL, "success") => {
                self.authenticated = true;
                self.opened = now;
                self.wire.restart(opening(&self.pair, &self.goal));
                self.open();
            }
            (State::ExpectSasl, words::SASL, "failure") => self.external_failed(&tree),
            (State::ExpectEnabled, words::STREAM_MANAGEMENT, "enabled") => {
                self.ready(now, Method::External, Acks::counting());
            }
            (State::ExpectEnabled, words::STREAM_MANAGEMENT, "failed") => {
                self.ready(now, Method::External, self.barrier());
            }
            (State::ExpectResult, dialback::NAMESPACE, "result") => self.result(now, &tree),
            (State::ExpectVerdict, dialback::NAMESPACE, "verify") => self.verdict(&tree),
            // Late or unasked-for words of dialback and features of extensions change nothing.
            (_, dialback::NAMESPACE, _) | (State::Ready | State::Looked, ..) => {}
            (_, namespace, name) => {
                let text = format!("`{name}` of `{namespace}` was not expected here");
                self.fail(Condition::UnsupportedStanzaType, text);
            }
        }
    }

    fn features(&mut self, now: Instant, features: &Element) {
        let offers = Offers::of(features);
        let external = offers.mechanisms.iter().any(|mechanism| mechanism == "EXTERNAL");
        self.offers = Some(offers);
        if !self.secure {
            let offered = features.child(words::TLS, "starttls").is_some();
            match (offered, self.terms.tls) {
                (true, Need::Required | Need::Optional) => {
                    self.wire.send(words::empty(words::TLS, "starttls"));
                    self.state = State::ExpectProceed;
                    return;
                }
                (false, Need::Required) => {
                    return self.fail(Condition::PolicyViolation, "the peer offers no STARTTLS; TLS is required");
                }
                _ => {}
            }
        }
        if self.looked() {
            return;
        }
        if self.authenticated {
            let declared = features.child(dialback::FEATURE, "dialback").is_some();
            self.patience = acks::patience(declared, now.saturating_duration_since(self.opened));
            if features.child(words::STREAM_MANAGEMENT, "sm").is_some() {
                self.wire.send(words::empty(words::STREAM_MANAGEMENT, "enable"));
                self.state = State::ExpectEnabled;
                return;
            }
            return self.ready(now, Method::External, self.barrier());
        }
        if self.ask_about_key() {
            return;
        }
        if external && self.own_certificate && self.terms.external != Need::NotSupported {
            self.wire.send(words::sasl_external(self.pair.from.as_str()));
            self.state = State::ExpectSasl;
            return;
        }
        if self.terms.takes_dialback() {
            return self.by_dialback();
        }
        let text = match (external, self.own_certificate) {
            (_, false) => format!("we have no certificate for {} to show, and dialback is not allowed", self.pair.from),
            (false, true) => {
                "the peer does not offer EXTERNAL (it may not accept our certificate), and dialback is not allowed"
                    .to_owned()
            }
            (true, true) => "the peer offers EXTERNAL only, which is not allowed".to_owned(),
        };
        self.fail(Condition::PolicyViolation, text);
    }

    fn proceed(&mut self) {
        // What follows <proceed/> in clear could have been slipped in by anybody on the way.
        if !self.wire.input.is_empty() {
            return self.fail(Condition::PolicyViolation, "plaintext follows <proceed/>");
        }
        self.wire.start_tls();
        self.state = State::ExpectTls;
    }

    fn external_failed(&mut self, failure: &Element) {
        let condition = failure.children().find(|child| child.name != "text").map_or("failure", |child| &child.name);
        let text = failure.child(words::SASL, "text").map(Element::text).unwrap_or_default();
        let why: String = format!("the peer refused our certificate: {condition} {text}").chars().take(300).collect();
        // COMPAT(Tigase 8): offers EXTERNAL before it looks whom the certificate speaks for.
        if self.terms.takes_dialback() {
            self.external_refused = Some(why);
            return self.by_dialback();
        }
        self.fail(Condition::NotAuthorized, why);
    }

    /// Whether the peer itself has told what it has taken, or has promised to; otherwise it is only believed to have what was
    /// written.
    pub fn tells(&self) -> bool {
        self.acks.as_ref().is_some_and(Acks::tells)
    }

    /// Whether it has told so of all that it was said to have taken, and is believed to have none of it.
    pub fn has_told(&self) -> bool {
        self.acks.as_ref().is_some_and(Acks::has_told)
    }

    /// How a peer that doesn't count tells what it has taken.
    fn barrier(&self) -> Acks {
        // COMPAT(Prosody 13): without `mod_dialback` it ends a stream on which dialback comes.
        if self.speaks_dialback { Acks::barrier(self.patience) } else { Acks::silence() }
    }

    fn ask_what_was_taken(&mut self, now: Instant) {
        if self.wire.is_closing() || self.wire.is_over() {
            return;
        }
        if let Some(question) = self.acks.as_mut().and_then(|acks| acks.question(now, &self.pair)) {
            self.wire.send(question);
        }
    }

    fn taken(&mut self, news: impl FnOnce(&mut Acks) -> Option<u64>) {
        if let Some(stanzas) = self.acks.as_mut().and_then(news) {
            self.wire.step(Step::Taken { stanzas });
        }
    }

    fn ready(&mut self, now: Instant, method: Method, acks: Acks) {
        self.state = State::Ready;
        self.acks = Some(acks);
        self.wire.established = true;
        self.wire.stanza_passed(now);
        self.wire.step(Step::Ready { method });
    }

    /// Takes an answer to a question, or to [`Step::StartTls`]. One that nobody waits for is ignored.
    pub fn answer(&mut self, _now: Instant, answer: Answer) {
        match (answer, self.state) {
            (Answer::TlsUp { own_certificate, .. }, State::ExpectTls) => {
                self.secure = true;
                self.offers = None;
                self.own_certificate = own_certificate;
                self.wire.restart(opening(&self.pair, &self.goal));
                self.judge();
            }
            (Answer::Judged(verdict), State::AwaitJudgement) => match verdict {
                Err(why) if !self.terms.takes_dialback() && !self.only_looks() => {
                    self.fail(
                        Condition::NotAuthorized,
                        format!("the certificate of {} is not accepted: {why}", self.pair.to),
                    );
                }
                _ => self.open(),
            },
            (Answer::MadeKey(key), State::AwaitKey) => self.show_key(&key),
            _ => {}
        }
    }
}

fn opening(pair: &DomainPair, goal: &Goal) -> Bytes {
    let from = (*goal != Goal::Look { named: false }).then_some(pair.from.as_str());
    words::header(from, Some(pair.to.as_str()), None, true)
}

impl std::fmt::Debug for Dialed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dialed({}, {:?})", self.pair, self.state)
    }
}
