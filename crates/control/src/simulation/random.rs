//! Numbers that look random, from a seed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The same seed gives the same numbers. Copies draw from the same row.
#[derive(Debug, Clone)]
pub(super) struct Random(Arc<Mutex<u64>>);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(Arc::new(Mutex::new(seed)))
    }

    fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(super) fn between(&self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    pub(super) fn percent(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn milliseconds(&self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.between(least, most))
    }

    /// One of them; nothing of none.
    pub(super) fn of<T: Clone>(&self, choices: &[T]) -> Option<T> {
        let chosen = usize::try_from(self.below(choices.len() as u64)).unwrap_or_default();
        choices.get(chosen).cloned()
    }
}
