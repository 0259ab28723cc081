//! The transport under a stream: TCP, then TLS over it.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
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

    /// Whether TLS is up.
    pub fn is_secure(&self) -> bool {
        matches!(self, Transport::Tls(_))
    }

    /// Reads what is there onto the end of `input`; 0 is the end. Can be given up and begun again.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn receive(&mut self, input: &mut BytesMut) -> io::Result<usize> {
        // By way of the stack, so that streams on which nothing comes have no buffer: that is most of them.
        let read = poll_fn(|cx| {
            let mut bytes = [MaybeUninit::uninit(); READ];
            let mut bytes = ReadBuf::uninit(&mut bytes);
            ready!(Pin::new(&mut *self).poll_read(cx, &mut bytes))?;
            input.extend_from_slice(bytes.filled());
            Poll::Ready(Ok(bytes.filled().len()))
        });
        match read.await {
            // TLS that ends without saying so: what counts is whether the stream had ended (RFC 6120 §4.4).
            Err(error) if io::Error::kind(&error) == io::ErrorKind::UnexpectedEof => Ok(0),
            read => read,
        }
    }

    /// As [`send`](Self::send), for as long as the peer takes some of it within `patience` each time.
    ///
    /// # Errors
    /// As [`send`](Self::send), and when the peer takes nothing any more.
    pub async fn send_while_taken(&mut self, mut bytes: &[u8], patience: Duration) -> io::Result<()> {
        let stuck = |_| io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing any more");
        while !bytes.is_empty() {
            let taken = timeout(patience, self.write(bytes)).await.map_err(stuck)??;
            if taken == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[taken..];
        }
        timeout(patience, self.flush()).await.map_err(stuck)?
    }

    /// Ends our side, unless the peer takes nothing for `patience`.
    pub async fn end(&mut self, patience: Duration) {
        // What was to be said has been said, or can't be.
        let _ = timeout(patience, self.shutdown()).await;
    }

    /// Ends our side, then reads and drops what the peer still sends, until its end; each for `patience`
    /// at most. Closing a connection with something unread in it takes away what was said last.
    pub async fn finish(&mut self, patience: Duration) {
        self.end(patience).await;
        let mut dropped = BytesMut::new();
        let end = async {
            while self.receive(&mut dropped).await.is_ok_and(|count| count > 0) {
                dropped.clear();
            }
        };
        let _ = timeout(patience, end).await;
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
