//! Who looks, at what, and what is made of what it says.

use api::probe::{Certificate, Stage};
use topology::document::Role;

use super::*;
use crate::ahead::tests::current;
use crate::route::sight::Facts;
use crate::route::testing::{EDGES, sight, without};

fn all(topology: &Topology, sight: &Sight, edge: &str) -> Vec<(String, Vantage)> {
    let edge = topology.pools.iter().flat_map(|pool| &pool.edges).find(|other| other.member.fqdn.as_str() == edge);
    let lookers = lookers(topology, sight, edge.expect("it is in the example"));
    lookers.into_iter().map(|looker| (looker.by.fqdn.to_string(), looker.from)).collect()
}

#[test]
fn those_of_other_pools_look_before_those_of_its_own_and_nobody_at_himself() {
    let topology = current(1, 1).topology;
    let told = |name: &str, from| (name.to_owned(), from);
    let (one, two, three) = (EDGES[0], EDGES[1], EDGES[2]);
    assert_eq!(all(&topology, &sight(1), one), [told(three, Vantage::OtherPool), told(two, Vantage::OwnPool)]);
    assert_eq!(all(&topology, &sight(1), three), [told(one, Vantage::OtherPool), told(two, Vantage::OtherPool)]);
    assert_eq!(all(&topology, &without(sight(1), &EDGES[..2]), three), []);
}

#[test]
fn each_member_of_a_pool_is_looked_at_first_by_another_one() {
    let (mut topology, mut sight) = (current(1, 1).topology, sight(1));
    let mut fourth = topology.pools[1].edges[0].clone();
    fourth.member.fqdn = "edge4.contoso.test".parse().expect("a name");
    sight.members.insert(fourth.member.fqdn.to_string(), sight.members[EDGES[2]].clone());
    topology.pools[1].edges.push(fourth);
    for pool in &topology.pools {
        let first = |edge: &Edge| lookers(&topology, &sight, edge)[0].clone();
        let [one, two] = [first(&pool.edges[0]), first(&pool.edges[1])];
        assert_eq!([one.from, two.from], [Vantage::OtherPool; 2]);
        assert_ne!(one.by.fqdn, two.by.fqdn);
    }
}

/// The example with this witness in a third site, and everybody there.
fn witnessed(external: &str) -> (Topology, Sight) {
    let more = format!(
        "\n[[site]]\nname = \"Site3\"\n[[witness]]\nfqdn = \"witness1.contoso.test\"\nsite = \"Site3\"\n\
         external = [{external}]\ninternal = [\"10.3.0.1\"]\n"
    );
    let topology = Topology::read("topology.toml", &(current(1, 1).document + &more)).expect("it is good");
    let mut sight = sight(1);
    let facts = Facts { role: Role::Witness, pool: None, service: None, ..sight.members[EDGES[0]].clone() };
    sight.members.insert("witness1.contoso.test".to_owned(), facts);
    (topology, sight)
}

#[test]
fn a_witness_looks_first_at_an_address_that_it_reaches() {
    let (topology, sight) = witnessed("");
    let (witness, three) = ("witness1.contoso.test".to_owned(), EDGES[2].to_owned());
    let told = all(&topology, &sight, EDGES[0]);
    assert_eq!(told[..2], [(witness.clone(), Vantage::Witness), (three, Vantage::OtherPool)]);
    assert!(!all(&topology, &without(sight, &[&witness]), EDGES[0]).iter().any(|(by, _)| *by == witness));
    let at = |external: &str| {
        let (topology, sight) = witnessed(external);
        let edge = &topology.pools[0].edges[0];
        let looker = lookers(&topology, &sight, edge).into_iter().find(|looker| looker.from == Vantage::Witness);
        looker.and_then(|looker| Some(looker.at?.ip()))
    };
    let [four, six] = topology.pools[0].edges[0].external[..] else { panic!("the example has both") };
    assert!(four.is_ipv4() && six.is_ipv6());
    assert_eq!((at(""), at("\"192.0.2.99\""), at("\"2001:db8:9::1\"")), (Some(four), Some(four), Some(six)));
    // In the site of what it looks at, it sees less than who is elsewhere.
    let (topology, sight) = witnessed("");
    let mut near = topology.clone();
    near.witnesses[0].member.site = near.pools[0].site.clone();
    let told: Vec<Vantage> = all(&near, &sight, EDGES[0]).into_iter().map(|(_, from)| from).collect();
    assert_eq!(told, [Vantage::OtherPool, Vantage::Witness, Vantage::OwnPool]);
    // Where there is no address of its family, it doesn't look.
    let only_four = &topology.pools[1].edges[0];
    let (topology, sight) = witnessed("\"2001:db8:9::1\"");
    assert!(lookers(&topology, &sight, only_four).iter().all(|looker| looker.from != Vantage::Witness));
}

#[test]
fn of_many_domains_a_sample_is_looked_for_that_begins_with_the_first() {
    let domains = |count: usize| (0..count).map(|number| format!("d{number}.test")).collect::<Vec<_>>();
    assert_eq!(sample(&domains(0)), [""; 0]);
    assert_eq!(sample(&domains(TOGETHER)), domains(TOGETHER));
    let some = sample(&domains(57));
    assert_eq!((some.len(), some[0].as_str(), some[TOGETHER - 1].as_str()), (TOGETHER, "d0.test", "d54.test"));
    assert_eq!(some, sample(&domains(57)), "always the same");
}

fn target(domain: Option<&str>, stages: &[(Name, Verdict)]) -> Target {
    let stage = |(name, verdict): &(Name, Verdict)| Stage {
        name: *name,
        verdict: *verdict,
        seen: format!("the {name}"),
        cause: None,
        fix: None,
        ms: 1,
    };
    let verdict = Verdict::worst(stages.iter().map(|(_, verdict)| *verdict));
    Target {
        domain: domain.map(str::to_owned),
        host: "203.0.113.9".to_owned(),
        address: "203.0.113.9:5269".to_owned(),
        direct_tls: false,
        verdict,
        reached: verdict < Verdict::Bad,
        stages: stages.iter().map(stage).collect(),
        tls: None,
        certificate: None,
        offers: None,
        round_trip_ms: None,
    }
}

fn record(byte: u8) -> Tlsa {
    Tlsa::new(3, 1, 1, &[byte; 32]).expect("a record")
}

/// What is told of these targets, where it was looked for these domains and so many were left out.
fn told(also: &[&str], left_out: usize, targets: Vec<Target>) -> Look {
    let topology = current(1, 1).topology;
    let looker = Looker {
        by: topology.gateways[0].clone(),
        from: Vantage::OtherPool,
        at: None,
        domain: "a.test".to_owned(),
        also: also.iter().map(|domain| (*domain).to_owned()).collect(),
        left_out,
        tlsa: vec![record(1), record(2)],
    };
    let probed = Probed {
        to: "a.test".to_owned(),
        from: None,
        face: "external".to_owned(),
        verdict: Verdict::worst(targets.iter().map(|target| target.verdict)),
        reached: targets.iter().all(|target| target.reached),
        stages: Vec::new(),
        targets,
        ms: 7,
    };
    seen(&looker, &probed)
}

const GOOD: [(Name, Verdict); 2] = [(Name::Tcp, Verdict::Good), (Name::Certificate, Verdict::Good)];
const WRONG: [(Name, Verdict); 2] = [(Name::Tcp, Verdict::Good), (Name::Certificate, Verdict::Bad)];
const CLOSED: [(Name, Verdict); 2] = [(Name::Tcp, Verdict::Bad), (Name::Certificate, Verdict::Skipped)];

#[test]
fn what_is_good_says_for_how_many_domains() {
    let all = vec![target(None, &GOOD), target(Some("b.test"), &GOOD)];
    assert_eq!(told(&[], 0, vec![target(None, &GOOD)]).seen, "a stream as far as its features, in 7 ms");
    let both = told(&["b.test"], 0, all.clone());
    assert!(both.good && both.seen.contains("for each of 2 local domains, in 7 ms"), "{both:?}");
    assert!(told(&["b.test"], 3, all).seen.contains("for 2 of 5 local domains"));
    // An older version looks for the first domain only.
    assert!(told(&["b.test"], 0, vec![target(None, &GOOD)]).seen.contains("for 1 of 2 local domains"));
}

#[test]
fn the_domain_whose_certificate_is_wrong_is_named() {
    let also = ["b.test", "c.test"];
    let look = told(&also, 0, vec![target(None, &GOOD), target(Some("b.test"), &WRONG), target(Some("c.test"), &GOOD)]);
    assert_eq!((look.good, look.seen.as_str()), (false, "for b.test: the certificate"));
    assert_eq!(look.uncovered, ["b.test"]);
    let both =
        told(&also, 0, vec![target(None, &WRONG), target(Some("b.test"), &WRONG), target(Some("c.test"), &GOOD)]);
    assert_eq!((both.seen.as_str(), both.uncovered.len()), ("for a.test and 1 more: the certificate", 2));
    // A port that is closed is so for all of them.
    let closed = told(&also, 0, vec![target(None, &CLOSED), target(Some("b.test"), &CLOSED)]);
    assert_eq!((closed.good, closed.seen.as_str(), closed.uncovered.len()), (false, "the tcp", 0));
    // Nobody puts a domain there that wasn't asked for.
    let strange = told(&[], 0, vec![target(None, &GOOD), target(Some("evil.test"), &WRONG)]);
    assert_eq!((strange.good, strange.uncovered.len()), (false, 0));
}

#[test]
fn the_domain_is_named_whose_certificate_is_not_the_one_that_is_declared() {
    let shows = |domain, records: &[u8]| Target {
        certificate: Some(Certificate {
            names: Vec::new(),
            issuer: String::new(),
            not_before: 0,
            not_after: 0,
            days: 0,
            usages: Vec::new(),
            chain: 1,
            fault: None,
            tlsa: records.iter().map(|byte| record(*byte)).collect(),
        }),
        ..target(domain, &GOOD)
    };
    let unfit = |one: &[u8], two: &[u8]| told(&["b.test"], 0, vec![shows(None, one), shows(Some("b.test"), two)]).unfit;
    assert_eq!(unfit(&[9, 1], &[2]), [""; 0]);
    assert_eq!(unfit(&[1], &[3, 4]), ["b.test"]);
    // An older version says nothing of it, and where there is no certificate there is nothing to compare.
    assert_eq!(unfit(&[3], &[]), ["a.test"]);
    assert_eq!(told(&[], 0, vec![target(None, &CLOSED)]).unfit, [""; 0]);
}
