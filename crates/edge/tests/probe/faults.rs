//! Certificates, DNS and policy at fault, and a partner that is right: what is said, and that nothing is shown to who is only
//! looked at.

use api::probe::{Name, Verdict};
use testkit::lab::border::{Border, BorderPlan, EXTERNAL, NEXT_HOP, server_of};
use testkit::lab::played::{Conduct, PlayedServer, What};
use testkit::lab::{CONTOSO, FABRIKAM, TAILSPIN, WOODGROVE};
use testkit::pki::{Issued, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::rig::{assert_went, at_the_border, of_border, stage};

fn issued(border: &Border, request: &Request) -> Issued {
    border.ca.issue(request).expect("ASCII")
}

#[test]
fn each_fault_of_a_certificate_has_its_cause_and_counts_as_the_entry_says() {
    let strict = "external = \"required\"\ndialback = false";
    let plan = BorderPlan { partners: vec![(FABRIKAM.to_owned(), strict.to_owned())], ..BorderPlan::default() };
    at_the_border(&plan.partner(TAILSPIN, ""), |border| async move {
        type Made = fn(&Border, &str) -> Issued;
        let cases: [(Made, &str, &str); 5] = [
            (
                |border, _| issued(border, &Request::new(&["other.test"])),
                "it speaks for other.test",
                "lead to another server",
            ),
            (|_, domain| Request::new(&[domain]).self_signed().expect("ASCII"), "self-signed", "nobody has vouched"),
            (|border, domain| issued(border, &Request::new(&[domain]).expired()), "expired on", "wasn't renewed"),
            (|border, domain| issued(border, &Request::new(&[domain]).not_yet_valid()), "not valid before", "clock"),
            (
                |_, domain| {
                    let other = testkit::pki::LabCa::new().expect("a CA");
                    other.issue(&Request::new(&[domain])).expect("ASCII")
                },
                "its CA has the name of a trusted one, and another key",
                "made anew",
            ),
        ];
        for (made, seen, cause) in cases {
            for (domain, verdict) in [(FABRIKAM, Verdict::Bad), (TAILSPIN, Verdict::Warning)] {
                let mut server =
                    PlayedServer::start(server_of(domain), made(&border, domain), Conduct::GOOD).expect("free");
                let probed = of_border(&border, &[domain]).await;
                let text = api::probe::table(&probed);
                let judged = stage(&probed.targets[0].stages, Name::Certificate);
                assert_eq!(judged.verdict, verdict, "{text}");
                assert!(judged.seen.contains(seen), "{text}");
                assert!(judged.cause.as_ref().is_some_and(|told| told.contains(cause)), "{text}");
                assert_eq!(probed.reached, verdict == Verdict::Warning, "{text}");
                assert_eq!(
                    probed.targets[0].certificate.as_ref().and_then(|shown| shown.fault.as_deref()),
                    Some(judged.seen.as_str())
                );
                server.stop().await;
            }
        }
        // As public CAs issue them: a note, and no fault.
        let server_only = issued(&border, &Request::new(&[FABRIKAM]).server_only());
        let _server = PlayedServer::start(server_of(FABRIKAM), server_only, Conduct::GOOD).expect("free");
        let probed = of_border(&border, &[FABRIKAM]).await;
        let judged = stage(&probed.targets[0].stages, Name::Certificate);
        assert_eq!((probed.verdict, probed.reached), (Verdict::Good, true), "{probed:?}");
        assert!(judged.seen.contains("without the usage clientAuth"), "{judged:?}");
        assert_eq!(
            probed.targets[0].certificate.as_ref().map(|shown| shown.usages.clone()),
            Some(vec!["serverAuth".to_owned()])
        );
    });
}

#[test]
fn a_fault_of_our_own_certificate_is_bad_whatever_partners_may_do() {
    at_the_border(&BorderPlan::default(), |mut border| async move {
        let external = EXTERNAL.to_string();
        let before = of_border(&border, &[CONTOSO, "--at", &external]).await;
        assert!(before.reached && before.verdict == Verdict::Good, "{}", api::probe::table(&before));
        let expired = issued(&border, &Request::new(&[CONTOSO]).expired());
        expired.write(&border.folder().join("certificates"), "contoso").expect("written");
        border.reload().expect("it says so");
        let probed = of_border(&border, &[CONTOSO, "--at", &external]).await;
        let text = api::probe::table(&probed);
        let judged = stage(&probed.targets[0].stages, Name::Certificate);
        assert!(judged.verdict == Verdict::Bad && judged.seen.contains("expired on"), "{text}");
        assert!(judged.fix.as_ref().is_some_and(|fix| fix.contains("on the edge server at 127.0.3.1")), "{text}");
        // It was seen to the end, which helps nobody: partners that go by certificates hang up.
        assert_went(&probed.targets[0], &[(Name::Features, Verdict::Good)]);
        assert!(!probed.reached && !probed.targets[0].reached, "{text}");
        assert_eq!(probed.faults().first(), Some(&judged.seen), "{text}");
    });
}

#[test]
fn what_is_wrong_in_dns_is_said() {
    at_the_border(&BorderPlan::default(), |border| async move {
        let good = border.issue(FABRIKAM).expect("ASCII");
        let at = server_of(FABRIKAM);
        let _server = PlayedServer::start(at, good, Conduct::GOOD).expect("free");
        let port = at.port();
        let (dns, host) = (&border.dns, "xmpp.fabrikam.test");
        let look = async |verdict: Verdict, reached: bool, seen: &str, cause: &str| {
            let probed = of_border(&border, &[FABRIKAM]).await;
            let text = api::probe::table(&probed);
            let resolved = stage(&probed.stages, Name::Resolve);
            assert_eq!((resolved.verdict, probed.reached), (verdict, reached), "{text}");
            assert!(resolved.seen.contains(seen), "{seen}: {text}");
            let told = resolved.cause.clone().unwrap_or_default();
            assert!(told.contains(cause), "{cause}: {text}");
            assert!(verdict == Verdict::Good || resolved.fix.is_some(), "{text}");
        };
        look(Verdict::Good, true, "_xmpp-server 10 0 5269 xmpp.fabrikam.test", "").await;
        dns.srv(FABRIKAM, &[(0, 0, 0, ".")]);
        look(Verdict::Bad, false, "says in DNS that it does not federate", "doesn't want to federate").await;
        dns.srv(FABRIKAM, &[(10, 0, 0, host)]);
        look(Verdict::Bad, false, "port 0 only", "left out the port").await;
        dns.srv(FABRIKAM, &[(10, 0, port, "gone.fabrikam.test")]);
        look(Verdict::Bad, false, "no address of gone.fabrikam.test", "renamed or taken away").await;
        dns.srv(FABRIKAM, &[(10, 0, port, "gone.fabrikam.test"), (20, 0, port, host)]);
        look(Verdict::Warning, true, "gone.fabrikam.test has no address", "renamed or taken away").await;
        dns.alias("alias.fabrikam.test", host);
        dns.srv(FABRIKAM, &[(10, 0, port, "alias.fabrikam.test")]);
        look(Verdict::Warning, true, "alias.fabrikam.test is an alias", "RFC 2782").await;
        dns.srv(FABRIKAM, &[]);
        look(Verdict::Bad, false, "DNS knows no XMPP server", "misspelled").await;
        dns.addresses(FABRIKAM, &[at.ip()]);
        look(Verdict::Warning, true, "there are no SRV records", "nobody has published them").await;
    });
}

#[test]
fn who_is_no_partner_and_what_somebody_names_is_only_looked_at() {
    at_the_border(&BorderPlan::default(), |border| async move {
        border.dns.srv(WOODGROVE, &[(10, 0, 5269, "xmpp.woodgrove.test")]);
        border.dns.addresses("xmpp.woodgrove.test", &[server_of(WOODGROVE).ip()]);
        let certificate = border.issue(WOODGROVE).expect("ASCII");
        let mut server = PlayedServer::start(server_of(WOODGROVE), certificate, Conduct::GOOD).expect("free");
        let probed = of_border(&border, &[WOODGROVE]).await;
        let text = api::probe::table(&probed);
        let policy = stage(&probed.stages, Name::Policy);
        assert!(policy.verdict == Verdict::Bad && policy.seen.contains("woodgrove.test is not a partner"), "{text}");
        assert!(probed.reached && probed.verdict == Verdict::Bad, "{text}");
        assert_went(&probed.targets[0], &[(Name::Certificate, Verdict::Good), (Name::External, Verdict::Skipped)]);

        // A partner, at an address that its DNS doesn't lead to.
        let at = server_of(WOODGROVE).to_string();
        let probed = of_border(&border, &[FABRIKAM, "--at", &at]).await;
        let text = api::probe::table(&probed);
        let judged = stage(&probed.targets[0].stages, Name::Certificate);
        assert!(judged.seen.contains("it speaks for woodgrove.test"), "{text}");
        assert_went(&probed.targets[0], &[(Name::External, Verdict::Skipped), (Name::Dialback, Verdict::Skipped)]);
        assert_eq!(server.streams(), 2);
        // Neither a proof nor a stanza; and it was told goodbye, which isn't heard of who proved nothing.
        assert!(server.heard().is_empty(), "{:?}", server.heard());

        // The next hop, and ourselves.
        let contosos = border.issue(CONTOSO).expect("ASCII");
        let mut hop = PlayedServer::start(NEXT_HOP, contosos, Conduct::GOOD).expect("free");
        for arguments in [&[CONTOSO][..], &[CONTOSO, "--from", FABRIKAM], &[CONTOSO, "--at", &EXTERNAL.to_string()]] {
            let probed = of_border(&border, arguments).await;
            assert!(probed.reached && probed.verdict == Verdict::Good, "{}", api::probe::table(&probed));
        }
        assert!(hop.streams() == 2 && hop.heard().is_empty(), "{:?}", hop.heard());

        // What a partner is proven, for comparison: the real thing, and still no stanza.
        let mut fabrikam =
            PlayedServer::start(server_of(FABRIKAM), border.issue(FABRIKAM).expect("ASCII"), Conduct::GOOD)
                .expect("free");
        let probed = of_border(&border, &[FABRIKAM]).await;
        assert_went(&probed.targets[0], &[(Name::External, Verdict::Good)]);
        let heard = fabrikam.next().await.expect("its end");
        assert!(matches!(heard.what, What::Closed), "{heard:?}");
        assert!(fabrikam.heard().is_empty());
    });
}

/// Says that it doesn't know the domain, and is gone before it hears our end.
async fn rude(listener: tokio::net::TcpListener) -> std::io::Result<()> {
    let error = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' \
                 xmlns:stream='http://etherx.jabber.org/streams' from='fabrikam.test' id='1' version='1.0'>\
                 <stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>";
    loop {
        let (mut connection, _) = listener.accept().await?;
        let mut heard = [0; 4096];
        let _ = connection.read(&mut heard).await?;
        connection.write_all(error.as_bytes()).await?;
        // Closing resets the connection.
        connection.set_zero_linger()?;
    }
}

#[test]
fn the_reason_of_who_is_gone_at_once_is_told_all_the_same() {
    at_the_border(&BorderPlan::default(), |border| async move {
        let listener = tokio::net::TcpListener::bind(server_of(FABRIKAM)).await.expect("free");
        let serving = tokio::spawn(rude(listener));
        for _ in 0..20 {
            let probed = of_border(&border, &[FABRIKAM]).await;
            let header = stage(&probed.targets[0].stages, Name::Header);
            assert!(header.seen.contains("host-unknown"), "{}", api::probe::table(&probed));
        }
        serving.abort();
    });
}
