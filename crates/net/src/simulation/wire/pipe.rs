//! One direction of a wire: what was written, what left, what arrived, what was read.

use std::collections::VecDeque;
use std::task::Waker;

use tokio::io::ReadBuf;
use tokio::time::Instant;

use super::Make;

/// What is on its way from one end to the other. Bytes are counted from the first on.
#[derive(Debug)]
pub(super) struct Pipe {
    make: Make,
    /// Written, and not read.
    bytes: VecDeque<u8>,
    written: u64,
    sent: u64,
    arrived: u64,
    read: u64,
    /// When bytes arrive that were sent, and up to which.
    arrivals: VecDeque<(Instant, u64)>,
    last_arrival: Instant,
    /// Nothing leaves any more.
    broken: bool,
    /// Nothing more is written.
    pub(super) ended: bool,
    /// Nobody reads any more.
    pub(super) deserted: bool,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

impl Pipe {
    pub(super) fn new(make: Make, now: Instant) -> Pipe {
        Pipe {
            make,
            bytes: VecDeque::new(),
            written: 0,
            sent: 0,
            arrived: 0,
            read: 0,
            arrivals: VecDeque::new(),
            last_arrival: now,
            broken: false,
            ended: false,
            deserted: false,
            reader: None,
            writer: None,
        }
    }

    pub(super) fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    /// Takes what there is room for.
    pub(super) fn put(&mut self, now: Instant, bytes: &[u8]) -> usize {
        let unsent = usize::try_from(self.written - self.sent).expect("little");
        let count = bytes.len().min(self.make.capacity - unsent);
        if !self.broken {
            self.bytes.extend(&bytes[..count]);
        }
        self.written += count as u64;
        self.send(now);
        count
    }

    /// Sends what the other end has room for.
    fn send(&mut self, now: Instant) {
        let until = self.written.min(self.read + self.make.capacity as u64);
        if until > self.sent && !self.broken {
            self.sent = until;
            self.arrivals.push_back((now + self.make.latency, until));
            self.reader.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Lets arrive what has had the time to.
    pub(super) fn arrive(&mut self, now: Instant, frozen: bool) {
        while let Some((_, until)) = self.arrivals.pop_front_if(|(at, _)| !frozen && *at <= now) {
            self.arrived = until;
            self.last_arrival = now;
        }
    }

    pub(super) fn next_arrival(&self) -> Option<Instant> {
        self.arrivals.front().map(|(at, _)| *at)
    }

    pub(super) fn has_arrived(&self) -> bool {
        self.arrived > self.read
    }

    /// Reads what has arrived, as much as `buffer` has room for.
    pub(super) fn take(&mut self, now: Instant, frozen: bool, buffer: &mut ReadBuf<'_>) -> usize {
        self.arrive(now, frozen);
        let there = usize::try_from(self.arrived - self.read).expect("little");
        let count = there.min(buffer.remaining());
        let (front, back) = self.bytes.as_slices();
        let of_front = count.min(front.len());
        buffer.put_slice(&front[..of_front]);
        buffer.put_slice(&back[..count - of_front]);
        self.bytes.drain(..count);
        self.read += count as u64;
        if count > 0 {
            self.send(now);
            self.writer.take().into_iter().for_each(Waker::wake);
        }
        count
    }

    pub(super) fn is_at_its_end(&self) -> bool {
        self.ended && self.read == self.written
    }

    /// What hasn't arrived by now never does.
    pub(super) fn breaks(&mut self, now: Instant, frozen: bool) {
        self.arrive(now, frozen);
        self.broken = true;
        self.arrivals.clear();
        self.bytes.truncate(usize::try_from(self.arrived - self.read).expect("little"));
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// As a kernel tells it, which counts one more than was acknowledged.
    pub(super) fn standing(&mut self, now: Instant, frozen: bool) -> tcp::Standing {
        self.arrive(now, frozen);
        tcp::Standing {
            unsent: self.written - self.sent,
            acknowledged: self.arrived + 1,
            in_flight: u32::try_from(self.arrivals.len()).expect("few"),
            has_room: self.sent < self.read + self.make.capacity as u64,
            probes: 0,
            silent: now - self.last_arrival,
            round_trip: self.make.latency * 2,
        }
    }
}
