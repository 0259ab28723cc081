//! The strict, resumable scanner: bytes in, frames out.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Buf, BytesMut};
use memchr::memmem;

use super::names::all_chars;
use super::namespaces::Prefixes;
use super::tag::{Tag, attribute_value, check_text, split_name};
use super::token::{Finder, Token};
use super::verbatim::{Head, Verbatim};
use super::write::escape_attribute;
use super::{Frame, Header, Limits, SERVER, XmlError};
use crate::dialback;

/// The longest stream header, in bytes; those of real servers take some 300.
const HEADER: usize = 10_000;
/// What a header may declare, in bytes: a stanza of ten bytes shall not grow by more than this.
const DECLARED: usize = 1000;

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was read.
    Start,
    /// The header is due.
    Prolog,
    /// The header was read; its qualified name, which the end tag must repeat.
    Stream(String),
    /// The end tag was read.
    Over,
}

/// Cuts a stream into frames. What it refuses it refuses for good: a fault ends the stream.
#[derive(Debug)]
pub struct Scanner {
    limits: Limits,
    stage: Stage,
    finder: Finder,
    tag: Tag,
    prefixes: Prefixes,
    /// The header's default namespace.
    content: String,
    /// The header's `xml:lang`, to be stamped on stanzas that have none of their own.
    lang: Option<String>,
    /// Bytes of the unfinished first-level element that were checked.
    checked: usize,
    /// Names of the elements that are open, as places in the unfinished element.
    open: Vec<(usize, usize)>,
    head: Option<Head>,
    /// The first-level element has its own `xml:lang`.
    has_lang: bool,
    /// The first-level element's attributes and declarations.
    attributes: usize,
}

fn fault(what: &'static str) -> XmlError {
    XmlError::NotWellFormed { what }
}

impl Scanner {
    /// A scanner at the beginning of a stream.
    pub fn new(limits: Limits) -> Scanner {
        Scanner {
            limits,
            stage: Stage::Start,
            finder: Finder::default(),
            tag: Tag::default(),
            prefixes: Prefixes::default(),
            content: String::new(),
            lang: None,
            checked: 0,
            open: Vec::new(),
            head: None,
            has_lang: false,
            attributes: 0,
        }
    }

    /// A scanner inside a stream whose header declares `jabber:server` and nothing else.
    pub(super) fn inside(limits: Limits) -> Scanner {
        Scanner { stage: Stage::Stream(String::new()), content: SERVER.to_owned(), ..Scanner::new(limits) }
    }

    /// From here on, an element may have that many bytes.
    pub(crate) fn allow(&mut self, stanza_bytes: usize) {
        self.limits.stanza_bytes = stanza_bytes;
    }

    /// Takes the next complete frame off the front of `buffer`, if it is there. Between two calls,
    /// bytes may only be added to the buffer's end.
    ///
    /// # Errors
    /// At the first fault; the stream can't be read any further then.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, XmlError> {
        loop {
            let outside = self.open.is_empty();
            let Some((token, length)) = self.finder.find(&buffer[self.checked..], outside)? else {
                self.within(buffer.len())?;
                return Ok(None);
            };
            let place = self.checked..self.checked + length;
            self.within(place.end)?;
            if let (Token::Text, true) = (token, outside) {
                return self.whitespace(buffer, length).map(Some);
            }
            let text = simdutf8::basic::from_utf8(&buffer[place.clone()]).map_err(|_| XmlError::UnsupportedEncoding)?;
            match token {
                Token::Text => check_content(text)?,
                Token::CData if outside => return Err(fault("character data outside of an element")),
                Token::CData if !all_chars(text) => return Err(fault("a character that XML forbids")),
                Token::CData => {}
                Token::Declaration => {
                    self.declaration(text)?;
                    buffer.advance(length);
                    continue;
                }
                Token::Start if !matches!(self.stage, Stage::Stream(_)) => {
                    let header = self.header(text)?;
                    buffer.advance(length);
                    return Ok(Some(Frame::Header(header)));
                }
                Token::Start => self.start(&place, text)?,
                Token::End if outside => {
                    self.footer(text)?;
                    buffer.advance(length);
                    return Ok(Some(Frame::Footer));
                }
                Token::End => end(&mut self.open, &mut self.prefixes, buffer, text)?,
            }
            self.checked = place.end;
            if self.open.is_empty() {
                return self.complete(buffer).map(Some);
            }
        }
    }

    fn within(&self, length: usize) -> Result<(), XmlError> {
        let limit = match self.stage {
            Stage::Start | Stage::Prolog => self.limits.stanza_bytes.min(HEADER),
            _ => self.limits.stanza_bytes,
        };
        if length > limit { Err(XmlError::TooBig { limit }) } else { Ok(()) }
    }

    fn whitespace(&mut self, buffer: &mut BytesMut, length: usize) -> Result<Frame, XmlError> {
        if !buffer[..length].iter().all(u8::is_ascii_whitespace) || buffer[..length].contains(&b'\x0c') {
            return Err(XmlError::BadFormat { what: "text stands outside of any element" });
        }
        if self.stage == Stage::Start {
            self.stage = Stage::Prolog;
        }
        buffer.advance(length);
        Ok(Frame::Whitespace)
    }

    /// `<?xml version='1.0'?>` at the very beginning, the one declaration that XMPP has.
    fn declaration(&mut self, text: &str) -> Result<(), XmlError> {
        let restricted = XmlError::Restricted { what: "processing instructions" };
        if self.stage != Stage::Start {
            return Err(restricted);
        }
        let body = text.strip_prefix("<?xml").and_then(|rest| rest.strip_suffix("?>")).ok_or(restricted)?;
        if !body.starts_with([' ', '\t', '\r', '\n']) {
            return Err(restricted);
        }
        // Its body has the form of a start tag's, with a fixed order of three attributes.
        let tag_text = format!("<xml{body}>");
        let mut tag = Tag::default();
        tag.read(&tag_text, 3)?;
        let mut attributes =
            tag.attributes.iter().map(|at| (&tag_text[at.name.clone()], &tag_text[at.value.clone()])).peekable();
        if attributes.next() != Some(("version", "1.0")) || tag.closed {
            return Err(fault("the XML declaration is not one of version 1.0"));
        }
        if let Some((_, encoding)) = attributes.next_if(|(name, _)| *name == "encoding")
            && !encoding.eq_ignore_ascii_case("utf-8")
        {
            return Err(XmlError::UnsupportedEncoding);
        }
        attributes.next_if(|(name, value)| *name == "standalone" && matches!(*value, "yes" | "no"));
        if attributes.next().is_some() {
            return Err(fault("the XML declaration says something else than version, encoding, standalone"));
        }
        self.stage = Stage::Prolog;
        Ok(())
    }

    fn header(&mut self, text: &str) -> Result<Header, XmlError> {
        if self.stage == Stage::Over {
            return Err(fault("something follows the end of the stream"));
        }
        self.tag.read(text, self.limits.attributes)?;
        if self.tag.closed {
            return Err(XmlError::BadFormat { what: "the stream ends in its own start tag" });
        }
        let mut header = Header {
            content_namespace: self.prefixes.enter(text, &self.tag, 0)?.unwrap_or_default(),
            ..Header::default()
        };
        header.dialback = self.prefixes.declares(dialback::NAMESPACE);
        let name = &text[self.tag.name.clone()];
        let (prefix, local_name) = split_name(name)?;
        header.local_name = local_name.to_owned();
        header.namespace = match prefix {
            Some(prefix) => self.prefixes.lookup(prefix)?.to_owned(),
            None => header.content_namespace.clone(),
        };
        self.prefixes.travelling(|_, _| {});
        for attribute in &self.tag.attributes {
            let place = match &text[attribute.name.clone()] {
                "from" => &mut header.from,
                "to" => &mut header.to,
                "id" => &mut header.id,
                "version" => &mut header.version,
                "xml:lang" => &mut header.lang,
                _ => continue,
            };
            *place = Some(attribute_value(&text[attribute.value.clone()]).into_owned());
        }
        let lang = header.lang.as_deref().map_or(0, |lang| escape_attribute(lang).len());
        if self.prefixes.declared() + lang > DECLARED {
            return Err(XmlError::TooMuchDeclared { limit: DECLARED });
        }
        self.stage = Stage::Stream(name.to_owned());
        self.content.clone_from(&header.content_namespace);
        self.lang.clone_from(&header.lang);
        Ok(header)
    }

    fn footer(&mut self, text: &str) -> Result<(), XmlError> {
        match &self.stage {
            Stage::Stream(name) if end_name(text)? == name && !name.is_empty() => {
                self.stage = Stage::Over;
                Ok(())
            }
            _ => Err(fault("an end tag that nothing begins")),
        }
    }

    fn start(&mut self, place: &Range<usize>, text: &str) -> Result<(), XmlError> {
        self.tag.read(text, self.limits.attributes)?;
        if self.open.len() == self.limits.depth {
            return Err(XmlError::TooDeep { limit: self.limits.depth });
        }
        let depth = self.open.len() + 1;
        let default = self.prefixes.enter(text, &self.tag, depth)?;
        if depth == 1 {
            self.root(text, default)?;
        }
        if self.tag.closed {
            self.prefixes.leave(depth);
        } else {
            self.open.push((place.start + self.tag.name.start, place.start + self.tag.name.end));
        }
        Ok(())
    }

    fn root(&mut self, text: &str, default: Option<String>) -> Result<(), XmlError> {
        let name = &self.tag.name;
        let (prefix, local) = split_name(&text[name.clone()])?;
        let namespace = match (prefix, default) {
            (Some(prefix), _) => self.prefixes.lookup(prefix)?.to_owned(),
            (None, Some(namespace)) => namespace,
            (None, None) => self.content.clone(),
        };
        let namespace = if namespace == SERVER { Cow::Borrowed(SERVER) } else { Cow::Owned(namespace) };
        let mut head = Head::new(namespace, &(name.end - local.len()..name.end));
        self.has_lang = false;
        self.attributes = self.tag.attributes.len();
        for attribute in &self.tag.attributes {
            let name = &text[attribute.name.clone()];
            self.has_lang |= name == "xml:lang";
            head.attribute(name, &attribute.value);
        }
        self.head = Some(head);
        Ok(())
    }

    /// The first-level element is complete: takes it out, together with what the header said of it.
    fn complete(&mut self, buffer: &mut BytesMut) -> Result<Frame, XmlError> {
        let bytes = buffer.split_to(std::mem::take(&mut self.checked));
        let Some(mut head) = self.head.take() else { return Err(fault("an element without a start")) };
        let mut added = String::new();
        self.prefixes.travelling(|prefix, namespace| {
            self.attributes += 1;
            added.push_str(&format!(" xmlns:{prefix}='{}'", escape_attribute(namespace)));
        });
        let stamped = !self.has_lang && head.namespace() == SERVER;
        if let (true, Some(lang)) = (stamped, &self.lang) {
            self.attributes += 1;
            added.push_str(&format!(" xml:lang='{}'", escape_attribute(lang)));
        }
        if added.is_empty() {
            return Ok(Frame::Element(Verbatim::new(bytes.freeze(), head)));
        }
        self.within(bytes.len() + added.len())?;
        // What is taken here is taken by the next scanner, too, which sees the whole.
        if self.attributes > self.limits.attributes {
            return Err(XmlError::TooManyAttributes { limit: self.limits.attributes });
        }
        let name_end = name_end(&bytes);
        let mut whole = BytesMut::with_capacity(bytes.len() + added.len());
        whole.extend_from_slice(&bytes[..name_end]);
        whole.extend_from_slice(added.as_bytes());
        whole.extend_from_slice(&bytes[name_end..]);
        head.shift(added.len());
        Ok(Frame::Element(Verbatim::new(whole.freeze(), head)))
    }
}

/// Where the name in a start tag ends.
fn name_end(tag: &[u8]) -> usize {
    tag.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'/' | b'>')).unwrap_or(tag.len())
}

/// The name in `</name >`.
fn end_name(text: &str) -> Result<&str, XmlError> {
    let name = text[2..text.len() - 1].trim_end_matches([' ', '\t', '\r', '\n']);
    split_name(name)?;
    Ok(name)
}

fn end(open: &mut Vec<(usize, usize)>, prefixes: &mut Prefixes, buffer: &[u8], text: &str) -> Result<(), XmlError> {
    let name = end_name(text)?;
    prefixes.leave(open.len());
    match open.pop() {
        Some((start, end)) if &buffer[start..end] == name.as_bytes() => Ok(()),
        _ => Err(fault("an end tag does not match its start tag")),
    }
}

fn check_content(text: &str) -> Result<(), XmlError> {
    if memmem::find(text.as_bytes(), b"]]>").is_some() {
        return Err(fault("`]]>` in text"));
    }
    check_text(text)
}
