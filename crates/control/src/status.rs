//! How everything is, from what the store says and what members say.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent::keep::Seen;
use api::control::{Certificate, Member, Overview, Pool, Route, Site};
use api::local;
use topology::document::{self, Topology};

use crate::members::Picture;

mod noticed;
mod wrong;

pub use noticed::{Finding, Noticed};

const DAY: i64 = 24 * 3600;
/// The longest sentence, in characters.
const SENTENCE: usize = 600;

/// How everything is, and what somebody should look at. `seen` tells how each member is seen, `controller` who tells this.
/// Nothing before the first topology.
pub fn overview(
    picture: &Picture,
    seen: impl Fn(&str) -> Option<Seen>,
    controller: &str,
    now: SystemTime,
) -> Option<(Overview, Vec<Finding>)> {
    let current = picture.current.as_ref()?;
    let mut findings = wrong::of_all(picture, current);
    let mut told = |member: &document::Member| {
        let enrolled = picture.enrolled.contains_key(member.fqdn.as_str());
        let seen = seen(member.fqdn.as_str());
        findings.extend(wrong::of_member(member, enrolled, seen.as_ref(), current, now));
        shown(member, enrolled, seen.as_ref(), now)
    };
    let sites = sites(&current.topology, &current.route.pool, &mut told);
    let overview = Overview {
        installation: current.topology.installation.clone(),
        version: current.version,
        route: Route { pool: current.route.pool.clone(), epoch: current.route.epoch },
        sites,
        wrong: Vec::new(),
        controller: controller.to_owned(),
    };
    Some((overview, findings))
}

fn sites(topology: &Topology, routed: &str, told: &mut impl FnMut(&document::Member) -> Member) -> Vec<Site> {
    let mut sites = Vec::new();
    for name in &topology.sites {
        let pools = topology.pools.iter().filter(|pool| pool.site == *name).map(|pool| Pool {
            fqdn: pool.fqdn.to_string(),
            routed: pool.fqdn.as_str() == routed,
            members: pool.edges.iter().map(|edge| told(&edge.member)).collect(),
        });
        let pools = pools.collect();
        let others = topology.members().filter(|member| member.role != document::Role::Edge);
        let members = others.filter(|member| member.site == *name).map(&mut *told).collect();
        sites.push(Site { name: name.clone(), pools, members });
    }
    sites
}

fn shown(member: &document::Member, enrolled: bool, seen: Option<&Seen>, now: SystemTime) -> Member {
    let hello = seen.and_then(|seen| seen.hello.as_ref());
    let have = hello.and_then(|hello| hello.have.as_ref());
    // What it said before it was gone says nothing about how it is.
    let status = seen.filter(|seen| seen.connected).and_then(|seen| seen.status.as_ref()).map(|(status, _)| status);
    let service = status.and_then(|status| status.service.as_ref());
    let state = match (member.role, enrolled, seen) {
        // The store knows them, and nobody dials them.
        (document::Role::Controller, ..) => "controller",
        (_, false, _) => "not enrolled",
        (_, true, Some(seen)) if seen.connected => "reached",
        (_, true, _) => "unreachable",
    };
    Member {
        fqdn: member.fqdn.to_string(),
        role: member.role.to_string(),
        state: state.to_owned(),
        since: seen.map_or(0, |seen| milliseconds(seen.since)),
        program: hello.map(|hello| plain(&format!("{} {}", hello.program, hello.version))),
        version: have.map(|have| have.version),
        epoch: have.map(|have| have.route.epoch),
        confirmed: hello.map(|hello| hello.confirmed),
        service: service.map(|service| service.state.to_string()),
        service_since: service.map(|service| service.since.saturating_mul(1000)),
        streams: status.filter(|status| !status.faces.is_empty()).map(streams),
        partners: status.filter(|_| member.role == document::Role::Edge).map(|status| status.partners),
        certificates: certificates(member, seen, now),
    }
}

fn streams(status: &local::Status) -> u64 {
    let streams = status.faces.iter().flat_map(|face| [face.accepted_streams, face.dialed_streams]);
    streams.fold(0, u64::saturating_add)
}

/// The one for controllers, and those that it showed when it was last asked: they expire also while it isn't reached.
fn certificates(member: &document::Member, seen: Option<&Seen>, now: SystemTime) -> Vec<Certificate> {
    let control = seen.and_then(|seen| seen.hello.as_ref()?.certificate).map(|validity| Certificate {
        used_for: "control".to_owned(),
        name: member.fqdn.to_string(),
        days_left: days_left(validity.not_after, now),
    });
    let status = seen.and_then(|seen| seen.status.as_ref());
    let others = status.into_iter().flat_map(|(status, _)| &status.certificates).map(|certificate| Certificate {
        used_for: plain(&certificate.used_for),
        name: plain(&certificate.name),
        days_left: days_left(certificate.not_after, now),
    });
    control.into_iter().chain(others).collect()
}

/// Whole days from now until a moment in seconds since 1970; negative once it is over.
pub(crate) fn days_left(not_after: u64, now: SystemTime) -> i64 {
    let now = i64::try_from(milliseconds(now) / 1000).unwrap_or(i64::MAX);
    (i64::try_from(not_after).unwrap_or(i64::MAX) - now).div_euclid(DAY)
}

/// A moment in seconds since 1970, as a member says it.
pub(crate) fn at_second(seconds: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}

/// What a member says, as it may be shown on a terminal: a machine in a stranger's hands may say anything.
pub(crate) fn plain(text: &str) -> String {
    text.chars().take(SENTENCE).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

pub(crate) fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
