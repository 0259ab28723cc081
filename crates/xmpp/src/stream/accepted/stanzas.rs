//! Stanzas on an accepted stream: who may say what to whom.

use super::*;

/// What is wrong with a stanza's addresses.
enum Fault {
    /// It concerns all that comes on this stream.
    OfStream(StreamError),
    /// It concerns this stanza alone, which is returned by the pair's way back.
    OfStanza(DomainPair, StanzaCondition, String),
}

impl Accepted {
    pub(super) fn stanza(&mut self, now: Instant, stanza: Stanza) {
        if self.wire.is_closing() && self.handled.is_counted() {
            self.late.keep(stanza);
        } else {
            self.pass(now, stanza);
        }
    }

    pub(super) fn pass(&mut self, now: Instant, stanza: Stanza) {
        let pair = self.pair_of(&stanza);
        let receipt = self.handled.receive();
        self.rhythm.hear(now);
        let pair = match pair {
            Ok(pair) => pair,
            Err(Fault::OfStream(error)) => return self.wire.fail(error),
            Err(Fault::OfStanza(pair, condition, text)) => {
                return self.turn_back(pair, stanza, receipt, condition, &text);
            }
        };
        self.wire.stanza_passed(now);
        if self.may_send(&pair) {
            return self.wire.step(Step::Stanza { pair, stanza, receipt });
        }
        // `from` is proven; whether it may also speak to this `to` is that pair's own policy.
        let Some(method) = self.method_of(&pair.from) else { return };
        self.state = State::AwaitAdmission { pair: pair.clone(), stanza, receipt };
        self.ask(Question::Admit { pair, method, secure: self.secure });
    }

    /// The stanza's pair, its `from` proven.
    fn pair_of(&mut self, stanza: &Stanza) -> Result<DomainPair, Fault> {
        let of_stream = |condition, text: String| Fault::OfStream(StreamError::new(condition, text));
        if self.proven.is_empty() {
            return Err(of_stream(Condition::NotAuthorized, "a stanza came before any proof of identity".into()));
        }
        let (Some(from), Some(to)) = (stanza.from(), stanza.to()) else {
            return Err(of_stream(
                Condition::ImproperAddressing,
                "a stanza between servers needs `from` and `to`".into(),
            ));
        };
        let (sender, receiver) = (jid::Parts::of(&from), jid::Parts::of(&to));
        sender.check().map_err(|fault| of_stream(Condition::ImproperAddressing, format!("`from`: {fault}")))?;
        let known = self.seen.pair(sender.domain, receiver.domain);
        let proven = match known {
            Some(pair) => pair.from.clone(),
            None => self.proven_sender(sender.domain).map_err(Fault::OfStream)?,
        };
        // Its error comes from the domain that the stream goes to: its own `to` may be nothing to send from.
        let of_stanza = |condition, text: String| {
            let own = DomainPair::new(proven.clone(), self.to.clone().unwrap_or_else(|| proven.clone()));
            Fault::OfStanza(own, condition, text)
        };
        receiver.check().map_err(|fault| of_stanza(StanzaCondition::JidMalformed, format!("`to`: {fault}")))?;
        if !stanza.reads_alike() {
            let text = "some servers would read other addresses in this stanza: it has an attribute such as `x:from`, \
                        or references in a domain"
                .to_owned();
            return Err(of_stanza(StanzaCondition::PolicyViolation, text));
        }
        if let Some(pair) = known {
            return Ok(pair.clone());
        }
        let addressed = Domain::parse(receiver.domain)
            .map_err(|fault| of_stanza(StanzaCondition::JidMalformed, format!("`to`: {fault}")))?;
        // COMPAT(Prosody 0.12, ejabberd 23.01): an A-label or a trailing dot makes another domain for them, not
        // the one that the stream to them was proven for, and they end that stream.
        if let Some(domain) = [(&proven, sender.domain), (&addressed, receiver.domain)]
            .iter()
            .find_map(|(domain, text)| (!domain.is_written(text)).then_some(domain))
        {
            let text = format!("addresses must have this domain in the form `{domain}`");
            return Err(of_stanza(StanzaCondition::JidMalformed, text));
        }
        let pair = DomainPair::new(proven, addressed);
        self.seen.remember(sender.domain, receiver.domain, &pair);
        Ok(pair)
    }

    /// The domain of `from`, which must have proven itself.
    fn proven_sender(&self, domain: &str) -> Result<Domain, StreamError> {
        let sender = Domain::parse(domain)
            .map_err(|fault| StreamError::new(Condition::ImproperAddressing, format!("`from`: {fault}")))?;
        if self.method_of(&sender).is_none() {
            let text = format!("`{sender}` has not been proven on this stream");
            return Err(StreamError::new(Condition::InvalidFrom, text));
        }
        Ok(sender)
    }

    /// The stanza can't go on: back to its sender as an error, if it may be returned at all.
    fn turn_back(&mut self, pair: DomainPair, stanza: Stanza, receipt: u64, condition: StanzaCondition, text: &str) {
        let error = match condition {
            StanzaCondition::JidMalformed | StanzaCondition::PolicyViolation => {
                stanza.error_from(Some(pair.to.as_str()), condition, text)
            }
            _ => stanza.error_reply(condition, text),
        };
        match error {
            Some(error) => self.wire.step(Step::Return { pair: pair.reversed(), stanza: error, receipt }),
            None => {
                self.settled(receipt);
                self.wire.step(Step::Discard { pair, stanza });
            }
        }
    }

    pub(super) fn admission(&mut self, admitted: Result<(), StreamError>) {
        let State::AwaitAdmission { pair, stanza, receipt } = std::mem::replace(&mut self.state, State::Open) else {
            return;
        };
        match admitted {
            Ok(()) if self.pairs.len() < PAIRS => {
                self.admit(pair.clone());
                self.wire.step(Step::Stanza { pair, stanza, receipt });
            }
            Ok(()) => {
                let text = "too many domain pairs on one stream";
                self.turn_back(pair, stanza, receipt, StanzaCondition::ResourceConstraint, text);
            }
            Err(error) => self.turn_back(pair, stanza, receipt, StanzaCondition::NotAllowed, &error.text),
        }
    }
}
