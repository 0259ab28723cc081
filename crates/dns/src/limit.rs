//! A limit on how many of something there are at once, which says when it is reached.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Whoever floods us must not flood the log too.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(10);

/// The limit.
pub(crate) struct Limit {
    what: &'static str,
    most: usize,
    room: Arc<Semaphore>,
    warned: Mutex<Option<Instant>>,
}

impl Limit {
    /// At most so many of `what`.
    pub(crate) fn new(what: &'static str, most: usize) -> Limit {
        Limit { what, most, room: Arc::new(Semaphore::new(most)), warned: Mutex::default() }
    }

    /// A place, kept until it is dropped; nothing when all are taken.
    pub(crate) fn enter(&self) -> Option<OwnedSemaphorePermit> {
        let place = self.room.clone().try_acquire_owned().ok();
        if place.is_none() && self.may_warn(Instant::now()) {
            tracing::warn!(most = self.most, "{}: the limit is reached, and more are turned away", self.what);
        }
        place
    }

    fn may_warn(&self, now: Instant) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let may = warned.is_none_or(|last| now.saturating_duration_since(last) >= BETWEEN_WARNINGS);
        if may {
            *warned = Some(now);
        }
        may
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
        drop(places);
        assert!(limit.enter().is_some());
    }

    #[test]
    fn warnings_are_rare() {
        let (limit, now) = (Limit::new("tests", 0), Instant::now());
        assert!(limit.may_warn(now));
        assert!(!limit.may_warn(now + BETWEEN_WARNINGS / 2));
        assert!(limit.may_warn(now + BETWEEN_WARNINGS));
    }
}
