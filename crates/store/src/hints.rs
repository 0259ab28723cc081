//! Hints that something may have changed: many changes are one hint, and none is missed.

use std::fmt;

use tokio::sync::watch;
use tokio::task::JoinSet;

/// Where hints come out.
pub struct Hints {
    changes: watch::Receiver<u64>,
    /// What feeds them, where it is nobody else's task.
    _feeding: JoinSet<()>,
}

/// Where hints go in.
#[derive(Debug, Clone)]
pub struct Hinter(watch::Sender<u64>);

impl Hints {
    /// A pair. The hints never end, also when nobody is left to give any.
    pub fn new() -> (Hinter, Hints) {
        let (sender, changes) = watch::channel(0);
        (Hinter(sender), Hints { changes, _feeding: JoinSet::new() })
    }

    /// Has `feeding` work for as long as the hints are listened to.
    pub fn fed_by(mut self, feeding: impl Future<Output = ()> + Send + 'static) -> Hints {
        self._feeding.spawn(feeding);
        self
    }

    /// Waits until something may have changed since the last hint, or since the hints were asked for.
    pub async fn next(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Hinter {
    /// Something may have changed. Says whether anybody listens.
    pub fn hint(&self) -> bool {
        self.0.send_modify(|changes| *changes = changes.wrapping_add(1));
        self.0.receiver_count() > 0
    }
}

impl fmt::Debug for Hints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hints")
    }
}
