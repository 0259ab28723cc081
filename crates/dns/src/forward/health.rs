//! Which resolver was silent lately, and until when it is asked last.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);

/// What is remembered of one resolver. A dead one is tried again in its old place after a while
/// that doubles with each failure, at the price of one head start.
#[derive(Debug, Default)]
pub(super) struct Health {
    dead: Option<Dead>,
}

#[derive(Debug, Clone, Copy)]
struct Dead {
    until: Instant,
    penalty: Duration,
}

impl Health {
    /// Until when it counts as dead; nothing when it doesn't.
    pub(super) fn dead_until(&self, now: Instant) -> Option<Instant> {
        self.dead.map(|dead| dead.until).filter(|until| *until > now)
    }

    /// It answered. Whether that is news.
    pub(super) fn works(&mut self) -> bool {
        self.dead.take().is_some()
    }

    /// It did not answer. Whether that is news. Failures of questions that were asked before it
    /// was known to be dead count once.
    pub(super) fn fails(&mut self, now: Instant) -> bool {
        let known = self.dead;
        if known.is_none_or(|dead| dead.until <= now) {
            let penalty = known.map_or(FIRST, |dead| (dead.penalty * 2).min(LONGEST));
            self.dead = Some(Dead { until: now + penalty, penalty });
        }
        known.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_penalty_doubles_while_it_stays_silent() {
        let (mut health, start) = (Health::default(), Instant::now());
        assert!(health.fails(start));
        assert!(!health.fails(start), "a second silence at once is no news and no second penalty");
        assert_eq!(health.dead_until(start), Some(start + FIRST));
        let later = start + FIRST;
        assert_eq!(health.dead_until(later), None, "it is tried again");
        assert!(!health.fails(later));
        assert_eq!(health.dead_until(later), Some(later + 2 * FIRST));
        let mut now = later;
        for _ in 0..20 {
            now += LONGEST;
            health.fails(now);
        }
        assert_eq!(health.dead_until(now), Some(now + LONGEST));
        assert!(health.works());
        assert!(!health.works());
        assert!(health.fails(now));
        assert_eq!(health.dead_until(now), Some(now + FIRST), "a new illness begins small");
    }
}
