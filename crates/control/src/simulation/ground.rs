//! All members of a simulated installation and the ways between everybody: who is there, what each goes by, who reaches whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agent::succession;
use api::agent::{Head, Hello, Role, Route, WORDS};
use api::local::{self, Counts, FaceStatus, ServiceState, Status};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::clock;
use super::edge::{self, Order};
use super::layout::{Layout, WITNESS};
use super::process::Process;
use super::random::Random;
use super::trace::Trace;
use crate::route::outside::Look;

/// For a connection that nobody answers.
const CONNECT: Duration = Duration::from_secs(3);
/// For an answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Between two looks whether a frozen machine goes on, or a way is open again.
const LOOK: Duration = Duration::from_millis(50);
/// Between two looks at what partners do.
const TICK: Duration = Duration::from_millis(200);
/// For so many streams an edge server has a place.
const PLACES: u64 = 1000;
/// An edge server that knows that its pool has the route may rest for so long: it is being woken.
const WAKING: Duration = Duration::from_secs(1);

/// Copies are the same ground.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    pub(super) random: Random,
    pub(super) trace: Trace,
    field: Arc<Mutex<Field>>,
}

/// Everything on it.
#[derive(Debug, Default)]
pub(super) struct Field {
    pub(super) members: BTreeMap<String, Member>,
    /// Pairs that don't reach one another.
    pub(super) cuts: BTreeSet<(String, String)>,
    /// Members whose disks are full.
    pub(super) full: BTreeSet<String>,
    /// Edge servers that aren't reached from outside.
    pub(super) closed: BTreeSet<String>,
    /// Witnesses that have lost their own way out, and see nobody.
    pub(super) blind: BTreeSet<String>,
    /// The servers of local domains don't answer.
    pub(super) inside_is_down: bool,
    /// No partner says anything.
    pub(super) quiet: bool,
    /// How long a drain takes at most, in milliseconds.
    pub(super) longest_drain: u64,
    /// Drains that were carried out: edge server and epoch, with the times.
    pub(super) drained: BTreeMap<(String, u64), u64>,
}

/// A member.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) role: Role,
    pub(super) pool: Option<String>,
    /// Its process, while it runs.
    pub(super) process: Option<Process>,
    /// What it has on its disk.
    pub(super) disk: Option<Head>,
    /// What it had there a while ago.
    pub(super) backup: Option<Head>,
    /// What it goes by.
    pub(super) applied: Option<Head>,
    /// The federation service of an edge server.
    pub(super) service: Service,
    /// Where that is ordered.
    pub(super) orders: Option<mpsc::Sender<Order>>,
    pub(super) partners: u64,
    pub(super) stanzas: u64,
}

/// How the federation service of an edge server is.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) state: ServiceState,
    /// An administrator stopped it; that is on its disk.
    pub(super) stopped: bool,
    pub(super) rested: Option<u64>,
    /// The epoch with which the route came to its pool last.
    pub(super) came: u64,
    /// Since when it is closed although its own snapshot says that its pool has the route.
    wrongly: Option<Instant>,
}

impl Ground {
    pub(super) fn new(layout: &Layout, random: Random, trace: Trace) -> Ground {
        let mut members = BTreeMap::new();
        for (number, pool) in layout.all_pools().iter().enumerate() {
            for edge in layout.edges(number) {
                members.insert(edge, Member::new(Role::Edge, Some(pool.clone())));
            }
        }
        for gateway in layout.gateways() {
            members.insert(gateway, Member::new(Role::Gateway, None));
        }
        members.insert("dns1.contoso.test".to_owned(), Member::new(Role::Dns, None));
        if layout.witness {
            members.insert(WITNESS.to_owned(), Member::new(Role::Witness, None));
        }
        let field = Arc::new(Mutex::new(Field { members, longest_drain: 3000, ..Field::default() }));
        Ground { random, trace, field }
    }

    pub(super) fn field(&self) -> MutexGuard<'_, Field> {
        self.field.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.field().members.keys().cloned().collect()
    }

    /// A member's process starts, with what is on its disk.
    pub(super) fn start(&self, fqdn: &str) {
        let process = Process::new();
        let (orders, ordered) = mpsc::channel(64);
        let is_edge = {
            let mut field = self.field();
            let Some(member) = field.members.get_mut(fqdn).filter(|member| member.process.is_none()) else { return };
            let state = if member.service.stopped { ServiceState::Stopped } else { ServiceState::Running };
            member.service = Service { state, stopped: member.service.stopped, rested: None, came: 0, wrongly: None };
            member.applies();
            (member.partners, member.stanzas) = (0, 0);
            member.process = Some(process.clone());
            member.orders = Some(orders);
            member.role == Role::Edge
        };
        if is_edge {
            process.spawn(edge::serve(self.clone(), fqdn.to_owned(), ordered));
        }
    }

    pub(super) fn kill(&self, fqdn: &str) {
        let mut field = self.field();
        let Some(member) = field.members.get_mut(fqdn) else { return };
        if let Some(process) = member.process.take() {
            process.kill();
        }
        (member.applied, member.orders, member.partners) = (None, None, 0);
    }

    /// Its disk is what it was a while ago.
    pub(super) fn restore(&self, fqdn: &str) {
        let mut field = self.field();
        if let Some(member) = field.members.get_mut(fqdn) {
            member.disk = member.backup.clone();
        }
    }

    /// What is on its disk is kept elsewhere.
    pub(super) fn back_up(&self, fqdn: &str) {
        let mut field = self.field();
        if let Some(member) = field.members.get_mut(fqdn) {
            member.backup = member.disk.clone();
        }
    }

    pub(super) fn cut(&self, one: &str, other: &str) {
        self.field().cuts.insert(pair(one, other));
    }

    pub(super) fn join(&self, one: &str, other: &str) {
        self.field().cuts.remove(&pair(one, other));
    }

    /// Somebody asks a member something and is answered, or isn't.
    ///
    /// # Errors
    /// Why not.
    pub(super) async fn talk(&self, from: &str, to: &str) -> Result<(), String> {
        sleep(self.random.milliseconds(0, 10)).await;
        let began = Instant::now();
        loop {
            let (cut, there, frozen) = {
                let field = self.field();
                let process = field.members.get(to).and_then(|member| member.process.as_ref());
                (field.is_cut(from, to), process.is_some(), process.is_some_and(Process::is_paused))
            };
            if cut {
                if began.elapsed() >= CONNECT {
                    return Err(format!("{to} doesn't answer"));
                }
            } else if !there {
                return Err("connection refused".to_owned());
            } else if !frozen {
                sleep(self.random.milliseconds(0, 10)).await;
                return Ok(());
            } else if began.elapsed() >= ANSWER {
                return Err(format!("{to} doesn't answer"));
            }
            sleep(LOOK).await;
        }
    }

    /// How a member stands, as its agent says.
    pub(super) fn hello(&self, fqdn: &str) -> Option<Hello> {
        let field = self.field();
        let member = field.members.get(fqdn).filter(|member| member.process.is_some())?;
        Some(Hello {
            words: WORDS,
            fqdn: fqdn.to_owned(),
            role: member.role,
            program: "fedge".to_owned(),
            version: "0.1.0".to_owned(),
            have: member.disk.clone(),
            applied: member.applied == member.disk && member.disk.is_some(),
            confirmed: true,
            certificate: None,
            concerns: Vec::new(),
        })
    }

    /// How a member is, as its desk says.
    pub(super) fn status(&self, fqdn: &str) -> Option<Status> {
        let field = self.field();
        let member = field.members.get(fqdn).filter(|member| member.process.is_some())?;
        let service =
            local::Service { state: member.service.state, since: 0, last: None, rested: member.service.rested };
        let is_edge = member.role == Role::Edge;
        let face = FaceStatus {
            face: "external".to_owned(),
            listen: Vec::new(),
            accepted_streams: member.partners,
            dialed_streams: 0,
            places: Some(PLACES),
            stanzas: Counts { accepted: member.stanzas, ..Counts::default() },
            errors: 0,
        };
        let trunks = field.members.keys().filter(|edge| member.role == Role::Gateway && field.has_trunk(fqdn, edge));
        let trunks = trunks.map(|edge| local::Member { name: edge.clone(), connected: true, routed: false });
        Some(Status {
            program: "fedge".to_owned(),
            version: "0.1.0".to_owned(),
            up_seconds: 0,
            now: Some(clock::true_now() / 1000),
            log_level: "info".to_owned(),
            faces: if is_edge { vec![face] } else { Vec::new() },
            route: None,
            led: None,
            members: trunks.collect(),
            concerns: Vec::new(),
            service: is_edge.then_some(service),
            partners: member.partners,
            certificates: Vec::new(),
            uncovered: Vec::new(),
        })
    }

    /// A member is sent a snapshot: it writes it down, and goes by it then.
    ///
    /// # Errors
    /// Why it doesn't.
    pub(super) async fn offer(&self, from: &str, to: &str, head: &Head) -> Result<(), String> {
        self.talk(from, to).await?;
        let process = self.process(to).ok_or("connection reset")?;
        {
            let mut field = self.field();
            let full = field.full.contains(to);
            let member = field.members.get_mut(to).ok_or("there is no such member")?;
            if full && member.disk.as_ref() != Some(head) {
                return Err("it can't be written: no space left on device".to_owned());
            }
            succession::accept(to, member.disk.as_ref(), head).map_err(|refusal| refusal.to_string())?;
            let back = member
                .disk
                .as_ref()
                .is_some_and(|disk| disk.route.epoch > head.route.epoch || disk.version > head.version);
            if back {
                self.trace.wrong(format_args!("{to} goes back from {:?} to {head:?}", member.disk));
            }
            if member.disk.as_ref() != Some(head) {
                let Route { epoch, pool } = &head.route;
                self.trace.say(format_args!("{to} goes by version {}, epoch {epoch} on {pool}", head.version));
            }
            member.disk = Some(head.clone());
        }
        // Between writing and going by it a process may end.
        sleep(self.random.milliseconds(0, 30)).await;
        if process.is_killed() {
            return Err("connection reset".to_owned());
        }
        let orders = {
            let mut field = self.field();
            let member = field.members.get_mut(to).ok_or("there is no such member")?;
            // Another controller's may have come meanwhile.
            let home = member.applies();
            member.orders.clone().filter(|_| home)
        };
        if let Some(orders) = orders {
            let _ = orders.try_send(Order::Wake);
        }
        Ok(())
    }

    pub(super) fn process(&self, fqdn: &str) -> Option<Process> {
        self.field().members.get(fqdn)?.process.clone()
    }

    /// Whether a partner at `by` would get into an edge server; or why nobody could look.
    ///
    /// # Errors
    /// When `by` can't be asked.
    pub(super) async fn probe(&self, from: &str, by: &str, edge: &str) -> Result<Look, String> {
        self.talk(from, by).await?;
        let silent = {
            let field = self.field();
            let frozen =
                field.members.get(edge).and_then(|member| member.process.as_ref()).is_some_and(Process::is_paused);
            field.closed.contains(edge) || field.blind.contains(by) || frozen
        };
        sleep(if silent { Duration::from_secs(4) } else { self.random.milliseconds(20, 300) }).await;
        let good = self.field().serves(edge);
        self.talk(from, by).await?;
        Ok(match (good && !silent, silent) {
            (true, _) => Look::of(true, "a stream as far as its features"),
            (false, true) => Look::of(false, "no answer within 4 s"),
            (false, false) => Look::of(false, "connection refused"),
        })
    }

    /// Whether the servers inside answer a gateway.
    ///
    /// # Errors
    /// When it can't be asked.
    pub(super) async fn probe_hop(&self, from: &str, gateway: &str) -> Result<Look, String> {
        self.talk(from, gateway).await?;
        let down = self.field().inside_is_down;
        sleep(if down { Duration::from_secs(4) } else { self.random.milliseconds(5, 100) }).await;
        self.talk(from, gateway).await?;
        let seen = if down { "no answer within 4 s" } else { "a stream as far as its features" };
        Ok(Look::of(!down, seen))
    }

    /// Partners come and go, and what must not last is looked for, for as long as it is awaited.
    pub(super) async fn live(self) {
        loop {
            sleep(TICK).await;
            let mut field = self.field();
            field.partners();
            for fault in field.closed_wrongly(Instant::now()) {
                self.trace.wrong(fault);
            }
        }
    }
}

impl Field {
    pub(super) fn is_cut(&self, one: &str, other: &str) -> bool {
        self.cuts.contains(&pair(one, other))
    }

    /// Whether it takes partners in.
    pub(super) fn serves(&self, edge: &str) -> bool {
        self.is_up(edge) && self.members.get(edge).is_some_and(|member| member.service.state == ServiceState::Running)
    }

    fn is_up(&self, fqdn: &str) -> bool {
        let process = self.members.get(fqdn).and_then(|member| member.process.as_ref());
        process.is_some_and(|process| !process.is_paused())
    }

    fn has_trunk(&self, gateway: &str, edge: &str) -> bool {
        let is_edge = self.members.get(edge).is_some_and(|member| member.role == Role::Edge);
        is_edge && self.is_up(gateway) && self.is_up(edge) && !self.is_cut(gateway, edge)
    }

    /// Edge servers that gateways give something to: those of the pool that has the route, by what each gateway knows, and where
    /// none of them can be given anything, those of the next pool, by itself.
    fn used(&self) -> BTreeSet<String> {
        let pools: BTreeSet<&String> = self.members.values().filter_map(|member| member.pool.as_ref()).collect();
        let gateways = self.members.iter().filter(|(fqdn, member)| member.role == Role::Gateway && self.is_up(fqdn));
        let told = gateways.filter_map(|(gateway, member)| Some((gateway, &member.applied.as_ref()?.route.pool)));
        told.flat_map(|(gateway, routed)| {
            let mut order: Vec<&String> = pools.iter().copied().collect();
            order.sort_by_key(|pool| *pool != routed);
            let takers = |pool| {
                let edges = self.members.iter().filter(move |(_, edge)| edge.pool.as_ref() == Some(pool));
                let taking = edges.filter(|(fqdn, edge)| edge.service.takes() && self.has_trunk(gateway, fqdn));
                taking.map(|(fqdn, _)| fqdn.clone()).collect::<Vec<_>>()
            };
            order.into_iter().map(takers).find(|edges| !edges.is_empty()).unwrap_or_default()
        })
        .collect()
    }

    /// Partners and gateways say something to those that are used. One that rests wakes then: it is needed.
    fn partners(&mut self) {
        let used = if self.quiet { BTreeSet::new() } else { self.used() };
        for (fqdn, member) in &mut self.members {
            if used.contains(fqdn) {
                member.stanzas += 1;
                match member.service.state {
                    ServiceState::Resting => {
                        let _ = member.orders.as_ref().map(|orders| orders.try_send(Order::Wake));
                    }
                    _ => member.partners = 2,
                }
            }
            if member.service.state != ServiceState::Running {
                member.partners = 0;
            }
        }
    }

    /// Edge servers that rest although they know that their pool has the route. One whose disk is full may go by an epoch before
    /// the one for which it was told to rest, and then whoever told it knows better.
    fn closed_wrongly(&mut self, now: Instant) -> Vec<String> {
        let mut faults = Vec::new();
        for (fqdn, member) in &mut self.members {
            let up = member.process.as_ref().is_some_and(|process| !process.is_paused());
            let knows = member.applied.as_ref().is_some_and(|head| {
                Some(&head.route.pool) == member.pool.as_ref() && Some(head.route.epoch) >= member.service.rested
            });
            if !(up && knows && member.service.state == ServiceState::Resting) {
                member.service.wrongly = None;
                continue;
            }
            let since = *member.service.wrongly.get_or_insert(now);
            if now.duration_since(since) >= WAKING {
                let epoch = member.applied.as_ref().map(|head| head.route.epoch).unwrap_or_default();
                let rested = member.service.rested;
                faults
                    .push(format!("{fqdn} rests for epoch {rested:?}, and its pool has the route with epoch {epoch}"));
                member.service.wrongly = Some(now + Duration::from_secs(3600));
            }
        }
        faults
    }
}

impl Service {
    /// Whether gateways may give it something: one that rests only refuses partners.
    fn takes(&self) -> bool {
        matches!(self.state, ServiceState::Running | ServiceState::Resting)
    }
}

impl Member {
    /// Goes by what is on its disk; says whether its pool has the route by that.
    fn applies(&mut self) -> bool {
        self.applied = self.disk.clone();
        let home = self.applied.as_ref().filter(|head| Some(&head.route.pool) == self.pool.as_ref());
        if let Some(head) = home {
            self.service.came = self.service.came.max(head.route.epoch);
        }
        home.is_some()
    }

    fn new(role: Role, pool: Option<String>) -> Member {
        let service = Service { state: ServiceState::Running, stopped: false, rested: None, came: 0, wrongly: None };
        Member {
            role,
            pool,
            process: None,
            disk: None,
            backup: None,
            applied: None,
            service,
            orders: None,
            partners: 0,
            stanzas: 0,
        }
    }
}

fn pair(one: &str, other: &str) -> (String, String) {
    let (first, second) = if one < other { (one, other) } else { (other, one) };
    (first.to_owned(), second.to_owned())
}
