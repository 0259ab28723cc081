//! The relay that falls silent after TLS, with real TLS: who dials must be content before silence begins.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use testkit::pki::{Issued, LabCa, Request};
use testkit::place::Place;
use testkit::relay::{Fault, Relay};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

const A_WHILE: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(30);

type Configs = (Arc<ClientConfig>, Arc<ServerConfig>);

fn parts(issued: &Issued) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).expect("PEM");
    (vec![certificate], PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("PEM"))
}

/// As servers do it between them: both show certificates.
fn configs(version: &'static SupportedProtocolVersion) -> Configs {
    let ca = LabCa::new().expect("a key");
    let issue = |domain| parts(&ca.issue(&Request::new(&[domain])).expect("ASCII"));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.pem().as_bytes()).expect("PEM")).expect("a root");
    let roots = Arc::new(roots);
    let (chain, key) = issue("contoso.test");
    let client = ClientConfig::builder_with_protocol_versions(&[version]).with_root_certificates(roots.clone());
    let client = client.with_client_auth_cert(chain, key).expect("they belong together");
    let verifier = WebPkiClientVerifier::builder(roots).build().expect("there is a root");
    let (chain, key) = issue("fabrikam.test");
    let server = ServerConfig::builder_with_protocol_versions(&[version]).with_client_cert_verifier(verifier);
    (Arc::new(client), Arc::new(server.with_single_cert(chain, key).expect("they belong together")))
}

/// Whether an answer comes back within `bound` after a TLS handshake that must succeed.
async fn answered(relay: &Relay, place: &Place, target: SocketAddr, configs: Configs, bound: Duration) -> bool {
    let (client, server) = configs;
    let listener = place.listen(target).expect("free");
    let echo = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("accepted");
        // Behind a silent relay, this never ends.
        let mut stream = TlsAcceptor::from(server).accept(stream).await.expect("a handshake");
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).await.expect("open");
        stream.write_all(&hello).await.expect("open");
        // Held open, so that silence is silence.
        std::future::pending::<()>().await;
    });
    let name = ServerName::try_from("fabrikam.test").expect("a name");
    let stream = place.connect(relay.address()).await.expect("the relay accepts");
    let handshake = timeout(LONG, TlsConnector::from(client).connect(name, stream)).await;
    let mut stream = handshake.expect("in time").expect("a handshake");
    stream.write_all(b"hello").await.expect("open");
    let read = timeout(bound, stream.read_u8()).await;
    echo.abort();
    // Over, the listener is closed; that it was ended is no news.
    let _ = echo.await;
    read.is_ok_and(|byte| byte.expect("open") == b'h')
}

#[tokio::test]
async fn who_dials_completes_the_handshake_and_hears_nothing_then() {
    let place = Place::isolated().expect("this runs as root");
    for (n, version) in [(1, &TLS12), (2, &TLS13)] {
        let target = SocketAddr::from(([127, 0, 4, n], 5270));
        let relay = Relay::start(&place, SocketAddr::from(([127, 0, 5, n], 5270)), target).expect("free");
        assert!(answered(&relay, &place, target, configs(version), LONG).await, "{version:?} without a fault");
        relay.fault(Some(Fault::SilenceAfterTls));
        assert!(!answered(&relay, &place, target, configs(version), A_WHILE).await, "{version:?} with one");
    }
}
