//! Targets that failed lately: tried last until their time is over, so that one dead server costs a delay once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::resolve::Target;

/// After a first failure; doubles with each further one.
const FIRST: Duration = Duration::from_secs(10);
/// The longest that a target is held to be dead without a new look.
const LONGEST: Duration = Duration::from_secs(300);
/// As many are remembered; the one that is over first makes room.
const MOST: usize = 4096;

/// Which addresses failed lately, and until when that counts.
#[derive(Debug, Default)]
pub struct Dead {
    failed: HashMap<SocketAddr, Failed>,
}

#[derive(Debug, Clone, Copy)]
struct Failed {
    until: Instant,
    span: Duration,
}

impl Dead {
    /// Puts those that count as dead behind the others; the order is kept otherwise.
    pub fn sort(&self, targets: &mut [Target], now: Instant) {
        targets.sort_by_key(|target| self.is_dead(&target.address, now));
    }

    /// Whether it failed lately.
    pub fn is_dead(&self, address: &SocketAddr, now: Instant) -> bool {
        self.failed.get(address).is_some_and(|failed| now < failed.until)
    }

    /// It failed now. Failing again after its time counts for twice as long.
    pub fn failed(&mut self, address: SocketAddr, now: Instant) {
        let span = match self.failed.get(&address) {
            // One failure that several attempts met at once.
            Some(before) if now < before.until => return,
            Some(before) => (before.span * 2).min(LONGEST),
            None => FIRST,
        };
        if self.failed.len() >= MOST {
            let first = self.failed.iter().min_by_key(|(_, failed)| failed.until).map(|(address, _)| *address);
            first.and_then(|address| self.failed.remove(&address));
        }
        self.failed.insert(address, Failed { until: now + span, span });
    }

    /// It answered.
    pub fn succeeded(&mut self, address: &SocketAddr) {
        self.failed.remove(address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(number: u8) -> Target {
        Target { host: format!("xmpp{number}.fabrikam.test"), address: address(number), direct_tls: false }
    }

    fn address(number: u8) -> SocketAddr {
        ([127, 0, 0, number], 5269).into()
    }

    #[test]
    fn the_dead_come_last_until_their_time_is_over() {
        let now = Instant::now();
        let mut dead = Dead::default();
        dead.failed(address(1), now);
        let order = |dead: &Dead, now| {
            let mut targets = vec![target(1), target(2), target(3)];
            dead.sort(&mut targets, now);
            targets.iter().map(|target| target.address).collect::<Vec<_>>()
        };
        assert_eq!(order(&dead, now), [address(2), address(3), address(1)]);
        assert_eq!(order(&dead, now + FIRST), [address(1), address(2), address(3)]);
        dead.failed(address(1), now + FIRST);
        assert!(dead.is_dead(&address(1), now + FIRST * 2), "twice as long the second time");
        dead.succeeded(&address(1));
        assert!(!dead.is_dead(&address(1), now + FIRST * 2));
    }

    #[test]
    fn memory_is_bounded() {
        let now = Instant::now();
        let mut dead = Dead::default();
        for port in 1..=u16::MAX {
            dead.failed(([127, 0, 0, 1], port).into(), now + Duration::from_millis(port.into()));
        }
        assert_eq!(dead.failed.len(), MOST);
        assert!(!dead.is_dead(&([127, 0, 0, 1], 1).into(), now), "the oldest made room");
    }
}
