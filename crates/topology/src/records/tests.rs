//! What is published, for the example, and for whatever topology.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::zone::Publisher;

const DOCUMENT: &str = include_str!("../../../../docs/examples/topology.toml");

fn example() -> Topology {
    Topology::read("topology.toml", DOCUMENT).expect("the example is good")
}

fn lines(topology: &Topology, routed: &str) -> Vec<String> {
    records(topology, routed).expect("there is such a pool").iter().flat_map(RecordSet::lines).collect()
}

#[test]
fn the_pool_with_the_route_stands_first_and_no_two_have_one_priority() {
    let topology = example();
    let (one, two) = (topology.route[0].as_str(), topology.route[1].as_str());
    let srv = |routed: &str| {
        let lines = lines(&topology, routed);
        lines.into_iter().filter(|line| line.contains("_xmpp-server._tcp.contoso.test. ")).collect::<Vec<_>>()
    };
    let line =
        |priority: u16, pool: &str| format!("_xmpp-server._tcp.contoso.test. 30 IN SRV {priority} 0 5269 {pool}.");
    assert_eq!(srv(one), [line(10, one), line(20, two)]);
    assert_eq!(srv(two), [line(10, two), line(20, one)]);
}

#[test]
fn a_move_changes_no_address() {
    let topology = example();
    let (one, two) = (topology.route[0].as_str(), topology.route[1].as_str());
    let addresses = |routed: &str| {
        let lines = lines(&topology, routed);
        lines.into_iter().filter(|line| !line.contains(" SRV ")).collect::<Vec<_>>()
    };
    assert_eq!(addresses(one), addresses(two));
    assert!(!addresses(one).is_empty());
    assert_eq!(records(&topology, "pool9.contoso.test"), None);
}

#[test]
fn each_target_has_the_tlsa_records_of_its_pool_at_each_port() {
    let mut published = Published::of(&example());
    let record = |byte: u8| Tlsa::new(3, 1, 1, &[byte; 32]).expect("a record");
    published.pools[0].tlsa = vec![record(1), record(2)];
    published.names.direct_tls_port = Some(5270);
    let tlsa = |published: &Published| {
        let sets = published.records(published.pools[1].fqdn.as_str()).expect("a pool");
        sets.into_iter().filter(|set| set.kind == "TLSA").collect::<Vec<_>>()
    };
    let names = |published: &Published| tlsa(published).into_iter().map(|set| set.name).collect::<Vec<_>>();
    assert_eq!(names(&published), ["_5269._tcp.pool1.contoso.test.", "_5270._tcp.pool1.contoso.test."]);
    assert_eq!(tlsa(&published)[0].values, [record(1).to_string(), record(2).to_string()]);
    published.names.targets = Targets::Edge;
    published.names.direct_tls_port = Some(PORT);
    assert_eq!(names(&published), ["_5269._tcp.edge1.contoso.test.", "_5269._tcp.edge2.contoso.test."]);
}

#[test]
fn tlsa_records_that_are_not_declared_any_more_go_where_they_are_ours() {
    let mut published = Published::of(&example());
    let pool = published.pools[0].fqdn.clone();
    let without = published.records(pool.as_str()).expect("a pool");
    published.pools[0].tlsa = vec![Tlsa::new(2, 0, 1, &[7; 32]).expect("a record")];
    let with = published.records(pool.as_str()).expect("a pool");
    let name = format!("_5269._tcp.{pool}.");
    let [Change::Add(added)] = &difference(&with, &without, &[])[..] else { panic!("one set comes") };
    assert_eq!((added.name.as_str(), added.kind.as_str()), (name.as_str(), "TLSA"));
    assert_eq!(difference(&without, &with, std::slice::from_ref(&name)), [Change::Remove(added.clone())]);
    assert!(difference(&without, &with, &[]).is_empty(), "somebody else's");
}

#[test]
fn with_an_alias_a_move_changes_one_set() {
    let mut published = Published::of(&example());
    published.names.alias = Some("fed.contoso.test".parse().expect("a name"));
    published.locals = (0..500).map(|number| format!("tenant{number}.test")).collect();
    let sets = |pool: usize| published.records(published.pools[pool].fqdn.as_str()).expect("a pool");
    let changes = difference(&sets(1), &sets(0), &[]);
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(sets(0).iter().filter(|set| set.kind == "CNAME").count(), 500);
}

#[test]
fn a_name_that_is_a_zone_of_its_own_is_no_alias() {
    let mut published = Published::of(&example());
    published.names.alias = Some("fed.contoso.test".parse().expect("a name"));
    published.zones = vec![zone("_xmpp-server._tcp.contoso.test.")];
    let sets = published.records(published.pools[0].fqdn.as_str()).expect("a pool");
    let own = sets.iter().find(|set| set.name == "_xmpp-server._tcp.contoso.test.").expect("it is there");
    assert_eq!(own.kind, "SRV");
}

#[test]
fn names_of_others_stay_and_ours_go() {
    let set = |name: &str, kind: &str, value: &str| RecordSet {
        name: name.to_owned(),
        kind: kind.to_owned(),
        ttl: 30,
        values: vec![value.to_owned()],
    };
    let should = [set("a.test.", "SRV", "10 0 5269 p.test.")];
    let is = [
        set("A.test.", "SRV", "5 0 5269 old.test."),
        set("a.test.", "TXT", "\"note\""),
        set("gone.test.", "SRV", "10 0 5269 p.test."),
        set("www.test.", "A", "192.0.2.1"),
    ];
    let changes = difference(&should, &is, &["gone.test.".to_owned()]);
    let replace = Change::Replace { before: is[0].clone(), after: should[0].clone() };
    assert_eq!(changes, [Change::Remove(is[2].clone()), replace]);
    assert_eq!(foreign(&should, &is, &[]), [is[0].clone()]);
    assert!(foreign(&should, &is, &["a.test.".to_owned()]).is_empty());
    assert!(difference(&should, &should, &[]).is_empty());
}

fn zone(name: &str) -> Zone {
    Zone { name: name.to_owned(), publisher: Publisher::Manual { servers: Vec::new() } }
}

fn published() -> impl Strategy<Value = Published> {
    let address = prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)];
    let pool = (vec(vec(address, 1..4), 1..4), vec(any::<[u8; 32]>(), 0..3));
    let domains = ["contoso.test", "conference.contoso.test", "tenant.example", "fed.contoso.test"];
    let zones = ["contoso.test.", "_xmpp-server._tcp.contoso.test.", "fed.contoso.test.", "example."];
    let shape = (
        vec(pool, 1..4),
        proptest::sample::subsequence(domains.to_vec(), 1..=4),
        proptest::sample::subsequence(zones.to_vec(), 0..=4),
    );
    let names = (1_u32..=300, any::<bool>(), any::<bool>(), option::of(1_u16..));
    (shape, names).prop_map(|((pools, locals, zones), (ttl, edges, alias, direct_tls_port))| Published {
        names: Names {
            ttl,
            targets: if edges { Targets::Edge } else { Targets::Pool },
            alias: alias.then(|| "fed.contoso.test".parse().expect("a name")),
            direct_tls_port,
        },
        locals: locals.into_iter().map(str::to_owned).collect(),
        pools: (1..).zip(pools).map(|(number, edges)| pool_of(number, edges)).collect(),
        zones: zones.into_iter().map(zone).collect(),
    })
}

fn pool_of(number: usize, (edges, keys): (Vec<Vec<IpAddr>>, Vec<[u8; 32]>)) -> Target {
    let edge = |(place, addresses)| TargetEdge {
        fqdn: format!("edge{number}-{place}.contoso.test").parse().expect("a name"),
        addresses,
    };
    let edges = (1..).zip(edges).map(|(place, addresses): (usize, _)| edge((place, addresses))).collect();
    let tlsa = keys.iter().map(|key| Tlsa::new(3, 1, 1, key).expect("a record")).collect();
    Target { fqdn: format!("pool{number}.contoso.test").parse().expect("a name"), edges, tlsa }
}

proptest! {
    #[test]
    fn what_is_published_is_whole_and_ours(published in published(), routed in 0_usize..3) {
        let routed = &published.pools[routed % published.pools.len()];
        let sets = published.records(routed.fqdn.as_str()).expect("there is such a pool");
        let mut places = BTreeSet::new();
        let targets: BTreeSet<String> = published.targets().into_iter().map(|(name, _)| name).collect();
        let aliased: BTreeSet<&str> = sets.iter().filter(|set| set.kind == "CNAME").map(|set| set.name.as_str()).collect();
        for set in &sets {
            prop_assert!(!set.values.is_empty(), "an empty set: {set:?}");
            prop_assert!(places.insert((&set.name, &set.kind)), "twice: {set:?}");
            prop_assert!(set.kind == "CNAME" || !aliased.contains(set.name.as_str()), "beside an alias: {set:?}");
            let below = set.name.split_once("._tcp.").filter(|_| set.kind == "TLSA").map(|(port, target)| (port, target.to_owned()));
            let is_ours = targets.contains(&set.name)
                || set.name.starts_with("_xmpp")
                || below.as_ref().is_some_and(|(_, target)| targets.contains(target));
            prop_assert!(is_ours, "not ours: {set:?}");
            let ports = [Some(PORT), published.names.direct_tls_port].into_iter().flatten().map(|port| format!("_{port}"));
            prop_assert!(below.is_none_or(|(port, _)| ports.clone().any(|known| known == port)), "no port of ours: {set:?}");
            if set.kind != "SRV" {
                continue;
            }
            let mut by_priority: BTreeMap<u16, BTreeSet<&str>> = BTreeMap::new();
            for value in &set.values {
                let words: Vec<&str> = value.split(' ').collect();
                prop_assert!(words[3] != "." && targets.contains(words[3]) && !aliased.contains(words[3]), "{set:?}");
                let pool = published.pools.iter().find(|pool| {
                    let names = pool.edges.iter().map(|edge| &edge.fqdn).chain([&pool.fqdn]);
                    names.into_iter().any(|fqdn| format!("{fqdn}.") == words[3])
                });
                let pool = pool.expect("it leads to a pool").fqdn.as_str();
                by_priority.entry(words[0].parse().expect("a number")).or_default().insert(pool);
            }
            prop_assert!(by_priority.values().all(|pools| pools.len() == 1), "two pools of one priority: {set:?}");
            let first = by_priority.values().next().expect("it isn't empty");
            prop_assert!(first.contains(routed.fqdn.as_str()), "the route's pool isn't first: {set:?}");
            prop_assert_eq!(by_priority.len(), published.pools.len());
        }
    }

    #[test]
    fn each_name_lies_in_one_zone_and_a_difference_leads_there(published in published(), owned in any::<bool>()) {
        let mark = Mark { owner: "a1".to_owned(), epoch: 7, topology: 12 };
        let (first, last) = (&published.pools[0].fqdn, &published.pools[published.pools.len() - 1].fqdn);
        let contents = |routed: &Fqdn| published.contents(routed.as_str(), &mark).expect("a pool");
        for (before, after) in contents(first).into_iter().zip(contents(last)) {
            prop_assert!(after.all().iter().all(|set| after.zone.holds(&set.name)));
            let owned: Vec<String> = before.sets.iter().filter(|_| owned).map(|set| set.name.clone()).collect();
            let changes = difference(&after.sets, &before.sets, &owned);
            prop_assert!(changes.iter().all(|change| matches!(change, Change::Replace { .. })), "{changes:?}");
            prop_assert!(difference(&after.sets, &after.sets, &owned).is_empty());
            prop_assert!(foreign(&after.sets, &after.sets, &[]).is_empty());
        }
        let all: usize = contents(first).iter().map(|contents| contents.sets.len()).sum();
        let sets = published.records(first.as_str()).expect("a pool");
        prop_assert_eq!(all, sets.iter().filter(|set| published.zone_of(&set.name).is_some()).count());
    }
}
