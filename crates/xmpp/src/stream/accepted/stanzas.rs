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
        jid::check(&from).map_err(|fault| of_stream(Condition::ImproperAddressing, format!("`from`: {fault}")))?;
        let (from_domain, to_domain) = (jid::domain_of(&from), jid::domain_of(&to));
        let known = self.last.as_ref().filter(|(from, to, _)| from == from_domain && to == to_domain);
        let known = known.map(|(.., pair)| pair.clone());
        let sender = match &known {
            Some(pair) => pair.from.clone(),
            None => Domain::parse(from_domain)
                .map_err(|fault| of_stream(Condition::ImproperAddressing, format!("`from`: {fault}")))?,
        };
        if known.is_none() && self.method_of(&sender).is_none() {
            return Err(of_stream(Condition::InvalidFrom, format!("`{sender}` has not been proven on this stream")));
        }
        // Its error comes from the domain that the stream goes to: its own `to` may be nothing to send from.
        let own = DomainPair::new(sender.clone(), self.to.clone().unwrap_or_else(|| sender.clone()));
        let of_stanza = |condition, text: String| Fault::OfStanza(own.clone(), condition, text);
        jid::check(&to).map_err(|fault| of_stanza(StanzaCondition::JidMalformed, format!("`to`: {fault}")))?;
        if !stanza.reads_alike() {
            let text = "some servers would read other addresses in this stanza: it has an attribute such as `x:from`, \
                        or references in a domain"
                .to_owned();
            return Err(of_stanza(StanzaCondition::PolicyViolation, text));
        }
        if let Some(pair) = known {
            return Ok(pair);
        }
        let receiver = Domain::parse(to_domain)
            .map_err(|fault| of_stanza(StanzaCondition::JidMalformed, format!("`to`: {fault}")))?;
        // COMPAT(Prosody 0.12, ejabberd 23.01): an A-label or a trailing dot makes another domain for them, not
        // the one that the stream to them was proven for, and they end that stream.
        if let Some(domain) = [(&sender, from_domain), (&receiver, to_domain)]
            .iter()
            .find_map(|(domain, text)| (!domain.is_written(text)).then_some(domain))
        {
            let text = format!("addresses must have this domain in the form `{domain}`");
            return Err(of_stanza(StanzaCondition::JidMalformed, text));
        }
        let pair = DomainPair::new(sender, receiver);
        self.last = Some((from_domain.to_owned(), to_domain.to_owned(), pair.clone()));
        Ok(pair)
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
