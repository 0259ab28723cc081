//! What is to be changed in each zone and by whom, as it is told; and how that is carried out when somebody asks for it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use api::dns::{Answer, Answers, Applied, Apply, Check, Checked, Contents, Plan, Planned, PoolTlsa, TlsaWish, Wish};
use api::route::RecordChange;
use store::StoreError;
use topology::document::Topology;
use topology::records::{Change, Published, RecordSet};
use topology::zone::{PORT, Publisher};
use zones::ask::Manner;

use super::apply::{self, decide};
use super::heard::{self, Heard, hear, questions};
use super::lint::{self, lint};
use super::reached::reached;
use super::shown::shown;
use super::{Look, Zones, changed, told, trust};
use crate::audit::Hash;
use crate::members::Members;
use crate::publish::Current;

/// Why it can't be told or done.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no topology yet.
    #[error("there is no topology yet")]
    NoTopology,
    /// There is no such zone.
    #[error("there is no zone {0} in the topology")]
    NoZone(String),
    /// There is no such pool.
    #[error("there is no pool {0} in the topology")]
    NoPool(String),
    /// There is none at all.
    #[error("the topology has no [[zone]], so DNS isn't fedge's business")]
    NoZones,
    /// Something else would be done now.
    #[error("the plan {asked} is not what would be done now, which is {now}: something has changed since")]
    Stale {
        /// The plan that was meant.
        asked: String,
        /// What would be done.
        now: String,
    },
    /// There is nobody who could be asked.
    #[error("there is nobody to ask: none of our names lies in a [[zone]] of the topology, and no resolver is named")]
    Nobody,
    /// It is no address.
    #[error("`{0}` is no address of a resolver")]
    Resolver(String),
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// DNS outside, as it is asked for.
#[derive(Debug, Clone)]
pub struct Names {
    members: Arc<Members>,
    zones: Arc<Zones>,
}

impl Names {
    /// Of these zones, looked at by these members.
    pub fn new(members: Arc<Members>, zones: Arc<Zones>) -> Names {
        Names { members, zones }
    }

    fn current(&self) -> Result<Arc<Current>, AskError> {
        self.members.picture().current.ok_or(AskError::NoTopology)
    }

    /// The zones that are meant, looked at now.
    async fn look(&self, current: &Current, zones: &[String]) -> Result<Vec<Look>, AskError> {
        let meant: Vec<String> =
            zones.iter().map(|zone| format!("{}.", zone.trim_end_matches('.').to_ascii_lowercase())).collect();
        if current.topology.zones.is_empty() {
            return Err(AskError::NoZones);
        }
        if let Some(unknown) = meant.iter().find(|name| current.topology.zones.iter().all(|zone| zone.name != **name)) {
            return Err(AskError::NoZone(unknown.clone()));
        }
        let looks = self.zones.fresh(current).await;
        Ok(looks.into_iter().filter(|look| meant.is_empty() || meant.contains(&look.contents.zone.name)).collect())
    }

    /// What would be changed in each zone, and by whom.
    ///
    /// # Errors
    /// When there is no such zone.
    pub async fn plan(&self, wish: &Wish) -> Result<Plan, AskError> {
        let current = self.current()?;
        let looks = self.look(&current, &wish.zones).await?;
        Ok(plan(&current, &looks))
    }

    /// Has zones hold what they should, and says what became of each.
    ///
    /// # Errors
    /// When nothing is done: there is no such zone, or the plan isn't what would be done.
    pub async fn apply(&self, asked: &Apply, who: &str) -> Result<Vec<Applied>, AskError> {
        let current = self.current()?;
        let looks = self.look(&current, &asked.zones).await?;
        let now = plan(&current, &looks);
        if let Some(asked) = asked.plan.clone().filter(|asked| *asked != now.hash) {
            return Err(AskError::Stale { asked, now: now.hash });
        }
        let mut all = Vec::new();
        for (look, planned) in looks.iter().zip(&now.zones) {
            let by = (who, asked.why.as_str());
            let done = self.zones.apply(&look.contents, asked.adopt, by).await;
            let noted = match &done {
                Ok(apply::Applied::Written(changes)) => self.zones.note(&look.contents, changes, by).await,
                _ => Ok(()),
            };
            let mut told = applied(look, planned, done);
            if let Err(error) = noted {
                told.what.push_str(&format!(", and that couldn't be written to the audit trail: {error}"));
            }
            all.push(told);
        }
        Ok(all)
    }

    /// What each zone should hold of ours.
    ///
    /// # Errors
    /// When there is none.
    pub fn contents(&self) -> Result<Vec<Contents>, AskError> {
        let current = self.current()?;
        if current.topology.zones.is_empty() {
            return Err(AskError::NoZones);
        }
        let told = self.zones.wanted(&current).into_iter().map(|contents| Contents {
            zone: contents.zone.name.clone(),
            publisher: contents.zone.publisher.word().to_owned(),
            lines: contents.all().iter().flat_map(RecordSet::lines).collect(),
        });
        Ok(told.collect())
    }

    /// What everybody answers now for each name, against what should be.
    ///
    /// # Errors
    /// When a resolver's address is none, and when there is nobody to ask.
    pub async fn answers(&self, check: &Check) -> Result<Answers, AskError> {
        let current = self.current()?;
        let published = Published::of(&current.topology);
        let wanted = published.records(&current.route.pool).unwrap_or_default();
        let questions = questions(&published, heard::names(&published), &resolvers(&current.topology, check)?);
        let answers: Vec<Answer> = hear(questions).await.iter().filter_map(|heard| answer(heard, &wanted)).collect();
        if answers.is_empty() {
            return Err(AskError::Nobody);
        }
        Ok(Answers { pool: current.route.pool.clone(), epoch: current.route.epoch, answers })
    }

    /// What edge servers show outside, as TLSA records, and what is declared.
    ///
    /// # Errors
    /// When there is no such pool.
    pub async fn tlsa(&self, wish: &TlsaWish) -> Result<Vec<PoolTlsa>, AskError> {
        let current = self.current()?;
        let meant = wish.pool.as_ref().map(|pool| pool.trim_end_matches('.').to_ascii_lowercase());
        let published = Published::of(&current.topology);
        if let Some(unknown) =
            meant.as_ref().filter(|pool| published.pools.iter().all(|one| one.fqdn.as_str() != **pool))
        {
            return Err(AskError::NoPool(unknown.clone()));
        }
        let is_meant = |pool: &str| meant.as_ref().is_none_or(|meant| meant == pool);
        Ok(shown(&self.members, &current, &published, is_meant).await)
    }

    /// Looks at all names from all sides.
    ///
    /// # Errors
    /// When a resolver's address is none, and when there is nobody to ask.
    pub async fn check(&self, check: &Check) -> Result<Checked, AskError> {
        let current = self.current()?;
        let published = Published::of(&current.topology);
        let (mut names, ca) = (heard::names(&published), &current.topology.ca);
        if !ca.is_empty() {
            names.extend(heard::authorizations(&published));
        }
        names.extend(heard::signed(&published));
        let count = names.len();
        let resolvers = resolvers(&current.topology, check)?;
        let mut questions = questions(&published, names, &resolvers);
        if questions.is_empty() {
            return Err(AskError::Nobody);
        }
        questions.extend(heard::parents(&published, &resolvers));
        let keys = trust::keys(&current.topology, &self.members.picture().secrets);
        // Of pools without a record, nothing has to fit what they show.
        let declares = |pool: &str| published.pools.iter().any(|one| one.fqdn.as_str() == pool && !one.tlsa.is_empty());
        let (looks, heard, reached, shown) = tokio::join!(
            self.zones.fresh(&current),
            hear(questions),
            reached(&self.members, &current, &published),
            shown(&self.members, &current, &published, declares)
        );
        let locals = current.topology.policy.locals().iter().filter(|local| local.pattern.is_wildcard());
        let wildcards: Vec<String> = locals.map(|local| local.pattern.to_string()).collect();
        let ground = lint::Ground {
            published: &published,
            routed: &current.route.pool,
            ca,
            wildcards: &wildcards,
            keys: &keys,
            looks: &looks,
            heard: &heard,
            reached: &reached,
            shown: &shown,
        };
        let mut asked: Vec<SocketAddr> = heard.iter().map(|heard| heard.server).collect();
        asked.sort_unstable();
        asked.dedup();
        Ok(Checked { names: count, asked: asked.iter().map(ToString::to_string).collect(), findings: lint(&ground) })
    }
}

fn resolvers(topology: &Topology, check: &Check) -> Result<Vec<SocketAddr>, AskError> {
    let mut all = topology.resolvers.clone();
    for text in &check.resolvers {
        let address = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT)).or_else(|_| text.parse());
        all.push(address.map_err(|_| AskError::Resolver(text.clone()))?);
    }
    all.dedup();
    Ok(all)
}

/// A name at one server, where it should be there.
fn answer(heard: &Heard, wanted: &[RecordSet]) -> Option<Answer> {
    let should = wanted.iter().find(|set| set.name == heard.name && (set.kind == heard.kind || set.kind == "CNAME"))?;
    // Where it is an alias, what counts is where that leads.
    let service =
        |set: &&RecordSet| should.kind == "CNAME" && set.kind == heard.kind && should.values.contains(&set.name);
    let should = wanted.iter().find(service).unwrap_or(should);
    let found = heard.said.as_ref().map(|sets| sets.iter().find(|set| set.kind == should.kind));
    let (answers, ttl, right) = match found {
        Ok(Some(set)) => {
            (set.values.clone(), Some(set.ttl), RecordSet { name: should.name.clone(), ..set.clone() }.says(should))
        }
        Ok(None) => (vec!["no such record".to_owned()], None, false),
        Err(why) => (vec![why.clone()], None, false),
    };
    Some(Answer {
        name: heard.name.clone(),
        kind: heard.kind.to_owned(),
        server: heard.server.to_string(),
        resolver: heard.manner == Manner::Resolver,
        right,
        answers,
        ttl,
    })
}

/// What would be done about zones that were looked at.
pub fn plan(current: &Current, looks: &[Look]) -> Plan {
    let published = Published::of(&current.topology);
    let all = published.records(&current.route.pool).unwrap_or_default();
    let elsewhere = all.iter().filter(|set| published.zone_of(&set.name).is_none());
    let mut plan = Plan {
        hash: String::new(),
        pool: current.route.pool.clone(),
        epoch: current.route.epoch,
        topology: current.version,
        elsewhere: elsewhere.flat_map(RecordSet::lines).collect(),
        zones: looks.iter().map(planned).collect(),
    };
    plan.hash = hash(&plan);
    plan
}

fn planned(look: &Look) -> Planned {
    let zone = told(look);
    let manual = matches!(look.contents.zone.publisher, Publisher::Manual { .. });
    let message = (manual && !zone.changes.is_empty()).then(|| message(look, &zone.changes));
    let foreign = if manual { Vec::new() } else { look.foreign() };
    let left = look.left_alone();
    Planned {
        foreign: foreign.iter().flat_map(RecordSet::lines).collect(),
        left: left.iter().filter_map(Change::before).flat_map(RecordSet::lines).collect(),
        hindered: hindered(look),
        message,
        zone,
    }
}

/// Why a zone that takes updates wouldn't take this one.
fn hindered(look: &Look) -> Option<String> {
    let Publisher::Rfc2136 { primary, .. } = look.contents.zone.publisher else { return None };
    let Some(seen) = look.source() else {
        return Some(look.standing(primary, Duration::MAX).told(&look.named(primary)));
    };
    if let Some(Err(why)) = &look.writable {
        return Some(why.clone());
    }
    // What somebody else has put at our names is shown by itself.
    decide(&look.contents, seen, &look.owned, true).err().map(|error| error.to_string())
}

/// What is sent to whoever changes a zone by hand.
fn message(look: &Look, changes: &[RecordChange]) -> String {
    let zone = look.zone().trim_end_matches('.');
    let mark = &look.contents.mark;
    let mut text = format!(
        "Please change these records in the zone {zone}, all at once (reference: epoch {}, topology {}).\n\
         A line with `-` goes, a line with `+` comes; nothing else changes.\n\n",
        mark.epoch, mark.topology
    );
    for change in changes {
        let lines = change.before.iter().map(|line| format!("- {line}\n"));
        let lines = lines.chain(change.after.iter().map(|line| format!("+ {line}\n")));
        text.push_str(&lines.collect::<String>());
    }
    text
}

fn hash(plan: &Plan) -> String {
    let mut text = format!("{} {} {}\n", plan.pool, plan.epoch, plan.topology);
    for planned in &plan.zones {
        text.push_str(&format!("{} {}\n", planned.zone.name, planned.zone.publisher));
        for change in &planned.zone.changes {
            text.push_str(&format!("{:?} {:?}\n", change.before, change.after));
        }
        planned.foreign.iter().for_each(|line| text.push_str(&format!("{line}\n")));
    }
    let mut hash = Hash::of(text.as_bytes()).to_string();
    // As a move's: enough to tell two plans apart, and short enough to be typed.
    hash.truncate(16);
    hash
}

fn applied(look: &Look, planned: &Planned, done: Result<apply::Applied, apply::ApplyError>) -> Applied {
    let zone = look.contents.zone.name.clone();
    let (done, refused, what, changes) = match done {
        Ok(apply::Applied::Already) => (true, false, "it holds all that it should already".to_owned(), Vec::new()),
        Ok(apply::Applied::Written(changes)) => (
            true,
            false,
            "it was changed, in one step".to_owned(),
            changes.into_iter().map(|change: Change| changed(look, change)).collect(),
        ),
        Ok(apply::Applied::Served) => {
            let published = look.published(Duration::MAX);
            (
                published.is_ok(),
                false,
                published.unwrap_or_else(|why| format!("our own name servers follow by themselves: {why}")),
                Vec::new(),
            )
        }
        Ok(apply::Applied::ByHand) => {
            let is_done = planned.zone.servers.iter().all(|server| server.current);
            let what = planned.message.clone().unwrap_or_else(|| "it holds all that it should already".to_owned());
            (is_done, false, what, planned.zone.changes.clone())
        }
        Err(error) => (false, true, error.to_string(), Vec::new()),
    };
    Applied { zone, done, refused, what, changes }
}
