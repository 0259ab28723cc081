//! TLS on one socket, accepted or dialed: our certificate by the domain asked for, the peer's taken as it comes.

use std::io;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::server::{Acceptor, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, CommonState, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{LazyConfigAcceptor, TlsConnector, client, server};
use xmpp::domain::Domain;

use crate::certificates::Certificates;
use crate::crypto;

mod error;
mod resolvers;
mod signatures;
#[cfg(test)]
mod tests;

pub use error::TlsError;
use resolvers::{IfAsked, Picked};
pub use signatures::SignaturesOnly;

/// The first byte that a peer sends with direct TLS: the start of a handshake record. A stream in the
/// clear starts with `<` or white space, so one port serves both.
pub const HANDSHAKE_BYTE: u8 = 0x16;

/// The protocol's name in ALPN, for servers (XEP-0368 §3).
const ALPN: &[u8] = b"xmpp-server";

/// Does TLS 1.2 and 1.3 handshakes for one face. Cheap to clone.
///
/// No handshake judges a certificate: on both sides any chain is accepted once its owner has proved
/// to hold the key, and [`crate::judge::Judge`] decides afterwards, when the stream has said which
/// domain it is about. A chain that convinces nobody still leaves dialback.
///
/// Nothing is resumed, neither by ticket nor by session id: a resumed stream would carry a chain
/// judged at another time, or none at all, and federating servers set up streams far too seldom to
/// gain from it.
///
/// Handshakes here never time out by themselves; the stream's time to establish covers them.
#[derive(Clone)]
pub struct Tls {
    certificates: Arc<dyn Certificates>,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// What a handshake settled.
#[derive(Debug, Clone)]
pub struct Established {
    /// The peer's certificates, leaf first, not judged; empty if it showed none.
    pub chain: Vec<CertificateDer<'static>>,
    /// Whether we proved who we are. Always, when accepted; when dialed, only if the peer asked for a
    /// certificate and we had one that it can check.
    pub own_certificate: bool,
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite by its IANA name.
    pub cipher: String,
}

impl std::fmt::Display for Established {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.version, self.cipher)
    }
}

impl Tls {
    /// TLS with these certificates of ours, asked for anew with each handshake.
    pub fn new(certificates: Arc<dyn Certificates>) -> Tls {
        Tls::with_versions(certificates, &[&TLS13, &TLS12])
    }

    fn with_versions(certificates: Arc<dyn Certificates>, versions: &[&'static SupportedProtocolVersion]) -> Tls {
        let provider = crypto::provider();
        let signatures = Arc::new(SignaturesOnly::new(&provider));
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .expect("the provider has cipher suites for TLS 1.2 and 1.3")
            .with_client_cert_verifier(signatures.clone())
            .with_cert_resolver(Arc::new(Picked(None)));
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("the provider has cipher suites for TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(signatures)
            .with_no_client_auth();
        client.resumption = Resumption::disabled();
        Tls { certificates, server: Arc::new(server), client: Arc::new(client) }
    }

    /// Answers a peer's handshake and asks for its certificate, which it need not have.
    ///
    /// `to` is the domain in the stream header that STARTTLS came on, and `None` with direct TLS. Our
    /// certificate is picked by SNI, or by `to` where SNI is missing or names what we have none for.
    /// With direct TLS, a peer that offers only other protocols than `xmpp-server` is refused (RFC
    /// 7301 §3.2); after STARTTLS everybody knows what is spoken.
    ///
    /// # Errors
    /// When we have no certificate to show (the peer gets an alert), or the handshake fails.
    pub async fn accept<IO>(
        &self,
        io: IO,
        to: Option<&Domain>,
    ) -> Result<(server::TlsStream<IO>, Established), TlsError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), io).await.map_err(TlsError::from_io)?;
        let (wanted, offers_ours) = {
            let hello = hello.client_hello();
            let wanted = hello.server_name().map(str::to_owned);
            (wanted, hello.alpn().is_some_and(|mut offers| offers.any(|offer| offer == ALPN)))
        };
        let certificate = self.pick(wanted.as_deref(), to);
        let missing = certificate.is_none();
        let mut config = ServerConfig::clone(&self.server);
        config.cert_resolver = Arc::new(Picked(certificate));
        if to.is_none() || offers_ours {
            config.alpn_protocols = vec![ALPN.to_vec()];
        }
        // Also without a certificate: it is the handshake that sends the alert.
        let stream = hello.into_stream(Arc::new(config)).await.map_err(|error| {
            if missing { TlsError::no_certificate(wanted.as_deref(), to) } else { TlsError::from_io(error) }
        })?;
        let established = Established::of(stream.get_ref().1, true);
        Ok((stream, established))
    }

    fn pick(&self, wanted: Option<&str>, to: Option<&Domain>) -> Option<Arc<CertifiedKey>> {
        let by_sni = wanted.and_then(|name| self.certificates.certificate(&Domain::parse(name).ok()?));
        by_sni.or_else(|| self.certificates.certificate(to?))
    }

    /// Opens a handshake as `from` with the server of `to`, which is asked for by SNI; with `direct`
    /// TLS, ALPN says `xmpp-server`. Our certificate for `from` is shown if we have one and are asked.
    ///
    /// # Errors
    /// When the handshake fails. Who the peer is remains to be judged.
    pub async fn dial<IO>(
        &self,
        io: IO,
        from: &Domain,
        to: &Domain,
        direct: bool,
    ) -> Result<(client::TlsStream<IO>, Established), TlsError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        self.shake(io, self.certificates.certificate(from), to, direct).await
    }

    /// As [`Tls::dial`], as nobody: no certificate of ours is shown.
    ///
    /// # Errors
    /// As [`Tls::dial`].
    pub async fn look<IO>(
        &self,
        io: IO,
        to: &Domain,
        direct: bool,
    ) -> Result<(client::TlsStream<IO>, Established), TlsError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        self.shake(io, None, to, direct).await
    }

    async fn shake<IO>(
        &self,
        io: IO,
        own: Option<Arc<CertifiedKey>>,
        to: &Domain,
        direct: bool,
    ) -> Result<(client::TlsStream<IO>, Established), TlsError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(to.to_ascii().to_owned()).map_err(|_| TlsError::NotInDns(to.clone()))?;
        let own = Arc::new(IfAsked::new(own));
        let mut config = ClientConfig::clone(&self.client);
        config.client_auth_cert_resolver = own.clone();
        if direct {
            config.alpn_protocols = vec![ALPN.to_vec()];
        }
        let stream = TlsConnector::from(Arc::new(config)).connect(name, io).await.map_err(TlsError::from_io)?;
        let established = Established::of(stream.get_ref().1, own.shown());
        Ok((stream, established))
    }
}

impl Established {
    fn of(connection: &CommonState, own_certificate: bool) -> Established {
        let version = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "an unknown version",
        };
        let suite = connection.negotiated_cipher_suite();
        let cipher = suite.and_then(|suite| suite.suite().as_str()).unwrap_or("an unknown cipher suite").to_owned();
        let chain = connection.peer_certificates().unwrap_or_default().to_vec();
        Established { chain, own_certificate, version, cipher }
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl TlsError {
    pub(crate) fn from_io(error: io::Error) -> TlsError {
        match error.downcast::<rustls::Error>() {
            Ok(error) => TlsError::from(error),
            Err(error) => TlsError::Io(error),
        }
    }

    fn no_certificate(wanted: Option<&str>, to: Option<&Domain>) -> TlsError {
        let asked = to.map(ToString::to_string).or_else(|| wanted.map(str::to_owned));
        TlsError::NoCertificate(asked.unwrap_or_else(|| "a peer that names no domain".to_owned()))
    }
}
