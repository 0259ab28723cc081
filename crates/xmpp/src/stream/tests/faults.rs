//! Each fault on an accepted stream gets its stream error, and nothing passes.

use super::*;

#[test]
fn each_kind_of_fault_gets_its_stream_error() {
    let cases = [
        ("<message from='a@contoso.test' to='b@fabrikam.test'><body></message>", Condition::NotWellFormed),
        ("<!-- a comment -->", Condition::RestrictedXml),
        ("<message from='a@contoso.test' to='b@fabrikam.test'>&#0;</message>", Condition::NotWellFormed),
        ("<message from='a@contoso.test' to='b@fabrikam.test'>\u{1}</message>", Condition::NotWellFormed),
        ("<?xml version='1.0'?>", Condition::RestrictedXml),
        ("<message from='a@contoso.test' to='b@fabrikam.test'>&bomb;</message>", Condition::RestrictedXml),
        ("<x:message from='a@contoso.test' to='b@fabrikam.test'/>", Condition::BadNamespacePrefix),
        ("hello", Condition::BadFormat),
        (HEADER, Condition::RestrictedXml),
        ("<message from='a@evil.test' to='b@fabrikam.test'/>", Condition::InvalidFrom),
        ("<message from='a@sub.contoso.test' to='b@fabrikam.test'/>", Condition::InvalidFrom),
        ("<message to='b@fabrikam.test'/>", Condition::ImproperAddressing),
        ("<message from='a@contoso.test'/>", Condition::ImproperAddressing),
        ("<message from='@contoso.test' to='b@fabrikam.test'/>", Condition::ImproperAddressing),
        ("<message from='a@contoso.test..' to='b@fabrikam.test'/>", Condition::ImproperAddressing),
        ("<message from='' to='b@fabrikam.test'/>", Condition::ImproperAddressing),
        ("<message from='a@fabrikam.test' to='b@fabrikam.test'/>", Condition::InvalidFrom),
        (
            "<message xmlns='jabber:client' from='a@contoso.test' to='b@fabrikam.test'/>",
            Condition::UnsupportedStanzaType,
        ),
        ("<db:result from='a b' to='fabrikam.test'>k</db:result>", Condition::ImproperAddressing),
        ("<db:result from='contoso.test'>k</db:result>", Condition::ImproperAddressing),
        ("<db:verify from='contoso.test' to='fabrikam.test'>k</db:verify>", Condition::BadFormat),
        ("<nonsense xmlns='jabber:server'/>", Condition::UnsupportedStanzaType),
        ("<x xmlns='urn:example:unknown'/>", Condition::UnsupportedStanzaType),
        ("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", Condition::PolicyViolation),
    ];
    for (text, condition) in cases {
        let mut host = Host::authenticated();
        host.hears(text);
        host.hears(HELLO);
        assert_eq!(host.passed(), 0, "{text}");
        assert_eq!(host.ended_with(), Some(condition), "{text}");
        assert!(host.sent.contains(&format!("<{condition} ")), "{}", host.sent);
        assert!(host.sent.ends_with("</stream:stream>"));
    }
}

/// What can't be written in a table: a thing too large, too deep, or in other bytes.
#[test]
fn what_is_too_much_or_not_utf_8_gets_its_stream_error() {
    let stanza = |inside: &str| format!("<message from='a@contoso.test' to='b@fabrikam.test'>{inside}</message>");
    let attributes: String = (0..100).map(|at| format!(" a{at}=''")).collect();
    for (bytes, condition) in [
        (stanza(&"x".repeat(262_144)).into_bytes(), Condition::PolicyViolation),
        (stanza(&"<a>".repeat(100)).into_bytes(), Condition::PolicyViolation),
        (stanza(&format!("<a{attributes}/>")).into_bytes(), Condition::PolicyViolation),
        (
            b"<message from='a@contoso.test' to='b@fabrikam.test'>\xff</message>".to_vec(),
            Condition::UnsupportedEncoding,
        ),
    ] {
        let mut host = Host::authenticated();
        host.machine.input().extend_from_slice(&bytes);
        host.run();
        host.hears(HELLO);
        assert_eq!((host.ended_with(), host.passed()), (Some(condition), 0));
    }
}

#[test]
fn who_proved_nothing_may_not_send_much() {
    let long = "k".repeat(10_000);
    let key = format!("<db:result from='contoso.test' to='fabrikam.test'>{long}");
    let mut host = Host::new(true);
    host.hears(HEADER);
    host.hears(&key);
    assert_eq!(host.ended_with(), Some(Condition::PolicyViolation));
    let stanza = format!("<message from='a@contoso.test' to='b@fabrikam.test'>{long}</message>");
    let mut host = Host::authenticated();
    host.hears(&stanza);
    assert_eq!(host.passed(), 1, "after EXTERNAL");
    let mut host = Host::with(true, Terms { external: Need::NotSupported, ..USUAL });
    host.hears(HEADER);
    host.hears("<db:result from='contoso.test' to='fabrikam.test'>k</db:result>");
    host.answer(Answer::Key { pair: pair(), verdict: KeyVerdict::Valid });
    host.hears(&stanza);
    assert_eq!(host.passed(), 1, "after dialback, on the same stream");
    let mut caller = Caller::new(Goal::Carry, USUAL, true);
    caller.hears(&HEADER.replace("from=", "id='1' from="));
    caller.hears(&format!("<stream:features><a xmlns='{long}'/>"));
    assert_eq!(caller.ended_with(), Some(Condition::PolicyViolation));
}

#[test]
fn a_bad_header_gets_a_header_and_its_error() {
    let cases = [
        (HEADER.replace("xmlns='jabber:server'", "xmlns='jabber:client'"), Condition::InvalidNamespace),
        (HEADER.replace("http://etherx.jabber.org/streams", "urn:wrong"), Condition::InvalidNamespace),
        (HEADER.replace(" to='fabrikam.test'", ""), Condition::ImproperAddressing),
        (HEADER.replace("to='fabrikam.test'", "to='a..b'"), Condition::HostUnknown),
        (HEADER.replace(" version='1.0'>", ">"), Condition::UnsupportedVersion),
        (HEADER.replace("version='1.0'>", "version='0.9'>"), Condition::UnsupportedVersion),
        (HEADER.replace("from='contoso.test'", "from='contoso..test'"), Condition::InvalidFrom),
        (HEADER.replace("stream:stream", "stream:wrong"), Condition::InvalidNamespace),
        (HEADER.replace("<?xml version='1.0'?>", "<!-- x -->"), Condition::RestrictedXml),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), Condition::BadFormat),
    ];
    for (header, condition) in cases {
        let mut host = Host::new(false);
        host.hears(&header);
        assert_eq!(host.ended_with(), Some(condition), "{header}");
        // RFC 6120 §4.9.1.2: a header, with an id, then the error, then the end.
        let sent = &host.sent;
        assert!(sent.starts_with("<?xml version='1.0'?><stream:stream ") && sent.contains(" id='s3cret-"), "{sent}");
        assert!(sent.contains(&format!("<stream:error><{condition} ")) && sent.ends_with("</stream:stream>"), "{sent}");
        assert_eq!(sent.matches("<stream:stream ").count(), 1, "{sent}");
    }
}

#[test]
fn a_version_to_come_is_answered_with_ours() {
    for version in ["1.1", "2.0", "10.3"] {
        let mut host = Host::new(false);
        host.hears(&HEADER.replace("version='1.0'>", &format!("version='{version}'>")));
        assert!(host.sent.contains(" version='1.0' ") && host.sent.contains("<stream:features>"), "{}", host.sent);
        assert_eq!(host.ended_with(), None);
    }
}

#[test]
fn a_peer_without_a_version_gets_none_and_may_do_dialback() {
    let mut host = Host::with(false, NO_TLS);
    host.hears(&HEADER.replace(" version='1.0'>", ">"));
    assert!(!host.sent.contains("version='1.0' ") && !host.sent.contains("features"), "{}", host.sent);
    host.hears("<db:result from='contoso.test' to='fabrikam.test'>k</db:result>");
    assert!(matches!(host.steps[..], [Step::Ask(Question::VerifyKey { .. })]), "{:?}", host.steps);
}

#[test]
fn whom_and_from_where_a_stream_goes_does_not_change_on_the_way() {
    for (second, condition) in [
        (HEADER.replace("to='fabrikam.test'", "to='other.test'"), Condition::HostUnknown),
        (HEADER.replace("from='contoso.test'", "from='evil.test'"), Condition::InvalidFrom),
    ] {
        let mut host = Host::new(true);
        host.hears(HEADER);
        host.hears("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
        host.hears(&second);
        assert_eq!(host.ended_with(), Some(condition));
    }
}

#[test]
fn nothing_passes_before_identity_is_proven() {
    let mut host = Host::new(true);
    host.hears(HEADER);
    host.hears(HELLO);
    assert_eq!(host.ended_with(), Some(Condition::NotAuthorized));
    let mut host = Host::new(true);
    host.hears(HEADER);
    host.hears("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
    host.hears(HELLO);
    assert_eq!((host.ended_with(), host.passed()), (Some(Condition::InvalidNamespace), 0), "no header after SASL");
    let mut host = Host::new(false);
    host.hears(HEADER);
    host.hears("<db:result from='contoso.test' to='fabrikam.test'>key</db:result>");
    assert_eq!(host.ended_with(), Some(Condition::PolicyViolation), "dialback before TLS");
}

#[test]
fn plaintext_behind_starttls_ends_the_stream() {
    let mut host = Host::new(false);
    host.hears(HEADER);
    host.hears("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><message/>");
    assert_eq!(host.ended_with(), Some(Condition::PolicyViolation));
    assert!(!host.steps.iter().any(|step| matches!(step, Step::StartTls)));
}

#[test]
fn what_was_proven_in_clear_is_not_taken_into_tls() {
    let mut host = Host::with(false, Terms { tls: Need::Optional, ..USUAL });
    host.hears(HEADER);
    host.hears("<db:result from='contoso.test' to='fabrikam.test'>k</db:result>");
    host.hears("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert_eq!(host.ended_with(), Some(Condition::PolicyViolation));
    assert!(!host.steps.iter().any(|step| matches!(step, Step::StartTls)));
}

#[test]
fn a_foreign_authorization_identity_is_refused() {
    let mut host = Host::new(true);
    host.hears(HEADER);
    // base64 of evil.test
    host.hears("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>ZXZpbC50ZXN0</auth>");
    assert!(host.sent.contains("<invalid-authzid/>"));
    host.hears("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>!</auth>");
    assert!(host.sent.contains("<incorrect-encoding/>"));
    assert!(!host.steps.iter().any(|step| matches!(step, Step::Authenticated { .. })));
}

#[test]
fn failed_attempts_to_authenticate_are_counted() {
    let auth = |mechanism| format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>=</auth>");
    let mut host = Host::new(true);
    host.hears(HEADER);
    host.hears(&auth("PLAIN"));
    host.hears("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    assert!(host.sent.contains("<invalid-mechanism/>") && host.sent.contains("<aborted/>"));
    assert_eq!(host.ended_with(), None);
    host.hears(&auth("EXTERNAL"));
    assert!(matches!(host.steps[..], [Step::Authenticated { .. }]), "two failures are forgiven");
    let mut host = Host::new(true);
    host.hears(HEADER);
    (0..3).for_each(|_| host.hears(&auth("PLAIN")));
    assert_eq!(host.ended_with(), Some(Condition::PolicyViolation));
    let mut host = Host::new(false);
    host.hears(HEADER);
    host.hears(&auth("EXTERNAL"));
    assert!(host.sent.contains("<encryption-required/>"));
}

#[test]
fn words_of_a_peer_stay_one_line_in_a_log() {
    let mut host = Host::new(false);
    host.hears(&HEADER.replace("to='fabrikam.test'", "to='a&#10;b\u{9b}2J'"));
    let Some(Step::End(End::OurError(error))) = host.steps.last() else { panic!("{:?}", host.steps) };
    assert!(!error.text.contains(char::is_control), "{:?}", error.text);
}
