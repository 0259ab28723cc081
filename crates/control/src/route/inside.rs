//! The next hops of local domains, looked at by gateways as they dial them.

use std::collections::HashSet;

use topology::document::Topology;

use super::outside::{Looker, Vantage};
use super::sight::Sight;

/// Of so many domains: a look at each is a stream that its server has to answer.
const MOST: usize = 4;

/// The local domains whose next hops are looked at: the first, and up to three more. Those with a next hop of their own come
/// before those that share one. What a pattern matches isn't known, so it can't be asked for.
pub fn sample(topology: &Topology) -> Vec<String> {
    let mut known = HashSet::new();
    let locals = topology.policy.locals().iter().filter(|local| !local.pattern.is_wildcard());
    let declared = locals.filter_map(|local| Some((local.next_hop.as_ref()?, local.pattern.domain())));
    let mut all: Vec<(bool, String)> =
        declared.map(|(next_hop, domain)| (!known.insert(next_hop), domain.to_string())).collect();
    all.sort_by_key(|(shares, _)| *shares);
    all.into_iter().take(MOST).map(|(_, domain)| domain).collect()
}

/// Each gateway that is reached, with what it looks at.
pub fn lookers(topology: &Topology, sight: &Sight) -> Vec<(String, Vec<Looker>)> {
    let reached = topology
        .gateways
        .iter()
        .filter(|gateway| sight.members.get(gateway.fqdn.as_str()).is_some_and(|facts| facts.reached));
    let sample = sample(topology);
    let looks = reached.map(|gateway| {
        let looks = sample.iter().map(|domain| Looker {
            by: gateway.clone(),
            from: Vantage::Inside,
            at: None,
            domain: domain.clone(),
            also: Vec::new(),
            left_out: 0,
            tlsa: Vec::new(),
        });
        (gateway.fqdn.to_string(), looks.collect())
    });
    looks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ahead::tests::current;
    use crate::route::testing::{GATEWAYS, sight, without};

    fn with(locals: &str) -> Topology {
        let example = current(1, 1).document;
        let (before, rest) = example.split_once("[[local]]").expect("it has local domains");
        let (_, partners) = rest.split_once("[[partner]]").expect("it has partners");
        Topology::read("topology.toml", &format!("{before}{locals}[[partner]]{partners}")).expect("it is good")
    }

    #[test]
    fn the_first_domain_and_those_with_a_next_hop_of_their_own_are_looked_at_first() {
        let topology = with(
            "[[local]]\ndomains = [\"a.test\", \"b.test\", \"c.test\", \"*.d.test\"]\nnext_hop = \"10.0.0.91\"\n\
             [[local]]\ndomains = [\"e.test\"]\nnext_hop = \"10.0.0.92\"\n\
             [[local]]\ndomains = [\"f.test\", \"g.test\"]\nnext_hop = \"10.0.0.93\"\n",
        );
        assert_eq!(sample(&topology), ["a.test", "e.test", "f.test", "b.test"]);
        assert_eq!(sample(&with("[[local]]\ndomains = [\"*.d.test\"]\nnext_hop = \"10.0.0.91\"\n")), [""; 0]);
    }

    #[test]
    fn each_gateway_that_is_reached_looks_from_where_it_is() {
        let topology = current(1, 1).topology;
        let by = |sight: &Sight| -> Vec<String> {
            let looks = lookers(&topology, sight);
            assert!(looks.iter().all(|(by, looks)| {
                !looks.is_empty() && looks.iter().all(|look| look.by.fqdn.as_str() == by && look.at.is_none())
            }));
            looks.into_iter().map(|(by, _)| by).collect()
        };
        assert_eq!(by(&sight(1)), GATEWAYS);
        assert_eq!(by(&without(sight(1), &GATEWAYS[..1])), GATEWAYS[1..]);
    }
}
