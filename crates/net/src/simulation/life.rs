//! One simulation: who there is, what happens when, and how it has to end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use topology::partner::{Local, NextHop, Partner, Pattern};
use topology::policy::Policy;
use xmpp::dialback::Secrets;
use xmpp::domain::Domain;

use super::certificates::{LOCALS, PARTNERS};
use super::host::{Host, Plan, Remains, name};
use super::ledger::Ledger;
use super::network::{Network, Place, STREAMS, address};
use super::random::Random;
use super::rules::{Circumstances, account, judge};
use super::server::{Server, Task};
use super::speakers::Kind;
use super::wire::Make;
use crate::crypto::Sha2;
use crate::face::Settings;
use crate::hold::Limits;

/// For all that is sent to be sent, once everything is well again.
const PROGRESS: Duration = Duration::from_secs(120);
/// For all that was accepted to be settled, from then on.
const SETTLED: Duration = Duration::from_secs(60);

/// Places: servers inside, gateways, edge servers, partners.
pub(super) const INSIDE: Place = 10;
pub(super) const GATEWAYS: Place = 20;
pub(super) const EDGES: Place = 30;
pub(super) const OUTSIDE: Place = 40;

/// What a simulation was about.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) written: usize,
    pub(super) delivered: usize,
    pub(super) returned: usize,
    pub(super) events: Vec<String>,
}

thread_local! {
    static BEGAN: std::cell::Cell<Option<tokio::time::Instant>> = const { std::cell::Cell::new(None) };
}

/// How long the simulation that runs here has been going on, in its own time.
pub(super) fn elapsed() -> Duration {
    BEGAN.get().map(|began| began.elapsed()).unwrap_or_default()
}

pub(super) struct World {
    random: Random,
    network: Network,
    ledger: Ledger,
    plan: Plan,
    /// Nothing but moves and drains happens.
    peaceful: bool,
    servers: Vec<Arc<Server>>,
    hosts: BTreeMap<Place, Host>,
    /// Those that are being drained.
    draining: JoinSet<Remains>,
    leaving: Vec<Place>,
    /// Edge servers that finish what they have, to take up new things later.
    resting: JoinSet<Host>,
    remains: Vec<Remains>,
    pools: [Vec<Place>; 2],
    routed: usize,
    events: Vec<String>,
    /// Accepting streams.
    listening: JoinSet<()>,
}

pub(super) fn next_hop(place: Place) -> Option<NextHop> {
    let address = address(place, STREAMS);
    Some(NextHop { host: address.ip().to_string(), port: address.port(), direct_tls: true })
}

pub(super) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.stream.establish = Duration::from_secs(6);
    settings.stream.drain = Duration::from_secs(10);
    settings.hold = Limits {
        window_bytes: 3_000,
        window_stanzas: 10,
        link_bytes: 6_000,
        total_bytes: 14_000,
        age: Duration::from_secs(20),
    };
    settings
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        let mut random = Random::new(seed);
        let peaceful = seed.is_multiple_of(3);
        // Where nothing may come back, nothing is so slow that it must.
        let (capacity, latency, slowness) = if peaceful { (4000, 20, 10) } else { (600, 40, 60) };
        let least = Make { capacity, latency: Duration::from_millis(1) };
        let most = Make { capacity: capacity * random.of(&[1, 10, 100]), latency: random.milliseconds(1, latency) };
        let network = Network::new(random.fork(), [least, most]);
        let ledger = Ledger::default();
        let secrets = Secrets::new(&Sha2, b"everybody's", &[]);
        let count = |random: &mut Random, most| u8::try_from(random.between(1, most)).expect("few");
        let gateways: Vec<_> = (0..count(&mut random, 2)).map(|number| GATEWAYS + number).collect();
        let pools = [0, 1].map(|pool| (0..count(&mut random, 2)).map(|number| EDGES + pool * 4 + number).collect());
        let edges: Vec<Place> = pools.iter().flat_map(|pool: &Vec<Place>| pool.iter().copied()).collect();
        let mut servers = Vec::new();
        for (names, base) in [(&LOCALS[..], INSIDE), (&PARTNERS[..], OUTSIDE)] {
            for number in 0..count(&mut random, names.len()) {
                servers.push(Arc::new(Server {
                    place: base + number,
                    domain: super::domain(names[usize::from(number)]),
                    kind: if random.percent(40) { Kind::Counting } else { random.of(&Kind::ALL) },
                    network: network.clone(),
                    ledger: ledger.clone(),
                    secrets: secrets.clone(),
                    slowness: if random.percent(70) { Duration::ZERO } else { random.milliseconds(1, slowness) },
                    says_anew: peaceful,
                    resends: random.percent(15),
                }));
            }
        }
        let pattern = |domain: &Domain| Pattern::exactly(domain.clone());
        let (inside, outside): (Vec<_>, Vec<_>) = servers.iter().partition(|server| server.place < GATEWAYS);
        let locals = inside.iter().map(|server| Local {
            pattern: pattern(&server.domain),
            next_hop: next_hop(server.place),
            terms: server.kind.terms(),
            resend: server.resends,
        });
        let partners = outside.iter().map(|server| Partner {
            pattern: Some(pattern(&server.domain)),
            next_hop: next_hop(server.place),
            terms: server.kind.terms(),
            resend: server.resends,
        });
        let policy = Policy::new(locals.collect(), partners.collect(), None);
        let plan = Plan {
            network: network.clone(),
            policy: Arc::new(ArcSwap::from_pointee(policy)),
            settings: settings(),
            secrets,
            gateways,
            edges,
        };
        World {
            random,
            network,
            ledger,
            plan,
            peaceful,
            servers,
            hosts: BTreeMap::new(),
            draining: JoinSet::new(),
            leaving: Vec::new(),
            resting: JoinSet::new(),
            remains: Vec::new(),
            pools,
            routed: 0,
            events: Vec::new(),
            listening: JoinSet::new(),
        }
    }

    /// Lives through it all.
    pub(super) async fn run(mut self) -> Result<Summary, String> {
        BEGAN.set(Some(tokio::time::Instant::now()));
        let result = self.live().await;
        let events = std::mem::take(&mut self.events);
        result.map_err(|fault| format!("{fault}\n  before that: {}", events.join(", "))).map(|mut summary| {
            summary.events = events;
            summary
        })
    }

    async fn live(&mut self) -> Result<Summary, String> {
        for server in &self.servers {
            self.listening.spawn(server.clone().accept());
        }
        for place in self.plan.gateways.iter().chain(&self.plan.edges).copied().collect::<Vec<_>>() {
            self.start(place);
        }
        sleep(Duration::from_millis(500)).await;
        let mut sending = self.send();
        for _ in 0..self.random.between(2, 8) {
            sleep(self.random.milliseconds(0, 1200)).await;
            let event = if self.peaceful { self.change().await } else { self.happen().await };
            self.note(&event);
            self.accounts()?;
        }
        sleep(self.random.milliseconds(0, 4000)).await;
        self.mend().await;
        self.note("all is well again");
        let done = async { while sending.join_next().await.is_some() {} };
        if timeout(PROGRESS, done).await.is_err() {
            return Err(format!("servers can't send what they have to: {}", self.standing()));
        }
        let settled = async {
            for host in self.hosts.values() {
                host.settled().await;
            }
        };
        if timeout(SETTLED, settled).await.is_err() {
            return Err(format!("what was accepted is never settled: {}", self.standing()));
        }
        // What servers are slow to read, they have in the end.
        sleep(Duration::from_secs(10)).await;
        self.accounts()?;
        if let Some(host) = self.hosts.values().find(|host| host.given().in_flight > 0 || host.face.holder.errors() > 0)
        {
            return Err(format!("{:?}: its links count what is gone: {:?}", host.life, host.given()));
        }
        self.judge()
    }

    fn note(&mut self, event: &str) {
        tracing::info!("{event}");
        self.events.push(format!("{} ms: {event}", elapsed().as_millis()));
    }

    fn start(&mut self, place: Place) {
        let instance = {
            let mut book = self.ledger.book();
            let life = book.lives.entry(place).or_default();
            *life += 1;
            *life
        };
        self.hosts.insert(place, Host::start(&self.plan, (place, instance)));
        self.route(self.routed);
    }

    fn route(&mut self, pool: usize) {
        self.routed = pool;
        for gateway in &self.plan.gateways {
            if let Some(host) = self.hosts.get(gateway) {
                let names = |pool: &Vec<Place>| pool.iter().map(|place| name(*place)).collect();
                host.members.route(vec![names(&self.pools[pool]), names(&self.pools[1 - pool])]);
            }
        }
    }

    /// Everybody begins to send to everybody on the other side.
    fn send(&mut self) -> JoinSet<()> {
        let mut sending = JoinSet::new();
        let stanzas = self.random.of(&[10, 40, 100]);
        let flood = self.random.percent(50);
        for server in &self.servers {
            let is_inside = server.place < GATEWAYS;
            let others = self.servers.iter().filter(|other| (other.place < GATEWAYS) != is_inside);
            let to: Vec<_> = others.map(|other| other.domain.clone()).collect();
            let mut hosts = if is_inside { self.plan.gateways.clone() } else { self.plan.edges.clone() };
            let first = self.random.between(0, hosts.len() - 1);
            hosts.rotate_left(first);
            let pause = if flood { Duration::ZERO } else { self.random.milliseconds(1, 400) };
            let task = Task { to, stanzas, hosts, pause, random: self.random.fork() };
            sending.spawn(server.clone().send(task));
        }
        sending
    }

    /// What an administrator does.
    async fn change(&mut self) -> String {
        while let Some(rested) = self.resting.try_join_next() {
            self.resume(rested.expect("a rest that ends"));
        }
        match self.random.below(5) {
            4 => {
                let Some(place) = self.one_of_several() else { return "nothing".to_owned() };
                if self.plan.gateways.contains(&place) {
                    return "nothing".to_owned();
                }
                // Those who stay are to know each other.
                self.know_everybody();
                if let Some(host) = self.hosts.remove(&place) {
                    let network = self.network.clone();
                    self.leaving.push(place);
                    self.resting.spawn(async move { host.rest(&network).await });
                }
                format!("{place} rests")
            }
            3 => self.part(),
            0 | 1 => {
                let pool = self.random.between(0, 1);
                self.route(pool);
                format!("the route moves to pool {pool}")
            }
            _ => {
                let Some(place) = self.one_of_several() else { return "nothing".to_owned() };
                // Those who stay are to know each other.
                self.know_everybody();
                if let Some(host) = self.hosts.remove(&place) {
                    let network = self.network.clone();
                    self.leaving.push(place);
                    self.draining.spawn(async move { host.drain(&network).await });
                }
                format!("{place} drains")
            }
        }
    }

    /// An edge server that rested is there again.
    fn resume(&mut self, mut host: Host) {
        let place = host.life.0;
        self.note(&format!("{place} has rested"));
        host.resume(&self.network);
        self.leaving.retain(|leaving| *leaving != place);
        self.hosts.insert(place, host);
    }

    /// A gateway and an edge server are no members of each other's trunk any more; each has others. Those who parted
    /// before are members again.
    fn part(&mut self) -> String {
        self.know_everybody();
        let here = |places: &[Place]| -> Vec<Place> {
            places.iter().copied().filter(|place| self.hosts.contains_key(place)).collect()
        };
        let (gateways, edges) = (here(&self.plan.gateways), here(&self.plan.edges));
        if gateways.len() < 2 || edges.len() < 2 {
            return "nothing".to_owned();
        }
        let (mut one, mut other) = (self.random.of(&gateways), self.random.of(&edges));
        if self.random.percent(50) {
            std::mem::swap(&mut one, &mut other);
        }
        let members: Vec<_> = self.others(one).into_iter().filter(|place| *place != other).map(name).collect();
        self.hosts[&one].members.become_those(&members);
        format!("{other} is no member at {one}")
    }

    fn know_everybody(&self) {
        for (place, host) in &self.hosts {
            let names: Vec<_> = self.others(*place).into_iter().map(name).collect();
            host.members.become_those(&names);
        }
    }

    /// Those at the other ends of a host's trunk.
    fn others(&self, place: Place) -> Vec<Place> {
        if self.plan.gateways.contains(&place) { self.plan.edges.clone() } else { self.plan.gateways.clone() }
    }

    /// A host that isn't the last of its kind.
    fn one_of_several(&mut self) -> Option<Place> {
        let place = self.any_host()?;
        let kin = if self.plan.gateways.contains(&place) { &self.plan.gateways } else { &self.pools[self.routed] };
        let is_needed = kin.contains(&place) && kin.iter().filter(|kin| self.hosts.contains_key(kin)).count() < 2;
        (!is_needed).then_some(place)
    }

    fn any_host(&mut self) -> Option<Place> {
        let places: Vec<_> = self.hosts.keys().copied().collect();
        (!places.is_empty()).then(|| self.random.of(&places))
    }

    /// What nobody wants.
    async fn happen(&mut self) -> String {
        let places: Vec<_> = self.plan.gateways.iter().chain(&self.plan.edges).copied().collect();
        let host = self.random.of(&places);
        let is_gateway = self.plan.gateways.contains(&host);
        let servers = self.servers.iter().map(|server| server.place);
        let servers: Vec<_> = servers.filter(|place| (*place < GATEWAYS) == is_gateway).collect();
        let other = match self.random.below(2) {
            0 => self.random.of(&servers),
            _ if is_gateway => self.random.of(&self.plan.edges),
            _ => self.random.of(&self.plan.gateways),
        };
        match self.random.below(11) {
            0 | 1 => {
                self.network.cut(host, other);
                format!("{host} and {other} are cut")
            }
            2 | 3 => {
                self.network.freeze(host, other);
                format!("{host} and {other} are frozen")
            }
            4 => {
                for other in servers.into_iter().chain(places) {
                    self.network.freeze(host, other);
                }
                format!("{host} is frozen")
            }
            5 => {
                let stopped = if self.random.percent(50) { host } else { other };
                self.network.stop(stopped);
                format!("{stopped} is stopped")
            }
            6 => {
                self.network.thaw();
                "all thaws".to_owned()
            }
            7 | 8 => match self.hosts.remove(&host) {
                Some(alive) => {
                    self.remains.push(alive.kill(&self.network));
                    format!("{host} is killed")
                }
                None if self.leaving.contains(&host) => "nothing".to_owned(),
                None => {
                    self.start(host);
                    format!("{host} starts")
                }
            },
            _ => self.change().await,
        }
    }

    async fn mend(&mut self) {
        self.network.thaw();
        self.know_everybody();
        while let Some(rested) = self.resting.join_next().await {
            self.resume(rested.expect("a rest that ends"));
        }
        self.know_everybody();
        while let Some(drained) = self.draining.join_next().await {
            self.remains.push(drained.expect("a drain that ends"));
        }
        for place in self.plan.gateways.iter().chain(&self.plan.edges).copied().collect::<Vec<_>>() {
            if !self.hosts.contains_key(&place) {
                self.start(place);
            }
        }
    }

    /// What hangs where, for whoever has to find out why.
    fn standing(&self) -> String {
        let hosts = self.hosts.values().map(|host| {
            let pairs = host.face.holder.account().links.into_iter();
            let pairs: Vec<_> = pairs.map(|(pair, counts)| format!("{pair}: {counts:?}")).collect();
            let streams = host.face.streams.list().into_iter();
            let streams: Vec<_> =
                streams.map(|info| format!("{} {} {:?}", info.direction, info.peer, info.pairs)).collect();
            format!("\n  {:?}: {}\n    {}", host.life, pairs.join(", "), streams.join("\n    "))
        });
        hosts.collect()
    }

    fn accounts(&self) -> Result<(), String> {
        let faces = self.hosts.values().map(|host| (host.life, &host.face));
        let faces = faces.chain(self.remains.iter().map(|remains| (remains.life, &remains.face)));
        for (life, face) in faces {
            account(face).map_err(|fault| format!("{life:?}: {fault}"))?;
        }
        let links = self.hosts.values().map(|host| (host.life, host.given()));
        for (life, given) in links {
            if given.accepted != given.taken + given.returned + given.in_flight {
                return Err(format!("{life:?}: the account of its links doesn't add up: {given:?}"));
            }
        }
        Ok(())
    }

    fn judge(&mut self) -> Result<Summary, String> {
        let hosts = std::mem::take(&mut self.hosts);
        let mut lives = std::mem::take(&mut self.remains);
        lives.extend(hosts.into_values().map(Host::leave));
        let servers = self.servers.iter();
        let servers =
            servers.map(|server| (server.domain.to_string(), (server.place, server.kind, server.resends))).collect();
        let circumstances = Circumstances {
            network: &self.network,
            lives,
            edges: self.plan.edges.clone(),
            gateways: self.plan.gateways.clone(),
            servers,
            peaceful: self.peaceful,
        };
        let book = self.ledger.book();
        let wrong = judge(&book, &circumstances);
        if !wrong.is_empty() {
            let count = wrong.len();
            let first: Vec<_> = wrong.into_iter().take(5).collect();
            return Err(format!("{count} faults with {:?}:\n  {}", circumstances.servers, first.join("\n  ")));
        }
        let entries = book.entries.iter();
        Ok(Summary {
            written: entries.len(),
            delivered: entries.clone().map(|entry| entry.delivered.len()).sum(),
            returned: entries.map(|entry| entry.returned).sum(),
            events: Vec::new(),
        })
    }
}
