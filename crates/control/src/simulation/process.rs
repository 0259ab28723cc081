//! A process that can be killed and paused at any moment: none of its tasks goes on then.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::task::AbortHandle;

/// Copies are the same process.
#[derive(Debug, Clone, Default)]
pub(super) struct Process(Arc<Mutex<Gate>>);

#[derive(Debug, Default)]
struct Gate {
    paused: bool,
    killed: bool,
    waiting: Vec<Waker>,
    tasks: Vec<AbortHandle>,
}

/// Where a process halts: before or after something that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Halt {
    pub(super) at: u64,
    pub(super) moment: Moment,
    /// It ends; otherwise it stands still.
    pub(super) ends: bool,
}

/// Before or after something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Before,
    After,
}

impl Halt {
    /// Halts the process if this is where it is to; says whether it is.
    pub(super) fn halts(self, process: &Process, number: u64, moment: Moment) -> bool {
        let here = (self.at, self.moment) == (number, moment);
        match (here, self.ends) {
            (true, true) => process.kill(),
            (true, false) => process.pause(),
            (false, _) => {}
        }
        here
    }
}

/// What goes on only while its process does.
pub(super) struct Gated<F: Future> {
    process: Process,
    inner: Pin<Box<F>>,
}

impl Process {
    pub(super) fn new() -> Process {
        Process::default()
    }

    /// Goes on with this for as long as the process does.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let handle = tokio::spawn(self.gated(task)).abort_handle();
        let mut gate = self.gate();
        gate.tasks.retain(|task| !task.is_finished());
        gate.tasks.push(handle.clone());
        handle
    }

    /// This, where somebody else awaits it: it never ends once the process is gone.
    pub(super) fn gated<F: Future>(&self, inner: F) -> Gated<F> {
        Gated { process: self.clone(), inner: Box::pin(inner) }
    }

    /// Ends it wherever it is, as `kill -9` does.
    pub(super) fn kill(&self) {
        let tasks = {
            let mut gate = self.gate();
            gate.killed = true;
            std::mem::take(&mut gate.tasks)
        };
        tasks.iter().for_each(AbortHandle::abort);
    }

    /// It stands still, as `kill -STOP` has it.
    pub(super) fn pause(&self) {
        self.gate().paused = true;
    }

    /// It goes on, much later than it believes.
    pub(super) fn resume(&self) {
        let waiting = {
            let mut gate = self.gate();
            gate.paused = false;
            std::mem::take(&mut gate.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    pub(super) fn is_paused(&self) -> bool {
        self.gate().paused
    }

    pub(super) fn is_killed(&self) -> bool {
        self.gate().killed
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Future> Future for Gated<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        {
            let mut gate = self.process.gate();
            if gate.killed {
                return Poll::Pending;
            }
            if gate.paused {
                gate.waiting.push(cx.waker().clone());
                return Poll::Pending;
            }
        }
        self.inner.as_mut().poll(cx)
    }
}
