//! One complete tag, checked strictly: names, attributes, references, quotes.

use std::borrow::Cow;
use std::ops::Range;

use super::XmlError;
use super::names::{all_chars, is_char, is_ncname};

/// An attribute, as ranges in the tag's text.
#[derive(Debug, Clone)]
pub(super) struct Attribute {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

/// A start tag.
#[derive(Debug, Default)]
pub(super) struct Tag {
    pub(super) name: Range<usize>,
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

impl Tag {
    /// Reads `text`, from `<` to `>`, into `self`, whose memory is used again.
    pub(super) fn read(&mut self, text: &str, most: usize) -> Result<(), XmlError> {
        let bytes = text.as_bytes();
        self.attributes.clear();
        self.closed = bytes[bytes.len() - 2] == b'/';
        let end = bytes.len() - if self.closed { 2 } else { 1 };
        let mut at = until(bytes, 1, end, space);
        self.name = 1..at;
        split_name(&text[self.name.clone()])?;
        loop {
            let gap = at;
            at = until(bytes, at, end, |byte| !space(byte));
            if at == end {
                return Ok(());
            }
            if gap == at {
                return Err(fault("no space between two attributes"));
            }
            if self.attributes.len() == most {
                return Err(XmlError::TooManyAttributes { limit: most });
            }
            let name_end = until(bytes, at, end, |byte| byte == b'=' || space(byte));
            let name = at..name_end;
            split_name(&text[name.clone()])?;
            at = until(bytes, name_end, end, |byte| !space(byte));
            if bytes[at] != b'=' || at == end {
                return Err(fault("an attribute has no value"));
            }
            at = until(bytes, at + 1, end, |byte| !space(byte));
            let quote = bytes[at];
            if at == end || !matches!(quote, b'"' | b'\'') {
                return Err(fault("an attribute's value is not in quotes"));
            }
            let value_end = until(bytes, at + 1, end, |byte| byte == quote);
            if value_end == end {
                return Err(fault("an attribute's value does not end"));
            }
            let value = at + 1..value_end;
            check_value(&text[value.clone()])?;
            if self.attributes.iter().any(|other| text[other.name.clone()] == text[name.clone()]) {
                return Err(fault("an attribute stands twice"));
            }
            self.attributes.push(Attribute { name, value });
            at = value_end + 1;
        }
    }
}

/// The first place in `from..end` whose byte `stop` likes, or `end`.
fn until(bytes: &[u8], from: usize, end: usize, stop: impl Fn(u8) -> bool) -> usize {
    bytes[from..end].iter().position(|byte| stop(*byte)).map_or(end, |offset| from + offset)
}

/// Splits a qualified name into prefix and local part (Namespaces in XML 1.0 §4).
pub(super) fn split_name(name: &str) -> Result<(Option<&str>, &str), XmlError> {
    let (prefix, local) = match name.split_once(':') {
        Some((prefix, local)) => (Some(prefix), local),
        None => (None, name),
    };
    if !is_ncname(local) || !prefix.is_none_or(is_ncname) {
        return Err(fault("a name is not one that XML allows"));
    }
    Ok((prefix, local))
}

fn check_value(value: &str) -> Result<(), XmlError> {
    if value.contains('<') {
        return Err(fault("`<` in an attribute's value"));
    }
    check_text(value)
}

/// Checks characters and references, in content and attribute values alike.
pub(super) fn check_text(text: &str) -> Result<(), XmlError> {
    if !all_chars(text) {
        return Err(fault("a character that XML forbids"));
    }
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'&', rest.as_bytes()) {
        let end = memchr::memchr(b';', &rest.as_bytes()[at..]).ok_or(fault("a reference does not end"))? + at;
        reference(&rest[at + 1..end])?;
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
