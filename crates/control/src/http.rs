//! HTTP over TLS for the API: who connects may show a certificate, and is bounded in number, size and time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use net::tls::SignaturesOnly;
use rustls::ServerConfig;
use rustls::version::TLS13;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::audit::Hash;

/// Connections at a time; more wait to be accepted.
const CONNECTIONS: usize = 256;
/// For the handshake, and for each request's head.
const PATIENCE: Duration = Duration::from_secs(10);
/// A connection is closed after that long, so that nobody keeps a place for ever; `status --watch` comes again.
const LONGEST: Duration = Duration::from_secs(3600);
/// Bytes that a request's head may have.
const HEAD: usize = 16 * 1024;
/// Before the next try, when a connection can't be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end, as far as the connection tells. Each request carries it.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The hash of the key in its certificate, where it shows one; it has proven that the key is its own.
    pub key: Option<Hash>,
}

/// The TLS of the API; what it holds can be replaced while it serves.
#[derive(Clone)]
pub struct Tls(Arc<ArcSwap<ServerConfig>>);

impl Tls {
    /// Shows this chain; asks for a client certificate, and is content without.
    ///
    /// # Errors
    /// When key and certificate don't belong together.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Tls, rustls::Error> {
        Ok(Tls(Arc::new(ArcSwap::from_pointee(config(chain, key)?))))
    }

    /// From now on shows this chain to whoever connects.
    ///
    /// # Errors
    /// When key and certificate don't belong together; then everything stays as it was.
    pub fn replace(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<(), rustls::Error> {
        self.0.store(Arc::new(config(chain, key)?));
        Ok(())
    }

    /// What is shown to whoever connects now.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.0.load_full()
    }
}

fn config(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<ServerConfig, rustls::Error> {
    let provider = net::crypto::provider();
    // Users are known by their keys, so a certificate's issuer and names say nothing.
    let signatures = Arc::new(SignaturesOnly::new(&provider));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(signatures)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Serves `router` to all who connect, until the task is ended.
pub async fn serve(listener: TcpListener, tls: Tls, router: Router) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut served = JoinSet::new();
    // It is never closed.
    while let Ok(permit) = room.clone().acquire_owned().await {
        while served.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((socket, address)) => {
                let (tls, router) = (TlsAcceptor::from(tls.config()), router.clone());
                served.spawn(async move {
                    let served = tokio::time::timeout(LONGEST, connection(socket, address, tls, router)).await;
                    if let Ok(Err(error)) = served {
                        tracing::debug!(%address, %error, "a connection to the API ended early");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the API could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(
    socket: TcpStream,
    address: SocketAddr,
    tls: TlsAcceptor,
    router: Router,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    socket.set_nodelay(true)?;
    let stream = tokio::time::timeout(PATIENCE, tls.accept(socket)).await??;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let peer = Peer { address, key: shown.and_then(key_of) };
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.clone().oneshot(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(HEAD);
    Ok(http.serve_connection(TokioIo::new(stream), service).await?)
}

/// The hash by which a certificate's key is known: of its SPKI.
pub fn key_of(certificate: &CertificateDer<'_>) -> Option<Hash> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(Hash::of(certificate.tbs_certificate.subject_pki.raw))
}
