//! What we say on a stream: headers, features, negotiation elements, errors.

use std::fmt::Write as _;

use bytes::Bytes;

use super::error::StreamError;
use super::{Need, Settings, Terms};
use crate::dialback;
use crate::xml::write::{escape_attribute, escape_text};
use crate::xml::{Header, SERVER};

/// The namespace of the stream element (RFC 6120 §4.8.1).
pub(super) const STREAMS: &str = "http://etherx.jabber.org/streams";
/// STARTTLS (RFC 6120 §5).
pub(super) const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// SASL (RFC 6120 §6).
pub(super) const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// Stream management (XEP-0198 §3).
pub(super) const STREAM_MANAGEMENT: &str = "urn:xmpp:sm:3";
/// What a peer takes at most (XEP-0478).
pub(super) const LIMITS: &str = "urn:xmpp:stream-limits:0";
/// Defined stream error conditions (RFC 6120 §4.9.2).
pub(super) const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// The stream's end.
pub(super) const FOOTER: &[u8] = b"</stream:stream>";

/// A stream header; one with an `id` answers the peer's. `version_1` is false for a peer that doesn't
/// speak of versions (RFC 6120 §4.7.5).
pub(super) fn header(from: Option<&str>, to: Option<&str>, id: Option<&str>, version_1: bool) -> Bytes {
    // COMPAT(Openfire 5.1, MongooseIM 6.8): know dialback by this very attribute, and its elements by `db:`.
    let mut text = format!(
        "<?xml version='1.0'?><stream:stream xmlns='{SERVER}' xmlns:stream='{STREAMS}' xmlns:db='{}'",
        dialback::NAMESPACE
    );
    for (name, value) in [("from", from), ("to", to), ("id", id)] {
        if let Some(value) = value {
            let _ = write!(text, " {name}='{}'", escape_attribute(value));
        }
    }
    if version_1 {
        text.push_str(" version='1.0'");
    }
    // The opener's language would become that of each stanza that doesn't say its own, which we
    // can't know; the answerer's is that of its error texts.
    if id.is_some() {
        text.push_str(" xml:lang='en'");
    }
    text.push('>');
    text.into()
}

/// Whether the peer speaks XMPP 1.0 or what comes after it, and so expects features (RFC 6120 §4.7.5).
pub(super) fn is_version_1(header: &Header) -> bool {
    let major = header.version.as_deref().and_then(|version| version.split('.').next());
    major.and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major >= 1)
}

pub(super) fn stream_error(error: &StreamError) -> Bytes {
    format!(
        "<stream:error><{0} xmlns='{STREAM_ERRORS}'/><text xmlns='{STREAM_ERRORS}' xml:lang='en'>{1}</text></stream:error>",
        error.condition,
        escape_text(&error.text)
    )
    .into()
}

/// The features of a stream that isn't secure yet; dialback only where it may go without TLS.
pub(super) fn features_plain(terms: Terms) -> Bytes {
    let mut text = String::from("<stream:features>");
    match terms.tls {
        Need::Required => {
            let _ = write!(text, "<starttls xmlns='{TLS}'><required/></starttls>");
        }
        Need::Optional => {
            let _ = write!(text, "<starttls xmlns='{TLS}'/>");
        }
        Need::NotSupported => {}
    }
    if terms.tls != Need::Required && terms.dialback {
        text.push_str(&dialback_feature());
    }
    text.push_str("</stream:features>");
    text.into()
}

/// The features of a secure stream: how to prove oneself, and our limits (XEP-0478).
pub(super) fn features(external: bool, dialback: bool, settings: &Settings) -> Bytes {
    features_with("", external, dialback, settings)
}

/// The features after EXTERNAL: stream management too (XEP-0198 §3).
pub(super) fn features_proven(dialback: bool, settings: &Settings) -> Bytes {
    features_with(&format!("<sm xmlns='{STREAM_MANAGEMENT}'/>"), false, dialback, settings)
}

fn features_with(more: &str, external: bool, dialback: bool, settings: &Settings) -> Bytes {
    let mut text = format!("<stream:features>{more}");
    if external {
        let _ = write!(text, "<mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>");
    }
    if dialback {
        text.push_str(&dialback_feature());
    }
    let _ = write!(
        text,
        "<limits xmlns='{LIMITS}'><max-bytes>{}</max-bytes><idle-seconds>{}</idle-seconds></limits>",
        settings.limits.stanza_bytes,
        settings.idle.as_secs()
    );
    text.push_str("</stream:features>");
    text.into()
}

fn dialback_feature() -> String {
    format!("<dialback xmlns='{}'><errors/></dialback>", dialback::FEATURE)
}

pub(super) fn empty(namespace: &str, name: &str) -> Bytes {
    format!("<{name} xmlns='{namespace}'/>").into()
}

pub(super) fn sasl_failure(condition: &str, text: &str) -> Bytes {
    format!("<failure xmlns='{SASL}'><{condition}/><text xml:lang='en'>{}</text></failure>", escape_text(text)).into()
}

pub(super) fn sasl_external(authorization_identity: &str) -> Bytes {
    use base64::Engine as _;
    let identity = base64::engine::general_purpose::STANDARD.encode(authorization_identity);
    format!("<auth xmlns='{SASL}' mechanism='EXTERNAL'>{identity}</auth>").into()
}

/// `<db:result/>` or `<db:verify/>`; the prefix must be `db` (XEP-0220 §2.2, old servers match it
/// literally), and the stream header declares it.
pub(super) struct Dialback<'a> {
    pub(super) element: &'static str,
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) id: Option<&'a str>,
    pub(super) kind: Option<&'static str>,
    pub(super) content: DialbackContent<'a>,
}

pub(super) enum DialbackContent<'a> {
    Nothing,
    Key(&'a str),
    Error { condition: &'static str, text: &'a str },
}

impl Dialback<'_> {
    pub(super) fn write(&self) -> Bytes {
        let mut text =
            format!("<db:{} from='{}' to='{}'", self.element, escape_attribute(self.from), escape_attribute(self.to));
        for (name, value) in [("id", self.id), ("type", self.kind)] {
            if let Some(value) = value {
                let _ = write!(text, " {name}='{}'", escape_attribute(value));
            }
        }
        match &self.content {
            DialbackContent::Nothing => text.push_str("/>"),
            DialbackContent::Key(key) => {
                let _ = write!(text, ">{}</db:{}>", escape_text(key), self.element);
            }
            DialbackContent::Error { condition, text: why } => {
                let _ = write!(
                    text,
                    "><error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
                     <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>{}</text></error></db:{}>",
                    escape_text(why),
                    self.element
                );
            }
        }
        text.into()
    }
}
