//! Peers that send without end or at the dearest: memory stays within the limit, time within a bound.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use xmpp::xml::{Frame, Limits, Scanner, Verbatim, XmlError};

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
    xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' to='fabrikam.test'>";

/// What came of a peer that said `begun` and then `again` for ever.
struct Stopped {
    error: XmlError,
    /// The most bytes that waited at once.
    held: usize,
}

/// Sends `begun` and then `again` without end, in pieces as they come from a socket.
fn endless(begun: &str, again: &str, limits: Limits) -> Stopped {
    let (mut scanner, mut buffer, mut held) = (Scanner::new(limits), BytesMut::new(), 0);
    let piece = again.repeat(4096 / again.len());
    buffer.extend_from_slice(begun.as_bytes());
    for _ in 0..1000 {
        loop {
            match scanner.next(&mut buffer) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return Stopped { error, held },
            }
        }
        buffer.extend_from_slice(piece.as_bytes());
        held = held.max(buffer.len());
    }
    panic!("4 MB of `{again}` were taken, {held} bytes at once");
}

#[test]
fn whatever_does_not_end_is_stopped_at_the_limit() {
    let limits = Limits { stanza_bytes: 50_000, ..Limits::default() };
    let inside = |text: &str| format!("{HEADER}{text}");
    for (begun, again) in [
        (inside("<message><body>"), "text"),
        (inside("<message><body>"), "&amp;"),
        (inside("<message><body>"), "<b/>"),
        (inside("<message><body>"), "<![CDATA[x]]>"),
        (inside("<message><body><![CDATA["), "]]"),
        (inside("<message a='"), "value"),
        (inside("<message "), "    "),
        (inside("<message a"), "name"),
        (inside("<message"), "name"),
        (inside("<message></message"), "    "),
        (inside("</stream:stream"), "    "),
        (inside("<"), "m"),
        (inside("<message>&"), "a"),
        (inside("<?xml "), "    "),
        (inside("<message"), " xmlns:a='u'"),
        (String::new(), "<?"),
        (String::new(), "<a"),
        ("<stream:stream xmlns='".to_owned(), "name"),
    ] {
        let Stopped { error, held } = endless(&begun, again, limits);
        assert!(matches!(error, XmlError::TooBig { .. }), "{begun} {again}: {error}");
        assert!(held <= 50_000 + 4096, "{begun} {again}: {held} bytes were held");
    }
    for (begun, again, condition) in [(inside(""), "<a>", "policy-violation"), (inside("<!"), "--", "restricted-xml")] {
        assert_eq!(endless(&begun, again, limits).error.condition(), condition, "{again}");
    }
}

#[test]
fn white_space_between_stanzas_is_not_kept() {
    let (mut scanner, mut buffer) = (Scanner::new(Limits::default()), BytesMut::from(HEADER));
    assert!(matches!(scanner.next(&mut buffer), Ok(Some(Frame::Header(_)))));
    for _ in 0..1000 {
        buffer.extend_from_slice(&[b' '; 1000]);
        assert!(matches!(scanner.next(&mut buffer), Ok(Some(Frame::Whitespace))));
        assert!(buffer.is_empty());
    }
}

/// What a header declares is repeated on each stanza that needs it; nobody gets a kilobyte for ten bytes.
#[test]
fn a_header_does_not_blow_its_stanzas_up() {
    let scan = |header: &str| Scanner::new(Limits::default()).next(&mut BytesMut::from(header));
    for said in [
        format!("xml:lang='{}'", "x".repeat(1000)),
        format!("xmlns:p='{}'", "x".repeat(1000)),
        // Each would travel as `&apos;`.
        format!("xmlns:p=\"{}\"", "'".repeat(200)),
        format!("id='{}'", "x".repeat(10_000)),
    ] {
        let error = scan(&HEADER.replace("to=", &format!("{said} to="))).expect_err(&said);
        assert_eq!(error.condition(), "policy-violation", "{error}");
    }
    assert!(scan(&HEADER.replace("to=", &format!("xmlns:p='{}' to=", "x".repeat(500)))).is_ok());
}

/// What the header adds counts like what the stanza had, so that the next scanner takes what this one took.
#[test]
fn a_stanza_with_all_attributes_that_are_allowed_travels_or_is_refused() {
    for (attributes, fits) in [(62, true), (63, true), (64, false), (65, false)] {
        let header = HEADER.replace(" to=", " xml:lang='en' to=");
        let (mut scanner, mut buffer) = (Scanner::new(Limits::default()), BytesMut::from(&*header));
        assert!(matches!(scanner.next(&mut buffer), Ok(Some(Frame::Header(_)))));
        let attributes: String = (0..attributes).map(|at| format!(" a{at}=''")).collect();
        buffer.extend_from_slice(format!("<message{attributes}/>").as_bytes());
        match scanner.next(&mut buffer) {
            Ok(Some(Frame::Element(element))) => assert!(fits && Verbatim::parse(element.bytes()).is_ok()),
            other => assert!(!fits && other.is_err(), "{other:?}"),
        }
    }
}

/// The time that it takes to scan `text` as one stanza; the best of three, for a machine that is busy.
fn time(text: &str) -> Duration {
    let once = || {
        let (mut scanner, mut buffer) = (Scanner::new(Limits::default()), BytesMut::from(HEADER));
        buffer.extend_from_slice(text.as_bytes());
        let begun = Instant::now();
        while let Ok(Some(_)) = scanner.next(&mut buffer) {}
        begun.elapsed()
    };
    (0..3).map(|_| once()).min().unwrap_or_default()
}

/// Each is built to make one loop of the scanner run as often as it can in 256 KB.
#[test]
fn the_dearest_stanzas_cost_little_more_than_dull_ones() {
    const SIZE: usize = 250_000;
    let fill = |start: &str, again: &str, end: &str| {
        let times = (SIZE - start.len() - end.len()) / again.len();
        format!("{start}{}{end}", again.repeat(times))
    };
    let declared = |prefix: &str, many: usize, namespace: &str| {
        (10..10 + many).map(|at| format!(" xmlns:{prefix}{at}='{namespace}{at}'")).collect::<String>()
    };
    let nest = |each: &dyn Fn(usize) -> String, depth: usize| {
        (0..depth).map(|at| format!("<a{}>", each(at))).collect::<String>()
    };
    let dull = time(&fill("<message>", "<b>text</b>", "</message>"));
    let prefixed: String = (10..60).map(|at| format!(" p{at}:x=''")).collect();
    let long = "n".repeat(2000);
    let dearest = [
        (
            "many prefixes in force",
            fill(&nest(&|at| declared(&format!("p{at}x"), 60, "u"), 2), "<stream:b/>", &"</a>".repeat(2)),
        ),
        (
            "many attributes",
            fill(
                "<message>",
                &format!("<b{}/>", (0..60).map(|at| format!(" a{at}=''")).collect::<String>()),
                "</message>",
            ),
        ),
        (
            "long namespaces, compared",
            fill(&format!("<a{}>", declared("p", 50, &long)), &format!("<b{prefixed}/>"), "</a>"),
        ),
        ("one long namespace, often", fill(&format!("<a xmlns:p='{}'>", "n".repeat(100_000)), "<b p:c=''/>", "</a>")),
        ("references", fill("<message>", "&amp;", "</message>")),
        ("a reference of many zeros", fill("<message>&#x", "0", "41;</message>")),
        ("brackets", fill("<message>", "]]", "</message>")),
        ("brackets in CDATA", fill("<message><![CDATA[", "]]", "]]></message>")),
        ("quotes", fill("<message>", "<a b='\"\"\"\"' c=\"''''\"/>", "</message>")),
        ("names of other scripts", fill("<message>", "<été名前/>", "</message>")),
        ("characters that begin like forbidden ones", fill("<message>", "\u{ff01}", "</message>")),
    ];
    for (what, text) in dearest {
        let spent = time(&text);
        assert!(spent < dull * 15 + Duration::from_millis(5), "{what}: {spent:?}, a dull stanza takes {dull:?}");
        println!("{what}: {spent:?} (dull: {dull:?})");
    }
}

/// A stanza that comes byte by byte is not looked at from its beginning with each byte.
#[test]
fn small_pieces_are_not_dear() {
    let text = format!("<message a='{0}'>{0}<![CDATA[{0}]]></message>", "x".repeat(60_000));
    let (mut scanner, mut buffer) = (Scanner::new(Limits::default()), BytesMut::from(HEADER));
    assert!(matches!(scanner.next(&mut buffer), Ok(Some(Frame::Header(_)))));
    let begun = Instant::now();
    for byte in text.bytes() {
        buffer.extend_from_slice(&[byte]);
        if let Some(frame) = scanner.next(&mut buffer).expect("a stanza") {
            assert!(matches!(frame, Frame::Element(_)));
        }
    }
    assert!(buffer.is_empty() && begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
