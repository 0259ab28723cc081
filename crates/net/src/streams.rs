//! The streams that are open now: what `fedge-edge streams` shows, `close` ends and `trace` follows.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::sync::{Notify, broadcast, mpsc};
use topology::face::Face;
use xmpp::domain::DomainPair;
use xmpp::stream::Method;

use crate::clock::{now, since};

/// Who opened a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// The peer.
    Accepted,
    /// We.
    Dialed,
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Direction::Accepted => "accepted",
            Direction::Dialed => "dialed",
        })
    }
}

/// What is known of a stream.
#[derive(Debug, Clone)]
pub struct StreamInfo {
    /// Its number in this process, by which commands name it.
    pub number: u64,
    /// On which face.
    pub face: Face,
    /// Who opened it.
    pub direction: Direction,
    /// The peer's address.
    pub peer: SocketAddr,
    /// TLS version and cipher suite, once TLS is up.
    pub tls: Option<String>,
    /// Who speaks to whom on it, and how that was proven.
    pub pairs: Vec<(DomainPair, Method)>,
    /// When it was opened.
    pub opened: SystemTime,
    /// Stanzas that passed.
    pub stanzas: u64,
}

/// How many streams are open, by what tells them apart.
pub type Counted = BTreeMap<(Face, Direction, Proof), u64>;

/// Whether anybody proved anything on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// Nobody yet.
    Unproven,
    /// At least one domain pair may speak.
    Proven,
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Proof::Unproven => "unproven",
            Proof::Proven => "proven",
        })
    }
}

/// What a stream is told from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// End it properly: our end, then the peer's.
    Close,
    /// Everything ends: say so, then as [`Command::Close`]; all of it by then.
    Shutdown(Instant),
    /// The route is elsewhere: say the same, at a moment at which the peer loses nothing by it, however late that is.
    Depart,
    /// What comes can't be brought any further, and may be elsewhere: say the same, at once.
    Leave,
}

/// How far the end of a stream, as we were told to bring it about, has come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Ending {
    /// Nobody told us to.
    #[default]
    Open,
    /// Told; until when what is open on it may be settled.
    Told(Command, Instant),
    /// Our side has ended.
    Said,
}

impl Ending {
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Ending::Open)
    }

    /// Until when something may be settled that isn't.
    pub(crate) fn until(self) -> Option<Instant> {
        if let Ending::Told(_, until) = self { Some(until) } else { None }
    }

    /// What to end our side with, once, when its time has come.
    pub(crate) fn due(&mut self, settled: bool, now: Instant) -> Option<Command> {
        match *self {
            Ending::Told(command, until) if settled || now >= until => {
                *self = Ending::Said;
                Some(command)
            }
            _ => None,
        }
    }
}

/// Lines that one who follows a stream may be behind.
const TRACED: usize = 1024;

/// All open streams of a process.
#[derive(Default)]
pub struct Streams {
    next: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<Entry>>>,
    left: Notify,
}

struct Entry {
    direction: Direction,
    info: Mutex<StreamInfo>,
    stanzas: AtomicU64,
    since: Instant,
    commands: mpsc::UnboundedSender<Command>,
    traced: AtomicBool,
    /// Made for the first who follows: thousands of streams are open, and hardly any is followed.
    trace: Mutex<Option<broadcast::Sender<String>>>,
}

/// A stream's own place in the table; leaving scope strikes it out.
pub struct Registered {
    streams: Arc<Streams>,
    entry: Arc<Entry>,
    number: u64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Streams {
    /// Enters a stream; commands for it come out of the receiver.
    pub fn enter(
        self: &Arc<Self>,
        face: Face,
        direction: Direction,
        peer: SocketAddr,
    ) -> (Registered, mpsc::UnboundedReceiver<Command>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let (commands, receiver) = mpsc::unbounded_channel();
        let info = StreamInfo {
            number,
            face,
            direction,
            peer,
            tls: None,
            pairs: Vec::new(),
            opened: SystemTime::now(),
            stanzas: 0,
        };
        let entry = Arc::new(Entry {
            direction,
            info: Mutex::new(info),
            stanzas: AtomicU64::new(0),
            since: now(),
            commands,
            traced: AtomicBool::new(false),
            trace: Mutex::default(),
        });
        locked(&self.open).insert(number, entry.clone());
        (Registered { streams: self.clone(), entry, number }, receiver)
    }

    /// All open streams, oldest first.
    pub fn list(&self) -> Vec<StreamInfo> {
        locked(&self.open).values().map(|entry| entry.info()).collect()
    }

    /// How many there are.
    pub fn counted(&self) -> Counted {
        let mut counted = Counted::new();
        for entry in locked(&self.open).values() {
            let info = locked(&entry.info);
            let proof = if info.pairs.is_empty() { Proof::Unproven } else { Proof::Proven };
            *counted.entry((info.face, info.direction, proof)).or_default() += 1;
        }
        counted
    }

    /// Tells one stream; false if there is none of that number.
    pub fn command(&self, number: u64, command: Command) -> bool {
        locked(&self.open).get(&number).is_some_and(|entry| entry.commands.send(command).is_ok())
    }

    /// Tells all streams of one direction.
    pub fn command_all(&self, direction: Direction, command: Command) {
        for entry in locked(&self.open).values().filter(|entry| entry.direction == direction) {
            let _ = entry.commands.send(command);
        }
    }

    /// Waits until no stream of that direction is open.
    pub async fn none_left(&self, direction: Direction) {
        loop {
            // Made before the look, so that one that leaves right after it is noticed.
            let left = self.left.notified();
            if !locked(&self.open).values().any(|entry| entry.direction == direction) {
                return;
            }
            left.await;
        }
    }

    /// Follows what one stream says and hears, without any text in it.
    pub fn trace(&self, number: u64) -> Option<broadcast::Receiver<String>> {
        let entry = locked(&self.open).get(&number)?.clone();
        let mut trace = locked(&entry.trace);
        let lines = trace.get_or_insert_with(|| broadcast::channel(TRACED).0).subscribe();
        // Under the lock, so that nobody who just found that no one listens takes it back.
        entry.traced.store(true, Ordering::Relaxed);
        Some(lines)
    }
}

impl Entry {
    fn info(&self) -> StreamInfo {
        StreamInfo { stanzas: self.stanzas.load(Ordering::Relaxed), ..locked(&self.info).clone() }
    }
}

impl Registered {
    /// The stream's number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// TLS is up.
    pub fn secured(&self, tls: String) {
        locked(&self.entry.info).tls = Some(tls);
    }

    /// Somebody proved who he is.
    pub fn authenticated(&self, pair: &DomainPair, method: Method) {
        locked(&self.entry.info).pairs.push((pair.clone(), method));
    }

    /// Stanzas passed.
    pub fn passed(&self, stanzas: u64) {
        self.entry.stanzas.fetch_add(stanzas, Ordering::Relaxed);
    }

    /// How long it has been open, and how many stanzas passed.
    pub fn summary(&self) -> (std::time::Duration, u64) {
        (since(self.entry.since), self.entry.stanzas.load(Ordering::Relaxed))
    }

    /// Whether somebody follows it.
    pub fn is_traced(&self) -> bool {
        self.entry.traced.load(Ordering::Relaxed)
    }

    /// Shows what we say to whoever follows, without its text.
    pub fn trace_sent(&self, bytes: &[u8]) {
        if self.is_traced() {
            self.show(&format!("> {}", xmpp::xml::redacted(bytes)));
        }
    }

    /// Shows what the peer said, which came without its text.
    pub fn trace_received(&self, seen: Vec<String>) {
        for line in seen {
            self.show(&format!("< {line}"));
        }
    }

    fn show(&self, line: &str) {
        // A peer chooses what stands in attributes: it shall neither begin a line nor colour the screen.
        let line = line.replace(char::is_control, " ");
        let mut trace = locked(&self.entry.trace);
        if trace.as_ref().is_some_and(|lines| lines.send(line).is_ok()) {
            return;
        }
        // Nobody listens any more: no fault, and no work from here on.
        *trace = None;
        self.entry.traced.store(false, Ordering::Relaxed);
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        locked(&self.streams.open).remove(&self.number);
        self.streams.left.notify_waiters();
    }
}
