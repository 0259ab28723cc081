//! A face's end of a trunk: what comes from the other end goes out on links, and what became of our
//! own stanzas goes to the holder.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::face::FaceState;
use crate::hold::PeerId;
use crate::links::Links;
use crate::trunk::wire::Frame;
use crate::trunk::{Crossing, FrameReceiver, FrameSender, PeerState, channel};

/// A face with its links: one end of a trunk.
#[derive(Clone)]
pub struct End {
    /// The face.
    pub face: Arc<FaceState>,
    /// Its links.
    pub links: Links,
}

/// Both faces of one process: each is the other's only peer, and never goes away.
pub fn join(external: &End, internal: &End, tasks: &mut JoinSet<()>) {
    const OTHER: PeerId = 0;
    let (outward, from_inside) = channel();
    let (inward, from_outside) = channel();
    let (external, internal) = (external.clone(), internal.clone());
    tasks.spawn(async move { external.attach(OTHER, inward, from_inside).await });
    tasks.spawn(async move { internal.attach(OTHER, outward, from_outside).await });
}

impl End {
    /// Serves a peer over a connection until it ends.
    pub async fn attach(&self, peer: PeerId, sender: FrameSender, mut frames: FrameReceiver) {
        // First what was said before, then what is new.
        self.links.connected(peer, sender.clone());
        self.face.holder.connected(peer, sender, PeerState::Up);
        while let Some(frame) = frames.recv().await {
            match frame {
                Frame::Crossing(crossing) => self.crossed(peer, crossing),
                Frame::State(state) => self.face.holder.state(peer, state),
                Frame::Hello(_) | Frame::Beat => {}
            }
        }
        self.links.away(peer);
        self.face.holder.away(peer);
    }

    /// A peer is gone for good.
    pub fn lost(&self, peer: PeerId, name: &str) {
        self.links.lost(peer);
        let policy = self.face.policy.load();
        self.face.holder.lost(peer, name, |pair| policy.resends(pair));
    }

    fn crossed(&self, peer: PeerId, crossing: Crossing) {
        match crossing {
            Crossing::Stanza { pair, number, settled, stanza } => {
                self.links.stanza(peer, &pair, number, settled, stanza);
            }
            Crossing::Recall { pair, give_up } => self.links.recall(peer, &pair, give_up),
            Crossing::Try { pair } => self.links.try_way(peer, pair),
            outcome => self.face.holder.heard(peer, outcome),
        }
    }
}
