//! A face put to work: its listeners, its links and its hold's clock, as tasks that end together.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::accept;
use crate::bridge::End;
use crate::face::FaceState;
use crate::holder::Returns;
use crate::links::Links;

/// A face at work. Leaving scope ends its tasks.
pub struct Served {
    /// Its end of the trunk.
    pub end: End,
    /// As many streams as may be accepted and aren't.
    places: Arc<Semaphore>,
    stop: watch::Sender<bool>,
    accepting: JoinSet<()>,
    _tasks: JoinSet<()>,
}

/// Puts a face to work, which accepts nothing yet. `returns` are the errors that its holder gives back.
pub fn serve(face: &Arc<FaceState>, mut returns: Returns) -> Served {
    let links = Links::new(face.clone());
    let places = Arc::new(Semaphore::new(face.settings.streams));
    let mut tasks = JoinSet::new();
    tasks.spawn({
        let (face, links) = (face.clone(), links.clone());
        async move {
            while let Some((pair, error)) = returns.recv().await {
                links.send_back(&pair, error);
                face.holder.handed_over();
            }
        }
    });
    tasks.spawn({
        let face = face.clone();
        async move { face.holder.keep_time().await }
    });
    tasks.spawn({
        let links = links.clone();
        async move { links.keep_tidy().await }
    });
    let end = End::new(face.clone(), links);
    Served { end, places, stop: watch::Sender::new(false), accepting: JoinSet::new(), _tasks: tasks }
}

impl Served {
    /// Accepts streams from these listeners, too.
    pub fn accept(&mut self, listeners: Vec<TcpListener>) {
        self.stop.send_replace(false);
        for listener in listeners {
            let End { face, links, .. } = self.end.clone();
            self.accepting.spawn(accept::serve(listener, face, links, self.places.clone(), self.stop.subscribe()));
        }
    }

    /// Closes the listeners, so that new connections are refused and their peers try elsewhere.
    /// Streams that are open go on. It can be accepted again later.
    pub async fn stop_accepting(&mut self) {
        self.stop.send_replace(true);
        while self.accepting.join_next().await.is_some() {}
    }
}
