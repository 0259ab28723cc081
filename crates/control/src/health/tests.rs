//! Who is live, ready and routed; and what a controller says that can't see its store.

use std::collections::BTreeMap;

use api::agent::{Head, Hello, WORDS};
use api::local;

use super::*;
use crate::ahead::tests::{current, head};

const POOL1: &str = "pool1.contoso.test";
const POOL2: &str = "pool2.contoso.test";
const EDGE1: &str = "edge1.contoso.test";
const EDGE3: &str = "edge3.contoso.test";
const GATEWAY: &str = "gateway1.contoso.test";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000)
}

fn well(have: Head, role: api::agent::Role) -> Seen {
    let trunk = local::Member { name: EDGE1.to_owned(), connected: true, routed: true };
    let status = local::Status {
        program: "fedge-edge".to_owned(),
        version: "0.1.0".to_owned(),
        up_seconds: 5,
        now: None,
        log_level: "info".to_owned(),
        faces: Vec::new(),
        route: None,
        led: None,
        members: vec![trunk],
        concerns: Vec::new(),
        service: Some(local::Service { state: ServiceState::Running, since: 1, last: None, rested: None }),
        partners: 0,
        certificates: Vec::new(),
        uncovered: Vec::new(),
    };
    let hello = Hello {
        words: WORDS,
        fqdn: have.member.clone(),
        role,
        program: "fedge".to_owned(),
        version: "0.1.0".to_owned(),
        have: Some(have),
        applied: true,
        confirmed: true,
        certificate: None,
        concerns: Vec::new(),
    };
    Seen { hello: Some(hello), connected: true, status: Some((status, now())), ..Seen::nothing(now()) }
}

/// The example's installation, all of it well: the first pool carries the route in epoch 2.
struct Site {
    current: Current,
    blind: bool,
    seen: BTreeMap<String, Seen>,
}

impl Site {
    fn new() -> Site {
        let current = current(3, 2);
        let seen = current.topology.members().filter(|member| member.role != Role::Controller).map(|member| {
            let fqdn = member.fqdn.to_string();
            (fqdn.clone(), well(head(&current, &fqdn), member.role.into()))
        });
        Site { seen: seen.collect(), current: current.clone(), blind: false }
    }

    fn change(mut self, fqdn: &str, change: impl FnOnce(&mut Seen)) -> Site {
        change(self.seen.get_mut(fqdn).expect("a member"));
        self
    }

    fn moved(self, fqdn: &str, epoch: u64, pool: &str) -> Site {
        let route = Route { epoch, pool: pool.to_owned() };
        self.change(fqdn, |seen| {
            seen.hello.as_mut().and_then(|hello| hello.have.as_mut()).expect("there").route = route;
        })
    }

    fn look<T>(&self, look: impl FnOnce(&View<'_>) -> T) -> T {
        let seen = |fqdn: &str| self.seen.get(fqdn).cloned();
        look(&View { installation: "contoso-1", current: &self.current, blind: self.blind, seen: &seen, now: now() })
    }

    fn pool(&self, fqdn: &str) -> (bool, bool, bool) {
        let serving = self.look(|view| of_pool(view, fqdn)).expect("a pool");
        (serving.live, serving.ready, serving.routed)
    }

    fn address(&self, address: &str) -> ((bool, bool, bool), String) {
        let address = address.parse().expect("an address");
        let serving = self.look(|view| of_address(view, address)).expect("somebody's");
        ((serving.live, serving.ready, serving.routed), serving.why.join("; "))
    }
}

const NO: (bool, bool, bool) = (false, false, false);
const LIVE: (bool, bool, bool) = (true, false, false);
const READY: (bool, bool, bool) = (true, true, false);
const ROUTED: (bool, bool, bool) = (true, true, true);

#[test]
fn the_routed_pool_is_routed_and_a_standby_is_ready() {
    let site = Site::new();
    assert_eq!((site.pool(POOL1), site.pool(POOL2)), (ROUTED, READY));
    assert!(site.look(|view| of_pool(view, EDGE1)).is_none());
    for address in ["192.0.2.10", "2001:db8:1::10", "10.1.0.10"] {
        assert_eq!(site.address(address), (ROUTED, String::new()));
    }
    let standby = site.address("198.51.100.10");
    assert_eq!(standby.0, READY);
    assert!(standby.1.contains("edge3.contoso.test is in pool2.contoso.test, and pool1.contoso.test carries"));
    assert!(site.look(|view| of_address(view, "192.0.2.99".parse().expect("one"))).is_none());
}

#[test]
fn one_edge_server_that_serves_is_enough_for_its_pool() {
    let gone = Site::new().change(EDGE1, |seen| seen.connected = false);
    assert_eq!((gone.pool(POOL1), gone.address("192.0.2.10").0), (ROUTED, NO));
    let gone = gone.change("edge2.contoso.test", |seen| seen.connected = false);
    assert_eq!(gone.pool(POOL1), NO);
}

#[test]
fn who_is_stopped_draining_silent_or_without_a_snapshot_is_live_and_no_more() {
    type Change = fn(&mut Seen);
    let cases: [(Change, &str); 5] = [
        (|seen| service(seen, ServiceState::Stopped), "a federation service that is stopped"),
        (|seen| service(seen, ServiceState::Draining), "a federation service that is draining"),
        (|seen| seen.status.as_mut().expect("there").1 = now() - Duration::from_secs(31), "doesn't say how it is"),
        (|seen| seen.status = None, "has not said yet"),
        (|seen| seen.hello.as_mut().expect("there").applied = false, "goes by no snapshot"),
    ];
    for (change, words) in cases {
        let (serving, why) = Site::new().change(EDGE1, change).address("192.0.2.10");
        assert!(serving == LIVE && why.contains(words), "{why}");
    }
    let alone = |seen: &mut Seen| seen.status.as_mut().expect("there").0.members.clear();
    assert_eq!(Site::new().address("10.0.0.10").0, READY, "a gateway carries no route");
    assert_eq!(Site::new().change(GATEWAY, alone).address("10.0.0.10").0, LIVE);
}

fn service(seen: &mut Seen, state: ServiceState) {
    let (status, _) = seen.status.as_mut().expect("it is there");
    status.service = Some(local::Service { state, since: 1, last: None, rested: None });
}

#[test]
fn who_does_not_know_that_it_carries_the_route_does_not() {
    let unconfirmed = Site::new().change(EDGE1, |seen| seen.hello.as_mut().expect("there").confirmed = false);
    let (serving, why) = unconfirmed.address("192.0.2.10");
    assert!(serving == READY && why.contains("unconfirmed"), "{why}");
    let late = Site::new().moved(EDGE1, 1, POOL1);
    let (serving, why) = late.address("192.0.2.10");
    assert!(serving == READY && why.contains("goes by epoch 1 of the route, and 2 is current"), "{why}");
}

#[test]
fn a_controller_that_cannot_see_its_store_says_what_was_until_a_member_inside_knows_better() {
    let blind = || Site { blind: true, ..Site::new() };
    assert_eq!((blind().pool(POOL1), blind().pool(POOL2)), (ROUTED, READY), "nothing is demoted");
    // Another controller moves the route, and the gateway hears of it first.
    let moved = blind().moved(GATEWAY, 3, POOL2);
    assert_eq!((moved.pool(POOL1), moved.pool(POOL2)), (READY, READY));
    let moved = moved.moved(EDGE3, 3, POOL2);
    assert_eq!((moved.pool(POOL1), moved.pool(POOL2)), (READY, ROUTED));
    // An edge server alone doesn't make itself the route.
    let claims = blind().moved(EDGE3, 9, POOL2);
    assert_eq!((claims.pool(POOL1), claims.pool(POOL2)), (ROUTED, READY));
    // Whoever sees the store goes by it.
    let seeing = Site { blind: false, ..blind().moved(GATEWAY, 3, POOL2) };
    assert_eq!(seeing.pool(POOL1), ROUTED);
}
