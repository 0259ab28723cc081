//! What can be wrong with received XML, and which stream error says so.

/// A fault in received XML. It never quotes more than a name of what was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Against the grammar of XML 1.0 or Namespaces in XML 1.0.
    #[error("the XML is not well-formed: {what}")]
    NotWellFormed {
        /// What was seen.
        what: &'static str,
    },
    /// XML, but not XMPP's part of it (RFC 6120 §11.1).
    #[error("XMPP does not allow {what}")]
    Restricted {
        /// What was seen.
        what: &'static str,
    },
    /// Well-formed, but nothing that a stream consists of.
    #[error("the stream can't be read: {what}")]
    BadFormat {
        /// What was seen.
        what: &'static str,
    },
    /// A prefix that nothing declares, or that may not be declared so.
    #[error("a namespace prefix is wrong: {what}")]
    BadNamespacePrefix {
        /// What was seen.
        what: &'static str,
    },
    /// Not UTF-8, by its bytes or by what it declares.
    #[error("the stream is not in UTF-8")]
    UnsupportedEncoding,
    /// More bytes than allowed.
    #[error("an element is larger than {limit} bytes, the most that is taken here")]
    TooBig {
        /// The limit.
        limit: usize,
    },
    /// More elements within elements than allowed.
    #[error("elements are nested deeper than {limit}, the most that is taken here")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// More prefixes in force than allowed.
    #[error("more than {limit} namespace prefixes are declared at once, the most that is taken here")]
    TooManyPrefixes {
        /// The limit.
        limit: usize,
    },
    /// A header that would make each of its stanzas larger than allowed.
    #[error(
        "the stream header declares more than {limit} bytes of prefixes and language, which each stanza would repeat"
    )]
    TooMuchDeclared {
        /// The limit.
        limit: usize,
    },
    /// More attributes than allowed.
    #[error("an element has more than {limit} attributes, the most that is taken here")]
    TooManyAttributes {
        /// The limit.
        limit: usize,
    },
}

impl XmlError {
    /// The stream error condition that stands for it (RFC 6120 §4.9.3).
    pub fn condition(&self) -> &'static str {
        match self {
            XmlError::NotWellFormed { .. } => "not-well-formed",
            XmlError::Restricted { .. } => "restricted-xml",
            XmlError::BadFormat { .. } => "bad-format",
            XmlError::BadNamespacePrefix { .. } => "bad-namespace-prefix",
            XmlError::UnsupportedEncoding => "unsupported-encoding",
            XmlError::TooBig { .. }
            | XmlError::TooDeep { .. }
            | XmlError::TooManyAttributes { .. }
            | XmlError::TooManyPrefixes { .. }
            | XmlError::TooMuchDeclared { .. } => "policy-violation",
        }
    }
}
