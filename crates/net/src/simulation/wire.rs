//! A fake connection: two ends with bounded buffers that fill when nobody reads, latency, what a kernel knows
//! of it, and faults.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::transport::Carrier;

mod pipe;

use pipe::Pipe;

/// How a wire is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Make {
    /// Bytes that the receiver's kernel takes before anybody reads, and as many that the sender's does.
    pub(super) capacity: usize,
    pub(super) latency: Duration,
}

#[derive(Debug)]
struct Both {
    /// Nothing arrives, and nobody is told.
    frozen: bool,
    /// It is gone, and whoever looks is told.
    broken: bool,
    /// Of each end, whether nobody there does anything any more, but its kernel.
    stopped: [bool; 2],
    /// Each by the end that writes to it.
    pipes: [Pipe; 2],
}

impl Both {
    /// What hasn't arrived by now never does.
    fn breaks(&mut self, now: Instant) {
        self.broken = true;
        let frozen = self.frozen;
        self.pipes.iter_mut().for_each(|pipe| pipe.breaks(now, frozen));
    }

    fn wake(&mut self) {
        self.pipes.iter_mut().for_each(Pipe::wake);
    }
}

/// A connection, as whoever brings faults upon it sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Wire(Arc<Mutex<Both>>);

/// An end of a wire. Leaving scope closes it.
#[derive(Debug)]
pub(super) struct Socket {
    wire: Wire,
    side: usize,
    arrival: Option<Pin<Box<Sleep>>>,
    takes_back: bool,
}

impl Wire {
    /// A connection that is up, with the end that dialed first.
    pub(super) fn connect(make: Make, stopped: [bool; 2]) -> (Wire, Socket, Socket) {
        let pipe = || Pipe::new(make, Instant::now());
        let both = Both { frozen: false, broken: false, stopped, pipes: [pipe(), pipe()] };
        let wire = Wire(Arc::new(Mutex::new(both)));
        let socket = |side| Socket { wire: wire.clone(), side, arrival: None, takes_back: false };
        (wire.clone(), socket(0), socket(1))
    }

    fn both(&self) -> MutexGuard<'_, Both> {
        self.0.lock().expect("nobody panics under it")
    }

    /// Nothing arrives from now on, and nobody is told; or it moves again.
    pub(super) fn freeze(&self, frozen: bool) {
        let mut both = self.both();
        let (now, was) = (Instant::now(), both.frozen);
        both.pipes.iter_mut().for_each(|pipe| pipe.arrive(now, was));
        both.frozen = frozen;
        both.wake();
    }

    /// The end neither reads nor writes from now on, but its kernel acknowledges; or it goes on.
    pub(super) fn stop(&self, side: usize, stopped: bool) {
        let mut both = self.both();
        both.stopped[side] = stopped;
        both.wake();
    }

    /// Both ends are told that the connection is gone; what was on its way is lost.
    pub(super) fn cut(&self) {
        let mut both = self.both();
        both.breaks(Instant::now());
        both.frozen = false;
        both.wake();
    }

    /// Whether neither end can do anything with it any more.
    pub(super) fn is_over(&self) -> bool {
        let both = self.both();
        both.broken || both.pipes.iter().all(|pipe| pipe.deserted)
    }
}

fn broken() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

/// What a look at what comes in gave.
enum Look {
    Read(io::Result<()>),
    Wait(Option<Instant>),
}

impl Socket {
    fn look(&self, waker: &Waker, buffer: &mut ReadBuf<'_>) -> Look {
        // Dropped after the lock: it may be the last that holds a task, and with it an end of this wire.
        let old;
        let mut both = self.wire.both();
        let (frozen, is_broken, stopped) = (both.frozen, both.broken, both.stopped[self.side]);
        let pipe = &mut both.pipes[1 - self.side];
        old = pipe.reader.replace(waker.clone());
        if stopped {
            return Look::Wait(None);
        }
        let now = Instant::now();
        let look = if pipe.take(now, frozen, buffer) > 0 {
            Look::Read(Ok(()))
        } else if frozen {
            Look::Wait(None)
        } else if is_broken {
            Look::Read(Err(broken()))
        } else if pipe.is_at_its_end() {
            Look::Read(Ok(()))
        } else {
            Look::Wait(pipe.next_arrival())
        };
        drop(both);
        drop(old);
        look
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let ready = match this.look(cx.waker(), buffer) {
                Look::Read(read) => return Poll::Ready(read),
                Look::Wait(None) => return Poll::Pending,
                Look::Wait(Some(ready)) => ready,
            };
            let arrival = this.arrival.get_or_insert_with(|| Box::pin(sleep_until(ready)));
            if arrival.deadline() != ready {
                arrival.as_mut().reset(ready);
            }
            ready!(arrival.as_mut().poll(cx));
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let old;
        let mut both = self.wire.both();
        let (frozen, is_broken, stopped) = (both.frozen, both.broken, both.stopped[self.side]);
        let pipe = &mut both.pipes[self.side];
        if !frozen && (is_broken || pipe.deserted) {
            return Poll::Ready(Err(broken()));
        }
        let count = if stopped { 0 } else { pipe.put(Instant::now(), bytes) };
        if count > 0 {
            return Poll::Ready(Ok(count));
        }
        old = pipe.writer.replace(cx.waker().clone());
        drop(both);
        drop(old);
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut both = self.wire.both();
        both.pipes[self.side].ended = true;
        both.wake();
        Poll::Ready(Ok(()))
    }
}

impl Carrier for Socket {
    fn standing(&self) -> Option<tcp::Standing> {
        let mut both = self.wire.both();
        let frozen = both.frozen;
        Some(both.pipes[self.side].standing(Instant::now(), frozen))
    }

    fn written(&self) -> u64 {
        self.wire.both().pipes[self.side].written()
    }

    fn take_back(&mut self) {
        self.takes_back = true;
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let mut both = self.wire.both();
        let (now, frozen) = (Instant::now(), both.frozen);
        let incoming = &mut both.pipes[1 - self.side];
        incoming.deserted = true;
        incoming.arrive(now, frozen);
        // As kernels do: closing with something unread is a reset.
        if self.takes_back || incoming.has_arrived() {
            both.breaks(now);
        }
        both.pipes[self.side].ended = true;
        both.wake();
    }
}
