//! Real handshakes over an in-memory pipe: which certificate, which version, who proved what.

use std::time::SystemTime;

use rcgen::{PublicKeyData as _, SigningKey as _};
use rustls::HandshakeKind;
use rustls::sign::SingleCertAndKey;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;
use crate::certificates::testing::{Ca, Few, Issued, domain, leaf_params};

const BOTH: [(&[&SupportedProtocolVersion], &str); 2] = [(&[&TLS12], "TLSv1.2"), (&[&TLS13], "TLSv1.3")];

fn tls(certificates: Vec<(&str, Arc<CertifiedKey>)>) -> Tls {
    Tls::new(few(certificates))
}

fn few(certificates: Vec<(&str, Arc<CertifiedKey>)>) -> Arc<Few> {
    Arc::new(Few(certificates.into_iter().map(|(name, key)| (domain(name), key)).collect()))
}

fn own(name: &str) -> Arc<CertifiedKey> {
    Ca::root("a CA nobody knows").leaf(&[name]).certified()
}

type Accepted = Result<(server::TlsStream<DuplexStream>, Established), TlsError>;
type Dialed = Result<(client::TlsStream<DuplexStream>, Established), TlsError>;

/// `contoso.test` dials `fabrikam.test`.
async fn meet(dialer: &Tls, accepter: &Tls, to: Option<&str>) -> (Dialed, Accepted) {
    let (near, far) = duplex(64 * 1024);
    let (from, name) = (domain("contoso.test"), domain("fabrikam.test"));
    let to = to.map(domain);
    tokio::join!(dialer.dial(near, &from, &name, to.is_none()), accepter.accept(far, to.as_ref()))
}

/// A peer of ours with a client configuration of its own dials.
async fn meet_a_client(
    config: ClientConfig,
    accepter: &Tls,
    to: Option<&str>,
) -> (io::Result<HandshakeKind>, Accepted) {
    let (near, far) = duplex(64 * 1024);
    let to = to.map(domain);
    let name = ServerName::try_from("fabrikam.test").expect("a name");
    let dial = async {
        let stream = TlsConnector::from(Arc::new(config)).connect(name, near).await?;
        Ok(stream.get_ref().1.handshake_kind().expect("it is done"))
    };
    tokio::join!(dial, accepter.accept(far, to.as_ref()))
}

fn a_client() -> ClientConfig {
    let mut config = ClientConfig::clone(&tls(Vec::new()).client);
    config.resumption = Resumption::in_memory_sessions(16);
    config
}

#[tokio::test]
async fn both_versions_show_both_certificates_and_carry_bytes() {
    for (versions, version) in BOTH {
        let (ours, theirs) = (own("contoso.test"), own("fabrikam.test"));
        let dialer = Tls::with_versions(few(vec![("contoso.test", ours.clone())]), versions);
        let accepter = tls(vec![("fabrikam.test", theirs.clone())]);
        for to in [None, Some("fabrikam.test")] {
            let (dialed, accepted) = meet(&dialer, &accepter, to).await;
            let ((mut dialed, dialed_with), (mut accepted, accepted_with)) =
                (dialed.expect("dialed"), accepted.expect("accepted"));
            assert_eq!((dialed_with.version, accepted_with.version), (version, version));
            assert_eq!(dialed_with.cipher, accepted_with.cipher);
            assert!(dialed_with.cipher.starts_with("TLS"), "{}", dialed_with.cipher);
            assert_eq!(dialed_with.chain, theirs.cert);
            assert_eq!(accepted_with.chain, ours.cert);
            assert!(dialed_with.own_certificate && accepted_with.own_certificate);
            let alpn = to.is_none().then_some(ALPN);
            assert_eq!(dialed.get_ref().1.alpn_protocol(), alpn);
            assert_eq!(accepted.get_ref().1.alpn_protocol(), alpn);
            dialed.write_all(b"<stream>").await.expect("written");
            dialed.shutdown().await.expect("ended");
            let mut read = Vec::new();
            accepted.read_to_end(&mut read).await.expect("read");
            assert_eq!(read, b"<stream>");
        }
    }
}

#[tokio::test]
async fn without_a_certificate_of_ours_there_is_still_tls() {
    let (dialed, accepted) =
        meet(&tls(Vec::new()), &tls(vec![("fabrikam.test", own("fabrikam.test"))]), Some("fabrikam.test")).await;
    assert!(!dialed.expect("dialed").1.own_certificate);
    assert!(accepted.expect("accepted").1.chain.is_empty());
}

#[tokio::test]
async fn a_certificate_that_nobody_asked_for_was_not_shown() {
    let certificate = own("fabrikam.test");
    let config = ServerConfig::builder_with_provider(crypto::provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::clone(&certificate))));
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (near, far) = duplex(64 * 1024);
    let dialer = tls(vec![("contoso.test", own("contoso.test"))]);
    let (from, to) = (domain("contoso.test"), domain("fabrikam.test"));
    let (dialed, accepted) = tokio::join!(dialer.dial(near, &from, &to, false), acceptor.accept(far));
    accepted.expect("accepted");
    assert!(!dialed.expect("dialed").1.own_certificate);
}

#[tokio::test]
async fn our_certificate_is_picked_by_sni_and_else_by_the_header() {
    let (fabrikam, tailspin) = (own("fabrikam.test"), own("tailspin.test"));
    let accepter = tls(vec![("fabrikam.test", fabrikam.clone()), ("tailspin.test", tailspin.clone())]);
    let (_, accepted) = meet(&tls(Vec::new()), &accepter, Some("tailspin.test")).await;
    assert_eq!(accepted.expect("accepted").0.get_ref().1.server_name(), Some("fabrikam.test"));
    let (dialed, _) = meet(&tls(Vec::new()), &accepter, Some("tailspin.test")).await;
    assert_eq!(dialed.expect("dialed").1.chain, fabrikam.cert, "SNI counts first");
    let only_tailspin = tls(vec![("tailspin.test", tailspin.clone())]);
    let (dialed, _) = meet(&tls(Vec::new()), &only_tailspin, Some("tailspin.test")).await;
    assert_eq!(dialed.expect("dialed").1.chain, tailspin.cert, "SNI names what we have nothing for");
    let mut silent = a_client();
    silent.enable_sni = false;
    let (dialed, accepted) = meet_a_client(silent, &accepter, Some("tailspin.test")).await;
    dialed.expect("dialed");
    assert_eq!(accepted.expect("accepted").0.get_ref().1.server_name(), None);
}

#[tokio::test]
async fn a_domain_without_certificate_is_refused_with_an_alert_and_told() {
    let accepter = tls(vec![("tailspin.test", own("tailspin.test"))]);
    for to in [None, Some("northwind.test")] {
        let (dialed, accepted) = meet(&tls(Vec::new()), &accepter, to).await;
        assert!(matches!(dialed, Err(TlsError::Refused(_))), "{dialed:?}");
        let told = accepted.expect_err("there is none").to_string();
        assert!(
            told.starts_with(&format!("there is no certificate to show as {}", to.unwrap_or("fabrikam.test"))),
            "{told}"
        );
    }
}

#[tokio::test]
async fn another_protocol_is_refused_with_direct_tls_only() {
    let accepter = tls(vec![("fabrikam.test", own("fabrikam.test"))]);
    let with = |protocols: &[&[u8]]| {
        let mut config = a_client();
        config.check_selected_alpn = false;
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        config
    };
    let (dialed, accepted) = meet_a_client(with(&[b"xmpp-client"]), &accepter, None).await;
    assert!(dialed.is_err());
    assert!(matches!(accepted, Err(TlsError::OtherProtocol)), "{accepted:?}");
    let (dialed, accepted) = meet_a_client(with(&[b"xmpp-client"]), &accepter, Some("fabrikam.test")).await;
    dialed.expect("dialed");
    assert_eq!(accepted.expect("accepted").0.get_ref().1.alpn_protocol(), None);
    let (_, accepted) = meet_a_client(with(&[b"xmpp-client", b"xmpp-server"]), &accepter, None).await;
    assert_eq!(accepted.expect("accepted").0.get_ref().1.alpn_protocol(), Some(ALPN));
    let (_, accepted) = meet_a_client(with(&[]), &accepter, None).await;
    assert_eq!(accepted.expect("none offered is none refused").0.get_ref().1.alpn_protocol(), None);
}

#[tokio::test]
async fn who_does_not_hold_the_key_gets_nowhere() {
    for (versions, _) in BOTH {
        // A certificate copied from somebody, with another key.
        let stolen = |name: &str| Arc::new(CertifiedKey::new(own(name).cert.clone(), own(name).key.clone()));
        let honest = Tls::with_versions(few(vec![("fabrikam.test", own("fabrikam.test"))]), versions);
        let thief = Tls::with_versions(few(vec![("contoso.test", stolen("contoso.test"))]), versions);
        let (_, accepted) = meet(&thief, &honest, None).await;
        assert!(matches!(accepted, Err(TlsError::BadCertificate(_))), "{accepted:?}");
        let thief = Tls::with_versions(few(vec![("fabrikam.test", stolen("fabrikam.test"))]), versions);
        let (dialed, _) = meet(&honest, &thief, None).await;
        assert!(matches!(dialed, Err(TlsError::BadCertificate(_))), "{dialed:?}");
    }
}

#[tokio::test]
async fn bad_certificates_pass_the_handshake_and_fail_before_the_judge() {
    let root = Ca::root("a CA");
    let mut params = leaf_params(&["contoso.test"]);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let place = tempfile::tempdir().expect("a folder");
    let file = place.path().join("roots.pem");
    std::fs::write(&file, &root.pem).expect("written");
    let judge = crate::judge::Judge::new(crate::judge::Roots::File(file), Vec::new()).expect("readable");
    let dialer = tls(vec![("contoso.test", root.issue(&params).certified())]);
    let (_, accepted) = meet(&dialer, &tls(vec![("fabrikam.test", own("fabrikam.test"))]), None).await;
    let chain = accepted.expect("accepted").1.chain;
    let verdict = judge.judge(&chain, &domain("contoso.test"), SystemTime::now());
    assert!(matches!(verdict, Err(crate::judge::CertificateFault::Expired(_))), "{verdict:?}");
}

#[tokio::test]
async fn certificates_of_version_1_leave_dialback() {
    for (versions, _) in BOTH {
        let old = version_1();
        let key = PrivateKeyDer::try_from(old.key.serialize_der()).expect("a key");
        let key = crypto::provider().key_provider.load_private_key(key).expect("usable");
        let old_certificate = Arc::new(CertifiedKey::new(old.chain.clone(), key));
        let theirs = Tls::with_versions(few(vec![("fabrikam.test", old_certificate.clone())]), versions);
        let ours = Tls::with_versions(few(vec![("contoso.test", old_certificate)]), versions);
        let (dialed, accepted) = meet(&ours, &theirs, None).await;
        assert_eq!(dialed.expect("dialed").1.chain, old.chain);
        assert_eq!(accepted.expect("accepted").1.chain, old.chain);
        // The same certificate with another key proves nothing.
        let stolen = Arc::new(CertifiedKey::new(old.chain.clone(), own("contoso.test").key.clone()));
        let thief = Tls::with_versions(few(vec![("contoso.test", stolen)]), versions);
        let (_, accepted) = meet(&thief, &theirs, None).await;
        assert!(matches!(accepted, Err(TlsError::BadCertificate(_))), "{accepted:?}");
    }
}

/// As `openssl x509 -req` makes them when it is given no extensions.
fn version_1() -> Issued {
    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let length = u16::try_from(body.len()).expect("short").to_be_bytes();
        [&[tag, 0x82], &length[..], &body].concat()
    }
    let key = rcgen::KeyPair::generate().expect("a key");
    let ecdsa_with_sha256 = der(0x30, &[&[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]]);
    let name = der(0x30, &[]);
    let validity = der(0x30, &[b"\x17\x0d200101000000Z", b"\x17\x0d400101000000Z"]);
    let spki = key.subject_public_key_info();
    let body = der(0x30, &[&[2, 1, 1], &ecdsa_with_sha256, &name, &validity, &name, &spki]);
    let signature = key.sign(&body).expect("signed");
    let certificate = der(0x30, &[&body, &ecdsa_with_sha256, &der(3, &[&[0], &signature])]);
    Issued { chain: vec![certificate.into()], pem: String::new(), key }
}

#[tokio::test]
async fn nothing_is_resumed() {
    let accepter = tls(vec![("fabrikam.test", own("fabrikam.test"))]);
    for (versions, _) in BOTH {
        let mut config = ClientConfig::clone(&Tls::with_versions(few(Vec::new()), versions).client);
        config.resumption = Resumption::in_memory_sessions(16);
        for _ in 0..2 {
            let (dialed, _) = meet_a_client(config.clone(), &accepter, None).await;
            assert_eq!(dialed.expect("dialed"), HandshakeKind::Full);
        }
    }
}

#[tokio::test]
async fn what_is_no_tls_is_told() {
    let tls = tls(vec![("fabrikam.test", own("fabrikam.test"))]);
    let (mut near, far) = duplex(64 * 1024);
    near.write_all(b"<?xml version='1.0'?><stream:stream to='fabrikam.test'>").await.expect("written");
    assert!(matches!(tls.accept(far, None).await, Err(TlsError::NotTls)));
    let (near, far) = duplex(64 * 1024);
    drop(near);
    let told = tls.accept(far, None).await.expect_err("nobody there").to_string();
    assert_eq!(told, "the connection broke in the TLS handshake: the peer closed it");
    let (mut near, far) = duplex(64 * 1024);
    near.write_all(b"<stream:error/>").await.expect("written");
    let dialed = tls.dial(far, &domain("contoso.test"), &domain("fabrikam.test"), true).await;
    assert!(matches!(dialed, Err(TlsError::NotTls)), "{dialed:?}");
}

#[tokio::test]
async fn mangled_hellos_end_with_an_error() {
    let (near, mut far) = duplex(64 * 1024);
    let client = tls(Vec::new());
    let hello = {
        let (from, to) = (domain("contoso.test"), domain("fabrikam.test"));
        let dial = client.dial(near, &from, &to, true);
        let read = async {
            let mut head = [0; 5];
            far.read_exact(&mut head).await.expect("a record");
            let mut body = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
            far.read_exact(&mut body).await.expect("a hello");
            drop(far);
            [&head[..], &body].concat()
        };
        tokio::join!(dial, read).1
    };
    let accepter = tls(vec![("fabrikam.test", own("fabrikam.test"))]);
    for at in 0..hello.len() {
        let mut mangled = hello.clone();
        mangled[at] ^= 0xff;
        let (mut near, far) = duplex(64 * 1024);
        near.write_all(&mangled).await.expect("written");
        near.shutdown().await.expect("ended");
        assert!(accepter.accept(far, None).await.is_err(), "byte {at}");
    }
}
