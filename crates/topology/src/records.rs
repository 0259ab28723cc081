//! The DNS records by which partners find us: one SRV target for each pool, the one with the route first.

use std::net::IpAddr;

use crate::document::{Pool, Topology};

/// How long resolvers may keep an answer, in seconds. A move is seen by new streams after that.
pub const TTL: u32 = 30;
/// Where partners are taken in. The runbook and every server's default say so, whatever is behind it.
const PORT: u16 = 5269;
/// Between the priorities of two pools, so that others can be put between.
const PRIORITY_STEP: u16 = 10;

/// All records of one type at one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSet {
    /// The name, with the dot at its end.
    pub name: String,
    /// Its type, such as `SRV`.
    pub kind: &'static str,
    /// What stands after the type, one for each record.
    pub values: Vec<String>,
}

impl RecordSet {
    /// As a zone file has it.
    pub fn lines(&self) -> Vec<String> {
        self.values.iter().map(|value| format!("{} {TTL} IN {} {value}", self.name, self.kind)).collect()
    }
}

/// What should be in DNS while the pool `routed` carries the route: it stands first, and the others in the document's order,
/// no two with one priority (RFC 2782). Nothing where there is no such pool: an empty set would end federation.
pub fn records(topology: &Topology, routed: &str) -> Option<Vec<RecordSet>> {
    let in_order = || topology.route.iter().filter_map(|fqdn| topology.pool(fqdn));
    let first = in_order().find(|pool| pool.fqdn.as_str() == routed)?;
    let pools: Vec<&Pool> =
        std::iter::once(first).chain(in_order().filter(|pool| pool.fqdn.as_str() != routed)).collect();
    let targets: Vec<String> = (1..)
        .zip(&pools)
        .map(|(place, pool): (u16, _)| format!("{} 0 {PORT} {}.", place.saturating_mul(PRIORITY_STEP), pool.fqdn))
        .collect();
    // Of `*.domain`, which names there are isn't known, and no zone can have a wildcard in the middle of a name.
    let locals = topology.policy.locals().iter().filter(|local| !local.pattern.is_wildcard());
    let services = locals.map(|local| RecordSet {
        name: format!("_xmpp-server._tcp.{}.", local.pattern.domain().to_ascii()),
        kind: "SRV",
        values: targets.clone(),
    });
    let addresses = in_order().flat_map(|pool| {
        let of = |kind: &'static str, is_meant: fn(&IpAddr) -> bool| RecordSet {
            name: format!("{}.", pool.fqdn),
            kind,
            values: external(pool).filter(is_meant).map(|address| address.to_string()).collect(),
        };
        [of("A", IpAddr::is_ipv4), of("AAAA", IpAddr::is_ipv6)]
    });
    Some(services.chain(addresses.filter(|set| !set.values.is_empty())).collect())
}

fn external(pool: &Pool) -> impl Iterator<Item = IpAddr> {
    pool.edges.iter().flat_map(|edge| edge.external.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = include_str!("../../../docs/examples/topology.toml");

    fn lines(routed: &str) -> Vec<String> {
        let topology = Topology::read("topology.toml", DOCUMENT).expect("the example is good");
        records(&topology, routed).expect("there is such a pool").iter().flat_map(RecordSet::lines).collect()
    }

    #[test]
    fn the_pool_with_the_route_stands_first_and_no_two_have_one_priority() {
        let topology = Topology::read("topology.toml", DOCUMENT).expect("the example is good");
        let (one, two) = (topology.route[0].as_str(), topology.route[1].as_str());
        let srv = |routed: &str| {
            let lines = lines(routed);
            lines.into_iter().filter(|line| line.contains("_xmpp-server._tcp.contoso.test. ")).collect::<Vec<_>>()
        };
        let line =
            |priority: u16, pool: &str| format!("_xmpp-server._tcp.contoso.test. 30 IN SRV {priority} 0 5269 {pool}.");
        assert_eq!(srv(one), [line(10, one), line(20, two)]);
        assert_eq!(srv(two), [line(10, two), line(20, one)]);
    }

    #[test]
    fn a_move_changes_no_address_and_nothing_is_ever_empty() {
        let topology = Topology::read("topology.toml", DOCUMENT).expect("the example is good");
        let (one, two) = (topology.route[0].as_str(), topology.route[1].as_str());
        let addresses = |routed: &str| {
            let lines = lines(routed);
            lines.into_iter().filter(|line| !line.contains(" SRV ")).collect::<Vec<_>>()
        };
        assert_eq!(addresses(one), addresses(two));
        assert!(!addresses(one).is_empty());
        assert_eq!(records(&topology, "pool9.contoso.test"), None);
        for set in records(&topology, two).expect("a pool") {
            assert!(!set.values.is_empty() && set.name.ends_with('.'), "{set:?}");
        }
    }
}
