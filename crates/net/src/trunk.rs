//! The trunk: what crosses between the two faces, numbered and acknowledged for each domain pair.
//!
//! A face sends stanzas of the pairs that come in on it, and hears what became of them. Numbers of
//! a pair begin at 1 and have no gaps; each gets exactly one outcome, so that a face always knows
//! what is in flight. A pair may have no more than a window of bytes without an outcome, which is
//! what bounds the memory on both ends.

pub mod wire;

use tokio::sync::mpsc;
use xmpp::domain::DomainPair;
use xmpp::stanza::{Stanza, StanzaCondition};

/// What travels on the trunk.
#[derive(Debug)]
pub enum Crossing {
    /// A stanza on its way.
    Stanza {
        /// Who speaks to whom.
        pair: DomainPair,
        /// Its number, higher than that of any before.
        number: u64,
        /// The pair's stanzas up to this number have their outcome, as far as the sender knows.
        settled: u64,
        /// What is said.
        stanza: Stanza,
    },
    /// The next server took all of the pair's stanzas up to this one that weren't refused.
    Taken {
        /// Who speaks to whom.
        pair: DomainPair,
        /// The last one taken.
        up_to: u64,
    },
    /// The stanza can't be delivered.
    Refused {
        /// Who speaks to whom.
        pair: DomainPair,
        /// Which one.
        number: u64,
        /// Why.
        why: Undeliverable,
    },
    /// The pair's stanzas shall go another way: give back what wasn't written, and write no more.
    Recall {
        /// Who speaks to whom.
        pair: DomainPair,
    },
    /// The pair's stanzas from this one on were not written, and won't be.
    Unsent {
        /// Who speaks to whom.
        pair: DomainPair,
        /// The first that wasn't written.
        from: u64,
    },
}

/// Why a stanza can't be delivered, as its sender will read it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{condition}: {text}")]
pub struct Undeliverable {
    /// What kind of failure.
    pub condition: StanzaCondition,
    /// In words.
    pub text: String,
}

/// One end of a trunk. The order of what it sends is kept.
#[derive(Debug)]
pub struct TrunkEnd {
    /// To the other end.
    pub sender: TrunkSender,
    /// From the other end.
    pub receiver: mpsc::UnboundedReceiver<Crossing>,
}

/// The sending half of a trunk's end.
#[derive(Debug, Clone)]
pub struct TrunkSender(mpsc::UnboundedSender<Crossing>);

impl TrunkSender {
    /// Sends; after the other end is gone, into the void: the process ends then.
    pub fn send(&self, crossing: Crossing) {
        let _ = self.0.send(crossing);
    }
}

/// A trunk inside one process.
pub fn in_memory() -> (TrunkEnd, TrunkEnd) {
    // Unbounded, because the windows bound it: what is sent was accounted for before.
    let (left_sender, right_receiver) = mpsc::unbounded_channel();
    let (right_sender, left_receiver) = mpsc::unbounded_channel();
    (
        TrunkEnd { sender: TrunkSender(left_sender), receiver: left_receiver },
        TrunkEnd { sender: TrunkSender(right_sender), receiver: right_receiver },
    )
}
