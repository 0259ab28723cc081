//! The holder: the hold of one face at work, with its peers on the trunk, its clock and its waiting senders.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api::local::Counts;
use tokio::sync::{Notify, mpsc, watch};
use topology::partner::Pattern;
use xmpp::domain::DomainPair;
use xmpp::stanza::{Stanza, StanzaCondition};

use crate::clock::{now, since};
use crate::fate::{Fate, Fates, Latest, Recorder};
use crate::hold::{Action, Hold, LINKS, Limits, PeerId, Receipt, Repair, returned};
use crate::trunk::{Crossing, FrameSender, PeerState, Undeliverable};

/// How often it is looked for what has waited too long.
const LOOK: Duration = Duration::from_millis(250);

/// Everything that one face accepted and that has no outcome yet.
pub struct Holder {
    inner: Mutex<Inner>,
    limits: Limits,
    /// Somebody may find room, or everything has its outcome.
    change: Notify,
    returns: mpsc::UnboundedSender<(DomainPair, Stanza)>,
    /// Sent there and not handed over yet.
    returning: AtomicUsize,
    /// Errors that wait on links.
    errors: AtomicUsize,
    fates: Arc<Mutex<Latest>>,
    /// Whether there is a peer that can be given stanzas.
    served: watch::Sender<bool>,
}

struct Inner {
    hold: Hold,
    peers: BTreeMap<PeerId, (FrameSender, PeerState)>,
    /// Something changed about peers since it was last looked whether there is one for anybody.
    other_peers: bool,
    /// Streams that want to know what is settled.
    streams: HashMap<u64, mpsc::UnboundedSender<RangeInclusive<u64>>>,
}

/// A stanza that comes in.
pub struct Coming {
    /// Who speaks to whom.
    pub pair: DomainPair,
    /// What is said.
    pub stanza: Stanza,
    /// Who wants to know when it is settled.
    pub receipt: Option<Receipt>,
}

/// What became of a face's stanzas so far.
#[derive(Debug, Clone)]
pub struct Account {
    /// Of all.
    pub total: Counts,
    /// Of the links with most stanzas, at most a thousand. One that has been idle for longer than a thousand
    /// others isn't there, and counts from nothing when it comes again.
    pub links: Vec<(DomainPair, Counts)>,
    /// What that takes which has no outcome yet, in bytes.
    pub held_bytes: usize,
    /// Bytes that may be held.
    pub limit_bytes: usize,
}

/// Errors on their way back to the senders of stanzas, to be brought out on the face they came in by.
pub type Returns = mpsc::UnboundedReceiver<(DomainPair, Stanza)>;

impl Holder {
    /// Nothing held yet, and no peer to send to. What goes back comes out of the receiver.
    pub fn new(limits: Limits, fates: &Fates) -> (Holder, Returns) {
        let (returns, receiver) = mpsc::unbounded_channel();
        let hold = Hold::new(limits.clone());
        let inner = Mutex::new(Inner { hold, peers: BTreeMap::new(), other_peers: false, streams: HashMap::new() });
        let (change, served) = (Notify::new(), watch::Sender::new(false));
        let (returning, errors) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let fates = fates.of_face();
        (Holder { inner, limits, change, returns, returning, errors, fates, served }, receiver)
    }

    /// Takes stanzas, in this order, and sees to it that each gets an outcome. Waits while there is no room for the first that
    /// is left, which holds its sender; if that lasts too long, all that are left go back, as they have waited as long, but
    /// those for which there is room. Who has a receipt is told when the stanza is settled.
    pub async fn accept(&self, coming: &mut VecDeque<Coming>) {
        let mut began = now();
        loop {
            let (change, before) = (self.change.notified(), coming.len());
            if self.with(|inner| inner.accept(now(), coming)) {
                return;
            }
            let waited = since(began);
            if coming.len() < before {
                began = now();
            } else if waited >= self.limits.age {
                coming.pop_front().into_iter().for_each(|late| self.turn_back(&late));
                continue;
            }
            // Room is told of once there is much; at the end of its patience, each looks by itself.
            let _ = tokio::time::timeout(self.limits.age.saturating_sub(since(began)), change).await;
        }
    }

    fn turn_back(&self, late: &Coming) {
        let Coming { pair, stanza, receipt } = late;
        let text = "too much is waiting here; try again later".to_owned();
        let why = Undeliverable { condition: StanzaCondition::ResourceConstraint, text };
        let error = returned(stanza, &why);
        self.with(|inner| inner.hold.kept_back(pair, stanza));
        self.turned_back(pair, stanza, &why.text, error.is_some());
        receipt.iter().for_each(|receipt| self.locked().settle(Settled::of(*receipt)));
        if let Some(error) = error {
            self.give_back(pair.reversed(), error);
        }
    }

    /// A stream wants to know which of its stanzas are settled, by its own numbers for them, until it leaves.
    pub fn enter_stream(&self, stream: u64) -> mpsc::UnboundedReceiver<RangeInclusive<u64>> {
        let (sender, settled) = mpsc::unbounded_channel();
        self.locked().streams.insert(stream, sender);
        settled
    }

    /// A stream is over.
    pub fn leave_stream(&self, stream: u64) {
        self.locked().streams.remove(&stream);
    }

    /// Counts a stanza that was turned back before it could be accepted, and why: returned, or failed.
    pub fn turned_back(&self, pair: &DomainPair, stanza: &Stanza, why: &str, returned: bool) {
        let fate = if returned { Fate::Returned } else { Fate::Failed };
        self.with(|inner| inner.hold.turned_back(pair, stanza, fate(why.to_owned())));
    }

    fn give_back(&self, pair: DomainPair, error: Stanza) {
        self.returning.fetch_add(1, Ordering::Relaxed);
        // Nobody takes it only when the process ends.
        let _ = self.returns.send((pair, error));
    }

    /// An error that goes back was handed to the link that brings it.
    pub fn handed_over(&self) {
        self.returning.fetch_sub(1, Ordering::Relaxed);
        self.change.notify_waiters();
    }

    /// One more error waits on a link.
    pub(crate) fn error_waits(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// One less does: it was brought out, or couldn't be.
    pub(crate) fn error_left(&self) {
        self.errors.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many errors are on their way back to senders' servers. They are outside of the account.
    pub fn errors(&self) -> usize {
        self.returning.load(Ordering::Relaxed) + self.errors.load(Ordering::Relaxed)
    }

    /// What a peer says of stanzas that it was sent.
    pub fn heard(&self, peer: PeerId, crossing: Crossing) {
        self.with(|inner| inner.hold.heard(peer, crossing));
    }

    /// A peer can be reached over this sender.
    pub fn connected(&self, peer: PeerId, sender: FrameSender, state: PeerState) {
        self.with(|inner| {
            inner.other_peers = true;
            inner.peers.insert(peer, (sender, state));
            inner.hold.connected(peer, state);
        });
    }

    /// What a peer is called everywhere.
    pub fn named(&self, peer: PeerId, name: &str) {
        self.with(|inner| inner.hold.named(peer, name));
    }

    /// A peer takes stanzas to these domains only; to any, if there are none.
    pub fn serves(&self, peer: PeerId, domains: Vec<Pattern>) {
        self.with(|inner| inner.hold.serves(peer, domains));
    }

    /// A peer says what it can be given.
    pub fn state(&self, peer: PeerId, state: PeerState) {
        self.with(|inner| {
            if let Some((_, known)) = inner.peers.get_mut(&peer) {
                *known = state;
                inner.other_peers = true;
                inner.hold.state(peer, state);
            }
        });
    }

    /// The connection to a peer is lost; it may come back.
    pub fn away(&self, peer: PeerId) {
        self.with(|inner| {
            // One that is gone for good doesn't come back by the end of its connection.
            if inner.peers.remove(&peer).is_some() {
                inner.other_peers = true;
                inner.hold.away(peer);
            }
        });
    }

    /// A peer gets nothing new from now on, whatever it says of itself, and may finish what it has; or it does again.
    pub fn retire(&self, peer: PeerId, retired: bool) {
        self.with(|inner| {
            inner.other_peers = true;
            inner.hold.retire(peer, retired);
        });
    }

    /// A peer is gone for good; `resends` says of which pairs what it had may be sent again.
    pub fn lost(&self, peer: PeerId, name: &str, resends: impl Fn(&DomainPair) -> bool) {
        self.with(|inner| {
            inner.other_peers = true;
            inner.peers.remove(&peer);
            inner.hold.lost(peer, name, resends);
        });
    }

    /// Whether there is a peer that can be given stanzas; follows each change.
    pub fn served(&self) -> watch::Receiver<bool> {
        self.served.subscribe()
    }

    /// Which peers carry the route from now on, pool by pool: those of the next one as long as none of
    /// the former can. None named means all.
    pub fn route(&self, pools: Vec<Vec<PeerId>>) {
        self.with(|inner| inner.hold.route(pools));
    }

    /// Returns what has waited for too long, for as long as it is awaited.
    pub async fn keep_time(&self) {
        let mut look = tokio::time::interval(LOOK);
        loop {
            look.tick().await;
            self.with(|inner| inner.hold.tick(now()));
        }
    }

    /// Waits until everything that was accepted has its outcome, and links have what goes back.
    pub async fn settled(&self) {
        loop {
            let change = self.change.notified();
            if self.with(|inner| inner.hold.is_settled()) && self.returning.load(Ordering::Relaxed) == 0 {
                return;
            }
            change.await;
        }
    }

    /// Returns everything that has no outcome yet, as the process ends.
    pub fn give_up(&self) {
        self.with(|inner| inner.hold.give_up());
    }

    /// The whole account, taken at one moment.
    pub fn account(&self) -> Account {
        let inner = self.locked();
        let mut links: Vec<_> = inner.hold.links().map(|(pair, counts)| (pair.clone(), counts)).collect();
        let (total, held_bytes) = (inner.hold.counts(), inner.hold.held_bytes());
        drop(inner);
        // Those with most stanzas: others come and go.
        links.sort_by(|(one, of_one), (other, of_other)| {
            of_other.accepted.cmp(&of_one.accepted).then_with(|| one.cmp(other))
        });
        links.truncate(LINKS);
        Account { total, links, held_bytes, limit_bytes: self.limits.total_bytes }
    }

    /// What became of everything so far.
    pub fn total(&self) -> Counts {
        self.with(|inner| inner.hold.counts())
    }

    /// Does something to the hold, and what follows from it. All of it under one lock, so that what
    /// is sent to a peer leaves in the order in which it was decided.
    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.locked();
        let done = work(&mut inner);
        let (mut news, mut recorder, mut settled) = (false, None, None::<Settled>);
        while let Some(action) = inner.hold.poll() {
            match action {
                Action::Send(peer, crossing) => {
                    if let Some((sender, _)) = inner.peers.get(&peer) {
                        sender.send(crossing);
                    }
                }
                Action::Return(pair, error) => self.give_back(pair, error),
                Action::Remember(pair, named, fate) => {
                    recorder.get_or_insert_with(|| Recorder::of(&self.fates)).remember(pair, named, fate);
                }
                Action::Changed(number, pair, named, fate) => {
                    recorder.get_or_insert_with(|| Recorder::of(&self.fates)).changed(number, pair, named, fate);
                }
                Action::Settled(receipt) => {
                    if settled.as_mut().is_none_or(|settled| !settled.extend(receipt)) {
                        settled.replace(Settled::of(receipt)).into_iter().for_each(|settled| inner.settle(settled));
                    }
                }
                Action::Room => news = true,
                Action::Repaired(pair, Repair { late, asked, forgotten }) => {
                    tracing::info!(%pair, late, asked, forgotten, "presence made good after a break");
                }
            }
        }
        settled.into_iter().for_each(|settled| inner.settle(settled));
        if std::mem::take(&mut inner.other_peers) {
            let takes = |(peer, (_, state)): (&PeerId, &(_, PeerState))| {
                *state == PeerState::Up && !inner.hold.is_retired(*peer)
            };
            let served = inner.peers.iter().any(takes);
            self.served.send_if_modified(|before| std::mem::replace(before, served) != served);
        }
        if news || inner.hold.is_settled() {
            self.change.notify_waiters();
        }
        done
    }

    fn locked(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Takes as many as there is room for, and says whether that was all.
    fn accept(&mut self, now: Instant, coming: &mut VecDeque<Coming>) -> bool {
        while let Some(Coming { pair, stanza, receipt }) = coming.front() {
            if self.hold.accept(now, pair, stanza, *receipt).is_err() {
                return false;
            }
            coming.pop_front();
        }
        true
    }

    fn settle(&self, settled: Settled) {
        if let Some(stream) = self.streams.get(&settled.stream) {
            let _ = stream.send(settled.numbers);
        }
    }
}

/// What is settled of a stream, one after another.
struct Settled {
    stream: u64,
    numbers: RangeInclusive<u64>,
}

impl Settled {
    fn of(Receipt { stream, number }: Receipt) -> Settled {
        Settled { stream, numbers: number..=number }
    }

    /// Takes in one more, if it comes next.
    fn extend(&mut self, receipt: Receipt) -> bool {
        let is_next = receipt.stream == self.stream && self.numbers.end().checked_add(1) == Some(receipt.number);
        if is_next {
            self.numbers = *self.numbers.start()..=receipt.number;
        }
        is_next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xmpp::domain::Domain;

    #[tokio::test(start_paused = true)]
    async fn what_finds_no_room_in_time_goes_back_all_at_once() {
        let stanza = |id: u32| {
            let text = format!("<message id='{id}' from='a@contoso.test' to='b@fabrikam.test'/>");
            Stanza::parse(text.as_bytes()).expect("a stanza")
        };
        let room = 2 * stanza(1).bytes().len();
        let limits = Limits { link_bytes: room, ..Limits::default() };
        let (holder, mut returns) = Holder::new(limits.clone(), &Fates::new(10));
        let mut settled = holder.enter_stream(7);
        let domain = |text: &str| Domain::parse(text).expect("a domain");
        let pair = DomainPair::new(domain("contoso.test"), domain("fabrikam.test"));
        let coming = |number: u32| Coming {
            pair: pair.clone(),
            stanza: stanza(number),
            receipt: Some(Receipt { stream: 7, number: number.into() }),
        };
        let began = now();
        holder.accept(&mut (1..=5).map(coming).collect()).await;
        assert_eq!(since(began), limits.age);
        assert_eq!(holder.total(), Counts { accepted: 5, returned: 3, in_flight: 2, ..Counts::default() });
        assert_eq!([3, 4, 5].map(|number| number..=number), [(); 3].map(|()| settled.try_recv().expect("settled")));
        for id in ["3", "4", "5"] {
            let (to, error) = returns.try_recv().expect("returned");
            assert_eq!((to, error.id().as_deref()), (pair.reversed(), Some(id)));
        }
    }
}
