//! A line that comes back in the moment in which another way was found: its peer's system has taken what was on it, so that
//! nothing may overtake that, and nothing has to go back.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::{Instant, sleep, timeout};
use topology::partner::{Local, Partner, Pattern};
use topology::policy::Policy;
use xmpp::dialback::Secrets;

use super::certificates::{LOCALS, PARTNERS};
use super::host::{Host, Plan, name};
use super::ledger::Ledger;
use super::life::{EDGES, GATEWAYS, INSIDE, OUTSIDE, next_hop, settings};
use super::network::{Network, Place};
use super::random::Random;
use super::server::{Server, Task};
use super::speakers::Kind;
use super::wire::Make;
use crate::crypto::Sha2;
use crate::streams::Direction;

const PATIENCE: Duration = Duration::from_secs(60);
const STANZAS: usize = 400;

/// A server inside that says something five times a second to one outside, by a gateway and two edge servers.
struct Border {
    network: Network,
    ledger: Ledger,
    gateway: Host,
    edges: [Host; 2],
    servers: [Arc<Server>; 2],
}

impl Border {
    fn new() -> Border {
        let mut random = Random::new(1);
        let make = Make { capacity: 100_000, latency: Duration::from_millis(1) };
        let network = Network::new(random.fork(), [make, make]);
        let (ledger, secrets) = (Ledger::default(), Secrets::new(&Sha2, b"everybody's", &[]));
        let server = |place, domain| {
            Arc::new(Server {
                place,
                domain: super::domain(domain),
                kind: Kind::Counting,
                network: network.clone(),
                ledger: ledger.clone(),
                secrets: secrets.clone(),
                slowness: Duration::ZERO,
                says_anew: true,
                resends: false,
            })
        };
        let servers = [server(INSIDE, LOCALS[0]), server(OUTSIDE, PARTNERS[0])];
        let pattern = |server: &Server| Pattern::exactly(server.domain.clone());
        let [inside, outside] = &servers;
        let (terms, resend) = (Kind::Counting.terms(), false);
        let local = Local { pattern: pattern(inside), next_hop: next_hop(inside.place), terms, resend };
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
        Border { network, ledger, gateway, edges, servers }
    }

    /// Which edge server has a stream to the partner.
    fn carrier(&self) -> Option<Place> {
        let dials = |edge: &&Host| edge.face.streams.list().iter().any(|info| info.direction == Direction::Dialed);
        self.edges.iter().find(dials).map(|edge| edge.life.0)
    }

    /// The line is away for so long; then it is back, but the partner's server reads nothing for a moment. After that the
    /// line that carried is either well or silent for good. What became of the stanzas: how many were returned, whether the
    /// others came in their order, and how long it took until all had their outcome.
    async fn live(self, away: Duration, silent_again: bool) -> (usize, bool, Duration) {
        let [inside, outside] = self.servers.clone();
        let accepting = [inside.clone(), outside.clone()].map(|server| tokio::spawn(server.accept()));
        sleep(Duration::from_millis(500)).await;
        let task = Task {
            to: vec![outside.domain.clone()],
            stanzas: STANZAS,
            hosts: vec![GATEWAYS],
            pause: Duration::from_millis(200),
            random: Random::new(2),
        };
        let sending = tokio::spawn(inside.send(task));
        sleep(Duration::from_millis(500)).await;
        let carrier = self.carrier().expect("it has dialed");
        for edge in &self.edges {
            self.network.freeze(edge.life.0, OUTSIDE);
        }
        sleep(away).await;
        self.network.thaw_unread(OUTSIDE);
        sleep(Duration::from_millis(200)).await;
        let began = Instant::now();
        self.network.thaw();
        if silent_again {
            self.network.freeze(carrier, OUTSIDE);
        }
        timeout(PATIENCE, sending).await.expect("all is said in time").expect("it doesn't panic");
        for host in self.edges.iter().chain([&self.gateway]) {
            timeout(PATIENCE, host.settled()).await.expect("all has its outcome");
        }
        let took = began.elapsed();
        accepting.iter().for_each(tokio::task::JoinHandle::abort);
        let book = self.ledger.book();
        assert_eq!(book.entries.len(), STANZAS);
        assert_eq!(book.wrong, [""; 0]);
        assert!(book.entries.iter().all(|entry| entry.delivered.len() + entry.returned > 0), "nothing is lost");
        let came: Vec<_> = book.entries.iter().filter_map(|entry| entry.delivered.first()).map(|(_, at)| at).collect();
        (book.entries.iter().map(|entry| entry.returned).sum(), came.is_sorted(), took)
    }
}

fn live(away: u64, silent_again: bool) -> (usize, bool, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let border = async { Border::new().live(Duration::from_millis(away), silent_again).await };
    runtime.expect("a runtime").block_on(border)
}

/// Whenever that is between two looks at the line.
fn moments() -> impl Iterator<Item = u64> {
    (2_400..2_900).step_by(25)
}

#[test]
fn nothing_overtakes_or_returns_what_a_line_brought_that_is_back() {
    for away in moments() {
        let (returned, in_order, _) = live(away, false);
        assert_eq!((returned, in_order), (0, true), "returned, and in order, after {away} ms");
    }
}

#[test]
fn a_line_that_falls_silent_again_is_not_waited_for_as_another_way_was_found() {
    for away in moments() {
        let (returned, _, took) = live(away, true);
        assert!(returned <= settings().hold.window_stanzas, "{returned} were returned, after {away} ms");
        // It has acknowledged what came, so only its server is silent; without another way it would be waited for as long as this.
        assert!(took < settings().hold.age, "it took {took:?}, after {away} ms");
    }
}
