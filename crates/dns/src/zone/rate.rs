//! A limit on replies by UDP to one network: whoever sends in others' names can't flood them by us. What is beyond it is
//! truncated every second time, so that who really asks gets an answer by TCP, and else dropped.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// Networks share a place now and then; two that both ask a lot seldom do.
const PLACES: usize = 1 << 16;

/// What becomes of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is sent.
    Send,
    /// That it was truncated is sent instead.
    Truncate,
    /// Nothing is sent.
    Drop,
}

/// How much each network got in the current second.
pub struct Rates {
    /// A second, and the replies in it.
    places: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Default for Rates {
    fn default() -> Rates {
        Rates { places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(), hasher: RandomState::new() }
    }
}

impl Rates {
    /// One more reply to `client` in the second `now`, of which there may be `most`; 0 is no limit.
    pub fn judge(&self, client: IpAddr, now: u32, most: u32) -> Verdict {
        if most == 0 {
            return Verdict::Send;
        }
        let place = self.hasher.hash_one(network(client.to_canonical())) & (PLACES as u64 - 1);
        let place = &self.places[usize::try_from(place).unwrap_or_default()];
        let second = u64::from(now) << 32;
        // Where two come at the same time at the turn of a second, one isn't counted.
        let count = if place.load(Ordering::Relaxed) & !u64::from(u32::MAX) == second {
            (place.fetch_add(1, Ordering::Relaxed) & u64::from(u32::MAX)) + 1
        } else {
            place.store(second | 1, Ordering::Relaxed);
            1
        };
        match count.checked_sub(u64::from(most) + 1) {
            None => Verdict::Send,
            Some(beyond) if beyond % 2 == 0 => Verdict::Truncate,
            Some(_) => Verdict::Drop,
        }
    }
}

/// The network of whoever sends: nobody is given less (/24 and /56, as other servers have it).
pub fn network(client: IpAddr) -> u128 {
    match client {
        IpAddr::V4(v4) => u128::from(u32::from(v4) >> 8),
        IpAddr::V6(v6) => 1 << 127 | u128::from(v6) >> 72,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(rates: &Rates, client: &str, now: u32) -> [usize; 3] {
        let client = client.parse().expect("an address");
        let verdicts: Vec<Verdict> = (0..20).map(|_| rates.judge(client, now, 10)).collect();
        [Verdict::Send, Verdict::Truncate, Verdict::Drop]
            .map(|meant| verdicts.iter().filter(|verdict| **verdict == meant).count())
    }

    #[test]
    fn beyond_the_limit_half_is_truncated_and_half_is_dropped_until_the_next_second() {
        let rates = Rates::default();
        assert_eq!(count(&rates, "192.0.2.1", 7), [10, 5, 5]);
        assert_eq!(count(&rates, "192.0.2.77", 7), [0, 10, 10], "of the same network");
        assert_eq!(count(&rates, "::ffff:192.0.2.9", 7), [0, 10, 10], "the same in other words");
        assert_eq!(count(&rates, "192.0.2.1", 8), [10, 5, 5]);
        assert_eq!(count(&rates, "2001:db8::1", 8), [10, 5, 5]);
        assert_eq!(count(&rates, "2001:db8:0:ff::1", 8), [0, 10, 10], "of the same network");
    }

    #[test]
    fn none_is_no_limit() {
        let rates = Rates::default();
        let client = "192.0.2.1".parse().expect("an address");
        assert!((0..1000).all(|_| rates.judge(client, 1, 0) == Verdict::Send));
    }
}
