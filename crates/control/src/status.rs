//! How everything is, from what the store says and what members say.

use std::time::{SystemTime, UNIX_EPOCH};

use agent::keep::Seen;
use api::control::{Certificate, Member, Overview, Pool, Route, Site, Wrong};
use topology::document::{self, Topology};

use crate::members::Picture;
use crate::publish::Current;

const DAY: i64 = 24 * 3600;
/// A member's certificate is renewed a month before its end; one that isn't by then is somebody's concern.
const DAYS_LEFT: i64 = 21;

/// How everything is. `seen` tells how each member is seen, `controller` who tells this.
pub fn overview(
    picture: &Picture,
    seen: impl Fn(&str) -> Option<Seen>,
    controller: &str,
    now: SystemTime,
) -> Option<Overview> {
    let current = picture.current.as_ref()?;
    let mut wrong = Vec::new();
    if let Some((since, why)) = &picture.blind {
        let what = format!("the store can't be asked: {why}; everything goes on as it was, and nothing can be changed");
        wrong.push(Wrong { at: current.topology.installation.clone(), what, since: milliseconds(*since) });
    }
    let mut told = |member: &document::Member| {
        let enrolled = picture.enrolled.contains_key(member.fqdn.as_str());
        let seen = seen(member.fqdn.as_str());
        wrong.extend(what_is_wrong(member, enrolled, seen.as_ref(), current, now));
        shown(member, enrolled, seen.as_ref(), now)
    };
    let sites = sites(&current.topology, &current.route.pool, &mut told);
    wrong.sort_by_key(|wrong| wrong.since);
    Some(Overview {
        installation: current.topology.installation.clone(),
        version: current.version,
        route: Route { pool: current.route.pool.clone(), epoch: current.route.epoch },
        sites,
        wrong,
        controller: controller.to_owned(),
    })
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
        let others = topology.gateways.iter().chain(&topology.dns).chain(&topology.controllers);
        let members = others.filter(|member| member.site == *name).map(&mut *told).collect();
        sites.push(Site { name: name.clone(), pools, members });
    }
    sites
}

fn shown(member: &document::Member, enrolled: bool, seen: Option<&Seen>, now: SystemTime) -> Member {
    let hello = seen.and_then(|seen| seen.hello.as_ref());
    let have = hello.and_then(|hello| hello.have.as_ref());
    let state = match (member.role, enrolled, seen) {
        // The store knows them, and nobody dials them.
        (document::Role::Controller, ..) => "controller",
        (_, false, _) => "not enrolled",
        (_, true, Some(seen)) if seen.connected => "reached",
        (_, true, _) => "unreachable",
    };
    let certificate = hello.and_then(|hello| hello.certificate).map(|validity| Certificate {
        used_for: "control".to_owned(),
        name: member.fqdn.to_string(),
        days_left: days_left(validity.not_after, now),
    });
    Member {
        fqdn: member.fqdn.to_string(),
        role: member.role.to_string(),
        state: state.to_owned(),
        since: seen.map_or(0, |seen| milliseconds(seen.since)),
        program: hello.map(|hello| format!("{} {}", hello.program, hello.version)),
        version: have.map(|have| have.version),
        epoch: have.map(|have| have.route.epoch),
        service: None,
        streams: None,
        partners: None,
        certificates: certificate.into_iter().collect(),
    }
}

fn what_is_wrong(
    member: &document::Member,
    enrolled: bool,
    seen: Option<&Seen>,
    current: &Current,
    now: SystemTime,
) -> Vec<Wrong> {
    let since = seen.map_or(0, |seen| milliseconds(seen.since));
    let wrong = |what: String| Wrong { at: member.fqdn.to_string(), what, since };
    if member.role == document::Role::Controller {
        return Vec::new();
    }
    if !enrolled {
        let what = "it is in the topology and not enrolled; run its command `enrol` on it (docs/enrolment.md)";
        return vec![wrong(what.to_owned())];
    }
    let Some(seen) = seen else { return vec![wrong("it was not dialed yet".to_owned())] };
    let mut all: Vec<Wrong> = seen.problem.iter().map(|problem| wrong(problem.clone())).collect();
    let Some(hello) = seen.hello.as_ref().filter(|_| seen.connected) else {
        if all.is_empty() {
            all.push(wrong("it was not reached yet".to_owned()));
        }
        return all;
    };
    all.extend(hello.concerns.iter().map(|concern| wrong(concern.clone())));
    let have = hello.have.as_ref();
    let at = have.map_or((0, 0), |have| (have.version, have.route.epoch));
    if at != (current.version, current.route.epoch) && seen.problem.is_none() {
        let (version, epoch) = (current.version, current.route.epoch);
        let what = format!("it goes by version {}, epoch {}, and {version}, {epoch} is current", at.0, at.1);
        all.push(wrong(what));
    }
    if let Some(left) =
        hello.certificate.map(|validity| days_left(validity.not_after, now)).filter(|left| *left < DAYS_LEFT)
    {
        all.push(wrong(format!("its certificate for controllers has {left} days left, and was not renewed by itself")));
    }
    all
}

fn days_left(not_after: u64, now: SystemTime) -> i64 {
    let now = i64::try_from(milliseconds(now) / 1000).unwrap_or(i64::MAX);
    (i64::try_from(not_after).unwrap_or(i64::MAX) - now).div_euclid(DAY)
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
