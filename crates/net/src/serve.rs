//! A face put to work: its listeners, its links and its end of the trunk, as tasks that end together.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::face::FaceState;
use crate::link::Links;
use crate::trunk::TrunkEnd;
use crate::{accept, bridge};

/// A face at work. Leaving scope ends its tasks.
pub struct Served {
    /// The links that leave on this face.
    pub links: Arc<Links>,
    stop: watch::Sender<bool>,
    accepting: JoinSet<()>,
    _bridge: JoinSet<()>,
}

/// Puts a face to work on these listeners. `trunk` is the end whose sender its holder has.
pub fn serve(face: &Arc<FaceState>, listeners: Vec<TcpListener>, trunk: TrunkEnd) -> Served {
    let links = Arc::new(Links::new(face.clone(), trunk.sender));
    let (stop, stopped) = watch::channel(false);
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept::serve(listener, face.clone(), links.clone(), stopped.clone()));
    }
    let mut bridge = JoinSet::new();
    bridge.spawn(bridge::serve(trunk.receiver, face.clone(), links.clone()));
    Served { links, stop, accepting, _bridge: bridge }
}

impl Served {
    /// Closes the listeners, so that new connections are refused and their peers try elsewhere.
    /// Streams that are open go on.
    pub async fn stop_accepting(&mut self) {
        self.stop.send_replace(true);
        while self.accepting.join_next().await.is_some() {}
    }
}
