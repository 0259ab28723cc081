//! An element as the bytes it came in, with the head that decisions need.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::tag::{Attribute, attribute_value};
use super::{Frame, Limits, Scanner, XmlError};
use crate::jid::domain_of;

/// A place in an element's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
    /// What stands there is what its reader sees.
    plain: bool,
}

/// Where the head of an element lies.
#[derive(Debug, Clone)]
pub(super) struct Head {
    namespace: Cow<'static, str>,
    name: Span,
    from: Option<Span>,
    to: Option<Span>,
    id: Option<Span>,
    kind: Option<Span>,
    /// An attribute in a namespace has the local name of one of these.
    shadowed: bool,
}

fn span(range: &Range<usize>, plain: bool) -> Span {
    // An element is never longer than its limit, which is far below 4 GiB.
    let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span { start: place(range.start), end: place(range.end), plain }
}

impl Head {
    pub(super) fn new(namespace: Cow<'static, str>, local_name: &Range<usize>) -> Head {
        let (from, to, id, kind) = (None, None, None, None);
        Head { namespace, name: span(local_name, true), from, to, id, kind, shadowed: false }
    }

    /// Takes in an attribute of the tag that `text` is.
    pub(super) fn attribute(&mut self, text: &[u8], attribute: &Attribute) {
        let place = match attribute.name.local(text) {
            b"from" => &mut self.from,
            b"to" => &mut self.to,
            b"id" => &mut self.id,
            b"type" => &mut self.kind,
            _ => return,
        };
        match attribute.name.prefix(text) {
            None => *place = Some(span(&attribute.value, attribute.plain)),
            Some(prefix) => self.shadowed |= prefix != b"xmlns",
        }
    }

    /// Where the element's name ends.
    pub(super) fn name_end(&self) -> usize {
        self.name.end as usize
    }

    /// `by` bytes were put in between the name and the attributes.
    pub(super) fn shift(&mut self, by: usize) {
        let by = u32::try_from(by).unwrap_or(u32::MAX);
        for span in [&mut self.from, &mut self.to, &mut self.id, &mut self.kind].into_iter().flatten() {
            span.start = span.start.saturating_add(by);
            span.end = span.end.saturating_add(by);
        }
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }
}

/// A checked, complete first-level element that can stand in any stream whose default namespace is
/// `jabber:server`. Cheap to clone, and to move about: it is handed on a dozen times on its way.
#[derive(Clone)]
pub struct Verbatim(Arc<Parts>);

struct Parts {
    bytes: Bytes,
    head: Head,
}

impl Verbatim {
    /// An element whose tags and content were checked.
    pub(super) fn new(bytes: Bytes, head: Head) -> Verbatim {
        Verbatim(Arc::new(Parts { bytes, head }))
    }

    /// Reads one element that stands alone, such as one that we wrote ourselves.
    ///
    /// # Errors
    /// When it is anything but one complete element of restricted XML within default limits.
    pub fn parse(bytes: &[u8]) -> Result<Verbatim, XmlError> {
        Alone::default().read(bytes)
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// The element's namespace.
    pub fn namespace(&self) -> &str {
        self.0.head.namespace()
    }

    /// The element's local name.
    pub fn name(&self) -> &str {
        self.text(self.0.head.name)
    }

    /// The attribute `from`, references resolved.
    pub fn from(&self) -> Option<Cow<'_, str>> {
        self.value(self.0.head.from)
    }

    /// The attribute `to`, references resolved.
    pub fn to(&self) -> Option<Cow<'_, str>> {
        self.value(self.0.head.to)
    }

    /// The attribute `id`, references resolved.
    pub fn id(&self) -> Option<Cow<'_, str>> {
        self.value(self.0.head.id)
    }

    /// The attribute `type`, references resolved.
    pub fn type_(&self) -> Option<Cow<'_, str>> {
        self.value(self.0.head.kind)
    }

    /// Whether the servers that read heads loosely see the same `from`, `to`, `id` and `type` as we.
    pub(crate) fn reads_alike(&self) -> bool {
        // COMPAT(Openfire 5.1, jabberd2 2.7): take an attribute by its local name, whatever its namespace.
        // COMPAT(Tigase 8): resolves no references in addresses, so they may not decide on the domain.
        let same_domain = |span: Option<Span>| {
            span.filter(|span| !span.plain).is_none_or(|span| {
                let raw = self.text(span);
                domain_of(raw) == domain_of(&attribute_value(raw))
            })
        };
        !self.0.head.shadowed && same_domain(self.0.head.from) && same_domain(self.0.head.to)
    }

    fn value(&self, span: Option<Span>) -> Option<Cow<'_, str>> {
        span.map(|span| {
            let raw = self.text(span);
            if span.plain { Cow::Borrowed(raw) } else { attribute_value(raw) }
        })
    }

    fn text(&self, span: Span) -> &str {
        // Names and values were each checked to be UTF-8.
        let bytes = self.0.bytes.get(span.start as usize..span.end as usize).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// Reads many elements each of which stands alone, with what one scanner needs.
#[derive(Debug)]
pub(crate) struct Alone(Scanner);

impl Default for Alone {
    fn default() -> Alone {
        // Whoever has the bytes has bounded them.
        Alone(Scanner::inside(Limits { stanza_bytes: usize::MAX, ..Limits::default() }))
    }
}

impl Alone {
    /// Reads the next one.
    ///
    /// # Errors
    /// When it is anything but one complete element of restricted XML; then nothing more can be read.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<Verbatim, XmlError> {
        let odd = XmlError::BadFormat { what: "this is not one complete element" };
        if let Some((head, length)) = self.0.plain_element(bytes)? {
            return if length == bytes.len() {
                Ok(Verbatim::new(Bytes::copy_from_slice(bytes), head))
            } else {
                Err(odd)
            };
        }
        let mut buffer = BytesMut::from(bytes);
        match (self.0.next(&mut buffer)?, buffer.is_empty()) {
            (Some(Frame::Element(element)), true) => Ok(element),
            _ => Err(odd),
        }
    }
}

impl std::fmt::Debug for Verbatim {
    /// Without the content, which is nobody's business in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{} xmlns='{}'> of {} bytes", self.name(), self.namespace(), self.0.bytes.len())
    }
}
