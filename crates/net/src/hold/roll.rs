//! The peers, as a hold knows them, and who of them shall have a link: by the route first, then by who finds a way to the
//! link's next server.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use topology::partner::Pattern;
use xmpp::domain::DomainPair;

use super::PeerId;
use super::link::Link;
use super::ways::AGAIN;
use crate::trunk::PeerState;

/// Who is there. Peers are few.
#[derive(Debug, Default)]
pub(super) struct Roll {
    pub(super) peers: BTreeMap<PeerId, PeerState>,
    /// What a peer is called, where it is known.
    pub(super) names: BTreeMap<PeerId, String>,
    /// To which domains a peer takes stanzas, where not to all.
    pub(super) serves: BTreeMap<PeerId, Vec<Pattern>>,
    /// Who gets nothing new, whatever it says.
    pub(super) retired: BTreeSet<PeerId>,
    /// Who carries the route, and who when none of them can, and so on; empty for all alike.
    pub(super) routed: Vec<Vec<PeerId>>,
}

impl Roll {
    /// A peer is gone for good.
    pub(super) fn lost(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
        self.names.remove(&peer);
        self.serves.remove(&peer);
        self.retired.remove(&peer);
    }

    /// Whether a peer can be asked something and will answer.
    pub(super) fn is_there(&self, peer: PeerId) -> bool {
        matches!(self.peers.get(&peer), Some(PeerState::Up | PeerState::Draining))
    }

    /// Whether the connection to a peer is lost and may come back.
    pub(super) fn is_away(&self, peer: PeerId) -> bool {
        self.peers.get(&peer) == Some(&PeerState::Away)
    }

    /// The place of a peer in the route's order, if it can be given this link's stanzas.
    fn place(&self, pair: &DomainPair, peer: PeerId) -> Option<usize> {
        let domains = self.serves.get(&peer).map(Vec::as_slice).unwrap_or_default();
        let serves = domains.is_empty() || domains.iter().any(|pattern| pattern.covers(&pair.to));
        if self.peers.get(&peer) != Some(&PeerState::Up) || !serves || self.retired.contains(&peer) {
            return None;
        }
        if self.routed.is_empty() {
            return Some(0);
        }
        self.routed.iter().position(|pool| pool.contains(&peer))
    }

    /// The link's peer as long as it will do and none of a better place will; else the one of the best
    /// place, always the same for a pair, and spread over the pairs.
    pub(super) fn choose(&self, pair: &DomainPair, link: &Link) -> Option<PeerId> {
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
            // There is none better.
            Some((0, peer)) => Some(peer),
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

    /// Whether a peer that has a way is better than the one that has the link, or found one before.
    pub(super) fn is_better(&self, pair: &DomainPair, link: &Link, peer: PeerId) -> bool {
        let place = |peer| self.place(pair, peer).filter(|_| !link.ways.is_stuck(peer));
        let current = link.ways.found.or(link.peer).and_then(place);
        current.is_none_or(|current| place(peer).is_some_and(|place| place < current))
    }

    /// Who is asked next whether it has a way: one that wasn't asked yet before one whose way was closed, and those of a better
    /// place first.
    pub(super) fn whom_to_ask(&self, now: Instant, pair: &DomainPair, link: &Link) -> Option<PeerId> {
        let current = link.peer?;
        let is_stuck = link.ways.is_stuck(current);
        let place = self.place(pair, current).unwrap_or(usize::MAX);
        let pause = if is_stuck { AGAIN.0 } else { AGAIN.1 };
        let others = self.peers.keys().filter(|peer| **peer != current && !link.ways.is_asked(**peer));
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
