//! TLS of the trunk: both ends show a certificate of the trunk's own CA, and each only in its role.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
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
use crate::certificates::{Fingerprint, Leaf, read_bounded};
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

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::take([&self.ca, &self.certificate, &self.key].map(PathBuf::from))
    }

    /// For an edge server, which accepts.
    ///
    /// # Errors
    /// When a file can't be used.
    pub fn acceptor(&self) -> Result<Acceptor, FilesError> {
        Ok(Acceptor(Arc::new(Renewed::new(self.clone(), Files::accepting)?)))
    }

    /// For a gateway, which dials.
    ///
    /// # Errors
    /// When a file can't be used.
    pub fn dialer(&self) -> Result<Dialer, FilesError> {
        Ok(Dialer(Arc::new(Renewed::new(self.clone(), Files::dialing)?)))
    }

    fn accepting(&self, read: Read) -> Result<TlsAcceptor, FilesError> {
        let Read { roots, chain, key } = read;
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
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    fn dialing(&self, read: Read) -> Result<TlsConnector, FilesError> {
        let Read { roots, chain, key } = read;
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, crypto::provider())
            .build()
            .map_err(|error| fault(&self.ca, format!("it can't be used ({error})")))?;
        let config = ClientConfig::builder_with_provider(crypto::provider())
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has cipher suites for TLS 1.3")
            .with_webpki_verifier(verifier)
            .with_client_auth_cert(chain, key)
            .map_err(|error| fault(&self.certificate, format!("it can't be used with its key ({error})")))?;
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// One end's TLS as its files say, read again when they change.
struct Renewed<T> {
    files: Files,
    make: fn(&Files, Read) -> Result<T, FilesError>,
    /// What the files looked like when they were last read, with success or without.
    read: Mutex<Fingerprint>,
    current: ArcSwap<(T, SystemTime)>,
}

impl<T> Renewed<T> {
    fn new(files: Files, make: fn(&Files, Read) -> Result<T, FilesError>) -> Result<Renewed<T>, FilesError> {
        let fingerprint = files.fingerprint();
        let current = ArcSwap::from_pointee(Self::made(&files, make)?);
        Ok(Renewed { files, make, read: Mutex::new(fingerprint), current })
    }

    /// What does it, and when the certificate expires.
    fn made(files: &Files, make: fn(&Files, Read) -> Result<T, FilesError>) -> Result<(T, SystemTime), FilesError> {
        let read = files.read()?;
        let leaf = read.chain.first().map(Leaf::parse).and_then(Result::ok);
        let leaf = leaf.ok_or_else(|| fault(&files.certificate, "it can't be read"))?;
        Ok((make(files, read)?, leaf.not_after))
    }

    fn look(&self) {
        let fingerprint = self.files.fingerprint();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if *read == fingerprint {
            return;
        }
        *read = fingerprint;
        match Self::made(&self.files, self.make) {
            Ok(made) => {
                self.current.store(Arc::new(made));
                tracing::info!("the trunk's certificate was read again; it counts from the next connection on");
            }
            Err(error) => tracing::error!(%error, "the trunk's files can't be used; those of before stay"),
        }
    }
}

/// Accepts gateways.
#[derive(Clone)]
pub struct Acceptor(Arc<Renewed<TlsAcceptor>>);

/// Dials edge servers.
#[derive(Clone)]
pub struct Dialer(Arc<Renewed<TlsConnector>>);

impl Acceptor {
    /// Does the handshake, and tells the names in the certificate of who is there.
    ///
    /// # Errors
    /// When it fails, or the certificate isn't one of the trunk's.
    pub async fn accept(&self, socket: TcpStream) -> Result<(server::TlsStream<Socket>, Vec<String>), ConnectionError> {
        let acceptor = self.0.current.load().0.clone();
        let stream = acceptor.accept(buffered(socket)?).await?;
        let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| Leaf::parse(chain.first()?).ok());
        let names = leaf.map(|leaf| leaf.names.dns).unwrap_or_default();
        Ok((stream, names))
    }

    /// Reads the files again if they changed, and says so in the log.
    pub fn look(&self) {
        self.0.look();
    }

    /// When the certificate expires.
    pub fn expires(&self) -> SystemTime {
        self.0.current.load().1
    }
}

impl Dialer {
    /// Does the handshake with the edge server of that name.
    ///
    /// # Errors
    /// When it fails, or somebody else is there.
    pub async fn dial(&self, socket: TcpStream, name: &str) -> Result<client::TlsStream<Socket>, ConnectionError> {
        let name = ServerName::try_from(name.to_owned()).map_err(std::io::Error::other)?;
        let connector = self.0.current.load().0.clone();
        Ok(connector.connect(name, buffered(socket)?).await?)
    }

    /// Reads the files again if they changed, and says so in the log.
    pub fn look(&self) {
        self.0.look();
    }

    /// When the certificate expires.
    pub fn expires(&self) -> SystemTime {
        self.0.current.load().1
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
