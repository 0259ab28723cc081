//! What holds for whatever is written, sent or typed: round trips, and no panic on anything.

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use xmpp::domain::Domain;
use xmpp::jid;
use xmpp::stanza::{Stanza, StanzaCondition};
use xmpp::xml::tree::Element;
use xmpp::xml::write::{escape_attribute, escape_text};
use xmpp::xml::{Frame, Limits, Scanner, Verbatim, redacted};

/// An element to be written in one of many ways.
#[derive(Debug, Clone)]
struct Written {
    prefix: &'static str,
    namespace: &'static str,
    name: String,
    attributes: Vec<(String, String)>,
    quote: char,
    content: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    /// Written as a CDATA section.
    Raw(String),
    Element(Written),
}

fn text() -> impl Strategy<Value = String> {
    let c = prop_oneof![
        4 => select(vec!['a', 'b', ' ', '<', '&', '>', '\'', '"', ']', '\n', 'ß', '好']),
        1 => any::<char>().prop_filter("characters of XML", |c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}')),
    ];
    vec(c, 0..12).prop_map(String::from_iter)
}

fn element() -> impl Strategy<Value = Written> {
    let leaf = shell(Just(Vec::new()));
    leaf.prop_recursive(4, 24, 4, |inner| {
        let part = prop_oneof![
            text().prop_map(Part::Text),
            text().prop_filter("no end of CDATA", |text| !text.contains("]]>")).prop_map(Part::Raw),
            inner.prop_map(Part::Element),
        ];
        shell(vec(part, 0..4))
    })
}

fn shell(content: impl Strategy<Value = Vec<Part>>) -> impl Strategy<Value = Written> {
    let attribute = ("[a-wyz_][a-z0-9._-]{0,5}", text());
    let attributes = proptest::collection::btree_map(attribute.0, attribute.1, 0..4);
    let start =
        (select(vec!["", "p", "q"]), select(vec!["jabber:server", "urn:a", "urn:b&c"]), "[a-z_][a-z0-9._-]{0,5}");
    (start, attributes, select(vec!['\'', '"']), content).prop_map(
        |((prefix, namespace, name), attributes, quote, content)| Written {
            prefix,
            namespace,
            name,
            attributes: attributes.into_iter().collect(),
            quote,
            content,
        },
    )
}

impl Written {
    fn write(&self, into: &mut String) {
        let Written { prefix, namespace, name, attributes, quote, content } = self;
        let colon = if prefix.is_empty() { "" } else { ":" };
        into.push_str(&format!(
            "<{prefix}{colon}{name} xmlns{colon}{prefix}={quote}{}{quote}",
            escape_attribute(namespace)
        ));
        for (name, value) in attributes {
            into.push_str(&format!("\n{name} = {quote}{}{quote}", escape_attribute(value)));
        }
        into.push('>');
        for part in content {
            match part {
                Part::Text(text) => into.push_str(&escape_text(text)),
                Part::Raw(text) => into.push_str(&format!("<![CDATA[{text}]]>")),
                Part::Element(element) => element.write(into),
            }
        }
        into.push_str(&format!("</{prefix}{colon}{name} >"));
    }

    fn text(&self) -> String {
        let texts = self.content.iter().filter_map(|part| match part {
            Part::Text(text) | Part::Raw(text) => Some(&**text),
            Part::Element(_) => None,
        });
        texts.collect()
    }

    fn is(&self, read: &Element) -> bool {
        let children: Vec<_> = self
            .content
            .iter()
            .filter_map(|part| if let Part::Element(element) = part { Some(element) } else { None })
            .collect();
        (self.namespace, &self.name, self.text()) == (&*read.namespace, &read.name, read.text())
            && self.attributes.iter().all(|(name, value)| read.attr(name) == Some(value))
            && children.len() == read.children().count()
            && children.iter().zip(read.children()).all(|(written, read)| written.is(read))
    }
}

/// The frames and the fault of `bytes`, cut at `cuts`, without white space.
fn scan(bytes: &[u8], cuts: &[usize]) -> (Vec<String>, Option<String>) {
    let (mut scanner, mut buffer, mut frames) = (Scanner::new(Limits::default()), BytesMut::new(), Vec::new());
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).chain([bytes.len()]).collect();
    ends.sort_unstable();
    let mut begun = 0;
    for end in ends {
        buffer.extend_from_slice(&bytes[begun..end]);
        begun = end;
        loop {
            match scanner.next(&mut buffer) {
                Ok(Some(Frame::Whitespace)) => {}
                Ok(Some(Frame::Element(element))) => frames.push(format!("{:?}", element.bytes())),
                Ok(Some(frame)) => frames.push(format!("{frame:?}")),
                Ok(None) => break,
                Err(error) => return (frames, Some(error.to_string())),
            }
        }
    }
    (frames, None)
}

/// Bytes that are nearly a stream.
fn nearly_xml() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"<",
        b">",
        b"/",
        b"</a>",
        b"<a>",
        b"<a b='",
        b"'",
        b"\"",
        b"=",
        b" ",
        b"&amp;",
        b"&#",
        b";",
        b"<![CDATA[",
        b"]]>",
        b"<?xml version='1.0'?>",
        b"?>",
        b"xmlns",
        b":",
        b"a",
        b"<a xmlns:b='c'><b:d/>",
        b"\xc3\xa9",
        b"\xff",
        b"\0",
        b"-->",
    ];
    vec(prop_oneof![9 => select(pieces).prop_map(<[u8]>::to_vec), 1 => vec(any::<u8>(), 1..4)], 0..60)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20_000) })]

    #[test]
    fn what_is_written_is_read_and_travels_byte_for_byte(written in element()) {
        let mut text = String::new();
        written.write(&mut text);
        let element = Verbatim::parse(text.as_bytes()).expect(&text);
        prop_assert_eq!(&element.bytes()[..], text.as_bytes());
        prop_assert_eq!((element.namespace(), element.name()), (written.namespace, &*written.name));
        let of = |name: &str| written.attributes.iter().find(|(other, _)| other == name).map(|(_, value)| &**value);
        prop_assert!(element.from().as_deref() == of("from") && element.id().as_deref() == of("id"), "{}", text);
        let tree = Element::of(&element).expect(&text);
        prop_assert!(written.is(&tree), "{}\n{:?}", text, tree);
    }

    #[test]
    fn where_bytes_are_cut_does_not_matter(bytes in nearly_xml(), cuts in vec(any::<usize>(), 0..8)) {
        let bytes = [b"<s:s xmlns='jabber:server' xmlns:s='s'>".as_slice(), &bytes].concat();
        prop_assert_eq!(scan(&bytes, &cuts), scan(&bytes, &[]));
    }

    #[test]
    fn no_bytes_do_any_harm(bytes in prop_oneof![vec(any::<u8>(), 0..200), nearly_xml()]) {
        scan(&bytes, &[]);
        let _ = redacted(&bytes);
        let _ = (Verbatim::parse(&bytes), Element::parse(&bytes), Stanza::parse(&bytes));
    }

    #[test]
    fn text_comes_back_as_it_went_in(text in any::<String>()) {
        let sent = format!("<a b='{}'>{}</a>", escape_attribute(&text), escape_text(&text));
        let read = Element::parse(sent.as_bytes()).expect(&sent);
        let allowed = |c: char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}') || matches!(c, '\t' | '\r' | '\n' | '\u{7f}'..='\u{9f}');
        let meant: String = text.chars().map(|c| if allowed(c) { c } else { '\u{fffd}' }).collect();
        prop_assert_eq!((read.attr("b"), read.text()), (Some(&*meant), meant.clone()));
    }

    #[test]
    fn an_error_goes_back_the_way_its_stanza_came(from in text(), to in text(), id in text(), why in text()) {
        let sent = format!("<iq type='get' from='{}' to='{}' id='{}'/>", escape_attribute(&from), escape_attribute(&to), escape_attribute(&id));
        let error = Stanza::parse(sent.as_bytes()).expect(&sent).error_reply(StanzaCondition::NotAllowed, &why).expect("an error");
        let head = [error.from(), error.to(), error.id()].map(|value| value.map(std::borrow::Cow::into_owned));
        prop_assert_eq!(head, [Some(to), Some(from), Some(id)]);
    }

    #[test]
    fn a_domain_has_one_form(text in prop_oneof!["[a-zA-Z0-9äßΣ.-]{1,20}", "(xn--)?[a-z0-9-]{1,12}", any::<String>()]) {
        if let Ok(domain) = Domain::parse(&text) {
            prop_assert_eq!(&Domain::parse(domain.as_str()).expect("its own form"), &domain);
            prop_assert_eq!(&Domain::parse(domain.to_ascii()).expect("its form in DNS"), &domain);
            prop_assert_eq!(&Domain::parse(&text.to_uppercase()).unwrap_or_else(|_| domain.clone()), &domain);
        }
    }

    #[test]
    fn any_address_can_be_looked_at(text in any::<String>()) {
        let _ = jid::check(&text);
        prop_assert!(text.contains(jid::domain_of(&text)));
    }
}
