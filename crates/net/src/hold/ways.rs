//! Who finds a way to a link's next server. A peer whose way is closed keeps the link until another has been asked and
//! found one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use xmpp::domain::DomainPair;

use super::{Action, Hold, PeerId};
use crate::trunk::Crossing;

/// For a peer that was asked to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// But after so long another is asked, too: what they all go out by may be dead.
const NEXT: Duration = Duration::from_millis(500);
/// Between two questions to a peer whose way was closed: while nobody else finds one, and while somebody has.
pub(super) const AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// For so long it is remembered for an idle link whose way was closed.
const MEMORY: Duration = Duration::from_secs(60);

/// What peers said of the way to a link's next server.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// Those whose way is closed, and when each was last asked about it.
    pub(super) stuck: BTreeMap<PeerId, Option<Instant>>,
    /// Who is being asked, and since when.
    asked: BTreeMap<PeerId, Instant>,
    /// Who found a way when asked, and shall have the link.
    pub(super) found: Option<PeerId>,
    /// Since when the link has been idle.
    idle: Option<Instant>,
}

impl Ways {
    pub(super) fn is_empty(&self) -> bool {
        self.stuck.is_empty()
    }

    pub(super) fn is_stuck(&self, peer: PeerId) -> bool {
        self.stuck.contains_key(&peer)
    }

    pub(super) fn is_asked(&self, peer: PeerId) -> bool {
        self.asked.contains_key(&peer)
    }

    /// Whether what this peer has written is to be given up: its way is closed, and another has found one.
    pub(super) fn give_up(&self, peer: PeerId) -> bool {
        self.found.is_some_and(|found| found != peer) && self.is_stuck(peer)
    }

    /// Something is held.
    pub(super) fn used(&mut self) {
        self.idle = None;
    }

    /// Somebody has the link.
    pub(super) fn given(&mut self, peer: PeerId) {
        self.found.take_if(|found| *found == peer);
    }

    /// Whether anything is known of a peer's way, or expected.
    fn knows(&self, peer: PeerId) -> bool {
        self.is_stuck(peer) || self.is_asked(peer) || self.found == Some(peer)
    }

    /// Nothing that a peer said holds any longer.
    fn forget(&mut self, peer: PeerId) {
        self.stuck.remove(&peer);
        self.found.take_if(|found| *found == peer);
        self.asked.remove(&peer);
    }

    /// A peer says that its way is closed.
    fn closed(&mut self, peer: PeerId) {
        let asked = self.asked.remove(&peer);
        let last = self.stuck.entry(peer).or_default();
        *last = asked.or(*last);
        self.found.take_if(|found| *found == peer);
    }

    /// A peer says that its way is open, and that is better than the one that the link has or is about to have, or not.
    fn open(&mut self, peer: PeerId, is_better: bool) {
        self.stuck.remove(&peer);
        if self.asked.remove(&peer).is_some() && is_better {
            self.found = Some(peer);
        }
    }

    /// Whether somebody is being asked who is to be waited for; who doesn't answer in time has no way.
    fn is_asking(&mut self, now: Instant) -> bool {
        let late = self.asked.extract_if(.., |_, since| now >= *since + ANSWER);
        self.stuck.extend(late.map(|(peer, since)| (peer, Some(since))));
        self.asked.values().any(|since| now < *since + NEXT)
    }

    fn ask(&mut self, now: Instant, peer: PeerId) {
        self.asked.insert(peer, now);
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
    /// A peer says how its way to the link's next server is.
    pub(super) fn heard_of_way(&mut self, peer: PeerId, pair: &DomainPair, is_open: bool) {
        let Some(link) = self.links.get_mut(pair) else { return };
        if is_open {
            let is_better = self.sending.roll.is_better(pair, link, peer);
            link.ways.open(peer, is_better);
        } else {
            link.ways.closed(peer);
        }
        self.sending.pump(pair, link);
        self.forget_if_idle(pair);
    }

    /// Nothing that a peer said of ways holds any longer.
    pub(super) fn forget_ways(&mut self, peer: PeerId) {
        for pair in self.pairs(|link| link.ways.knows(peer)) {
            self.links.entry(pair.clone()).and_modify(|link| link.ways.forget(peer));
            self.forget_if_idle(&pair);
        }
    }

    /// Asks for other ways where one is closed, or a better one was and may not be any more.
    pub(super) fn ask(&mut self, now: Instant) {
        for pair in self.pairs(|link| !link.ways.is_empty()) {
            let Some(link) = self.links.get_mut(&pair) else { continue };
            if link.is_empty() {
                link.ways.fade(now);
                self.forget_if_idle(&pair);
                continue;
            }
            link.ways.used();
            if !link.ways.is_asking(now)
                && let Some(peer) = self.sending.roll.whom_to_ask(now, &pair, link)
            {
                link.ways.ask(now, peer);
                self.sending.actions.push_back(Action::Send(peer, Crossing::Try { pair }));
            }
        }
    }
}
