//! A client's stream on a connection: what is sent, and what comes, element by element.

use std::net::SocketAddr;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use xmpp::stanza::STANZA_ERRORS;
use xmpp::xml::tree::Element;
use xmpp::xml::write::escape_attribute;
use xmpp::xml::{Frame, Limits, Scanner, Verbatim};

use super::trouble::{Lacks, Trouble};

const STREAMS: &str = "http://etherx.jabber.org/streams";
const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";

/// What a stream can go over.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A stream.
pub(super) struct Wire<IO> {
    io: IO,
    scanner: Scanner,
    buffer: BytesMut,
    at: SocketAddr,
    /// Something was understood; before, it may be anything that listens there.
    speaks: bool,
}

impl<IO: Io> Wire<IO> {
    pub(super) fn new(io: IO, at: SocketAddr) -> Wire<IO> {
        Wire { io, scanner: scanner(), buffer: BytesMut::new(), at, speaks: false }
    }

    /// The connection alone, for TLS; nothing may have come that was said without (RFC 6120 §5.4.3.3).
    pub(super) fn into_inner(self) -> Result<IO, Trouble> {
        if self.buffer.is_empty() {
            return Ok(self.io);
        }
        Err(Trouble::Tls {
            at: self.at,
            what: "something was said between STARTTLS and TLS".to_owned(),
            lacks: Lacks::Other,
        })
    }

    /// Opens a stream, also again after SASL; gives what is offered.
    pub(super) async fn open(&mut self, domain: &str) -> Result<Element, Trouble> {
        self.scanner = scanner();
        let header = format!(
            "<?xml version='1.0'?><stream:stream to='{}' version='1.0' xmlns='jabber:client' xmlns:stream='{STREAMS}'>",
            escape_attribute(domain)
        );
        self.write(&header).await?;
        match self.frame().await? {
            Frame::Header(header) if header.namespace == STREAMS && header.content_namespace == "jabber:client" => {}
            Frame::Header(header) if header.content_namespace == "jabber:server" => {
                return Err(self.other("it is a port for servers"));
            }
            _ => return Err(self.other("what it sends is no stream")),
        }
        self.speaks = true;
        let features = self.element().await?;
        match (features.namespace(), features.name()) {
            (STREAMS, "features") => tree(&features),
            _ => Err(self.other("it offers nothing")),
        }
    }

    pub(super) async fn write(&mut self, text: &str) -> Result<(), Trouble> {
        let written = async {
            self.io.write_all(text.as_bytes()).await?;
            self.io.flush().await
        };
        written.await.map_err(|error: std::io::Error| Trouble::Broken(error.to_string()))
    }

    /// The next element. It can be waited for by halves: nothing is lost where the waiting ends early.
    pub(super) async fn element(&mut self) -> Result<Verbatim, Trouble> {
        loop {
            match self.frame().await? {
                Frame::Element(element) if (element.namespace(), element.name()) == (STREAMS, "error") => {
                    let error = tree(&element)?;
                    let condition = condition(&error, STREAM_ERRORS).unwrap_or_else(|| "an error".to_owned());
                    let text = error.child(STREAM_ERRORS, "text").map(Element::text);
                    return Err(Trouble::Stream { condition, text: in_brackets(text) });
                }
                Frame::Element(element) => return Ok(element),
                Frame::Whitespace => {}
                Frame::Header(_) => return Err(self.other("a stream begins within the stream")),
                Frame::Footer => return Err(Trouble::Broken("the server ended the stream".to_owned())),
            }
        }
    }

    async fn frame(&mut self) -> Result<Frame, Trouble> {
        loop {
            match self.scanner.next(&mut self.buffer) {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => {}
                Err(error) => return Err(self.other(&error.to_string())),
            }
            self.buffer.reserve(16_384);
            match self.io.read_buf(&mut self.buffer).await {
                Ok(0) if !self.speaks => return Err(self.other("it closes the connection")),
                Ok(0) => return Err(Trouble::Broken("the server closed it".to_owned())),
                Ok(_) => {}
                Err(error) => return Err(Trouble::Broken(error.to_string())),
            }
        }
    }

    fn other(&self, what: &str) -> Trouble {
        Trouble::NotXmpp { at: self.at, what: what.to_owned() }
    }
}

fn scanner() -> Scanner {
    Scanner::new(Limits { stanza_bytes: 1 << 20, ..Limits::default() })
}

/// An element's content.
pub(super) fn tree(element: &Verbatim) -> Result<Element, Trouble> {
    Element::of(element).map_err(|error| Trouble::Broken(error.to_string()))
}

/// The condition in an error, by its name.
pub(super) fn condition(error: &Element, namespace: &str) -> Option<String> {
    let mut conditions = error.children().filter(|child| child.namespace == namespace && child.name != "text");
    conditions.next().map(|child| child.name.clone())
}

/// Condition and text of a stanza's error.
pub(super) fn stanza_error(stanza: &Element) -> (Option<String>, Option<String>) {
    let Some(error) = stanza.children().find(|child| child.name == "error") else { return (None, None) };
    (condition(error, STANZA_ERRORS), error.child(STANZA_ERRORS, "text").map(Element::text))
}

/// A server's own words, behind the condition.
pub(super) fn in_brackets(text: Option<String>) -> String {
    text.filter(|text| !text.trim().is_empty()).map(|text| format!(" ({})", plain(text.trim()))).unwrap_or_default()
}

/// Somebody else's words, as they may stand on a terminal: short, and without its control characters.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}
