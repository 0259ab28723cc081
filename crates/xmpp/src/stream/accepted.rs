//! The machine of a stream that a peer opened to us: it proves who it is, then it may send.

use std::time::Instant;

use bytes::BytesMut;

use super::error::{Condition, StreamError};
use super::words::{self, Dialback, DialbackContent};
use super::{Answer, KeyVerdict, Method, Need, Question, Settings, Step, Terms, wire::Wire};
use crate::dialback;
use crate::domain::{Domain, DomainPair};
use crate::jid;
use crate::stanza::{Stanza, StanzaCondition};
use crate::xml::tree::Element;
use crate::xml::{Frame, Header, SERVER, Verbatim};

mod finish;
mod keys;
mod late;
mod management;
mod sasl;
mod seen;
mod stanzas;

/// Pairs that one stream may carry; trunking servers carry one for each of their subdomains.
const PAIRS: usize = 1000;

/// A stream that was accepted.
pub struct Accepted {
    wire: Wire,
    state: State,
    base_id: String,
    streams: u32,
    secure: bool,
    /// Whether the peer showed a certificate in the TLS handshake.
    certificate: bool,
    terms: Option<Terms>,
    from: Option<Domain>,
    to: Option<Domain>,
    /// EXTERNAL was offered: the certificate speaks for `from`.
    external_offered: bool,
    sasl_failures: u8,
    /// Domains that proved themselves, and how; sorted, and found by halving.
    proven: Vec<(Domain, Method)>,
    /// Pairs that may send, likewise.
    pairs: Vec<DomainPair>,
    /// Pairs whose keys are being looked at.
    keys: Vec<PendingKey>,
    /// Keys that were looked at in vain.
    failed_keys: u8,
    /// Who spoke to whom last.
    seen: seen::Seen,
    /// What came and what of it is settled.
    handled: management::Handled,
    /// When the peer speaks.
    rhythm: finish::Rhythm,
    /// It is to end.
    finish: Option<finish::Finish>,
    /// What came after its end.
    late: late::Late,
}

struct PendingKey {
    pair: DomainPair,
    key: String,
}

#[allow(clippy::large_enum_variant, reason = "there is one of it in a stream, and it is never moved about")]
enum State {
    ExpectHeader,
    AwaitArrival { version_1: bool },
    AwaitJudgement,
    ExpectTls,
    Open,
    AwaitAdmission { pair: DomainPair, stanza: Stanza, receipt: u64 },
}

impl Accepted {
    /// A stream on a connection that was just accepted. `id` must be unpredictable, since dialback
    /// keys rest on it; `secure` says that direct TLS is up, `certificate` that the peer showed one.
    pub fn new(now: Instant, id: String, secure: bool, certificate: bool, settings: Settings) -> Accepted {
        Accepted {
            wire: Wire::new(now, settings, words::header(None, None, Some(&format!("{id}-0")), true)),
            state: State::ExpectHeader,
            base_id: id,
            streams: 0,
            secure,
            certificate,
            terms: None,
            from: None,
            to: None,
            external_offered: false,
            sasl_failures: 0,
            proven: Vec::new(),
            pairs: Vec::new(),
            keys: Vec::new(),
            failed_keys: 0,
            seen: seen::Seen::default(),
            handled: management::Handled::default(),
            rhythm: finish::Rhythm::new(now),
            finish: None,
            late: late::Late::default(),
        }
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
        self.wire.deadline().map(|deadline| self.finish_at().map_or(deadline, |at| at.min(deadline)))
    }

    /// Lets the clocks act. Whatever has come should be in [`input`](Self::input) by now.
    pub fn tick(&mut self, now: Instant) {
        self.wire.tick(now);
        self.finish_in_time(now);
    }

    /// The driver wrote something: the keep-alive clock starts anew.
    pub fn sent(&mut self, now: Instant) {
        self.wire.sent(now);
    }

    /// Follows what is received, or stops following; returns what was seen since the last call,
    /// without any text in it.
    pub fn follow(&mut self, on: bool) -> Vec<String> {
        self.wire.follow(on)
    }

    /// Ends our side at once, with an error if there is one to tell; reading goes on until the peer's end.
    pub fn close(&mut self, now: Instant, error: Option<&StreamError>) {
        if let Some(told) = self.handled.last() {
            self.wire.send(told);
        }
        self.wire.close(now, error);
    }

    /// The domain that the peer asked for, which also picks the certificate where there is no SNI.
    pub fn to(&self) -> Option<&Domain> {
        self.to.as_ref()
    }

    /// The pairs that may send on this stream, in their order.
    pub fn pairs(&self) -> &[DomainPair] {
        &self.pairs
    }

    /// Policy has changed: each pair has to be admitted anew.
    pub fn admit_anew(&mut self) {
        self.pairs.clear();
    }

    /// Whether what the peer says is looked at; if not, it may wait where it is.
    pub fn is_listening(&self, now: Instant) -> bool {
        !self.is_full() && !self.is_deaf(now)
    }

    /// The next step, or nothing until bytes, an answer or time come in.
    pub fn poll(&mut self, now: Instant) -> Option<Step> {
        loop {
            if let Some(step) = self.wire.next_step() {
                return Some(step);
            }
            if !matches!(self.state, State::ExpectHeader | State::Open) || !self.is_listening(now) {
                return None;
            }
            if let Some(stanza) = self.late.excess() {
                self.pass(now, stanza);
                continue;
            }
            match self.wire.frame() {
                Some(frame) => self.frame(now, frame),
                None => return self.wire.next_step(),
            }
        }
    }

    fn frame(&mut self, now: Instant, frame: Frame) {
        match (&self.state, frame) {
            (_, Frame::Whitespace) => {}
            (_, Frame::Footer) => self.wire.peer_closed(),
            (State::ExpectHeader, Frame::Header(header)) => self.header(&header),
            (State::Open, Frame::Element(element)) => self.element(now, element),
            _ => self.wire.fail(StreamError::new(
                Condition::NotWellFormed,
                "a stream header and then its elements were expected",
            )),
        }
    }

    fn id(&self) -> String {
        format!("{}-{}", self.base_id, self.streams)
    }

    /// How `domain` proved itself, if it did.
    fn method_of(&self, domain: &Domain) -> Option<Method> {
        let place = self.proven.binary_search_by(|(proven, _)| proven.cmp(domain)).ok()?;
        Some(self.proven[place].1)
    }

    fn may_send(&self, pair: &DomainPair) -> bool {
        self.pairs.binary_search(pair).is_ok()
    }

    fn admit(&mut self, pair: DomainPair) {
        if let Err(place) = self.pairs.binary_search(&pair) {
            self.pairs.insert(place, pair);
        }
    }

    /// `pair.from` proved itself, and the pair may send.
    fn authenticated(&mut self, pair: DomainPair, method: Method) {
        if let Err(place) = self.proven.binary_search_by(|(proven, _)| proven.cmp(&pair.from)) {
            self.proven.insert(place, (pair.from.clone(), method));
        }
        self.admit(pair.clone());
        self.wire.trust();
        self.wire.step(Step::Authenticated { pair, method });
    }

    // Header: who comes, and whom for.

    fn header(&mut self, header: &Header) {
        self.streams += 1;
        let version_1 = words::is_version_1(header);
        self.wire.opens_with(words::header(None, None, Some(&self.id()), version_1));
        match self.read_header(header) {
            Ok((from, to)) => {
                // COMPAT(MongooseIM 6.8): demands its `to`, letter by letter, as our `from`.
                let (our_name, peer) = (header.to.as_deref(), header.from.as_deref());
                self.wire.opens_with(words::header(our_name, peer, Some(&self.id()), version_1));
                self.state = State::AwaitArrival { version_1 };
                self.from = from.clone().or(self.from.take());
                self.to = Some(to.clone());
                self.ask(Question::Arrive { from, to, secure: self.secure });
            }
            Err(error) => self.wire.fail(error),
        }
    }

    fn read_header(&self, header: &Header) -> Result<(Option<Domain>, Domain), StreamError> {
        check_namespaces(header)?;
        let Some(to) = &header.to else {
            return Err(StreamError::new(Condition::ImproperAddressing, "the stream header has no `to`"));
        };
        let to =
            Domain::parse(to).map_err(|fault| StreamError::new(Condition::HostUnknown, format!("`to`: {fault}")))?;
        // COMPAT(MongooseIM 6.8): no `from` in the header before TLS.
        let from = header
            .from
            .as_deref()
            .map(Domain::parse)
            .transpose()
            .map_err(|fault| StreamError::new(Condition::InvalidFrom, format!("`from`: {fault}")))?;
        if self.to.as_ref().is_some_and(|before| *before != to) {
            return Err(StreamError::new(Condition::HostUnknown, "`to` changed on the way"));
        }
        if let (Some(before), Some(now)) = (&self.from, &from)
            && before != now
        {
            return Err(StreamError::new(Condition::InvalidFrom, "`from` changed on the way"));
        }
        Ok((from, to))
    }

    fn arrival(&mut self, admitted: Result<Terms, StreamError>) {
        let State::AwaitArrival { version_1 } = std::mem::replace(&mut self.state, State::Open) else { return };
        self.wire.open();
        let terms = match admitted {
            Ok(terms) => terms,
            Err(error) => return self.wire.fail(error),
        };
        self.terms = Some(terms);
        if !version_1 {
            // COMPAT(Openfire 5.1): its fallback says no version, and shows a key instead of awaiting features.
            if (terms.tls == Need::Required && !self.secure) || !terms.takes_dialback() {
                self.wire.fail(StreamError::new(
                    Condition::UnsupportedVersion,
                    "XMPP 1.0 with TLS is required here; the stream header has no version 1.0",
                ));
            }
            return;
        }
        let judged = self.secure && self.certificate && terms.external != Need::NotSupported;
        match (&self.from, judged && self.proven.is_empty()) {
            (Some(domain), true) => {
                let domain = domain.clone();
                self.state = State::AwaitJudgement;
                self.ask(Question::Judge { domain });
            }
            _ => self.offer(terms, None),
        }
    }

    /// Says what the peer can do next. `verdict` is that on its certificate, if it was judged.
    fn offer(&mut self, terms: Terms, verdict: Option<Result<(), String>>) {
        self.state = State::Open;
        if !self.secure && terms.tls != Need::NotSupported {
            return self.wire.send(words::features_plain(terms));
        }
        let dialback = terms.takes_dialback();
        if !self.proven.is_empty() {
            return self.wire.send(words::features_proven(dialback, &self.wire.settings));
        }
        self.external_offered = matches!(verdict, Some(Ok(())));
        if !self.external_offered && !dialback {
            let text = match verdict {
                Some(Err(why)) => format!("your certificate was not accepted: {why}"),
                _ if self.from.is_none() => "the stream header has no `from` to check your certificate for".to_owned(),
                _ => "a certificate is required here, and you showed none".to_owned(),
            };
            return self.wire.fail(StreamError::new(Condition::NotAuthorized, text));
        }
        self.wire.send(words::features(self.external_offered, dialback, &self.wire.settings));
    }

    // Elements.

    fn element(&mut self, now: Instant, element: Verbatim) {
        let element = match Stanza::of(element) {
            Ok(stanza) => return self.stanza(now, stanza),
            Err(element) => element,
        };
        if element.namespace() == words::STREAMS && element.name() == "error" {
            return self.wire.peer_error(&element);
        }
        if self.wire.is_closing() {
            return;
        }
        let Ok(tree) = Element::of(&element) else {
            return self.wire.fail(StreamError::new(Condition::BadFormat, "this element can't be read"));
        };
        match (element.namespace(), element.name()) {
            (words::TLS, "starttls") => self.starttls(),
            (words::SASL, "auth") => self.auth(&tree),
            (words::SASL, "abort" | "response") => self.auth_failed("aborted", "EXTERNAL takes a single step"),
            (words::STREAM_MANAGEMENT, "enable") => self.enable(),
            (words::STREAM_MANAGEMENT, "r") => self.asked_for_count(),
            // We send nothing on it that could be acknowledged; that it answers is what counts.
            (words::STREAM_MANAGEMENT, "a") => self.answered_count(now),
            (dialback::NAMESPACE, "result") if tree.attr("type").is_none() => self.dialback_key(&tree),
            (dialback::NAMESPACE, "verify") if tree.attr("type").is_none() => self.dialback_question(&tree),
            // Answers to questions that this stream never asked.
            (dialback::NAMESPACE, "result" | "verify") => {}
            (namespace, name) => {
                let text = format!("`{name}` of `{namespace}` is nothing that a stream between servers carries here");
                self.wire.fail(StreamError::new(Condition::UnsupportedStanzaType, text));
            }
        }
    }

    /// The peer begins anew on the same connection.
    fn restart(&mut self) {
        self.wire.restart(words::header(None, None, Some(&self.id()), true));
        self.state = State::ExpectHeader;
    }

    fn starttls(&mut self) {
        // Nothing that was proven in clear may outlive the clear (RFC 6120 §5.4.3.3).
        let begun = !self.proven.is_empty() || !self.keys.is_empty();
        let offered = !self.secure && !begun && self.terms.is_some_and(|terms| terms.tls != Need::NotSupported);
        if !offered {
            self.wire.send(words::empty(words::TLS, "failure"));
            return self.wire.fail(StreamError::new(Condition::PolicyViolation, "STARTTLS was not offered"));
        }
        // Whatever follows <starttls/> in clear could have been slipped in by anybody on the way.
        if !self.wire.input.is_empty() {
            return self.wire.fail(StreamError::new(Condition::PolicyViolation, "plaintext follows <starttls/>"));
        }
        self.wire.send(words::empty(words::TLS, "proceed"));
        self.wire.start_tls();
        self.state = State::ExpectTls;
    }

    // Answers.

    fn ask(&mut self, question: Question) {
        self.wire.step(Step::Ask(question));
    }

    /// Takes an answer to a question, or to [`Step::StartTls`]. One that nobody waits for is ignored.
    pub fn answer(&mut self, _now: Instant, answer: Answer) {
        match (answer, &self.state) {
            (Answer::TlsUp { certificate, .. }, State::ExpectTls) => {
                self.secure = true;
                self.certificate = certificate;
                self.restart();
            }
            (Answer::Arrive(admitted), State::AwaitArrival { .. }) => self.arrival(admitted),
            (Answer::Judged(verdict), State::AwaitJudgement) => {
                if let Some(terms) = self.terms {
                    self.offer(terms, Some(verdict));
                }
            }
            (Answer::Admit(pair, admitted), State::AwaitAdmission { pair: awaited, .. }) if pair == *awaited => {
                self.admission(admitted);
            }
            (Answer::Admit(pair, admitted), _) => self.key_admission(&pair, admitted),
            (Answer::Key { pair, verdict }, _) => self.key_verdict(pair, verdict),
            (Answer::CheckedKey { pair, id, valid }, _) => {
                let verdict = Dialback {
                    element: "verify",
                    from: pair.from.as_str(),
                    to: pair.to.as_str(),
                    id: Some(&id),
                    kind: Some(if valid { "valid" } else { "invalid" }),
                    content: DialbackContent::Nothing,
                };
                self.wire.send(verdict.write());
            }
            _ => {}
        }
    }

    /// Whether the stream is over and its last step was taken.
    pub fn is_over(&self) -> bool {
        self.wire.is_over()
    }
}

pub(super) fn check_namespaces(header: &Header) -> Result<(), StreamError> {
    if header.namespace != words::STREAMS || header.local_name != "stream" {
        return Err(StreamError::new(Condition::InvalidNamespace, "this is no XMPP stream header"));
    }
    if header.content_namespace != SERVER {
        let text =
            format!("the content namespace is `{}`; between servers it is `jabber:server`", header.content_namespace);
        return Err(StreamError::new(Condition::InvalidNamespace, text));
    }
    Ok(())
}

impl std::fmt::Debug for Accepted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Accepted({}, {} pairs)", self.base_id, self.pairs.len())
    }
}
