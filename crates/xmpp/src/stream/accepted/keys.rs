//! Dialback on an accepted stream (XEP-0220): keys shown to us, and questions about keys of ours.

use super::*;

/// Keys of one stream that may be under verification at once; more is a peer gone wrong.
const KEYS_AT_ONCE: usize = 16;
/// Keys of one stream that may be looked at in vain: each made us dial whom the peer named.
const KEYS_IN_VAIN: u8 = 100;
/// The longest key, stream id or address in dialback, in bytes. Real keys have some 40 to 64.
const LONGEST: usize = 1024;

impl Accepted {
    pub(super) fn dialback_key(&mut self, tree: &Element) {
        let pair = match self.dialback_pair(tree, "result") {
            Ok(Some(pair)) => pair,
            Ok(None) => return,
            Err(error) => return self.wire.fail(error),
        };
        let own_terms = self.terms.map_or(Ok(()), |terms| terms.admits(Method::Dialback, self.secure));
        if let Err(error) = own_terms {
            self.key_refused(&pair, "not-allowed", &error.text);
        } else if self.may_send(&pair) {
            self.say(&pair, "valid", DialbackContent::Nothing);
        } else if self.keys.len() >= KEYS_AT_ONCE || self.pairs.len() >= PAIRS || self.failed_keys >= KEYS_IN_VAIN {
            self.key_refused(&pair, "resource-constraint", "too many domain pairs or failed keys on one stream");
        } else if !self.keys.iter().any(|pending| pending.pair == pair) {
            self.keys.push(PendingKey { pair: pair.clone(), key: tree.text().trim().to_owned() });
            self.ask(Question::Admit { pair, method: Method::Dialback, secure: self.secure });
        }
    }

    pub(super) fn dialback_question(&mut self, tree: &Element) {
        let asker = match self.dialback_pair(tree, "verify") {
            Ok(Some(pair)) => pair,
            Ok(None) => return,
            Err(error) => return self.wire.fail(error),
        };
        let Some(id) = tree.attr("id") else {
            return self.wire.fail(StreamError::new(Condition::BadFormat, "<db:verify/> has no `id`"));
        };
        let (id, key) = (id.to_owned(), tree.text().trim().to_owned());
        self.ask(Question::CheckKey { pair: asker.reversed(), id, key });
    }

    /// The pair that `tree` speaks of. Nothing where `to` is none that anybody serves, which is answered
    /// here: it is an error of its own and ends no stream (XEP-0220 §2.2).
    fn dialback_pair(&mut self, tree: &Element, element: &'static str) -> Result<Option<DomainPair>, StreamError> {
        if !self.secure && self.terms.is_none_or(|terms| terms.tls == Need::Required) {
            return Err(StreamError::new(Condition::PolicyViolation, "TLS comes before dialback here"));
        }
        let wrong = |text| StreamError::new(Condition::ImproperAddressing, text);
        let address = |name| tree.attr(name).ok_or_else(|| wrong(format!("a dialback element has no `{name}`")));
        let (from, to) = (address("from")?, address("to")?);
        let id = tree.attr("id");
        if to.len() > LONGEST || id.is_some_and(|id| id.len() > LONGEST) || tree.text().len() > LONGEST {
            let text = format!("a dialback element has a value of more than {LONGEST} bytes, which no server makes");
            return Err(StreamError::new(Condition::PolicyViolation, text));
        }
        let sender = Domain::parse(from).map_err(|fault| wrong(format!("`from`: {fault}")))?;
        match Domain::parse(to) {
            Ok(receiver) => Ok(Some(DomainPair::new(sender, receiver))),
            Err(fault) => {
                let text = &StreamError::new(Condition::HostUnknown, format!("`to`: {fault}")).text;
                let content = DialbackContent::Error { condition: "item-not-found", text };
                self.wire.send(Dialback { element, from: to, to: from, id, kind: Some("error"), content }.write());
                Ok(None)
            }
        }
    }

    /// The word on a key that was shown for `pair`.
    fn say(&mut self, pair: &DomainPair, kind: &'static str, content: DialbackContent<'_>) {
        let (from, to) = (pair.to.as_str(), pair.from.as_str());
        let result = Dialback { element: "result", from, to, id: None, kind: Some(kind), content };
        self.wire.send(result.write());
    }

    /// A dialback error is no stream error: other pairs on this stream go on (XEP-0220 §2.5).
    fn key_refused(&mut self, pair: &DomainPair, condition: &'static str, text: &str) {
        self.say(pair, "error", DialbackContent::Error { condition, text });
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
                    let hosted = error.condition != Condition::HostUnknown;
                    self.key_refused(pair, if hosted { "not-allowed" } else { "item-not-found" }, &error.text);
                }
            }
        }
    }

    pub(super) fn key_verdict(&mut self, pair: DomainPair, verdict: KeyVerdict) {
        if self.take_key(&pair).is_none() {
            return;
        }
        let forged = || format!("the server of `{}` did not make this dialback key", pair.from);
        if verdict != KeyVerdict::Valid {
            self.failed_keys = self.failed_keys.saturating_add(1);
        }
        match verdict {
            KeyVerdict::Valid => {
                self.say(&pair, "valid", DialbackContent::Nothing);
                self.authenticated(pair, Method::Dialback);
            }
            KeyVerdict::Invalid if self.proven.is_empty() => {
                self.say(&pair, "invalid", DialbackContent::Nothing);
                self.wire.fail(StreamError::new(Condition::NotAuthorized, forged()));
            }
            // `invalid` would make the peer give up the pairs that are proven, too (XEP-0220 §2.2.1).
            KeyVerdict::Invalid => self.key_refused(&pair, "forbidden", &forged()),
            KeyVerdict::Unreachable(why) => self.key_refused(&pair, "remote-server-not-found", &why),
        }
    }
}
