//! SASL on an accepted stream: EXTERNAL by the certificate that TLS showed (RFC 6120 §6, XEP-0178).

use super::*;

/// Failed attempts to authenticate before the stream ends.
const ATTEMPTS: u8 = 3;

impl Accepted {
    pub(super) fn auth(&mut self, tree: &Element) {
        if !self.secure && self.terms.is_none_or(|terms| terms.tls == Need::Required) {
            return self.auth_failed("encryption-required", "TLS comes before authentication here");
        }
        let (Some(from), true, true) = (self.from.clone(), self.external_offered, self.proven.is_empty()) else {
            return self.auth_failed("invalid-mechanism", "no mechanism is offered now");
        };
        if tree.attr("mechanism") != Some("EXTERNAL") {
            return self.auth_failed("invalid-mechanism", "EXTERNAL is the only mechanism here");
        }
        match authorization_identity(&tree.text()) {
            Ok(None) => {}
            Ok(Some(identity)) if identity == from => {}
            Ok(Some(_)) => return self.auth_failed("invalid-authzid", "not the domain that this stream comes from"),
            Err(condition) => return self.auth_failed(condition, "the identity is no domain in base64"),
        }
        let Some(to) = self.to.clone() else { return };
        self.wire.send(words::empty(words::SASL, "success"));
        self.authenticated(DomainPair::new(from, to), Method::External);
        self.restart();
    }

    pub(super) fn auth_failed(&mut self, condition: &str, text: &str) {
        self.wire.send(words::sasl_failure(condition, text));
        self.sasl_failures += 1;
        if self.sasl_failures >= ATTEMPTS {
            self.wire.fail(StreamError::new(Condition::PolicyViolation, "too many failed attempts to authenticate"));
        }
    }
}

/// The identity in `<auth/>`: nothing, or `=`, means the stream's own (XEP-0178 §3).
fn authorization_identity(text: &str) -> Result<Option<Domain>, &'static str> {
    use base64::Engine as _;
    let text = text.trim();
    if text.is_empty() || text == "=" {
        return Ok(None);
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| "incorrect-encoding")?;
    let identity = String::from_utf8(decoded).map_err(|_| "invalid-authzid")?;
    Domain::parse(&identity).map(Some).map_err(|_| "invalid-authzid")
}
