//! Dialback on an accepted stream (XEP-0220): keys shown to us, and questions about keys of ours.

use super::*;

/// Keys of one stream that may be under verification at once; more is a peer gone wrong.
const KEYS_AT_ONCE: usize = 16;

impl Accepted {
    pub(super) fn dialback_key(&mut self, tree: &Element) {
        let pair = match self.dialback_pair(tree) {
            Ok(pair) => pair,
            Err(error) => return self.wire.fail(error),
        };
        if !self.terms.is_some_and(|terms| terms.dialback) {
            return self.key_refused(&pair, "not-allowed", "dialback is not accepted here");
        }
        if self.pairs.contains(&pair) {
            return self.key_valid(pair);
        }
        if self.keys.len() >= KEYS_AT_ONCE || self.pairs.len() >= PAIRS {
            return self.key_refused(&pair, "resource-constraint", "too many domain pairs on one stream");
        }
        if self.keys.iter().any(|pending| pending.pair == pair) {
            return;
        }
        self.keys.push(PendingKey { pair: pair.clone(), key: tree.text().trim().to_owned() });
        self.ask(Question::Admit { pair, method: Method::Dialback });
    }

    pub(super) fn dialback_question(&mut self, tree: &Element) {
        let asker = match self.dialback_pair(tree) {
            Ok(pair) => pair,
            Err(error) => return self.wire.fail(error),
        };
        let Some(id) = tree.attr("id") else {
            return self.wire.fail(StreamError::new(Condition::BadFormat, "<db:verify/> has no `id`"));
        };
        let (id, key) = (id.to_owned(), tree.text().trim().to_owned());
        self.ask(Question::CheckKey { pair: asker.reversed(), id, key });
    }

    fn dialback_pair(&self, tree: &Element) -> Result<DomainPair, StreamError> {
        if !self.secure && self.terms.is_none_or(|terms| terms.tls == Need::Required) {
            return Err(StreamError::new(Condition::PolicyViolation, "TLS comes before dialback here"));
        }
        let domain = |name| {
            let text = tree.attr(name).ok_or_else(|| {
                StreamError::new(Condition::ImproperAddressing, format!("a dialback element has no `{name}`"))
            })?;
            Domain::parse(text)
                .map_err(|fault| StreamError::new(Condition::ImproperAddressing, format!("`{name}`: {fault}")))
        };
        Ok(DomainPair::new(domain("from")?, domain("to")?))
    }

    fn key_valid(&mut self, pair: DomainPair) {
        let valid = Dialback {
            element: "result",
            from: pair.to.as_str(),
            to: pair.from.as_str(),
            id: None,
            kind: Some("valid"),
            content: DialbackContent::Nothing,
        };
        self.wire.send(valid.write());
        if !self.pairs.contains(&pair) {
            self.wire.established = true;
            self.proven.push((pair.from.clone(), Method::Dialback));
            self.pairs.push(pair.clone());
            self.wire.step(Step::Authenticated { pair, method: Method::Dialback });
        }
    }

    /// A dialback error is no stream error: other pairs on this stream go on (XEP-0220 §2.5).
    fn key_refused(&mut self, pair: &DomainPair, condition: &'static str, text: &str) {
        let refused = Dialback {
            element: "result",
            from: pair.to.as_str(),
            to: pair.from.as_str(),
            id: None,
            kind: Some("error"),
            content: DialbackContent::Error { condition, text },
        };
        self.wire.send(refused.write());
    }

    fn take_key(&mut self, pair: &DomainPair) -> Option<PendingKey> {
        let place = self.keys.iter().position(|pending| pending.pair == *pair)?;
        Some(self.keys.swap_remove(place))
    }

    pub(super) fn key_admission(&mut self, pair: &DomainPair, admitted: Result<(), StreamError>) {
        match admitted {
            Ok(()) => {
                let id = self.id();
                if let Some(pending) = self.keys.iter().find(|pending| pending.pair == *pair) {
                    let question = Question::VerifyKey { pair: pair.clone(), id, key: pending.key.clone() };
                    self.ask(question);
                }
            }
            Err(error) => {
                if self.take_key(pair).is_some() {
                    self.key_refused(pair, "not-allowed", &error.text);
                }
            }
        }
    }

    pub(super) fn key_verdict(&mut self, pair: DomainPair, verdict: KeyVerdict) {
        if self.take_key(&pair).is_none() {
            return;
        }
        match verdict {
            KeyVerdict::Valid => self.key_valid(pair),
            KeyVerdict::Invalid => {
                let invalid = Dialback {
                    element: "result",
                    from: pair.to.as_str(),
                    to: pair.from.as_str(),
                    id: None,
                    kind: Some("invalid"),
                    content: DialbackContent::Nothing,
                };
                self.wire.send(invalid.write());
                if self.proven.is_empty() {
                    let text = format!("the server of `{}` did not make this dialback key", pair.from);
                    self.wire.fail(StreamError::new(Condition::NotAuthorized, text));
                }
            }
            KeyVerdict::Unreachable(why) => self.key_refused(&pair, "remote-server-not-found", &why),
        }
    }
}
