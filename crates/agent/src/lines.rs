//! JSON lines on a connection: none too long, none too slow, and nobody silent for ever.

use std::io;
use std::time::Duration;

use api::agent::LINE;
use serde::Serialize;
use serde::de::DeserializeOwned;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, ReadHalf, WriteHalf,
};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// After so long a silence, the kernel asks whether the other host is there.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// For a line to come, once it began; and to be taken.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why no line came, or none could be said.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The connection broke.
    #[error("the connection broke ({})", broke(.0))]
    Io(#[from] io::Error),
    /// The other end closed it.
    #[error("the other end closed the connection")]
    Closed,
    /// Nothing came.
    #[error("the other end said nothing for {} s", .0.as_secs())]
    Silent(Duration),
    /// A line came, or was taken, by drips.
    #[error("the other end took more than {} s for one line", .0.as_secs())]
    Slow(Duration),
    /// A line didn't end, or would be too long for the other end.
    #[error("a line had more than {LINE} bytes, which is more than any member takes")]
    Long,
    /// It isn't what is said here. The next line may be.
    #[error("what the other end said can't be read ({0}); do both run the same version of fedge?")]
    Unreadable(#[from] serde_json::Error),
}

/// rustls explains at length what is one thing here: whoever dies says no good-bye.
fn broke(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        "it was closed without a word".to_owned()
    } else {
        error.to_string()
    }
}

/// Makes a socket ready: lines go out at once, and a host that vanished is noticed in two minutes, also where nothing is
/// said for long.
pub(crate) fn ready(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    SockRef::from(socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE / 2))
}

/// Both ways of a connection, by lines.
pub(crate) struct Lines<S> {
    reader: BufReader<ReadHalf<S>>,
    writer: WriteHalf<S>,
    /// What has come of the next line.
    begun: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite> Lines<S> {
    pub(crate) fn new(stream: S) -> Lines<S> {
        let (reader, writer) = tokio::io::split(stream);
        Lines { reader: BufReader::with_capacity(64 * 1024, reader), writer, begun: Vec::new() }
    }

    /// The next line; the other end may be silent for so long before it. Nothing is lost when this is given up.
    pub(crate) async fn read<T: DeserializeOwned>(&mut self, silence: Duration) -> Result<T, LineError> {
        if self.begun.is_empty() {
            let more = timeout(silence, self.reader.fill_buf()).await.map_err(|_| LineError::Silent(silence))?;
            if more?.is_empty() {
                return Err(LineError::Closed);
            }
        }
        let mut bounded = (&mut self.reader).take((LINE - self.begun.len()) as u64);
        // What was read before it is given up is in `begun`.
        let read = bounded.read_until(b'\n', &mut self.begun);
        timeout(PATIENCE, read).await.map_err(|_| LineError::Slow(PATIENCE))??;
        let line = std::mem::take(&mut self.begun);
        match line.last() {
            Some(b'\n') => Ok(serde_json::from_slice(&line)?),
            _ if line.len() == LINE => Err(LineError::Long),
            _ => Err(LineError::Closed),
        }
    }

    /// Says something.
    pub(crate) async fn write(&mut self, said: &impl Serialize) -> Result<(), LineError> {
        let mut line = serde_json::to_vec(said)?;
        line.push(b'\n');
        if line.len() > LINE {
            return Err(LineError::Long);
        }
        let written = async {
            self.writer.write_all(&line).await?;
            self.writer.flush().await
        };
        Ok(timeout(PATIENCE, written).await.map_err(|_| LineError::Slow(PATIENCE))??)
    }

    /// Waits until the other end says something, or leaves. Nothing is lost when this is given up.
    pub(crate) async fn stirs(&mut self) {
        let _ = self.reader.fill_buf().await;
    }

    /// Says that nothing more comes, and lets what was said arrive.
    pub(crate) async fn close(&mut self) {
        let _ = timeout(PATIENCE, self.writer.shutdown()).await;
    }
}

#[cfg(test)]
mod tests {
    use api::agent::Request;

    use super::*;

    const SILENCE: Duration = Duration::from_secs(60);

    fn pair() -> (Lines<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(LINE + 1024);
        (Lines::new(near), far)
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_for_ever() {
        let (mut lines, mut far) = pair();
        let began = tokio::time::Instant::now();
        assert!(matches!(lines.read::<Request>(SILENCE).await, Err(LineError::Silent(_))));
        assert_eq!(began.elapsed(), SILENCE);
        far.write_all(b"\"he").await.expect("there is room");
        assert!(matches!(lines.read::<Request>(SILENCE).await, Err(LineError::Slow(_))));
        assert_eq!(began.elapsed(), SILENCE + PATIENCE);

        let (near, _far) = tokio::io::duplex(16);
        let mut lines = Lines::new(near);
        assert!(matches!(lines.write(&"more than there is room for").await, Err(LineError::Slow(_))));
    }

    #[tokio::test]
    async fn nothing_is_lost_when_reading_is_given_up() {
        let (mut lines, mut far) = pair();
        far.write_all(b"\"hel").await.expect("there is room");
        for _ in 0..3 {
            let given_up = timeout(Duration::from_millis(5), lines.read::<Request>(SILENCE)).await;
            assert!(given_up.is_err(), "{given_up:?}");
        }
        far.write_all(b"lo\"\n\"hello\"\n").await.expect("there is room");
        for _ in 0..2 {
            assert_eq!(lines.read::<Request>(SILENCE).await.expect("a line"), Request::Hello);
        }
    }

    #[tokio::test]
    async fn a_line_may_come_in_pieces_but_not_be_endless_or_broken_off() {
        let (mut lines, mut far) = pair();
        far.write_all(b"\"hello\"\nno JSON\n\"hel").await.expect("there is room");
        assert_eq!(lines.read::<Request>(SILENCE).await.expect("a line"), Request::Hello);
        assert!(matches!(lines.read::<Request>(SILENCE).await, Err(LineError::Unreadable(_))));
        far.write_all(b"lo\"\n").await.expect("there is room");
        assert_eq!(lines.read::<Request>(SILENCE).await.expect("a line"), Request::Hello);
        // It can be said in time to say what is wrong with it, and no stack overflows.
        far.write_all(&[[b'['; 100_000].as_slice(), b"\n"].concat()).await.expect("there is room");
        assert!(matches!(lines.read::<Request>(SILENCE).await, Err(LineError::Unreadable(_))));
        far.write_all(b"\"hello").await.expect("there is room");
        drop(far);
        assert!(matches!(lines.read::<Request>(SILENCE).await, Err(LineError::Closed)));
        assert!(matches!(lines.read::<Request>(SILENCE).await, Err(LineError::Closed)));

        let (mut lines, mut far) = pair();
        far.write_all(&vec![b' '; LINE]).await.expect("there is room");
        assert!(matches!(lines.read::<Request>(SILENCE).await, Err(LineError::Long)));
        // Nor is one said.
        assert!(matches!(lines.write(&"x".repeat(LINE)).await, Err(LineError::Long)));
    }
}
