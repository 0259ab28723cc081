//! Stanzas: what fedge carries, and the errors that return one to its sender.

use std::borrow::Cow;
use std::ops::Deref;

use bytes::Bytes;

use crate::xml::write::{escape_attribute, escape_text};
use crate::xml::{Alone, SERVER, Verbatim, XmlError};

/// The namespace of stanza error conditions (RFC 6120 §8.3.3).
pub const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// The longest id that an error repeats, in bytes, so that it stays far below what anybody takes.
const LONGEST_ID: usize = 4096;

/// The three kinds of stanza (RFC 6120 §8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Pushed, no answer expected.
    Message,
    /// Broadcast, or a subscription.
    Presence,
    /// A request that must be answered, or its answer.
    Iq,
}

impl Kind {
    /// The element's name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Message => "message",
            Kind::Presence => "presence",
            Kind::Iq => "iq",
        }
    }
}

/// A message, presence or iq of `jabber:server`, as the bytes it came in. Cheap to clone.
#[derive(Clone)]
pub struct Stanza {
    element: Verbatim,
    kind: Kind,
}

impl Deref for Stanza {
    type Target = Verbatim;

    fn deref(&self) -> &Verbatim {
        &self.element
    }
}

impl Stanza {
    /// The element as a stanza, or the element itself if it is none.
    ///
    /// # Errors
    /// The element, when it is no stanza.
    #[allow(clippy::result_large_err, reason = "the caller goes on with the element")]
    pub fn of(element: Verbatim) -> Result<Stanza, Verbatim> {
        let kind = match element.name() {
            _ if element.namespace() != SERVER => None,
            "message" => Some(Kind::Message),
            "presence" => Some(Kind::Presence),
            "iq" => Some(Kind::Iq),
            _ => None,
        };
        match kind {
            Some(kind) => Ok(Stanza { element, kind }),
            None => Err(element),
        }
    }

    /// Reads a stanza that stands alone, such as one that we wrote ourselves.
    ///
    /// # Errors
    /// When `bytes` are anything but one stanza.
    pub fn parse(bytes: &[u8]) -> Result<Stanza, XmlError> {
        Reader::default().read(bytes)
    }

    /// Message, presence or iq.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether somebody waits for it who asked something (RFC 6120 §8.2.3). A second one is ignored by him.
    pub fn is_answer(&self) -> bool {
        self.kind == Kind::Iq && matches!(self.type_().as_deref(), Some("result" | "error"))
    }

    /// The error that returns this stanza to its sender; nothing for errors and results, which are
    /// never returned (RFC 6120 §8.3.1).
    pub fn error_reply(&self, condition: StanzaCondition, text: &str) -> Option<Stanza> {
        self.error_from(self.to().as_deref(), condition, text)
    }

    /// The same, said by `from`, where this stanza's own `to` is nothing that an error may come from.
    pub(crate) fn error_from(&self, from: Option<&str>, condition: StanzaCondition, text: &str) -> Option<Stanza> {
        if matches!(self.type_().as_deref(), Some("error" | "result")) {
            return None;
        }
        let mut reply = format!("<{}", self.kind.name());
        let id = self.id().filter(|id| id.len() <= LONGEST_ID);
        for (name, value) in [("from", from.map(Cow::Borrowed)), ("to", self.from()), ("id", id)] {
            if let Some(value) = value {
                reply.push_str(&format!(" {name}='{}'", escape_attribute(&value)));
            }
        }
        reply.push_str(&format!(
            " type='error'><error type='{}'><{condition} xmlns='{STANZA_ERRORS}'/>\
             <text xmlns='{STANZA_ERRORS}' xml:lang='en'>{}</text></error></{}>",
            condition.kind(),
            escape_text(text),
            self.kind.name()
        ));
        Stanza::parse(&Bytes::from(reply)).ok()
    }
}

/// Reads stanzas each of which stands alone, such as those that cross the trunk. Cheaper for many of them than
/// [`Stanza::parse`].
#[derive(Debug, Default)]
pub struct Reader(Alone);

impl Reader {
    /// Reads the next one.
    ///
    /// # Errors
    /// When `bytes` are anything but one stanza; then nothing more can be read.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Stanza, XmlError> {
        Stanza::of(self.0.read(bytes)?).map_err(|_| XmlError::BadFormat { what: "this is not a stanza" })
    }
}

impl std::fmt::Debug for Stanza {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.element.fmt(f)
    }
}

/// Why a stanza comes back, as far as fedge has to say it (RFC 6120 §8.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StanzaCondition {
    /// It can't be told whom the stanza is for.
    JidMalformed,
    /// Policy forbids this pair.
    NotAllowed,
    /// Too much at once; may be sent again later.
    ResourceConstraint,
    /// No server answers for the domain.
    RemoteServerNotFound,
    /// The domain's server didn't answer in time; may be sent again later.
    RemoteServerTimeout,
    /// Too large for whoever comes next.
    PolicyViolation,
}

impl StanzaCondition {
    /// What the sender can do about it: `cancel`, `modify` or `wait`.
    pub fn kind(self) -> &'static str {
        match self {
            StanzaCondition::JidMalformed | StanzaCondition::PolicyViolation => "modify",
            StanzaCondition::NotAllowed | StanzaCondition::RemoteServerNotFound => "cancel",
            StanzaCondition::ResourceConstraint | StanzaCondition::RemoteServerTimeout => "wait",
        }
    }
}

impl std::fmt::Display for StanzaCondition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            StanzaCondition::JidMalformed => "jid-malformed",
            StanzaCondition::NotAllowed => "not-allowed",
            StanzaCondition::ResourceConstraint => "resource-constraint",
            StanzaCondition::RemoteServerNotFound => "remote-server-not-found",
            StanzaCondition::RemoteServerTimeout => "remote-server-timeout",
            StanzaCondition::PolicyViolation => "policy-violation",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::tree::Element;

    fn stanza(text: &str) -> Stanza {
        Stanza::parse(text.as_bytes()).expect("a stanza")
    }

    #[test]
    fn the_head_is_read_with_references_resolved() {
        let iq = stanza("<iq id='a&amp;b&#x41;' from=\"x@contoso.test\" type='get' to='y@fabrikam.test'/>");
        assert_eq!(iq.kind(), Kind::Iq);
        assert_eq!(iq.id().as_deref(), Some("a&bA"));
        assert_eq!(iq.from().as_deref(), Some("x@contoso.test"));
        assert_eq!(iq.to().as_deref(), Some("y@fabrikam.test"));
        assert_eq!(iq.type_().as_deref(), Some("get"));
    }

    #[test]
    fn prefixed_names_are_understood() {
        let message = stanza("<s:message xmlns:s='jabber:server' xmlns='urn:other'/>");
        assert_eq!((message.kind(), message.name()), (Kind::Message, "message"));
        assert!(Stanza::parse(b"<message xmlns='jabber:client'/>").is_err());
        assert!(Stanza::parse(b"<message/><message/>").is_err());
    }

    #[test]
    fn a_reader_begins_each_stanza_anew() {
        let mut reader = Reader::default();
        let marked = "<p:message xmlns:p='jabber:server' xml:lang='de' from='a@contoso.test'/>";
        assert_eq!(reader.read(marked.as_bytes()).expect("a stanza").from().as_deref(), Some("a@contoso.test"));
        let plain = reader.read(b"<message><body>1</body></message>").expect("a stanza");
        assert_eq!((plain.from(), &plain.bytes()[..]), (None, &b"<message><body>1</body></message>"[..]));
        for bad in ["<p:message/>", "<message>", "<message/> ", "<message/><message/>", "", "<message xmlns='x'/>"] {
            let mut reader = Reader::default();
            reader.read(marked.as_bytes()).expect("a stanza");
            assert!(reader.read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_error_returns_a_stanza_to_its_sender() {
        let sent = stanza("<iq id='a&apos;' type='get' from='a@contoso.test' to='b@fabrikam.test'><x xmlns='y'/></iq>");
        let reply = sent.error_reply(StanzaCondition::NotAllowed, "a <b>").expect("a reply");
        assert_eq!(reply.to().as_deref(), Some("a@contoso.test"));
        assert_eq!(reply.from().as_deref(), Some("b@fabrikam.test"));
        assert_eq!(reply.id().as_deref(), Some("a'"));
        let tree = Element::parse(reply.bytes()).expect("a tree");
        let error = tree.child(SERVER, "error").expect("an error");
        assert_eq!(error.attr("type"), Some("cancel"));
        assert!(error.child(STANZA_ERRORS, "not-allowed").is_some());
        assert_eq!(error.child(STANZA_ERRORS, "text").map(Element::text).as_deref(), Some("a <b>"));
    }

    #[test]
    fn errors_and_results_are_never_returned() {
        for text in ["<message type='error'/>", "<iq type='result'/>", "<iq type='&#101;rror'/>"] {
            assert!(stanza(text).error_reply(StanzaCondition::NotAllowed, "").is_none(), "{text}");
        }
    }
}
