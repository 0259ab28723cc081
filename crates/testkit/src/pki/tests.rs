//! Certificates are what was asked for, read by another library than the one that wrote them.

use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::X509Certificate;

use super::{LabCa, Request};

/// Reads the first certificate of a PEM text.
fn with<T>(pem: &str, look: impl FnOnce(&X509Certificate<'_>) -> T) -> T {
    let pem = Pem::iter_from_buffer(pem.as_bytes()).next().expect("one").expect("PEM");
    look(&pem.parse_x509().expect("X.509"))
}

#[test]
fn a_leaf_is_the_cas_and_names_its_domains() {
    let ca = LabCa::new().expect("a key");
    let request = Request::new(&["contoso.test", "conference.contoso.test"]);
    let issued = ca.issue(&request).expect("ASCII");
    with(ca.pem(), |ca| {
        assert!(ca.is_ca());
        with(&issued.certificate, |leaf| {
            leaf.verify_signature(Some(ca.public_key())).expect("the CA's");
            assert_eq!(leaf.issuer(), ca.subject());
            assert!(leaf.validity().is_valid() && !leaf.is_ca());
            let names = &leaf.subject_alternative_name().expect("read").expect("there").value.general_names;
            let domains = [GeneralName::DNSName("contoso.test"), GeneralName::DNSName("conference.contoso.test")];
            assert_eq!(names[..], domains);
            let usage = leaf.extended_key_usage().expect("read").expect("there").value;
            assert!(usage.server_auth && usage.client_auth);
        });
    });
}

#[test]
fn leaves_are_as_bad_as_asked_for() {
    let ca = LabCa::new().expect("a key");
    let request = Request::new(&["contoso.test"]);
    let today = |leaf: &X509Certificate<'_>| leaf.validity().is_valid();
    let expired = ca.issue(&request.clone().expired()).expect("ASCII");
    assert!(with(&expired.certificate, |leaf| !today(leaf) && leaf.validity().time_to_expiration().is_none()));
    let early = ca.issue(&request.clone().not_yet_valid()).expect("ASCII");
    assert!(with(&early.certificate, |leaf| !today(leaf)
        && leaf.validity().not_before > x509_parser::time::ASN1Time::now()));
    let server_only = ca.issue(&request.clone().server_only()).expect("ASCII");
    with(&server_only.certificate, |leaf| {
        let usage = leaf.extended_key_usage().expect("read").expect("there").value;
        assert!(usage.server_auth && !usage.client_auth);
    });
    let own = request.self_signed().expect("ASCII");
    with(&own.certificate, |leaf| leaf.verify_signature(None).expect("its own"));
    ca.issue(&Request::new(&["bücher.test"])).expect_err("not ASCII");
}

#[test]
fn other_names_have_the_types_of_their_specifications() {
    let request = Request::new(&[]).srv_name("contoso.test").xmpp_addr("bücher.test");
    let issued = request.self_signed().expect("ASCII");
    with(&issued.certificate, |leaf| {
        let names = &leaf.subject_alternative_name().expect("read").expect("there").value.general_names;
        let [GeneralName::OtherName(srv_form, srv), GeneralName::OtherName(addr_form, addr)] = &names[..] else {
            panic!("{names:?}")
        };
        assert_eq!(
            (srv_form.to_id_string(), addr_form.to_id_string()),
            ("1.3.6.1.5.5.7.8.7".into(), "1.3.6.1.5.5.7.8.5".into())
        );
        // [0] EXPLICIT; IA5String is 22, UTF8String is 12.
        assert_eq!(srv[..4], [0xa0, 27, 22, 25], "{srv:x?}");
        assert_eq!(&srv[4..], b"_xmpp-server.contoso.test");
        assert_eq!(addr[..4], [0xa0, 14, 12, 12], "{addr:x?}");
        assert_eq!(&addr[4..], "bücher.test".as_bytes());
    });
}

#[test]
fn files_hold_the_key_after_the_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let issued = Request::new(&["contoso.test"]).self_signed().expect("ASCII");
    let one = std::fs::read_to_string(issued.write(folder.path(), "contoso.test").expect("written")).expect("there");
    let (certificate, key) = issued.write_apart(folder.path(), "contoso.test").expect("written");
    let read = |path| std::fs::read_to_string(path).expect("there");
    assert_eq!(one, read(certificate) + &read(key));
    assert!(one.starts_with("-----BEGIN CERTIFICATE-----") && one.contains("-----BEGIN PRIVATE KEY-----"));
}
