//! Stanzas on an accepted stream: who may say what to whom.

use super::*;

impl Accepted {
    pub(super) fn stanza(&mut self, now: Instant, stanza: Stanza) {
        let pair = match self.pair_of(&stanza) {
            Ok(pair) => pair,
            Err(error) => return self.wire.fail(error),
        };
        let pair = match pair {
            Ok(pair) => pair,
            Err((pair, text)) => return self.turn_back(pair, stanza, StanzaCondition::JidMalformed, &text),
        };
        self.wire.stanza_passed(now);
        if self.pairs.contains(&pair) {
            return self.wire.step(Step::Stanza { pair, stanza });
        }
        // `from` is proven; whether it may also speak to this `to` is that pair's own policy.
        let Some(method) = self.proven.iter().find(|(domain, _)| *domain == pair.from).map(|(_, method)| *method)
        else {
            return;
        };
        self.state = State::AwaitAdmission { pair: pair.clone(), stanza };
        self.ask(Question::Admit { pair, method });
    }

    /// The stanza's pair with a proven `from`; a fault in `to` concerns the stanza alone, one in
    /// `from` the stream.
    #[allow(clippy::type_complexity, reason = "two kinds of fault, each named where it is handled")]
    fn pair_of(&mut self, stanza: &Stanza) -> Result<Result<DomainPair, (DomainPair, String)>, StreamError> {
        if self.proven.is_empty() {
            return Err(StreamError::new(Condition::NotAuthorized, "a stanza came before any proof of identity"));
        }
        let (Some(from), Some(to)) = (stanza.from(), stanza.to()) else {
            return Err(StreamError::new(
                Condition::ImproperAddressing,
                "a stanza between servers needs `from` and `to`",
            ));
        };
        jid::check(&from)
            .map_err(|fault| StreamError::new(Condition::ImproperAddressing, cut(format!("`from`: {fault}"))))?;
        let (from_domain, to_domain) = (jid::domain_of(&from), jid::domain_of(&to));
        if let Some((last_from, last_to, pair)) = &self.last
            && last_from == from_domain
            && last_to == to_domain
        {
            let pair = pair.clone();
            return Ok(match jid::check(&to) {
                Ok(()) => Ok(pair),
                Err(fault) => Err((pair, fault.to_string())),
            });
        }
        let sender = Domain::parse(from_domain)
            .map_err(|fault| StreamError::new(Condition::ImproperAddressing, cut(format!("`from`: {fault}"))))?;
        if !self.proven.iter().any(|(domain, _)| *domain == sender) {
            let text = format!("`{sender}` has not been proven on this stream");
            return Err(StreamError::new(Condition::InvalidFrom, text));
        }
        let own = self.to.clone().unwrap_or_else(|| sender.clone());
        let receiver = match jid::check(&to).map_err(|fault| fault.to_string()) {
            Ok(()) => Domain::parse(to_domain).map_err(|fault| fault.to_string()),
            Err(fault) => Err(fault),
        };
        Ok(match receiver {
            Ok(receiver) => {
                let pair = DomainPair::new(sender, receiver);
                self.last = Some((from_domain.to_owned(), to_domain.to_owned(), pair.clone()));
                Ok(pair)
            }
            Err(text) => Err((DomainPair::new(sender, own), text)),
        })
    }

    /// The stanza can't go on: back to its sender as an error, if it may be returned at all.
    fn turn_back(&mut self, pair: DomainPair, stanza: Stanza, condition: StanzaCondition, text: &str) {
        match stanza.error_reply(condition, text) {
            Some(error) => self.wire.step(Step::Return { pair: pair.reversed(), stanza: error }),
            None => self.wire.step(Step::Discard { pair, stanza }),
        }
    }

    pub(super) fn admission(&mut self, admitted: Result<(), StreamError>) {
        let State::AwaitAdmission { pair, stanza } = std::mem::replace(&mut self.state, State::Open) else { return };
        match admitted {
            Ok(()) if self.pairs.len() < PAIRS => {
                self.pairs.push(pair.clone());
                self.wire.step(Step::Stanza { pair, stanza });
            }
            Ok(()) => {
                self.turn_back(
                    pair,
                    stanza,
                    StanzaCondition::ResourceConstraint,
                    "too many domain pairs on one stream",
                );
            }
            Err(error) => self.turn_back(pair, stanza, StanzaCondition::NotAllowed, &error.text),
        }
    }
}
