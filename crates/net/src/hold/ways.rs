//! Who shall have a link: by the route first, then by who finds a way to the link's next server. A peer
//! whose way is closed keeps the link until another has been asked and found one.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use xmpp::domain::DomainPair;

use super::{Action, Hold, PeerId};
use crate::trunk::{Crossing, PeerState};

/// For a peer that was asked to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Between two questions to a peer whose way was closed: while nobody else finds one, and while somebody has.
const AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// For so long it is remembered for an idle link whose way was closed.
const MEMORY: Duration = Duration::from_secs(60);

/// What peers said of the way to a link's next server.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// Those whose way is closed, and when each was last asked about it.
    stuck: BTreeMap<PeerId, Option<Instant>>,
    /// Who is being asked, and since when.
    asked: Option<(PeerId, Instant)>,
    /// Who found a way when asked, and shall have the link.
    found: Option<PeerId>,
    /// Since when the link has been idle.
    idle: Option<Instant>,
}

impl Ways {
    pub(super) fn is_empty(&self) -> bool {
        self.stuck.is_empty()
    }

    fn is_stuck(&self, peer: PeerId) -> bool {
        self.stuck.contains_key(&peer)
    }

    /// Whether what this peer has written is to be given up: its way is closed, and another has found one.
    pub(super) fn give_up(&self, peer: PeerId) -> bool {
        self.found.is_some_and(|found| found != peer) && self.is_stuck(peer)
    }

    /// Somebody has the link.
    pub(super) fn given(&mut self, peer: PeerId) {
        self.found.take_if(|found| *found == peer);
    }

    /// A peer is gone for good.
    pub(super) fn lost(&mut self, peer: PeerId) {
        self.stuck.remove(&peer);
        self.found.take_if(|found| *found == peer);
        self.asked.take_if(|(asked, _)| *asked == peer);
    }

    /// A peer says that its way is closed.
    fn closed(&mut self, peer: PeerId) {
        let asked = self.asked.take_if(|(asked, _)| *asked == peer).map(|(_, since)| since);
        let last = self.stuck.entry(peer).or_default();
        *last = asked.or(*last);
        self.found.take_if(|found| *found == peer);
    }

    /// A peer says that its way is open.
    fn open(&mut self, peer: PeerId) {
        self.stuck.remove(&peer);
        if self.asked.take_if(|(asked, _)| *asked == peer).is_some() {
            self.found = Some(peer);
        }
    }

    /// Whether somebody is being asked who may still answer; who doesn't in time has no way.
    fn is_asking(&mut self, now: Instant) -> bool {
        if let Some((peer, since)) = self.asked
            && now >= since + ANSWER
        {
            self.stuck.insert(peer, Some(since));
            self.asked = None;
        }
        self.asked.is_some()
    }

    fn ask(&mut self, now: Instant, peer: PeerId) {
        self.asked = Some((peer, now));
        if let Some(last) = self.stuck.get_mut(&peer) {
            *last = Some(now);
        }
    }

    /// Forgets what is old, of a link that holds nothing.
    fn fade(&mut self, now: Instant) {
        if now >= *self.idle.get_or_insert(now) + MEMORY {
            *self = Ways::default();
        }
    }
}

impl Hold {
    /// The place of a peer in the route's order, if it can be given this link's stanzas.
    fn place(&self, pair: &DomainPair, peer: PeerId) -> Option<usize> {
        let domains = self.serves.get(&peer).map(Vec::as_slice).unwrap_or_default();
        let serves = domains.is_empty() || domains.iter().any(|pattern| pattern.covers(&pair.to));
        if self.peers.get(&peer) != Some(&PeerState::Up) || !serves || self.is_retired(peer) {
            return None;
        }
        if self.routed.is_empty() {
            return Some(0);
        }
        self.routed.iter().position(|pool| pool.contains(&peer))
    }

    /// The link's peer as long as it will do and none of a better place will; else the one of the best
    /// place, always the same for a pair, and spread over the pairs.
    pub(super) fn choose(&self, pair: &DomainPair) -> Option<PeerId> {
        let link = self.links.get(pair)?;
        if let Some(current) = link.peer {
            // For one that may come back there is patience: for a moment, or as long as it may have what is in flight.
            match self.peers.get(&current) {
                Some(PeerState::Silent) => return None,
                Some(PeerState::Away) if !link.nothing_in_flight() => return None,
                _ => {}
            }
        }
        if let Some(found) = link.ways.found.filter(|found| self.place(pair, *found).is_some()) {
            return Some(found);
        }
        let current = link.peer.and_then(|peer| Some((self.place(pair, peer)?, peer)));
        let others = self.peers.keys().filter_map(|peer| Some((self.place(pair, *peer)?, *peer)));
        match current {
            Some((place, peer)) => {
                let better = others.filter(|(other, peer)| *other < place && !link.ways.is_stuck(*peer));
                let best = better.min_by_key(|(place, peer)| (*place, Reverse(self.rank(pair, *peer))));
                Some(best.map_or(peer, |(_, peer)| peer))
            }
            None => others
                .min_by_key(|(place, peer)| (link.ways.is_stuck(*peer), *place, Reverse(self.rank(pair, *peer))))
                .map(|(_, peer)| peer),
        }
    }

    /// A peer says how its way to the link's next server is.
    pub(super) fn heard_of_way(&mut self, peer: PeerId, pair: &DomainPair, is_open: bool) {
        let Some(link) = self.links.get_mut(pair) else { return };
        if is_open {
            link.ways.open(peer);
        } else {
            link.ways.closed(peer);
        }
        self.pump(pair);
    }

    /// Asks for other ways where one is closed, or a better one was and may not be any more.
    pub(super) fn ask(&mut self, now: Instant) {
        for pair in self.pairs(|link| !link.ways.is_empty()) {
            let peer = self.whom_to_ask(now, &pair);
            let Some(link) = self.links.get_mut(&pair) else { continue };
            if link.is_empty() {
                link.ways.fade(now);
                self.forget_if_idle(&pair);
                continue;
            }
            link.ways.idle = None;
            if let Some(peer) = peer
                && !link.ways.is_asking(now)
            {
                link.ways.ask(now, peer);
                self.actions.push_back(Action::Send(peer, Crossing::Try { pair }));
            }
        }
    }

    fn whom_to_ask(&self, now: Instant, pair: &DomainPair) -> Option<PeerId> {
        let link = self.links.get(pair)?;
        let current = link.peer?;
        let is_stuck = link.ways.is_stuck(current);
        let place = self.place(pair, current).unwrap_or(usize::MAX);
        let pause = if is_stuck { AGAIN.0 } else { AGAIN.1 };
        let others = self.peers.keys().filter(|peer| **peer != current);
        let others = others.filter_map(|peer| Some((self.place(pair, *peer)?, *peer)));
        let worth_it = others.filter(|(other, peer)| match link.ways.stuck.get(peer) {
            None => is_stuck,
            Some(last) => (is_stuck || *other < place) && last.is_none_or(|last| now >= last + pause),
        });
        worth_it
            .min_by_key(|(place, peer)| (link.ways.is_stuck(*peer), *place, Reverse(self.rank(pair, *peer))))
            .map(|(_, peer)| peer)
    }

    /// Rendezvous hashing: when a peer comes or goes, only its own links move.
    fn rank(&self, pair: &DomainPair, peer: PeerId) -> u64 {
        let mut hasher = DefaultHasher::new();
        // By the names: a domain's own hash is another one in each process.
        (pair.from.as_str(), pair.to.as_str()).hash(&mut hasher);
        match self.names.get(&peer) {
            Some(name) => name.hash(&mut hasher),
            None => peer.hash(&mut hasher),
        }
        hasher.finish()
    }
}
