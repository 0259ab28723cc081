//! Plans: whom a name means, what a hash hangs on, and which records change.

use api::local::ServiceState;

use super::super::testing::{EDGES, ONE, TWO, operation, sight, with, without};
use super::*;
use crate::ahead::tests::current;

fn wish(kind: Kind, to: Option<&str>) -> Wish {
    Wish { kind, to: to.map(str::to_owned), accept: Vec::new() }
}

fn planned(wish: &Wish, current: &Current, sight: &Sight) -> Result<Plan, PlanError> {
    plan(wish, &Known { current, uncertain: None, operation: None, sight })
}

#[test]
fn a_pool_is_meant_by_its_name_and_by_that_of_a_server_of_it() {
    let topology = current(1, 1).topology;
    let means = |kind, to| target(&topology, &wish(kind, to)).map(str::to_owned);
    assert_eq!(means(Kind::Switchover, Some(TWO)), Ok(TWO.to_owned()));
    assert_eq!(means(Kind::Failover, Some("Edge3.Contoso.test")), Ok(TWO.to_owned()));
    assert_eq!(means(Kind::Failback, None), Ok(ONE.to_owned()));
    assert_eq!(means(Kind::Switchover, None), Err(PlanError::NoTarget));
    assert_eq!(means(Kind::Failback, Some(TWO)), Err(PlanError::Home(ONE.to_owned())));
    assert_eq!(
        means(Kind::Failover, Some("gateway1.contoso.test")),
        Err(PlanError::NoPool("gateway1.contoso.test".into()))
    );
}

#[test]
fn the_hash_changes_with_what_would_be_done_and_not_with_what_passes() {
    let (now, well) = (current(3, 1), sight(1));
    let hash = |wish: &Wish, current: &Current, sight: &Sight| planned(wish, current, sight).expect("a plan").hash;
    let first = hash(&wish(Kind::Switchover, Some(TWO)), &now, &well);
    assert_eq!(first.len(), 16);
    let busier = with(sight(1), &EDGES, |facts| (facts.partners, facts.stanzas) = (5, 1000));
    assert_eq!(hash(&wish(Kind::Switchover, Some("edge3.contoso.test")), &now, &busier), first);
    for other in [
        hash(&wish(Kind::Failover, Some(TWO)), &now, &well),
        hash(&wish(Kind::Switchover, Some(TWO)), &current(4, 1), &well),
        hash(&wish(Kind::Switchover, Some(TWO)), &current(3, 2), &sight(2)),
        hash(&wish(Kind::Switchover, Some(TWO)), &now, &without(sight(1), &EDGES[..1])),
    ] {
        assert_ne!(other, first);
    }
}

#[test]
fn a_plan_shows_pools_records_and_steps_before_and_after() {
    let stopped = with(sight(1), &EDGES[2..], |facts| facts.service = Some(ServiceState::Stopped));
    let plan = planned(&wish(Kind::Switchover, Some(TWO)), &current(3, 1), &stopped).expect("a plan");
    let shown: Vec<_> =
        plan.pools.iter().map(|pool| (pool.before.as_str(), pool.after.as_str(), pool.serving, pool.stopped)).collect();
    assert_eq!(shown, [("route", "standby", 2, 0), ("standby", "route", 0, 1)]);
    assert_eq!((plan.epoch, plan.from.as_str(), plan.to.as_str()), (2, ONE, TWO));
    // Two local domains: of each, one set.
    assert_eq!(plan.records.len(), 2);
    for change in &plan.records {
        assert!(change.before[0].ends_with("SRV 10 0 5269 pool1.contoso.test."), "{change:?}");
        assert!(change.after[0].ends_with("SRV 10 0 5269 pool2.contoso.test."), "{change:?}");
    }
    let names: Vec<&str> = plan.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["prepare", "commit", "members", "dns", "verify", "drain"]);
}

#[test]
fn an_operation_that_has_moved_the_route_gives_way_and_one_that_has_not_does_not() {
    use api::route::State;
    let (now, well) = (current(3, 1), sight(1));
    let refuses = |state| {
        let operation = operation(Kind::Switchover, state);
        let known = Known { current: &now, uncertain: None, operation: Some(&operation), sight: &well };
        let plan = plan(&wish(Kind::Switchover, Some(TWO)), &known).expect("a plan");
        plan.refusals().map(|condition| condition.code.clone()).collect::<Vec<_>>() == ["no-operation"]
    };
    for state in [State::Preparing, State::Ready, State::Committed] {
        assert!(refuses(state), "{state}");
    }
    for state in [State::Applying, State::Verifying, State::Draining, State::Degraded, State::Done, State::RolledBack] {
        assert!(!refuses(state), "{state}");
    }
}
