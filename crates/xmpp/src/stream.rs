//! Streams as machines: one that was accepted, one that we dialed.
//!
//! A driver puts received bytes into [`Accepted::input`], calls `poll` until it returns nothing,
//! carries out each [`Step`], and answers each [`Question`], at once or later. It stops calling
//! `poll` to exert back-pressure. Time comes in as `now`; `deadline` says when to `tick` next.

use std::time::Duration;

use bytes::Bytes;

use crate::domain::{Domain, DomainPair};
use crate::stanza::Stanza;
use crate::xml;

mod accepted;
mod dialed;
mod error;
#[cfg(test)]
mod tests;
mod wire;
mod words;

pub use accepted::Accepted;
pub use dialed::{Dialed, Goal, Offers, Phase};
pub use error::{Condition, End, StreamError};

/// Whether something is demanded, taken if there, or never used: Lync's words for TLS and SASL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// No stream without it.
    Required,
    /// Used where the peer has it.
    Optional,
    /// Neither offered nor taken.
    NotSupported,
}

/// What a domain pair demands of a stream that carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Terms {
    /// TLS, by STARTTLS or direct.
    pub tls: Need,
    /// SASL EXTERNAL by certificate. `Required` also demands a valid certificate of a dialed peer.
    pub external: Need,
    /// Whether dialback will do, also after EXTERNAL failed; not where EXTERNAL is required.
    pub dialback: bool,
}

impl Terms {
    /// Whether a pair with these terms may use a stream on which its `from` is proven by `method`, with
    /// TLS or without. What another pair of that stream may do doesn't count.
    ///
    /// # Errors
    /// When it may not, with the words to tell the peer.
    pub fn admits(self, method: Method, secure: bool) -> Result<(), StreamError> {
        let text = match method {
            _ if self.tls == Need::Required && !secure => "TLS is required here",
            Method::Dialback if !self.takes_dialback() => "dialback is not accepted here",
            Method::External if self.external == Need::NotSupported => "EXTERNAL is not accepted here",
            _ => return Ok(()),
        };
        Err(StreamError::new(Condition::PolicyViolation, text))
    }

    /// Whether dialback is enough to prove a domain.
    pub fn takes_dialback(self) -> bool {
        self.dialback && self.external != Need::Required
    }
}

/// The times and limits of streams.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What a stanza may measure.
    pub limits: xml::Limits,
    /// From the first byte to the first proof of identity.
    pub establish: Duration,
    /// Without a stanza, before we close.
    pub idle: Duration,
    /// Without a byte from us, before we send a space.
    pub keep_alive: Duration,
    /// After our own end of the stream, before we stop waiting for the peer's.
    pub drain: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            limits: xml::Limits::default(),
            establish: Duration::from_secs(60),
            // MUC self-pings come every 15 minutes.
            idle: Duration::from_secs(3600),
            keep_alive: Duration::from_secs(300),
            drain: Duration::from_secs(30),
        }
    }
}

/// How a domain proved that it is who it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// SASL EXTERNAL, by its certificate (XEP-0178).
    External,
    /// Dialback, by its DNS (XEP-0220).
    Dialback,
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Method::External => "EXTERNAL",
            Method::Dialback => "dialback",
        })
    }
}

/// What the driver shall do next, in this order.
#[derive(Debug)]
pub enum Step {
    /// Write these bytes.
    Send(Bytes),
    /// Flush what was sent, do the TLS handshake, then answer [`Answer::TlsUp`].
    StartTls,
    /// Find out, then answer. Reading goes on where the answer isn't needed for it.
    Ask(Question),
    /// Accepted: from here on, the pair may send.
    Authenticated {
        /// Who speaks to whom.
        pair: DomainPair,
        /// How `pair.from` proved itself.
        method: Method,
    },
    /// Dialed: write stanzas from here on.
    Ready {
        /// How we proved ourselves.
        method: Method,
    },
    /// Dialed: of the stanzas written, the peer has taken so many in all, as far as it can tell us.
    Taken {
        /// How many.
        stanzas: u64,
    },
    /// Dialed to verify a key: the authoritative server's word.
    Verified {
        /// Whether it made the key.
        valid: bool,
    },
    /// Dialed to look: the peer has said all that it says before anything is proven.
    Looked,
    /// A stanza that may pass.
    Stanza {
        /// Who speaks to whom.
        pair: DomainPair,
        /// What they say, self-contained.
        stanza: Stanza,
        /// To be told to [`Accepted::settled`] when its outcome is known.
        receipt: u64,
    },
    /// An error that returns a stanza to its sender; it travels the pair's way back.
    Return {
        /// From the refused stanza's recipient to its sender.
        pair: DomainPair,
        /// The error stanza.
        stanza: Stanza,
        /// The refused stanza's, to be told to [`Accepted::settled`] once the error is on its way; if it
        /// can't be sent, the peer shall know that the stanza went nowhere.
        receipt: u64,
    },
    /// A stanza that can neither pass nor be returned (it is an error or a result itself).
    Discard {
        /// Who spoke to whom.
        pair: DomainPair,
        /// What was said.
        stanza: Stanza,
    },
    /// The stream is over. Close the socket; nothing follows.
    End(End),
}

/// What a machine can't know by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Is `to` served here, may `from` come, and on which terms?
    Arrive {
        /// Who the peer says it is; not proven yet.
        from: Option<Domain>,
        /// Whom it wants to reach.
        to: Domain,
        /// Whether TLS is up.
        secure: bool,
    },
    /// May this pair use a stream on which `pair.from` proves itself by `method`?
    Admit {
        /// Who wants to speak to whom.
        pair: DomainPair,
        /// How `pair.from` is, or will be, proven.
        method: Method,
        /// Whether TLS is up: the pair's own terms may demand it.
        secure: bool,
    },
    /// Does the certificate that the peer showed speak for `domain`?
    Judge {
        /// The domain.
        domain: Domain,
    },
    /// Accepted: ask the authoritative server of `pair.from` whether it made this key.
    VerifyKey {
        /// Who wants to speak to whom.
        pair: DomainPair,
        /// Our stream's id.
        id: String,
        /// What it showed.
        key: String,
    },
    /// Somebody was shown this key as ours: did `pair.from`, a domain of ours, make it?
    CheckKey {
        /// From a domain of ours to the one that asks.
        pair: DomainPair,
        /// The asker's stream id.
        id: String,
        /// What it was shown.
        key: String,
    },
    /// Dialed: make the key for this pair and stream.
    MakeKey {
        /// Who speaks to whom.
        pair: DomainPair,
        /// The stream id that the peer gave.
        id: String,
    },
}

/// What an authoritative server says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyVerdict {
    /// It made it.
    Valid,
    /// It didn't.
    Invalid,
    /// It couldn't be asked; why.
    Unreachable(String),
}

/// The answers to [`Question`]s, and to [`Step::StartTls`].
#[derive(Debug, Clone)]
pub enum Answer {
    /// The TLS handshake succeeded.
    TlsUp {
        /// Whether the peer showed a certificate.
        certificate: bool,
        /// Dialed: whether we have one to show.
        own_certificate: bool,
    },
    /// To [`Question::Arrive`].
    Arrive(Result<Terms, StreamError>),
    /// To [`Question::Admit`].
    Admit(DomainPair, Result<(), StreamError>),
    /// To [`Question::Judge`]: the reason if it doesn't.
    Judged(Result<(), String>),
    /// To [`Question::VerifyKey`].
    Key {
        /// The pair that was asked for.
        pair: DomainPair,
        /// The word of its authoritative server.
        verdict: KeyVerdict,
    },
    /// To [`Question::CheckKey`].
    CheckedKey {
        /// The pair that was asked for.
        pair: DomainPair,
        /// The stream id that was asked for.
        id: String,
        /// Whether we made the key.
        valid: bool,
    },
    /// To [`Question::MakeKey`].
    MadeKey(String),
}
