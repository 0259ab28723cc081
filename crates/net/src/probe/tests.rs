//! What is made of what real servers do: each thing that can be seen has its verdict, its cause and its fix.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use rustls::AlertDescription as Alert;
use topology::address::Forbidden;
use topology::partner::{Local, Partner};
use xmpp::stream::{Condition, End, StreamError};

use super::facts::Trouble;
use super::trouble::{explain, refused_certificate};
use super::*;
use crate::judge::CertificateFault;
use crate::resolve::{ResolveError, Said, Survey};
use crate::tls::TlsError;

mod certificates;
mod plans;

const USUAL: Terms = Terms { tls: Need::Required, external: Need::Optional, dialback: true };
const STRICT: Terms = Terms { tls: Need::Required, external: Need::Required, dialback: false };

fn domain(text: &str) -> Domain {
    Domain::parse(text).expect("a domain")
}

fn scene(whose: Whose) -> Scene {
    Scene {
        to: domain("fabrikam.test"),
        from: Some(domain("contoso.test")),
        whose,
        address: SocketAddr::from(([203, 0, 113, 9], 5269)),
        direct_tls: false,
        terms: USUAL,
        looks: false,
    }
}

/// Whether the finding is that, and says that of its cause and of what to do.
fn assert_says(finding: &Finding, verdict: Verdict, seen: &str, cause: &str, fix: &str) {
    assert_eq!(finding.verdict, verdict, "{finding:?}");
    assert!(finding.seen.contains(seen), "{seen}: {finding:?}");
    assert!(finding.cause.as_deref().unwrap_or_default().contains(cause), "{cause}: {finding:?}");
    assert!(finding.fix.as_deref().unwrap_or_default().contains(fix), "{fix}: {finding:?}");
}

fn io(kind: ErrorKind) -> Trouble {
    Trouble::Io(Error::from(kind))
}

fn by_peer(condition: Condition) -> Trouble {
    Trouble::Ended(End::PeerError(StreamError::new(condition, "because")), Vec::new())
}

fn by_us(condition: Condition, text: &str) -> Trouble {
    Trouble::Ended(End::OurError(StreamError::new(condition, text)), Vec::new())
}

fn said(first: &[u8]) -> Trouble {
    Trouble::Ended(End::OurError(StreamError::new(Condition::NotWellFormed, "no XML")), first.to_vec())
}

const SILENT: Trouble = Trouble::Silent(Duration::from_secs(5));

#[test]
fn connections_that_do_not_come_up() {
    let partner = scene(Whose::Partner);
    for (trouble, verdict, seen, cause, fix) in [
        (
            io(ErrorKind::ConnectionRefused),
            Verdict::Bad,
            "refuses connections",
            "no server listens",
            "start the server",
        ),
        (SILENT, Verdict::Bad, "within 5 s", "a firewall drops packets", "lets this machine out to port 5269"),
        (
            io(ErrorKind::HostUnreachable),
            Verdict::Bad,
            "can't be reached",
            "a router",
            "ask the administrators of fabrikam",
        ),
        (io(ErrorKind::PermissionDenied), Verdict::Bad, "may not connect", "packet filter", "out to port 5269"),
        (io(ErrorKind::ConnectionReset), Verdict::Bad, "the connection broke", "load balancer", "see that the server"),
        (Trouble::Own, Verdict::Bad, "led back to this machine", "DNS says", "correct the SRV records"),
        (
            Trouble::Forbidden(Forbidden::NotElsewhere(IpAddr::from([127, 0, 0, 1]))),
            Verdict::Bad,
            "no address of another machine",
            "",
            "public addresses",
        ),
    ] {
        assert_says(&explain(Name::Tcp, &trouble, &partner), verdict, seen, cause, fix);
    }
    let six = Scene { address: "[2001:db8::1]:5269".parse().expect("an address"), ..scene(Whose::Partner) };
    let finding = explain(Name::Tcp, &io(ErrorKind::NetworkUnreachable), &six);
    assert_says(&finding, Verdict::Warning, "no way to IPv6", "no IPv6 address", "nothing, as long as");
    let hurry = explain(Name::Tcp, &Trouble::Silent(Duration::from_millis(780)), &partner);
    assert_says(&hurry, Verdict::Bad, "within 0.7 s", "", "");
    // Of our own servers, it is known who can mend it, and what makes them refuse.
    let refused = io(ErrorKind::ConnectionRefused);
    let finding = explain(Name::Tcp, &refused, &scene(Whose::Own));
    assert_says(&finding, Verdict::Bad, "refuses", "its federation service is stopped", "`fedge-edge status`");
    let finding = explain(Name::Tcp, &refused, &scene(Whose::NextHop));
    assert_says(&finding, Verdict::Bad, "refuses", "listens elsewhere", "`next_hop`");
    let finding = explain(Name::Tcp, &SILENT, &scene(Whose::Own));
    assert_says(&finding, Verdict::Bad, "nothing answered", "", "open port 5269 to the outside");
}

#[test]
fn what_is_no_xmpp_server_says_so_by_its_first_words() {
    let clients = b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='x'>";
    for (first, protocol, fix) in [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], "HTTP", "lead to the XMPP server"),
        (b"<!DOCTYPE html><html>", "HTTP", "lead to the XMPP server"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH", "lead to the XMPP server"),
        (b"220 mail.fabrikam.test ESMTP\r\n", "SMTP or FTP", "lead to the XMPP server"),
        (b"* OK IMAP4rev1\r\n", "IMAP", "lead to the XMPP server"),
        (b"\x15\x03\x01\x00\x02\x02\x0a", "TLS", "publish that port as `_xmpps-server`"),
        (clients, "XMPP for clients", "5269 as a rule"),
    ] {
        let finding = explain(Name::Header, &said(first), &scene(Whose::Partner));
        assert_says(&finding, Verdict::Bad, &format!("port 5269 speaks {protocol}"), "", fix);
    }
    let finding = explain(Name::Header, &said(b"hello"), &scene(Whose::Partner));
    assert_says(&finding, Verdict::Bad, "no XML", "no XMPP server", "see what listens");
    let probe = Trouble::Ended(End::Probe, Vec::new());
    let finding = explain(Name::Header, &probe, &scene(Whose::Partner));
    assert_says(&finding, Verdict::Bad, "without a word", "load balancer", "see that the server behind that port runs");
    let finding = explain(Name::Header, &SILENT, &scene(Whose::Partner));
    assert_says(&finding, Verdict::Bad, "nothing came for 5 s", "takes direct TLS", "takes STARTTLS");
    let finding = explain(Name::Header, &io(ErrorKind::ConnectionReset), &scene(Whose::Partner));
    assert_says(&finding, Verdict::Bad, "the connection broke", "bars this machine", "see that the server");
}

#[test]
fn each_stream_error_of_a_peer_has_its_cause() {
    use Condition as C;
    for (stage, condition, cause, fix) in [
        (Name::Header, C::HostUnknown, "doesn't serve fabrikam.test", "add fabrikam.test to it"),
        (Name::Header, C::HostGone, "no longer serves", "correct the DNS"),
        (Name::Features, C::PolicyViolation, "its policy doesn't let contoso.test in", "let contoso.test federate"),
        (Name::Features, C::NotAuthorized, "its policy", "let contoso.test federate"),
        (Name::External, C::NotAuthorized, "doesn't take our certificate", "allow dialback"),
        (Name::Features, C::InvalidFrom, "doesn't believe", "is a domain of this installation"),
        (Name::Dialback, C::RemoteConnectionFailed, "couldn't reach the server that DNS names", "port 5269 is open"),
        (Name::Features, C::ResourceConstraint, "too much to do", "probe again later"),
        (Name::Dialback, C::ConnectionTimeout, "lost its patience", "log"),
        (Name::Header, C::UnsupportedVersion, "lacks something", "up to date"),
        (Name::Features, C::SeeOtherHost, "another host", "in the SRV records"),
        (Name::Features, C::InternalServerError, "a fault in it", "log"),
    ] {
        let finding = explain(stage, &by_peer(condition), &scene(Whose::Partner));
        assert_says(&finding, Verdict::Bad, &format!("{condition} (because)"), cause, fix);
    }
    let finding = explain(Name::Header, &by_peer(C::SystemShutdown), &scene(Whose::Partner));
    assert_says(&finding, Verdict::Warning, "system-shutdown", "restarted", "probe again in a minute");
    let finding = explain(Name::Header, &by_peer(C::HostUnknown), &scene(Whose::Own));
    assert_says(&finding, Verdict::Bad, "host-unknown", "", "a configuration in which fabrikam.test is local");
    let anonymous = Scene { from: None, looks: true, ..scene(Whose::NextHop) };
    let finding = explain(Name::Features, &by_peer(C::NotAuthorized), &anonymous);
    assert_says(&finding, Verdict::Warning, "not-authorized", "no certificate", "--from");
}

#[test]
fn what_we_take_offence_at_has_its_cause() {
    use Condition as C;
    for (stage, condition, text, cause, fix) in [
        (
            Name::Header,
            C::PolicyViolation,
            "the peer offers no STARTTLS",
            "TLS is switched off",
            "`tls = \"optional\"`",
        ),
        (Name::Header, C::UnsupportedVersion, "no XMPP 1.0", "TLS is switched off", "switch on STARTTLS"),
        (Name::Tls, C::PolicyViolation, "offered STARTTLS and then refused it", "key is missing", "log"),
        (
            Name::External,
            C::PolicyViolation,
            "the peer does not offer EXTERNAL",
            "neither side's demands",
            "allow dialback",
        ),
        (Name::External, C::NotAuthorized, "unsupported certificate purpose", "clientAuth", "allow dialback"),
        (
            Name::Dialback,
            C::NotAuthorized,
            "our dialback key is invalid",
            "another dialback secret",
            "same dialback secrets",
        ),
        (
            Name::Dialback,
            C::RemoteConnectionFailed,
            "could not verify",
            "couldn't reach the server",
            "port 5269 is open",
        ),
    ] {
        let finding = explain(stage, &by_us(condition, text), &scene(Whose::Partner));
        assert_says(&finding, Verdict::Bad, text, cause, fix);
    }
    let finding = explain(Name::Dialback, &SILENT, &scene(Whose::Partner));
    assert_says(&finding, Verdict::Bad, "whether it takes our key", "in vain", "probe contoso.test from outside");
}

#[test]
fn each_failed_handshake_has_its_cause() {
    let direct = Scene { direct_tls: true, ..scene(Whose::Partner) };
    let eof = || TlsError::Io(ErrorKind::UnexpectedEof.into());
    for (error, scene, cause, fix) in [
        (TlsError::NotTls, &direct, "takes STARTTLS", "take that record away"),
        (TlsError::NotTls, &scene(Whose::Partner), "interferes", "log"),
        (TlsError::OtherProtocol, &direct, "for clients", "`xmpp-server`"),
        (TlsError::Refused(Alert::UnrecognisedName), &direct, "no certificate for fabrikam.test", "install"),
        (TlsError::Refused(Alert::ProtocolVersion), &direct, "neither TLS 1.2", "allow TLS 1.2"),
        (TlsError::Refused(Alert::HandshakeFailure), &direct, "no cipher suite", "common cipher suites"),
        (TlsError::Refused(Alert::CertificateRequired), &direct, "we have none", "lay a certificate for contoso.test"),
        (TlsError::Refused(Alert::UnknownCA), &direct, "doesn't trust the CA", "trust that CA"),
        (TlsError::Refused(Alert::UnsupportedCertificate), &direct, "clientAuth", "allow dialback"),
        (TlsError::Refused(Alert::CertificateExpired), &direct, "has expired", "renew it"),
        (TlsError::Refused(Alert::InternalError), &direct, "can't load", "log"),
        (TlsError::BadCertificate("x".to_owned()), &direct, "don't belong together", "the key that belongs"),
        (TlsError::NotInDns(domain("fabrikam.test")), &direct, "DNS can't have", "probe a domain"),
        (eof(), &direct, "doesn't take direct TLS", "TLS works there"),
        (eof(), &scene(Whose::Partner), "no certificate for the domain", "TLS works there"),
    ] {
        let seen = error.to_string();
        assert_says(&explain(Name::Tls, &Trouble::Tls(error), scene), Verdict::Bad, &seen, cause, fix);
    }
}

#[test]
fn an_alert_behind_the_handshake_is_about_the_handshake() {
    let alert = |alert| Error::other(rustls::Error::AlertReceived(alert));
    let (stage, trouble) = attempt::broke(Name::Features, alert(Alert::UnknownCA));
    assert_eq!(stage, Name::Tls);
    let finding = explain(stage, &trouble, &scene(Whose::Partner));
    assert_says(&finding, Verdict::Bad, "UnknownCA", "doesn't trust the CA of our certificate", "trust that CA");
    let (stage, _) = attempt::broke(Name::Features, Error::from(ErrorKind::ConnectionReset));
    assert_eq!(stage, Name::Features);
}

#[test]
fn why_our_certificate_is_refused_is_read_from_the_peer_s_words() {
    for (words, cause) in [
        ("not-authorized unsupported certificate purpose", "clientAuth"),
        ("not-authorized self signed certificate", "doesn't trust the CA"),
        ("not-authorized certificate has expired", "has expired"),
        ("not-authorized Certificate host name mismatch", "isn't for contoso.test"),
        ("not-authorized", "doesn't take our certificate"),
    ] {
        let finding = refused_certificate(Finding::warning(words), words, &scene(Whose::Partner));
        assert_says(&finding, Verdict::Warning, words, cause, "");
        assert!(finding.fix.is_some());
    }
}

#[test]
fn what_dns_says_has_its_verdict() {
    let fabrikam = domain("fabrikam.test");
    let record = |text: &str| Said::Records(vec![text.to_owned()]);
    let good = Survey {
        starttls: record("10 0 5269 xmpp.fabrikam.test"),
        direct: Said::Absent,
        own_address: false,
        aliases: Vec::new(),
        nowhere: Vec::new(),
        forbidden: Vec::new(),
        targets: Ok(Vec::new()),
    };
    let failed = |error| Survey { targets: Err(error), ..good.clone() };
    let private = IpAddr::from([10, 0, 0, 1]);
    let forbidden = Forbidden::NotPublic(private);
    let hosts = || "xmpp.fabrikam.test".to_owned();
    let bad = [
        (ResolveError::NotOffered(fabrikam.clone()), "doesn't want to federate", "publish SRV records"),
        (ResolveError::NoServer(fabrikam.clone()), "misspelled", "`next_hop`"),
        (ResolveError::NoPort(fabrikam.clone()), "left out the port", "5269"),
        (ResolveError::NoAddress { hosts: hosts(), of: "it".to_owned() }, "renamed", "publish addresses of xmpp"),
        (ResolveError::Forbidden { of: fabrikam.clone(), why: forbidden }, "an inner view", "public addresses"),
        (ResolveError::Forbidden { of: fabrikam.clone(), why: Forbidden::Own(private) }, "this very edge", "publish"),
        (ResolveError::Failed { name: hosts(), why: "late".to_owned() }, "the resolver is down", "`resolvers`"),
    ];
    for (error, cause, fix) in bad {
        let seen = error.to_string();
        let finding = names::finding(&failed(error), &fabrikam, false);
        assert_says(&finding, Verdict::Bad, &seen, cause, fix);
    }
    let seen = "_xmpp-server 10 0 5269 xmpp.fabrikam.test";
    assert_says(&names::finding(&good, &fabrikam, false), Verdict::Good, seen, "", "");
    for (survey, seen, cause) in [
        (
            Survey { own_address: true, starttls: Said::Absent, ..good.clone() },
            "no SRV records",
            "nobody has published",
        ),
        (Survey { nowhere: vec![hosts()], ..good.clone() }, "xmpp.fabrikam.test has no address", "renamed"),
        (
            Survey { forbidden: vec![(private, forbidden)], ..good.clone() },
            "10.0.0.1 isn't dialed",
            "isn't everybody's",
        ),
        (Survey { aliases: vec![hosts()], ..good.clone() }, "is an alias", "RFC 2782"),
        (Survey { direct: Said::Failed("late".to_owned()), ..good.clone() }, "_xmpps-server: late", "doesn't answer"),
        (Survey { direct: Said::NoPort, ..good.clone() }, "names port 0", "left out"),
    ] {
        assert_says(
            &names::finding(&survey, &fabrikam, false),
            Verdict::Warning,
            seen,
            cause,
            "ask the administrators",
        );
        assert_says(&names::finding(&survey, &fabrikam, true), Verdict::Warning, seen, cause, "in the DNS of fabrikam");
    }
}
