//! A daemon with faces that controllers lead: by which snapshot it starts, and how it comes to go by the next ones.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use agent::serve::Agent;
use agent::state::Kept;
use api::agent::Role;
use api::local::{Reply, Request};
use tokio::sync::{mpsc, oneshot};

use crate::control::{Control, Controlled, ControlledError};
use crate::desk::Desk;

/// What controllers reach, and the snapshot that is gone by. The runtime must have several threads.
pub struct Led {
    controlled: Controlled,
    desk: LaterDesk,
    by: Arc<Kept>,
    /// Who sent the first one, if it wasn't here before, waits to hear how that went.
    first: Option<oneshot::Sender<Result<(), String>>>,
}

/// What a snapshot changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// No more than the route.
    Route,
    /// What is in it.
    Content,
}

impl Led {
    /// Lets controllers come, and waits for the snapshot to start by. `check` says whether the daemon could go by one.
    ///
    /// # Errors
    /// When the machine was never enrolled, or can't listen.
    pub async fn begin(
        control: &Control,
        who: (Role, (&'static str, &'static str)),
        check: impl Fn(&Kept) -> Result<(), String> + Send + Sync + 'static,
    ) -> Result<Led, ControlledError> {
        let desk = LaterDesk::default();
        let asked = desk.clone();
        // A large one takes a while; what else this thread has to do is done by others.
        let check = move |sent: &Kept| tokio::task::block_in_place(|| check(sent));
        let mut controlled = Controlled::begin(control, who, check, move |_, request| asked.ask(request))?;
        let (by, first) = controlled.first().await;
        Ok(Led { controlled, desk, by, first })
    }

    /// What to start by.
    pub fn snapshot(&self) -> &Kept {
        &self.by
    }

    /// What controllers reach.
    pub fn agent(&self) -> &Arc<Agent> {
        &self.controlled.agent
    }

    /// The daemon goes by the first snapshot, and can be asked. From here on, has it `take` each that comes.
    pub async fn follow(
        mut self,
        desk: &Arc<Desk>,
        mut take: impl FnMut(&Kept, Change) -> Result<(), String>,
    ) -> Infallible {
        let _ = self.desk.0.set(desk.clone());
        if let Some(first) = self.first.take() {
            let _ = first.send(Ok(()));
        }
        loop {
            let (snapshot, done) = self.controlled.next().await;
            let change = if self.by.content == snapshot.content { Change::Route } else { Change::Content };
            let taken = tokio::task::block_in_place(|| take(&snapshot, change));
            if taken.is_ok() {
                let (version, epoch) = (snapshot.head.version, snapshot.head.route.epoch);
                tracing::info!(version, epoch, pool = snapshot.head.route.pool, "this snapshot is gone by");
                self.by = snapshot;
            }
            let _ = done.send(taken);
        }
    }
}

/// A desk that is there once the daemon has started; controllers may ask before that.
#[derive(Clone, Default)]
struct LaterDesk(Arc<OnceLock<Arc<Desk>>>);

impl LaterDesk {
    fn ask(&self, request: &Request) -> mpsc::Receiver<Reply> {
        if let Some(desk) = self.0.get() {
            return desk.ask(request);
        }
        let (sender, replies) = mpsc::channel(1);
        let why = "the daemon waits for its first snapshot, and has nothing to tell yet".to_owned();
        // There is room, and somebody to take it.
        let _ = sender.try_send(Reply::Refused { why });
        replies
    }
}
