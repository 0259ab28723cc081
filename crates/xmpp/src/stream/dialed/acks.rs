//! Which of the stanzas that we wrote the peer has taken, as far as it can tell us.
//!
//! Where the peer has stream management it counts for us (XEP-0198). Where it hasn't, a question with
//! a certain answer is a barrier: `<db:verify/>` with a key that nobody made is answered on the same
//! stream after everything before it. A peer that answers neither is believed to have what was written,
//! for as long as it doesn't.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::words::{self, Dialback, DialbackContent};
use crate::domain::DomainPair;

/// A peer that declares dialback and lets the first question go unanswered for so long is believed.
const DECLARED: Duration = Duration::from_secs(5);
/// One that doesn't declare it, among the features of the very stream that it is asked on (XEP-0220 §2.4.1),
/// is hardly going to answer, but it may: it is given this time, and more where its other answers take more.
// COMPAT(ejabberd 23.01): without `mod_s2s_dialback` its stream header still has the namespace of dialback, and
// it answers nothing.
const UNDECLARED: Duration = Duration::from_millis(250);
/// Stanzas after which another question is asked while one is open: a peer that is slow is heard all the
/// time then, and not taken for one that is gone.
const SPAN: u64 = 64;
/// Between two questions that a peer answers with nothing new.
const AGAIN: Duration = Duration::from_millis(250);
/// A peer that counts, has answered before, and leaves the last question open for so long is asked once more: its
/// answer to another question may have been meant for this one, too.
const FORGOTTEN: Duration = Duration::from_secs(1);
/// How much longer than its other answers this one may take.
const SLOWER: u32 = 4;
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
    /// What is being written: of what has come of it, the peer may tell before the last of it is out.
    leaving: u64,
    taken: u64,
    /// Of each question that is open, how many were written when it was asked, and when that was.
    asked: VecDeque<(u64, Instant)>,
    /// How long the first answer may take.
    patience: Duration,
    answered_once: bool,
    /// When the next question may be asked, after an answer with nothing new.
    not_before: Option<Instant>,
}

/// How long a peer's first answer may take: whether it declares dialback after it has authenticated us, and
/// how long it took to answer something that it surely answers.
pub(super) fn patience(declared: bool, took: Duration) -> Duration {
    if declared { DECLARED } else { (took * SLOWER).clamp(UNDECLARED, DECLARED) }
}

impl Acks {
    pub(super) fn counting() -> Acks {
        Acks::new(Way::Counting, DECLARED)
    }

    /// For a peer whose first answer may take so long.
    pub(super) fn barrier(patience: Duration) -> Acks {
        Acks::new(Way::Barrier, patience)
    }

    /// For a peer that neither counts nor answers.
    pub(super) fn silence() -> Acks {
        Acks::new(Way::Silence, Duration::ZERO)
    }

    fn new(way: Way, patience: Duration) -> Acks {
        Acks {
            way,
            written: 0,
            leaving: 0,
            taken: 0,
            asked: VecDeque::new(),
            patience,
            answered_once: false,
            not_before: None,
        }
    }

    /// So many begin to be written. Gives what to ask right behind them, in the same piece, if that is worth it; of a peer
    /// that has answered before, and so isn't believed for leaving something unanswered.
    pub(super) fn leave(&mut self, now: Instant, stanzas: u64, pair: &DomainPair) -> Option<Bytes> {
        self.leaving += stanzas;
        if self.answered_once { self.ask(now, self.written + self.leaving, pair) } else { None }
    }

    /// So many have been written, whether or not it was said before that they begin to be.
    pub(super) fn wrote(&mut self, now: Instant, stanzas: u64) {
        // What was asked right behind them is out only now.
        for (_, asked) in self.asked.iter_mut().filter(|(covered, _)| *covered > self.written) {
            *asked = now;
        }
        self.leaving = self.leaving.saturating_sub(stanzas);
        self.written += stanzas;
    }

    /// Whether the peer has ever told anything.
    pub(super) fn tells(&self) -> bool {
        self.answered_once
    }

    /// How many were taken in all, if that is news.
    fn news(&mut self, taken: u64) -> Option<u64> {
        let taken = taken.min(self.written + self.leaving);
        (taken > self.taken).then(|| {
            self.taken = taken;
            taken
        })
    }

    /// What to ask now, if that is worth it. A peer that has never answered is asked once.
    pub(super) fn question(&mut self, now: Instant, pair: &DomainPair) -> Option<Bytes> {
        self.ask(now, self.written, pair)
    }

    /// Asks behind so many, if that is worth it.
    fn ask(&mut self, now: Instant, written: u64, pair: &DomainPair) -> Option<Bytes> {
        let is_due = match self.asked.back() {
            Some(_) if !self.answered_once => false,
            Some((covered, _)) => written >= covered + SPAN || self.forgotten_from().is_some_and(|from| now >= from),
            None => written > self.taken && self.not_before.is_none_or(|at| now >= at),
        };
        if !is_due {
            return None;
        }
        let question = match self.way {
            Way::Counting => words::empty(words::STREAM_MANAGEMENT, "r"),
            Way::Barrier => Dialback {
                element: "verify",
                from: pair.from.as_str(),
                to: pair.to.as_str(),
                id: Some(&barrier_id(written)),
                kind: None,
                content: DialbackContent::Key(NO_KEY),
            }
            .write(),
            Way::Silence => return None,
        };
        self.asked.push_back((written, now));
        Some(question)
    }

    /// The peer counted so many (modulo 2^32), asked or not. Gives how many were taken in all, if
    /// that is news.
    pub(super) fn counted(&mut self, now: Instant, handled: u32) -> Option<u64> {
        if self.way != Way::Counting {
            return None;
        }
        let covered = self.asked.pop_front().map_or(0, |(covered, _)| covered);
        self.answered_once = true;
        let low = u64::from(handled);
        let behind = (low.wrapping_sub(self.taken)) & 0xffff_ffff;
        // A count that goes back, or beyond what was written, is nonsense and no news.
        let most = self.written + self.leaving;
        let news = self.taken.checked_add(behind).filter(|taken| *taken <= most).and_then(|taken| self.news(taken));
        // Where an answer before told it all already, there is nothing to wait for.
        self.not_before = (news.is_none() && self.taken < covered).then(|| now + AGAIN);
        // A peer that finds several questions before it answers may answer them at once. One that waits for an
        // answer to each would never ask about the few stanzas that come last.
        while self.asked.pop_front_if(|(covered, _)| *covered <= self.taken).is_some() {}
        news
    }

    /// The peer answered a `<db:verify/>` with this id. Gives how many were taken in all, if that is news.
    /// One that was believed meanwhile is waited for from here on.
    pub(super) fn answered(&mut self, id: &str) -> Option<u64> {
        let is_it = |(written, _): &(u64, Instant)| self.way == Way::Barrier && id == barrier_id(*written);
        let place = self.asked.iter().position(is_it)?;
        let (written, _) = self.asked.drain(..=place).next_back()?;
        self.answered_once = true;
        self.news(written)
    }

    /// The peer has answered our end by its own (RFC 6120 §4.4), behind all that we wrote: one that can't tell in another
    /// way has told by that. Gives how many were taken in all, if that is news.
    pub(super) fn ended(&mut self) -> Option<u64> {
        let can_tell = self.way == Way::Counting || self.answered_once;
        if can_tell { None } else { self.news(self.written) }
    }

    /// From when on a peer is believed that has never answered; none that has, or has promised to count.
    fn believed_from(&self) -> Option<Instant> {
        let waiting = self.asked.front().filter(|_| self.way == Way::Barrier && !self.answered_once);
        waiting.map(|(_, asked)| *asked + self.patience)
    }

    /// From when on the last question of those that are open may be asked once more; not while something that it may be
    /// behind is on its way out.
    fn forgotten_from(&self) -> Option<Instant> {
        let may_be = self.way == Way::Counting && self.answered_once && self.leaving == 0;
        let last = self.asked.back().filter(|_| may_be);
        last.map(|(_, asked)| *asked + FORGOTTEN)
    }

    /// When to [`tick`](Self::tick) at the latest: there is news then, or something to ask, where anything may be.
    pub(super) fn deadline(&self, may_ask: bool) -> Option<Instant> {
        let again = self.not_before.filter(|_| self.asked.is_empty());
        let question = self.forgotten_from().or(again).filter(|_| may_ask);
        self.believed_from().or(question).filter(|_| self.taken < self.written)
    }

    /// Believes a peer that doesn't answer. Gives how many were taken in all, if that is news.
    pub(super) fn tick(&mut self, now: Instant) -> Option<u64> {
        let believed = self.way == Way::Silence || self.believed_from().is_some_and(|from| now >= from);
        if believed { self.news(self.written) } else { None }
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
        acks.wrote(now, 5);
        assert!(acks.question(now, &pair()).is_some());
        assert!(acks.question(now, &pair()).is_none(), "one at a time");
        assert_eq!(acks.counted(now, 3), Some(3));
        assert_eq!(acks.counted(now, 3), None);
        assert_eq!(acks.counted(now, 2), None, "it goes back");
        assert_eq!(acks.counted(now, 6), None, "more than was written");
        assert_eq!(acks.counted(now, 5), Some(5));
        assert!(acks.question(now, &pair()).is_none(), "nothing is open");
    }

    #[test]
    fn what_came_of_a_piece_counts_before_all_of_it_is_out() {
        let (mut acks, now) = (Acks::counting(), Instant::now());
        acks.wrote(now, 5);
        assert!(acks.question(now, &pair()).is_some());
        assert!(acks.leave(now, 10, &pair()).is_none(), "it has never answered");
        assert_eq!(acks.counted(now, 16), None, "more than begins to be written");
        assert_eq!(acks.counted(now, 8), Some(8));
        assert!(acks.question(now, &pair()).is_none(), "the peer has all that is out");
        acks.wrote(now, 10);
        assert!(acks.question(now, &pair()).is_some(), "at once: that was news");
        assert_eq!(acks.counted(now, 15), Some(15));
        assert_eq!(acks.counted(now, 16), None, "nothing leaves any more");
    }

    #[test]
    fn one_that_has_answered_is_asked_right_behind_what_leaves() {
        let (mut acks, now) = (Acks::barrier(DECLARED), Instant::now());
        acks.wrote(now, 1);
        assert!(acks.question(now, &pair()).is_some());
        assert_eq!(acks.answered("taken-1"), Some(1));
        let question = acks.leave(now, 4, &pair()).expect("a question");
        assert!(String::from_utf8_lossy(&question).contains("id='taken-5'"));
        acks.wrote(now, 4);
        assert!(acks.question(now, &pair()).is_none(), "it is asked already");
        assert!(acks.leave(now, 1, &pair()).is_none(), "one is open, and this is little");
        assert_eq!(acks.answered("taken-5"), Some(5));
        assert!(acks.question(now, &pair()).is_none(), "the peer has all that is out");
        acks.wrote(now, 1);
        assert!(acks.question(now, &pair()).is_some());
    }

    #[test]
    fn a_question_is_as_old_as_what_it_is_behind_is_out() {
        let (mut acks, now) = (Acks::counting(), Instant::now());
        acks.wrote(now, 1);
        assert!(acks.question(now, &pair()).is_some());
        assert_eq!(acks.counted(now, 1), Some(1));
        assert!(acks.leave(now, 3, &pair()).is_some());
        assert_eq!(acks.deadline(true), None, "it can't be forgotten before it is out");
        assert!(acks.question(now + 2 * FORGOTTEN, &pair()).is_none());
        acks.wrote(now + 2 * FORGOTTEN, 3);
        assert_eq!(acks.deadline(true), Some(now + 3 * FORGOTTEN));
        assert!(acks.question(now + 2 * FORGOTTEN, &pair()).is_none());
        assert_eq!(acks.counted(now + 2 * FORGOTTEN, 4), Some(4));
    }

    #[test]
    fn a_slow_peer_is_asked_again_before_it_has_answered() {
        let (mut acks, now) = (Acks::barrier(DECLARED), Instant::now());
        acks.wrote(now, SPAN);
        assert!(acks.question(now, &pair()).is_some());
        acks.wrote(now, SPAN);
        assert!(acks.question(now, &pair()).is_none(), "it may be one that never answers");
        assert_eq!(acks.answered("taken-64"), Some(64));
        for written in [128, 192] {
            assert!(acks.question(now, &pair()).is_some(), "for {written}");
            acks.wrote(now, SPAN - 1);
            assert!(acks.question(now, &pair()).is_none(), "too little");
            acks.wrote(now, 1);
        }
        assert_eq!(acks.answered("taken-192"), Some(192), "an answer covers what was asked before");
        assert_eq!(acks.answered("taken-128"), None);
    }

    #[test]
    fn one_that_has_nothing_new_is_asked_again_a_little_later() {
        let (mut acks, now) = (Acks::counting(), Instant::now());
        acks.wrote(now, 5);
        assert!(acks.question(now, &pair()).is_some());
        assert_eq!(acks.counted(now, 0), None);
        assert!(acks.question(now, &pair()).is_none());
        assert_eq!(acks.deadline(true), Some(now + AGAIN));
        assert!(acks.question(now + AGAIN, &pair()).is_some());
        assert_eq!((acks.counted(now + AGAIN, 5), acks.deadline(true)), (Some(5), None));
    }

    #[test]
    fn an_answer_that_another_has_forestalled_delays_no_question() {
        let (mut acks, now) = (Acks::counting(), Instant::now());
        acks.wrote(now, 1);
        assert!(acks.question(now, &pair()).is_some());
        assert_eq!(acks.counted(now, 1), Some(1));
        for _ in 0..2 {
            acks.wrote(now, SPAN);
            assert!(acks.question(now, &pair()).is_some());
        }
        let all = 2 * u32::try_from(SPAN).expect("it is small") + 1;
        assert_eq!(acks.counted(now, all), Some(all.into()), "it had read both questions before it answered one");
        assert_eq!(acks.counted(now, all), None);
        acks.wrote(now, 1);
        assert!(acks.question(now, &pair()).is_some());
    }

    #[test]
    fn one_answer_may_be_for_several_questions() {
        let (mut acks, now) = (Acks::counting(), Instant::now());
        acks.wrote(now, 1);
        assert!(acks.question(now, &pair()).is_some());
        assert_eq!(acks.counted(now, 1), Some(1));
        for _ in 0..2 {
            acks.wrote(now, SPAN);
            assert!(acks.question(now, &pair()).is_some());
        }
        let all = 2 * u32::try_from(SPAN).expect("it is small") + 1;
        assert_eq!(acks.counted(now, all), Some(all.into()), "for both");
        acks.wrote(now, 1);
        assert!(acks.question(now, &pair()).is_some(), "nothing is open");
        assert_eq!(acks.counted(now, all + 1), Some(u64::from(all) + 1));
    }

    #[test]
    fn one_that_answers_several_questions_before_it_has_taken_all_is_asked_again() {
        let (mut acks, now) = (Acks::counting(), Instant::now());
        acks.wrote(now, 1);
        assert!(acks.question(now, &pair()).is_some());
        assert_eq!(acks.counted(now, 1), Some(1));
        for _ in 0..2 {
            acks.wrote(now, SPAN);
            assert!(acks.question(now, &pair()).is_some());
        }
        assert_eq!(acks.counted(now, 3), Some(3), "for both, it may be");
        assert!(acks.question(now, &pair()).is_none(), "it may be for the first only");
        assert_eq!(acks.deadline(true), Some(now + FORGOTTEN));
        assert!(acks.question(now + FORGOTTEN, &pair()).is_some());
        assert_eq!(acks.deadline(true), Some(now + 2 * FORGOTTEN), "not at once again");
        let all = 2 * u32::try_from(SPAN).expect("it is small") + 1;
        assert_eq!((acks.counted(now + FORGOTTEN, all), acks.deadline(true)), (Some(all.into()), None));
    }

    #[test]
    fn counts_go_round_at_32_bits() {
        let (mut acks, now) = (Acks::counting(), Instant::now());
        let all = u64::from(u32::MAX) + 10;
        acks.wrote(now, all);
        assert_eq!(acks.counted(now, u32::MAX), Some(u64::from(u32::MAX)));
        assert_eq!(acks.counted(now, 9), Some(all));
    }

    #[test]
    fn a_barrier_covers_what_was_written_before_it() {
        let (mut acks, now) = (Acks::barrier(DECLARED), Instant::now());
        acks.wrote(now, 5);
        let question = acks.question(now, &pair()).expect("a question");
        assert!(String::from_utf8_lossy(&question).contains("id='taken-5'"));
        acks.wrote(now, 2);
        assert_eq!(acks.answered("taken-7"), None, "nobody asked that");
        assert_eq!(acks.answered("taken-5"), Some(5));
        assert!(acks.question(now, &pair()).is_some(), "for the other two");
        assert_eq!(acks.answered("taken-7"), Some(7));
    }

    #[test]
    fn a_peer_that_never_answers_is_believed() {
        for patience in [DECLARED, UNDECLARED] {
            let (mut acks, now) = (Acks::barrier(patience), Instant::now());
            acks.wrote(now, 5);
            acks.question(now, &pair());
            assert_eq!((acks.deadline(true), acks.tick(now)), (Some(now + patience), None));
            assert_eq!(acks.tick(now + patience), Some(5));
            assert_eq!(acks.deadline(true), None, "there is nothing to wait for");
            acks.wrote(now, 1);
            assert!(acks.question(now, &pair()).is_none());
            assert_eq!(acks.tick(now + patience), Some(6));
        }
    }

    #[test]
    fn the_end_of_one_that_never_answers_covers_everything() {
        let now = Instant::now();
        for mut acks in [Acks::barrier(DECLARED), Acks::silence()] {
            acks.wrote(now, 5);
            acks.question(now, &pair());
            assert_eq!((acks.ended(), acks.tells()), (Some(5), false));
            assert_eq!(acks.ended(), None);
        }
    }

    #[test]
    fn the_end_of_one_that_can_tell_covers_what_it_told() {
        let now = Instant::now();
        let (mut barrier, mut counting) = (Acks::barrier(DECLARED), Acks::counting());
        for acks in [&mut barrier, &mut counting] {
            acks.wrote(now, 3);
            acks.question(now, &pair());
        }
        assert_eq!((barrier.answered("taken-3"), counting.counted(now, 3)), (Some(3), Some(3)));
        for acks in [&mut barrier, &mut counting] {
            acks.wrote(now, 2);
            assert_eq!(acks.ended(), None, "its end may have been on its way before ours came");
        }
    }

    #[test]
    fn an_answer_that_comes_late_is_the_first_of_many() {
        let (mut acks, now) = (Acks::barrier(UNDECLARED), Instant::now());
        acks.wrote(now, 5);
        acks.question(now, &pair());
        assert_eq!(acks.tick(now + UNDECLARED), Some(5));
        acks.wrote(now, 2);
        assert_eq!(acks.answered("taken-5"), None, "no news");
        assert_eq!(acks.tick(now + UNDECLARED), None, "it isn't believed any more");
        assert!(acks.question(now, &pair()).is_some());
        assert_eq!(acks.answered("taken-7"), Some(7));
    }

    #[test]
    fn one_that_declares_nothing_has_less_time_but_more_where_the_way_is_long() {
        let patience = |declared, took| patience(declared, Duration::from_millis(took));
        assert_eq!(patience(true, 1), DECLARED);
        assert_eq!([patience(false, 1), patience(false, 600)], [UNDECLARED, Duration::from_millis(2400)]);
        assert_eq!(patience(false, 60_000), DECLARED);
    }

    #[test]
    fn one_that_promised_to_count_is_never_believed_unasked() {
        let (mut acks, now) = (Acks::counting(), Instant::now());
        acks.wrote(now, 5);
        acks.question(now, &pair());
        assert_eq!((acks.deadline(true), acks.tick(now + 2 * DECLARED)), (None, None), "the way to it may be dead");
    }

    #[test]
    fn one_that_has_answered_is_waited_for() {
        let (mut acks, now) = (Acks::barrier(DECLARED), Instant::now());
        acks.wrote(now, 1);
        acks.question(now, &pair());
        acks.answered("taken-1");
        acks.wrote(now, 1);
        acks.question(now, &pair());
        assert_eq!(acks.deadline(true), None);
        assert_eq!(acks.tick(now + Duration::from_secs(3600)), None);
    }
}
