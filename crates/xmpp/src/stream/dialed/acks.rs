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

#[cfg(test)]
mod tests;

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
/// Between two questions, where fewer stanzas than that were written: to be woken by an answer to each costs more than to bring
/// the next stanza. Less than the pause between two stanzas in which a stream that drains may end (`BREATH`).
const SPACE: Duration = Duration::from_millis(2);
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
    /// Of those taken, so many the peer itself has told of; it is only believed to have taken the others.
    told: u64,
    /// When the next question may be asked, after an answer with nothing new.
    not_before: Option<Instant>,
    /// When the last question was asked.
    asked_last: Option<Instant>,
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
            told: 0,
            not_before: None,
            asked_last: None,
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

    /// Whether the peer has ever told anything, or has promised to count and so is going to.
    pub(super) fn tells(&self) -> bool {
        self.way == Way::Counting || self.answered_once
    }

    /// Whether the peer has told of all that is taken.
    pub(super) fn has_told(&self) -> bool {
        self.tells() && self.told >= self.taken
    }

    /// So many were taken in all, by its own word, if that is news.
    fn tell(&mut self, taken: u64) -> Option<u64> {
        self.told = self.told.max(taken);
        self.news(taken)
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
            None => {
                let is_space = written >= self.taken + SPAN || self.spaced_from().is_none_or(|from| now >= from);
                written > self.taken && is_space && self.not_before.is_none_or(|at| now >= at)
            }
        };
        if is_due { self.words(now, written, pair) } else { None }
    }

    /// What is asked right before our end, of a peer that may answer by a question, and not of one that counts: that one is
    /// left when it has told all. Whoever has left the first question open so far, and answers nevertheless, tells by this of
    /// everything; whoever doesn't tells by its own end.
    pub(super) fn last_question(&mut self, now: Instant, pair: &DomainPair) -> Option<Bytes> {
        let written = self.written + self.leaving;
        let is_asked = self.asked.back().is_some_and(|(covered, _)| *covered == written);
        let is_due = self.way == Way::Barrier && written > self.taken && !is_asked;
        if is_due { self.words(now, written, pair) } else { None }
    }

    /// The question behind so many.
    fn words(&mut self, now: Instant, written: u64, pair: &DomainPair) -> Option<Bytes> {
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
        self.asked_last = Some(now);
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
        let news = self.taken.checked_add(behind).filter(|taken| *taken <= most).and_then(|taken| self.tell(taken));
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
        self.tell(written)
    }

    /// The peer has answered our end by its own (RFC 6120 §4.4), behind all that we wrote: one that can't tell in another
    /// way has told by that. Gives how many were taken in all, if that is news.
    pub(super) fn ended(&mut self) -> Option<u64> {
        if self.tells() { None } else { self.tell(self.written) }
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

    /// From when on a peer that answers may be asked about few stanzas.
    fn spaced_from(&self) -> Option<Instant> {
        self.asked_last.filter(|_| self.answered_once).map(|last| last + SPACE)
    }

    /// When to [`tick`](Self::tick) at the latest: there is news then, or something to ask, where anything may be.
    pub(super) fn deadline(&self, may_ask: bool) -> Option<Instant> {
        let again = self.not_before.max(self.spaced_from()).filter(|_| self.asked.is_empty());
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
