//! An edge server's external address, looked at from elsewhere as a partner would find it; and how a look is taken.

use std::net::SocketAddr;

use api::probe::{Name, Probed, Request, TOGETHER, Target, Verdict};
use topology::document::{Edge, Member, Topology};

use super::sight::Sight;
use crate::members::Members;
use crate::probe::probe;
use crate::status::plain;

mod verdict;

pub use verdict::{Taken, settled, settled_at_last};

/// Where partners are taken in.
const PORT: u16 = 5269;
/// For a look, in seconds: a move waits for it.
const SECONDS: u64 = 4;

/// Somebody who can look, and at what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looker {
    /// Who looks.
    pub by: Member,
    /// From where that is, as far as it matters for what its word is worth.
    pub from: Vantage,
    /// At which address; a gateway looks at the next hop of the domain.
    pub at: Option<SocketAddr>,
    /// The local domain whose server, or whose certificate, it expects there.
    pub domain: String,
    /// More of them.
    pub also: Vec<String>,
    /// How many there are besides, for which nobody looks.
    pub left_out: usize,
}

/// From where somebody looks at an edge server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vantage {
    /// A witness, which is of no pool.
    Witness,
    /// Another pool.
    OtherPool,
    /// Its own pool: what lies between the two isn't what lies between it and partners.
    OwnPool,
    /// The inside, where next hops are looked at.
    Inside,
}

/// What somebody saw who looked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// Whether a stream gets as far there as it should, for each domain that it was looked for.
    pub good: bool,
    /// What was seen, in a sentence.
    pub seen: String,
    /// Domains for which the certificate that is shown there isn't good.
    pub uncovered: Vec<String>,
}

impl Look {
    /// That nothing speaks for any domain but this.
    pub fn of(good: bool, seen: impl Into<String>) -> Look {
        Look { good, seen: seen.into(), uncovered: Vec::new() }
    }
}

/// Who could look at this edge server, the best first: those of other pools, in other sites at the best, then those of its
/// own. What a machine says of itself shows nothing.
pub fn lookers(topology: &Topology, sight: &Sight, edge: &Edge) -> Vec<Looker> {
    let locals = topology.policy.locals().iter().filter(|local| !local.pattern.is_wildcard());
    let locals: Vec<String> = locals.map(|local| local.pattern.domain().to_string()).collect();
    let mut domains = sample(&locals).into_iter();
    let Some(domain) = domains.next() else { return Vec::new() };
    let also: Vec<String> = domains.collect();
    let left_out = locals.len() - 1 - also.len();
    let own = topology.pools.iter().find(|pool| pool.edges.contains(edge));
    let mut others: Vec<(Vantage, bool, &Member)> = topology
        .pools
        .iter()
        .flat_map(|pool| pool.edges.iter().map(move |other| (pool, &other.member)))
        .filter(|(_, member)| member.fqdn != edge.member.fqdn)
        .filter(|(_, member)| sight.members.get(member.fqdn.as_str()).is_some_and(|facts| facts.reached))
        .map(|(pool, member)| {
            let from = if own == Some(pool) { Vantage::OwnPool } else { Vantage::OtherPool };
            (from, own.is_some_and(|own| own.site == pool.site), member)
        })
        .collect();
    others.sort_by_key(|(from, same_site, _)| (*from == Vantage::OwnPool, *same_site));
    let lookers = others.into_iter().filter_map(|(from, _, by)| {
        let at = reachable(topology, by, edge)?;
        let (by, domain, also) = (by.clone(), domain.clone(), also.clone());
        Some(Looker { by, from, at: Some(at), domain, also, left_out })
    });
    lookers.collect()
}

/// The address of this edge server at which that one can be expected to reach it: the first of a family of which it has one.
fn reachable(topology: &Topology, by: &Member, edge: &Edge) -> Option<SocketAddr> {
    let edges = topology.pools.iter().flat_map(|pool| &pool.edges);
    let own: Vec<_> = edges.filter(|edge| edge.member.fqdn == by.fqdn).flat_map(|edge| &edge.external).collect();
    let shares = |address: &&std::net::IpAddr| own.iter().any(|own| own.is_ipv4() == address.is_ipv4());
    edge.external.iter().find(shares).map(|address| SocketAddr::new(*address, PORT))
}

/// Of many domains, so many as one look is taken for: the first, and others from all over the list, always the same.
fn sample(domains: &[String]) -> Vec<String> {
    let most = domains.len().min(TOGETHER);
    (0..most).map(|nth| domains[nth * domains.len() / most].clone()).collect()
}

/// What it sees there.
///
/// # Errors
/// Why it couldn't look.
pub async fn look(members: &Members, looker: &Looker) -> Result<Look, String> {
    let request = Request {
        at: looker.at,
        also: looker.also.clone(),
        seconds: Some(SECONDS),
        ..Request::to(looker.domain.as_str())
    };
    let probed = probe(members, &looker.by, request).await.map_err(|error| plain(&error.to_string()))?;
    Ok(seen(looker, &probed))
}

/// What a probe says.
fn seen(looker: &Looker, probed: &Probed) -> Look {
    let all: Vec<&str> = std::iter::once(&looker.domain).chain(&looker.also).map(String::as_str).collect();
    // Only what was asked for is told, and nothing else that somebody may have put there.
    let domain = |target: &Target| match &target.domain {
        None => all.first().copied(),
        Some(domain) => all.iter().copied().find(|known| known == domain),
    };
    let known: Vec<(&str, &Target)> =
        probed.targets.iter().filter_map(|target| Some((domain(target)?, target))).collect();
    let bad_there = |target: &Target| {
        target.stages.iter().any(|stage| stage.name == Name::Certificate && stage.verdict == Verdict::Bad)
    };
    let uncovered = known.iter().filter(|(_, target)| bad_there(target)).map(|(domain, _)| (*domain).to_owned());
    let uncovered: Vec<String> = uncovered.collect();
    let bad: Vec<&(&str, &Target)> = known.iter().filter(|(_, target)| !target.reached).collect();
    let fault = |target: &Target| {
        let worst = target.stages.iter().filter(|stage| stage.verdict >= Verdict::Warning).max_by(|one, other| {
            // The first of the worst.
            one.verdict.cmp(&other.verdict).then(other.name.cmp(&one.name))
        });
        worst.map(|stage| plain(&stage.seen))
    };
    let told = match bad.first() {
        _ if probed.reached => {
            let domains = match (known.len(), all.len() + looker.left_out) {
                (_, 1) => String::new(),
                (looked, there) if looked == there => format!(", for each of {there} local domains"),
                (looked, there) => format!(", for {looked} of {there} local domains"),
            };
            format!("a stream as far as its features{domains}, in {} ms", probed.ms)
        }
        Some((domain, target)) if bad.len() < known.len() || !uncovered.is_empty() => {
            let more = if bad.len() > 1 { format!(" and {} more", bad.len() - 1) } else { String::new() };
            format!("for {domain}{more}: {}", fault(target).unwrap_or_default())
        }
        Some((_, target)) => fault(target).unwrap_or_default(),
        None => probed.faults().first().map(|fault| plain(fault)).unwrap_or_default(),
    };
    Look { good: probed.reached, seen: told, uncovered }
}

#[cfg(test)]
mod tests;
