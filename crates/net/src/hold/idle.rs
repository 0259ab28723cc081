//! The accounts of links that hold nothing: the latest each by itself, the older ones together. And who had them last.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use api::local::Counts;
use xmpp::domain::DomainPair;

use super::PeerId;
use crate::tables::ByPair;

/// Links that are told apart: a partner chooses how many subdomains it speaks from, and memory and metrics
/// shall not grow with them.
pub(crate) const LINKS: usize = 1000;

/// For so long a next server that can't tell what it has taken may still be reading what its system has of it. So long at
/// least, and twice as long at most, a link stays with who had it; else it would be told by another one what was said later.
pub(crate) const READING: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Idle {
    latest: ByPair<Resting>,
    order: BTreeMap<u64, DomainPair>,
    last: u64,
    /// Of all links that are idle, and of those that were forgotten.
    total: Counts,
    /// How often `READING` has gone by, and when it does next.
    season: u64,
    turns: Option<Instant>,
}

#[derive(Debug)]
struct Resting {
    /// When it became idle, as a number that grows.
    since: u64,
    season: u64,
    counts: Counts,
    peer: Option<PeerId>,
}

impl Idle {
    /// A link becomes idle, with all that was ever counted on it, and who had it.
    pub(super) fn enter(&mut self, pair: &DomainPair, counts: Counts, peer: Option<PeerId>) {
        self.total = self.total + counts;
        self.last += 1;
        self.order.insert(self.last, pair.clone());
        let resting = Resting { since: self.last, season: self.season, counts, peer };
        self.latest.insert(pair.clone(), resting);
        if self.latest.len() > LINKS
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.latest.remove(&oldest);
        }
    }

    /// A link is needed again: what was counted on it before; nothing, if that was forgotten. And who had it, if that was
    /// just now.
    pub(super) fn leave(&mut self, pair: &DomainPair) -> (Counts, Option<PeerId>) {
        let Some(Resting { since, season, counts, peer }) = self.latest.remove(pair) else { return Default::default() };
        self.order.remove(&since);
        self.total = self.total - counts;
        (counts, peer.filter(|_| season + 1 >= self.season))
    }

    /// Time goes by.
    pub(super) fn tick(&mut self, now: Instant) {
        if now >= *self.turns.get_or_insert(now + READING) {
            self.season += 1;
            self.turns = Some(now + READING);
        }
    }

    /// What was counted on all links that aren't at work.
    pub(super) fn total(&self) -> Counts {
        self.total
    }

    /// The latest links.
    pub(super) fn latest(&self) -> impl Iterator<Item = (&DomainPair, Counts)> {
        self.latest.iter().map(|(pair, resting)| (pair, resting.counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xmpp::domain::Domain;

    fn pair(number: usize) -> DomainPair {
        let domain = |text: &str| Domain::parse(text).expect("a domain");
        DomainPair::new(domain("contoso.test"), domain(&format!("d{number}.fabrikam.test")))
    }

    const ONE: Counts = Counts { accepted: 1, taken: 1, returned: 0, failed: 0, in_flight: 0 };

    #[test]
    fn what_comes_again_goes_on_counting() {
        let mut idle = Idle::default();
        idle.enter(&pair(1), ONE, None);
        let (counts, _) = idle.leave(&pair(1));
        assert_eq!((counts, idle.total()), (ONE, Counts::default()));
        idle.enter(&pair(1), counts + ONE, None);
        assert_eq!(idle.latest().map(|(_, counts)| counts.taken).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn who_had_a_link_is_remembered_for_a_moment() {
        for (ticks, remembered) in [(0, Some(7)), (9, Some(7)), (10, Some(7)), (20, None)] {
            let (mut idle, now) = (Idle::default(), Instant::now());
            idle.tick(now);
            idle.enter(&pair(1), ONE, Some(7));
            (1..=ticks).for_each(|tenth| idle.tick(now + READING * tenth / 10));
            assert_eq!(idle.leave(&pair(1)).1, remembered, "after {ticks} tenths");
        }
    }

    #[test]
    fn the_longest_idle_is_forgotten_and_stays_in_the_total() {
        let mut idle = Idle::default();
        (0..LINKS + 5).for_each(|number| idle.enter(&pair(number), ONE, None));
        assert_eq!(idle.latest().count(), LINKS);
        assert_eq!(idle.leave(&pair(4)).0, Counts::default());
        assert_eq!(idle.leave(&pair(5)).0, ONE);
        assert_eq!(idle.total().accepted, LINKS as u64 + 4);
    }
}
