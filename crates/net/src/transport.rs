//! The transport under a stream: TCP, then TLS over it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// What a stream's bytes go over.
#[derive(Debug)]
pub enum Transport {
    /// In clear.
    Plain(TcpStream),
    /// With TLS up.
    Tls(Box<TlsStream<TcpStream>>),
    /// Being changed from one into the other; nothing can be read or written.
    Gone,
}

/// What is read at once: a TLS record's worth.
pub(crate) const READ: usize = 16 * 1024;

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "TLS is just coming up, or never came")
}

impl Transport {
    /// The connection in clear, to begin TLS on.
    ///
    /// # Errors
    /// When TLS is up already.
    pub fn into_plain(self) -> io::Result<TcpStream> {
        match self {
            Transport::Plain(socket) => Ok(socket),
            Transport::Tls(_) => Err(io::Error::other("TLS is up already")),
            Transport::Gone => Err(gone()),
        }
    }

    /// Reads what is there onto the end of `input`; 0 is the end. Can be given up and begun again.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn receive(&mut self, input: &mut BytesMut) -> io::Result<usize> {
        input.reserve(READ);
        match self.read_buf(input).await {
            // TLS that ends without saying so: what counts is whether the stream had ended (RFC 6120 §4.4).
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            read => read,
        }
    }

    /// Writes all of `bytes` and what TLS holds back of them.
    ///
    /// # Errors
    /// When the connection broke; nobody knows how much of it arrived then.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await?;
        self.flush().await
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Transport::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
            Transport::Gone => Poll::Ready(Err(gone())),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Transport::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
            Transport::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Transport::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Transport::Gone => Poll::Ready(Err(gone())),
        }
    }
}
