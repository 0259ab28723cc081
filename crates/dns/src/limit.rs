//! A limit on how many of something there are at once, and warnings that are rare: whoever floods
//! us must not flood the log too.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The limit.
pub(crate) struct Limit {
    what: &'static str,
    most: usize,
    room: Arc<Semaphore>,
    warning: Rarely,
}

impl Limit {
    /// At most so many of `what`.
    pub(crate) fn new(what: &'static str, most: usize) -> Limit {
        Limit { what, most, room: Arc::new(Semaphore::new(most)), warning: Rarely::new(Duration::from_secs(10)) }
    }

    /// How many places are taken, and how many there are.
    pub(crate) fn taken(&self) -> (usize, usize) {
        (self.most - self.room.available_permits(), self.most)
    }

    /// A place, kept until it is dropped; nothing when all are taken.
    pub(crate) fn enter(&self) -> Option<OwnedSemaphorePermit> {
        let place = self.room.clone().try_acquire_owned().ok();
        if place.is_none() && self.warning.is_due(Instant::now()) {
            tracing::warn!(most = self.most, "{}: the limit is reached, and more are turned away", self.what);
        }
        place
    }
}

/// Something to do once in a while.
pub(crate) struct Rarely {
    between: Duration,
    last: Mutex<Option<Instant>>,
}

impl Rarely {
    /// Once `between` has passed since it was done last.
    pub(crate) fn new(between: Duration) -> Rarely {
        Rarely { between, last: Mutex::default() }
    }

    /// Whether to do it now; then it counts as done.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now.saturating_duration_since(last) >= self.between);
        if due {
            *last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_free_again_when_they_are_left() {
        let limit = Limit::new("tests", 2);
        let places = (limit.enter(), limit.enter());
        assert!(places.0.is_some() && places.1.is_some() && limit.enter().is_none());
        assert_eq!(limit.taken(), (2, 2));
        drop(places);
        assert!(limit.enter().is_some());
    }

    #[test]
    fn rarely_is_not_often() {
        let (warning, now) = (Rarely::new(Duration::from_secs(10)), Instant::now());
        let due: Vec<u64> = (0..30).filter(|seconds| warning.is_due(now + Duration::from_secs(*seconds))).collect();
        assert_eq!(due, [0, 10, 20]);
    }
}
