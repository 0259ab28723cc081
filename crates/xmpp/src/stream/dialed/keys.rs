//! Dialback on a stream that we dialed (XEP-0220): a key of ours that we show, or one that we ask about.

use super::*;

impl Dialed {
    /// Dialed to verify a key: asks. No proof of ours is needed for that.
    pub(super) fn ask_about_key(&mut self) -> bool {
        let Goal::Verify { id, key } = &self.goal else { return false };
        let question = Dialback {
            element: "verify",
            from: self.pair.from.as_str(),
            to: self.pair.to.as_str(),
            id: Some(id),
            kind: None,
            content: DialbackContent::Key(key),
        };
        let question = question.write();
        self.wire.send(question);
        self.state = State::ExpectVerdict;
        true
    }

    pub(super) fn by_dialback(&mut self) {
        if self.ask_about_key() {
            return;
        }
        let Some(id) = self.id.clone() else {
            return self.fail(
                Condition::BadFormat,
                "the peer's stream header has no `id`, so there is no dialback key for it",
            );
        };
        if !self.terms.takes_dialback() {
            return self.fail(Condition::PolicyViolation, "the peer can do dialback only, which is not allowed");
        }
        self.state = State::AwaitKey;
        self.wire.step(Step::Ask(Question::MakeKey { pair: self.pair.clone(), id }));
    }

    pub(super) fn show_key(&mut self, key: &str) {
        let result = Dialback {
            element: "result",
            from: self.pair.from.as_str(),
            to: self.pair.to.as_str(),
            id: None,
            kind: None,
            content: DialbackContent::Key(key),
        };
        let result = result.write();
        self.wire.send(result);
        self.state = State::ExpectResult;
    }

    pub(super) fn result(&mut self, now: Instant, result: &Element) {
        if !self.concerns_us(result) {
            return;
        }
        let before = self.external_refused.as_ref().map(|why| format!("; before that, {why}")).unwrap_or_default();
        match result.attr("type") {
            Some("valid") => self.ready(now, Method::Dialback, self.barrier()),
            Some("invalid") => {
                self.fail(Condition::NotAuthorized, format!("the peer says that our dialback key is invalid{before}"));
            }
            _ => {
                let why = dialback_error(result);
                self.fail(
                    Condition::RemoteConnectionFailed,
                    format!("the peer could not verify our key: {why}{before}"),
                );
            }
        }
    }

    pub(super) fn verdict(&mut self, verdict: &Element) {
        let Goal::Verify { id, .. } = &self.goal else { return };
        if !self.concerns_us(verdict) || verdict.attr("id") != Some(id) {
            return;
        }
        match verdict.attr("type") {
            Some(kind @ ("valid" | "invalid")) => {
                self.wire.established = true;
                self.wire.step(Step::Verified { valid: kind == "valid" });
            }
            _ => {
                let why = dialback_error(verdict);
                self.fail(Condition::RemoteConnectionFailed, format!("the authoritative server could not say: {why}"));
            }
        }
    }

    /// Whether a dialback answer speaks of this stream's pair.
    fn concerns_us(&self, answer: &Element) -> bool {
        let is =
            |name, domain: &Domain| answer.attr(name).is_some_and(|text| Domain::parse(text).as_ref() == Ok(domain));
        is("from", &self.pair.to) && is("to", &self.pair.from)
    }
}

fn dialback_error(element: &Element) -> String {
    let condition = element.children().flat_map(Element::children).find(|child| child.name != "text");
    condition.map_or_else(|| "no reason given".to_owned(), |child| child.name.chars().take(60).collect())
}
