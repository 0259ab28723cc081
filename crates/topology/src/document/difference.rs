//! What changes from one topology to another, in sentences.

use std::collections::BTreeMap;
use std::fmt::Display;

use xmpp::stream::Need;

use super::{Dns, Edge, Member, Pool, Topology, Witness};
use crate::partner::NextHop;
use crate::zone::{Names, Publisher, Targets};

/// What changes, in sentences; empty when nothing does. In which order a document names things says nothing, but for the
/// route's.
pub fn difference(old: &Topology, new: &Topology) -> Vec<String> {
    let mut changes = Vec::new();
    if old.installation != new.installation {
        changes.push(format!("the installation is called {} (was {})", new.installation, old.installation));
    }
    named("site", &mut changes, keyed(&old.sites, Clone::clone), keyed(&new.sites, Clone::clone), |_, _| Vec::new());
    let pools = |topology: &Topology| keyed(&topology.pools, |pool| pool.fqdn.to_string());
    named("pool", &mut changes, pools(old), pools(new), |old, new| of_pool(&old, &new));
    let edges = |topology: &Topology| {
        let all = topology.pools.iter().flat_map(|pool| pool.edges.iter().map(|edge| (pool.fqdn.to_string(), edge)));
        all.map(|(pool, edge)| (edge.member.fqdn.to_string(), (pool, edge.clone()))).collect::<BTreeMap<_, _>>()
    };
    named("edge server", &mut changes, edges(old), edges(new), |old, new| of_edge(&old, &new));
    for (what, members) in
        [("gateway", [&old.gateways, &new.gateways]), ("controller", [&old.controllers, &new.controllers])]
    {
        let [old, new] = members.map(|members| keyed(members, |member| member.fqdn.to_string()));
        named(what, &mut changes, old, new, |old, new| of_member(&old, &new));
    }
    let [before, after] = [old, new].map(|topology| keyed(&topology.dns, |one| one.member.fqdn.to_string()));
    named("dns server", &mut changes, before, after, |old, new| of_dns(&old, &new));
    let [before, after] = [old, new].map(|topology| keyed(&topology.witnesses, |one| one.member.fqdn.to_string()));
    named("witness", &mut changes, before, after, |old, new| of_witness(&old, &new));
    if old.route != new.route {
        let order = |topology: &Topology| list(&topology.route);
        changes.push(format!("pools stand by in the order {} (was {})", order(new), order(old)));
    }
    names(&mut changes, old, new);
    policy(&mut changes, old, new);
    changes
}

fn keyed<T: Clone>(all: &[T], key: impl Fn(&T) -> String) -> BTreeMap<String, T> {
    all.iter().map(|one| (key(one), one.clone())).collect()
}

/// What comes, what goes, and what changes of those that stay.
fn named<T>(
    what: &str,
    changes: &mut Vec<String>,
    mut old: BTreeMap<String, T>,
    new: BTreeMap<String, T>,
    of_one: impl Fn(T, T) -> Vec<String>,
) {
    for (name, new) in new {
        match old.remove(&name) {
            None => changes.push(format!("{what} {name} comes")),
            Some(old) => changes.extend(of_one(old, new).into_iter().map(|change| format!("{what} {name}: {change}"))),
        }
    }
    changes.extend(old.into_keys().map(|name| format!("{what} {name} goes")));
}

fn changed<T: PartialEq + Display>(what: &str, old: &T, new: &T) -> Option<String> {
    (old != new).then(|| format!("{what} {new} (was {old})"))
}

fn list<T: Display>(all: &[T]) -> String {
    if all.is_empty() {
        "nobody".to_owned()
    } else {
        all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// In whatever order: that of records says nothing.
fn none_or<T: Display + Ord>(all: &[T]) -> String {
    let mut all: Vec<&T> = all.iter().collect();
    all.sort_unstable();
    if all.is_empty() { "none".to_owned() } else { list(&all) }
}

fn of_pool(old: &Pool, new: &Pool) -> Vec<String> {
    let changes = [changed("site", &old.site, &new.site), changed("tlsa", &none_or(&old.tlsa), &none_or(&new.tlsa))];
    changes.into_iter().flatten().collect()
}

fn of_member(old: &Member, new: &Member) -> Vec<String> {
    let changes = [
        changed("site", &old.site, &new.site),
        changed("internal", &list(&old.internal), &list(&new.internal)),
        changed("agent_port", &old.agent_port, &new.agent_port),
    ];
    changes.into_iter().flatten().collect()
}

fn of_dns(old: &Dns, new: &Dns) -> Vec<String> {
    let mut changes = of_member(&old.member, &new.member);
    changes.extend(changed("view", &old.view, &new.view));
    changes
}

fn of_witness(old: &Witness, new: &Witness) -> Vec<String> {
    let mut changes = of_member(&old.member, &new.member);
    changes.extend(changed("external", &list(&old.external), &list(&new.external)));
    changes
}

fn of_edge((old_pool, old): &(String, Edge), (new_pool, new): &(String, Edge)) -> Vec<String> {
    let mut changes: Vec<String> = changed("pool", old_pool, new_pool).into_iter().collect();
    // Its site is its pool's.
    let moved = Member { site: new.member.site.clone(), ..old.member.clone() };
    changes.extend(of_member(&moved, &new.member));
    changes.extend(changed("external", &list(&old.external), &list(&new.external)));
    changes.extend(changed("trunk_port", &old.trunk_port, &new.trunk_port));
    changes
}

fn names(changes: &mut Vec<String>, old: &Topology, new: &Topology) {
    let servers = |topology: &Topology| keyed(&topology.nameservers, |server| server.fqdn.to_string());
    named("name server", changes, servers(old), servers(new), |old, new| {
        changed("external", &list(&old.addresses), &list(&new.addresses)).into_iter().collect()
    });
    let ([old_names, new_names], nobody) = ([old, new].map(|topology| &topology.names), "none".to_owned());
    let alias = |names: &Names| names.alias.as_ref().map_or_else(|| nobody.clone(), ToString::to_string);
    let port = |names: &Names| names.direct_tls_port.map_or_else(|| nobody.clone(), |port| port.to_string());
    let target = |names: &Names| match names.targets {
        Targets::Pool => "pool",
        Targets::Edge => "edge",
    };
    let of_names = [
        changed("ttl", &old_names.ttl, &new_names.ttl),
        changed("targets", &target(old_names), &target(new_names)),
        changed("alias", &alias(old_names), &alias(new_names)),
        changed("direct_tls_port", &port(old_names), &port(new_names)),
        changed("resolvers", &list(&old.resolvers), &list(&new.resolvers)),
        changed("ca", &list(&old.ca), &list(&new.ca)),
    ];
    changes.extend(of_names.into_iter().flatten().map(|change| format!("names in DNS: {change}")));
    let zones = |topology: &Topology| keyed(&topology.zones, |zone| zone.name.clone());
    named("zone", changes, zones(old), zones(new), |old, new| {
        changed("publisher", &publisher(&old.publisher), &publisher(&new.publisher)).into_iter().collect()
    });
}

fn publisher(publisher: &Publisher) -> String {
    match publisher {
        Publisher::Embedded { signed, .. } => if *signed { "embedded, signed" } else { "embedded" }.to_owned(),
        Publisher::Rfc2136 { primary, servers, key } => {
            format!("rfc2136 by {primary} with the key {key}, asked at {}", list(servers))
        }
        Publisher::Manual { servers } => format!("manual, asked at {}", list(servers)),
    }
}

/// What an entry for domains comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Terms {
    next_hop: String,
    tls: &'static str,
    external: &'static str,
    dialback: bool,
    resend: bool,
}

impl Terms {
    fn new(next_hop: Option<&NextHop>, terms: &xmpp::stream::Terms, resend: bool) -> Terms {
        let next_hop = next_hop.map_or_else(
            || "none".to_owned(),
            |hop| if hop.direct_tls { format!("{hop} by direct TLS") } else { hop.to_string() },
        );
        Terms { next_hop, tls: word(terms.tls), external: word(terms.external), dialback: terms.dialback, resend }
    }
}

fn word(need: Need) -> &'static str {
    match need {
        Need::Required => "required",
        Need::Optional => "optional",
        Need::NotSupported => "not-supported",
    }
}

fn of_terms(old: &Terms, new: &Terms) -> Vec<String> {
    let changes = [
        changed("next hop", &old.next_hop, &new.next_hop),
        changed("tls", &old.tls, &new.tls),
        changed("external", &old.external, &new.external),
        changed("dialback", &old.dialback, &new.dialback),
        changed("resend", &old.resend, &new.resend),
    ];
    changes.into_iter().flatten().collect()
}

fn policy(changes: &mut Vec<String>, old: &Topology, new: &Topology) {
    match (old.policy.is_open(), new.policy.is_open()) {
        (false, true) => changes.push("federation opens to everybody".to_owned()),
        (true, false) => changes.push("federation closes to all but the listed partners".to_owned()),
        _ => {}
    }
    let locals = |topology: &Topology| {
        let entry = |local: &crate::partner::Local| {
            (local.pattern.to_string(), Terms::new(local.next_hop.as_ref(), &local.terms, local.resend))
        };
        topology.policy.locals().iter().map(entry).collect::<BTreeMap<_, _>>()
    };
    named("local domain", changes, locals(old), locals(new), |old, new| of_terms(&old, &new));
    let partners = |topology: &Topology| {
        let entry = |partner: &crate::partner::Partner| {
            let pattern = partner.pattern.as_ref().map(ToString::to_string).unwrap_or_default();
            (pattern, Terms::new(partner.next_hop.as_ref(), &partner.terms, partner.resend))
        };
        topology.policy.partners().iter().map(entry).collect::<BTreeMap<_, _>>()
    };
    named("partner", changes, partners(old), partners(new), |old, new| of_terms(&old, &new));
}
