//! A stanza as a client receives it.

use std::fmt;
use std::ops::Deref;

use xmpp::stanza::STANZA_ERRORS;
use xmpp::xml::Verbatim;
use xmpp::xml::tree::Element;

/// A stanza, or whatever else a server sends on the first level. Shows itself as its XML.
#[derive(Clone)]
pub struct Stanza(pub(super) Verbatim);

impl Deref for Stanza {
    type Target = Verbatim;

    fn deref(&self) -> &Verbatim {
        &self.0
    }
}

impl Stanza {
    /// Its content as a tree. What has the stream's namespace without saying so is in `jabber:server`
    /// there, not `jabber:client`, as the tree knows no other default: it has `tree().namespace`.
    pub fn tree(&self) -> Element {
        Element::of(&self.0).expect("the scanner checked it")
    }

    /// The text of its body.
    pub fn body(&self) -> Option<String> {
        let tree = self.tree();
        Some(tree.child(&tree.namespace, "body")?.text())
    }

    /// Whether it is of type `error`.
    pub fn is_error(&self) -> bool {
        self.type_().as_deref() == Some("error")
    }

    /// The condition of an error (RFC 6120 §8.3.3), such as `remote-server-timeout`.
    pub fn condition(&self) -> Option<String> {
        let tree = self.tree();
        let error = tree.child(&tree.namespace, "error")?;
        let mut conditions = error.children().filter(|child| child.namespace == STANZA_ERRORS && child.name != "text");
        conditions.next().map(|condition| condition.name.clone())
    }
}

impl fmt::Display for Stanza {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.bytes()))
    }
}

impl fmt::Debug for Stanza {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
