//! TLS that isn't, and certificates that prove nothing.

use testkit::lab::border::{Border, BorderPlan, EXTERNAL, INTERNAL};
use testkit::lab::played::{AUTH, Caller, Ending, STARTTLS, header};
use testkit::lab::{CONTOSO, FABRIKAM, TAILSPIN};
use testkit::pki::{Issued, LabCa, Request};

use crate::beside::{Beside, at_the_border, attack, ended_with};

#[test]
fn what_comes_where_tls_should_begin_ends_the_stream() {
    at_the_border(&BorderPlan::default(), |border| async move {
        let mut beside = Beside::new(&border).await;
        for (at, from, to) in [(EXTERNAL, FABRIKAM, CONTOSO), (INTERNAL, CONTOSO, FABRIKAM)] {
            // Anybody on the way could have put it there.
            let slipped_in = format!("{}{STARTTLS}{}", header(from, to), header(from, to));
            ended_with(&attack(at, slipped_in).await, "policy-violation").expect("plaintext behind <starttls/>");
            beside.goes_on().await;

            for garbage in [&b"<presence/>"[..], &[0; 2000], &[0x16, 3, 1, 0xff, 0xff, 1]] {
                let mut caller = Caller::connect(at).await.expect("fedge listens");
                caller.write(header(from, to)).await.expect("open");
                caller.until("</stream:features>").await.expect("features");
                caller.write(STARTTLS).await.expect("open");
                caller.until("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await.expect("proceed");
                caller.write(garbage).await.expect("open");
                caller.write([7; 70_000]).await.ok();
                let ending = caller.ending().await.expect("fedge ends it");
                assert!(!ending.said.contains('<'), "nothing in clear where TLS was to be: {ending:?}");
                beside.goes_on().await;
            }
            // A record of a handshake, as direct TLS begins, and then none.
            let ending = attack(at, [&[0x16, 3, 1, 0, 9][..], b"no, it isn't"].concat()).await;
            assert!(!ending.said.contains('<'), "{ending:?}");
            beside.goes_on().await;
        }
        beside.ends(border).await;
    });
}

/// What may be shown in TLS that proves nothing, and what is said of it.
fn bad_certificates(border: &Border) -> Vec<(&'static str, Option<Issued>)> {
    let issue = |request: Request| Some(border.ca.issue(&request).expect("ASCII"));
    let good = Request::new(&[FABRIKAM]);
    let stranger = LabCa::new().expect("a key").issue(&good).expect("ASCII");
    vec![
        ("you showed none", None),
        ("expired", issue(good.clone().expired())),
        ("not valid before", issue(good.clone().not_yet_valid())),
        ("is not for", issue(Request::new(&[TAILSPIN, "*.fabrikam.test", "fabrikam.test.evil.test"]))),
        ("is not for", issue(Request::new(&[]).srv_name(TAILSPIN).xmpp_addr(TAILSPIN))),
        ("can't be trusted", Some(stranger)),
        ("self-signed", Some(good.self_signed().expect("ASCII"))),
    ]
}

async fn shows(identity: Option<&Issued>) -> Caller {
    let mut caller = Caller::connect(EXTERNAL).await.expect("fedge listens");
    caller.starttls(FABRIKAM, CONTOSO, identity).await.expect("TLS asks for no good certificate");
    caller
}

#[test]
fn where_external_is_required_a_bad_certificate_ends_the_stream_and_says_why() {
    let partners = vec![(FABRIKAM.to_owned(), String::new())];
    let required = "external = \"required\"".to_owned();
    at_the_border(&BorderPlan { federation: required, partners, ..BorderPlan::default() }, |border| async move {
        let mut beside = Beside::new(&border).await;
        for (why, identity) in bad_certificates(&border) {
            let ending = shows(identity.as_ref()).await.ending().await.expect("fedge ends it");
            ended_with(&ending, "not-authorized").expect(why);
            assert!(ending.said.contains(why), "{why}: {ending:?}");
            beside.goes_on().await;
        }
        beside.ends(border).await;
    });
}

#[test]
fn where_dialback_will_do_a_bad_certificate_leaves_dialback_only() {
    at_the_border(&BorderPlan::default(), |border| async move {
        let mut beside = Beside::new(&border).await;
        for (why, identity) in bad_certificates(&border) {
            let mut caller = shows(identity.as_ref()).await;
            let features = caller.until("</stream:features>").await.expect("features");
            assert!(!features.contains("EXTERNAL") && features.contains("dialback"), "{why}: {features}");
            for _ in 0..3 {
                caller.write(AUTH).await.expect("open");
                caller
                    .until("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><invalid-mechanism/>")
                    .await
                    .expect(why);
            }
            ended_with(&caller.ending().await.expect("fedge ends it"), "policy-violation").expect(why);
            beside.goes_on().await;
        }
        beside.ends(border).await;
    });
}

/// Says this as `<auth/>`, until that ends the stream.
async fn insists(identity: &Issued, auth: &str, condition: &str) -> Ending {
    let mut caller = shows(Some(identity)).await;
    caller.until("<mechanism>EXTERNAL</mechanism>").await.expect("offered");
    for _ in 0..3 {
        caller.write(auth).await.expect("open");
        caller.until(&format!("<{condition}/>")).await.expect(auth);
    }
    caller.ending().await.expect("fedge ends it")
}

#[test]
fn a_good_certificate_proves_its_own_domain_only() {
    at_the_border(&BorderPlan::default(), |border| async move {
        let mut beside = Beside::new(&border).await;
        let auth = |mechanism: &str, text: &str| {
            format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{text}</auth>")
        };
        for (auth, condition) in [
            // contoso.test, tailspin.test, user@fabrikam.test
            (auth("EXTERNAL", "Y29udG9zby50ZXN0"), "invalid-authzid"),
            (auth("EXTERNAL", "dGFpbHNwaW4udGVzdA=="), "invalid-authzid"),
            (auth("EXTERNAL", "dXNlckBmYWJyaWthbS50ZXN0"), "invalid-authzid"),
            (auth("EXTERNAL", "/w=="), "invalid-authzid"),
            (auth("EXTERNAL", "!"), "incorrect-encoding"),
            (auth("PLAIN", "AGEAYg=="), "invalid-mechanism"),
        ] {
            let ending = insists(&beside.fabrikams, &auth, condition).await;
            ended_with(&ending, "policy-violation").expect(&auth);
            beside.goes_on().await;
        }
        beside.ends(border).await;
    });
}
