//! Whose services an order means, and when it may not be done.

use api::local::{Drained, Service};

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

/// The names of those that are meant, where the second edge server of the routed pool takes partners in, or not.
fn names(order: &Order, other: bool) -> Result<Vec<String>, Unfit> {
    let current = current(3, 2);
    let serves = |fqdn: &str| other && fqdn == EDGE2;
    chosen(order, &current, serves, None).map(|chosen| chosen.iter().map(|member| member.fqdn.to_string()).collect())
}

#[test]
fn a_pool_means_all_its_edge_servers_and_nothing_else_has_a_service() {
    assert_eq!(names(&order(ServiceAction::Start, pool(POOL1)), true), Ok(vec![EDGE1.into(), EDGE2.into()]));
    assert_eq!(names(&order(ServiceAction::Stop, server(EDGE1)), true), Ok(vec![EDGE1.into()]));
    let stop = |whose| names(&order(ServiceAction::Stop, whose), true);
    assert_eq!(stop(pool("pool9.contoso.test")), Err(Unfit::NoPool("pool9.contoso.test".into())));
    assert_eq!(stop(server(POOL1)), Err(Unfit::NoServer(POOL1.into())));
    assert!(matches!(stop(server("gateway1.contoso.test")), Err(Unfit::NoService { role, .. }) if role == "gateway"));
    assert_eq!(stop(pool("pool2.contoso.test")), Ok(vec!["edge3.contoso.test".into()]), "it carries no route");
}

#[test]
fn the_last_that_serves_on_the_route_is_not_stopped_without_force() {
    let last = Err(Unfit::LastOfRoute { pool: POOL1.to_owned() });
    for action in [ServiceAction::Stop, ServiceAction::Drain] {
        assert_eq!(names(&order(action, pool(POOL1)), true), last);
        let of_one = order(action, server(EDGE1));
        assert!(names(&of_one, true).is_ok());
        assert_eq!(names(&of_one, false), last);
        assert!(names(&Order { force: true, ..of_one.clone() }, false).is_ok());
    }
}

#[test]
fn with_a_store_that_is_behind_nobody_knows_the_route_and_nothing_is_stopped() {
    let current = current(3, 2);
    let behind = || Some("the store is behind".to_owned());
    let stop = order(ServiceAction::Stop, pool("pool2.contoso.test"));
    let chosen = |order: &Order| chosen(order, &current, |_| false, behind()).map(|chosen| chosen.len());
    assert_eq!(chosen(&stop), Err(Unfit::Behind("the store is behind".to_owned())));
    assert_eq!(chosen(&Order { force: true, ..stop }), Ok(1));
    assert_eq!(chosen(&order(ServiceAction::Start, pool("pool2.contoso.test"))), Ok(1));
}

#[test]
fn what_became_of_it_is_told_in_numbers_and_done_only_if_it_is_so() {
    let last = Drained { finished: 12, returned: 1, left: 0, seconds: 3, stay: 0 };
    let service = Service { state: ServiceState::Stopped, since: 1, last: Some(last), rested: None };
    let what = "it is stopped; of what was under way, 12 were finished, 1 returned and 0 left, in 3 s";
    assert_eq!(told(ServiceAction::Stop, &service), (true, what.to_owned()));
    assert_eq!(told(ServiceAction::Start, &service), (false, "it is stopped".to_owned()));
    assert!(!told(ServiceAction::Drain, &service).0, "it should take partners in again");
}
