//! Whether a peer that was written to is still there: what its kernel acknowledges and what itself says.
//!
//! A way that is dead without a word looks like one on which the next packet is late, so doubt doesn't
//! end a stream: another way has to be found first, or so much time to go by that nobody can wait longer.
//! A stream on which nothing is written is never doubted.

use std::time::{Duration, Instant};

/// A kernel that acknowledges nothing for so long, and for several round trips, isn't sent more for now: what
/// is on its way when a line breaks may have been delivered, and has to go back.
const PAUSE: Duration = Duration::from_millis(300);
const ROUND_TRIPS: u32 = 4;
/// A server that says nothing for so long, while its kernel has all, is sent a byte that its kernel has to acknowledge: what
/// it says may be lost on a line that is dead.
const NUDGE: Duration = Duration::from_millis(500);
/// A kernel that acknowledges nothing for so long may be gone: several retransmissions, also by satellite.
const KERNEL: Duration = Duration::from_secs(2);
/// A server that says nothing for so long, while its kernel takes what it is sent, may be frozen.
const SERVER: Duration = Duration::from_secs(10);
/// Between two looks while something is open.
pub(super) const LOOK: Duration = Duration::from_millis(250);

/// How a peer is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// There is none.
    None,
    /// Not yet, but it is better not to write more.
    Wary,
    /// It may be gone.
    Unsure,
    /// Nobody waits for it any longer.
    Hopeless,
}

impl Doubt {
    /// Whether another way is worth looking for.
    pub(super) fn is_serious(self) -> bool {
        matches!(self, Doubt::Unsure | Doubt::Hopeless)
    }
}

/// For how long a peer is waited for that may be gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Where its kernel acknowledges nothing.
    pub(super) kernel: Duration,
    /// Where only the server is silent.
    pub(super) server: Duration,
}

/// The watch over one stream.
#[derive(Debug)]
pub(super) struct Watch {
    patience: Patience,
    /// Since when something is open and nothing has come.
    since: Option<Instant>,
    /// Bytes that its kernel had acknowledged at the last look.
    acknowledged: u64,
    /// When it was last sent a byte only to hear of its kernel, since something last came.
    nudged: Option<Instant>,
    /// What its kernel acknowledges next is that byte.
    answers_nudge: bool,
}

impl Watch {
    pub(super) fn new(patience: Patience) -> Watch {
        Watch { patience, since: None, acknowledged: 0, nudged: None, answers_nudge: false }
    }

    /// Something came from the peer itself.
    pub(super) fn heard(&mut self) {
        (self.since, self.nudged, self.answers_nudge) = (None, None, false);
    }

    /// Nothing is open: what is written next isn't waited for since earlier.
    pub(super) fn rest(&mut self) {
        self.heard();
    }

    /// Whether it is time for a byte that says nothing; whoever asks sends it then.
    pub(super) fn nudges(&mut self, now: Instant, standing: Option<tcp::Standing>) -> bool {
        let last = self.nudged.or(self.since);
        let is_due =
            last.is_some_and(|last| now >= last + NUDGE) && standing.is_some_and(|standing| standing.is_quiet());
        if is_due {
            (self.nudged, self.answers_nudge) = (Some(now), true);
        }
        is_due
    }

    /// What is to be thought of the peer now. `is_open` is whether something was written that it has not
    /// taken; `standing` is what the kernel knows, where it knows anything.
    pub(super) fn look(&mut self, now: Instant, is_open: bool, standing: Option<tcp::Standing>) -> Doubt {
        if !is_open {
            self.rest();
            return Doubt::None;
        }
        if let Some(standing) = standing
            && standing.acknowledged > self.acknowledged
        {
            self.acknowledged = standing.acknowledged;
            // That its kernel has got a nudge says nothing of the server.
            if !std::mem::take(&mut self.answers_nudge) {
                self.heard();
            }
        }
        let waited = now.saturating_duration_since(*self.since.get_or_insert(now));
        let owing = standing.filter(tcp::Standing::is_owed);
        let kernel = owing.map_or(Duration::ZERO, |standing| standing.silent.min(waited));
        let wary = owing.map_or(PAUSE, |standing| PAUSE + standing.round_trip * ROUND_TRIPS);
        if kernel >= self.patience.kernel || waited >= self.patience.server {
            Doubt::Hopeless
        } else if kernel >= KERNEL || waited >= SERVER {
            Doubt::Unsure
        } else if kernel >= wary {
            Doubt::Wary
        } else {
            Doubt::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { kernel: Duration::from_secs(20), server: Duration::from_secs(60) };

    fn standing(acknowledged: u64, in_flight: u32, silent: u64) -> Option<tcp::Standing> {
        let silent = Duration::from_secs(silent);
        Some(tcp::Standing {
            unsent: 50,
            acknowledged,
            in_flight,
            has_room: false,
            probes: 0,
            silent,
            round_trip: Duration::from_millis(100),
        })
    }

    fn seconds(from: Instant, seconds: u64) -> Instant {
        from + Duration::from_secs(seconds)
    }

    #[test]
    fn an_idle_stream_is_never_doubted() {
        let (mut watch, now) = (Watch::new(PATIENCE), Instant::now());
        assert_eq!(watch.look(now, false, standing(1, 1, 900)), Doubt::None);
        assert_eq!(watch.look(seconds(now, 900), false, standing(1, 1, 1800)), Doubt::None);
        assert_eq!(watch.look(seconds(now, 900), true, standing(1, 1, 1800)), Doubt::None, "written just now");
    }

    #[test]
    fn what_is_written_after_a_rest_is_not_waited_for_since_before_it() {
        let (mut watch, now) = (Watch::new(PATIENCE), Instant::now());
        assert_eq!(watch.look(now, true, standing(1, 1, 0)), Doubt::None);
        watch.rest();
        let later = seconds(now, 100);
        assert_eq!(watch.look(later, true, standing(1, 1, 100)), Doubt::None, "its kernel has had no time yet");
    }

    #[test]
    fn a_kernel_that_acknowledges_nothing_is_doubted_soon_and_given_up_late() {
        let (mut watch, now) = (Watch::new(PATIENCE), Instant::now());
        let mut look = |after| watch.look(seconds(now, after), true, standing(1, 3, after));
        assert_eq!(look(0), Doubt::None);
        assert_eq!(look(1), Doubt::Wary);
        assert_eq!(look(2), Doubt::Unsure);
        assert_eq!(look(19), Doubt::Unsure);
        assert_eq!(look(20), Doubt::Hopeless);
    }

    #[test]
    fn each_acknowledgement_takes_the_doubt_away() {
        let (mut watch, now) = (Watch::new(PATIENCE), Instant::now());
        assert_eq!(watch.look(now, true, standing(1, 3, 0)), Doubt::None);
        assert_eq!(watch.look(seconds(now, 3), true, standing(1, 3, 3)), Doubt::Unsure);
        assert_eq!(watch.look(seconds(now, 4), true, standing(500, 3, 0)), Doubt::None);
        assert_eq!(watch.look(seconds(now, 5), true, standing(500, 3, 0)), Doubt::None);
    }

    #[test]
    fn a_slow_line_is_given_its_time() {
        let (mut watch, now) = (Watch::new(PATIENCE), Instant::now());
        let far = |silent| {
            standing(1, 3, silent).map(|standing| tcp::Standing { round_trip: Duration::from_millis(600), ..standing })
        };
        assert_eq!(watch.look(now, true, far(0)), Doubt::None);
        assert_eq!(watch.look(seconds(now, 1), true, far(1)), Doubt::None);
    }

    #[test]
    fn a_busy_server_is_waited_for_longer_than_a_silent_line() {
        let (mut watch, now) = (Watch::new(PATIENCE), Instant::now());
        let mut look = |after| watch.look(seconds(now, after), true, standing(900, 0, after));
        assert_eq!(look(0), Doubt::None);
        assert_eq!(look(9), Doubt::None);
        assert_eq!(look(10), Doubt::Unsure);
        assert_eq!(look(59), Doubt::Unsure);
        assert_eq!(look(60), Doubt::Hopeless);
        watch.heard();
        assert_eq!(watch.look(seconds(now, 61), true, standing(900, 0, 61)), Doubt::None);
    }

    #[test]
    fn one_that_reads_nothing_is_no_silent_line() {
        let (mut watch, now) = (Watch::new(PATIENCE), Instant::now());
        // Its window is shut: nothing is in flight, and probes are answered, now and then.
        assert_eq!(watch.look(now, true, standing(900, 0, 0)), Doubt::None);
        assert_eq!(watch.look(seconds(now, 5), true, standing(900, 0, 3)), Doubt::None);
    }

    #[test]
    fn one_that_has_no_room_and_answers_no_more_is_a_silent_line() {
        let (mut watch, now) = (Watch::new(PATIENCE), Instant::now());
        let shut = |probes, silent| standing(900, 0, silent).map(|standing| tcp::Standing { probes, ..standing });
        assert_eq!(watch.look(now, true, shut(0, 0)), Doubt::None);
        assert_eq!(watch.look(seconds(now, 3), true, shut(1, 3)), Doubt::None, "it was asked just now");
        assert_eq!(watch.look(seconds(now, 4), true, shut(2, 4)), Doubt::Unsure);
        assert_eq!(watch.look(seconds(now, 5), true, shut(0, 0)), Doubt::None);
    }

    #[test]
    fn who_owes_only_words_is_nudged_to_see_whether_the_line_is_dead() {
        let (mut watch, now) = (Watch::new(PATIENCE), Instant::now());
        let at = |quarters: u32| now + LOOK * quarters;
        let quiet = |acknowledged, in_flight, silent: u32| {
            let silent = LOOK * silent;
            standing(acknowledged, in_flight, 0).map(|standing| tcp::Standing { unsent: 0, silent, ..standing })
        };
        let mut look =
            |quarter, standing| (watch.look(at(quarter), true, standing), watch.nudges(at(quarter), standing));
        assert_eq!(look(0, quiet(900, 0, 0)), (Doubt::None, false));
        assert_eq!(look(1, quiet(900, 0, 1)), (Doubt::None, false));
        assert_eq!(look(2, quiet(900, 0, 2)), (Doubt::None, true));
        // Its kernel is there, and the server is waited for, and not from then on only;
        assert_eq!(look(3, quiet(922, 0, 1)), (Doubt::None, false));
        assert_eq!(look(4, quiet(922, 0, 2)), (Doubt::None, true));
        // now it isn't.
        assert_eq!(look(5, quiet(922, 1, 3)), (Doubt::Wary, false));
        assert_eq!(look(10, quiet(922, 1, 8)), (Doubt::Unsure, false));
        // Back, but a server that says nothing for ten seconds is doubted in spite of its kernel.
        assert_eq!(look(12, quiet(944, 0, 1)), (Doubt::None, true));
        assert_eq!(look(40, quiet(966, 0, 1)), (Doubt::Unsure, true));
    }

    #[test]
    fn what_cannot_even_leave_is_doubted_as_soon() {
        let (mut watch, now) = (Watch::new(PATIENCE), Instant::now());
        let barred = |silent| standing(900, 0, silent).map(|standing| tcp::Standing { has_room: true, ..standing });
        assert_eq!(watch.look(now, true, barred(0)), Doubt::None);
        assert_eq!(watch.look(seconds(now, 2), true, barred(2)), Doubt::Unsure);
    }
}
