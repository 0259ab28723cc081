//! How late this machine is: a pause that was measured while it had too much to do is no measurement.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

/// Between two looks at the clock.
const TICK: Duration = Duration::from_millis(10);

/// Watches a timer beside the flood until it is dropped.
#[derive(Debug)]
pub struct Lateness {
    task: JoinHandle<()>,
    longest_ms: Arc<AtomicU64>,
}

impl Lateness {
    /// From now on.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn watch() -> Lateness {
        let longest_ms = Arc::<AtomicU64>::default();
        let seen = longest_ms.clone();
        let task = tokio::spawn(async move {
            loop {
                let due = Instant::now() + TICK;
                tokio::time::sleep_until(due.into()).await;
                seen.fetch_max(u64::try_from(due.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        });
        Lateness { task, longest_ms }
    }

    /// The longest time that the timer was late so far, in milliseconds.
    pub fn longest_ms(&self) -> u64 {
        self.longest_ms.load(Ordering::Relaxed)
    }
}

impl Drop for Lateness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_holds_the_thread_makes_timers_late() {
        let lateness = Lateness::watch();
        // Until it has begun to wait.
        tokio::time::sleep(2 * TICK).await;
        std::thread::sleep(10 * TICK);
        tokio::time::sleep(2 * TICK).await;
        assert!(lateness.longest_ms() >= 80, "{} ms", lateness.longest_ms());
    }
}
