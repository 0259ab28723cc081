//! Every fault that a certificate can have, each with a chain that has it.

use std::fs;

use rcgen::{
    CertificateRevocationListParams, ExtendedKeyUsagePurpose, GeneralSubtree, KeyIdMethod, NameConstraints,
    RevokedCertParams, SanType, SerialNumber,
};

use super::*;
use crate::certificates::testing::{Ca, Issued, ca_params, domain, leaf_params, noon};

/// A judge whose roots lie in a file of their own.
struct Court {
    place: tempfile::TempDir,
    judge: Judge,
}

fn court(roots: &[&str]) -> Court {
    court_with(roots, Vec::new())
}

fn court_with(roots: &[&str], crls: Vec<Vec<u8>>) -> Court {
    let place = tempfile::tempdir().expect("a folder");
    let file = place.path().join("roots.pem");
    fs::write(&file, roots.concat()).expect("written");
    let crls = crls.into_iter().enumerate().map(|(index, crl)| {
        let path = place.path().join(format!("{index}.crl"));
        fs::write(&path, crl).expect("written");
        path
    });
    let crls = crls.collect();
    let judge = Judge::new(Roots::File(file), crls).expect("readable");
    Court { place, judge }
}

impl Court {
    fn judge(&self, issued: &Issued, name: &str) -> Result<(), CertificateFault> {
        self.judge.judge(&issued.chain, &domain(name), noon(2027))
    }
}

#[test]
fn a_good_chain_passes_for_its_names_only() {
    let root = Ca::root("root");
    let between = root.below(ca_params("between"));
    let mut params = leaf_params(&["contoso.test", "*.contoso.test"]);
    params.subject_alt_names.push(SanType::OtherName((vec![1, 3, 6, 1, 5, 5, 7, 8, 5], "addr.test".into())));
    params
        .subject_alt_names
        .push(SanType::OtherName((vec![1, 3, 6, 1, 5, 5, 7, 8, 7], "_xmpp-server.srv.test".into())));
    let leaf = between.issue(&params).with(&between);
    let court = court(&[&root.pem]);
    for good in ["contoso.test", "conference.contoso.test", "addr.test", "srv.test"] {
        assert_eq!(court.judge(&leaf, good), Ok(()), "{good}");
    }
    let fault = court.judge(&leaf, "fabrikam.test").expect_err("another's");
    assert_eq!(
        fault.to_string(),
        "the certificate is not for fabrikam.test: it speaks for contoso.test, *.contoso.test, \
         _xmpp-server.srv.test, addr.test"
    );
}

#[test]
fn usage_as_server_or_client_will_do_and_nothing_else() {
    let root = Ca::root("root");
    let court = court(&[&root.pem]);
    let with = |usages: &[ExtendedKeyUsagePurpose]| {
        let mut params = leaf_params(&["contoso.test"]);
        params.extended_key_usages = usages.to_vec();
        court.judge(&root.issue(&params), "contoso.test")
    };
    assert_eq!(with(&[ExtendedKeyUsagePurpose::ServerAuth]), Ok(()));
    assert_eq!(with(&[ExtendedKeyUsagePurpose::ClientAuth]), Ok(()));
    assert_eq!(with(&[]), Ok(()));
    assert_eq!(with(&[ExtendedKeyUsagePurpose::EmailProtection]), Err(CertificateFault::WrongUsage));
}

#[test]
fn dates_count_to_the_second() {
    let root = Ca::root("root");
    let leaf = root.leaf(&["contoso.test"]);
    let court = court(&[&root.pem]);
    let at = |year| court.judge.judge(&leaf.chain, &domain("contoso.test"), noon(year));
    assert_eq!(at(2039), Ok(()));
    let expired = at(2040).expect_err("over");
    assert_eq!(expired.to_string(), "the certificate, or an issuer's, expired on 2040-01-01 00:00:00 UTC");
    assert!(matches!(at(2019), Err(CertificateFault::NotYetValid(_))));
    let old = SystemTime::UNIX_EPOCH - std::time::Duration::from_secs(1);
    assert!(court.judge.judge(&leaf.chain, &domain("contoso.test"), old).is_err(), "before 1970");
}

#[test]
fn unknown_issuers_and_self_signed_certificates_are_told_apart() {
    let (root, stranger) = (Ca::root("root"), Ca::root("stranger"));
    let court = court(&[&root.pem]);
    assert_eq!(court.judge(&stranger.leaf(&["contoso.test"]), "contoso.test"), Err(CertificateFault::UnknownIssuer));
    let alone = Issued::self_signed(&leaf_params(&["contoso.test"]));
    assert_eq!(court.judge(&alone, "contoso.test"), Err(CertificateFault::SelfSigned));
    let mut as_ca = ca_params("selfish");
    as_ca.subject_alt_names = leaf_params(&["contoso.test"]).subject_alt_names;
    assert_eq!(court.judge(&Issued::self_signed(&as_ca), "contoso.test"), Err(CertificateFault::SelfSigned));
    let between = root.below(ca_params("between"));
    let missing = between.leaf(&["contoso.test"]);
    assert_eq!(court.judge(&missing, "contoso.test"), Err(CertificateFault::UnknownIssuer), "no intermediate sent");
    // Another CA under the trusted one's name proves nothing.
    let forged = Ca::root("root").leaf(&["contoso.test"]);
    assert!(court.judge(&forged, "contoso.test").is_err());
}

#[test]
fn a_self_signed_certificate_can_be_pinned() {
    let mut params = ca_params("a partner");
    params.subject_alt_names = leaf_params(&["contoso.test"]).subject_alt_names;
    params.not_after = rcgen::date_time_ymd(2030, 1, 1);
    let pinned = Issued::self_signed(&params);
    let court = court(&[&pinned.pem]);
    assert_eq!(court.judge(&pinned, "contoso.test"), Ok(()));
    assert!(matches!(court.judge(&pinned, "fabrikam.test"), Err(CertificateFault::OtherNames { .. })));
    let late = court.judge.judge(&pinned.chain, &domain("contoso.test"), noon(2030));
    assert!(matches!(late, Err(CertificateFault::Expired(_))));
}

#[test]
fn constraints_of_an_intermediate_hold() {
    let root = Ca::root("root");
    let mut params = ca_params("constrained");
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: Vec::new(),
        excluded_subtrees: vec![GeneralSubtree::DnsName("contoso.test".into())],
    });
    let constrained = root.below(params);
    let court = court(&[&root.pem]);
    let judged = |name: &str| court.judge(&constrained.leaf(&[name]).with(&constrained), name);
    assert_eq!(judged("fabrikam.test"), Ok(()));
    for local in ["contoso.test", "im.contoso.test"] {
        assert!(matches!(judged(local), Err(CertificateFault::Constrained(_))), "{local}");
    }
}

#[test]
fn a_leaf_is_no_issuer() {
    let root = Ca::root("root");
    let mut params = ca_params("not a CA");
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    let leaf = root.below(params);
    let forged = leaf.leaf(&["contoso.test"]).with(&leaf);
    assert!(court(&[&root.pem]).judge(&forged, "contoso.test").is_err());
}

fn crl(ca: &Ca, revoked: &[u64], year: i32) -> rcgen::CertificateRevocationList {
    let day = rcgen::date_time_ymd(year, 1, 1);
    let revoked = revoked.iter().map(|&serial| RevokedCertParams {
        serial_number: serial.into(),
        revocation_time: day,
        reason_code: None,
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: day,
        next_update: rcgen::date_time_ymd(year + 1, 1, 1),
        crl_number: SerialNumber::from(u64::try_from(year).expect("after Christ")),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(&ca.issuer).expect("a list")
}

fn numbered(ca: &Ca, serial: u64) -> Issued {
    let mut params = leaf_params(&["contoso.test"]);
    params.serial_number = Some(serial.into());
    ca.issue(&params)
}

#[test]
fn what_a_revocation_list_names_is_revoked() {
    let (root, other) = (Ca::root("root"), Ca::root("other"));
    let list = crl(&root, &[7], 2026);
    let as_pem = list.pem().expect("PEM").into_bytes();
    for bytes in [as_pem, list.der().to_vec()] {
        let court = court_with(&[&root.pem, &other.pem], vec![bytes]);
        assert_eq!(court.judge(&numbered(&root, 7), "contoso.test"), Err(CertificateFault::Revoked));
        assert_eq!(court.judge(&numbered(&root, 8), "contoso.test"), Ok(()));
        assert_eq!(court.judge(&numbered(&other, 7), "contoso.test"), Ok(()), "another issuer's number");
    }
}

#[test]
fn the_newest_list_of_an_issuer_counts_and_a_stale_one_is_told() {
    let root = Ca::root("root");
    let lists = vec![crl(&root, &[], 2024).der().to_vec(), crl(&root, &[7], 2026).der().to_vec()];
    let court = court_with(&[&root.pem], lists);
    assert_eq!(court.judge(&numbered(&root, 7), "contoso.test"), Err(CertificateFault::Revoked));
    let stale = court.judge.stale(noon(2026));
    assert_eq!(stale.len(), 1);
    assert!(stale[0].0.ends_with("0.crl"));
    assert_eq!(court.judge.stale(noon(2027)).len(), 2);
    assert_eq!(court.judge(&numbered(&root, 7), "contoso.test"), Err(CertificateFault::Revoked), "stale, but known");
}

#[test]
fn a_list_that_another_signed_is_not_believed() {
    let root = Ca::root("root");
    let forged = crl(&Ca::root("root"), &[7], 2026).der().to_vec();
    let fault = court_with(&[&root.pem], vec![forged]).judge(&numbered(&root, 8), "contoso.test");
    assert!(matches!(fault, Err(CertificateFault::Untrusted(_))), "{fault:?}");
}

#[test]
fn lists_and_roots_are_read_again_and_kept_when_at_fault() {
    let root = Ca::root("root");
    let court = court_with(&[&root.pem], vec![crl(&root, &[], 2025).der().to_vec()]);
    let leaf = numbered(&root, 7);
    assert_eq!(court.judge(&leaf, "contoso.test"), Ok(()));
    assert!(!court.judge.changed());
    let file = court.place.path().join("0.crl");
    fs::write(&file, crl(&root, &[7], 2026).der()).expect("written");
    assert!(court.judge.changed());
    court.judge.reload().expect("in order");
    assert_eq!(court.judge(&leaf, "contoso.test"), Err(CertificateFault::Revoked));
    fs::write(&file, "no list").expect("written");
    let fault = court.judge.reload().expect_err("no list").to_string();
    assert!(fault.contains("0.crl") && fault.contains("no revocation list"), "{fault}");
    assert!(!court.judge.changed(), "told once");
    assert_eq!(court.judge(&leaf, "contoso.test"), Err(CertificateFault::Revoked));
}

#[test]
fn faults_of_files_say_what_to_do() {
    let place = tempfile::tempdir().expect("a folder");
    let file = place.path().join("roots.pem");
    let told = |file: &std::path::Path| {
        Judge::new(Roots::File(file.to_owned()), Vec::new()).expect_err("at fault").to_string()
    };
    assert!(told(&file).contains("can't be read"));
    fs::write(&file, "nothing").expect("written");
    assert!(told(&file).contains("no certificate in it"));
    fs::write(&file, Ca::root("root").pem.replace("END", "ENDE")).expect("written");
    assert!(told(&file).contains("damaged"));
}

#[test]
fn too_much_nothing_and_nonsense_are_refused() {
    let root = Ca::root("root");
    let court = court(&[&root.pem]);
    let mut leaf = root.leaf(&["contoso.test"]);
    assert_eq!(court.judge.judge(&[], &domain("contoso.test"), noon(2027)), Err(CertificateFault::None));
    for _ in 0..9 {
        leaf = leaf.with(&root);
    }
    assert_eq!(court.judge(&leaf, "contoso.test"), Ok(()), "ten are looked at");
    let fault = court.judge(&leaf.with(&root), "contoso.test").expect_err("eleven are not");
    assert!(fault.to_string().starts_with("the peer showed 11 certificates"), "{fault}");
    let big = vec![CertificateDer::from(vec![0x30; 70_000])];
    assert!(matches!(
        court.judge.judge(&big, &domain("contoso.test"), noon(2027)),
        Err(CertificateFault::TooBig { .. })
    ));
    let nonsense = vec![CertificateDer::from(b"nonsense".to_vec())];
    assert!(matches!(
        court.judge.judge(&nonsense, &domain("contoso.test"), noon(2027)),
        Err(CertificateFault::Malformed(_))
    ));
}

#[test]
fn mangled_chains_never_pass_and_never_panic() {
    let root = Ca::root("root");
    let between = root.below(ca_params("between"));
    let good = between.leaf(&["contoso.test"]).with(&between);
    let court = court(&[&root.pem]);
    for (which, certificate) in good.chain.iter().enumerate() {
        for at in 0..certificate.len() {
            let mut chain = good.chain.clone();
            let mut bytes = certificate.to_vec();
            bytes[at] ^= 0x01;
            chain[which] = bytes.into();
            let verdict = court.judge.judge(&chain, &domain("contoso.test"), noon(2027));
            assert!(verdict.is_err(), "certificate {which}, byte {at}");
        }
    }
}

#[test]
fn names_in_a_fault_are_few_and_fit_for_a_log() {
    let root = Ca::root("root");
    let mut params = leaf_params(&["a.test", "b.test", "c.test", "d.test"]);
    let forms = |text: &str| SanType::OtherName((vec![1, 3, 6, 1, 5, 5, 7, 8, 5], text.into()));
    params.subject_alt_names.insert(0, forms("x\n\u{1b}[31mforged log line"));
    params.subject_alt_names.extend([forms("y"), forms("z")]);
    let told = court(&[&root.pem]).judge(&root.issue(&params), "contoso.test").expect_err("others").to_string();
    assert!(!told.contains('\n') && !told.contains('\u{1b}'), "{told}");
    assert!(told.ends_with("and 2 more"), "{told}");
    let nameless = court(&[&root.pem]).judge(&root.leaf(&[]), "contoso.test").expect_err("none").to_string();
    assert!(nameless.ends_with("it speaks for no domain at all"), "{nameless}: common names don't count");
}
