//! The DNS records by which partners find us: the pool with the route first, for each zone what it should hold of ours.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::document::{Edge, Pool, Topology};
use crate::fqdn::Fqdn;
use crate::tlsa::Tlsa;
use crate::zone::{Names, Targets, Zone};

mod difference;
mod mark;
#[cfg(test)]
mod tests;

pub use difference::{Change, difference, foreign};
pub use mark::{Mark, MarkError, mark_name};

/// Where partners are taken in. The runbook and every server's default say so, whatever is behind it.
const PORT: u16 = 5269;
/// Between the priorities of two pools, so that others can be put between.
const PRIORITY_STEP: u16 = 10;
/// Of each edge server of a pool alike, where each has a target of its own.
const WEIGHT: u16 = 10;

/// All records of one type at one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSet {
    /// The name, with the dot at its end.
    pub name: String,
    /// Its type, such as `SRV`.
    pub kind: String,
    /// How long resolvers may keep it, in seconds.
    pub ttl: u32,
    /// What stands after the type, one for each record, as a zone file has it.
    pub values: Vec<String>,
}

impl RecordSet {
    /// As a zone file has it.
    pub fn lines(&self) -> Vec<String> {
        let RecordSet { name, kind, ttl, values } = self;
        values.iter().map(|value| format!("{name} {ttl} IN {kind} {value}")).collect()
    }

    /// Whether both say the same, in whatever order and letters.
    pub fn says(&self, other: &RecordSet) -> bool {
        let values = |set: &RecordSet| {
            let mut values: Vec<String> = set.values.iter().map(|value| folded(&set.kind, value)).collect();
            values.sort_unstable();
            values
        };
        self.name.eq_ignore_ascii_case(&other.name) && self.kind == other.kind && values(self) == values(other)
    }
}

/// In a text, letters mean what they are; in all else that we publish they don't.
fn folded(kind: &str, value: &str) -> String {
    if kind == "TXT" { value.to_owned() } else { value.to_ascii_lowercase() }
}

/// All that records are made from. A dns server that publishes gets just this.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// How partners find us.
    pub names: Names,
    /// Local domains, as DNS has them, without the dot at the end.
    pub locals: Vec<String>,
    /// The pools in the order in which they stand by.
    pub pools: Vec<Target>,
    /// The zones in which names of ours lie.
    pub zones: Vec<Zone>,
}

/// A pool, as it is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its name.
    pub fqdn: Fqdn,
    /// Its edge servers.
    pub edges: Vec<TargetEdge>,
    /// By which certificates or CAs they are known to partners that check DANE.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tlsa: Vec<Tlsa>,
}

/// An edge server, as it is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetEdge {
    /// Its name.
    pub fqdn: Fqdn,
    /// Where partners reach it.
    pub addresses: Vec<IpAddr>,
}

/// What a zone should hold of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The zone.
    pub zone: Zone,
    /// What it is made from; it stands in the zone too.
    pub mark: Mark,
    /// The records, without the mark. Never two of one type at one name, never an empty one.
    pub sets: Vec<RecordSet>,
}

impl Contents {
    /// The record that says whose the names are, and what they were made from.
    pub fn mark_set(&self) -> RecordSet {
        let ttl = self.sets.iter().map(|set| set.ttl).min().unwrap_or(crate::zone::TTL);
        self.mark.set(&self.zone.name, ttl)
    }

    /// All of it.
    pub fn all(&self) -> Vec<RecordSet> {
        std::iter::once(self.mark_set()).chain(self.sets.iter().cloned()).collect()
    }
}

impl Published {
    /// What a topology says of it.
    pub fn of(topology: &Topology) -> Published {
        // Of `*.domain`, which names there are isn't known, and no zone can have a wildcard in the middle of a name.
        let locals = topology.policy.locals().iter().filter(|local| !local.pattern.is_wildcard());
        let pools = topology.route.iter().filter_map(|fqdn| topology.pool(fqdn));
        let edge = |edge: &Edge| TargetEdge { fqdn: edge.member.fqdn.clone(), addresses: edge.external.clone() };
        let target = |pool: &Pool| Target {
            fqdn: pool.fqdn.clone(),
            edges: pool.edges.iter().map(edge).collect(),
            tlsa: pool.tlsa.clone(),
        };
        Published {
            names: topology.names.clone(),
            locals: locals.map(|local| local.pattern.domain().to_ascii().to_owned()).collect(),
            pools: pools.map(target).collect(),
            zones: topology.zones.clone(),
        }
    }

    /// What should be in DNS while the pool `routed` carries the route: it stands first, and the others in their order, no
    /// two with one priority (RFC 2782). Nothing where there is no such pool: an empty set would end federation.
    pub fn records(&self, routed: &str) -> Option<Vec<RecordSet>> {
        let first = self.pools.iter().find(|pool| pool.fqdn.as_str() == routed)?;
        let standbys = self.pools.iter().filter(|pool| pool.fqdn.as_str() != routed);
        let pools: Vec<&Target> = std::iter::once(first).chain(standbys).collect();
        let mut sets = Vec::new();
        for (service, port) in self.services() {
            self.service(service, port, &pools, &mut sets);
        }
        for (name, addresses) in self.targets() {
            for (kind, is_meant) in [("A", IpAddr::is_ipv4 as fn(&IpAddr) -> bool), ("AAAA", IpAddr::is_ipv6)] {
                let meant = addresses.iter().filter(|address| is_meant(address));
                sets.push(self.set(name.clone(), kind, meant.map(ToString::to_string).collect()));
            }
        }
        sets.extend(self.authentication());
        sets.retain(|set| !set.values.is_empty());
        Some(sets)
    }

    /// For each zone, what it should hold of ours then. What lies in no zone is left out.
    pub fn contents(&self, routed: &str, mark: &Mark) -> Option<Vec<Contents>> {
        let sets = self.records(routed)?;
        let contents = self.zones.iter().map(|zone| Contents {
            zone: zone.clone(),
            mark: mark.clone(),
            sets: sets.iter().filter(|set| self.zone_of(&set.name) == Some(zone)).cloned().collect(),
        });
        Some(contents.collect())
    }

    /// The zone in which a name lies: of several, the one that is furthest below.
    pub fn zone_of(&self, name: &str) -> Option<&Zone> {
        self.zones.iter().filter(|zone| zone.holds(name)).max_by_key(|zone| zone.name.len())
    }

    /// The records of a service: for each local domain, or once, with aliases that lead there.
    fn service(&self, service: &str, port: u16, pools: &[&Target], sets: &mut Vec<RecordSet>) {
        let priorities = (1..).map(|place: u16| place.saturating_mul(PRIORITY_STEP));
        let values: Vec<String> = priorities
            .zip(pools)
            .flat_map(|(priority, pool)| match self.names.targets {
                Targets::Pool => vec![format!("{priority} 0 {port} {}.", pool.fqdn)],
                Targets::Edge => {
                    let edges = pool.edges.iter();
                    edges.map(|edge| format!("{priority} {WEIGHT} {port} {}.", edge.fqdn)).collect()
                }
            })
            .collect();
        let at = |domain: &str| format!("{service}._tcp.{domain}.");
        let common = self.names.alias.as_ref().map(|alias| at(alias.as_str()));
        for name in self.locals.iter().map(|local| at(local)).filter(|name| Some(name) != common.as_ref()) {
            // No alias may stand beside a zone's own records (RFC 1034 §3.6.2).
            let is_apex = self.zones.iter().any(|zone| zone.name == name);
            sets.push(match &common {
                Some(common) if !is_apex => self.set(name, "CNAME", vec![common.clone()]),
                _ => self.set(name, "SRV", values.clone()),
            });
        }
        if let Some(common) = common {
            sets.push(self.set(common, "SRV", values));
        }
    }

    /// The services that are published, each with its port.
    fn services(&self) -> Vec<(&'static str, u16)> {
        let mut services = vec![("_xmpp-server", PORT)];
        services.extend(self.names.direct_tls_port.map(|port| ("_xmpps-server", port)));
        services
    }

    /// The zones in which TLSA records lie.
    pub fn zones_with_tlsa(&self) -> Vec<&Zone> {
        let mut zones: Vec<&Zone> = self.authentication().iter().filter_map(|set| self.zone_of(&set.name)).collect();
        zones.dedup();
        zones
    }

    /// TLSA records: below each target, for each port at which partners are taken in there (RFC 7673 §3.2).
    pub fn authentication(&self) -> Vec<RecordSet> {
        let mut sets = Vec::new();
        // One port may be that of both services.
        let ports: BTreeSet<u16> = self.services().into_iter().map(|(_, port)| port).collect();
        for pool in self.pools.iter().filter(|pool| !pool.tlsa.is_empty()) {
            let values: Vec<String> = pool.tlsa.iter().map(ToString::to_string).collect();
            for (port, target) in ports.iter().flat_map(|port| self.targets_of(pool).map(move |target| (port, target)))
            {
                sets.push(self.set(format!("_{port}._tcp.{target}."), "TLSA", values.clone()));
            }
        }
        sets
    }

    /// The targets of a pool.
    fn targets_of<'a>(&self, pool: &'a Target) -> impl Iterator<Item = &'a Fqdn> + use<'a> {
        let edges = self.names.targets == Targets::Edge;
        let own = std::iter::once(&pool.fqdn).filter(move |_| !edges);
        own.chain(pool.edges.iter().map(|edge| &edge.fqdn).filter(move |_| edges))
    }

    /// The names that SRV records lead to, absolute, each with its addresses.
    pub fn targets(&self) -> Vec<(String, Vec<IpAddr>)> {
        let absolute = |fqdn: &Fqdn| format!("{fqdn}.");
        let edges = |pool: &Target| pool.edges.iter().flat_map(|edge| edge.addresses.clone()).collect();
        match self.names.targets {
            Targets::Pool => self.pools.iter().map(|pool| (absolute(&pool.fqdn), edges(pool))).collect(),
            Targets::Edge => {
                let edges = self.pools.iter().flat_map(|pool| &pool.edges);
                edges.map(|edge| (absolute(&edge.fqdn), edge.addresses.clone())).collect()
            }
        }
    }

    fn set(&self, name: String, kind: &str, values: Vec<String>) -> RecordSet {
        RecordSet { name, kind: kind.to_owned(), ttl: self.names.ttl, values }
    }
}

/// What should be in DNS while the pool `routed` carries the route; see [`Published::records`].
pub fn records(topology: &Topology, routed: &str) -> Option<Vec<RecordSet>> {
    Published::of(topology).records(routed)
}
