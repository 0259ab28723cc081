//! Our scanner's reading of a stream, whole or in pieces.

use bytes::BytesMut;
use xmpp::xml::{Frame, Header, Limits, Scanner, Verbatim, XmlError};

/// What the scanner made of a stream.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    pub(crate) header: Option<Header>,
    pub(crate) elements: Vec<Verbatim>,
    pub(crate) footer: bool,
    pub(crate) error: Option<XmlError>,
}

impl Scanned {
    /// Header, elements and footer.
    pub(crate) fn frames(&self) -> usize {
        usize::from(self.header.is_some()) + self.elements.len() + usize::from(self.footer)
    }

    /// Whether both are the same, byte for byte.
    pub(crate) fn equals(&self, other: &Scanned) -> bool {
        let head = |element: &Verbatim| {
            let own = |value: Option<std::borrow::Cow<'_, str>>| value.map(std::borrow::Cow::into_owned);
            (own(element.from()), own(element.to()), own(element.id()), own(element.type_()))
        };
        let same = |one: &Verbatim, other: &Verbatim| {
            one.bytes() == other.bytes()
                && (one.namespace(), one.name()) == (other.namespace(), other.name())
                && head(one) == head(other)
        };
        self.header == other.header
            && self.footer == other.footer
            && self.error == other.error
            && self.elements.len() == other.elements.len()
            && self.elements.iter().zip(&other.elements).all(|(one, other)| same(one, other))
    }
}

/// Scans `stream`, which comes in pieces of `piece` bytes.
pub(crate) fn scan(stream: &[u8], piece: usize) -> Scanned {
    let (mut scanner, mut buffer, mut scanned) = (Scanner::new(Limits::default()), BytesMut::new(), Scanned::default());
    for bytes in stream.chunks(piece) {
        buffer.extend_from_slice(bytes);
        loop {
            match scanner.next(&mut buffer) {
                Ok(Some(Frame::Header(header))) => scanned.header = Some(*header),
                Ok(Some(Frame::Element(element))) => scanned.elements.push(element),
                Ok(Some(Frame::Footer)) => scanned.footer = true,
                Ok(Some(Frame::Whitespace)) => {}
                Ok(None) => break,
                Err(error) => {
                    scanned.error = Some(error);
                    return scanned;
                }
            }
        }
    }
    scanned
}
