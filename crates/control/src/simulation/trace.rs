//! What happened in a simulation, line by line, and what must not have.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::clock;

/// Copies are the same trace.
#[derive(Debug, Clone, Default)]
pub(super) struct Trace(Arc<Mutex<Written>>);

#[derive(Debug, Default)]
struct Written {
    lines: Vec<String>,
    fault: Option<String>,
}

impl Trace {
    /// Something happened.
    pub(super) fn say(&self, what: impl std::fmt::Display) {
        let line = format!("{:>7} ms  {what}", clock::elapsed().as_millis());
        self.written().lines.push(line);
    }

    /// Something happened that must not. The first of these counts.
    pub(super) fn wrong(&self, what: impl std::fmt::Display) {
        self.say(format_args!("WRONG: {what}"));
        self.written().fault.get_or_insert(what.to_string());
    }

    /// What must not have happened.
    pub(super) fn fault(&self) -> Option<String> {
        self.written().fault.clone()
    }

    /// All of it.
    pub(super) fn text(&self) -> String {
        self.written().lines.join("\n")
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
