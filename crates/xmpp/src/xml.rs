//! XML as XMPP restricts it: what passes here, no parser behind us may refuse.
//!
//! Tokens are found ([`token`]), checked one by one ([`look`], [`tag`], [`names`], [`namespaces`]) and
//! gathered into frames ([`scanner`]) without building a tree; an element travels as the bytes
//! it came in ([`Verbatim`]). Small trees are built of negotiation elements only ([`tree`]).

mod error;
mod look;
mod names;
mod namespaces;
mod redact;
mod scanner;
mod tag;
#[cfg(test)]
mod tests;
mod token;
pub mod tree;
mod verbatim;
pub mod write;

pub use error::XmlError;
pub use redact::redacted;
pub use scanner::Scanner;
pub(crate) use verbatim::Alone;
pub use verbatim::Verbatim;

/// The namespace of stanzas between servers (RFC 6120 §4.8.2).
pub const SERVER: &str = "jabber:server";

/// What one first-level element may measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes, as they will be sent on.
    pub stanza_bytes: usize,
    /// Elements within elements, the first level counted as one.
    pub depth: usize,
    /// Attributes and namespace declarations of one element.
    pub attributes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        // ejabberd takes 256 KiB by default, Prosody 512 KiB.
        Limits { stanza_bytes: 262_144, depth: 64, attributes: 64 }
    }
}

/// What a stream consists of.
#[derive(Debug, Clone)]
pub enum Frame {
    /// The stream's start tag.
    Header(Box<Header>),
    /// A complete first-level element.
    Element(Verbatim),
    /// The stream's end tag.
    Footer,
    /// White space between elements: a keep-alive.
    Whitespace,
}

/// A stream header, whatever its namespaces are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// The root element's namespace.
    pub namespace: String,
    /// The root element's name.
    pub local_name: String,
    /// The default namespace that it declares.
    pub content_namespace: String,
    /// Its attribute of that name.
    pub from: Option<String>,
    /// Its attribute of that name.
    pub to: Option<String>,
    /// Its attribute of that name.
    pub id: Option<String>,
    /// Its attribute of that name.
    pub version: Option<String>,
    /// Its `xml:lang`.
    pub lang: Option<String>,
    /// It declares a prefix for dialback, which its sender then speaks (XEP-0220 §2).
    pub dialback: bool,
}
