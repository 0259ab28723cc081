//! The end of an accepted stream that we bring about, at a moment at which its peer loses nothing by it.
//!
//! Everything that came is settled first: it is on its way, in order, before the peer says more on another
//! stream. What the peer says after our end still passes, unless the peer counts what we acknowledge. So our end
//! is said in a pause of what the peer says, early in it, when nothing of it is on the way to us. One that counts is
//! asked for its own count first, so that it is known how long our words take to be heard. Where there is no such
//! pause for long, we vouch: if few stanzas came before its answer, and outcomes follow soon, what is still open is
//! acknowledged with our end, so that the peer doesn't return it. Who has much to say that we haven't heard yet is
//! listened to instead, for nearly as long as there is time; or, where nothing hurries, for as long as it takes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Accepted, StreamError, words};

/// What is shorter is no pause, but the way in which stanzas come over a network.
// COMPAT(Prosody 0.12): when it reads our end, it closes its own side at once and returns to their senders those
// of its last 500 stanzas that aren't acknowledged; no word of ours that comes later could change that.
const BREATH: Duration = Duration::from_millis(5);
/// For so long a pause of who doesn't count must be known to go on.
// COMPAT(ejabberd 23.01): what it says while it reads our end is gone without a word. Where something is said each few
// milliseconds, a pause that comes about by chance is over before it has read that.
const MARGIN: Duration = Duration::from_millis(20);
/// So many pauses like that must be remembered.
const KNOWN: usize = 3;
/// Who has said nothing for so long, and for longer than ever, has stopped.
const STOPPED: Duration = Duration::from_millis(500);
/// Who pauses for longer doesn't speak by any rhythm.
const LONG: Duration = Duration::from_secs(1);
/// Pauses that are remembered.
const LATELY: usize = 16;
/// With no more stanzas before its answer, nothing is waiting to be read by us that the peer would have to return.
const FEW: u64 = 50;
/// In which time what came must get its outcome, so that what came after it is known to be on its way, and not waiting.
const SOON: Duration = Duration::from_millis(250);
/// No more stanzas are vouched for.
const VOUCHED: u64 = 100;
/// Before it is tried again, where that didn't do.
const AGAIN: Duration = Duration::from_secs(1);

/// When the peer speaks.
#[derive(Debug)]
pub(super) struct Rhythm {
    /// Its last stanza.
    heard: Instant,
    /// Its last pauses between two stanzas, the latest first.
    pauses: VecDeque<Duration>,
}

impl Rhythm {
    pub(super) fn new(now: Instant) -> Rhythm {
        Rhythm { heard: now, pauses: VecDeque::new() }
    }

    pub(super) fn hear(&mut self, now: Instant) {
        let pause = now.saturating_duration_since(self.heard);
        if pause >= BREATH {
            self.pauses.truncate(LATELY - 1);
            self.pauses.push_front(pause.min(LONG));
        }
        self.heard = now;
    }

    /// The first moment from `at` on at which the peer pauses and is likely to go on doing so for as long again.
    fn pauses_at(&self, at: Instant) -> Instant {
        let from = at.saturating_duration_since(self.heard).max(BREATH);
        let goes_on = |paused: &Duration| {
            // None of its pauses took about as long as this one does now, or ends soon.
            !self.pauses.iter().any(|pause| *pause * 3 > *paused * 2 && *pause < *paused * 2)
        };
        let moments = self.pauses.iter().map(|pause| *pause * 3 / 2).filter(|moment| *moment > from).chain([from]);
        self.heard + moments.filter(goes_on).min().unwrap_or(LONG * 2)
    }

    /// The same for a peer that doesn't count: the moment must be early in a pause of a kind that is well known, or the peer
    /// has stopped.
    fn surely_pauses_at(&self, at: Instant) -> Instant {
        let from = at.saturating_duration_since(self.heard).max(BREATH);
        let goes_on = |paused: &Duration| {
            // Those that took as long as this one does now, and what they took in the end.
            let like_it = || self.pauses.iter().filter(|pause| **pause * 3 > *paused * 2);
            like_it().all(|pause| *pause >= (*paused * 2).max(*paused + MARGIN)) && like_it().count() >= KNOWN
        };
        let moments = self.pauses.iter().map(|pause| *pause * 3 / 2).filter(|moment| *moment > from).chain([from]);
        let longest = self.pauses.iter().max().copied().unwrap_or_default();
        let stopped = (longest * 3 / 2).max(STOPPED).max(from);
        self.heard + moments.filter(goes_on).chain([stopped]).min().unwrap_or(stopped)
    }
}

/// By when an end has to be.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// From when on any moment will do.
    hurry: Instant,
    /// From when on nothing more is looked at.
    deaf: Instant,
    /// When waiting for anything ends.
    until: Instant,
}

/// What shows that outcomes follow soon.
#[derive(Debug, Clone, Copy)]
struct Flow {
    /// All up to this one are settled by then.
    mark: u64,
    until: Instant,
}

/// An end that is to come.
#[derive(Debug)]
pub(super) struct Finish {
    error: Option<StreamError>,
    /// When it was last looked whether it is time.
    looked: Instant,
    /// When the peer was asked for its count, and after how many stanzas, until it answers.
    asked: Option<(Instant, u64)>,
    /// From when on an end without a pause is sought.
    seek: Instant,
    /// Which stanzas have to be settled for it, and until when.
    flow: Option<Flow>,
    /// By when it has to be; nothing where it takes as long as it takes.
    bounds: Option<Bounds>,
    /// When waiting for the peer's end does, where that is to be sooner than it would be.
    over: Option<Instant>,
}

impl Accepted {
    /// Ends our side as soon as all that came is settled and the peer pauses, with an error if there is one to
    /// tell; where it doesn't pause, at a moment that is made for it. As with [`close`](Self::close), reading goes
    /// on until the peer's end, but not after `over`, if that is given. Only the first call counts.
    pub fn finish(&mut self, now: Instant, error: Option<StreamError>, over: Option<Instant>) {
        // Whoever took his time has none any more.
        if self.finish.as_ref().is_some_and(|finish| finish.bounds.is_some()) || self.wire.is_closing() {
            return;
        }
        let drain = self.wire.settings.drain;
        let part = over.map_or(drain, |over| drain.min(over.saturating_duration_since(now))) / 12;
        let [seek, hurry, deaf, until] = [6, 8, 9, 10].map(|parts| now + part * parts);
        let bounds = Some(Bounds { hurry, deaf, until });
        self.finish = Some(Finish { error, looked: now, asked: None, seek, flow: None, bounds, over });
        self.finish_in_time(now);
    }

    /// The same without any hurry: where the peer never pauses, and doesn't count, so that no pause can be made for it, it
    /// says on what it has to say.
    pub fn finish_patiently(&mut self, now: Instant, error: Option<StreamError>) {
        if self.finish.is_some() || self.wire.is_closing() {
            return;
        }
        let seek = now + AGAIN;
        self.finish = Some(Finish { error, looked: now, asked: None, seek, flow: None, bounds: None, over: None });
        self.finish_in_time(now);
    }

    /// From then on, at which moment the peer pauses and is likely to go on doing so.
    fn pauses_at(&self, at: Instant) -> Instant {
        if self.handled.is_counted() { self.rhythm.pauses_at(at) } else { self.rhythm.surely_pauses_at(at) }
    }

    /// When to look whether our side ends.
    pub(super) fn finish_at(&self) -> Option<Instant> {
        let finish = self.finish.as_ref().filter(|_| !self.wire.is_closing())?;
        let bounds = finish.bounds.iter().flat_map(|bounds| [bounds.hurry, bounds.deaf, bounds.until]);
        let moments = bounds.chain([finish.seek]).chain(finish.flow.map(|flow| flow.until));
        let last = finish.bounds.map(|bounds| bounds.until);
        let at = moments.filter(|at| *at > finish.looked).min().or(last);
        self.may_finish_at(finish).into_iter().chain(at).min()
    }

    /// From the last look on, when our side may end, if nothing is open.
    fn may_finish_at(&self, finish: &Finish) -> Option<Instant> {
        let looked = finish.looked;
        if self.flows(finish) {
            return Some(looked);
        }
        let is_past = |moment: fn(&Bounds) -> Instant| finish.bounds.is_some_and(|bounds| looked >= moment(&bounds));
        match (is_past(|bounds| bounds.hurry), is_past(|bounds| bounds.deaf) || self.wire.input.is_empty()) {
            _ if !self.handled.is_settled() => None,
            (true, true) => Some(looked),
            (false, true) => finish.asked.is_none().then(|| self.pauses_at(looked)),
            (_, false) => None,
        }
    }

    /// Whether what is open may be vouched for, and the peer has just spoken, so that it won't at once again.
    fn flows(&self, finish: &Finish) -> bool {
        let just_spoke = finish.looked.saturating_duration_since(self.rhythm.heard) <= BREATH / 2;
        let soon = finish.flow.is_some_and(|flow| self.handled.settled() >= flow.mark);
        soon && self.handled.open() <= VOUCHED && just_spoke && self.wire.input.is_empty()
    }

    /// Ends our side if it is time; or asks the peer first whether it listens, or whether we have all that it said.
    pub(super) fn finish_in_time(&mut self, now: Instant) {
        if self.wire.is_closing() {
            return;
        }
        let Some(finish) = self.finish.as_mut() else { return };
        finish.looked = now;
        let flows = self.finish.as_ref().is_some_and(|finish| self.flows(finish));
        let Some(finish) = self.finish.as_mut() else { return };
        if !flows && finish.flow.is_some_and(|flow| now >= flow.until) {
            (finish.flow, finish.seek) = (None, now + AGAIN);
        }
        let (hurry, until) = finish.bounds.map_or((false, false), |bounds| (now >= bounds.hurry, now >= bounds.until));
        let Some(finish) = self.finish.as_ref() else { return };
        let may = self.may_finish_at(finish).is_some_and(|may| now >= may);
        let counts = self.handled.is_counted();
        // What a peer that doesn't count still says is taken after our end, too.
        if until || (hurry && !counts) || (may && (hurry || !counts || flows)) {
            if flows {
                self.handled.vouch();
            }
            return self.finish_now(now);
        }
        let seek = counts && now >= finish.seek && finish.flow.is_none() && finish.asked.is_none();
        let received = self.handled.received();
        let Some(finish) = self.finish.as_mut() else { return };
        if may || seek {
            finish.asked = Some((now, received));
            self.wire.send(words::empty(words::STREAM_MANAGEMENT, "r"));
        }
    }

    /// The peer has told its count (XEP-0198 §4): our side ends if the pause is likely to last until it hears that.
    /// Where it doesn't pause, this tells how much it has said that we hadn't read.
    pub(super) fn answered_count(&mut self, now: Instant) {
        let received = self.handled.received();
        let Some(finish) = &mut self.finish else { return };
        let Some((asked, before)) = finish.asked.take() else { return };
        let heard = now + now.saturating_duration_since(asked);
        finish.looked = heard;
        let may_make_one = now >= finish.seek;
        if may_make_one && received - before <= FEW {
            finish.flow = Some(Flow { mark: received, until: now + SOON });
        } else if may_make_one {
            finish.seek = now + AGAIN;
        }
        let pauses = self.wire.input.is_empty() && self.rhythm.pauses_at(heard) == heard;
        if self.handled.is_settled() && !self.wire.is_closing() && pauses {
            self.finish_now(now);
        }
    }

    fn finish_now(&mut self, now: Instant) {
        let Some(finish) = self.finish.as_mut() else { return };
        let (error, over) = (finish.error.take(), finish.over);
        self.close(now, error.as_ref());
        self.wire.is_over_by(over);
    }

    /// Whether what the peer says isn't looked at any more, so that what has come can all be settled.
    pub(super) fn is_deaf(&self, now: Instant) -> bool {
        let bounds = self.finish.as_ref().and_then(|finish| finish.bounds);
        let deaf = bounds.is_some_and(|bounds| now >= bounds.deaf);
        deaf && self.handled.is_counted() && !self.wire.is_closing()
    }
}
