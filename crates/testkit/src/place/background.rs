//! Keeps a laboratory's own servers running in a place until they are dropped.

use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::Place;

/// Work on a thread of its own, which ends when this is dropped, with every task that it started.
#[derive(Debug)]
pub(crate) struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts `work` in a runtime of its own inside `place`.
    pub(crate) fn start<F: Future<Output = ()>>(
        place: &Place,
        work: impl FnOnce() -> F + Send + 'static,
    ) -> Background {
        let (stop, stopped) = oneshot::channel();
        let place = place.clone();
        let thread = std::thread::spawn(move || {
            place.enter_thread();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(async {
                tokio::select! {
                    () = work() => {}
                    _ = stopped => {}
                }
            });
        });
        Background { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("one of the laboratory's own servers panicked, see above");
        }
    }
}
