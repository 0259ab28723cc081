//! What the example of a topology looks like when all is well, for tests.

use std::time::Duration;

use api::local::ServiceState;
use api::route::{Kind, State};
use topology::document::Role;

use super::operation::{Driver, Operation};
use super::sight::{Facts, Found, Hops, Probe, Sight};
use crate::ahead::tests::current;

pub(super) const ONE: &str = "pool1.contoso.test";
pub(super) const TWO: &str = "pool2.contoso.test";
pub(super) const EDGES: [&str; 3] = ["edge1.contoso.test", "edge2.contoso.test", "edge3.contoso.test"];
pub(super) const GATEWAYS: [&str; 2] = ["gateway1.contoso.test", "gateway2.contoso.test"];

/// All is well, and everybody goes by this epoch.
pub(super) fn sight(epoch: u64) -> Sight {
    let topology = current(1, epoch).topology;
    let pool = |fqdn: &str| {
        let has = |pool: &&topology::document::Pool| pool.edges.iter().any(|edge| edge.member.fqdn.as_str() == fqdn);
        topology.pools.iter().find(has).map(|pool| pool.fqdn.to_string())
    };
    let led = topology.members().filter(|member| member.role != Role::Controller);
    let members = led.map(|member| {
        let (fqdn, edge) = (member.fqdn.to_string(), member.role == Role::Edge);
        let trunks = if member.role == Role::Gateway { EDGES.map(str::to_owned).into() } else { [].into() };
        let facts = Facts {
            role: member.role,
            pool: pool(&fqdn),
            reached: true,
            problem: None,
            current: true,
            epoch: Some(epoch),
            service: edge.then_some(ServiceState::Running),
            rested: None,
            trunks,
            partners: 0,
            stanzas: 0,
            uncovered: Vec::new(),
            clock: Some(0),
            streams: 0,
            places: Some(100),
        };
        (fqdn, facts)
    });
    let probes = EDGES.map(|edge| {
        let (by, seen) = ("edge9.contoso.test".to_owned(), "a stream as far as its features".to_owned());
        let (uncovered, unfit) = (Vec::new(), Vec::new());
        (edge.to_owned(), Probe { by, found: Found::Good, seen, uncovered, unfit, age: Duration::ZERO })
    });
    let hops =
        GATEWAYS.map(|gateway| (gateway.to_owned(), Hops { good: vec!["contoso.test".to_owned()], bad: Vec::new() }));
    Sight { members: members.collect(), probes: probes.into(), hops: hops.into(), drains: [].into(), zones: Vec::new() }
}

/// It with something changed about these members.
pub(super) fn with(mut sight: Sight, fqdns: &[&str], change: impl Fn(&mut Facts)) -> Sight {
    for fqdn in fqdns {
        change(sight.members.get_mut(*fqdn).expect("it is in the example"));
    }
    sight
}

/// They are gone.
pub(super) fn without(sight: Sight, fqdns: &[&str]) -> Sight {
    with(sight, fqdns, |facts| {
        *facts = Facts {
            reached: false,
            problem: Some("connection refused".to_owned()),
            current: false,
            epoch: None,
            service: None,
            trunks: [].into(),
            clock: None,
            places: None,
            ..facts.clone()
        };
    })
}

/// A move from the first pool to the second, by which epoch 2 comes.
pub(super) fn operation(kind: Kind, state: State) -> Operation {
    Operation {
        number: 1,
        kind,
        from: ONE.to_owned(),
        to: TWO.to_owned(),
        epoch: 2,
        state,
        waits: None,
        needs: None,
        plan: "0123456789abcdef".to_owned(),
        accepted: Vec::new(),
        who: "anna".to_owned(),
        why: "a test".to_owned(),
        began: 1000,
        driver: Driver { controller: "ctl1.contoso.test".to_owned(), life: 1, beat: 0 },
        journal: Vec::new(),
        takes_back: None,
    }
}
