//! What is said of certificates, and of what is offered behind them.

use std::time::SystemTime;

use api::probe::{Certificate, Offers, Tls};
use rcgen::ExtendedKeyUsagePurpose;

use super::super::{certificate, offers};
use super::*;
use crate::certificates::testing::{Ca, leaf_params, noon};

fn shown(usages: &[ExtendedKeyUsagePurpose], now: SystemTime) -> Certificate {
    let mut params = leaf_params(&["fabrikam.test", "*.fabrikam.test"]);
    params.extended_key_usages = usages.to_vec();
    let leaf = Ca::root("a CA").issue(&params);
    certificate::shown(&leaf.chain, &Ok(()), now).expect("it can be read")
}

const BOTH: [ExtendedKeyUsagePurpose; 2] = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];

#[test]
fn what_is_read_in_a_certificate_is_what_is_in_it() {
    let now = noon(2030);
    let read = shown(&BOTH, now);
    assert_eq!(read.names, ["fabrikam.test", "*.fabrikam.test"]);
    assert!(read.issuer.contains("a CA") && read.fault.is_none(), "{read:?}");
    assert_eq!(read.usages, ["serverAuth", "clientAuth"]);
    assert_eq!(read.tlsa.len(), 4, "of the certificate alone: no CA is shown");
    // From the middle of 2030 to the beginning of 2040.
    assert!((3500..3505).contains(&read.days), "{read:?}");
    assert!(shown(&[], now).usages.is_empty());
    assert!((-200..-100).contains(&shown(&BOTH, noon(2040)).days));
    assert_eq!(shown(&[ExtendedKeyUsagePurpose::OcspSigning], now).usages, ["something else"]);
    assert_eq!(certificate::shown(&[], &Ok(()), now), None);
    let damaged = rustls_pki_types::CertificateDer::from(vec![1, 2, 3]);
    assert_eq!(certificate::shown(&[damaged], &Ok(()), now), None);
}

#[test]
fn a_good_one_is_good_until_it_should_be_renewed() {
    let (now, partner) = (noon(2030), scene(Whose::Partner));
    let good = |usages: &[_], scene: &Scene, now| certificate::finding(Some(&shown(usages, now)), &Ok(()), scene, now);
    assert_says(&good(&BOTH, &partner, now), Verdict::Good, "it is for fabrikam.test, and expires in", "", "");
    let server_only = [ExtendedKeyUsagePurpose::ServerAuth];
    assert_says(&good(&server_only, &partner, now), Verdict::Good, "that is enough for fedge", "", "");
    assert_says(&good(&server_only, &scene(Whose::Own), now), Verdict::Good, "some old servers refuse it", "", "");
    let late = SystemTime::from(rcgen::date_time_ymd(2039, 12, 25));
    assert_says(&good(&BOTH, &partner, late), Verdict::Warning, "expires in 7 days", "isn't renewed", "renew");
}

#[test]
fn a_fault_is_bad_unless_dialback_will_do() {
    let now = noon(2030);
    let faults = [
        (CertificateFault::None, "no certificate", "install one for fabrikam.test"),
        (CertificateFault::Expired(now), "wasn't renewed", "renew it"),
        (CertificateFault::NotYetValid(now), "a clock", "NTP"),
        (CertificateFault::UnknownIssuer, "intermediate", "send the whole chain"),
        (CertificateFault::SelfSigned, "nobody has vouched", "from a CA that everybody trusts"),
        (CertificateFault::Revoked, "lost or stolen", "a new key"),
        (
            CertificateFault::OtherNames { domain: domain("fabrikam.test"), names: vec!["x.test".to_owned()], more: 0 },
            "lead to another server",
            "names fabrikam.test itself",
        ),
        (CertificateFault::WrongUsage, "something else", "serverAuth"),
        (CertificateFault::Constrained("no"), "isn't allowed", "another CA"),
        (CertificateFault::Malformed("x".to_owned()), "damaged", "nothing else"),
        (CertificateFault::Untrusted("x".to_owned()), "isn't the one", "from a CA"),
    ];
    for (fault, cause, fix) in faults {
        let (seen, judged) = (fault.to_string(), Err(fault));
        let of = |scene: &Scene| certificate::finding(None, &judged, scene, now);
        let strict = Scene { terms: STRICT, ..scene(Whose::Partner) };
        assert_says(&of(&strict), Verdict::Bad, &seen, cause, fix);
        assert_says(&of(&scene(Whose::Partner)), Verdict::Warning, &seen, cause, "until then, dialback");
        // Partners may insist on it.
        assert_says(&of(&scene(Whose::Own)), Verdict::Bad, &seen, cause, fix);
    }
}

#[test]
fn what_is_offered_is_enough_or_not() {
    let partner = scene(Whose::Partner);
    let none = Offers::default();
    let external = Offers { mechanisms: vec!["PLAIN".to_owned(), "EXTERNAL".to_owned()], ..Offers::default() };
    let both = Offers { dialback: true, ..external.clone() };
    assert_says(&offers::finding(&both, true, &partner), Verdict::Good, "it offers EXTERNAL and dialback", "", "");
    let nothing = offers::finding(&none, true, &partner);
    assert_says(
        &nothing,
        Verdict::Warning,
        "neither EXTERNAL nor dialback",
        "may not take our certificate",
        "switch on",
    );
    let looks = Scene { looks: true, from: None, ..scene(Whose::Own) };
    assert_says(&offers::finding(&none, false, &looks), Verdict::Good, "nobody in particular looked", "", "");

    let tls = |shown| Tls { version: "TLSv1.3".to_owned(), cipher: String::new(), shown };
    let why = |offers: &Offers, tls: Option<&Tls>| offers::why_not_external(Some(offers), tls, &partner);
    assert_says(&why(&both, Some(&tls(false))), Verdict::Warning, "no certificate for contoso.test", "folder", "lay a");
    assert_says(
        &why(&none, Some(&tls(true))),
        Verdict::Warning,
        "although it got our certificate",
        "switched off",
        "say",
    );
    assert_says(&why(&none, Some(&tls(false))), Verdict::Skipped, "neither offers EXTERNAL", "", "");
    assert_says(&why(&none, None), Verdict::Skipped, "no TLS", "", "");

    let terms = |tls| Scene { terms: Terms { tls, ..USUAL }, ..scene(Whose::Partner) };
    assert_says(&offers::no_tls(&terms(Need::Optional)), Verdict::Warning, "in clear", "switched off", "STARTTLS");
    assert_says(&offers::no_tls(&terms(Need::NotSupported)), Verdict::Skipped, "not-supported", "", "");
}
