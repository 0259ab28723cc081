//! The strict, resumable scanner: bytes in, frames out.

use std::borrow::Cow;
use std::ops::Range;

use super::look::{text_run, traits};
use super::names::{all_chars, utf8};
use super::namespaces::Prefixes;
use super::tag::{Name, Tag, check_text};
use super::token::{Finder, Token};
use super::verbatim::{Head, Verbatim};
use super::write::escape_attribute;
use super::{Frame, Header, Limits, SERVER, XmlError};
use crate::dialback;
use bytes::{Buf, BytesMut};

/// The longest stream header, in bytes; those of real servers take some 300.
const HEADER: usize = 10_000;
/// What a header may declare, in bytes: a stanza of ten bytes shall not grow by more than this.
const DECLARED: usize = 1000;
/// Of the memory that elements are read into, what the next of them may keep of those before it, in about.
const BESIDE: usize = 32 * 1024;

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
    /// The header's `xml:lang` as an attribute, to be stamped on stanzas that have none of their own.
    lang: Option<String>,
    /// What is put into an element's start tag; kept for its memory.
    added: String,
    /// Bytes of the unfinished first-level element that were checked.
    checked: usize,
    /// Names of the elements that are open, as places in the unfinished element.
    open: Vec<(usize, usize)>,
    head: Option<Head>,
    /// The first-level element has its own `xml:lang`.
    has_lang: bool,
    /// The first-level element's attributes and declarations.
    attributes: usize,
    /// Bytes of complete elements and white space since the buffer's memory was last a new one.
    passed: usize,
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
            added: String::new(),
            checked: 0,
            open: Vec::new(),
            head: None,
            has_lang: false,
            attributes: 0,
            passed: 0,
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
            while self.plain(buffer)? {
                if self.open.is_empty() {
                    return self.complete(buffer).map(Some);
                }
            }
            let outside = self.open.is_empty();
            let Some((token, length)) = self.token(&buffer[self.checked..], outside)? else {
                self.within(buffer.len())?;
                return Ok(None);
            };
            if let (Token::Text, true) = (token, outside) {
                return self.whitespace(buffer, length).map(Some);
            }
            let place = self.checked..self.checked + length;
            self.within(place.end)?;
            let text = &buffer[place.clone()];
            match token {
                Token::Text => check_text(text, traits(text))?,
                Token::CData if outside => return Err(fault("character data outside of an element")),
                Token::CData if !all_chars(text)? => return Err(fault("a character that XML forbids")),
                Token::CData => {}
                Token::Declaration => {
                    self.declaration(utf8(text)?)?;
                    buffer.advance(length);
                    continue;
                }
                Token::Start if !matches!(self.stage, Stage::Stream(_)) => {
                    let header = self.header(text)?;
                    buffer.advance(length);
                    return Ok(Some(Frame::Header(Box::new(header))));
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

    /// Reads the element that `bytes` begin with, where it is here as a whole and there is nothing unusual in it: its head, and
    /// its length. Where there is nothing, [`next`](Self::next) goes on from there with the same bytes.
    pub(super) fn plain_element(&mut self, bytes: &[u8]) -> Result<Option<(Head, usize)>, XmlError> {
        while self.plain(bytes)? {
            if self.open.is_empty() {
                let length = std::mem::take(&mut self.checked);
                return Ok(self.head.take().map(|head| (head, length)));
            }
        }
        Ok(None)
    }

    /// Reads the next token of an element if it is here as a whole, and is what nearly all are: a start tag, text, or the end tag
    /// that is due, without a space. Whether it was. Everything else is found in pieces, and looked at more closely.
    #[inline(always)]
    fn plain(&mut self, bytes: &[u8]) -> Result<bool, XmlError> {
        let (at, rest) = (self.checked, &bytes[self.checked..]);
        if !self.finder.is_new() || !matches!(self.stage, Stage::Stream(_)) {
            return Ok(false);
        }
        match rest {
            [] | [b'<'] | [b'<', b'?' | b'!', ..] => return Ok(false),
            [b'<', b'/', rest @ ..] => {
                let Some(&(start, end)) = self.open.last() else { return Ok(false) };
                let name = &bytes[start..end];
                if rest.get(name.len()) != Some(&b'>') || rest[..name.len()] != *name {
                    return Ok(false);
                }
                self.checked += name.len() + 3;
                self.within(self.checked)?;
                self.prefixes.leave(self.open.len());
                self.open.pop();
            }
            [b'<', ..] => {
                // A fault counts when the end is there, so that it is the same one in whatever pieces the tag comes.
                let Ok(Some(length)) = self.tag.read(rest, self.limits.attributes) else { return Ok(false) };
                self.checked += length;
                self.within(self.checked)?;
                self.start(&(at..self.checked), &rest[..length])?;
            }
            _ if self.open.is_empty() => return Ok(false),
            _ => {
                let Some((length, traits)) = text_run(rest) else { return Ok(false) };
                self.checked += length;
                self.within(self.checked)?;
                check_text(&rest[..length], traits)?;
            }
        }
        Ok(true)
    }

    /// Finds the next token, in whatever pieces it comes; a start tag is read with that.
    fn token(&mut self, bytes: &[u8], outside: bool) -> Result<Option<(Token, usize)>, XmlError> {
        let found = self.finder.find(bytes, outside)?;
        if let Some((Token::Start, length)) = found
            && self.tag.read(&bytes[..length], self.limits.attributes)? != Some(length)
        {
            return Err(fault("a start tag does not end where it seems to"));
        }
        Ok(found)
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
        self.leave_behind(buffer, length);
        Ok(Frame::Whitespace)
    }

    /// So many bytes were taken off the front. What follows much moves to memory of its own, where it is less than that: what
    /// is held of a stream is counted by its own bytes, and an idle stream shall not keep what it needed once.
    fn leave_behind(&mut self, buffer: &mut BytesMut, length: usize) {
        self.passed += length;
        if self.passed >= BESIDE && buffer.len() < self.passed {
            *buffer = BytesMut::from(&buffer[..]);
            self.passed = 0;
        }
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
        let whole = tag.read(tag_text.as_bytes(), 3)? == Some(tag_text.len());
        let attributes = tag.attributes.iter().map(|at| (&tag_text[at.name.range()], &tag_text[at.value.clone()]));
        let mut attributes = attributes.peekable();
        if attributes.next() != Some(("version", "1.0")) || tag.closed || !whole {
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

    fn header(&mut self, text: &[u8]) -> Result<Header, XmlError> {
        if self.stage == Stage::Over {
            return Err(fault("something follows the end of the stream"));
        }
        utf8(text)?;
        if self.tag.closed {
            return Err(XmlError::BadFormat { what: "the stream ends in its own start tag" });
        }
        let mut header = Header::default();
        if let Some(default) = self.prefixes.enter(text, &self.tag, 0)? {
            header.content_namespace = default.value(text)?.into_owned();
        }
        header.dialback = self.prefixes.declares(dialback::NAMESPACE);
        header.local_name = utf8(self.tag.name.local(text))?.to_owned();
        header.namespace = match self.tag.name.prefix(text) {
            Some(prefix) => self.prefixes.lookup(prefix)?.to_owned(),
            None => header.content_namespace.clone(),
        };
        self.prefixes.travelling(|_, _| {});
        for attribute in &self.tag.attributes {
            let place = match attribute.name.whole(text) {
                b"from" => &mut header.from,
                b"to" => &mut header.to,
                b"id" => &mut header.id,
                b"version" => &mut header.version,
                b"xml:lang" => &mut header.lang,
                _ => continue,
            };
            *place = Some(attribute.value(text)?.into_owned());
        }
        let lang = header.lang.as_deref().map(escape_attribute);
        if self.prefixes.declared() + lang.as_ref().map_or(0, |lang| lang.len()) > DECLARED {
            return Err(XmlError::TooMuchDeclared { limit: DECLARED });
        }
        self.lang = lang.map(|lang| format!(" xml:lang='{lang}'"));
        self.stage = Stage::Stream(utf8(self.tag.name.whole(text))?.to_owned());
        self.content.clone_from(&header.content_namespace);
        Ok(header)
    }

    fn footer(&mut self, text: &[u8]) -> Result<(), XmlError> {
        match &self.stage {
            Stage::Stream(name) if end_name(text) == name.as_bytes() && !name.is_empty() => {
                self.stage = Stage::Over;
                Ok(())
            }
            _ => Name::check_end(text).and(Err(fault("an end tag that nothing begins"))),
        }
    }

    fn start(&mut self, place: &Range<usize>, text: &[u8]) -> Result<(), XmlError> {
        if self.open.len() == self.limits.depth {
            return Err(XmlError::TooDeep { limit: self.limits.depth });
        }
        let depth = self.open.len() + 1;
        let default = self.prefixes.enter(text, &self.tag, depth)?;
        if depth == 1 {
            let default = default.map(|attribute| attribute.value(text)).transpose()?;
            self.root(text, default.as_deref())?;
        }
        if self.tag.closed {
            self.prefixes.leave(depth);
        } else {
            let name = self.tag.name.range();
            self.open.push((place.start + name.start, place.start + name.end));
        }
        Ok(())
    }

    fn root(&mut self, text: &[u8], default: Option<&str>) -> Result<(), XmlError> {
        let name = &self.tag.name;
        let namespace = match (name.prefix(text), default) {
            (Some(prefix), _) => self.prefixes.lookup(prefix)?,
            (None, Some(namespace)) => namespace,
            (None, None) => &self.content,
        };
        let namespace = if namespace == SERVER { Cow::Borrowed(SERVER) } else { Cow::Owned(namespace.to_owned()) };
        let mut head = Head::new(namespace, &name.local_range());
        self.has_lang = false;
        self.attributes = self.tag.attributes.len();
        for attribute in &self.tag.attributes {
            self.has_lang |= attribute.name.whole(text) == b"xml:lang";
            head.attribute(text, attribute);
        }
        self.head = Some(head);
        Ok(())
    }

    /// The first-level element is complete: takes it out, together with what the header said of it.
    fn complete(&mut self, buffer: &mut BytesMut) -> Result<Frame, XmlError> {
        let bytes = buffer.split_to(std::mem::take(&mut self.checked));
        self.leave_behind(buffer, bytes.len());
        let Some(mut head) = self.head.take() else { return Err(fault("an element without a start")) };
        let Scanner { prefixes, added, attributes, .. } = self;
        added.clear();
        prefixes.travelling(|prefix, namespace| {
            *attributes += 1;
            added.push_str(&format!(" xmlns:{prefix}='{}'", escape_attribute(namespace)));
        });
        let stamped = !self.has_lang && head.namespace() == SERVER;
        if let (true, Some(lang)) = (stamped, &self.lang) {
            self.attributes += 1;
            self.added.push_str(lang);
        }
        let added = &self.added;
        if added.is_empty() {
            return Ok(Frame::Element(Verbatim::new(bytes.freeze(), head)));
        }
        self.within(bytes.len() + added.len())?;
        // What is taken here is taken by the next scanner, too, which sees the whole.
        if self.attributes > self.limits.attributes {
            return Err(XmlError::TooManyAttributes { limit: self.limits.attributes });
        }
        let name_end = head.name_end();
        let mut whole = BytesMut::with_capacity(bytes.len() + added.len());
        whole.extend_from_slice(&bytes[..name_end]);
        whole.extend_from_slice(added.as_bytes());
        whole.extend_from_slice(&bytes[name_end..]);
        head.shift(added.len());
        Ok(Frame::Element(Verbatim::new(whole.freeze(), head)))
    }
}

/// The name in `</name >`; if it is the one that the start tag has, it was checked with that.
fn end_name(text: &[u8]) -> &[u8] {
    let mut name = &text[2..text.len() - 1];
    while let [before @ .., b' ' | b'\t' | b'\r' | b'\n'] = name {
        name = before;
    }
    name
}

fn end(open: &mut Vec<(usize, usize)>, prefixes: &mut Prefixes, buffer: &[u8], text: &[u8]) -> Result<(), XmlError> {
    prefixes.leave(open.len());
    match open.pop() {
        Some((start, end)) if &buffer[start..end] == end_name(text) => Ok(()),
        _ => Name::check_end(text).and(Err(fault("an end tag does not match its start tag"))),
    }
}
