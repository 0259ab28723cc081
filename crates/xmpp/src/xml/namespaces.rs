//! Which prefix stands for which namespace, and what may be declared at all.

use std::borrow::Cow;

use super::XmlError;
use super::names::utf8;
use super::tag::{Attribute, Tag};
use super::write::escape_attribute;

/// The namespace of the prefix `xml`.
pub(super) const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// The namespace of the prefix `xmlns`.
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// Prefixes that may be in force at once: each one that is used is searched for among them.
const IN_FORCE: usize = 128;

#[derive(Debug)]
struct Binding {
    prefix: String,
    namespace: String,
    /// The place of the first binding in force with the same namespace, so that namespaces are
    /// compared when they are declared and not with each attribute.
    first: usize,
    /// The depth of the element that declares it; the stream header's is 0.
    depth: usize,
    /// Declared on the header and used in the element that is being read.
    travels: bool,
}

/// The prefixes in force, innermost last.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    bindings: Vec<Binding>,
}

fn wrong(what: &'static str) -> XmlError {
    XmlError::BadNamespacePrefix { what }
}

impl Prefixes {
    /// Takes the declarations of a start tag at `depth`, then checks the prefixes that it uses.
    /// Returns the declaration of a default namespace, if it has one.
    pub(super) fn enter<'a>(
        &mut self,
        text: &[u8],
        tag: &'a Tag,
        depth: usize,
    ) -> Result<Option<&'a Attribute>, XmlError> {
        let mut default = None;
        let mut prefixed = false;
        for attribute in &tag.attributes {
            match (attribute.name.prefix(text), attribute.name.local(text)) {
                (None, b"xmlns") => default = Some(attribute),
                (None, _) | (Some(b"xml"), _) => {}
                (Some(b"xmlns"), prefix) => {
                    self.declare(utf8(prefix)?, &namespace_name(text, attribute)?, depth)?;
                }
                (Some(_), _) => prefixed = true,
            }
        }
        if let Some(attribute) = default {
            check_default(text, attribute)?;
        }
        if let Some(prefix) = tag.name.prefix(text) {
            if prefix == b"xmlns" {
                return Err(wrong("an element has the prefix `xmlns`"));
            }
            self.lookup(prefix)?;
        }
        if prefixed {
            self.check_attributes(text, tag)?;
        }
        Ok(default)
    }

    /// Forgets what the element at `depth` declared.
    pub(super) fn leave(&mut self, depth: usize) {
        while self.bindings.last().is_some_and(|binding| binding.depth == depth) {
            self.bindings.pop();
        }
    }

    /// The namespace that `prefix` stands for here.
    pub(super) fn lookup(&mut self, prefix: &[u8]) -> Result<&str, XmlError> {
        if prefix == b"xml" {
            return Ok(XML);
        }
        let place = self.place(prefix)?;
        Ok(&self.bindings[place].namespace)
    }

    fn place(&mut self, prefix: &[u8]) -> Result<usize, XmlError> {
        let place = self.bindings.iter().rposition(|binding| binding.prefix.as_bytes() == prefix);
        let place = place.ok_or(wrong("nothing declares it"))?;
        self.bindings[place].travels |= self.bindings[place].depth == 0;
        Ok(place)
    }

    /// What must be declared anew on an element that leaves its stream: the header's prefixes that
    /// it used. They are forgotten with this.
    pub(super) fn travelling(&mut self, mut each: impl FnMut(&str, &str)) {
        for binding in self.bindings.iter_mut().filter(|binding| binding.travels) {
            binding.travels = false;
            each(&binding.prefix, &binding.namespace);
        }
    }

    /// Whether some prefix stands for `namespace`.
    pub(super) fn declares(&self, namespace: &str) -> bool {
        self.bindings.iter().any(|binding| binding.namespace == namespace)
    }

    /// The bytes that would be declared anew if every prefix of the header travelled.
    pub(super) fn declared(&self) -> usize {
        let each = |binding: &Binding| binding.prefix.len() + escape_attribute(&binding.namespace).len();
        self.bindings.iter().map(each).sum()
    }

    fn declare(&mut self, prefix: &str, namespace: &str, depth: usize) -> Result<(), XmlError> {
        match (prefix, namespace) {
            ("xmlns", _) => return Err(wrong("the prefix `xmlns` is declared")),
            ("xml", XML) => return Ok(()),
            ("xml", _) | (_, XML | XMLNS) => {
                return Err(wrong("a prefix and a namespace that belong to others are declared for each other"));
            }
            (_, "") => return Err(wrong("a prefix is declared to stand for nothing")),
            _ => {}
        }
        let place = self.bindings.len();
        if place == IN_FORCE {
            return Err(XmlError::TooManyPrefixes { limit: IN_FORCE });
        }
        let first = self.bindings.iter().position(|binding| binding.namespace == namespace).unwrap_or(place);
        let (prefix, namespace) = (prefix.to_owned(), namespace.to_owned());
        self.bindings.push(Binding { prefix, namespace, first, depth, travels: false });
        Ok(())
    }

    /// Two attributes may not have the same namespace and local name under different prefixes.
    fn check_attributes(&mut self, text: &[u8], tag: &Tag) -> Result<(), XmlError> {
        let mut seen: Vec<(Option<usize>, &[u8])> = Vec::new();
        for attribute in &tag.attributes {
            let (Some(prefix), local) = (attribute.name.prefix(text), attribute.name.local(text)) else { continue };
            if prefix == b"xmlns" {
                continue;
            }
            let namespace = match prefix {
                b"xml" => None,
                _ => Some(self.place(prefix)?).map(|place| self.bindings[place].first),
            };
            if seen.contains(&(namespace, local)) {
                return Err(XmlError::NotWellFormed { what: "an attribute stands twice, under two prefixes" });
            }
            seen.push((namespace, local));
        }
        Ok(())
    }
}

/// Checks what is declared to be the default namespace.
fn check_default(text: &[u8], attribute: &Attribute) -> Result<(), XmlError> {
    let raw = &text[attribute.value.clone()];
    // As nearly all are.
    let is_graphic = attribute.plain && raw.iter().fold(true, |graphic, byte| graphic & byte.is_ascii_graphic());
    let is = |reserved: &str| raw == reserved.as_bytes();
    let is_reserved =
        if is_graphic { is(XML) || is(XMLNS) } else { matches!(&*namespace_name(text, attribute)?, XML | XMLNS) };
    if is_reserved {
        return Err(wrong("a namespace that only its own prefix may stand for is made the default"));
    }
    Ok(())
}

/// A namespace name, as declared.
fn namespace_name<'a>(text: &'a [u8], attribute: &Attribute) -> Result<Cow<'a, str>, XmlError> {
    let name = attribute.value(text)?;
    // COMPAT(ejabberd 23.01): its parser separates namespace and name by a line feed, and refuses a
    // stream whose namespace holds one; others use a space. No URI holds either.
    if name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(XmlError::BadNamespacePrefix { what: "a namespace name holds white space" });
    }
    Ok(name)
}
