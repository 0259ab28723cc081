//! One border for a single question: a server inside that says something five times a second to one outside, by a gateway and
//! two edge servers.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use topology::partner::{Local, Partner, Pattern};
use topology::policy::Policy;
use xmpp::dialback::Secrets;

use super::certificates::{LOCALS, PARTNERS};
use super::host::{Host, Plan, name};
use super::ledger::Ledger;
use super::life::{self, EDGES, GATEWAYS, INSIDE, OUTSIDE, next_hop};
use super::network::{Network, Place};
use super::random::Random;
use super::server::{Server, Task};
use super::speakers::Kind;
use super::wire::Make;
use crate::crypto::Sha2;
use crate::face::Settings;
use crate::hold::Limits;
use crate::streams::Direction;

const PATIENCE: Duration = Duration::from_secs(60);
const STANZAS: usize = 400;

pub(super) struct Border {
    pub(super) network: Network,
    pub(super) gateway: Host,
    pub(super) edges: [Host; 2],
    ledger: Ledger,
    stanzas: usize,
    servers: [Arc<Server>; 2],
    accepting: [JoinHandle<()>; 2],
    sending: JoinHandle<()>,
}

/// What became of the stanzas, none of which was lost.
pub(super) struct Outcome {
    pub(super) returned: usize,
    /// Whether those that came did so in their order.
    pub(super) in_order: bool,
}

fn task(outside: &Server, stanzas: usize) -> Task {
    Task {
        to: vec![outside.domain.clone()],
        stanzas,
        hosts: vec![GATEWAYS],
        pause: Duration::from_millis(200),
        random: Random::new(2),
    }
}

/// With room for some of what is said while nothing is written.
pub(super) fn settings() -> Settings {
    let mut settings = life::settings();
    let limits = settings.hold;
    settings.hold = Limits {
        window_bytes: 10 * limits.window_bytes,
        window_stanzas: 10 * limits.window_stanzas,
        link_bytes: 10 * limits.link_bytes,
        total_bytes: 10 * limits.total_bytes,
        age: limits.age,
    };
    settings
}

impl Border {
    /// One that is in flow, with a partner of that kind.
    pub(super) async fn in_flow(kind: Kind) -> Border {
        Border::in_flow_of(kind, STANZAS).await
    }

    /// The same with so many stanzas, some twenty each time.
    pub(super) async fn in_flow_of(kind: Kind, stanzas: usize) -> Border {
        let mut random = Random::new(1);
        let make = Make { capacity: 100_000, latency: Duration::from_millis(1) };
        let network = Network::new(random.fork(), [make, make]);
        let (ledger, secrets) = (Ledger::default(), Secrets::new(&Sha2, b"everybody's", &[]));
        let server = |place, domain, kind| {
            Arc::new(Server {
                place,
                domain: super::domain(domain),
                kind,
                network: network.clone(),
                ledger: ledger.clone(),
                secrets: secrets.clone(),
                slowness: Duration::ZERO,
                says_anew: true,
                resends: false,
            })
        };
        let servers = [server(INSIDE, LOCALS[0], Kind::Counting), server(OUTSIDE, PARTNERS[0], kind)];
        let pattern = |server: &Server| Pattern::exactly(server.domain.clone());
        let [inside, outside] = &servers;
        let terms = Kind::Counting.terms();
        let local = Local { pattern: pattern(inside), next_hop: next_hop(inside.place), terms, resend: false };
        let (terms, resend) = (kind.terms(), false);
        let partner = Partner { pattern: Some(pattern(outside)), next_hop: next_hop(outside.place), terms, resend };
        let plan = Plan {
            network: network.clone(),
            policy: Arc::new(ArcSwap::from_pointee(Policy::new(vec![local], vec![partner], None))),
            settings: settings(),
            secrets: secrets.clone(),
            gateways: vec![GATEWAYS],
            edges: vec![EDGES, EDGES + 1],
        };
        let start = |place: Place| {
            ledger.book().lives.insert(place, 1);
            Host::start(&plan, (place, 1))
        };
        let (gateway, edges) = (start(GATEWAYS), [EDGES, EDGES + 1].map(start));
        gateway.members.route(vec![plan.edges.iter().map(|place| name(*place)).collect()]);
        let accepting = servers.clone().map(|server| tokio::spawn(server.accept()));
        sleep(Duration::from_millis(500)).await;
        let sending = tokio::spawn(inside.clone().send(task(outside, stanzas)));
        sleep(Duration::from_millis(500)).await;
        Border { network, ledger, stanzas, servers, gateway, edges, accepting, sending }
    }

    /// So many more are said, when those before are, by a stream of their own; gives how long it took until all had their
    /// outcome.
    pub(super) async fn say(&mut self, stanzas: usize) -> Duration {
        (&mut self.sending).await.expect("it doesn't panic");
        let [inside, outside] = &self.servers;
        let began = Instant::now();
        self.stanzas += stanzas;
        self.sending = tokio::spawn(inside.clone().send(task(outside, stanzas)));
        while self.ledger.book().entries.len() < self.stanzas {
            sleep(Duration::from_millis(10)).await;
        }
        self.gateway.face.holder.settled().await;
        began.elapsed()
    }

    /// The one that has the pair gets a pool of its own, and so does the other, for when it can't; gives the first.
    pub(super) fn prefer_carrier(&self) -> Place {
        let first = self.carrier();
        let second = self.edges.iter().map(|edge| edge.life.0).find(|edge| *edge != first).expect("there are two");
        self.gateway.members.route(vec![vec![name(first)], vec![name(second)]]);
        first
    }

    /// Which edge server has a stream to the partner.
    pub(super) fn carrier(&self) -> Place {
        let dials = |edge: &&Host| edge.face.streams.list().iter().any(|info| info.direction == Direction::Dialed);
        self.edges.iter().find(dials).map(|edge| edge.life.0).expect("it has dialed")
    }

    /// How many have come.
    pub(super) fn delivered(&self) -> usize {
        self.ledger.book().entries.iter().filter(|entry| !entry.delivered.is_empty()).count()
    }

    /// When all is said and has its outcome.
    pub(super) async fn outcome(self) -> Outcome {
        timeout(PATIENCE, self.sending).await.expect("all is said in time").expect("it doesn't panic");
        for host in self.edges.iter().chain([&self.gateway]) {
            timeout(PATIENCE, host.settled()).await.expect("all has its outcome");
        }
        // What a server is believed to have taken, it still reads.
        sleep(Duration::from_secs(1)).await;
        self.accepting.iter().for_each(JoinHandle::abort);
        let book = self.ledger.book();
        assert_eq!(book.entries.len(), self.stanzas);
        assert_eq!(book.wrong, [""; 0]);
        assert!(book.entries.iter().all(|entry| entry.delivered.len() + entry.returned > 0), "nothing is lost");
        let came = book.entries.iter().filter_map(|entry| entry.delivered.first()).map(|(_, at)| at);
        let in_order = came.is_sorted();
        Outcome { returned: book.entries.iter().map(|entry| entry.returned).sum(), in_order }
    }
}
