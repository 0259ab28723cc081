//! A played server that connects: it writes whatever it is told, and shows what it hears.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::BytesMut;
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{AUTH, FOOTER, STARTTLS, header, tls};
use crate::pki::Issued;

/// Longer than anything takes here that is to come at all.
const PATIENCE: Duration = Duration::from_secs(30);
/// The newest TLS first.
const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A connection on which every byte is the test's.
pub struct Caller {
    /// Nothing only while TLS comes up.
    wire: Option<Box<dyn Wire>>,
    /// In clear, for TLS to begin on.
    plain: Option<TcpStream>,
    heard: BytesMut,
    /// What the other side showed in TLS.
    shown: Vec<CertificateDer<'static>>,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// What was heard until then, since the last look.
    pub said: String,
    /// The condition of the stream error, if there was one.
    pub condition: Option<String>,
    /// Whether the stream's end was said.
    pub closed: bool,
}

impl Caller {
    /// Connects, for the runtime in whose network `at` is.
    ///
    /// # Errors
    /// As connecting in general.
    pub async fn connect(at: SocketAddr) -> io::Result<Caller> {
        let socket = TcpStream::connect(at).await?;
        socket.set_nodelay(true)?;
        Ok(Caller { wire: None, plain: Some(socket), heard: BytesMut::new(), shown: Vec::new() })
    }

    /// Writes.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        match (&mut self.wire, &mut self.plain) {
            (Some(wire), _) => {
                wire.write_all(bytes.as_ref()).await?;
                wire.flush().await
            }
            (None, Some(socket)) => socket.write_all(bytes.as_ref()).await,
            (None, None) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Reads until `needle` was heard, and gives everything up to its end.
    ///
    /// # Errors
    /// When it isn't heard in time, or the connection ends before; with what was heard instead.
    pub async fn until(&mut self, needle: &str) -> anyhow::Result<String> {
        let search = async {
            loop {
                let text = String::from_utf8_lossy(&self.heard).into_owned();
                if let Some(at) = text.find(needle) {
                    let _ = self.heard.split_to(at + needle.len());
                    return Ok(text[..at + needle.len()].to_owned());
                }
                ensure!(self.read().await? > 0, "the connection ended before `{needle}`: {text}");
            }
        };
        match timeout(PATIENCE, search).await {
            Ok(found) => found,
            Err(_) => bail!("`{needle}` was not heard: {}", String::from_utf8_lossy(&self.heard)),
        }
    }

    /// Reads to the end of the connection, which has to come.
    ///
    /// # Errors
    /// When it doesn't in time; with what was heard instead.
    pub async fn ending(&mut self) -> anyhow::Result<Ending> {
        let end = async { while self.read().await.is_ok_and(|count| count > 0) {} };
        let ended = timeout(PATIENCE, end).await;
        let said = String::from_utf8_lossy(&self.heard.split()).into_owned();
        ensure!(ended.is_ok(), "the connection doesn't end: {said}");
        let condition = said.split_once("<stream:error><").map(|(_, rest)| rest);
        let condition = condition.and_then(|rest| rest.split([' ', '/']).next()).map(str::to_owned);
        Ok(Ending { closed: said.ends_with(FOOTER), said, condition })
    }

    async fn read(&mut self) -> io::Result<usize> {
        match (&mut self.wire, &mut self.plain) {
            (Some(wire), _) => wire.read_buf(&mut self.heard).await,
            (None, Some(socket)) => socket.read_buf(&mut self.heard).await,
            (None, None) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Does the TLS handshake now, asking for `name` and showing `identity`.
    ///
    /// # Errors
    /// When the handshake fails, or TLS is up already.
    pub async fn tls(&mut self, name: &str, identity: Option<&Issued>) -> io::Result<()> {
        let socket = self.plain.take().ok_or(io::ErrorKind::NotConnected)?;
        let handshake = timeout(PATIENCE, tls::dial(socket, name, identity, VERSIONS)).await;
        let wire = handshake.map_err(|_| io::ErrorKind::TimedOut)??;
        self.shown = wire.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
        self.wire = Some(Box::new(wire));
        Ok(())
    }

    /// The certificates that the other side showed in TLS, its own first.
    pub fn shown(&self) -> &[CertificateDer<'static>] {
        &self.shown
    }

    /// Opens a stream, asks for TLS, and opens another in it; what is offered there has not been read.
    ///
    /// # Errors
    /// When that fails.
    pub async fn starttls(&mut self, from: &str, to: &str, identity: Option<&Issued>) -> anyhow::Result<()> {
        self.write(header(from, to)).await?;
        self.until("</stream:features>").await?;
        self.write(STARTTLS).await?;
        self.until("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await?;
        self.tls(to, identity).await.context("TLS")?;
        self.write(header(from, to)).await?;
        Ok(())
    }

    /// Connects and does all that it takes until stanzas may be sent, by STARTTLS and EXTERNAL.
    ///
    /// # Errors
    /// When any of it fails.
    pub async fn by_certificate(at: SocketAddr, from: &str, to: &str, identity: &Issued) -> anyhow::Result<Caller> {
        let mut caller = Caller::connect(at).await?;
        caller.starttls(from, to, Some(identity)).await?;
        caller.prove(from, to).await?;
        Ok(caller)
    }

    /// The same by direct TLS.
    ///
    /// # Errors
    /// When any of it fails.
    pub async fn by_direct_tls(at: SocketAddr, from: &str, to: &str, identity: &Issued) -> anyhow::Result<Caller> {
        let mut caller = Caller::connect(at).await?;
        caller.tls(to, Some(identity)).await.context("TLS")?;
        caller.write(header(from, to)).await?;
        caller.prove(from, to).await?;
        Ok(caller)
    }

    /// Is known by the certificate, where a stream was opened in TLS, and opens the last one.
    async fn prove(&mut self, from: &str, to: &str) -> anyhow::Result<()> {
        self.until("<mechanism>EXTERNAL</mechanism>").await?;
        self.until("</stream:features>").await?;
        self.write(AUTH).await?;
        self.until("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>").await?;
        self.write(header(from, to)).await?;
        self.until("</stream:features>").await?;
        Ok(())
    }

    /// Shows a dialback key for a pair; the answer has not been read.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn show_key(&mut self, from: &str, to: &str, key: &str) -> io::Result<()> {
        self.write(format!("<db:result from='{from}' to='{to}'>{key}</db:result>")).await
    }

    /// Ends the stream and waits for the other side's end; what was heard until then is in the answer.
    ///
    /// # Errors
    /// When that doesn't come.
    pub async fn close(&mut self) -> anyhow::Result<Ending> {
        self.write(FOOTER).await?;
        self.ending().await
    }
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Caller({} bytes heard)", self.heard.len())
    }
}
