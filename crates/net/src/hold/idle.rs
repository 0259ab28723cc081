//! The accounts of links that hold nothing: the latest each by itself, the older ones together.

use std::collections::BTreeMap;

use api::local::Counts;
use xmpp::domain::DomainPair;

use crate::tables::ByPair;

/// Links that are told apart: a partner chooses how many subdomains it speaks from, and memory and metrics
/// shall not grow with them.
pub(crate) const LINKS: usize = 1000;

#[derive(Debug, Default)]
pub(super) struct Idle {
    /// With when it became idle, as a number that grows.
    latest: ByPair<(u64, Counts)>,
    order: BTreeMap<u64, DomainPair>,
    last: u64,
    /// Of all links that are idle, and of those that were forgotten.
    total: Counts,
}

impl Idle {
    /// A link becomes idle, with all that was ever counted on it.
    pub(super) fn enter(&mut self, pair: &DomainPair, counts: Counts) {
        self.total = self.total + counts;
        self.last += 1;
        self.order.insert(self.last, pair.clone());
        self.latest.insert(pair.clone(), (self.last, counts));
        if self.latest.len() > LINKS
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.latest.remove(&oldest);
        }
    }

    /// A link is needed again: what was counted on it before; nothing, if that was forgotten.
    pub(super) fn leave(&mut self, pair: &DomainPair) -> Counts {
        let Some((since, counts)) = self.latest.remove(pair) else { return Counts::default() };
        self.order.remove(&since);
        self.total = self.total - counts;
        counts
    }

    /// What was counted on all links that aren't at work.
    pub(super) fn total(&self) -> Counts {
        self.total
    }

    /// The latest links.
    pub(super) fn latest(&self) -> impl Iterator<Item = (&DomainPair, Counts)> {
        self.latest.iter().map(|(pair, (_, counts))| (pair, *counts))
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
        idle.enter(&pair(1), ONE);
        let counts = idle.leave(&pair(1));
        assert_eq!((counts, idle.total()), (ONE, Counts::default()));
        idle.enter(&pair(1), counts + ONE);
        assert_eq!(idle.latest().map(|(_, counts)| counts.taken).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn the_longest_idle_is_forgotten_and_stays_in_the_total() {
        let mut idle = Idle::default();
        (0..LINKS + 5).for_each(|number| idle.enter(&pair(number), ONE));
        assert_eq!(idle.latest().count(), LINKS);
        assert_eq!(idle.leave(&pair(4)), Counts::default());
        assert_eq!(idle.leave(&pair(5)), ONE);
        assert_eq!(idle.total().accepted, LINKS as u64 + 4);
    }
}
