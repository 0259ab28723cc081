//! One domain pair's part of the hold: its queue, what is in flight, its account.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use api::local::Counts;
use xmpp::stanza::Stanza;

use super::ways::Ways;
use super::{Limits, PeerId, Receipt};
use crate::fate::Named;

#[derive(Debug)]
pub(super) struct Item {
    pub(super) stanza: Stanza,
    /// When it was accepted.
    pub(super) since: Instant,
    /// Who wants to know when it is settled.
    pub(super) receipt: Option<Receipt>,
    /// By which number it is remembered, and by what it is asked for.
    pub(super) named: Option<(u64, Named)>,
}

#[derive(Debug, Default)]
pub(super) struct Link {
    /// Whom what is in flight was sent to.
    pub(super) peer: Option<PeerId>,
    /// How it stands with that peer.
    pub(super) phase: Phase,
    /// Who finds a way to the next server.
    pub(super) ways: Ways,
    /// A sender waits for room.
    pub(super) wanted: bool,
    /// Without those in flight.
    pub(super) counts: Counts,
    queue: VecDeque<Item>,
    queue_bytes: usize,
    flight: VecDeque<(u64, Item)>,
    flight_bytes: usize,
}

/// How a link stands with its peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// The peer is sent what comes.
    #[default]
    Sending,
    /// It was told to give back what it hasn't written, and hasn't answered each time yet.
    Recalled {
        /// And to give up what it has.
        give_up: bool,
        /// How many answers are still to come.
        answers: u32,
    },
    /// It has given that back; what it has written is waited for.
    Settling {
        /// But not for long, as it was told to give it up.
        give_up: bool,
    },
}

impl Phase {
    /// The peer is told to give back what it hasn't written.
    pub(super) fn recall(self, give_up: bool) -> Phase {
        let before = if let Phase::Recalled { answers, .. } = self { answers } else { 0 };
        Phase::Recalled { give_up, answers: before + 1 }
    }

    /// The peer has answered once.
    pub(super) fn answered(self) -> Phase {
        match self {
            Phase::Recalled { give_up, answers: 0 | 1 } => Phase::Settling { give_up },
            Phase::Recalled { give_up, answers } => Phase::Recalled { give_up, answers: answers - 1 },
            other => other,
        }
    }

    /// Whether the peer needn't be told anything: it knows that its stanzas shall go another way, and
    /// whether at any price.
    pub(super) fn is_told(self, give_up: bool) -> bool {
        match self {
            Phase::Sending => false,
            Phase::Recalled { give_up: told, .. } | Phase::Settling { give_up: told } => told || !give_up,
        }
    }
}

fn size(item: &Item) -> usize {
    item.stanza.bytes().len()
}

impl Link {
    /// One on which so many have their outcome already, by this peer the last of them.
    pub(super) fn after(counts: Counts, peer: Option<PeerId>) -> Link {
        Link { counts, peer, ..Link::default() }
    }

    pub(super) fn queue(&mut self, item: Item) {
        self.queue_bytes += size(&item);
        self.queue.push_back(item);
    }

    pub(super) fn bytes(&self) -> usize {
        self.queue_bytes + self.flight_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.flight.is_empty()
    }

    /// Whether nothing has to be remembered of it: an answer that is still to come would be taken for one
    /// to a later question.
    pub(super) fn is_idle(&self) -> bool {
        let is_answered = !matches!(self.phase, Phase::Recalled { .. });
        self.is_empty() && is_answered && !self.wanted && self.ways.is_empty()
    }

    pub(super) fn nothing_in_flight(&self) -> bool {
        self.flight.is_empty()
    }

    /// Whether it holds presence from the same to the same as this is.
    pub(super) fn says(&self, presence: &Stanza) -> bool {
        let items = self.flight.iter().map(|(_, item)| item).chain(&self.queue);
        let mut held = items.map(|item| &item.stanza).filter(|held| held.kind() == presence.kind());
        held.any(|held| held.from() == presence.from() && held.to() == presence.to())
    }

    pub(super) fn counts(&self) -> Counts {
        Counts { in_flight: (self.queue.len() + self.flight.len()) as u64, ..self.counts }
    }

    /// Whether the first in the queue has been there for that long.
    pub(super) fn is_late(&self, now: Instant, age: Duration) -> bool {
        self.queue.front().is_some_and(|item| now >= item.since + age)
    }

    /// Moves the next stanza into flight under this number, if the window has room for it.
    pub(super) fn send_next(&mut self, limits: &Limits, number: u64) -> Option<Stanza> {
        let bytes = size(self.queue.front()?);
        let fits = self.flight_bytes + bytes <= limits.window_bytes && self.flight.len() < limits.window_stanzas;
        if !fits && !self.flight.is_empty() {
            return None;
        }
        let item = self.queue.pop_front()?;
        self.queue_bytes -= bytes;
        self.flight_bytes += bytes;
        let stanza = item.stanza.clone();
        self.flight.push_back((number, item));
        Some(stanza)
    }

    /// All before the first in flight are settled.
    pub(super) fn settled(&self) -> u64 {
        self.flight.front().map_or(0, |(number, _)| number - 1)
    }

    pub(super) fn in_flight(&self) -> impl Iterator<Item = (u64, Stanza)> {
        self.flight.iter().map(|(number, item)| (*number, item.stanza.clone()))
    }

    /// Those in flight up to this number.
    pub(super) fn taken(&mut self, up_to: u64) -> Vec<Item> {
        let count = self.flight.partition_point(|(number, _)| *number <= up_to);
        let taken: Vec<Item> = self.flight.drain(..count).map(|(_, item)| item).collect();
        self.flight_bytes -= taken.iter().map(size).sum::<usize>();
        taken
    }

    /// The one of this number, if it is in flight.
    pub(super) fn refused(&mut self, number: u64) -> Option<Item> {
        let place = self.flight.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        let (_, item) = self.flight.remove(place)?;
        self.flight_bytes -= size(&item);
        Some(item)
    }

    /// Those from this number on were not written: they are the first in the queue again.
    pub(super) fn unsent(&mut self, from: u64) {
        while let Some((_, item)) = self.flight.pop_back_if(|(number, _)| *number >= from) {
            self.flight_bytes -= size(&item);
            self.queue_bytes += size(&item);
            self.queue.push_front(item);
        }
    }

    /// All that is in flight is the first in the queue again.
    pub(super) fn take_back(&mut self) {
        self.unsent(0);
        self.peer = None;
        self.phase = Phase::Sending;
    }

    /// All that is in flight; nobody will tell what became of it. Answers to questions are the first in the
    /// queue again: they can't go back, and do no harm where they come twice.
    pub(super) fn give_up(&mut self) -> Vec<Item> {
        let flight = self.flight.drain(..).map(|(_, item)| item);
        let (answers, others): (Vec<Item>, Vec<Item>) = flight.partition(|item| item.stanza.is_answer());
        self.flight_bytes = 0;
        self.peer = None;
        self.phase = Phase::Sending;
        for item in answers.into_iter().rev() {
            self.queue_bytes += size(&item);
            self.queue.push_front(item);
        }
        others
    }

    /// All of it, whatever it is.
    pub(super) fn empty(&mut self) -> Vec<Item> {
        let flight = self.flight.drain(..).map(|(_, item)| item);
        let all = flight.chain(self.queue.drain(..)).collect();
        (self.flight_bytes, self.queue_bytes) = (0, 0);
        all
    }

    /// What has been queued for too long.
    pub(super) fn late(&mut self, now: Instant, age: Duration) -> Vec<Item> {
        let mut late = Vec::new();
        while let Some(item) = self.queue.pop_front_if(|item| now >= item.since + age) {
            self.queue_bytes -= size(&item);
            late.push(item);
        }
        late
    }
}
