//! The transport under a stream: TCP, then TLS over it.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsStream;

use crate::socket::Socket;

/// What a stream's bytes go over.
#[derive(Debug)]
pub enum Transport {
    /// In clear.
    Plain(Socket),
    /// With TLS up.
    Tls(Box<TlsStream<Socket>>),
    /// Over something else that carries bytes, where what TLS does is done.
    Other(Box<dyn Carrier>),
    /// Being changed from one into the other; nothing can be read or written.
    Gone,
}

/// What is on its way out.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// Not written yet.
    pub(crate) bytes: BytesMut,
    /// Something was written that TLS may hold back.
    held_back: bool,
}

impl Output {
    /// Whether nothing of what is on its way has left yet, so that more can go in the same piece.
    pub(crate) fn is_whole(&self) -> bool {
        !self.held_back
    }

    /// Whether everything has left as far as we can bring it.
    pub(crate) fn is_out(&self) -> bool {
        self.bytes.is_empty() && !self.held_back
    }
}

/// What [`Transport::exchange`] has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moved {
    /// So many bytes came in; 0 is the end.
    In(usize),
    /// What there was went out.
    Out,
}

/// What carries bytes and isn't a socket of the system's: in a simulation, its wires.
pub trait Carrier: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug {
    /// What is known of how far what was written has come, as a kernel would count it.
    fn standing(&self) -> Option<tcp::Standing>;

    /// How many bytes were written.
    fn written(&self) -> u64;

    /// From now on, ending the connection takes back what the other end hasn't got yet.
    fn take_back(&mut self);
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
    pub fn into_plain(self) -> io::Result<Socket> {
        match self {
            Transport::Plain(socket) => Ok(socket),
            Transport::Tls(_) | Transport::Other(_) => Err(io::Error::other("TLS is up already")),
            Transport::Gone => Err(gone()),
        }
    }

    /// Whether TLS is up.
    pub fn is_secure(&self) -> bool {
        matches!(self, Transport::Tls(_) | Transport::Other(_))
    }

    /// Reads what is there onto the end of `input`; 0 is the end. Can be given up and begun again.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn receive(&mut self, input: &mut BytesMut) -> io::Result<usize> {
        poll_fn(|cx| self.poll_input(cx, input)).await
    }

    fn poll_input(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Poll<io::Result<usize>> {
        // By way of the stack, so that streams on which nothing comes have no buffer: that is most of them.
        let mut bytes = [MaybeUninit::uninit(); READ];
        let mut bytes = ReadBuf::uninit(&mut bytes);
        match ready!(Pin::new(&mut *self).poll_read(cx, &mut bytes)) {
            Ok(()) => {
                input.extend_from_slice(bytes.filled());
                Poll::Ready(Ok(bytes.filled().len()))
            }
            // TLS that ends without saying so: what counts is whether the stream had ended (RFC 6120 §4.4).
            Err(error) if io::Error::kind(&error) == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(0)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Whether more may be there to be read at once. It isn't read to find out; what is only on its way up from the kernel
    /// is not seen.
    pub(crate) async fn has_more(&mut self) -> bool {
        poll_fn(|cx| {
            Poll::Ready(match self {
                Transport::Plain(socket) => socket.poll_has_more(cx).is_ready(),
                Transport::Tls(tls) => {
                    let (socket, session) = tls.get_ref();
                    !session.wants_read() || socket.poll_has_more(cx).is_ready()
                }
                Transport::Other(_) | Transport::Gone => true,
            })
        })
        .await
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

    /// Moves bytes: reads onto the end of `input`, or else writes all of `output`, and what TLS holds back of it.
    /// Can be given up and begun again.
    ///
    /// # Errors
    /// When the connection broke.
    pub(crate) async fn exchange(&mut self, input: &mut BytesMut, output: &mut Output) -> io::Result<Moved> {
        poll_fn(|cx| {
            if let Poll::Ready(read) = self.poll_input(cx, input) {
                return Poll::Ready(read.map(Moved::In));
            }
            self.poll_output(cx, output).map_ok(|()| Moved::Out)
        })
        .await
    }

    fn poll_output(&mut self, cx: &mut Context<'_>, output: &mut Output) -> Poll<io::Result<()>> {
        while !output.bytes.is_empty() {
            let count = ready!(Pin::new(&mut *self).poll_write(cx, &output.bytes))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            output.bytes.advance(count);
            output.held_back = true;
        }
        if output.held_back {
            ready!(Pin::new(&mut *self).poll_flush(cx))?;
            output.held_back = false;
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    /// What the kernel knows of the connection.
    pub(crate) fn standing(&self) -> Option<tcp::Standing> {
        match self {
            Transport::Other(carrier) => carrier.standing(),
            _ => tcp::standing(self.socket()?).ok(),
        }
    }

    /// How many bytes were written to the connection, those of TLS among them, as its kernel would count them.
    pub(crate) fn written(&self) -> u64 {
        match self {
            Transport::Plain(socket) => socket.written(),
            Transport::Tls(tls) => tls.get_ref().0.written(),
            Transport::Other(carrier) => carrier.written(),
            Transport::Gone => 0,
        }
    }

    /// How long ago something last came in, whether or not it was read, where the kernel knows.
    pub(crate) fn since_data(&self) -> Option<Duration> {
        tcp::since_data(self.socket()?).ok()
    }

    /// What broke the connection, if something has, also where what came before that isn't read yet.
    pub(crate) fn broken(&self) -> Option<io::Error> {
        self.socket()?.take_error().ok().flatten()
    }

    /// From now on, ending the connection takes back what the other end hasn't got yet.
    pub(crate) fn take_back(&mut self) {
        if let Transport::Other(carrier) = self {
            carrier.take_back();
        }
        if let Some(socket) = self.socket() {
            // Where that fails, it has ended already.
            let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
    }

    fn socket(&self) -> Option<&TcpStream> {
        match self {
            Transport::Plain(socket) => Some(socket.tcp()),
            Transport::Tls(tls) => Some(tls.get_ref().0.tcp()),
            Transport::Other(_) | Transport::Gone => None,
        }
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
            Transport::Other(carrier) => Pin::new(carrier).poll_read(cx, buffer),
            Transport::Gone => Poll::Ready(Err(gone())),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Transport::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
            Transport::Other(carrier) => Pin::new(carrier).poll_write(cx, bytes),
            Transport::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Transport::Other(carrier) => Pin::new(carrier).poll_flush(cx),
            Transport::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Transport::Other(carrier) => Pin::new(carrier).poll_shutdown(cx),
            Transport::Gone => Poll::Ready(Err(gone())),
        }
    }
}
