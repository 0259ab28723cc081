//! The one table of disagreements between our scanner and the oracles that are meant to be.

use super::ours::Scanned;
use super::reading::Reading;

/// Which parser disagrees with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Oracle {
    Rxml,
    Expat,
}

/// What the disagreement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// We refuse what the oracle takes.
    Refuse,
    /// We take what the oracle refuses.
    Take,
    /// Both take it, and it says something else to each.
    Read,
}

/// A stream on which an oracle disagrees with us.
pub(crate) struct Disagreement<'a> {
    pub(crate) kind: Kind,
    pub(crate) stream: &'a [u8],
    pub(crate) ours: &'a Scanned,
    pub(crate) oracle: Oracle,
    /// The reading of the oracle that disagrees.
    pub(crate) theirs: &'a Reading,
    /// The reading of the other one.
    pub(crate) other: &'a Reading,
}

impl Disagreement<'_> {
    /// Our error says so.
    fn says(&self, words: &str) -> bool {
        self.kind == Kind::Refuse && self.ours.error.is_some_and(|error| error.to_string().contains(words))
    }

    /// The oracle met something that XMPP doesn't have where we stopped.
    fn met(&self, what: &str) -> bool {
        self.theirs.foreign_after(self.ours.frames()).iter().any(|seen| seen.starts_with(what))
    }

    /// The other oracle stops where we do.
    fn other_refuses(&self) -> bool {
        self.other.error.is_some() && self.other.frames().len() == self.ours.frames()
    }

    fn holds(&self, text: &str) -> bool {
        memchr::memmem::find(self.stream, text.as_bytes()).is_some()
    }

    /// We refuse at its first bytes what others wait the end of.
    pub(crate) fn is_early(&self) -> bool {
        self.says("comments and document type")
            || self.says("text stands outside of any element")
            || self.stream.starts_with(b"<?") && !self.stream[1..].contains(&b'<')
            || self.says("not in UTF-8") && std::str::from_utf8(self.stream).is_err()
    }
}

/// One kind of disagreement, and why it is right.
pub(crate) struct Allowed {
    pub(crate) why: &'static str,
    pub(crate) explains: fn(&Disagreement<'_>) -> bool,
}

/// The table.
pub(crate) const ALLOWED: &[Allowed] = &[
    Allowed {
        why: "RFC 6120 §11.1 forbids comments",
        explains: |r| r.oracle == Oracle::Expat && r.says("comments and document type") && r.met("comment"),
    },
    Allowed {
        why: "RFC 6120 §11.1 forbids document type declarations",
        explains: |r| r.oracle == Oracle::Expat && r.says("comments and document type") && r.met("doctype"),
    },
    Allowed {
        why: "RFC 6120 §11.1 forbids processing instructions",
        explains: |r| r.oracle == Oracle::Expat && r.says("processing instructions") && r.met("instruction"),
    },
    Allowed {
        why: "RFC 6120 §4.1 and §4.6.1: nothing but white space stands between stanzas",
        explains: |r| r.says("text stands outside of any element") && (r.met("text") || r.holds("&#")),
    },
    Allowed {
        why: "the same, where the text is a CDATA section (an empty one, or one of white space, too)",
        explains: |r| r.says("character data outside of an element") && (r.met("cdata") || r.holds("<![CDATA[")),
    },
    Allowed {
        why: "RFC 6120 §11.6 demands UTF-8; expat takes what the declaration says",
        explains: |r| r.oracle == Oracle::Expat && r.says("not in UTF-8") && r.met("declaration"),
    },
    Allowed {
        why: "RFC 6120 §11.4 speaks of XML 1.0 only; expat takes any version number",
        explains: |r| r.oracle == Oracle::Expat && r.says("not one of version 1.0") && r.met("declaration"),
    },
    Allowed {
        why: "RFC 6120 §11.6: a byte order mark is text, and text doesn't stand before the header",
        explains: |r| r.says("text stands outside of any element") && r.stream.starts_with(b"\xef\xbb\xbf"),
    },
    Allowed {
        why: "a stream that ends in its own start tag carries nothing (RFC 6120 §4.2)",
        explains: |r| r.says("the stream ends in its own start tag") && r.ours.frames() == 0,
    },
    Allowed {
        why: "names of only one edition of XML: expat follows the 4th, rxml the 5th, we take what both take",
        explains: |r| r.says("a name is not one that XML allows") && r.other_refuses(),
    },
    Allowed {
        why: "ejabberd's parser takes a line feed in a namespace name for its separator; no URI has white space",
        explains: |r| r.says("a namespace name holds white space"),
    },
    Allowed {
        why: "rxml 0.14 takes a default namespace declared twice on one element, the second time in force; expat doesn't",
        explains: |r| r.oracle == Oracle::Rxml && r.says("an attribute stands twice") && r.other_refuses(),
    },
    Allowed {
        why: "rxml 0.14 lets others stand for the namespaces of `xml` and `xmlns` (Namespaces 1.0 §3); expat doesn't",
        explains: |r| r.oracle == Oracle::Rxml && r.says("belong to others") && r.other_refuses(),
    },
    Allowed {
        why: "the same, for the default namespace",
        explains: |r| r.oracle == Oracle::Rxml && r.says("is made the default") && r.other_refuses(),
    },
    Allowed {
        why: "rxml 0.14 refuses a declaration with `standalone` and no `encoding` (XML 1.0 §2.8); it doesn't travel",
        explains: |r| {
            let refused =
                r.theirs.error.as_ref().is_some_and(|error| error.contains("'version' attribute must be followed"));
            r.kind == Kind::Take && r.oracle == Oracle::Rxml && refused && r.holds("standalone")
        },
    },
    Allowed {
        why: "rxml 0.14 drops a carriage return before a reference or the end of a value (XML 1.0 §3.3.3: a space)",
        explains: |r| {
            let seen = r.kind == Kind::Read || r.kind == Kind::Refuse && r.ours.frames() == 0;
            seen && r.oracle == Oracle::Rxml && ["\r'", "\r\"", "\r&"].iter().any(|text| r.holds(text))
        },
    },
    Allowed {
        why: "rxml reads nothing behind the stream's end",
        explains: |r| r.kind == Kind::Refuse && r.oracle == Oracle::Rxml && r.ours.footer,
    },
    Allowed {
        why: "rxml 0.14 refuses a carriage return inside an attribute's value unless a line feed follows it",
        explains: |r| {
            let refused = r.theirs.error.as_ref().is_some_and(|error| error.ends_with("in attribute value"));
            r.kind == Kind::Take && r.oracle == Oracle::Rxml && refused && r.holds("\r")
        },
    },
    Allowed {
        why: "rxml 0.14 refuses white space before the first tag (XML 1.0 §2.8 allows it); it doesn't travel",
        explains: |r| {
            r.kind == Kind::Take && r.oracle == Oracle::Rxml && r.stream.first().is_some_and(u8::is_ascii_whitespace)
        },
    },
    Allowed {
        why: "rxml 0.14 leaves a carriage return behind `]` in a CDATA section as it is (XML 1.0 §2.11)",
        explains: |r| r.kind == Kind::Read && r.oracle == Oracle::Rxml && r.holds("]\r"),
    },
];
