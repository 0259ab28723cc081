//! A TCP connection under a stream, which asks the kernel as seldom as it can: it knows by itself how much was written, and
//! reads much at once for a reader that wants little.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What is read at once: two TLS records' worth. TLS itself asks for a quarter of a record at a time.
const AHEAD: usize = 32 * 1024;
/// Whoever wants as much as this reads from the kernel himself.
const MUCH: usize = 16 * 1024;

/// A TCP connection.
#[derive(Debug)]
pub struct Socket {
    tcp: TcpStream,
    written: u64,
    /// What was read before anybody wanted it; without memory as long as there is nothing.
    ahead: Bytes,
}

impl From<TcpStream> for Socket {
    /// Of one to which nothing was written yet.
    fn from(tcp: TcpStream) -> Socket {
        Socket { tcp, written: 0, ahead: Bytes::new() }
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

    /// Whether more may be there to be read at once.
    pub(crate) fn poll_has_more(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ahead.is_empty() { self.tcp.poll_read_ready(cx).map(|_| ()) } else { Poll::Ready(()) }
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
        if self.ahead.is_empty() {
            if buffer.remaining() >= MUCH {
                return Pin::new(&mut self.tcp).poll_read(cx, buffer);
            }
            let mut bytes = [MaybeUninit::uninit(); AHEAD];
            let mut bytes = ReadBuf::uninit(&mut bytes);
            ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut bytes))?;
            let (wanted, more) = bytes.filled().split_at(bytes.filled().len().min(buffer.remaining()));
            buffer.put_slice(wanted);
            self.ahead = Bytes::copy_from_slice(more);
            return Poll::Ready(Ok(()));
        }
        let wanted = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(&self.ahead[..wanted]);
        self.ahead.advance(wanted);
        if self.ahead.is_empty() {
            self.ahead = Bytes::new();
        }
        Poll::Ready(Ok(()))
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

    async fn connected() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("an address");
        let address = listener.local_addr().expect("bound");
        let (one, other) = tokio::join!(TcpStream::connect(address), listener.accept());
        (Socket::from(one.expect("connected")), other.expect("accepted").0)
    }

    #[tokio::test]
    async fn what_is_read_little_by_little_is_all_that_came() {
        let (mut socket, mut peer) = connected().await;
        let said: Vec<u8> = (0..100_000u32).map(|number| (number % 251) as u8).collect();
        let (expected, mut heard) = (said.clone(), Vec::new());
        let saying = tokio::spawn(async move { peer.write_all(&said).await.map(|()| peer) });
        // Pieces of all sizes, also such as are read past what lies ahead.
        for size in [1, 4096, 3, 20_000, 100, MUCH].into_iter().cycle() {
            let mut piece = vec![0; size];
            let count = socket.read(&mut piece).await.expect("read");
            heard.extend_from_slice(&piece[..count]);
            if heard.len() == expected.len() {
                break;
            }
        }
        assert!(heard == expected);
        let peer = saying.await.expect("no panic").expect("written");
        assert!(socket.ahead.is_empty());
        drop(peer);
        assert_eq!(socket.read(&mut [0; 10]).await.expect("the end"), 0);
    }

    #[tokio::test]
    async fn what_lies_ahead_is_more_to_be_read() {
        let (mut socket, mut peer) = connected().await;
        peer.write_all(b"much").await.expect("written");
        assert_eq!(socket.read(&mut [0; 1]).await.expect("read"), 1);
        std::future::poll_fn(|cx| socket.poll_has_more(cx)).await;
        assert_eq!(socket.read(&mut [0; 9]).await.expect("read"), 3);
        let more = std::future::poll_fn(|cx| socket.poll_has_more(cx));
        assert!(timeout(Duration::ZERO, more).await.is_err(), "all of it was read");
    }

    #[tokio::test]
    async fn it_counts_what_the_kernel_has_taken() {
        let (mut socket, mut peer) = connected().await;
        socket.write_all(b"twelve bytes").await.expect("written");
        let pieces = [IoSlice::new(b"two "), IoSlice::new(b"pieces")];
        assert_eq!(socket.write_vectored(&pieces).await.expect("written"), 10);
        assert_eq!(socket.written(), 22);
        peer.read_exact(&mut [0; 22]).await.expect("read");
        // Until there is no more room: what isn't taken isn't counted.
        let piece = [b'x'; 64 * 1024];
        while timeout(Duration::from_millis(200), socket.write_all(&piece)).await.is_ok() {}
        let standing = tcp::standing(&socket.tcp).expect("a connection");
        assert!(standing.unsent > 0, "{standing:?}");
        let written = socket.written();
        drop(socket);
        let mut more = Vec::new();
        peer.read_to_end(&mut more).await.expect("all of it comes");
        assert_eq!(22 + more.len() as u64, written);
    }
}
