//! A TCP connection under a stream, which knows by itself what only a question to the kernel would tell otherwise: how
//! much was written to it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TCP connection.
#[derive(Debug)]
pub struct Socket {
    tcp: TcpStream,
    written: u64,
}

impl From<TcpStream> for Socket {
    /// Of one to which nothing was written yet.
    fn from(tcp: TcpStream) -> Socket {
        Socket { tcp, written: 0 }
    }
}

impl Socket {
    /// The connection itself; what is written to it directly isn't counted.
    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// As many bytes as the kernel has taken.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    fn count(&mut self, done: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = done {
            self.written += bytes as u64;
        }
        done
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.count(done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.tcp).poll_write_vectored(cx, pieces);
        self.count(done)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    #[tokio::test]
    async fn it_counts_what_the_kernel_has_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("an address");
        let address = listener.local_addr().expect("bound");
        let (one, other) = tokio::join!(TcpStream::connect(address), listener.accept());
        let mut socket = Socket::from(one.expect("connected"));
        let (mut peer, _) = other.expect("accepted");
        socket.write_all(b"twelve bytes").await.expect("written");
        let pieces = [IoSlice::new(b"two "), IoSlice::new(b"pieces")];
        assert_eq!(socket.write_vectored(&pieces).await.expect("written"), 10);
        assert_eq!(socket.written(), 22);
        peer.read_exact(&mut [0; 22]).await.expect("read");
        // Until there is no more room: what isn't taken isn't counted.
        let piece = [b'x'; 64 * 1024];
        while timeout(Duration::from_millis(200), socket.write_all(&piece)).await.is_ok() {}
        let standing = tcp::standing(&socket.tcp).expect("a connection");
        assert_eq!(socket.written(), standing.written);
        assert!(standing.unsent > 0, "{standing:?}");
    }
}
