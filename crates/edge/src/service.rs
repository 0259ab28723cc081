//! The federation service: what partners reach of an edge server, which an administrator stops, drains and starts while
//! trunk, agent and local commands go on.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use api::local::{Drained, Reply, Rest, Service as Told, ServiceAction, ServiceState};
use daemon::life;
use daemon::service::LONGEST;
use net::serve::Served;
use net::streams::Streams;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::entrance::Entrance;
use crate::gateways::Trunks;
use crate::memory::Memory;

/// Orders that may wait while one is carried out.
const ORDERS: usize = 8;

/// For partners to go where the route has left; those who can't without a loss stay, and it isn't waited for them.
const DEPART: Duration = Duration::from_secs(5);

/// What the service has to do with, besides the faces.
pub(crate) struct Scope {
    /// The open streams.
    pub(crate) streams: Arc<Streams>,
    /// Where gateways are at their other ends.
    pub(crate) trunks: Option<Arc<Trunks>>,
    /// How long a drain takes at most, where nobody says.
    pub(crate) drain: Duration,
    /// Where it is remembered over a restart that it was stopped.
    pub(crate) memory: Option<Memory>,
}

/// The service with all that it consists of.
pub(crate) struct Service {
    at_work: Vec<Served>,
    entrance: Entrance,
    scope: Scope,
    orders: mpsc::Receiver<Order>,
    /// The epoch with which the route came to its pool last; 0 where it hasn't.
    came: watch::Receiver<u64>,
    told: watch::Sender<Told>,
    /// Until when it rests, where it does.
    rests: Option<Instant>,
}

/// What an administrator, or a controller, wants of it.
struct Order {
    action: ServiceAction,
    seconds: Option<u64>,
    rest: Option<Rest>,
    reply: mpsc::Sender<Reply>,
}

/// Where it is ordered, and can be seen. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Counter {
    orders: mpsc::Sender<Order>,
    came: watch::Sender<u64>,
    told: watch::Receiver<Told>,
    /// Whether it is remembered over a restart that it was stopped.
    remembers: bool,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.action)
    }
}

impl Counter {
    /// How the service is.
    pub(crate) fn told(&self) -> Told {
        self.told.borrow().clone()
    }

    /// What somebody should know of a service that is stopped.
    pub(crate) fn concern(&self) -> Option<String> {
        let until = if self.remembers { "until it is started" } else { "until it is started, or the daemon is" };
        let stopped = self.told().state == ServiceState::Stopped;
        stopped.then(|| {
            format!(
                "an administrator has stopped the federation service, {until}; `fedge-edge service start` starts it"
            )
        })
    }

    /// Has something done with it. There is one answer, when it is done.
    pub(crate) fn order(
        &self,
        action: ServiceAction,
        seconds: Option<u64>,
        rest: Option<Rest>,
    ) -> mpsc::Receiver<Reply> {
        let (reply, replies) = mpsc::channel(1);
        if action == ServiceAction::Status {
            // There is room, and somebody to take it.
            let _ = reply.try_send(Reply::Service(self.told()));
        } else if self.orders.try_send(Order { action, seconds, rest, reply: reply.clone() }).is_err() {
            let why = "too many orders wait for the one before to be carried out; ask how it is, and try again";
            let _ = reply.try_send(Reply::Refused { why: why.to_owned() });
        }
        replies
    }

    /// The route has come to its pool with this epoch: it rests no longer.
    pub(crate) fn came(&self, epoch: u64) {
        self.came.send_if_modified(|came| {
            let later = epoch > *came;
            *came = epoch.max(*came);
            later
        });
    }
}

impl Service {
    /// Those faces at work, whose entrance is closed. Where it is remembered that it was stopped, it stays so.
    pub(crate) async fn begin(at_work: Vec<Served>, entrance: Entrance, scope: Scope) -> (Service, Counter) {
        let stopped = scope.memory.as_ref().and_then(Memory::stopped_since);
        let (state, since) = match stopped {
            Some(since) => (ServiceState::Stopped, since),
            None => (ServiceState::Running, unix(SystemTime::now())),
        };
        let (told, tells) = watch::channel(Told { state, since, last: None, rested: None });
        let (orders, ordered) = mpsc::channel(ORDERS);
        let (coming, came) = watch::channel(0);
        let mut service = Service { at_work, entrance, scope, orders: ordered, came, told, rests: None };
        if stopped.is_some() {
            tracing::warn!("the federation service was stopped, and stays so until it is started");
            service.entrance.runs(false);
            service.say_we_finish().await;
        } else if service.scope.trunks.is_none() {
            // So that everything is open when we say that we are ready.
            let change = service.entrance.next().await;
            service.entrance.change(change, &mut service.at_work).await;
        }
        let remembers = service.scope.memory.is_some();
        (service, Counter { orders, came: coming, told: tells, remembers })
    }

    /// Opens and closes the entrance, and carries out orders, for as long as it is awaited.
    pub(crate) async fn run(&mut self) -> Infallible {
        loop {
            tokio::select! {
                biased;
                Some(Order { action, seconds, rest, reply }) = self.orders.recv() => {
                    let answer = self.carry_out(action, seconds, rest).await;
                    // Who asked may have left.
                    let _ = reply.try_send(answer);
                }
                Ok(()) = self.came.changed() => self.wake(),
                () = needed(&self.at_work, self.rests) => {
                    tracing::warn!("a gateway can't use the pool that has the route, so this one rests no longer");
                    self.wake();
                }
                () = over(self.rests) => self.wake(),
                change = self.entrance.next() => self.entrance.change(change, &mut self.at_work).await,
            }
        }
    }

    /// The process ends.
    pub(crate) async fn end(mut self) {
        self.close(self.scope.drain, None, true).await;
    }

    /// Takes partners in again after a rest.
    fn wake(&mut self) {
        if self.told.borrow().state == ServiceState::Resting {
            self.resume();
        }
    }

    async fn carry_out(&mut self, action: ServiceAction, seconds: Option<u64>, rest: Option<Rest>) -> Reply {
        if seconds.into_iter().chain(rest.map(|rest| rest.seconds)).any(|seconds| seconds > LONGEST) {
            return Reply::Refused { why: format!("a drain, and the rest after it, are given {LONGEST} s at most") };
        }
        if rest.is_some_and(|rest| Some(rest.epoch) == self.told.borrow().rested) {
            return Reply::Service(self.told.borrow().clone());
        }
        if let Some(why) = rest.and_then(|rest| too_late(rest, *self.came.borrow())) {
            return Reply::Refused { why };
        }
        let most = seconds.map_or(self.scope.drain, Duration::from_secs);
        let Told { state, since, .. } = *self.told.borrow();
        let remembered = match (action, &self.scope.memory) {
            (ServiceAction::Start, Some(memory)) => memory.forget(),
            (ServiceAction::Stop, Some(memory)) if state == ServiceState::Stopped => memory.stopped(since),
            // First, so that a crash meanwhile doesn't start it again.
            (ServiceAction::Stop, Some(memory)) => memory.stopped(unix(SystemTime::now())),
            (ServiceAction::Stop, None) => {
                tracing::warn!("the federation service is stopped until the next start only: there is no [control]");
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(error) = remembered {
            return Reply::Refused { why: format!("{error}; nothing was changed") };
        }
        match (action, state) {
            (ServiceAction::Start, ServiceState::Stopped | ServiceState::Resting) => self.resume(),
            (ServiceAction::Stop, ServiceState::Running) => {
                self.drain_now(most, None).await;
                self.becomes(ServiceState::Stopped);
            }
            (ServiceAction::Stop, ServiceState::Resting) => {
                self.rests = None;
                // Of those who stay until they pause, too.
                self.drain_now(most, None).await;
                self.becomes(ServiceState::Stopped);
            }
            (ServiceAction::Drain, ServiceState::Running) => {
                self.drain_now(most, rest).await;
                match rest {
                    Some(rest) if too_late(rest, *self.came.borrow()).is_some() => self.resume(),
                    Some(Rest { epoch, seconds }) => {
                        self.rests = Some(Instant::now() + Duration::from_secs(seconds));
                        self.told.send_modify(|told| told.rested = Some(epoch));
                        // Where the route's pool dies meanwhile, gateways have another one.
                        if let Some(trunks) = &self.scope.trunks {
                            trunks.members().resume();
                        }
                        self.becomes(ServiceState::Resting);
                    }
                    None => self.resume(),
                }
            }
            // There is nothing to finish, and it is closed already.
            (ServiceAction::Drain, ServiceState::Resting) => {
                self.told.send_modify(|told| told.rested = rest.map(|rest| rest.epoch).or(told.rested));
            }
            (ServiceAction::Drain, _) => {
                let why = "the federation service is stopped, so there is nothing to drain; start it first";
                return Reply::Refused { why: why.to_owned() };
            }
            _ => {}
        }
        Reply::Service(self.told.borrow().clone())
    }

    /// Where it is to rest after it, it ends as soon as the route comes back.
    async fn drain_now(&mut self, most: Duration, rest: Option<Rest>) {
        self.becomes(ServiceState::Draining);
        match self.close(most, rest, false).await {
            Some(drained) => self.told.send_modify(|told| told.last = Some(drained)),
            None => tracing::info!("the route has come back, so what was drained goes on"),
        }
    }

    fn becomes(&self, state: ServiceState) {
        tracing::info!(%state, "the federation service changes");
        self.told.send_modify(|told| (told.state, told.since) = (state, unix(SystemTime::now())));
    }

    /// Takes nothing new, and finishes what was accepted. What is given nevertheless, by whoever hasn't heard so yet, goes out.
    /// Says how that went, unless the route came back before, and ended it.
    async fn close(&mut self, most: Duration, rest: Option<Rest>, ends: bool) -> Option<Drained> {
        self.entrance.runs(false);
        self.say_we_finish().await;
        // Whatever becomes of the rest of it, the faces can be opened again then.
        for served in &mut self.at_work {
            served.stop_accepting().await;
        }
        let came = self.came.clone();
        let (at_work, streams) = (&mut self.at_work, &self.scope.streams);
        let finished = async {
            match rest {
                Some(_) => life::depart(at_work, streams, most.min(DEPART)).await,
                None => life::drain(at_work, streams, most, ends).await,
            }
        };
        let drained = tokio::select! {
            biased;
            drained = finished => Some(drained),
            () = back(came, rest) => None,
        };
        self.at_work.iter().for_each(|served| served.end.links.resume());
        // What became of the last stanzas is heard, too.
        self.say_we_finish().await;
        drained
    }

    /// To the other ends of the trunk, who then use others.
    async fn say_we_finish(&self) {
        if let Some(trunks) = &self.scope.trunks {
            trunks.members().finish().await;
        }
    }

    fn resume(&mut self) {
        self.rests = None;
        if let Some(trunks) = &self.scope.trunks {
            trunks.members().resume();
        }
        self.entrance.runs(true);
        self.becomes(ServiceState::Running);
    }
}

/// Why a pool doesn't rest for a route that has left it, where it has come back since: whoever says so was told late, or
/// its words were long under way.
fn too_late(rest: Rest, came: u64) -> Option<String> {
    (rest.epoch <= came).then(|| {
        format!(
            "the route left this pool with epoch {}, and has been here again since epoch {came}; nothing was drained",
            rest.epoch
        )
    })
}

/// Waits until the route has come back since it left for this rest; for ever without one.
async fn back(mut came: watch::Receiver<u64>, rest: Option<Rest>) {
    let comes_back = async {
        let rest = rest?;
        came.wait_for(|came| too_late(rest, *came).is_some()).await.ok().map(|_| ())
    };
    if comes_back.await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// Waits until a gateway gives something to one that rests, which none does as long as it can use the pool with the route.
async fn needed(at_work: &[Served], rests: Option<Instant>) {
    match at_work.first().filter(|_| rests.is_some()) {
        Some(served) => served.end.links.used().await,
        None => std::future::pending().await,
    }
}

/// Waits until then; for ever where nothing ends.
async fn over(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_for_an_epoch_before_the_route_came_back_is_refused() {
        let refused = |epoch, came| too_late(Rest { epoch, seconds: 60 }, came);
        assert_eq!(refused(2, 0), None, "the route was never here, as far as is known");
        assert_eq!(refused(4, 3), None);
        let why = refused(2, 3).expect("late");
        assert!(why.contains("epoch 2") && why.contains("epoch 3"), "{why}");
    }

    #[tokio::test]
    async fn a_drain_ends_when_the_route_comes_back_and_not_before() {
        let (coming, came) = watch::channel(1);
        let drain = |rest| tokio::spawn(back(came.clone(), rest));
        let (resting, other) = (drain(Some(Rest { epoch: 2, seconds: 60 })), drain(None));
        let later = drain(Some(Rest { epoch: 4, seconds: 60 }));
        coming.send_replace(3);
        resting.await.expect("the route is back");
        drop(coming);
        tokio::task::yield_now().await;
        assert!(!other.is_finished() && !later.is_finished());
    }
}
