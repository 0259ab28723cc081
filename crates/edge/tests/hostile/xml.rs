//! XML that is none, or not XMPP's, or too much of it; before and after anybody has proved anything.

use testkit::lab::border::{BorderPlan, EXTERNAL, INTERNAL};
use testkit::lab::played::{Caller, header};
use testkit::lab::{CONTOSO, FABRIKAM};

use crate::beside::{Beside, at_the_border, attack, ended_with};

/// One byte more than a stanza may have.
const TOO_MUCH: usize = 262_145;

/// What is said first, and how that ends.
fn openings(from: &str, to: &str) -> Vec<(&'static str, String, &'static str)> {
    let good = header(from, to);
    let with = |old: &str, new: &str| {
        assert!(good.contains(old), "{old}");
        good.replace(old, new)
    };
    vec![
        ("no XML", "GET / HTTP/1.1\r\n\r\n".to_owned(), "bad-format"),
        ("binary", "\u{1}\u{2}\u{3}".to_owned(), "bad-format"),
        ("another root", "<html>".to_owned(), "invalid-namespace"),
        ("client's namespace", with("'jabber:server'", "'jabber:client'"), "invalid-namespace"),
        ("another stream namespace", with("http://etherx.jabber.org/streams", "urn:x"), "invalid-namespace"),
        ("an undeclared prefix", with("xmlns:stream=", "xmlns:other="), "bad-namespace-prefix"),
        ("an attribute twice", with(" to=", " from='x.test' to="), "not-well-formed"),
        ("a comment", format!("{good}<!-- a -->"), "restricted-xml"),
        ("a processing instruction", format!("{good}<?php ?>"), "restricted-xml"),
        ("a doctype", "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]>".to_owned(), "restricted-xml"),
        ("an entity", with(to, "&b;"), "restricted-xml"),
        ("another encoding", with("version='1.0'?", "version='1.0' encoding='UTF-16'?"), "unsupported-encoding"),
        ("XML 1.1", with("version='1.0'?", "version='1.1'?"), "not-well-formed"),
        ("no `to`", with(&format!(" to='{to}'"), ""), "improper-addressing"),
        ("a `to` that nobody serves", with(&format!("to='{to}'"), "to='nobody.test'"), "host-unknown"),
        ("a `to` that is no domain", with(&format!("to='{to}'"), "to='a b'"), "host-unknown"),
        ("XMPP 0.9", with(" version='1.0'>", ">"), "unsupported-version"),
        ("an end tag of nothing", format!("{good}</x>"), "not-well-formed"),
        ("a stanza before authentication", format!("{good}<message from='a@{from}' to='b@{to}'/>"), "not-authorized"),
        ("text between elements", format!("{good}hello"), "bad-format"),
        ("an endless header", format!("{}{}", &good[..good.len() - 1], " ".repeat(TOO_MUCH)), "policy-violation"),
        ("an endless address", with(to, &"a".repeat(TOO_MUCH)), "policy-violation"),
        (
            "namespaces without end",
            {
                let many: String = (0..5000).map(|n| format!(" xmlns:p{n}='urn:{n}'")).collect();
                with(" version='1.0'>", &format!("{many} version='1.0'>"))
            },
            "policy-violation",
        ),
    ]
}

#[test]
fn whoever_speaks_no_xmpp_is_told_so_and_nobody_else_notices() {
    at_the_border(&BorderPlan::default(), |border| async move {
        let mut beside = Beside::new(&border).await;
        let mut faults = Vec::new();
        for (at, from, to) in [(EXTERNAL, FABRIKAM, CONTOSO), (INTERNAL, CONTOSO, FABRIKAM)] {
            for (what, bytes, condition) in openings(from, to) {
                // Two faces are one code; on the inner one `to` means other things.
                if at == INTERNAL && what.starts_with("a `to`") {
                    continue;
                }
                let ending = attack(at, bytes).await;
                faults.extend(ended_with(&ending, condition).err().map(|fault| format!("{what} at {at}: {fault}")));
                beside.goes_on().await;
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        beside.ends(border).await;
    });
}

/// What a proven peer says that ends its stream, and with which error.
fn stanzas() -> Vec<(&'static str, String, &'static str)> {
    let head = format!("<message from='eve@{FABRIKAM}' to='alice@{CONTOSO}'");
    let with_body = |body: &str| format!("{head}><body>{body}</body></message>");
    let too_much = |start: &str, what: &str, end: &str| {
        let length = TOO_MUCH - start.len() - end.len();
        format!("{start}{}{end}", what.repeat(length.div_ceil(what.len())))
    };
    vec![
        ("an element that isn't closed", format!("{head}><a></b></message>"), "not-well-formed"),
        ("an attribute without a value", format!("{head} x/>"), "not-well-formed"),
        ("an attribute twice", format!("{head} from='eve@{FABRIKAM}'/>"), "not-well-formed"),
        (
            "two attributes that are one",
            format!("{head}><a xmlns:b='urn:x' xmlns:c='urn:x' b:d='' c:d=''/></message>"),
            "not-well-formed",
        ),
        ("an undeclared prefix", format!("{head}><a:b/></message>"), "bad-namespace-prefix"),
        ("a prefix that is XML's own", format!("{head}><a xmlns:xml='urn:x'/></message>"), "bad-namespace-prefix"),
        ("a forbidden character", with_body("\u{1}"), "not-well-formed"),
        ("a reference to a forbidden character", with_body("&#0;"), "not-well-formed"),
        ("an entity", with_body("&lol;"), "restricted-xml"),
        ("a comment", with_body("<!-- a -->"), "restricted-xml"),
        ("a processing instruction", with_body("<?a?>"), "restricted-xml"),
        ("a doctype", with_body("<!DOCTYPE a>"), "restricted-xml"),
        ("too deep", with_body(&"<a>".repeat(64)), "policy-violation"),
        (
            "too many attributes",
            {
                let many: String = (0..65).map(|n| format!(" a{n}=''")).collect();
                format!("{head}{many}/>")
            },
            "policy-violation",
        ),
        ("one byte too much", too_much(&format!("{head}><body>"), "a", "</body></message>"), "policy-violation"),
        ("an endless attribute", too_much(&format!("{head} a='"), "a", ""), "policy-violation"),
        ("endless white space in a tag", too_much(&head, " ", ""), "policy-violation"),
        ("an endless name", too_much("<", "a", ""), "policy-violation"),
        ("an endless section", too_much(&format!("{head}><body><![CDATA["), "a", ""), "policy-violation"),
        (
            "namespaces without end",
            too_much(&format!("{head}>"), "<a xmlns='urn:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'/>", ""),
            "policy-violation",
        ),
        ("another namespace", "<message xmlns='jabber:client'/>".to_owned(), "unsupported-stanza-type"),
        ("no stanza", "<query xmlns='urn:x'/>".to_owned(), "unsupported-stanza-type"),
        ("no `from`", format!("<message to='alice@{CONTOSO}'/>"), "improper-addressing"),
        ("no `to`", format!("<message from='eve@{FABRIKAM}'/>"), "improper-addressing"),
        (
            "a `from` that is no address",
            format!("<message from='@{FABRIKAM}' to='alice@{CONTOSO}'/>"),
            "improper-addressing",
        ),
        ("STARTTLS in TLS", "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>".to_owned(), "policy-violation"),
        ("another header", header(FABRIKAM, CONTOSO), "restricted-xml"),
    ]
}

#[test]
fn a_partner_that_sends_what_no_stanza_may_be_loses_its_own_stream_only() {
    at_the_border(&BorderPlan::default(), |border| async move {
        let mut beside = Beside::new(&border).await;
        let mut faults = Vec::new();
        for (what, bytes, condition) in stanzas() {
            let fabrikams = &beside.fabrikams;
            let mut caller = Caller::by_certificate(EXTERNAL, FABRIKAM, CONTOSO, fabrikams).await.expect("a stream");
            let _ = caller.write(bytes).await;
            let ending = caller.ending().await.expect("fedge ends the stream");
            faults.extend(ended_with(&ending, condition).err().map(|fault| format!("{what}: {fault}")));
            beside.goes_on().await;
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        beside.ends(border).await;
    });
}
