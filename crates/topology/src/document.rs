//! The topology: sites, pools, members, the route's order and the policy, as one document declares them.

use std::net::{IpAddr, SocketAddr};

use crate::entries;
use crate::faults::Faults;
use crate::fqdn::Fqdn;
use crate::policy::Policy;
use crate::tlsa::Tlsa;
use crate::zone::{NameServer, Names, Zone};

mod check;
mod difference;
mod file;
mod first;
mod recover;
#[cfg(test)]
mod tests;
mod zones;

pub use difference::difference;
pub use first::{First, first};

/// Where agents listen, unless the document says otherwise.
pub const AGENT_PORT: u16 = 5271;
/// Where edge servers take trunks, unless the document says otherwise.
pub const TRUNK_PORT: u16 = 5270;

/// What should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// The installation's name, for people.
    pub installation: String,
    /// The sites' names, in their order.
    pub sites: Vec<String>,
    /// The pools, in the document's order.
    pub pools: Vec<Pool>,
    /// The gateways.
    pub gateways: Vec<Member>,
    /// The dns servers.
    pub dns: Vec<Dns>,
    /// Those of them that partners' resolvers reach.
    pub nameservers: Vec<NameServer>,
    /// Those who only look, from elsewhere.
    pub witnesses: Vec<Witness>,
    /// The controllers.
    pub controllers: Vec<Member>,
    /// All pools, in the order in which partners should find them; the first carries the route at the beginning.
    pub route: Vec<Fqdn>,
    /// How partners find us in DNS.
    pub names: Names,
    /// Recursive resolvers that are asked whether they do.
    pub resolvers: Vec<SocketAddr>,
    /// The CAs whose certificates edge servers show outside, as CAA records name them, in small letters.
    pub ca: Vec<String>,
    /// The zones in which names of ours lie.
    pub zones: Vec<Zone>,
    /// Who may federate, as it is written.
    pub entries: Entries,
    /// The same, as it is decided by.
    pub policy: Policy,
}

/// Who may federate, as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries {
    /// What is demanded unless an entry says otherwise.
    pub federation: entries::Federation,
    /// Our own domains.
    pub local: Vec<entries::Local>,
    /// Those we federate with.
    pub partner: Vec<entries::Partner>,
}

/// A pool of edge servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its name, which partners find in DNS.
    pub fqdn: Fqdn,
    /// The site in which it is.
    pub site: String,
    /// Its edge servers; at least one.
    pub edges: Vec<Edge>,
    /// By which certificates or CAs its edge servers are known to partners that check DANE; none where that isn't published.
    pub tlsa: Vec<Tlsa>,
}

/// An edge server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// What it is as a member.
    pub member: Member,
    /// Where partners reach it.
    pub external: Vec<IpAddr>,
    /// Where, at its internal addresses, gateways do.
    pub trunk_port: u16,
}

/// A dns server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// What it is as a member.
    pub member: Member,
    /// Whether our own servers find partners by it. One that doesn't is there for zones alone, and learns nothing else.
    pub view: bool,
}

/// Who looks at edge servers from outside as partners see them, and carries nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// What it is as a member.
    pub member: Member,
    /// The addresses from which it looks, where they are known.
    pub external: Vec<IpAddr>,
}

/// A machine with a process of fedge's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub fqdn: Fqdn,
    /// What it does.
    pub role: Role,
    /// The site in which it is.
    pub site: String,
    /// Where it is reached from inside.
    pub internal: Vec<IpAddr>,
    /// Where, at these addresses, its agent listens.
    pub agent_port: u16,
}

/// What a member does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Role {
    Edge,
    Gateway,
    Dns,
    Witness,
    Controller,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Role::Edge => "edge",
            Role::Gateway => "gateway",
            Role::Dns => "dns",
            Role::Witness => "witness",
            Role::Controller => "controller",
        })
    }
}

impl Topology {
    /// Reads and checks a document, which errors call `name`.
    ///
    /// # Errors
    /// Every fault, with its place and what would put it right.
    pub fn read(name: &str, text: &str) -> Result<Topology, Faults> {
        let mut faults = Faults::new(name, text);
        let file = file::File::read(text, &mut faults);
        let topology = check::check(&file, &mut faults);
        faults.none_or(topology)
    }

    /// All members: edge servers by pools, gateways, dns servers, witnesses, controllers.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        let edges = self.pools.iter().flat_map(|pool| pool.edges.iter().map(|edge| &edge.member));
        let dns = self.dns.iter().map(|dns| &dns.member);
        let witnesses = self.witnesses.iter().map(|witness| &witness.member);
        edges.chain(&self.gateways).chain(dns).chain(witnesses).chain(&self.controllers)
    }

    /// The pool of that name.
    pub fn pool(&self, fqdn: &Fqdn) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.fqdn == *fqdn)
    }
}
