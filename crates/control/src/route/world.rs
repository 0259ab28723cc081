//! What drivers of operations see and do outside the store: members, probes of external addresses, drains.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agent::keep::Seen;
use api::agent::Head;
use api::local::Rest;
use api::route::State;
use store::StoreError;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use topology::document::{Member, Pool};

use super::inside;
use super::operation::Operation;
use super::outside::{self, Look, Looker, Vantage, settled, settled_at_last};
use super::plan::REST;
use super::sight::{Drain, Hops, Probe, Sight};
use crate::members::{Members, Picture};
use crate::publish::Current;
use crate::service;
use crate::zones::{self, Zones, keeper};

/// Who was heard longer ago than this isn't there: members are asked twice a second while a move depends on them.
const FRESH: Duration = Duration::from_secs(3);
/// The same before the commit, where who is gone should be known soon.
const FRESHER: Duration = Duration::from_millis(1500);
/// Between two probes of one edge server while somebody depends on them, and before it is told once more what it wasn't.
const AGAIN: Duration = Duration::from_secs(2);
/// How often an edge server is told to finish what it has, where it can't be told at once.
const TRIES: usize = 3;
/// For a gateway's look at a next hop and its answer; both take their time beside each other.
const HOP: Duration = Duration::from_secs(5);
/// What was probed longer ago isn't shown any more.
const KEPT: Duration = Duration::from_secs(60);
/// The same of next hops, which are looked at again in less where it matters.
const RECENT: Duration = Duration::from_secs(10);

/// What a driver sees and does. All of it is begun and goes on by itself: how far it is shows in the next sight.
pub trait World: Send + Sync {
    /// What the store says of topology and route, as far as it is here already.
    fn current(&self) -> impl Future<Output = Result<Option<Arc<Current>>, StoreError>> + Send;

    /// Why what the store says can't be relied on, where that is so.
    fn uncertain(&self) -> Option<String>;

    /// Everything that this operation depends on; what has to be looked at from outside, is.
    fn sight(&self, current: &Current, operation: &Operation) -> Sight;

    /// The store says something new: it should be looked at, and members told, now.
    fn look_now(&self);

    /// Has these zones hold what the route demands, which this operation has moved. It may be asked again and again.
    fn publish(&self, current: &Current, operation: &Operation, zones: &[String]);

    /// Has an edge server finish what it has, since the route has left its pool with this epoch. Once is enough.
    fn drain(&self, edge: &str, epoch: u64);

    /// There is no operation any more.
    fn rest(&self);
}

/// The members, as a controller knows them and reaches them.
pub trait Reach: Send + Sync + 'static {
    /// What the store said last.
    fn picture(&self) -> Picture;

    /// How a member is seen, where it is kept.
    fn seen(&self, fqdn: &str) -> Option<Seen>;

    /// What a member should go by, where it is kept.
    fn wanted_head(&self, fqdn: &str) -> Option<Head>;

    /// Looks at all members more often for a while.
    fn closely(&self);

    /// Looks at the store now, and tells members what is new.
    fn look_now(&self);

    /// Whether a partner would get in where this one looks, and what was seen; or why it couldn't look.
    fn look(&self, looker: &Looker) -> impl Future<Output = Result<Look, String>> + Send;

    /// Has an edge server finish what it has and refuse partners for a while; says how that went, or why it didn't.
    fn rest(&self, edge: &str, rest: Rest) -> impl Future<Output = Result<String, String>> + Send;
}

impl Reach for Members {
    fn picture(&self) -> Picture {
        Members::picture(self)
    }

    fn seen(&self, fqdn: &str) -> Option<Seen> {
        Members::seen(self, fqdn)
    }

    fn wanted_head(&self, fqdn: &str) -> Option<Head> {
        Members::wanted_head(self, fqdn)
    }

    fn closely(&self) {
        Members::closely(self);
    }

    fn look_now(&self) {
        Members::look_now(self);
    }

    fn look(&self, looker: &Looker) -> impl Future<Output = Result<Look, String>> + Send {
        outside::look(self, looker)
    }

    fn rest(&self, edge: &str, rest: Rest) -> impl Future<Output = Result<String, String>> + Send {
        service::rest(self, edge, rest)
    }
}

/// What is seen and done through whoever reaches the members.
#[derive(Debug)]
pub struct Real<M> {
    members: Arc<M>,
    zones: Arc<Zones>,
    changed: Arc<Notify>,
    probes: Arc<Mutex<BTreeMap<String, Probing<Probe>>>>,
    hops: Arc<Mutex<BTreeMap<String, Probing<Hops>>>>,
    drains: Arc<Mutex<BTreeMap<(String, u64), Drain>>>,
}

/// Probes of one edge server, or by one gateway.
#[derive(Debug)]
struct Probing<T> {
    last: Option<(T, Instant)>,
    running: Option<JoinHandle<()>>,
}

impl<T> Default for Probing<T> {
    fn default() -> Probing<T> {
        Probing { last: None, running: None }
    }
}

impl<T> Probing<T> {
    /// Whether it was probed since then, or so shortly before that it counts.
    fn is_done(&self, since: Instant) -> bool {
        self.last.as_ref().is_some_and(|(_, at)| *at + AGAIN >= since)
    }

    /// Whether it isn't being probed, and wasn't a moment ago.
    fn is_due(&self, now: Instant) -> bool {
        let running = self.running.as_ref().is_some_and(|running| !running.is_finished());
        !running && self.last.as_ref().is_none_or(|(_, at)| now.duration_since(*at) >= AGAIN)
    }
}

impl<M: Reach> Real<M> {
    /// Those members and zones. `changed` is notified when something that was begun has come to its end.
    pub fn new(members: Arc<M>, zones: Arc<Zones>, changed: Arc<Notify>) -> Real<M> {
        Real { members, zones, changed, probes: Arc::default(), hops: Arc::default(), drains: Arc::default() }
    }

    /// What is seen of the members, looked at closely from now on for a while.
    pub fn members(&self, current: &Current) -> Sight {
        self.members.closely();
        let now = Instant::now();
        self.members_since(current, now.checked_sub(FRESH).unwrap_or(now))
    }

    /// What is seen of the members; those that haven't been heard since then aren't there.
    pub fn members_since(&self, current: &Current, since: Instant) -> Sight {
        let mut sight =
            Sight::of(current, |fqdn| self.members.wanted_head(fqdn), |fqdn| self.members.seen(fqdn), since);
        let now = Instant::now();
        let probes = held(&self.probes);
        let shown = probes.iter().filter_map(|(fqdn, probing)| {
            let (probe, at) = probing.last.as_ref()?;
            let age = now.duration_since(*at);
            (age < KEPT).then(|| (fqdn.clone(), Probe { age, ..probe.clone() }))
        });
        sight.probes = shown.collect();
        let hops = held(&self.hops);
        let recent = hops.iter().filter_map(|(fqdn, probing)| {
            let (hops, at) = probing.last.as_ref()?;
            (now.duration_since(*at) < RECENT).then(|| (fqdn.clone(), hops.clone()))
        });
        sight.hops = recent.collect();
        sight.zones = self.zones.known(current);
        sight
    }

    /// Whether all name servers have been asked since then, and whether zones take updates is known.
    pub fn are_zones_known(&self, current: &Current, since: Instant) -> bool {
        self.zones.is_known(current, since)
    }

    /// Asks name servers that haven't answered within this, and gives what is known.
    pub fn zones(&self, current: &Current, within: Duration) -> Vec<zones::Look> {
        self.zones.look(current, within)
    }

    /// Asks name servers that haven't answered within this, and whether zones take updates, unless that is known.
    pub fn look_at_zones(&self, current: &Current, within: Duration) -> Vec<zones::Look> {
        self.zones.look(current, within);
        self.zones.try_writing(current);
        self.zones.known(current)
    }

    /// Whether a member has said since then how it stands and how it is, or can't be expected to.
    pub fn is_heard(&self, member: &Member, since: Instant) -> bool {
        let seen = self.members.seen(member.fqdn.as_str()).filter(|seen| seen.connected);
        let is_since = |moment: Option<Instant>| moment.is_some_and(|moment| moment >= since);
        seen.is_none_or(|seen| is_since(seen.heard) && is_since(seen.asked))
    }

    /// Whether an edge server was probed since then, or so shortly before that it counts. What was bad a moment ago doesn't: a
    /// pool that rested may have begun to serve because the other one died.
    pub fn is_probed(&self, edge: &str, since: Instant) -> bool {
        held(&self.probes)
            .get(edge)
            .and_then(|probing| probing.last.as_ref())
            .is_some_and(|(probe, at)| *at >= since || (probe.is_good() && *at + AGAIN >= since))
    }

    /// Whether every gateway that is reached has looked at next hops since then, or so shortly before that it counts.
    pub fn are_hops_probed(&self, sight: &Sight, since: Instant) -> bool {
        let hops = held(&self.hops);
        let mut reached = sight.gateways().filter(|(_, facts)| facts.reached);
        reached.all(|(gateway, _)| hops.get(gateway).is_some_and(|probing| probing.is_done(since)))
    }

    /// Whether anybody could look at an edge server from outside.
    pub fn has_lookers(&self, current: &Current, sight: &Sight, edge: &str) -> bool {
        let mut edges = current.topology.pools.iter().flat_map(|pool| &pool.edges);
        let edge = edges.find(|other| other.member.fqdn.as_str() == edge);
        edge.is_some_and(|edge| outside::has_lookers(&current.topology, sight, edge))
    }

    /// Looks at the external addresses of a pool from outside, unless that was done a moment ago.
    pub fn probe(&self, current: &Current, sight: &Sight, pool: &Pool) {
        let now = Instant::now();
        for edge in &pool.edges {
            let fqdn = edge.member.fqdn.to_string();
            let mut probes = held(&self.probes);
            let probing = probes.entry(fqdn.clone()).or_default();
            if !probing.is_due(now) {
                continue;
            }
            let lookers = outside::lookers(&current.topology, sight, edge);
            if lookers.is_empty() {
                continue;
            }
            let (members, all, changed) = (self.members.clone(), self.probes.clone(), self.changed.clone());
            probing.running = Some(tokio::spawn(async move {
                let began = Instant::now();
                let probe = look(&members, lookers).await;
                // Of its beginning: what it saw was so since then.
                held(&all).entry(fqdn).or_default().last = Some((probe, began));
                changed.notify_one();
            }));
        }
    }

    /// Has gateways look at the next hops of local domains, unless they did a moment ago.
    pub fn probe_hops(&self, current: &Current, sight: &Sight) {
        let now = Instant::now();
        for (gateway, lookers) in inside::lookers(&current.topology, sight) {
            let mut hops = held(&self.hops);
            let probing = hops.entry(gateway.clone()).or_default();
            if !probing.is_due(now) {
                continue;
            }
            let (members, all, changed) = (self.members.clone(), self.hops.clone(), self.changed.clone());
            probing.running = Some(tokio::spawn(async move {
                let began = Instant::now();
                let hops = look_inside(&members, lookers).await;
                held(&all).entry(gateway).or_default().last = Some((hops, began));
                changed.notify_one();
            }));
        }
    }
}

/// They look one after the other, until it is clear whether partners get in. A witness, whose word may not be enough, has
/// somebody of another pool beside it.
async fn look<M: Reach>(members: &Arc<M>, lookers: Vec<Looker>) -> Probe {
    let mut waiting = VecDeque::from(lookers);
    let mut looks = Vec::new();
    while let Some(first) = waiting.pop_front() {
        let beside = waiting.iter().position(|looker| looker.from == Vantage::OtherPool);
        let beside = beside.filter(|_| first.from == Vantage::Witness).and_then(|at| waiting.remove(at));
        let round: Vec<Looker> = [first].into_iter().chain(beside).collect();
        let mut taken = JoinSet::new();
        for (index, looker) in round.into_iter().enumerate() {
            let members = members.clone();
            taken.spawn(async move {
                let look = members.look(&looker).await;
                (index, (looker, look))
            });
        }
        let mut taken = taken.join_all().await;
        taken.sort_by_key(|(index, _)| *index);
        looks.extend(taken.into_iter().map(|(_, look)| look));
        let own = looks.iter().any(|(looker, look)| looker.from == Vantage::OwnPool && look.is_ok());
        if own {
            break;
        }
        if let Some(probe) = settled(&looks) {
            return probe;
        }
    }
    settled_at_last(&looks)
}

/// All of them look, beside each other and in bounded time.
async fn look_inside<M: Reach>(members: &Arc<M>, lookers: Vec<Looker>) -> Hops {
    let mut looks = JoinSet::new();
    for looker in lookers {
        let members = members.clone();
        looks.spawn(async move {
            let seen = timeout(HOP, members.look(&looker)).await;
            let seen = seen.unwrap_or_else(|_| Err(format!("nothing came for {} s", HOP.as_secs())));
            (looker.domain, seen)
        });
    }
    let mut seen = looks.join_all().await;
    seen.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut hops = Hops::default();
    for (domain, seen) in seen {
        match seen {
            Ok(look) if look.good => hops.good.push(domain),
            Ok(look) => hops.bad.push((domain, look.seen)),
            Err(why) => hops.bad.push((domain, format!("it couldn't be asked to look: {why}"))),
        }
    }
    hops
}

impl<M: Reach> World for Real<M> {
    async fn current(&self) -> Result<Option<Arc<Current>>, StoreError> {
        Ok(self.members.picture().current)
    }

    fn uncertain(&self) -> Option<String> {
        let picture = self.members.picture();
        picture.behind.or(picture.blind.map(|(_, why)| format!("the store can't be asked: {why}")))
    }

    fn sight(&self, current: &Current, operation: &Operation) -> Sight {
        self.members.closely();
        let (now, fresh) = (Instant::now(), if operation.state.is_committed() { FRESH } else { FRESHER });
        let mut sight = self.members_since(current, now.checked_sub(fresh).unwrap_or(now));
        let looks = matches!(operation.state, State::Preparing | State::Verifying | State::Degraded);
        let target = current.topology.pools.iter().find(|pool| pool.fqdn.as_str() == operation.to);
        if let Some(target) = target.filter(|_| looks) {
            self.probe(current, &sight, target);
        }
        if operation.state == State::Preparing {
            self.probe_hops(current, &sight);
        }
        match operation.state {
            State::Preparing | State::Ready => sight.zones = self.look_at_zones(current, keeper::CLOSELY),
            State::Committed | State::Applying | State::Degraded => {
                sight.zones = self.zones.look(current, keeper::CLOSELY);
            }
            _ => {}
        }
        let drains = held(&self.drains);
        let of_this = drains.iter().filter(|((_, epoch), _)| *epoch == operation.epoch);
        sight.drains = of_this.map(|((edge, _), drain)| (edge.clone(), drain.clone())).collect();
        sight
    }

    fn look_now(&self) {
        self.members.look_now();
    }

    fn publish(&self, current: &Current, operation: &Operation, zones: &[String]) {
        for contents in self.zones.wanted(current).iter().filter(|contents| zones.contains(&contents.zone.name)) {
            self.zones.publish(contents, &operation.who, &operation.why);
        }
    }

    fn drain(&self, edge: &str, epoch: u64) {
        let key = (edge.to_owned(), epoch);
        if held(&self.drains).insert(key.clone(), Drain::Told).is_some() {
            return;
        }
        let (members, drains, changed) = (self.members.clone(), self.drains.clone(), self.changed.clone());
        let edge = edge.to_owned();
        tokio::spawn(async move {
            let rest = Rest { epoch, seconds: REST };
            let mut done = members.rest(&edge, rest).await;
            for _ in 1..TRIES {
                if done.is_ok() {
                    break;
                }
                // It may have been a moment's trouble; told twice, it does it once.
                sleep(AGAIN).await;
                done = members.rest(&edge, rest).await;
            }
            let drain = match done {
                Ok(report) => Drain::Finished(report),
                Err(why) => Drain::Failed(why),
            };
            held(&drains).insert(key, drain);
            changed.notify_one();
        });
    }

    fn rest(&self) {
        held(&self.drains).clear();
    }
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
