//! What a parser made of a stream, in one form for all parsers, so that two readings can be compared.

use std::collections::VecDeque;

/// Between the parts of an event; XML has no such characters.
pub(crate) const PART: char = '\u{1}';
/// Behind each event.
pub(crate) const EVENT: char = '\u{2}';

/// What was met, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// The stream's start tag, as events.
    Header(String),
    /// A complete first-level element, as events.
    Element(String),
    /// The stream's end tag.
    Footer,
    /// Something that XMPP doesn't have but XML does, and what.
    Foreign(String),
}

/// A parser's word on a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) items: Vec<Item>,
    /// Why it stopped, if it did.
    pub(crate) error: Option<String>,
}

impl Reading {
    /// Header, elements and footer.
    pub(crate) fn frames(&self) -> Vec<&Item> {
        self.items.iter().filter(|item| !matches!(item, Item::Foreign(_))).collect()
    }

    /// What foreign things were met after `frames` frames and before the next.
    pub(crate) fn foreign_after(&self, frames: usize) -> Vec<&str> {
        let (mut passed, mut found) = (0, Vec::new());
        for item in &self.items {
            match item {
                Item::Foreign(what) if passed == frames => found.push(&**what),
                Item::Foreign(_) => {}
                _ => passed += 1,
            }
        }
        found
    }
}

/// Writes an element's events.
pub(crate) fn start(events: &mut String, namespace: &str, name: &str, mut attributes: Vec<(String, String, String)>) {
    events.extend(['S'].into_iter().chain(namespace.chars()).chain([PART]).chain(name.chars()).chain([EVENT]));
    attributes.sort();
    for (namespace, name, value) in attributes {
        events.push('A');
        events.push_str(&namespace);
        events.push(PART);
        events.push_str(&name);
        events.push(PART);
        events.push_str(&value);
        events.push(EVENT);
    }
}

/// The tree that events describe.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Node {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Namespace, local name, value; sorted.
    pub(crate) attributes: Vec<(String, String, String)>,
    pub(crate) content: Vec<Content>,
}

/// What stands in an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Text(String),
    Node(Node),
}

impl Node {
    /// Reads events; a stream header's lack the end.
    pub(crate) fn read(events: &str) -> Node {
        let mut queue: VecDeque<&str> = events.split_terminator(EVENT).collect();
        Node::next(&mut queue)
    }

    fn next(queue: &mut VecDeque<&str>) -> Node {
        let mut node = Node::default();
        while let Some(event) = queue.pop_front() {
            let mut parts = event[1..].splitn(3, PART).map(str::to_owned);
            let mut part = || parts.next().unwrap_or_default();
            match &event[..1] {
                "S" if node.name.is_empty() => (node.namespace, node.name) = (part(), part()),
                "S" => {
                    queue.push_front(event);
                    node.content.push(Content::Node(Node::next(queue)));
                }
                "A" => node.attributes.push((part(), part(), part())),
                "T" => node.content.push(Content::Text(event[1..].to_owned())),
                _ => break,
            }
        }
        node
    }

    /// The value of an attribute.
    pub(crate) fn attribute(&self, namespace: &str, name: &str) -> Option<&str> {
        let mut found = self.attributes.iter().filter(|(other, local, _)| other == namespace && local == name);
        found.next().map(|(_, _, value)| &**value)
    }

    /// The text directly inside.
    pub(crate) fn text(&self) -> String {
        self.content
            .iter()
            .filter_map(|part| if let Content::Text(text) = part { Some(&**text) } else { None })
            .collect()
    }

    /// The elements directly inside.
    pub(crate) fn children(&self) -> impl Iterator<Item = &Node> {
        self.content.iter().filter_map(|part| if let Content::Node(node) = part { Some(node) } else { None })
    }
}
