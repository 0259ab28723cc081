//! What a controller sees of everything that a move depends on, at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent::keep::Seen;
use api::agent::Head;
use api::local::ServiceState;
use tokio::time::Instant;
use topology::document::{Member, Role};

use crate::publish::Current;
use crate::status::plain;
use crate::zones::Look;

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// The members that are or should be led, by name.
    pub members: BTreeMap<String, Facts>,
    /// What the last probes of edge servers' external addresses found, by the server's name.
    pub probes: BTreeMap<String, Probe>,
    /// What gateways found when they last looked at next hops of local domains, by the gateway's name.
    pub hops: BTreeMap<String, Hops>,
    /// How far edge servers are that were told to finish what they have, by name.
    pub drains: BTreeMap<String, Drain>,
    /// What DNS holds of ours, of each zone.
    pub zones: Vec<Look>,
}

/// What is known of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What it is.
    pub role: Role,
    /// The pool of an edge server.
    pub pool: Option<String>,
    /// Whether it was heard a moment ago.
    pub reached: bool,
    /// Why not, or what is wrong with it, where that is known.
    pub problem: Option<String>,
    /// Whether it goes by exactly what the store says: topology, secrets and route.
    pub current: bool,
    /// The epoch of the route by which it goes.
    pub epoch: Option<u64>,
    /// Its federation service, where it has one.
    pub service: Option<ServiceState>,
    /// The epoch for which it finished last what it had.
    pub rested: Option<u64>,
    /// The edge servers to which a gateway has a trunk.
    pub trunks: BTreeSet<String>,
    /// Partners with whom an edge server has a stream open.
    pub partners: u64,
    /// Stanzas that an edge server has taken in or given away, since it started.
    pub stanzas: u64,
    /// Local domains for which it has no certificate that lasts.
    pub uncovered: Vec<String>,
    /// By how many seconds its clock was ahead of the controller's when it answered last, or behind where that is negative;
    /// nothing where it didn't tell.
    pub clock: Option<i64>,
    /// Streams that its external face has accepted and are open.
    pub streams: u64,
    /// How many that face accepts at once; nothing where it didn't tell.
    pub places: Option<u64>,
}

/// What a probe found: a stream that another edge server, or a witness, opened to an external address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Who opened it.
    pub by: String,
    /// Whether it got as far as a partner would.
    pub found: Found,
    /// What was seen, in a sentence.
    pub seen: String,
    /// Local domains for which the certificate that is shown there isn't good.
    pub uncovered: Vec<String>,
    /// Local domains for which it fits none of the TLSA records that are declared for the pool.
    pub unfit: Vec<String>,
    /// How long ago.
    pub age: Duration,
}

/// Whether partners get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// They do.
    Good,
    /// They don't.
    Bad,
    /// It can't be told: nobody could look, or only somebody whose word alone isn't enough.
    Unsure,
}

impl Probe {
    /// Whether partners surely get in.
    pub fn is_good(&self) -> bool {
        self.found == Found::Good
    }
}

/// What a gateway found when it looked at the next hops of local domains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hops {
    /// The domains whose next hop answered as it should.
    pub good: Vec<String>,
    /// Those whose next hop didn't, each with what was seen, in a sentence.
    pub bad: Vec<(String, String)>,
}

/// How far an edge server is that was told to finish what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drain {
    /// It was told, and hasn't said that it is done.
    Told,
    /// It is done, with this report.
    Finished(String),
    /// It couldn't be told, or can't do it.
    Failed(String),
}

impl Facts {
    /// What a member of this topology looks like; `wanted` is what it should go by, where it was enrolled. Who hasn't been
    /// heard since `since` isn't there.
    pub fn of(
        member: &Member,
        pool: Option<&str>,
        wanted: Option<&Head>,
        seen: Option<&Seen>,
        since: Instant,
    ) -> Facts {
        let fresh = |seen: &&Seen| seen.connected && seen.heard.is_some_and(|heard| heard >= since);
        let there = seen.filter(fresh);
        let hello = there.and_then(|seen| seen.hello.as_ref());
        let have = hello.and_then(|hello| hello.have.as_ref());
        let answer = there.and_then(|seen| seen.status.as_ref());
        let status = answer.map(|(status, _)| status);
        let applied = hello.is_some_and(|hello| hello.applied);
        let service = status.and_then(|status| status.service.as_ref());
        let trunks = status.into_iter().flat_map(|status| &status.members).filter(|other| other.connected);
        let faces = status.into_iter().flat_map(|status| &status.faces);
        let external = faces.clone().find(|face| face.face == "external");
        Facts {
            role: member.role,
            pool: pool.map(str::to_owned),
            reached: hello.is_some(),
            problem: seen.and_then(|seen| seen.problem.as_deref()).map(plain),
            current: applied && wanted.is_some() && have == wanted,
            epoch: have.filter(|_| applied).map(|have| have.route.epoch),
            service: service.map(|service| service.state),
            rested: service.and_then(|service| service.rested),
            trunks: trunks.map(|other| other.name.clone()).collect(),
            partners: status.map_or(0, |status| status.partners),
            stanzas: faces.fold(0, |sum, face| sum.saturating_add(face.stanzas.accepted)),
            uncovered: status
                .map(|status| status.uncovered.iter().map(|domain| plain(domain)).collect())
                .unwrap_or_default(),
            clock: answer.and_then(|(status, at)| Some(ahead(status.now?, *at))),
            streams: external.map_or(0, |face| face.accepted_streams),
            places: external.and_then(|face| face.places),
        }
    }

    /// Whether it takes partners in, or would if an administrator hadn't stopped it.
    pub fn can_serve(&self) -> bool {
        self.reached && self.current && self.uncovered.is_empty()
    }

    /// Whether it takes partners in.
    pub fn serves(&self) -> bool {
        self.reached && self.epoch.is_some() && self.service.is_none_or(|service| service == ServiceState::Running)
    }

    /// Whether an administrator stopped it.
    pub fn is_stopped(&self) -> bool {
        self.reached && self.service == Some(ServiceState::Stopped)
    }
}

/// By how many seconds that clock is ahead of ours, which said `at` at the same time.
fn ahead(clock: u64, at: SystemTime) -> i64 {
    let own = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
    seconds(clock).saturating_sub(seconds(own))
}

impl Sight {
    /// The members of a topology, each as `seen` and `wanted` say.
    pub fn of(
        current: &Current,
        wanted: impl Fn(&str) -> Option<Head>,
        seen: impl Fn(&str) -> Option<Seen>,
        since: Instant,
    ) -> Sight {
        let edges = current
            .topology
            .pools
            .iter()
            .flat_map(|pool| pool.edges.iter().map(move |edge| (&edge.member, Some(pool.fqdn.as_str()))));
        let is_other = |member: &&Member| !matches!(member.role, Role::Edge | Role::Controller);
        let others = current.topology.members().filter(is_other).map(|member| (member, None));
        let facts = edges.chain(others).map(|(member, pool)| {
            let fqdn = member.fqdn.as_str();
            (fqdn.to_owned(), Facts::of(member, pool, wanted(fqdn).as_ref(), seen(fqdn).as_ref(), since))
        });
        Sight { members: facts.collect(), ..Sight::default() }
    }

    /// The edge servers of a pool.
    pub fn edges<'a>(&'a self, pool: &'a str) -> impl Iterator<Item = (&'a str, &'a Facts)> {
        let is_meant = move |facts: &Facts| facts.pool.as_deref() == Some(pool);
        self.members.iter().filter(move |(_, facts)| is_meant(facts)).map(|(fqdn, facts)| (fqdn.as_str(), facts))
    }

    /// The gateways.
    pub fn gateways(&self) -> impl Iterator<Item = (&str, &Facts)> {
        self.of_role(Role::Gateway)
    }

    /// Members of this role.
    pub fn of_role(&self, role: Role) -> impl Iterator<Item = (&str, &Facts)> {
        self.members.iter().filter(move |(_, facts)| facts.role == role).map(|(fqdn, facts)| (fqdn.as_str(), facts))
    }

    /// Partners with a stream open with a pool; nothing where none of its edge servers is seen.
    pub fn partners(&self, pool: &str) -> Option<u64> {
        let seen: Vec<u64> =
            self.edges(pool).filter(|(_, facts)| facts.reached).map(|(_, facts)| facts.partners).collect();
        (!seen.is_empty()).then(|| seen.iter().fold(0_u64, |sum, partners| sum.saturating_add(*partners)))
    }
}

#[cfg(test)]
mod tests;
