//! The end of an accepted stream that we bring about, at a moment at which its peer loses nothing by it.
//!
//! Everything that came is settled first: it is on its way, in order, before the peer says more on another
//! stream. What the peer says after our end still passes, unless the peer counts what we acknowledge.
//! So our end is said in a pause of what the peer says, when nothing of it is on the way to us. The less time
//! is left, the shorter a pause will do; where there is none, what has come is settled, and no more looked at.

use std::time::{Duration, Instant};

use super::{Accepted, StreamError};

/// The pause is this part of the time that is left.
// COMPAT(Prosody 0.12): when it reads our end, it closes its own side at once and returns to their senders those
// of its last 500 stanzas that aren't acknowledged; no word of ours that comes later could change that.
const PAUSE: u32 = 1000;

/// An end that is to come.
#[derive(Debug)]
pub(super) struct Finish {
    error: Option<StreamError>,
    /// When waiting for a pause ends.
    last_call: Instant,
    /// That has been.
    called: bool,
    /// When waiting for anything ends.
    until: Instant,
}

impl Accepted {
    /// Ends our side as soon as all that came is settled and the peer pauses, with an error if there is one to
    /// tell; after most of the time to drain whatever is settled. As with [`close`](Self::close), reading goes
    /// on until the peer's end. Only the first call counts.
    pub fn finish(&mut self, now: Instant, error: Option<StreamError>) {
        if self.finish.is_some() || self.wire.is_closing() {
            return;
        }
        let sixth = self.wire.settings.drain / 6;
        self.finish = Some(Finish { error, last_call: now + sixth * 4, called: false, until: now + sixth * 5 });
        self.finish_in_time(now);
    }

    /// When to look whether our side ends.
    pub(super) fn finish_at(&self) -> Option<Instant> {
        let finish = self.finish.as_ref().filter(|_| !self.wire.is_closing())?;
        let at = if finish.called { finish.until } else { finish.last_call };
        Some(self.pause_ends(finish).map_or(at, |pause| pause.min(at)))
    }

    /// When the peer has paused for long enough, if nothing is open.
    fn pause_ends(&self, finish: &Finish) -> Option<Instant> {
        let nothing_open = self.handled.is_settled() && (finish.called || self.wire.input.is_empty());
        let left = if finish.called { Duration::ZERO } else { finish.last_call.saturating_duration_since(self.heard) };
        nothing_open.then(|| self.heard + left / PAUSE)
    }

    /// Ends our side if it is time.
    pub(super) fn finish_in_time(&mut self, now: Instant) {
        let Some(finish) = self.finish.as_mut().filter(|_| !self.wire.is_closing()) else { return };
        finish.called |= now >= finish.last_call;
        let (called, until) = (finish.called, finish.until);
        // What a peer that doesn't count still says is taken after our end, too.
        let over = now >= until || (called && !self.handled.is_counted());
        let paused = self.finish.as_ref().and_then(|finish| self.pause_ends(finish)).is_some_and(|ends| now >= ends);
        if over || paused {
            let error = self.finish.as_mut().and_then(|finish| finish.error.take());
            self.close(now, error.as_ref());
        }
    }

    /// Whether what the peer says isn't looked at any more, so that it comes to an end what has come.
    pub(super) fn looks_no_more(&self) -> bool {
        let called = self.finish.as_ref().is_some_and(|finish| finish.called);
        called && self.handled.is_counted() && !self.wire.is_closing()
    }
}
