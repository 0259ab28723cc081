//! What the tests share: the daemon under test, clients, scripted resolvers.

mod client;
mod daemon;
mod resolver;

pub(crate) use client::{ask, query, question, tcp, udp, udp_from, uninterrupted, with_edns};
pub(crate) use daemon::Daemon;
pub(crate) use resolver::{Resolver, Say, address, aliases, denied, error, reply};

use std::time::{Duration, Instant};

/// No wait is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `met` gives something.
pub(crate) fn eventually<T>(what: &str, mut met: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = met() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
