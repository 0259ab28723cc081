//! One complete tag, checked strictly: names, attributes, references, quotes.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use super::XmlError;
use super::look::{BRACKET, REFERENCE, begins_name, behind_name, is_of_name, plain_run};
use super::names::{all_chars, are_chars, is_char, is_ncname, utf8};

/// A qualified name (Namespaces in XML 1.0 §4), as places in the tag's text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Name {
    start: usize,
    /// Where its local part begins: behind the colon, if there is one.
    local: usize,
    end: usize,
}

/// An attribute, as places in the tag's text.
#[derive(Debug, Clone)]
pub(super) struct Attribute {
    pub(super) name: Name,
    pub(super) value: Range<usize>,
    /// The value is what its reader sees: there are no references in it, and no white space but spaces.
    pub(super) plain: bool,
}

/// A start tag.
#[derive(Debug, Default)]
pub(super) struct Tag {
    pub(super) name: Name,
    pub(super) attributes: Vec<Attribute>,
    /// `<a/>`: its own end tag.
    pub(super) closed: bool,
}

fn fault(what: &'static str) -> XmlError {
    XmlError::NotWellFormed { what }
}

fn space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

impl Name {
    /// The name that begins at `start` and ends before what can't be in one; nothing if it may go on behind the text.
    #[inline]
    fn read(text: &[u8], start: usize) -> Result<Option<Name>, XmlError> {
        // Nearly all names are of ASCII.
        let first = behind_name(text, start);
        let (local, end) = match text.get(first) {
            Some(b':') => (first + 1, behind_name(text, first + 1)),
            _ => (start, first),
        };
        if text.get(end).is_some_and(|byte| !is_of_name(*byte)) && begins_name(text[start]) && begins_name(text[local])
        {
            return Ok(Some(Name { start, local, end }));
        }
        Name::read_odd(text, start)
    }

    /// The same for any name.
    #[cold]
    fn read_odd(text: &[u8], start: usize) -> Result<Option<Name>, XmlError> {
        let Some(length) = text[start..].iter().position(|byte| !is_of_name(*byte)) else { return Ok(None) };
        let end = start + length;
        let colon = text[start..end].iter().position(|byte| *byte == b':');
        let name = Name { start, local: colon.map_or(start, |at| start + at + 1), end };
        let prefixed = name.prefix(text).map_or(Ok(true), is_ncname)?;
        if !prefixed || !is_ncname(name.local(text))? {
            return Err(fault("a name is not one that XML allows"));
        }
        Ok(Some(name))
    }

    /// Checks the name in the end tag that `text` is.
    pub(super) fn check_end(text: &[u8]) -> Result<(), XmlError> {
        match Name::read(text, 2)? {
            Some(name) if text[behind_space(text, name.end)..] == *b">" => Ok(()),
            _ => Err(fault("a name is not one that XML allows")),
        }
    }

    fn is_same(&self, other: &Name, text: &[u8]) -> bool {
        self.end - self.start == other.end - other.start && self.whole(text) == other.whole(text)
    }

    /// All of it.
    pub(super) fn whole<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        &text[self.range()]
    }

    /// What is before the colon.
    pub(super) fn prefix<'a>(&self, text: &'a [u8]) -> Option<&'a [u8]> {
        (self.local > self.start).then(|| &text[self.start..self.local - 1])
    }

    /// What is behind it, or all of it.
    pub(super) fn local<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        &text[self.local..self.end]
    }

    /// Its place.
    pub(super) fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// The place of its local part.
    pub(super) fn local_range(&self) -> Range<usize> {
        self.local..self.end
    }
}

impl Attribute {
    /// Its value as its reader sees it.
    pub(super) fn value<'a>(&self, text: &'a [u8]) -> Result<Cow<'a, str>, XmlError> {
        let raw = utf8(&text[self.value.clone()])?;
        Ok(if self.plain { Cow::Borrowed(raw) } else { attribute_value(raw) })
    }
}

impl Tag {
    /// Reads the tag that `text` begins with into `self`, whose memory is used again. Gives its length; nothing if it doesn't
    /// end in `text`.
    pub(super) fn read(&mut self, text: &[u8], most: usize) -> Result<Option<usize>, XmlError> {
        self.attributes.clear();
        let Some(name) = Name::read(text, 1)? else { return Ok(None) };
        self.name = name;
        let mut at = name.end;
        loop {
            let gap = at;
            at = behind_space(text, at);
            match text[at..] {
                [] | [b'/'] => return Ok(None),
                [b'>', ..] => {
                    self.closed = false;
                    return Ok(Some(at + 1));
                }
                [b'/', b'>', ..] => {
                    self.closed = true;
                    return Ok(Some(at + 2));
                }
                _ if gap == at => return Err(fault("no space between two attributes")),
                _ if self.attributes.len() == most => return Err(XmlError::TooManyAttributes { limit: most }),
                _ => {}
            }
            let Some(attribute) = attribute(text, at)? else { return Ok(None) };
            if self.attributes.iter().any(|other| other.name.is_same(&attribute.name, text)) {
                return Err(fault("an attribute stands twice"));
            }
            at = attribute.value.end + 1;
            self.attributes.push(attribute);
        }
    }
}

/// The attribute that begins there; nothing if it doesn't end in `text`.
#[inline]
fn attribute(text: &[u8], at: usize) -> Result<Option<Attribute>, XmlError> {
    let Some(name) = Name::read(text, at)? else { return Ok(None) };
    let equals = behind_space(text, name.end);
    match text.get(equals) {
        None => return Ok(None),
        Some(b'=') => {}
        Some(_) => return Err(fault("an attribute has no value")),
    }
    let at = behind_space(text, equals + 1);
    let quote = match text.get(at) {
        None => return Ok(None),
        Some(quote @ (b'"' | b'\'')) => *quote,
        Some(_) => return Err(fault("an attribute's value is not in quotes")),
    };
    let start = at + 1;
    let (mut end, mut references, mut spaces, mut unsure) = (start, false, false, false);
    loop {
        end += plain_run(&text[end..]);
        match text.get(end) {
            None => return Ok(None),
            Some(byte) if *byte == quote => break,
            Some(b'&') => references = true,
            Some(b'\t' | b'\n' | b'\r') => spaces = true,
            Some(b'<') => return Err(fault("`<` in an attribute's value")),
            Some(b'"' | b'\'') => {}
            Some(_) => unsure = true,
        }
        end += 1;
    }
    let value = &text[start..end];
    if unsure && !all_chars(value)? {
        return Err(fault("a character that XML forbids"));
    }
    if references {
        check_references(value)?;
    }
    Ok(Some(Attribute { name, value: start..end, plain: !references && !spaces }))
}

/// The first place from `at` on without white space.
#[inline]
fn behind_space(text: &[u8], at: usize) -> usize {
    text[at..].iter().position(|byte| !space(*byte)).map_or(text.len(), |offset| at + offset)
}

/// Checks characters and references of content, in which there is this.
pub(super) fn check_text(text: &[u8], traits: u8) -> Result<(), XmlError> {
    if traits & BRACKET != 0 && memmem::find(text, b"]]>").is_some() {
        return Err(fault("`]]>` in text"));
    }
    if !are_chars(text, traits)? {
        return Err(fault("a character that XML forbids"));
    }
    if traits & REFERENCE == 0 { Ok(()) } else { check_references(text) }
}

fn check_references(text: &[u8]) -> Result<(), XmlError> {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'&', rest) {
        let end = memchr::memchr(b';', &rest[at..]).ok_or(fault("a reference does not end"))? + at;
        reference(utf8(&rest[at + 1..end])?)?;
        rest = &rest[end + 1..];
    }
    Ok(())
}

/// The character that `&body;` stands for: one of the five entities, or a character reference.
fn reference(body: &str) -> Result<char, XmlError> {
    let Some(number) = body.strip_prefix('#') else {
        return match body {
            "amp" => Ok('&'),
            "lt" => Ok('<'),
            "gt" => Ok('>'),
            "apos" => Ok('\''),
            "quot" => Ok('"'),
            _ => Err(XmlError::Restricted { what: "a reference to an entity that is not one of XML's five" }),
        };
    };
    let (digits, radix) = match number.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    let wrong = fault("a character reference to no character that XML allows");
    // A sign would please the parser of numbers, but not XML's grammar.
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(wrong);
    }
    u32::from_str_radix(digits, radix).ok().and_then(char::from_u32).filter(|c| is_char(*c)).ok_or(wrong)
}

/// An attribute's value as its reader sees it: white space made spaces, references resolved (XML
/// 1.0 §3.3.3).
pub(super) fn attribute_value(raw: &str) -> Cow<'_, str> {
    if raw.contains(['\t', '\n', '\r']) {
        let spaces = raw.replace("\r\n", " ").replace(['\t', '\n', '\r'], " ");
        return Cow::Owned(resolve(&spaces).into_owned());
    }
    resolve(raw)
}

/// Content with its line ends as its reader sees them: all of them line feeds (XML 1.0 §2.11).
pub(super) fn line_ends(text: &str) -> Cow<'_, str> {
    if !text.contains('\r') {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
}

/// Resolves the references of a checked text.
pub(super) fn resolve(text: &str) -> Cow<'_, str> {
    if memchr::memchr(b'&', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        resolved.push_str(before);
        let (body, behind) = after.split_once(';').unwrap_or((after, ""));
        resolved.extend(reference(body).ok());
        rest = behind;
    }
    resolved.push_str(rest);
    Cow::Owned(resolved)
}
