//! The trunk: what crosses between a gateway and an edge server, numbered, acknowledged, said again
//! on a new connection where the old one broke.
//!
//! Each end sends stanzas of the pairs that come in on its face, and hears what became of them. A
//! stanza's number is higher than that of any before it on the same end; each stanza gets one
//! outcome. What a link may have in flight is bounded by its sender, so whoever receives never has
//! to stop reading: that is the flow control of each link, and no link waits for another.

use tokio::sync::mpsc;
use xmpp::domain::DomainPair;
use xmpp::stanza::{Stanza, StanzaCondition};

pub mod connection;
pub mod members;
pub mod tls;
pub mod wire;

use wire::Frame;

/// What travels on the trunk.
#[derive(Debug, Clone)]
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
        /// Nor wait for what was written: another way was found, and this one leads nowhere.
        give_up: bool,
    },
    /// The answer to `Recall`, seconds later at most: the pair's stanzas from this one on were not written, and won't be. Of what
    /// came before, nothing but what has no outcome yet could still be overtaken.
    Unsent {
        /// Who speaks to whom.
        pair: DomainPair,
        /// The first that wasn't written.
        from: u64,
    },
    /// The way to the pair's next server is closed, or nothing is heard from its end any more.
    Stuck {
        /// Who speaks to whom.
        pair: DomainPair,
    },
    /// It is open.
    Open {
        /// Who speaks to whom.
        pair: DomainPair,
    },
    /// Find out which of both it is, and say so.
    Try {
        /// Who would speak to whom.
        pair: DomainPair,
    },
}

/// Whether a peer can be given stanzas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// It can.
    Up,
    /// Not now: its connection is lost, and it may come back with everything it was sent.
    Away,
    /// Not now: nothing has been heard of it for a moment, which may be the end of it; or nothing yet on a new connection.
    Silent,
    /// It finishes what it has and takes nothing new.
    Draining,
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

/// By which frames go to the other end, in order. Unbounded, because the windows of links bound
/// what is in flight.
#[derive(Debug, Clone)]
pub struct FrameSender(mpsc::UnboundedSender<Frame>);

/// By which frames come from the other end.
pub type FrameReceiver = mpsc::UnboundedReceiver<Frame>;

impl FrameSender {
    /// Sends; into the void when the connection is gone, which is said again on the next.
    pub fn send(&self, crossing: Crossing) {
        self.frame(Frame::Crossing(crossing));
    }

    /// Sends a frame of whatever kind.
    pub fn frame(&self, frame: Frame) {
        let _ = self.0.send(frame);
    }
}

/// One direction of a connection.
pub fn channel() -> (FrameSender, FrameReceiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (FrameSender(sender), receiver)
}
