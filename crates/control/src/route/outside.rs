//! An edge server's external address, looked at from elsewhere as a partner would find it; and how a look is taken.

use std::net::{IpAddr, SocketAddr};

use api::probe::{Name, Probed, Request, TOGETHER, Target, Verdict};
use topology::document::{Edge, Member, Pool, Topology};
use topology::tlsa::Tlsa;

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
    /// The TLSA records by which partners that check DANE know what is shown there; none where none are declared.
    pub tlsa: Vec<Tlsa>,
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
    /// Domains for which it fits none of the TLSA records that are declared.
    pub unfit: Vec<String>,
}

impl Look {
    /// That nothing speaks for any domain but this.
    pub fn of(good: bool, seen: impl Into<String>) -> Look {
        Look { good, seen: seen.into(), ..Look::default() }
    }
}

/// Who could look at this edge server, the best first: witnesses and then edge servers of other pools, those in other sites
/// before those in its own; and then those of its own pool. What a machine says of itself shows nothing.
pub fn lookers(topology: &Topology, sight: &Sight, edge: &Edge) -> Vec<Looker> {
    by(topology, sight, edge, |his| reachable(his, edge))
}

/// Who could look at just this address of it, in the same order.
pub fn lookers_at(topology: &Topology, sight: &Sight, edge: &Edge, address: IpAddr) -> Vec<Looker> {
    let sees = |his: &[IpAddr]| match his {
        // Of whom no address is known, an IPv4 one can be expected, and no more.
        [] => address.is_ipv4(),
        _ => his.iter().any(|own| own.is_ipv4() == address.is_ipv4()),
    };
    by(topology, sight, edge, |his| sees(his).then_some(address))
}

/// Whether anybody could.
pub fn has_lookers(topology: &Topology, sight: &Sight, edge: &Edge) -> bool {
    named_locals(topology).next().is_some()
        && others(topology, sight, edge, |his| reachable(his, edge)).next().is_some()
}

/// Who could look, where it is said at which address somebody with these ones of his own does. Of those that are as good as
/// each other, each edge server of a pool has another one first, as they may all be looked at at once.
fn by(topology: &Topology, sight: &Sight, edge: &Edge, reachable: impl Fn(&[IpAddr]) -> Option<IpAddr>) -> Vec<Looker> {
    let locals: Vec<String> = named_locals(topology).collect();
    let mut domains = sample(&locals).into_iter();
    let Some(domain) = domains.next() else { return Vec::new() };
    let also: Vec<String> = domains.collect();
    let left_out = locals.len() - 1 - also.len();
    let own = own_pool(topology, edge);
    let tlsa = own.map(|own| own.tlsa.clone()).unwrap_or_default();
    let mut others: Vec<(Vantage, &Member, IpAddr)> = others(topology, sight, edge, reachable).collect();
    let rank = |(from, by, _): &(Vantage, &Member, IpAddr)| {
        let near = own.is_some_and(|own| own.site == by.site);
        (*from == Vantage::OwnPool, near, *from != Vantage::Witness)
    };
    others.sort_by_key(rank);
    let mut members = own.iter().flat_map(|own| &own.edges).map(|other| &other.member.fqdn);
    let place = members.position(|fqdn| *fqdn == edge.member.fqdn).unwrap_or_default();
    for alike in others.chunk_by_mut(|one, other| rank(one) == rank(other)) {
        alike.rotate_left(place % alike.len());
    }
    let lookers = others.into_iter().map(|(from, by, at)| {
        let (by, domain, also, tlsa) = (by.clone(), domain.clone(), also.clone(), tlsa.clone());
        Looker { by, from, at: Some(SocketAddr::new(at, PORT)), domain, also, left_out, tlsa }
    });
    lookers.collect()
}

/// Everybody who is there and isn't this edge server itself, and at which address he looks.
fn others<'a>(
    topology: &'a Topology,
    sight: &'a Sight,
    edge: &'a Edge,
    reachable: impl Fn(&[IpAddr]) -> Option<IpAddr> + 'a,
) -> impl Iterator<Item = (Vantage, &'a Member, IpAddr)> {
    let own = own_pool(topology, edge).map(|own| &own.fqdn);
    let witnesses = topology.witnesses.iter().map(|witness| (Vantage::Witness, &witness.member, &witness.external));
    let edges = topology.pools.iter().flat_map(move |pool| {
        let from = if own == Some(&pool.fqdn) { Vantage::OwnPool } else { Vantage::OtherPool };
        pool.edges.iter().map(move |other| (from, &other.member, &other.external))
    });
    let is_there = |member: &Member| sight.members.get(member.fqdn.as_str()).is_some_and(|facts| facts.reached);
    let others =
        witnesses.chain(edges).filter(move |(_, member, _)| member.fqdn != edge.member.fqdn && is_there(member));
    others.filter_map(move |(from, member, his)| Some((from, member, reachable(his)?)))
}

/// The local domains that can be asked for: what a pattern matches isn't known.
fn named_locals(topology: &Topology) -> impl Iterator<Item = String> {
    let locals = topology.policy.locals().iter().filter(|local| !local.pattern.is_wildcard());
    locals.map(|local| local.pattern.domain().to_string())
}

fn own_pool<'a>(topology: &'a Topology, edge: &Edge) -> Option<&'a Pool> {
    topology.pools.iter().find(|pool| pool.edges.iter().any(|other| other.member.fqdn == edge.member.fqdn))
}

/// The address of this edge server at which somebody with these addresses can be expected to reach it: the first of a family of
/// which he has one. Where his aren't known, he more likely has an IPv4 one.
fn reachable(his: &[IpAddr], edge: &Edge) -> Option<IpAddr> {
    let shares = |address: &&IpAddr| his.iter().any(|own| own.is_ipv4() == address.is_ipv4());
    if his.is_empty() {
        return edge.external.iter().find(|address| address.is_ipv4()).or(edge.external.first()).copied();
    }
    edge.external.iter().find(shares).copied()
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
    let unfit = known.iter().filter(|(_, target)| !fits(&looker.tlsa, target)).map(|(domain, _)| (*domain).to_owned());
    let unfit: Vec<String> = unfit.collect();
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
    Look { good: probed.reached, seen: told, uncovered, unfit }
}

/// Whether one of these records fits what is shown there. Where none are declared, or nothing was seen to compare them with,
/// there is nothing against it.
fn fits(declared: &[Tlsa], target: &Target) -> bool {
    let shown = target.certificate.as_ref().map(|certificate| certificate.tlsa.as_slice()).unwrap_or_default();
    declared.is_empty() || shown.is_empty() || declared.iter().any(|record| shown.contains(record))
}

#[cfg(test)]
mod tests;
