//! The CA on disk, what it mints, and what it can't.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use net::judge::{CertificateFault, Judge, Roots};
use net::tls::Tls;
use x509_parser::asn1_rs::FromDer as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn domain(text: &str) -> Domain {
    Domain::parse(text).expect("a domain")
}

fn domains(texts: &[&str]) -> Vec<Domain> {
    texts.iter().map(|text| domain(text)).collect()
}

/// A CA of contoso.test in a folder of its own.
struct Made {
    folder: tempfile::TempDir,
    ca: InternalCa,
}

fn made(partners: Option<&[&str]>) -> Made {
    let folder = tempfile::tempdir().expect("a folder");
    let partners = partners.map(domains);
    InternalCa::init(folder.path(), &domains(&["contoso.test", "bücher.test"]), partners.as_deref()).expect("made");
    let ca = InternalCa::load(folder.path()).expect("loaded");
    Made { folder, ca }
}

impl Made {
    /// An internal server that trusts our root.
    fn server(&self) -> Judge {
        Judge::new(Roots::File(self.folder.path().join(ROOT)), Vec::new()).expect("readable")
    }
}

#[test]
fn what_is_minted_convinces_a_server_that_trusts_the_root() {
    for partners in [None, Some(&["fabrikam.test", "xn--mnchen-3ya.test"][..])] {
        let made = made(partners);
        for partner in ["fabrikam.test", "conference.fabrikam.test", "münchen.test"] {
            let leaf = made.ca.leaf(&domain(partner)).expect("minted");
            let verdict = made.server().judge(&leaf.cert, &domain(partner), SystemTime::now());
            assert_eq!(verdict, Ok(()), "{partner}");
            let other = made.server().judge(&leaf.cert, &domain("tailspin.test"), SystemTime::now());
            assert!(matches!(other, Err(CertificateFault::OtherNames { .. })), "{other:?}");
        }
    }
}

#[test]
fn a_leaf_has_one_name_no_subject_both_usages_and_a_short_life() {
    let made = made(None);
    let now = SystemTime::now();
    let leaf = made.ca.leaf_at(&domain("fabrikam.test"), now).expect("minted");
    assert_eq!(leaf.cert.len(), 2, "leaf and intermediate; the root is the server's own");
    let (_, parsed) = X509Certificate::from_der(&leaf.cert[0]).expect("well-formed");
    assert_eq!(parsed.subject().iter().count(), 0);
    let names = parsed.subject_alternative_name().expect("well-formed").expect("there");
    assert!(names.critical, "RFC 5280 §4.2.1.6: without a subject it has to be");
    assert_eq!(names.value.general_names, [GeneralName::DNSName("fabrikam.test")]);
    let usage = parsed.extended_key_usage().expect("well-formed").expect("there").value;
    assert!(usage.server_auth && usage.client_auth);
    assert!(!parsed.is_ca());
    let dates = Leaf::parse(&leaf.cert[0]).expect("well-formed");
    assert!(dates.not_before < now && dates.not_after <= now + 30 * DAY && dates.not_after > now + 29 * DAY);
}

#[test]
fn local_domains_are_not_minted_and_would_not_be_believed() {
    let made = made(None);
    let key = KeyPair::generate().expect("a key");
    for local in ["contoso.test", "im.contoso.test", "bücher.test"] {
        assert!(matches!(made.ca.leaf(&domain(local)), Err(CaError::Excluded(_))), "{local}");
        assert!(made.ca.certificate(&domain(local)).is_none());
        // Whoever steals the intermediate's key can sign it all the same.
        let forged = made.ca.signer().mint(&domain(local), SystemTime::now(), SystemTime::now() + DAY).expect("signed");
        let verdict = made.server().judge(&forged.cert, &domain(local), SystemTime::now());
        assert!(matches!(verdict, Err(CertificateFault::Constrained(_))), "{local}: {verdict:?}");
    }
    for form in [&[1, 3, 6, 1, 5, 5, 7, 8, 5], &[1, 3, 6, 1, 5, 5, 7, 8, 7]] {
        let mut params = CertificateParams::new(["fabrikam.test".to_owned()]).expect("a name");
        params.subject_alt_names.push(SanType::OtherName((form.to_vec(), "contoso.test".into())));
        let forged = params.signed_by(&key, &made.ca.signer().issuer).expect("signed");
        let chain = [forged.der().clone(), made.ca.signer().chain[0].clone()];
        let verdict = made.server().judge(&chain, &domain("contoso.test"), SystemTime::now());
        assert!(matches!(verdict, Err(CertificateFault::Constrained(_))), "{form:?}: {verdict:?}");
    }
}

#[test]
fn with_a_list_of_partners_nobody_else_is_minted_or_believed() {
    let made = made(Some(&["fabrikam.test"]));
    assert!(matches!(made.ca.leaf(&domain("tailspin.test")), Err(CaError::NotPermitted(_))));
    assert!(matches!(made.ca.leaf(&domain("notfabrikam.test")), Err(CaError::NotPermitted(_))));
    let forged =
        made.ca.signer().mint(&domain("tailspin.test"), SystemTime::now(), SystemTime::now() + DAY).expect("signed");
    let verdict = made.server().judge(&forged.cert, &domain("tailspin.test"), SystemTime::now());
    assert!(matches!(verdict, Err(CertificateFault::Constrained(_))), "{verdict:?}");
}

#[test]
fn the_intermediate_makes_no_further_ca() {
    let made = made(None);
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let below = params.signed_by(&key, &made.ca.signer().issuer).expect("signed").der().clone();
    let issuer = Issuer::new(params, key);
    let leaf_key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(["fabrikam.test".to_owned()]).expect("a name");
    let leaf = leaf.signed_by(&leaf_key, &issuer).expect("signed").der().clone();
    let chain = [leaf, below, made.ca.signer().chain[0].clone()];
    let verdict = made.server().judge(&chain, &domain("fabrikam.test"), SystemTime::now());
    assert!(matches!(verdict, Err(CertificateFault::Constrained(_))), "{verdict:?}");
}

#[test]
fn a_leaf_is_kept_until_half_of_its_life_is_over() {
    let made = made(None);
    let now = SystemTime::now();
    let at = |day: u32| made.ca.leaf_at(&domain("fabrikam.test"), now + DAY * day).expect("minted");
    let first = at(0);
    assert!(Arc::ptr_eq(&first, &at(14)));
    let second = at(16);
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(&second, &at(30)));
    // A clock that was set back: the leaf in hand may not be valid yet.
    assert!(!Arc::ptr_eq(&second, &at(2)));
}

#[test]
fn leaves_end_with_the_intermediate_and_then_there_are_none() {
    let made = made(None);
    let end = made.ca.expires();
    let last = made.ca.leaf_at(&domain("fabrikam.test"), end - 2 * DAY).expect("minted");
    assert!(Leaf::parse(&last.cert[0]).expect("well-formed").not_after <= end);
    assert!(matches!(made.ca.leaf_at(&domain("tailspin.test"), end + DAY), Err(CaError::Expired { .. })));
    let told = InternalCa::load_at(made.folder.path(), end + DAY).expect_err("expired").to_string();
    assert!(told.contains("renew"), "{told}");
}

#[test]
fn the_leaf_used_longest_ago_makes_room() {
    let made = made(None);
    let now = SystemTime::now();
    let mut cache = Cache::new(2);
    let leaf = made.ca.leaf(&domain("fabrikam.test")).expect("minted");
    cache.keep(&domain("a.test"), leaf.clone(), now..now + DAY);
    cache.keep(&domain("b.test"), leaf.clone(), now..now + DAY);
    assert!(cache.fresh(&domain("a.test"), now).is_some());
    cache.keep(&domain("c.test"), leaf, now..now + DAY);
    assert!(cache.fresh(&domain("b.test"), now).is_none());
    assert!(cache.fresh(&domain("a.test"), now).is_some() && cache.fresh(&domain("c.test"), now).is_some());
}

#[test]
fn keys_are_for_their_owner_only_and_nothing_is_overwritten() {
    let made = made(None);
    let path = made.folder.path();
    for file in [ROOT_KEY, INTERMEDIATE_KEY] {
        let mode = fs::metadata(path.join(file)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let before = fs::read(path.join(INTERMEDIATE)).expect("read");
    for left in [ROOT, INTERMEDIATE_KEY] {
        for file in [ROOT, ROOT_KEY, INTERMEDIATE, INTERMEDIATE_KEY] {
            if file != left && file != INTERMEDIATE {
                let _ = fs::remove_file(path.join(file));
            }
        }
        let again = InternalCa::init(path, &domains(&["contoso.test"]), None);
        assert!(matches!(again, Err(CaError::AlreadyThere { .. })), "{again:?}");
        assert_eq!(fs::read(path.join(INTERMEDIATE)).expect("read"), before);
    }
}

#[test]
fn what_was_made_says_where_it_belongs() {
    let folder = tempfile::tempdir().expect("a folder");
    let below = folder.path().join("new/ca");
    let made = InternalCa::init(&below, &domains(&["contoso.test"]), None).expect("made");
    assert_eq!(made.root, below.join("root.crt"));
    let told = made.to_string();
    assert!(told.contains("root.key\n  Take it off this machine now"), "{told}");
    assert_eq!(fs::metadata(&below).expect("there").permissions().mode() & 0o777, 0o700);
    assert!(InternalCa::load(&below).expect("loaded").root_key_is_online());
    fs::remove_file(made.root_key).expect("taken away");
    assert!(!InternalCa::load(&below).expect("the root's key isn't needed").root_key_is_online());
}

#[test]
fn nothing_is_made_without_local_domains_or_with_an_empty_list() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(matches!(InternalCa::init(folder.path(), &[], None), Err(CaError::NoLocalDomain)));
    let local = domains(&["contoso.test"]);
    assert!(matches!(InternalCa::init(folder.path(), &local, Some(&[])), Err(CaError::NoPartner)));
    assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 0);
}

#[test]
fn a_renewed_intermediate_guards_new_domains_under_the_old_root() {
    let made = made(None);
    let local = domains(&["contoso.test", "bücher.test", "northwind.test"]);
    assert_eq!(made.ca.unguarded(&local), domains(&["northwind.test"]));
    let server = made.server();
    let before = made.ca.leaf(&domain("fabrikam.test")).expect("minted");
    InternalCa::renew(made.folder.path(), &local, None).expect("renewed");
    let renewed = &made.ca;
    renewed.reload().expect("loaded");
    assert!(!Arc::ptr_eq(&before, &renewed.leaf(&domain("fabrikam.test")).expect("minted")));
    assert!(renewed.unguarded(&local).is_empty());
    assert!(matches!(renewed.leaf(&domain("northwind.test")), Err(CaError::Excluded(_))));
    let leaf = renewed.leaf(&domain("fabrikam.test")).expect("minted");
    assert_eq!(server.judge(&leaf.cert, &domain("fabrikam.test"), SystemTime::now()), Ok(()));
    let mode = fs::metadata(made.folder.path().join(INTERMEDIATE_KEY)).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::remove_file(made.folder.path().join(ROOT_KEY)).expect("taken away");
    let told = InternalCa::renew(made.folder.path(), &local, None).expect_err("no key").to_string();
    assert!(told.contains("root.key"), "{told}");
    fs::write(made.folder.path().join(INTERMEDIATE), "nothing").expect("written");
    renewed.reload().expect_err("damaged");
    renewed.leaf(&domain("tailspin.test")).expect("what was read before still serves");
}

#[test]
fn damaged_files_are_told() {
    let made = made(None);
    let path = made.folder.path();
    let told = || InternalCa::load(path).expect_err("damaged").to_string();
    let key = fs::read(path.join(INTERMEDIATE_KEY)).expect("read");
    fs::copy(path.join(ROOT_KEY), path.join(INTERMEDIATE_KEY)).expect("copied");
    assert!(told().contains("does not belong"), "{}", told());
    fs::write(path.join(INTERMEDIATE_KEY), "nothing").expect("written");
    assert!(told().contains("no usable private key"));
    fs::remove_file(path.join(INTERMEDIATE_KEY)).expect("removed");
    assert!(told().contains("can't be read"));
    fs::write(path.join(INTERMEDIATE_KEY), key).expect("written");
    let leaf = made.ca.leaf(&domain("fabrikam.test")).expect("minted");
    assert!(Constraints::read(&leaf.cert[0]).expect_err("a leaf").contains("not the certificate of a CA"));
    // The root can sign, but it isn't barred from anything.
    fs::copy(path.join(ROOT), path.join(INTERMEDIATE)).expect("copied");
    fs::copy(path.join(ROOT_KEY), path.join(INTERMEDIATE_KEY)).expect("copied");
    assert!(told().contains("no name constraints"), "{}", told());
    fs::write(path.join(INTERMEDIATE), "nothing").expect("written");
    assert!(told().contains("no well-formed certificate"));
}

#[tokio::test]
async fn an_internal_server_meets_the_partner_it_asked_for() {
    let made = made(None);
    let server = made.server();
    let ca = Arc::new(made.ca);
    let known = domains(&["fabrikam.test", "partner.contoso.test"]);
    let gateway = Tls::new(Arc::new(ca.only(move |domain| known.contains(domain))));
    let internal = Tls::new(Arc::new(net::certificates::Folder::empty()));
    let meet = async |partner: &str| {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (from, to) = (domain("contoso.test"), domain(partner));
        tokio::join!(internal.dial(near, &from, &to, false), gateway.accept(far, Some(&to)))
    };
    let (dialed, accepted) = meet("fabrikam.test").await;
    accepted.expect("accepted");
    let chain = dialed.expect("dialed").1.chain;
    assert_eq!(server.judge(&chain, &domain("fabrikam.test"), SystemTime::now()), Ok(()));
    let (dialed, accepted) = meet("partner.contoso.test").await;
    accepted.expect("a partner below a local domain has TLS, and dialback");
    let chain = dialed.expect("dialed").1.chain;
    let verdict = server.judge(&chain, &domain("partner.contoso.test"), SystemTime::now());
    assert_eq!(verdict, Err(CertificateFault::SelfSigned));
    let (_, accepted) = meet("tailspin.test").await;
    assert!(accepted.is_err(), "policy knows no such domain");
}

#[test]
fn without_a_ca_there_is_tls_that_proves_nothing() {
    let by_itself = SelfSigned::new().only(|domain| domain.as_str() == "fabrikam.test");
    assert!(by_itself.certificate(&domain("tailspin.test")).is_none());
    let shown = by_itself.certificate(&domain("fabrikam.test")).expect("made");
    assert!(Arc::ptr_eq(&shown, &by_itself.certificate(&domain("fabrikam.test")).expect("kept")));
    let verdict = made(None).server().judge(&shown.cert, &domain("fabrikam.test"), SystemTime::now());
    assert_eq!(verdict, Err(CertificateFault::SelfSigned));
}
