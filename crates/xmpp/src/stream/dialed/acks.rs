//! Which of the stanzas that we wrote the peer has taken, as far as it can tell us.
//!
//! Where the peer has stream management it counts for us (XEP-0198). Where it hasn't, a question with
//! a certain answer is a barrier: `<db:verify/>` with a key that nobody made is answered on the same
//! stream after everything before it. A peer that answers neither is believed to have what was written.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::words::{self, Dialback, DialbackContent};
use crate::domain::DomainPair;

/// A peer that lets the first question go unanswered for so long will answer none.
const FIRST_ANSWER: Duration = Duration::from_secs(5);
/// A key that nobody makes: those that are made are hexadecimal.
const NO_KEY: &str = "is everything before this taken?";

/// How a peer tells what it has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By counting (XEP-0198 §4).
    Counting,
    /// By answering a question in its turn.
    Barrier,
    /// Not at all.
    Silence,
}

/// An account of what was written and what of it was taken.
#[derive(Debug)]
pub(super) struct Acks {
    way: Way,
    written: u64,
    taken: u64,
    /// How many were written when the question that is open was asked, and when that was.
    asked: Option<(u64, Instant)>,
    answered_once: bool,
}

impl Acks {
    pub(super) fn counting() -> Acks {
        Acks::new(Way::Counting)
    }

    pub(super) fn barrier() -> Acks {
        Acks::new(Way::Barrier)
    }

    /// For a peer that neither counts nor answers.
    pub(super) fn silence() -> Acks {
        Acks::new(Way::Silence)
    }

    fn new(way: Way) -> Acks {
        Acks { way, written: 0, taken: 0, asked: None, answered_once: false }
    }

    pub(super) fn wrote(&mut self, stanzas: u64) {
        self.written += stanzas;
    }

    /// How many were taken in all, if that is news.
    fn news(&mut self, taken: u64) -> Option<u64> {
        let taken = taken.min(self.written);
        (taken > self.taken).then(|| {
            self.taken = taken;
            taken
        })
    }

    /// What to ask now; one question is open at a time, and the next covers all that was written since.
    pub(super) fn question(&mut self, now: Instant, pair: &DomainPair) -> Option<Bytes> {
        if self.asked.is_some() || self.taken == self.written {
            return None;
        }
        let question = match self.way {
            Way::Counting => words::empty(words::STREAM_MANAGEMENT, "r"),
            Way::Barrier => Dialback {
                element: "verify",
                from: pair.from.as_str(),
                to: pair.to.as_str(),
                id: Some(&barrier_id(self.written)),
                kind: None,
                content: DialbackContent::Key(NO_KEY),
            }
            .write(),
            Way::Silence => return None,
        };
        self.asked = Some((self.written, now));
        Some(question)
    }

    /// The peer counted so many (modulo 2^32), asked or not. Gives how many were taken in all, if
    /// that is news.
    pub(super) fn counted(&mut self, handled: u32) -> Option<u64> {
        if self.way != Way::Counting {
            return None;
        }
        self.asked = None;
        self.answered_once = true;
        let low = u64::from(handled);
        let behind = (low.wrapping_sub(self.taken)) & 0xffff_ffff;
        // A count that goes back, or beyond what was written, is nonsense and no news.
        self.taken.checked_add(behind).filter(|taken| *taken <= self.written).and_then(|taken| self.news(taken))
    }

    /// The peer answered a `<db:verify/>` with this id. Gives how many were taken in all, if that is news.
    pub(super) fn answered(&mut self, id: &str) -> Option<u64> {
        let (written, _) = self.asked.filter(|(written, _)| self.way == Way::Barrier && id == barrier_id(*written))?;
        self.asked = None;
        self.answered_once = true;
        self.news(written)
    }

    /// When a peer that has never answered is given up; nothing once it has, or has promised to count.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waiting = self.asked.filter(|_| self.way == Way::Barrier && !self.answered_once);
        waiting.map(|(_, asked)| asked + FIRST_ANSWER)
    }

    /// A peer that never answers is believed from here on. Gives how many were taken in all, if that is news.
    pub(super) fn tick(&mut self, now: Instant) -> Option<u64> {
        if self.deadline().is_some_and(|deadline| now >= deadline) {
            self.way = Way::Silence;
            self.asked = None;
        }
        if self.way == Way::Silence { self.news(self.written) } else { None }
    }
}

fn barrier_id(written: u64) -> String {
    format!("taken-{written}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Domain;

    fn pair() -> DomainPair {
        let domain = |text| Domain::parse(text).expect("a domain");
        DomainPair::new(domain("contoso.test"), domain("fabrikam.test"))
    }

    #[test]
    fn a_count_is_news_once_and_never_more_than_was_written() {
        let (mut acks, now) = (Acks::counting(), Instant::now());
        acks.wrote(5);
        assert!(acks.question(now, &pair()).is_some());
        assert!(acks.question(now, &pair()).is_none(), "one at a time");
        assert_eq!(acks.counted(3), Some(3));
        assert_eq!(acks.counted(3), None);
        assert_eq!(acks.counted(2), None, "it goes back");
        assert_eq!(acks.counted(6), None, "more than was written");
        assert_eq!(acks.counted(5), Some(5));
        assert!(acks.question(now, &pair()).is_none(), "nothing is open");
    }

    #[test]
    fn counts_go_round_at_32_bits() {
        let mut acks = Acks::counting();
        let all = u64::from(u32::MAX) + 10;
        acks.wrote(all);
        assert_eq!(acks.counted(u32::MAX), Some(u64::from(u32::MAX)));
        assert_eq!(acks.counted(9), Some(all));
    }

    #[test]
    fn a_barrier_covers_what_was_written_before_it() {
        let (mut acks, now) = (Acks::barrier(), Instant::now());
        acks.wrote(5);
        let question = acks.question(now, &pair()).expect("a question");
        assert!(String::from_utf8_lossy(&question).contains("id='taken-5'"));
        acks.wrote(2);
        assert_eq!(acks.answered("taken-7"), None, "nobody asked that");
        assert_eq!(acks.answered("taken-5"), Some(5));
        assert!(acks.question(now, &pair()).is_some(), "for the other two");
        assert_eq!(acks.answered("taken-7"), Some(7));
    }

    #[test]
    fn a_peer_that_never_answers_is_believed() {
        let (mut acks, now) = (Acks::barrier(), Instant::now());
        acks.wrote(5);
        acks.question(now, &pair());
        assert_eq!(acks.tick(now), None);
        assert_eq!(acks.tick(now + FIRST_ANSWER), Some(5));
        acks.wrote(1);
        assert!(acks.question(now, &pair()).is_none());
        assert_eq!(acks.tick(now), Some(6));
    }

    #[test]
    fn one_that_promised_to_count_is_never_believed_unasked() {
        let (mut acks, now) = (Acks::counting(), Instant::now());
        acks.wrote(5);
        acks.question(now, &pair());
        assert_eq!((acks.deadline(), acks.tick(now + 2 * FIRST_ANSWER)), (None, None), "the way to it may be dead");
    }

    #[test]
    fn one_that_has_answered_is_waited_for() {
        let (mut acks, now) = (Acks::barrier(), Instant::now());
        acks.wrote(1);
        acks.question(now, &pair());
        acks.answered("taken-1");
        acks.wrote(1);
        acks.question(now, &pair());
        assert_eq!(acks.deadline(), None);
        assert_eq!(acks.tick(now + Duration::from_secs(3600)), None);
    }
}
