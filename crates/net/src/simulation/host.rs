//! A gateway or an edge server: the real face, links, holder and trunk, on the fake network.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::local::Counts;
use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use topology::face::Face;
use topology::policy::Policy;
use xmpp::dialback::Secrets;

use super::certificates::Certificates;
use super::ledger::Life;
use super::network::{Exit, Network, Place, STREAMS, TRUNK, address};
use crate::accept::{Opened, run_opened};
use crate::clock::now;
use crate::dead::Dead;
use crate::face::{FaceState, Settings};
use crate::fate::{Fate, Fates};
use crate::holder::Holder;
use crate::serve::{Served, serve};
use crate::streams::{Command, Direction, Streams};
use crate::transport::Transport;
use crate::trunk::members::Members;
use crate::trunk::wire::{Hello, VERSION};
use crate::turns::Turns;

/// Between two attempts to reach an edge server.
const RETRY: Duration = Duration::from_millis(200);
/// For an edge server to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Something is given this long to end, however long what came before it took.
const FAREWELL: Duration = Duration::from_secs(5);

/// What all hosts have in common.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) network: Network,
    pub(super) policy: Arc<ArcSwap<Policy>>,
    pub(super) settings: Settings,
    pub(super) secrets: Secrets,
    pub(super) gateways: Vec<Place>,
    pub(super) edges: Vec<Place>,
}

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Not,
    Drained,
    Killed,
}

/// What remains of a life, for the account.
pub(super) struct Remains {
    pub(super) life: Life,
    pub(super) face: Arc<FaceState>,
    pub(super) fates: HashMap<u64, Fate>,
    pub(super) end: End,
}

pub(super) struct Host {
    pub(super) life: Life,
    pub(super) face: Arc<FaceState>,
    pub(super) members: Arc<Members>,
    fates: Arc<Fates>,
    served: Served,
    alive: watch::Sender<bool>,
    /// Dropped with it, as are those: trunks.
    tasks: JoinSet<()>,
    accepting: JoinSet<()>,
}

pub(super) fn name(place: Place) -> String {
    format!("host{place}")
}

impl Host {
    /// Starts one; a gateway dials all edge servers, who wait for gateways.
    pub(super) fn start(plan: &Plan, life: Life) -> Host {
        let (place, instance) = life;
        let is_gateway = plan.gateways.contains(&place);
        let fates = Arc::new(Fates::new(usize::MAX));
        let (holder, returns) = Holder::new(plan.settings.hold.clone(), &fates);
        let (alive, living) = watch::channel(true);
        let shared = Certificates::get();
        let face = Arc::new(FaceState {
            face: if is_gateway { Face::Internal } else { Face::External },
            settings: plan.settings.clone(),
            policy: plan.policy.clone(),
            judge: shared.judge.clone(),
            secrets: Arc::new(ArcSwap::from_pointee(plan.secrets.clone())),
            tls: shared.tls.clone(),
            turns: Turns::of(2),
            resolver: shared.resolver.clone(),
            network: Arc::new(Exit { network: plan.network.clone(), place, alive: living }),
            own_addresses: Vec::new(),
            private_targets: true,
            streams: Arc::new(Streams::default()),
            holder,
            dead: Mutex::new(Dead::default()),
        });
        let served = serve(&face, returns);
        let others = if is_gateway { &plan.edges } else { &plan.gateways };
        let names: Vec<String> = others.iter().map(|place| name(*place)).collect();
        let hello = Hello { version: VERSION, instance, name: name(place), serves: Vec::new() };
        let members = Members::new(served.end.clone(), hello, &names);
        let mut tasks = JoinSet::new();
        if is_gateway {
            for edge in &plan.edges {
                tasks.spawn(keep(plan.network.clone(), place, *edge, members.clone()));
            }
        } else {
            tasks.spawn(await_gateways(plan.network.clone(), place, members.clone()));
        }
        let mut host = Host { life, face, members, fates, served, alive, tasks, accepting: JoinSet::new() };
        host.accept(&plan.network);
        host
    }

    fn accept(&mut self, network: &Network) {
        let (face, links) = (self.face.clone(), self.served.end.links.clone());
        self.accepting.spawn(accept(network.clone(), self.life.0, face, links));
    }

    fn remains(self, end: End) -> Remains {
        self.alive.send_replace(false);
        Remains { life: self.life, face: self.face, fates: self.fates.all(), end }
    }

    /// Ends at once.
    pub(super) fn kill(self, network: &Network) -> Remains {
        network.kill(self.life.0);
        self.remains(End::Killed)
    }

    /// At the end of the simulation.
    pub(super) fn leave(self) -> Remains {
        self.remains(End::Not)
    }

    /// Finishes what it has and ends.
    pub(super) async fn drain(self, network: &Network) -> Remains {
        let mut host = self.rest(network).await;
        if !host.face.streams.list().is_empty() {
            // With the process, what is left of its connections breaks.
            network.kill(host.life.0);
        }
        host.tasks.shutdown().await;
        host.remains(End::Drained)
    }

    /// Finishes what it has and takes nothing new, in the order in which the daemons do that.
    pub(super) async fn rest(mut self, network: &Network) -> Host {
        self.members.finish().await;
        network.close(address(self.life.0, STREAMS));
        // Who came before that is told, too.
        while self.accepting.join_next().await.is_some() {}
        let streams = self.face.streams.clone();
        let most = self.face.settings.stream.drain;
        streams.command_all(Direction::Accepted, Command::Shutdown(now() + most));
        let _ = timeout(most, streams.none_left(Direction::Accepted)).await;
        if timeout(FAREWELL, self.face.holder.settled()).await.is_err() {
            self.served.end.links.give_up();
            if timeout(FAREWELL, self.face.holder.settled()).await.is_err() {
                self.face.holder.give_up();
            }
        }
        let _ = timeout(FAREWELL, self.served.end.links.idle()).await;
        streams.command_all(Direction::Dialed, Command::Close);
        let _ = timeout(FAREWELL, streams.none_left(Direction::Dialed)).await;
        self.served.end.links.resume();
        self.members.finish().await;
        self
    }

    /// Takes new things again after it rested.
    pub(super) fn resume(&mut self, network: &Network) {
        self.members.resume();
        self.accept(network);
    }

    /// What became of what its links were given.
    pub(super) fn given(&self) -> Counts {
        self.served.end.links.given()
    }

    /// Waits until nothing that it has to do with is open.
    pub(super) async fn settled(&self) {
        self.face.holder.settled().await;
        self.served.end.links.idle().await;
    }
}

/// Keeps a trunk to an edge server up.
async fn keep(network: Network, own: Place, edge: Place, members: Arc<Members>) {
    loop {
        let dialed = timeout(PATIENCE, network.connect(own, address(edge, TRUNK), None)).await;
        if let Ok(Ok(socket)) = dialed {
            // Why it ended is of no interest here.
            let _ = members.serve(socket, &[name(edge)]).await;
        }
        sleep(RETRY).await;
    }
}

async fn await_gateways(network: Network, own: Place, members: Arc<Members>) {
    let mut listener = network.listen(address(own, TRUNK));
    let mut served = JoinSet::new();
    while let Some(incoming) = listener.recv().await {
        while served.try_join_next().is_some() {}
        let members = members.clone();
        served.spawn(async move {
            let _ = members.serve(incoming.socket, &[name(incoming.from)]).await;
        });
    }
}

async fn accept(network: Network, own: Place, face: Arc<FaceState>, links: crate::links::Links) {
    let mut listener = network.listen(address(own, STREAMS));
    let places = Arc::new(Semaphore::new(face.settings.streams));
    while let Some(incoming) = listener.recv().await {
        let chain = incoming.shown.map(|domain| Certificates::get().chain(&domain)).unwrap_or_default();
        let opened = Opened { transport: Transport::Other(Box::new(incoming.socket)), chain };
        let place = places.clone().try_acquire_owned().expect("there are few streams");
        run_opened(opened, address(incoming.from, STREAMS), place, face.clone(), links.clone());
    }
}
