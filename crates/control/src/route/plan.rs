//! A move as it would be made: its steps, what it changes in DNS, whether it may be made, and a hash of all that.

use api::route::{Kind, Plan, Pool, RecordChange, Step, Wish};
use topology::document::Topology;
use topology::fqdn::Fqdn;
use topology::records::{Published, RecordSet};
use topology::zone::{Publisher, Zone};

use super::conditions::{Ground, conditions, warnings};
use super::operation::{Operation, may_be_superseded};
use super::sight::Sight;
use crate::audit::Hash;
use crate::publish::Current;

/// For how long a pool refuses partners that the route has left: twice what resolvers keep.
pub const REST: u64 = 2 * topology::zone::TTL as u64;

/// Why nothing can be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// There is no such pool, and no edge server of that name.
    #[error("there is no pool and no edge server {0} in the topology")]
    NoPool(String),
    /// Nobody said where to.
    #[error("it isn't said to which pool the route is to be moved")]
    NoTarget,
    /// A failback knows where it goes.
    #[error("a failback goes home, to {0}, and takes no other pool")]
    Home(String),
}

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// What the store says.
    pub current: &'a Current,
    /// Why that can't be relied on, where that is so.
    pub uncertain: Option<&'a str>,
    /// The operation that holds the route, if one does.
    pub operation: Option<&'a Operation>,
    /// What is seen.
    pub sight: &'a Sight,
}

/// The pool that is meant by a pool's name, or by that of one of its edge servers.
///
/// # Errors
/// That there is none.
pub fn target<'a>(topology: &'a Topology, wish: &Wish) -> Result<&'a str, PlanError> {
    let home = topology.route.first().map(Fqdn::as_str).unwrap_or_default();
    let Some(wanted) = &wish.to else {
        return if wish.kind == Kind::Failback { Ok(home) } else { Err(PlanError::NoTarget) };
    };
    let is_meant = |pool: &&topology::document::Pool| {
        pool.fqdn.as_str().eq_ignore_ascii_case(wanted)
            || pool.edges.iter().any(|edge| edge.member.fqdn.as_str().eq_ignore_ascii_case(wanted))
    };
    let pool = topology.pools.iter().find(is_meant).ok_or_else(|| PlanError::NoPool(wanted.clone()))?;
    if wish.kind == Kind::Failback && pool.fqdn.as_str() != home {
        return Err(PlanError::Home(home.to_owned()));
    }
    Ok(pool.fqdn.as_str())
}

/// What such a move would do, and whether it may be made.
///
/// # Errors
/// When it isn't clear where to.
pub fn plan(wish: &Wish, known: &Known<'_>) -> Result<Plan, PlanError> {
    let Known { current, sight, .. } = known;
    let to = target(&current.topology, wish)?;
    let from = current.route.pool.as_str();
    let busy = known.operation.filter(|operation| !operation.state.is_over() && !may_be_superseded(operation.state));
    let busy = busy.map(|operation| operation.number);
    let ground = Ground { from, to, kind: wish.kind, uncertain: known.uncertain, busy };
    let mut plan = Plan {
        hash: String::new(),
        kind: wish.kind,
        from: from.to_owned(),
        to: to.to_owned(),
        epoch: current.route.epoch.saturating_add(1),
        pools: pools(current, sight, to),
        conditions: conditions(&ground, sight, &wish.accept),
        warnings: warnings(&ground, sight),
        steps: steps(&ground, current.route.epoch.saturating_add(1), &current.topology.zones),
        records: changes(&current.topology, from, to),
    };
    plan.hash = hash(&plan, current);
    Ok(plan)
}

/// The table of pools, before and after the route is with `to`.
pub fn pools(current: &Current, sight: &Sight, to: &str) -> Vec<Pool> {
    let topology = &current.topology;
    let role = |pool: &str, routed: &str| if pool == routed { "route" } else { "standby" }.to_owned();
    let in_order = topology.route.iter().filter_map(|fqdn| topology.pool(fqdn));
    let table = in_order.map(|pool| {
        let fqdn = pool.fqdn.as_str();
        Pool {
            fqdn: fqdn.to_owned(),
            site: pool.site.clone(),
            before: role(fqdn, &current.route.pool),
            after: role(fqdn, to),
            edges: pool.edges.len(),
            serving: sight.edges(fqdn).filter(|(_, facts)| facts.serves()).count(),
            stopped: sight.edges(fqdn).filter(|(_, facts)| facts.is_stopped()).count(),
            partners: sight.partners(fqdn).unwrap_or_default(),
        }
    });
    table.collect()
}

fn steps(ground: &Ground<'_>, epoch: u64, zones: &[Zone]) -> Vec<Step> {
    let (from, to) = (ground.from, ground.to);
    let step = |name: &str, what: String| Step { name: name.to_owned(), what };
    let mut steps = vec![
        step(
            "prepare",
            format!("look at {to} once more, from other machines too, so that nothing has changed since this plan"),
        ),
        step("commit", format!("make {to} the route, with epoch {epoch}, in one transaction: from then on it is so")),
        step(
            "members",
            "tell gateways, edge servers and dns servers; what is said from then on goes out by the new pool"
                .to_owned(),
        ),
        step("dns", names(to, epoch, zones)),
        step("verify", format!("see that {to} answers from outside, and that gateways use it")),
    ];
    steps.push(match ground.kind {
        Kind::Failover => step(
            "drain",
            format!("have those of {from} that are reached finish what they have, and refuse partners for {REST} s; the others can't be told"),
        ),
        Kind::Switchover | Kind::Failback => {
            step("drain", format!("have {from} finish what it has, and refuse partners for {REST} s, so that they look anew; then it stands by"))
        }
    });
    steps
}

/// How partners are told.
fn names(to: &str, epoch: u64, zones: &[Zone]) -> String {
    if zones.is_empty() {
        return format!("say which DNS records are to be changed, so that partners look for {to} first");
    }
    let how = |zone: &Zone| match &zone.publisher {
        Publisher::Embedded { .. } => format!("have our dns servers answer it for {}", zone.name),
        Publisher::Rfc2136 { primary, .. } => format!("update {} on {primary}", zone.name),
        Publisher::Manual { .. } => format!("say what is to be changed in {} by hand", zone.name),
    };
    let how: Vec<String> = zones.iter().map(how).collect();
    format!(
        "have partners look for {to} first: {}; then see every name server answer it, by epoch {epoch}",
        how.join(", ")
    )
}

fn changes(topology: &Topology, from: &str, to: &str) -> Vec<RecordChange> {
    let published = Published::of(topology);
    let (Some(before), Some(after)) = (published.records(from), published.records(to)) else { return Vec::new() };
    let pairs = before.iter().zip(&after).filter(|(before, after)| before != after);
    pairs
        .map(|(before, after)| {
            let zone = published.zone_of(&after.name);
            RecordChange {
                zone: zone.map(|zone| zone.name.clone()),
                publisher: zone.map(|zone| zone.publisher.word().to_owned()),
                before: RecordSet::lines(before),
                after: RecordSet::lines(after),
            }
        })
        .collect()
}

/// Of all that doesn't change by itself: not of how many partners there are, or how a sentence reads.
fn hash(plan: &Plan, current: &Current) -> String {
    let mut text =
        format!("{} {} {} {} {} {}\n", plan.kind, plan.from, plan.to, plan.epoch, current.version, current.digest);
    for condition in &plan.conditions {
        text.push_str(&format!("{} {}\n", condition.code, condition.holds));
    }
    for step in &plan.steps {
        text.push_str(&format!("{} {}\n", step.name, step.what));
    }
    for change in &plan.records {
        text.push_str(&format!("{:?} {:?}\n", change.before, change.after));
    }
    let mut hash = Hash::of(text.as_bytes()).to_string();
    // Enough to tell two plans of one installation apart, and short enough to be typed.
    hash.truncate(16);
    hash
}

#[cfg(test)]
mod tests;
