//! An edge server's external address, looked at from elsewhere as a partner would find it; and how a look is taken.

use std::net::SocketAddr;

use api::probe::Request;
use topology::document::{Edge, Member, Topology};

use super::sight::Sight;
use crate::members::Members;
use crate::probe::probe;
use crate::status::plain;

/// Where partners are taken in.
const PORT: u16 = 5269;
/// For a look, in seconds: a move waits for it.
const SECONDS: u64 = 4;

/// Somebody who can look, and at what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looker {
    /// The edge server or gateway that looks.
    pub by: Member,
    /// At which address; a gateway looks at the next hop of the domain.
    pub at: Option<SocketAddr>,
    /// The local domain whose server, or whose certificate, it expects there.
    pub domain: String,
}

/// Who could look at this edge server, the best first: those of other pools, in other sites at the best, then those of its
/// own. What a machine says of itself shows nothing.
pub fn lookers(topology: &Topology, sight: &Sight, edge: &Edge) -> Vec<Looker> {
    let locals = topology.policy.locals().iter().filter(|local| !local.pattern.is_wildcard());
    let Some(domain) = locals.map(|local| local.pattern.domain().to_string()).next() else { return Vec::new() };
    let own = topology.pools.iter().find(|pool| pool.edges.contains(edge));
    let mut others: Vec<(bool, bool, &Member)> = topology
        .pools
        .iter()
        .flat_map(|pool| pool.edges.iter().map(move |other| (pool, &other.member)))
        .filter(|(_, member)| member.fqdn != edge.member.fqdn)
        .filter(|(_, member)| sight.members.get(member.fqdn.as_str()).is_some_and(|facts| facts.reached))
        .map(|(pool, member)| (own.is_some_and(|own| own.site == pool.site), own == Some(pool), member))
        .collect();
    others.sort_by_key(|(same_site, same_pool, _)| (*same_pool, *same_site));
    let addresses = || edge.external.iter().map(|address| SocketAddr::new(*address, PORT));
    let lookers = others.iter().flat_map(|(_, _, by)| {
        addresses().filter(|at| shares_a_family(by, topology, at)).map(|at| Looker {
            by: (*by).clone(),
            at: Some(at),
            domain: domain.clone(),
        })
    });
    lookers.collect()
}

/// Whether it has an external address of that family, and so can be expected to reach it.
fn shares_a_family(by: &Member, topology: &Topology, at: &SocketAddr) -> bool {
    let edges = topology.pools.iter().flat_map(|pool| &pool.edges);
    let own = edges.filter(|edge| edge.member.fqdn == by.fqdn).flat_map(|edge| &edge.external);
    own.into_iter().any(|address| address.is_ipv4() == at.is_ipv4())
}

/// Whether a stream gets as far there as it should, and what was seen.
///
/// # Errors
/// Why it couldn't look.
pub async fn look(members: &Members, looker: &Looker) -> Result<(bool, String), String> {
    let request = Request { at: looker.at, seconds: Some(SECONDS), ..Request::to(looker.domain.as_str()) };
    let probed = probe(members, &looker.by, request).await.map_err(|error| plain(&error.to_string()))?;
    let seen = match probed.faults().first() {
        Some(fault) if !probed.reached => plain(fault),
        _ => format!("a stream as far as its features, in {} ms", probed.ms),
    };
    Ok((probed.reached, seen))
}
