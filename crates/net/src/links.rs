//! The links of one face: which are open, and what becomes of stanzas that peers on the trunk have given them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api::local::Counts;
use tokio::sync::{Notify, mpsc, watch};
use xmpp::domain::DomainPair;
use xmpp::stanza::Stanza;

use crate::arrivals::Arrivals;
use crate::clock::now;
use crate::face::FaceState;
use crate::hold::PeerId;
use crate::link::Link;
use crate::tables::ByPair;
use crate::trunk::{Crossing, FrameSender, Undeliverable};

/// Between two looks at what is long settled: many times what a broken connection has to come back.
const TIDY: Duration = Duration::from_secs(60);

/// Between two words to a peer that a way is closed, while it gives something for it.
const TOLD: Duration = Duration::from_secs(5);

/// Bytes of errors that may wait on a link, in windows: small stanzas have larger errors.
const ERRORS: usize = 16;

/// The links of one face. Cheap to clone.
#[derive(Clone)]
pub struct Links {
    face: Arc<FaceState>,
    shared: Arc<Shared>,
}

/// A stanza as a peer gives it.
pub struct Given {
    /// Its number, higher than that of any before.
    pub number: u64,
    /// The pair's stanzas up to this number have their outcome, as far as the peer knows.
    pub settled: u64,
    /// What is said.
    pub stanza: Stanza,
}

/// What a link is told.
pub(crate) enum Job {
    /// To bring this out.
    Carry(Item),
    /// To give back what a peer gave it and wasn't written.
    Recall(Recall),
    /// To find out whether there is a way.
    Try,
}

/// A peer wants back what it gave and wasn't written, as it leads that another way.
#[derive(Clone, Copy)]
pub(crate) struct Recall {
    pub(crate) peer: PeerId,
    /// How many connections it had had when it asked: on the next one it asks again.
    connections: u64,
    /// What was written shall not be waited for either.
    pub(crate) give_up: bool,
}

/// A stanza on a link.
pub(crate) struct Item {
    /// Who waits for its outcome, under which number; nobody for errors that go back.
    pub(crate) origin: Option<(PeerId, u64)>,
    pub(crate) stanza: Stanza,
    pub(crate) arrived: Instant,
    _counted: Counted,
}

/// One more stanza that links haven't brought out, until it is dropped.
struct Counted {
    shared: Arc<Shared>,
    error: Option<CountedError>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        drop(self.error.take());
        self.shared.waiting.leave();
    }
}

/// One more error on its way back, and its bytes on its link, until it is dropped.
struct CountedError {
    face: Arc<FaceState>,
    link: Arc<AtomicUsize>,
    bytes: usize,
}

impl CountedError {
    fn new(face: Arc<FaceState>, link: Arc<AtomicUsize>, bytes: usize) -> CountedError {
        link.fetch_add(bytes, Ordering::Relaxed);
        face.holder.error_waits();
        CountedError { face, link, bytes }
    }
}

impl Drop for CountedError {
    fn drop(&mut self) {
        self.link.fetch_sub(self.bytes, Ordering::Relaxed);
        self.face.holder.error_left();
    }
}

/// How many stanzas wait on links.
#[derive(Default)]
struct Waiting {
    count: AtomicUsize,
    /// None does any more.
    none: Notify,
}

impl Waiting {
    fn enter(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    fn leave(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.none.notify_waiters();
        }
    }

    async fn none(&self) {
        loop {
            // Made before the look, so that one that leaves right after it is noticed.
            let none = self.none.notified();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            none.await;
        }
    }
}

/// An open link, as its face sees it.
struct Open {
    jobs: mpsc::UnboundedSender<Job>,
    /// Bytes of errors that wait on it.
    errors: Arc<AtomicUsize>,
    /// While its way is closed, when those who gave something for it were told so last: who has nothing of it forgets that.
    closed: Option<BTreeMap<PeerId, Instant>>,
}

impl Open {
    fn new(jobs: mpsc::UnboundedSender<Job>) -> Open {
        Open { jobs, errors: Arc::default(), closed: None }
    }

    /// Whether a peer that gives something is to be told that the way is closed.
    fn is_to_tell(&mut self, peer: PeerId, now: Instant) -> bool {
        let Some(told) = &mut self.closed else { return false };
        let is_due = told.get(&peer).is_none_or(|last| now >= *last + TOLD);
        if is_due {
            told.insert(peer, now);
        }
        is_due
    }

    /// Gives it something to do. It receives as long as it is open.
    fn give(&self, job: Job) {
        let _ = self.jobs.send(job);
    }
}

/// What links and their face share.
#[derive(Default)]
pub(crate) struct Shared {
    open: Mutex<ByPair<Open>>,
    peers: Mutex<BTreeMap<PeerId, Peer>>,
    waiting: Waiting,
    /// What became of those that peers gave.
    given: Mutex<Counts>,
    /// One was given.
    given_one: Notify,
    /// Everything ends: what can't be brought out now goes back.
    given_up: watch::Sender<bool>,
}

#[derive(Default)]
struct Peer {
    arrivals: Arrivals,
    /// How many connections it has had.
    connections: u64,
    /// Nothing while its connection is lost.
    sender: Option<FrameSender>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Links {
    /// No links yet.
    pub fn new(face: Arc<FaceState>) -> Links {
        Links { face, shared: Arc::default() }
    }

    /// A peer can be told over this sender what became of its stanzas; what was said before is said again, and which ways are
    /// closed: a pair that another brings out is not to come back to one.
    pub fn connected(&self, peer: PeerId, sender: FrameSender) {
        let open = locked(&self.shared.open);
        let closed = open.iter().filter(|(_, link)| link.closed.is_some()).map(|(pair, _)| pair.clone());
        closed.collect::<BTreeSet<_>>().into_iter().for_each(|pair| sender.send(Crossing::Stuck { pair }));
        let mut peers = locked(&self.shared.peers);
        let peer = peers.entry(peer).or_default();
        peer.arrivals.say_again().into_iter().for_each(|said| sender.send(said));
        peer.sender = Some(sender);
        peer.connections += 1;
    }

    /// The connection to a peer is lost; it may come back.
    pub fn away(&self, peer: PeerId) {
        if let Some(peer) = locked(&self.shared.peers).get_mut(&peer) {
            peer.sender = None;
        }
    }

    /// A peer is gone for good. What it gave and waits here still goes out; nobody asks what became of it.
    pub fn lost(&self, peer: PeerId) {
        locked(&self.shared.peers).remove(&peer);
    }

    /// A peer gives a stanza of this pair; one that it gave before is passed over.
    pub fn stanza(&self, now: Instant, peer: PeerId, pair: &DomainPair, given: Given) {
        let Given { number, settled, stanza } = given;
        let new = locked(&self.shared.peers).entry(peer).or_default().arrivals.stanza(pair, number, settled);
        if new {
            self.put(now, pair, Some((peer, number)), stanza);
        }
    }

    /// A peer wants back what it gave for this pair and wasn't written; `give_up` is whether what was
    /// written shall not be waited for either.
    pub fn recall(&self, peer: PeerId, pair: &DomainPair, give_up: bool) {
        let open = locked(&self.shared.open);
        let connections = locked(&self.shared.peers).get(&peer).map_or(0, |peer| peer.connections);
        let recall = Recall { peer, connections, give_up };
        if open.get(pair).is_none_or(|link| link.jobs.send(Job::Recall(recall)).is_err()) {
            self.shared.unsent(&recall, pair, None);
        }
    }

    /// A peer wants to know whether there is a way to the next server of this pair.
    pub fn try_way(&self, peer: PeerId, pair: DomainPair) {
        if self.face.policy.load().way_out(self.face.face, &pair).is_err() {
            return self.shared.tell(peer, Crossing::Stuck { pair });
        }
        let mut open = locked(&self.shared.open);
        let link = self.link(&mut open, &pair);
        link.give(Job::Try);
        if link.closed.is_some() {
            // Not to be waited for; if that changes, it is said.
            self.shared.tell(peer, Crossing::Stuck { pair });
        }
    }

    /// Sends an error back to the sender of a stanza that came in on this face. Errors aren't held
    /// and aren't returned again: where they can't go they are dropped, and counted where they began.
    /// So are those of a peer that makes us say more errors than it takes.
    pub fn send_back(&self, pair: &DomainPair, error: Stanza) {
        self.put(now(), pair, None, error);
    }

    /// Queues a stanza on its pair's link.
    fn put(&self, now: Instant, pair: &DomainPair, origin: Option<(PeerId, u64)>, stanza: Stanza) {
        let mut open = locked(&self.shared.open);
        let link = self.link(&mut open, pair);
        let mut error = None;
        if origin.is_none() {
            let bytes = stanza.bytes().len();
            let most = ERRORS * self.face.settings.hold.window_bytes;
            if link.errors.load(Ordering::Relaxed) + bytes > most {
                tracing::debug!(face = %self.face.face, %pair, "too many errors wait to go back; one more was dropped");
                return;
            }
            error = Some(CountedError::new(self.face.clone(), link.errors.clone(), bytes));
        } else {
            if let Some((peer, _)) = origin
                && link.is_to_tell(peer, now)
            {
                self.shared.tell(peer, Crossing::Stuck { pair: pair.clone() });
            }
            self.shared.count(|given| (given.accepted, given.in_flight) = (given.accepted + 1, given.in_flight + 1));
            self.shared.given_one.notify_waiters();
        }
        self.shared.waiting.enter();
        let counted = Counted { shared: self.shared.clone(), error };
        link.give(Job::Carry(Item { origin, stanza, arrived: now, _counted: counted }));
    }

    /// The pair's link, which is made if there is none.
    fn link<'a>(&self, open: &'a mut ByPair<Open>, pair: &DomainPair) -> &'a mut Open {
        let begin = || {
            let (jobs, queue) = mpsc::unbounded_channel();
            tokio::spawn(Link::new(self.face.clone(), self.shared.clone(), pair.clone(), queue).run());
            Open::new(jobs)
        };
        let link = open.entry(pair.clone()).or_insert_with(begin);
        // Under the lock a link that isn't closed doesn't leave.
        if link.jobs.is_closed() {
            *link = begin();
        }
        link
    }

    /// Gives up what can't be brought out at once: it goes back to where it came from. Errors that go
    /// back still do.
    pub fn give_up(&self) {
        self.shared.given_up.send_replace(true);
    }

    /// Brings out what comes from now on, as before anything was given up.
    pub fn resume(&self) {
        self.shared.given_up.send_replace(false);
    }

    /// Waits until somebody gives something to be brought out.
    pub async fn used(&self) {
        self.shared.given_one.notified().await;
    }

    /// Waits until nothing waits to be brought out.
    pub async fn idle(&self) {
        self.shared.waiting.none().await;
    }

    /// Forgets what is long settled, so that memory doesn't grow with every domain that was ever spoken to.
    pub async fn keep_tidy(&self) {
        let mut look = tokio::time::interval(TIDY);
        loop {
            look.tick().await;
            let open: HashSet<DomainPair> = locked(&self.shared.open).keys().cloned().collect();
            for peer in locked(&self.shared.peers).values_mut() {
                peer.arrivals.forget_idle(|pair| open.contains(pair));
            }
        }
    }

    /// What became of the stanzas that peers on the trunk gave. What they took back again isn't among them, and what
    /// was refused is as good as returned: they return it.
    pub fn given(&self) -> Counts {
        *locked(&self.shared.given)
    }

    /// How many links there are.
    pub fn len(&self) -> usize {
        locked(&self.shared.open).len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Shared {
    /// Follows whether everything is to be given up.
    pub(crate) fn follow(&self) -> watch::Receiver<bool> {
        self.given_up.subscribe()
    }

    /// Whether everything is to be given up.
    pub(crate) fn is_given_up(&self) -> bool {
        *self.given_up.borrow()
    }

    /// Strikes a link out unless something came for it meanwhile, so that the next stanza makes a
    /// new one. Decided under the lock, so that nothing is queued on a link that is leaving.
    pub(crate) fn leave(&self, pair: &DomainPair, queue: &mut mpsc::UnboundedReceiver<Job>) -> Option<Job> {
        let mut open = locked(&self.open);
        let job = queue.try_recv().ok();
        if job.is_none() {
            open.remove(pair);
        }
        job
    }

    fn count(&self, with: impl FnOnce(&mut Counts)) {
        with(&mut locked(&self.given));
    }

    /// So many of those that peers gave were taken.
    pub(crate) fn count_taken(&self, stanzas: u64) {
        self.count(|given| (given.taken, given.in_flight) = (given.taken + stanzas, given.in_flight - stanzas));
    }

    /// So many of them go back unwritten.
    pub(crate) fn count_recalled(&self, stanzas: u64) {
        self.count(|given| (given.accepted, given.in_flight) = (given.accepted - stanzas, given.in_flight - stanzas));
    }

    /// All that the peer gave for this pair up to this number was taken, apart from what was refused.
    pub(crate) fn taken(&self, peer: PeerId, pair: &DomainPair, up_to: u64) {
        self.say(peer, |arrivals| arrivals.taken(pair, up_to));
    }

    /// This one can't be delivered.
    pub(crate) fn refused(&self, peer: PeerId, pair: &DomainPair, number: u64, why: &Undeliverable) {
        self.count(|given| (given.returned, given.in_flight) = (given.returned + 1, given.in_flight - 1));
        self.say(peer, |arrivals| arrivals.refused(pair, number, why.clone()));
    }

    /// What the peer gave for this pair from here on, or nothing of it, was not written, and is the peer's again. Not if it has
    /// another connection than it asked by: there it asks again, or goes on giving.
    pub(crate) fn unsent(&self, recall: &Recall, pair: &DomainPair, first: Option<u64>) -> bool {
        let mut peers = locked(&self.peers);
        let asks = peers.get_mut(&recall.peer).filter(|peer| peer.connections == recall.connections);
        let Some(peer) = asks else { return false };
        let said = peer.arrivals.recall(pair, first);
        peer.sender.iter().for_each(|sender| sender.send(said.clone()));
        true
    }

    /// How the way to the pair's next server is, to whoever may ask to have it gone.
    pub(crate) fn way(&self, pair: &DomainPair, is_open: bool) {
        let mut open = locked(&self.open);
        if let Some(link) = open.get_mut(pair) {
            link.closed = (!is_open).then(BTreeMap::new);
        }
        for peer in locked(&self.peers).values() {
            if let Some(sender) = &peer.sender {
                let pair = pair.clone();
                sender.send(if is_open { Crossing::Open { pair } } else { Crossing::Stuck { pair } });
            }
        }
    }

    fn tell(&self, peer: PeerId, crossing: Crossing) {
        if let Some(sender) = locked(&self.peers).get(&peer).and_then(|peer| peer.sender.as_ref()) {
            sender.send(crossing);
        }
    }

    /// Under one lock, so that nothing overtakes what is said again on a new connection.
    fn say(&self, peer: PeerId, what: impl FnOnce(&mut Arrivals) -> Crossing) {
        if let Some(peer) = locked(&self.peers).get_mut(&peer) {
            let said = what(&mut peer.arrivals);
            if let Some(sender) = &peer.sender {
                sender.send(said);
            }
        }
    }
}
