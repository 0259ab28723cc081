//! A stream that was dialed to look, and what can be seen of any: what the peer offers, how far it came.

use super::*;

/// Mechanisms of one peer that are remembered, and how long each may be: what they are is the peer's to say.
const MECHANISMS: (usize, usize) = (20, 40);

/// What a peer's features offer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offers {
    /// STARTTLS.
    pub starttls: bool,
    /// SASL mechanisms.
    pub mechanisms: Vec<String>,
    /// Dialback.
    pub dialback: bool,
    /// Stream management (XEP-0198).
    pub stream_management: bool,
    /// The largest stanza that it takes, in bytes (XEP-0478).
    pub max_bytes: Option<u64>,
    /// After how many seconds without a word it closes (XEP-0478).
    pub idle_seconds: Option<u64>,
}

/// How far a dialed stream has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The peer's header is awaited.
    Header,
    /// Its features are.
    Features,
    /// The connection is being handed over to TLS.
    StartTls,
    /// Whom its certificate speaks for is being asked.
    Certificate,
    /// We prove who we are by certificate, or have.
    External,
    /// We prove it by dialback.
    Dialback,
    /// The peer is asked about a key.
    Verify,
    /// What it was dialed for is done, or can be.
    Ready,
}

impl Offers {
    pub(super) fn of(features: &Element) -> Offers {
        let limit =
            |name| features.child(words::LIMITS, "limits")?.child(words::LIMITS, name)?.text().trim().parse().ok();
        let mechanisms = features.child(words::SASL, "mechanisms").into_iter().flat_map(Element::children);
        let mechanisms = mechanisms.filter(|child| child.name == "mechanism").take(MECHANISMS.0);
        Offers {
            starttls: features.child(words::TLS, "starttls").is_some(),
            mechanisms: mechanisms.map(|child| child.text().trim().chars().take(MECHANISMS.1).collect()).collect(),
            dialback: features.child(dialback::FEATURE, "dialback").is_some(),
            stream_management: features.child(words::STREAM_MANAGEMENT, "sm").is_some(),
            max_bytes: limit("max-bytes"),
            idle_seconds: limit("idle-seconds"),
        }
    }
}

impl Dialed {
    /// What the peer's latest features offer; nothing before they came, and again nothing until they come behind TLS.
    pub fn offers(&self) -> Option<&Offers> {
        self.offers.as_ref()
    }

    /// Whether the peer's latest header declares dialback.
    pub fn speaks_dialback(&self) -> bool {
        self.speaks_dialback
    }

    /// Why the peer refused our certificate, if it did.
    pub fn external_refused(&self) -> Option<&str> {
        self.external_refused.as_deref()
    }

    /// How far it has come, or had when it ended.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::ExpectHeader | State::ExpectFeatures if self.authenticated => Phase::External,
            State::ExpectHeader => Phase::Header,
            State::ExpectFeatures => Phase::Features,
            State::ExpectProceed | State::ExpectTls => Phase::StartTls,
            State::AwaitJudgement => Phase::Certificate,
            State::ExpectSasl => Phase::External,
            State::AwaitKey | State::ExpectResult => Phase::Dialback,
            State::ExpectVerdict => Phase::Verify,
            State::ExpectEnabled | State::Ready | State::Looked => Phase::Ready,
        }
    }

    pub(super) fn only_looks(&self) -> bool {
        matches!(self.goal, Goal::Look { .. })
    }

    /// Where it only looks, it has seen everything now.
    pub(super) fn looked(&mut self) -> bool {
        if self.only_looks() {
            self.state = State::Looked;
            self.wire.step(Step::Looked);
        }
        self.only_looks()
    }
}
