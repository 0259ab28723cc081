//! Whether a pool or an address serves, as far as this controller knows: for load balancers, keepalived and BGP speakers.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use agent::keep::Seen;
use api::agent::Route;
use api::control::Serving;
use api::local::ServiceState;
use topology::document::{Member, Role};

use crate::ahead;
use crate::publish::Current;

/// A member is asked every few seconds how it is; what it said longer ago says nothing about now.
const SILENCE: Duration = Duration::from_secs(30);

/// What it is judged by.
pub struct View<'a> {
    /// The installation's id.
    pub installation: &'a str,
    /// What the store said last.
    pub current: &'a Current,
    /// Whether it can't be asked now.
    pub blind: bool,
    /// How each member is seen.
    pub seen: &'a dyn Fn(&str) -> Option<Seen>,
    /// Now.
    pub now: SystemTime,
}

/// Whether a pool does: one of its edge servers is enough. Nothing where there is no such pool.
pub fn of_pool(view: &View<'_>, fqdn: &str) -> Option<Serving> {
    let pool = view.current.topology.pools.iter().find(|pool| pool.fqdn.as_str() == fqdn)?;
    let route = route(view);
    let edges = pool.edges.iter().map(|edge| of_member(view, &edge.member, Some(fqdn), &route));
    Some(edges.fold(nothing(), any))
}

/// Whether the member does that has this address. Nothing where nobody has it.
pub fn of_address(view: &View<'_>, address: IpAddr) -> Option<Serving> {
    let topology = &view.current.topology;
    let route = route(view);
    let edges = topology.pools.iter().flat_map(|pool| pool.edges.iter().map(move |edge| (pool, edge)));
    for (pool, edge) in edges {
        if edge.external.contains(&address) || edge.member.internal.contains(&address) {
            return Some(of_member(view, &edge.member, Some(pool.fqdn.as_str()), &route));
        }
    }
    let mut others = topology.members().filter(|member| member.role != Role::Edge);
    let member = others.find(|member| member.internal.contains(&address))?;
    Some(of_member(view, member, None, &route))
}

/// The route, as the store says it. While it can't be asked, everything goes on as it was, and another controller may still
/// move the route: then it is the latest that the store said, or members know.
fn route(view: &View<'_>) -> Route {
    let known = Route { epoch: view.current.route.epoch, pool: view.current.route.pool.clone() };
    if !view.blind {
        return known;
    }
    let heard = ahead::believed(ahead::heard((view.installation, &view.current.topology), view.seen, None));
    heard.into_iter().map(|heard| heard.have.route).fold(
        known,
        |latest, route| {
            if route.epoch > latest.epoch { route } else { latest }
        },
    )
}

fn of_member(view: &View<'_>, member: &Member, pool: Option<&str>, route: &Route) -> Serving {
    let fqdn = &member.fqdn;
    let seen = (view.seen)(fqdn.as_str()).filter(|seen| seen.connected);
    let Some(seen) = seen else {
        return Serving { why: vec![format!("{fqdn} is not reached by this controller")], ..nothing() };
    };
    let hindrance = hindrance(&seen, member.role, view.now);
    let detour = detour(&seen, pool, route);
    Serving {
        live: true,
        ready: hindrance.is_none(),
        routed: hindrance.is_none() && detour.is_none(),
        why: hindrance.into_iter().chain(detour).map(|why| format!("{fqdn} {why}")).collect(),
    }
}

/// Why it doesn't take in what comes.
fn hindrance(seen: &Seen, role: Role, now: SystemTime) -> Option<String> {
    let Some((status, at)) = &seen.status else { return Some("has not said yet how it is".to_owned()) };
    if now.duration_since(*at).is_ok_and(|passed| passed > SILENCE) {
        return Some("doesn't say how it is".to_owned());
    }
    if !seen.hello.as_ref().is_some_and(|hello| hello.applied) {
        return Some("goes by no snapshot".to_owned());
    }
    if let Some(service) = status.service.as_ref().filter(|service| service.state != ServiceState::Running) {
        return Some(format!("has a federation service that is {}", service.state));
    }
    let alone = role == Role::Gateway && !status.members.iter().any(|member| member.connected);
    alone.then(|| "has a trunk to no edge server".to_owned())
}

/// Why it doesn't carry the route, or doesn't know that it does.
fn detour(seen: &Seen, pool: Option<&str>, route: &Route) -> Option<String> {
    let Some(pool) = pool else { return Some("is no edge server, and carries no route".to_owned()) };
    if pool != route.pool {
        return Some(format!("is in {pool}, and {} carries the route", route.pool));
    }
    let hello = seen.hello.as_ref()?;
    let known = hello.have.as_ref().map(|have| &have.route);
    if known != Some(route) {
        let epoch = known.map_or(0, |known| known.epoch);
        return Some(format!("goes by epoch {epoch} of the route, and {} is current", route.epoch));
    }
    (!hello.confirmed).then(|| "has started without a controller, so its route is unconfirmed".to_owned())
}

fn nothing() -> Serving {
    Serving { live: false, ready: false, routed: false, why: Vec::new() }
}

fn any(left: Serving, right: Serving) -> Serving {
    Serving {
        live: left.live || right.live,
        ready: left.ready || right.ready,
        routed: left.routed || right.routed,
        why: left.why.into_iter().chain(right.why).collect(),
    }
}

#[cfg(test)]
mod tests;
