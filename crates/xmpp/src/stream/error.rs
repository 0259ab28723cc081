//! Stream errors: one condition of RFC 6120 §4.9.3 for each kind of fault, and how a stream ended.

use std::fmt;

macro_rules! conditions {
    ($($variant:ident $name:literal,)*) => {
        /// The stream error conditions of RFC 6120 §4.9.3.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the names are the RFC's")]
        pub enum Condition { $($variant,)* }

        impl Condition {
            /// The element's name.
            pub fn name(self) -> &'static str {
                match self { $(Condition::$variant => $name,)* }
            }

            /// The condition of that name, if RFC 6120 has it.
            pub fn from_name(name: &str) -> Option<Condition> {
                match name { $($name => Some(Condition::$variant),)* _ => None }
            }
        }
    };
}

conditions! {
    BadFormat "bad-format",
    BadNamespacePrefix "bad-namespace-prefix",
    Conflict "conflict",
    ConnectionTimeout "connection-timeout",
    HostGone "host-gone",
    HostUnknown "host-unknown",
    ImproperAddressing "improper-addressing",
    InternalServerError "internal-server-error",
    InvalidFrom "invalid-from",
    InvalidNamespace "invalid-namespace",
    InvalidXml "invalid-xml",
    NotAuthorized "not-authorized",
    NotWellFormed "not-well-formed",
    PolicyViolation "policy-violation",
    RemoteConnectionFailed "remote-connection-failed",
    Reset "reset",
    ResourceConstraint "resource-constraint",
    RestrictedXml "restricted-xml",
    SeeOtherHost "see-other-host",
    SystemShutdown "system-shutdown",
    UndefinedCondition "undefined-condition",
    UnsupportedEncoding "unsupported-encoding",
    UnsupportedFeature "unsupported-feature",
    UnsupportedStanzaType "unsupported-stanza-type",
    UnsupportedVersion "unsupported-version",
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A fault that ends a stream, with a sentence for the person who reads the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{condition}: {text}")]
pub struct StreamError {
    /// What kind of fault it is.
    pub condition: Condition,
    /// What was seen, what was expected.
    pub text: String,
}

impl StreamError {
    /// A fault of that kind, in words. They may quote a peer and end up in a log: one line is kept,
    /// of bounded length.
    pub fn new(condition: Condition, text: impl AsRef<str>) -> StreamError {
        let text = text.as_ref().chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
        StreamError { condition, text }
    }
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// We closed it, and the peer answered.
    Closed,
    /// The peer closed it properly.
    PeerClosed,
    /// The peer ended it with a stream error.
    PeerError(StreamError),
    /// We ended it with a stream error.
    OurError(StreamError),
    /// The transport ended before the stream did.
    Vanished,
    /// The peer connected, said nothing and left.
    Probe,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Closed => f.write_str("closed"),
            End::PeerClosed => f.write_str("closed by the peer"),
            End::PeerError(error) => write!(f, "the peer ended it with {error}"),
            End::OurError(error) => write!(f, "ended with {error}"),
            End::Vanished => f.write_str("the connection ended without the stream's end"),
            End::Probe => f.write_str("the peer connected and left without a word"),
        }
    }
}
