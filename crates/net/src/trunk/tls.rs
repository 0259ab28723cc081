//! TLS of the trunk: both ends show a certificate of the trunk's own CA, and each only in its role.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::WebPkiServerVerifier;
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::connection::ConnectionError;
use crate::certificates::{Leaf, read_bounded};
use crate::crypto;

/// A member's certificate with its key, and the CA that all members of the trunk have theirs of.
/// Certificates of edge servers are good for accepting only, those of gateways for dialing only: a
/// stolen edge server's can't open a trunk to anybody.
#[derive(Debug, Clone)]
pub struct Files {
    /// The CA's certificate, PEM.
    pub ca: PathBuf,
    /// The member's, PEM, with its issuers if it has any.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// Why the trunk's TLS can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}; `fedge trunk member` makes a member's files", file.display())]
pub struct FilesError {
    file: PathBuf,
    what: String,
}

fn fault(file: &Path, what: impl Into<String>) -> FilesError {
    FilesError { file: file.to_owned(), what: what.into() }
}

struct Read {
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Files {
    fn read(&self) -> Result<Read, FilesError> {
        let bytes =
            |file: &Path| read_bounded(file).map_err(|error| fault(file, format!("it can't be read ({error})")));
        let certificates = |file: &Path| -> Result<Vec<CertificateDer<'static>>, FilesError> {
            let found = CertificateDer::pem_slice_iter(&bytes(file)?).collect::<Result<Vec<_>, _>>();
            found.ok().filter(|found| !found.is_empty()).ok_or_else(|| fault(file, "there is no certificate in it"))
        };
        let mut roots = RootCertStore::empty();
        for root in certificates(&self.ca)? {
            roots.add(root).map_err(|error| fault(&self.ca, format!("it can't be used ({error})")))?;
        }
        let key = PrivateKeyDer::from_pem_slice(&bytes(&self.key)?)
            .map_err(|_| fault(&self.key, "there is no private key in it"))?;
        Ok(Read { roots: Arc::new(roots), chain: certificates(&self.certificate)?, key })
    }

    /// When the member's certificate expires.
    ///
    /// # Errors
    /// When a file can't be used.
    pub fn expires(&self) -> Result<SystemTime, FilesError> {
        let leaf = self.read()?.chain.first().map(Leaf::parse);
        let leaf = leaf.and_then(Result::ok).ok_or_else(|| fault(&self.certificate, "it can't be read"))?;
        Ok(leaf.not_after)
    }

    /// For an edge server, which accepts.
    ///
    /// # Errors
    /// When a file can't be used.
    pub fn acceptor(&self) -> Result<Acceptor, FilesError> {
        let Read { roots, chain, key } = self.read()?;
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, crypto::provider())
            .build()
            .map_err(|error| fault(&self.ca, format!("it can't be used ({error})")))?;
        let mut config = ServerConfig::builder_with_provider(crypto::provider())
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has cipher suites for TLS 1.3")
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|error| fault(&self.certificate, format!("it can't be used with its key ({error})")))?;
        config.send_tls13_tickets = 0;
        Ok(Acceptor(TlsAcceptor::from(Arc::new(config))))
    }

    /// For a gateway, which dials.
    ///
    /// # Errors
    /// When a file can't be used.
    pub fn dialer(&self) -> Result<Dialer, FilesError> {
        let Read { roots, chain, key } = self.read()?;
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, crypto::provider())
            .build()
            .map_err(|error| fault(&self.ca, format!("it can't be used ({error})")))?;
        let config = ClientConfig::builder_with_provider(crypto::provider())
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has cipher suites for TLS 1.3")
            .with_webpki_verifier(verifier)
            .with_client_auth_cert(chain, key)
            .map_err(|error| fault(&self.certificate, format!("it can't be used with its key ({error})")))?;
        Ok(Dialer(TlsConnector::from(Arc::new(config))))
    }
}

/// Accepts gateways.
#[derive(Clone)]
pub struct Acceptor(TlsAcceptor);

/// Dials edge servers.
#[derive(Clone)]
pub struct Dialer(TlsConnector);

impl Acceptor {
    /// Does the handshake, and tells the names in the certificate of who is there.
    ///
    /// # Errors
    /// When it fails, or the certificate isn't one of the trunk's.
    pub async fn accept(&self, socket: TcpStream) -> Result<(server::TlsStream<Socket>, Vec<String>), ConnectionError> {
        let stream = self.0.accept(buffered(socket)?).await?;
        let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| Leaf::parse(chain.first()?).ok());
        let names = leaf.map(|leaf| leaf.names.dns).unwrap_or_default();
        Ok((stream, names))
    }
}

impl Dialer {
    /// Does the handshake with the edge server of that name.
    ///
    /// # Errors
    /// When it fails, or somebody else is there.
    pub async fn dial(&self, socket: TcpStream, name: &str) -> Result<client::TlsStream<Socket>, ConnectionError> {
        let name = ServerName::try_from(name.to_owned()).map_err(std::io::Error::other)?;
        Ok(self.0.connect(name, buffered(socket)?).await?)
    }
}

/// A connection under TLS. By itself, TLS reads no more than 4 KiB at once.
pub type Socket = BufReader<TcpStream>;

/// What is read from it at once.
const READ: usize = 64 * 1024;

fn buffered(socket: TcpStream) -> std::io::Result<Socket> {
    socket.set_nodelay(true)?;
    Ok(BufReader::with_capacity(READ, socket))
}
