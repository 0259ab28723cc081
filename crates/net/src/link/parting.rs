//! When a pair may go another way without overtaking what its next server still has to read.

use std::time::Instant;

use crate::hold::READING;

/// What a server may still be reading.
#[derive(Debug, Default)]
pub(super) struct Parting {
    /// When something was last out, or had arrived.
    latest: Option<Instant>,
    /// Until when the server's own end is waited for, which comes behind all that it has read.
    until: Option<Instant>,
}

/// What is known of the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// Something was written that isn't taken.
    pub(super) is_open: bool,
    /// It has told of everything that is taken.
    pub(super) has_told: bool,
    /// It may be gone.
    pub(super) is_silent: bool,
}

/// What comes next for whoever leads the pair another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Our side ends, as the server can tell only by its own end what it has read.
    Part,
    /// That is waited for.
    Wait,
    /// The other way may be used, as soon as what is open is taken.
    Go,
}

impl Parting {
    /// Something has left us, or has arrived.
    pub(super) fn moved(&mut self, now: Instant) {
        self.latest = Some(now);
    }

    /// Our side has ended, so that the server's end tells.
    pub(super) fn begin(&mut self, now: Instant) {
        self.until = Some(now + READING);
    }

    /// The server's end has come, or nobody waits for it any more.
    pub(super) fn end(&mut self) {
        self.until = None;
    }

    /// Until when the server's end is waited for, if it still is.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| now < *until)
    }

    pub(super) fn next(&self, now: Instant, known: Known) -> Next {
        let Known { is_open, has_told, is_silent } = known;
        let may_be_read = is_open || self.latest.is_some_and(|latest| now < latest + READING);
        match self.until {
            // What is still open of such a one is waited for by who gave it.
            _ if has_told || is_silent => Next::Go,
            None if may_be_read => Next::Part,
            Some(until) if now < until => Next::Wait,
            _ => Next::Go,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const READ: Known = Known { is_open: false, has_told: false, is_silent: false };

    #[test]
    fn who_cannot_tell_is_asked_by_our_end_and_waited_for() {
        let (mut parting, now) = (Parting::default(), Instant::now());
        assert_eq!(parting.next(now, READ), Next::Go, "nothing was sent");
        parting.moved(now);
        let late = now + READING - Duration::from_millis(1);
        assert_eq!((parting.next(now, READ), parting.next(late, READ)), (Next::Part, Next::Part));
        assert_eq!(parting.next(now + READING, READ), Next::Go, "it has had the time to read it");
        assert_eq!(parting.next(now + READING, Known { is_open: true, ..READ }), Next::Part);
        parting.begin(late);
        assert_eq!((parting.next(late, READ), parting.until(late)), (Next::Wait, Some(late + READING)));
        assert_eq!((parting.next(late + READING, READ), parting.until(late + READING)), (Next::Go, None));
    }

    #[test]
    fn nobody_waits_for_who_has_told_or_may_be_gone() {
        let (mut parting, now) = (Parting::default(), Instant::now());
        parting.moved(now);
        for begun in [false, true] {
            for known in [Known { has_told: true, ..READ }, Known { is_silent: true, is_open: true, ..READ }] {
                assert_eq!(parting.next(now, known), Next::Go, "begun: {begun}, {known:?}");
            }
            parting.begin(now);
        }
    }
}
