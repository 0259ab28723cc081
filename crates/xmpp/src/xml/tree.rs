//! A small tree of one checked element: for negotiation, never for what only passes through.

use bytes::BytesMut;

use super::names::utf8;
use super::namespaces::XML;
use super::tag::{Tag, line_ends, resolve};
use super::token::{Finder, Token};
use super::{SERVER, Verbatim, XmlError};

/// An element with everything in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// Its namespace.
    pub namespace: String,
    /// Its local name.
    pub name: String,
    /// Its attributes by qualified name, without namespace declarations.
    attributes: Vec<(String, String)>,
    nodes: Vec<Node>,
    /// What its start tag declares: prefix (empty for the default) and namespace.
    declared: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    /// Builds the tree of an element.
    ///
    /// # Errors
    /// When `bytes` are anything but one complete element of restricted XML.
    pub fn parse(bytes: &[u8]) -> Result<Element, XmlError> {
        Element::of(&Verbatim::parse(bytes)?)
    }

    /// Builds the tree of an element that was checked.
    ///
    /// # Errors
    /// None that the scanner would not have found before.
    pub fn of(element: &Verbatim) -> Result<Element, XmlError> {
        let broken = XmlError::BadFormat { what: "this is not one complete element" };
        let mut rest = BytesMut::from(&element.bytes()[..]).freeze();
        let mut open: Vec<Element> = Vec::new();
        let mut finder = Finder::default();
        while let Some((token, length)) = finder.find(&rest, false)? {
            let bytes = rest.split_to(length);
            let text = utf8(&bytes)?;
            let ended = match token {
                Token::Start => {
                    let (started, closed) = start(&bytes, &open)?;
                    open.push(started);
                    closed
                }
                Token::End => true,
                Token::Text => {
                    open.last_mut().ok_or(broken)?.nodes.push(Node::Text(resolve(&line_ends(text)).into_owned()));
                    false
                }
                Token::CData => {
                    let content = line_ends(&text["<![CDATA[".len()..text.len() - "]]>".len()]).into_owned();
                    open.last_mut().ok_or(broken)?.nodes.push(Node::Text(content));
                    false
                }
                Token::Declaration => return Err(broken),
            };
            if ended {
                let element = open.pop().ok_or(broken)?;
                match open.last_mut() {
                    Some(parent) => parent.nodes.push(Node::Element(element)),
                    None => return Ok(element),
                }
            }
        }
        Err(broken)
    }

    /// The attribute of that qualified name.
    pub fn attr(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The text directly inside.
    pub fn text(&self) -> String {
        self.nodes
            .iter()
            .filter_map(|node| if let Node::Text(text) = node { Some(text.as_str()) } else { None })
            .collect()
    }

    /// The elements directly inside.
    pub fn children(&self) -> impl Iterator<Item = &Element> {
        self.nodes.iter().filter_map(|node| if let Node::Element(element) = node { Some(element) } else { None })
    }

    /// The first element of that kind directly inside.
    pub fn child(&self, namespace: &str, name: &str) -> Option<&Element> {
        self.children().find(|child| child.namespace == namespace && child.name == name)
    }
}

fn start(text: &[u8], open: &[Element]) -> Result<(Element, bool), XmlError> {
    let mut tag = Tag::default();
    tag.read(text, usize::MAX)?;
    let mut element = Element::default();
    for attribute in &tag.attributes {
        let (name, value) = (utf8(attribute.name.whole(text))?, attribute.value(text)?.into_owned());
        match name.strip_prefix("xmlns") {
            Some("") => element.declared.push((String::new(), value)),
            Some(prefix) if prefix.starts_with(':') => element.declared.push((prefix[1..].to_owned(), value)),
            _ => element.attributes.push((name.to_owned(), value)),
        }
    }
    element.name = utf8(tag.name.local(text))?.to_owned();
    let prefix = utf8(tag.name.prefix(text).unwrap_or_default())?;
    let declared = element.declared.iter().chain(open.iter().rev().flat_map(|outer| &outer.declared));
    element.namespace = match (prefix, declared.into_iter().find(|(other, _)| other == prefix)) {
        ("xml", _) => XML.to_owned(),
        (_, Some((_, namespace))) => namespace.clone(),
        ("", None) => SERVER.to_owned(),
        (_, None) => return Err(XmlError::BadNamespacePrefix { what: "nothing declares it" }),
    };
    Ok((element, tag.closed))
}
