//! What came over the trunk from one peer, pair by pair: what is new, and what was said of the rest, so
//! that it can be said again on a new connection.

use std::collections::BTreeMap;

use xmpp::domain::DomainPair;

use crate::tables::ByPair;
use crate::trunk::{Crossing, Undeliverable};

/// The account of what one peer has sent.
#[derive(Debug, Default)]
pub struct Arrivals {
    pairs: ByPair<Arrival>,
}

#[derive(Debug, Default)]
struct Arrival {
    /// The highest number that came.
    received: u64,
    /// All up to here were taken, apart from those refused.
    taken: u64,
    /// Those refused that the peer may not know of yet.
    refused: BTreeMap<u64, Undeliverable>,
    /// Something came or was said since the last look.
    touched: bool,
}

impl Arrivals {
    /// A stanza came; whether it is new. `settled` is up to where the peer knows every outcome.
    pub fn stanza(&mut self, pair: &DomainPair, number: u64, settled: u64) -> bool {
        let arrival = match self.pairs.get_mut(pair) {
            Some(arrival) => arrival,
            None => self.pairs.entry(pair.clone()).or_default(),
        };
        arrival.touched = true;
        while arrival.refused.first_key_value().is_some_and(|(first, _)| *first <= settled) {
            arrival.refused.pop_first();
        }
        let new = number > arrival.received;
        arrival.received = arrival.received.max(number);
        new
    }

    /// The peer wants back what wasn't written; `first` is the first such, if any is left. If the
    /// answer gets lost, they come again as new.
    pub fn recall(&mut self, pair: &DomainPair, first: Option<u64>) -> Crossing {
        let arrival = self.pairs.entry(pair.clone()).or_default();
        arrival.touched = true;
        let from = first.unwrap_or(arrival.received + 1);
        arrival.received = from - 1;
        Crossing::Unsent { pair: pair.clone(), from }
    }

    /// The pair's stanzas up to this one were taken, apart from those refused.
    pub fn taken(&mut self, pair: &DomainPair, up_to: u64) -> Crossing {
        if let Some(arrival) = self.pairs.get_mut(pair) {
            arrival.touched = true;
            arrival.taken = arrival.taken.max(up_to);
        }
        Crossing::Taken { pair: pair.clone(), up_to }
    }

    /// This one can't be delivered.
    pub fn refused(&mut self, pair: &DomainPair, number: u64, why: Undeliverable) -> Crossing {
        if let Some(arrival) = self.pairs.get_mut(pair) {
            arrival.touched = true;
            arrival.refused.insert(number, why.clone());
        }
        Crossing::Refused { pair: pair.clone(), number, why }
    }

    /// Forgets the pairs of which nothing was heard since the last call and that aren't `open`: what was
    /// said of them is known by now, or its listener is given up. To be called far less often than
    /// connections take to come back.
    pub fn forget_idle(&mut self, open: impl Fn(&DomainPair) -> bool) {
        self.pairs.retain(|pair, arrival| std::mem::take(&mut arrival.touched) || open(pair));
    }

    /// What has to be said first on a new connection, since the end of the old one may be lost:
    /// refusals before the word up to where all was taken, which excepts them.
    pub fn say_again(&self) -> Vec<Crossing> {
        let mut said = Vec::new();
        let mut pairs: Vec<_> = self.pairs.iter().collect();
        pairs.sort_unstable_by_key(|(pair, _)| *pair);
        for (pair, arrival) in pairs {
            let refused = arrival.refused.iter().map(|(number, why)| Crossing::Refused {
                pair: pair.clone(),
                number: *number,
                why: why.clone(),
            });
            said.extend(refused);
            said.push(Crossing::Taken { pair: pair.clone(), up_to: arrival.taken });
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xmpp::domain::Domain;
    use xmpp::stanza::StanzaCondition;

    fn pair() -> DomainPair {
        let domain = |text| Domain::parse(text).expect("a domain");
        DomainPair::new(domain("contoso.test"), domain("fabrikam.test"))
    }

    fn why() -> Undeliverable {
        Undeliverable { condition: StanzaCondition::RemoteServerNotFound, text: "nobody".into() }
    }

    #[test]
    fn what_comes_twice_is_new_once() {
        let mut arrivals = Arrivals::default();
        assert!(arrivals.stanza(&pair(), 3, 0));
        assert!(!arrivals.stanza(&pair(), 3, 0));
        assert!(arrivals.stanza(&pair(), 7, 0));
    }

    #[test]
    fn what_was_given_back_may_come_again() {
        let mut arrivals = Arrivals::default();
        for number in 1..=5 {
            arrivals.stanza(&pair(), number, 0);
        }
        assert!(matches!(arrivals.recall(&pair(), Some(4)), Crossing::Unsent { from: 4, .. }));
        assert!(!arrivals.stanza(&pair(), 3, 0));
        assert!(arrivals.stanza(&pair(), 4, 0));
        assert!(matches!(arrivals.recall(&pair(), None), Crossing::Unsent { from: 5, .. }));
    }

    #[test]
    fn what_is_long_settled_is_forgotten() {
        let mut arrivals = Arrivals::default();
        arrivals.stanza(&pair(), 1, 0);
        arrivals.refused(&pair(), 1, why());
        arrivals.forget_idle(|_| false);
        assert_eq!(arrivals.say_again().len(), 2, "it was touched lately");
        arrivals.forget_idle(|_| true);
        assert_eq!(arrivals.say_again().len(), 2, "its link is open");
        arrivals.forget_idle(|_| false);
        assert!(arrivals.say_again().is_empty());
    }

    #[test]
    fn refusals_are_said_again_until_the_peer_knows() {
        let mut arrivals = Arrivals::default();
        for number in 1..=4 {
            arrivals.stanza(&pair(), number, 0);
        }
        arrivals.refused(&pair(), 2, why());
        arrivals.taken(&pair(), 3);
        let said = arrivals.say_again();
        assert!(matches!(said[0], Crossing::Refused { number: 2, .. }), "{said:?}");
        assert!(matches!(said[1], Crossing::Taken { up_to: 3, .. }), "{said:?}");
        arrivals.stanza(&pair(), 5, 3);
        assert!(matches!(arrivals.say_again()[..], [Crossing::Taken { up_to: 3, .. }]));
    }
}
