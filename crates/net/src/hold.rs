//! What was accepted and has no outcome yet, as a machine: which stanza goes to which peer on the
//! trunk, what becomes of it when that peer goes away, and an account that always adds up.
//!
//! A stanza waits in its link's queue, is in flight from the moment it is sent to a peer, and ends
//! with exactly one outcome. What is only queued can go to any peer; what is in flight may have been
//! written by its peer, and is never sent to another one unless that peer gave it back unwritten.
//! So the order of a domain pair holds also where its peer changes: the new one gets nothing before
//! the old one has settled everything. No I/O, no clock.

use std::time::{Duration, Instant};

use api::local::Counts;
use topology::partner::Pattern;
use xmpp::domain::DomainPair;
use xmpp::stanza::{Stanza, StanzaCondition};

use crate::fate::{Fate, Named};
use crate::tables::ByPair;
use crate::trunk::{Crossing, PeerState, Undeliverable};

mod idle;
mod link;
mod presence;
mod returned;
mod roll;
mod sending;
#[cfg(test)]
mod tests;
mod ways;

use idle::Idle;
pub(crate) use idle::{LINKS, READING};
use link::{Item, Link, Phase};
pub use presence::Repair;
use presence::{Presence, Said};
use returned::is_passing;
pub(crate) use returned::returned;
use roll::Roll;
use sending::Sending;

/// What a stanza takes beside its bytes.
const ITEM: usize = 200;

/// A peer on the trunk: an edge server as a gateway sees it, or a gateway as an edge does.
pub type PeerId = u32;

/// What may be held.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes that a link may have in flight; one stanza always may be, however large it is.
    pub window_bytes: usize,
    /// Stanzas that a link may have in flight.
    pub window_stanzas: usize,
    /// Bytes that a link may hold, queued and in flight.
    pub link_bytes: usize,
    /// Bytes that all links together may hold, with what each stanza takes besides.
    pub total_bytes: usize,
    /// How long a stanza may be queued.
    pub age: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            window_bytes: 1 << 20,
            window_stanzas: 5000,
            link_bytes: 2 << 20,
            total_bytes: 256 << 20,
            age: Duration::from_secs(20),
        }
    }
}

/// What has to be done, in this order.
#[derive(Debug)]
pub enum Action {
    /// Tell a peer.
    Send(PeerId, Crossing),
    /// Bring an error to the sender of a stanza, on the face that it came in by.
    Return(DomainPair, Stanza),
    /// Remember one more stanza, and how it stands: they are numbered in this order, from 0 on.
    Remember(DomainPair, Named, Fate),
    /// What became of the one of this number.
    Changed(u64, DomainPair, Named, Fate),
    /// Tell a stream that a stanza of it has its outcome.
    Settled(Receipt),
    /// There may be room again for those who wait.
    Room,
    /// Presence that a break kept back was made good, as far as it could be.
    Repaired(DomainPair, Repair),
}

/// Who wants to know when a stanza is settled: an accepted stream, and its own number for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The stream.
    pub stream: u64,
    /// The stream's number for the stanza.
    pub number: u64,
}

/// There is no room now; the sender has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// Everything that one face accepted and that has no outcome yet.
#[derive(Debug)]
pub struct Hold {
    links: ByPair<Link>,
    sending: Sending,
    held_bytes: usize,
    /// How many stanzas that is.
    held: usize,
    /// Somebody waits for the total to shrink.
    wanted: bool,
    /// Of links that hold nothing.
    idle: Idle,
    /// What breaks kept back.
    presence: Presence,
}

impl Hold {
    /// Nothing held, and nobody to send to.
    pub fn new(limits: Limits) -> Hold {
        Hold {
            links: ByPair::default(),
            sending: Sending::new(limits),
            held_bytes: 0,
            held: 0,
            wanted: false,
            idle: Idle::default(),
            presence: Presence::default(),
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Action> {
        self.sending.actions.pop_front()
    }

    /// Takes a stanza, which from here on gets exactly one outcome.
    ///
    /// # Errors
    /// When there is no room for it; [`Action::Room`] tells when there may be.
    pub fn accept(
        &mut self,
        now: Instant,
        pair: &DomainPair,
        stanza: &Stanza,
        receipt: Option<Receipt>,
    ) -> Result<(), Full> {
        if self.presence.comes_in(now, pair, stanza) {
            self.sending.actions.extend(receipt.map(Action::Settled));
            return Ok(());
        }
        let bytes = stanza.bytes().len();
        let link = at_work(&mut self.links, &mut self.idle, &self.sending.roll, pair);
        if link.bytes() > 0 && link.bytes() + bytes > self.sending.limits.link_bytes {
            link.wanted = true;
            return Err(Full);
        }
        if self.held > 0 && memory(self.held_bytes + bytes, self.held + 1) > self.sending.limits.total_bytes {
            self.wanted = true;
            self.forget_if_idle(pair);
            return Err(Full);
        }
        self.held_bytes += bytes;
        self.held += 1;
        link.counts.accepted += 1;
        link.ways.used();
        let named = Named::of(stanza).map(|named| (self.sending.remember(pair, named, Fate::Accepted), named));
        link.queue(Item { stanza: stanza.clone(), since: now, receipt, named });
        self.sending.pump(pair, link);
        Ok(())
    }

    /// Remembers a stanza that found no room, if it is presence that shall be made good.
    pub fn kept_back(&mut self, pair: &DomainPair, stanza: &Stanza) {
        self.presence.refused(pair, stanza);
    }

    /// Counts a stanza that was turned back before it could be taken, or could neither pass nor go back.
    pub fn turned_back(&mut self, pair: &DomainPair, stanza: &Stanza, fate: Fate) {
        let counts = &mut at_work(&mut self.links, &mut self.idle, &self.sending.roll, pair).counts;
        counts.accepted += 1;
        *(if matches!(fate, Fate::Returned(_)) { &mut counts.returned } else { &mut counts.failed }) += 1;
        if let Some(named) = Named::of(stanza) {
            self.sending.remember(pair, named, fate);
        }
        self.forget_if_idle(pair);
    }

    /// A peer says what became of stanzas that it was sent.
    pub fn heard(&mut self, peer: PeerId, crossing: Crossing) {
        match crossing {
            Crossing::Taken { pair, up_to } => self.settle(peer, &pair, |link| link.taken(up_to), &Outcome::Taken),
            Crossing::Refused { pair, number, why } => {
                self.settle(peer, &pair, |link| link.refused(number).into_iter().collect(), &Outcome::Refused(why));
            }
            Crossing::Unsent { pair, from } => {
                let asked = |link: &&mut Link| link.peer == Some(peer) && matches!(link.phase, Phase::Recalled { .. });
                if let Some(link) = self.links.get_mut(&pair).filter(asked) {
                    link.phase = link.phase.answered();
                    if matches!(link.phase, Phase::Settling { .. }) {
                        link.unsent(from);
                    }
                    self.sending.pump(&pair, link);
                    self.forget_if_idle(&pair);
                }
            }
            Crossing::Stuck { pair } => self.heard_of_way(peer, &pair, false),
            Crossing::Open { pair } => self.heard_of_way(peer, &pair, true),
            Crossing::Stanza { .. } | Crossing::Recall { .. } | Crossing::Try { .. } => {}
        }
    }

    /// A peer can be reached by a new connection. What was sent by one before may be lost, whether or not its end is known. Which
    /// ways are closed it says anew, before it says how it is.
    pub fn connected(&mut self, peer: PeerId, state: PeerState) {
        self.forget_ways(peer);
        if self.sending.roll.peers.insert(peer, state).is_some() {
            self.send_again(peer);
        }
        self.pump_all();
    }

    /// A peer says what it can be given.
    pub fn state(&mut self, peer: PeerId, state: PeerState) {
        self.sending.roll.peers.insert(peer, state);
        self.pump_all();
    }

    /// The connection to a peer is lost; it may come back.
    pub fn away(&mut self, peer: PeerId) {
        self.state(peer, PeerState::Away);
    }

    /// What a peer is called, everywhere: by that all who spread pairs over the same peers spread them alike, whatever
    /// the numbers are by which they know them. So a pair that comes by another member than before goes on by the same peer,
    /// behind what that one still has of it.
    pub fn named(&mut self, peer: PeerId, name: &str) {
        self.sending.roll.names.insert(peer, name.to_owned());
    }

    /// A peer takes stanzas to these domains only; to any, if there are none.
    pub fn serves(&mut self, peer: PeerId, domains: Vec<Pattern>) {
        self.sending.roll.serves.insert(peer, domains);
        self.pump_all();
    }

    /// A peer gets nothing new from now on, whatever it says of itself, and may finish what it has; or it does again.
    pub fn retire(&mut self, peer: PeerId, retired: bool) {
        let known = &mut self.sending.roll.retired;
        let changed = if retired { known.insert(peer) } else { known.remove(&peer) };
        if changed {
            self.pump_all();
        }
    }

    /// Whether a peer was retired.
    pub fn is_retired(&self, peer: PeerId) -> bool {
        self.sending.roll.retired.contains(&peer)
    }

    /// A peer is gone for good, with whatever it had in flight.
    /// Of the pairs that `resends` says so, that is sent again by another; it may arrive twice.
    pub fn lost(&mut self, peer: PeerId, name: &str, resends: impl Fn(&DomainPair) -> bool) {
        self.sending.roll.lost(peer);
        self.forget_ways(peer);
        for pair in self.pairs(|link| link.peer == Some(peer)) {
            if resends(&pair) {
                self.links.entry(pair).and_modify(Link::take_back);
                continue;
            }
            let why = Undeliverable {
                condition: StanzaCondition::RemoteServerTimeout,
                text: format!("the connection by {name} broke while this was on its way; it may have been delivered"),
            };
            self.settle(peer, &pair, Link::give_up, &Outcome::Refused(why));
        }
        self.pump_all();
    }

    /// Which peers carry the route from now on, pool by pool: those of the next one as long as none of
    /// the former can. None named means all.
    pub fn route(&mut self, pools: Vec<Vec<PeerId>>) {
        self.sending.roll.routed = pools;
        self.pump_all();
    }

    /// Returns what has been queued for too long, looks for ways where none is open, and makes good what breaks did to
    /// presence.
    pub fn tick(&mut self, now: Instant) {
        self.idle.tick(now);
        self.make_good(now);
        for pair in self.pairs(|link| link.is_late(now, self.sending.limits.age)) {
            let why = Undeliverable {
                condition: StanzaCondition::RemoteServerTimeout,
                text: format!("no way to {} was found in time", pair.to),
            };
            let age = self.sending.limits.age;
            self.end(&pair, |link| link.late(now, age), &Outcome::Refused(why));
        }
        self.ask(now);
    }

    /// Says once more what still holds, and asks for what may not. Our own questions are nobody's stanzas and
    /// aren't counted; what is said once more is counted once more.
    fn make_good(&mut self, now: Instant) {
        for said in self.presence.tick(now) {
            match said {
                // Something newer is on its way and says it all.
                Said::Late(pair, stanza) if self.links.get(&pair).is_some_and(|link| link.says(&stanza)) => {}
                Said::Late(pair, stanza) => {
                    if self.accept(now, &pair, &stanza, None).is_err() {
                        self.presence.refused(&pair, &stanza);
                    }
                }
                Said::Probe(pair, probe) => self.sending.actions.push_back(Action::Return(pair, probe)),
                Said::Done(pair, repair) => self.sending.actions.push_back(Action::Repaired(pair, repair)),
            }
        }
    }

    /// What became of everything so far. At any time `accepted = taken + returned + failed + in flight`.
    pub fn counts(&self) -> Counts {
        self.links.values().fold(self.idle.total(), |total, link| total + link.counts())
    }

    /// Whether everything has its outcome.
    pub fn is_settled(&self) -> bool {
        self.held == 0
    }

    /// Returns everything that has no outcome yet: the process ends, and nobody will be here to hear of one.
    pub fn give_up(&mut self) {
        let why = Undeliverable {
            condition: StanzaCondition::RemoteServerTimeout,
            text: "the server in between is shutting down; it may have been delivered".to_owned(),
        };
        for pair in self.pairs(|link| !link.is_empty()) {
            self.end(&pair, Link::empty, &Outcome::Refused(why.clone()));
        }
    }

    /// What that takes which has no outcome yet, in bytes.
    pub fn held_bytes(&self) -> usize {
        memory(self.held_bytes, self.held)
    }

    /// The accounts of links: of all that hold something, and of the latest that did.
    pub fn links(&self) -> impl Iterator<Item = (&DomainPair, Counts)> {
        self.links.iter().map(|(pair, link)| (pair, link.counts())).chain(self.idle.latest())
    }

    fn settle(
        &mut self,
        peer: PeerId,
        pair: &DomainPair,
        which: impl FnOnce(&mut Link) -> Vec<Item>,
        outcome: &Outcome,
    ) {
        // A word about an older assignment concerns nothing that is still in flight.
        if self.links.get(pair).is_some_and(|link| link.peer == Some(peer)) {
            self.end(pair, which, outcome);
        }
    }

    fn end(&mut self, pair: &DomainPair, which: impl FnOnce(&mut Link) -> Vec<Item>, outcome: &Outcome) {
        let Some(link) = self.links.get_mut(pair) else { return };
        for Item { stanza, receipt, named, .. } in which(link) {
            match outcome {
                Outcome::Taken => self.presence.taken(pair, &stanza),
                Outcome::Refused(why) if is_passing(why.condition) => self.presence.refused(pair, &stanza),
                Outcome::Refused(_) => {}
            }
            self.held_bytes -= stanza.bytes().len();
            self.held -= 1;
            self.sending.actions.extend(receipt.map(Action::Settled));
            let (count, fate) = match outcome {
                Outcome::Taken => (&mut link.counts.taken, Fate::Taken),
                Outcome::Refused(why) => match returned(&stanza, why) {
                    Some(error) => {
                        self.sending.actions.push_back(Action::Return(pair.reversed(), error));
                        (&mut link.counts.returned, Fate::Returned(why.to_string()))
                    }
                    None => (&mut link.counts.failed, Fate::Failed(why.to_string())),
                },
            };
            *count += 1;
            let changed = |(number, named)| Action::Changed(number, pair.clone(), named, fate);
            self.sending.actions.extend(named.map(changed));
        }
        if std::mem::take(&mut link.wanted) {
            self.sending.actions.push_back(Action::Room);
        }
        // Those who waited for the total to shrink.
        if memory(self.held_bytes, self.held) <= self.sending.limits.total_bytes / 2 && std::mem::take(&mut self.wanted)
        {
            self.sending.actions.push_back(Action::Room);
        }
        self.sending.pump(pair, link);
        if link.is_idle() {
            self.forget_if_idle(pair);
        }
    }

    fn forget_if_idle(&mut self, pair: &DomainPair) {
        if self.links.get(pair).is_some_and(Link::is_idle) {
            let (counts, peer) = self.links.remove(pair).map(|link| (link.counts(), link.peer)).unwrap_or_default();
            self.idle.enter(pair, counts, peer);
        }
    }

    /// Those whose links are so, in an order that is the same each time.
    fn pairs(&self, is: impl Fn(&Link) -> bool) -> Vec<DomainPair> {
        let mut pairs: Vec<_> = self.links.iter().filter(|(_, link)| is(link)).map(|(pair, _)| pair.clone()).collect();
        pairs.sort_unstable();
        pairs
    }

    fn pump_all(&mut self) {
        for pair in self.pairs(|_| true) {
            if let Some(link) = self.links.get_mut(&pair) {
                self.sending.pump(&pair, link);
            }
        }
    }

    /// What was in flight at a peer that came back: it knows by the numbers what it has already.
    fn send_again(&mut self, peer: PeerId) {
        for pair in &self.pairs(|link| link.peer == Some(peer)) {
            let Some(link) = self.links.get_mut(pair) else { continue };
            let settled = link.settled();
            for (number, stanza) in link.in_flight() {
                let pair = pair.clone();
                self.sending.actions.push_back(Action::Send(peer, Crossing::Stanza { pair, number, settled, stanza }));
            }
            if let Phase::Recalled { give_up, .. } = link.phase {
                // Whatever it answered before is lost.
                link.phase = Phase::default().recall(give_up);
                let pair = pair.clone();
                self.sending.actions.push_back(Action::Send(peer, Crossing::Recall { pair, give_up }));
            }
        }
    }
}

/// What so many stanzas of so many bytes take.
fn memory(bytes: usize, stanzas: usize) -> usize {
    bytes + stanzas * ITEM
}

enum Outcome {
    Taken,
    Refused(Undeliverable),
}

/// The link of a pair, which goes on counting where it ended, and goes by who had it just now.
fn at_work<'a>(links: &'a mut ByPair<Link>, idle: &mut Idle, roll: &Roll, pair: &DomainPair) -> &'a mut Link {
    links.entry(pair.clone()).or_insert_with(|| {
        let (counts, peer) = idle.leave(pair);
        // For one that is silent, nobody waits whom it owes nothing.
        Link::after(counts, peer.filter(|peer| roll.is_there(*peer)))
    })
}
