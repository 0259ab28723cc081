//! What the scanner takes and what it refuses, in whatever pieces it comes.

use bytes::BytesMut;

use super::tree::Element;
use super::*;

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
    xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' to='a.test'>";

/// Everything up to the first fault, in pieces of `piece` bytes.
fn scan(text: &str, piece: usize, limits: Limits) -> (Vec<Frame>, Option<XmlError>) {
    let (mut scanner, mut buffer, mut frames) = (Scanner::new(limits), BytesMut::new(), Vec::new());
    for bytes in text.as_bytes().chunks(piece) {
        buffer.extend_from_slice(bytes);
        loop {
            match scanner.next(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fn element(text: &str) -> Result<String, XmlError> {
    let (frames, error) = scan(&format!("{HEADER}{text}"), usize::MAX, Limits::default());
    match (&frames[..], error) {
        (_, Some(error)) => Err(error),
        ([_, Frame::Element(element)], None) => Ok(String::from_utf8(element.bytes().to_vec()).expect("UTF-8")),
        _ => panic!("{text} is neither one element nor a fault: {frames:?}"),
    }
}

fn condition(text: &str) -> &'static str {
    element(text).expect_err(text).condition()
}

#[test]
fn what_is_well_formed_passes_verbatim() {
    for text in [
        "<message/>",
        "<message  a = \"it's\"\n\tb='\"'\r\n/>",
        "<message><body>a &lt; b &amp;&#65;&#x1F600; ]] > ]&gt;</body><x xmlns='u:x'><y/></x></message >",
        "<message><body><![CDATA[<a>&b;]] ]>]]></body></message>",
        "<m:message xmlns:m='jabber:server' m:a='1' b='2'><m:body/></m:message>",
        "<iq xmlns:a='u:1' xmlns:b='u:2' a:x='' b:x='' xml:lang='en' xml:space='preserve'/>",
        "<iq xmlns=''><été_-.·/></iq>",
        "<x xmlns:xml='http://www.w3.org/XML/1998/namespace'/>",
        "<presence from='ann@a.test/&quot;&apos;'>\u{fffd}\u{10ffff}\t\r\n</presence>",
    ] {
        assert_eq!(element(text).as_deref(), Ok(text));
    }
}

#[test]
fn what_is_not_well_formed_is_refused() {
    for text in [
        "<message></iq>",
        "<message><body></message>",
        "<message/ >",
        "<message a='1'b='2'/>",
        "<message a=1/>",
        "<message a/>",
        "<message a='<'/>",
        "<message a='1' a='2'/>",
        "<message xmlns:a='u' xmlns:b='u' a:x='' b:x=''/>",
        "<message xmlns='a' xmlns='b'/>",
        "< message/>",
        "<1message/>",
        "<:a/>",
        "<a:/>",
        "<a:b:c xmlns:a='u'/>",
        "<message>]]></message>",
        "<message>&#0;</message>",
        "<message>&#x;</message>",
        "<message>&#xFFFE;</message>",
        "<message>&#+65;</message>",
        "<message>&#99999999999;</message>",
        "<message>\u{1}</message>",
        "<message>\u{ffff}</message>",
        "<message>a & b</message>",
        "<message>&amp</message>",
        "<a\u{37e}/>",
        "<a\u{d7}/>",
        "<![CDATA[x]]>",
        "</message>",
        "<message></>",
    ] {
        assert_eq!(condition(text), "not-well-formed", "{text:?}");
    }
}

#[test]
fn names_of_only_one_edition_of_xml_are_refused() {
    // The 5th edition allows all of these, the 4th, which expat follows, none.
    for name in ["\u{200c}a", "a\u{1f600}", "\u{3400}"] {
        assert_eq!(condition(&format!("<{name}/>")), "not-well-formed", "{name:?}");
    }
}

#[test]
fn what_xmpp_restricts_is_refused() {
    for text in [
        "<!-- x -->",
        "<message><!-- x --></message>",
        "<!DOCTYPE x>",
        "<message><!DOCTYPE x></message>",
        "<?php ?>",
        "<message><?x y?></message>",
        "<message>&nbsp;</message>",
        "<message a='&x;'/>",
    ] {
        assert_eq!(condition(text), "restricted-xml", "{text:?}");
    }
    assert_eq!(condition("text"), "bad-format");
}

#[test]
fn prefixes_must_be_declared_and_declarations_sound() {
    for text in [
        "<x:message/>",
        "<message x:a=''/>",
        "<message><a xmlns:p='u'/><p:b/></message>",
        "<message xmlns:p=''/>",
        "<message xmlns:xmlns='u'/>",
        "<message xmlns:xml='u'/>",
        "<message xmlns:p='http://www.w3.org/XML/1998/namespace'/>",
        "<message xmlns='http://www.w3.org/2000/xmlns/'/>",
        "<xmlns:a/>",
        "<message xmlns:p='u&#10;v'/>",
    ] {
        assert_eq!(condition(text), "bad-namespace-prefix", "{text:?}");
    }
}

#[test]
fn the_declaration_stands_first_and_says_utf_8() {
    for (text, expected) in [
        ("<?xml version=\"1.0\" encoding='utf-8' standalone='yes' ?><a>", None),
        ("<?xml version='1.1'?><a>", Some("not-well-formed")),
        ("<?xml version='1.0' encoding='latin1'?><a>", Some("unsupported-encoding")),
        ("<?xml encoding='UTF-8' version='1.0'?><a>", Some("not-well-formed")),
        (" <?xml version='1.0'?><a>", Some("restricted-xml")),
        ("<?xml version='1.0'?><?xml version='1.0'?><a>", Some("restricted-xml")),
        ("<?xmlx version='1.0'?><a>", Some("restricted-xml")),
        ("<a/>", Some("bad-format")),
        ("\u{feff}<a>", Some("bad-format")),
        ("<a></b>", Some("not-well-formed")),
        ("<a></a><a>", Some("not-well-formed")),
    ] {
        let (_, error) = scan(text, 1, Limits::default());
        assert_eq!(error.map(|error| error.condition()), expected, "{text:?}");
    }
    let mut latin1 = BytesMut::from(&b"<a b='\xe9'>"[..]);
    assert_eq!(
        Scanner::new(Limits::default()).next(&mut latin1).expect_err("not UTF-8"),
        XmlError::UnsupportedEncoding
    );
}

#[test]
fn the_pieces_in_which_bytes_come_do_not_matter() {
    let text = format!(
        "{HEADER} <message to='b'><body>\u{e9}&amp;<![CDATA[]]]]]>x</body></message>\n\
         <iq a=\"'>\"><q xmlns='u'/></iq><stream:features/></stream:stream>"
    );
    let (whole, _) = scan(&text, usize::MAX, Limits::default());
    let shown = |frames: &[Frame]| {
        format!("{:?}", frames.iter().filter(|f| !matches!(f, Frame::Whitespace)).collect::<Vec<_>>())
    };
    assert_eq!(whole.len(), 7);
    for piece in 1..80 {
        let (frames, error) = scan(&text, piece, Limits::default());
        assert_eq!((shown(&frames), error), (shown(&whole), None), "pieces of {piece}");
    }
}

#[test]
fn limits_hold_before_an_element_is_complete() {
    let limits = Limits { stanza_bytes: 300, depth: 3, attributes: 4 };
    let header = HEADER.to_owned();
    for (text, expected) in [
        (format!("<message><body>{}", "x".repeat(290)), XmlError::TooBig { limit: 300 }),
        (format!("<message a='{}", "x".repeat(290)), XmlError::TooBig { limit: 300 }),
        (" ".repeat(200) + &format!("<message>{}</message>", "x".repeat(282)), XmlError::TooBig { limit: 300 }),
        ("<a><b><c><d>".to_owned(), XmlError::TooDeep { limit: 3 }),
        ("<a b='' c='' d='' e='' f=''>".to_owned(), XmlError::TooManyAttributes { limit: 4 }),
    ] {
        for piece in [1, usize::MAX] {
            let (_, error) = scan(&(header.clone() + &text), piece, limits);
            assert_eq!(error, Some(expected), "{text}");
        }
    }
    let fits = format!("<message>{}</message>", "x".repeat(281));
    assert_eq!(scan(&(header + &fits), 7, limits).1, None);
}

#[test]
fn white_space_between_elements_has_no_limit() {
    let limits = Limits { stanza_bytes: 300, ..Limits::default() };
    let text = format!("{HEADER}{}<message/>", " ".repeat(1000));
    for piece in [1, 7, usize::MAX] {
        let (frames, error) = scan(&text, piece, limits);
        assert!(matches!((frames.last(), error), (Some(Frame::Element(_)), None)), "in pieces of {piece}");
    }
}

#[test]
fn an_element_does_not_keep_the_memory_of_what_came_before_it() {
    let (small, large) = ("<message/>", format!("<message>{}</message>", "x".repeat(200_000)));
    let little = format!("<message>{}</message>", "x".repeat(5_000));
    let space = " ".repeat(200_000);
    for texts in [vec![&*large, small], vec![&space, small], vec![&little; 40], vec![&*large, &large, small]] {
        let mut buffer = BytesMut::from(&*format!("{HEADER}{}", texts.concat()));
        let mut scanner = Scanner::new(Limits::default());
        let frames = std::iter::from_fn(|| scanner.next(&mut buffer).expect("no fault"));
        let elements = frames.filter_map(|frame| match frame {
            Frame::Element(element) => Some(element.bytes().clone()),
            _ => None,
        });
        let elements: Vec<_> = elements.collect();
        assert_eq!(elements.iter().map(bytes::Bytes::len).sum::<usize>(), texts.concat().trim_start().len());
        assert!(buffer.capacity() < 64 * 1024, "an idle stream keeps {}", buffer.capacity());
        // How much memory that is shows where nobody else has it.
        drop(buffer);
        let last = elements.into_iter().rfind(|bytes| bytes.len() < 10_000).expect("a small one");
        let memory = last.try_into_mut().map_or(usize::MAX, |bytes| bytes.capacity());
        assert!(memory < 64 * 1024, "{memory}");
    }
}

#[test]
fn what_the_header_declared_travels_with_the_element() {
    assert_eq!(
        element("<stream:features><db:x/></stream:features>").as_deref(),
        Ok("<stream:features xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback'>\
            <db:x/></stream:features>")
    );
    // Only where it was used, and not where the element has its own.
    assert_eq!(
        element("<message xmlns:db='u'><db:x/></message>").as_deref(),
        Ok("<message xmlns:db='u'><db:x/></message>")
    );
    let lang = HEADER.replace(" to=", " xml:lang='de&amp;' to=");
    let (frames, _) = scan(
        &format!("{lang}<message to='x'/><message xml:lang='fr'/><a xmlns='u'/><message id='1'><db:a/></message>"),
        usize::MAX,
        Limits::default(),
    );
    let texts: Vec<_> = frames[1..]
        .iter()
        .map(|frame| if let Frame::Element(element) = frame { element.bytes().clone() } else { panic!("{frame:?}") })
        .collect();
    assert_eq!(&texts[0][..], b"<message xml:lang='de&amp;' to='x'/>");
    assert_eq!(&texts[1][..], b"<message xml:lang='fr'/>");
    assert_eq!(&texts[2][..], b"<a xmlns='u'/>");
    assert_eq!(
        &texts[3][..],
        b"<message xmlns:db='jabber:server:dialback' xml:lang='de&amp;' id='1'><db:a/></message>"
    );
    let Frame::Element(last) = &frames[4] else { panic!("{frames:?}") };
    assert_eq!((last.id().as_deref(), last.name()), (Some("1"), "message"));
}

#[test]
fn a_tree_resolves_names_and_text() {
    let text = "<a:iq xmlns:a='u:a' b='&lt;1&gt;'>x<y xmlns='u:y'><a:z/></y>&amp;<![CDATA[<&>]]></a:iq>";
    let tree = Element::parse(text.as_bytes()).expect("a tree");
    assert_eq!((tree.namespace.as_str(), tree.name.as_str()), ("u:a", "iq"));
    assert_eq!((tree.attr("b"), tree.text().as_str()), (Some("<1>"), "x&<&>"));
    let y = tree.child("u:y", "y").expect("y");
    assert!(y.child("u:a", "z").is_some());
    assert!(Element::parse(b"<a/><b/>").is_err());
    assert!(Element::parse(b"<a>").is_err());
}
