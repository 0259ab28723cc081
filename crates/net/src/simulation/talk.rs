//! One end of a connection as a simulated server has it: reads and writes at once, as real ones do.

use std::io;
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::time::timeout;

use super::wire::Socket;
use crate::alarm::Alarm;

/// What is read at once.
const READ: usize = 4096;
/// For the other end to take our last words, and to end.
const FAREWELL: Duration = Duration::from_secs(20);

pub(super) struct Talk {
    read: ReadHalf<Socket>,
    write: WriteHalf<Socket>,
    /// What is to be written.
    pub(super) out: BytesMut,
    alarm: Alarm,
}

/// What came of waiting.
pub(super) enum Turn {
    Read,
    Ended,
    Wrote,
    Late,
}

impl Talk {
    pub(super) fn new(socket: Socket) -> Talk {
        let (read, write) = split(socket);
        Talk { read, write, out: BytesMut::new(), alarm: Alarm::default() }
    }

    /// Writes or reads some, whatever can be done first; or waits until then.
    pub(super) async fn turn(&mut self, input: &mut BytesMut, late: Option<Instant>) -> io::Result<Turn> {
        input.reserve(READ);
        tokio::select! {
            biased;
            read = self.read.read_buf(input) => Ok(if read? == 0 { Turn::Ended } else { Turn::Read }),
            written = self.write.write(&self.out), if !self.out.is_empty() => {
                self.out.advance(written?);
                Ok(Turn::Wrote)
            }
            () = self.alarm.until(late) => Ok(Turn::Late),
        }
    }

    /// Writes what there is, ends our side, and waits for the other's end.
    pub(super) async fn finish(mut self) {
        let end = async {
            self.write.write_all(&self.out).await?;
            self.write.shutdown().await?;
            let mut dropped = BytesMut::new();
            while self.read.read_buf(&mut dropped).await? > 0 {
                dropped.clear();
            }
            io::Result::Ok(())
        };
        let _ = timeout(FAREWELL, end).await;
    }
}
