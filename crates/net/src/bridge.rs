//! A face's end of a trunk: what comes from the other end goes out on links, and what became of our
//! own stanzas goes to the holder.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::now;
use crate::face::FaceState;
use crate::hold::PeerId;
use crate::links::{Given, Links};
use crate::trunk::wire::Frame;
use crate::trunk::{Crossing, FrameReceiver, FrameSender, PeerState, channel};

/// Frames that are looked at in one turn.
const TOGETHER: usize = 16;

/// A face with its links: one end of a trunk.
#[derive(Clone)]
pub struct End {
    /// The face.
    pub face: Arc<FaceState>,
    /// Its links.
    pub links: Links,
    finish: Arc<Finish>,
}

/// What is said on the trunk when we finish.
#[derive(Default)]
struct Finish {
    begun: AtomicBool,
    /// The number of the last question whether that was heard.
    asked: AtomicU64,
    /// Which of them each peer has answered last.
    heard: watch::Sender<HashMap<PeerId, u64>>,
}

/// Calls this when it leaves scope.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
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
    /// A face with its links, and nobody at the other end yet.
    pub fn new(face: Arc<FaceState>, links: Links) -> End {
        End { face, links, finish: Arc::default() }
    }

    /// Tells these peers that we take nothing new, and waits until each has heard it, and everything that we
    /// told it before; for `patience` at most. What a peer had sent by then is here.
    pub async fn finish(&self, peers: &[(PeerId, FrameSender)], patience: Duration) {
        self.finish.begun.store(true, Ordering::Relaxed);
        let number = self.finish.asked.fetch_add(1, Ordering::Relaxed) + 1;
        for (_, sender) in peers {
            sender.frame(Frame::State(PeerState::Draining));
            sender.frame(Frame::Ask(number));
        }
        let mut heard = self.finish.heard.subscribe();
        let all = heard.wait_for(|heard| peers.iter().all(|(peer, _)| heard.get(peer) >= Some(&number)));
        // Who is away, or just went, answers nothing.
        let _ = tokio::time::timeout(patience, all).await;
    }

    /// What peers are to know of us: whether we take new things.
    pub fn state(&self) -> PeerState {
        if self.finish.begun.load(Ordering::Relaxed) { PeerState::Draining } else { PeerState::Up }
    }

    /// Takes new things again, and tells these peers so.
    pub fn resume(&self, peers: &[(PeerId, FrameSender)]) {
        self.finish.begun.store(false, Ordering::Relaxed);
        for (_, sender) in peers {
            sender.frame(Frame::State(PeerState::Up));
        }
    }

    /// Serves a peer over a connection until it ends.
    pub async fn attach(&self, peer: PeerId, sender: FrameSender, mut frames: FrameReceiver) {
        // First what was said before and which ways are closed, then how we are, then what is new: nobody gives the other end
        // anything before he has heard how it is.
        self.links.connected(peer, sender.clone());
        sender.frame(Frame::State(self.state()));
        self.face.holder.connected(peer, sender.clone(), PeerState::Silent);
        // However it ends, also with the task that serves it.
        let _away = OnDrop(|| {
            self.links.away(peer);
            self.face.holder.away(peer);
        });
        let mut came = Vec::new();
        while frames.recv_many(&mut came, TOGETHER).await > 0 {
            let now = now();
            came.drain(..).for_each(|frame| self.came(now, peer, &sender, frame));
        }
    }

    fn came(&self, now: Instant, peer: PeerId, sender: &FrameSender, frame: Frame) {
        match frame {
            Frame::Crossing(crossing) => self.crossed(now, peer, crossing),
            Frame::State(state) => self.face.holder.state(peer, state),
            Frame::Ask(number) => sender.frame(Frame::Heard(number)),
            Frame::Heard(number) => self.finish.heard.send_modify(|heard| {
                heard.insert(peer, number);
            }),
            // It serves other domains than before.
            Frame::Hello(hello) => match hello.patterns() {
                Ok(domains) => self.face.holder.serves(peer, domains),
                Err(error) => tracing::warn!(peer, %error, "what the other end serves can't be understood"),
            },
            Frame::Beat => {}
        }
    }

    /// A peer is gone for good.
    pub fn lost(&self, peer: PeerId, name: &str) {
        self.links.lost(peer);
        let policy = self.face.policy.load();
        self.face.holder.lost(peer, name, |pair| policy.resends(pair));
    }

    fn crossed(&self, now: Instant, peer: PeerId, crossing: Crossing) {
        match crossing {
            Crossing::Stanza { pair, number, settled, stanza } => {
                self.links.stanza(now, peer, &pair, Given { number, settled, stanza });
            }
            Crossing::Recall { pair, give_up } => self.links.recall(peer, &pair, give_up),
            Crossing::Try { pair } => self.links.try_way(peer, pair),
            outcome => self.face.holder.heard(peer, outcome),
        }
    }
}
