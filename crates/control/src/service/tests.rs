//! Whose services an order means, and when it may not be done.

use std::time::{Duration, SystemTime};

use api::local::{Drained, Service, Status};

use super::*;
use crate::ahead::tests::current;

const POOL1: &str = "pool1.contoso.test";
const EDGE1: &str = "edge1.contoso.test";
const EDGE2: &str = "edge2.contoso.test";

fn order(action: ServiceAction, whose: Whose) -> Order {
    Order { action, whose, seconds: None, force: false }
}

fn pool(name: &str) -> Whose {
    Whose::Pool(name.to_owned())
}

fn server(name: &str) -> Whose {
    Whose::Server(name.to_owned())
}

fn seen(connected: bool, state: Option<ServiceState>) -> Seen {
    let status = Status {
        program: "fedge-edge".to_owned(),
        version: "0.1.0".to_owned(),
        up_seconds: 5,
        log_level: "info".to_owned(),
        faces: Vec::new(),
        route: None,
        led: None,
        members: Vec::new(),
        concerns: Vec::new(),
        service: state.map(|state| Service { state, since: 1, last: None }),
        partners: 0,
        certificates: Vec::new(),
    };
    let now = SystemTime::now();
    Seen { connected, status: Some((status, now)), ..Seen::nothing(now - Duration::from_secs(9)) }
}

/// The names of those that are meant, where the second edge server of the routed pool is seen so.
fn names(order: &Order, other: &Seen) -> Result<Vec<String>, Unfit> {
    let current = current(3, 2);
    let seen = |fqdn: &str| (fqdn == EDGE2).then(|| other.clone());
    chosen(order, &current, seen, None).map(|chosen| chosen.iter().map(|member| member.fqdn.to_string()).collect())
}

#[test]
fn a_pool_means_all_its_edge_servers_and_nothing_else_has_a_service() {
    let running = seen(true, Some(ServiceState::Running));
    assert_eq!(names(&order(ServiceAction::Start, pool(POOL1)), &running), Ok(vec![EDGE1.into(), EDGE2.into()]));
    assert_eq!(names(&order(ServiceAction::Stop, server(EDGE1)), &running), Ok(vec![EDGE1.into()]));
    let stop = |whose| names(&order(ServiceAction::Stop, whose), &running);
    assert_eq!(stop(pool("pool9.contoso.test")), Err(Unfit::NoPool("pool9.contoso.test".into())));
    assert_eq!(stop(server(POOL1)), Err(Unfit::NoServer(POOL1.into())));
    assert!(matches!(stop(server("gateway1.contoso.test")), Err(Unfit::NoService { role, .. }) if role == "gateway"));
    assert_eq!(stop(pool("pool2.contoso.test")), Ok(vec!["edge3.contoso.test".into()]), "it carries no route");
}

#[test]
fn the_last_that_serves_on_the_route_is_not_stopped_without_force() {
    let last = Err(Unfit::LastOfRoute { pool: POOL1.to_owned() });
    for action in [ServiceAction::Stop, ServiceAction::Drain] {
        let running = seen(true, Some(ServiceState::Running));
        assert_eq!(names(&order(action, pool(POOL1)), &running), last);
        let of_one = order(action, server(EDGE1));
        assert!(names(&of_one, &running).is_ok());
        assert!(names(&of_one, &seen(true, None)).is_ok(), "a version that says nothing of services");
        for other in [
            seen(true, Some(ServiceState::Stopped)),
            seen(true, Some(ServiceState::Draining)),
            seen(false, Some(ServiceState::Running)),
        ] {
            assert_eq!(names(&of_one, &other), last);
            assert!(names(&Order { force: true, ..of_one.clone() }, &other).is_ok());
        }
    }
}

#[test]
fn with_a_store_that_is_behind_nobody_knows_the_route_and_nothing_is_stopped() {
    let current = current(3, 2);
    let behind = || Some("the store is behind".to_owned());
    let stop = order(ServiceAction::Stop, pool("pool2.contoso.test"));
    let chosen = |order: &Order| chosen(order, &current, |_| None, behind()).map(|chosen| chosen.len());
    assert_eq!(chosen(&stop), Err(Unfit::Behind("the store is behind".to_owned())));
    assert_eq!(chosen(&Order { force: true, ..stop }), Ok(1));
    assert_eq!(chosen(&order(ServiceAction::Start, pool("pool2.contoso.test"))), Ok(1));
}

#[test]
fn what_became_of_it_is_told_in_numbers_and_done_only_if_it_is_so() {
    let last = Drained { finished: 12, returned: 1, left: 0, seconds: 3 };
    let service = Service { state: ServiceState::Stopped, since: 1, last: Some(last) };
    let what = "it is stopped; of what was under way, 12 were finished, 1 returned and 0 left, in 3 s";
    assert_eq!(told(ServiceAction::Stop, &service), (true, what.to_owned()));
    assert_eq!(told(ServiceAction::Start, &service), (false, "it is stopped".to_owned()));
    assert!(!told(ServiceAction::Drain, &service).0, "it should take partners in again");
}
