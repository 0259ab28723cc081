//! What comes next in each state: as it goes when all is well, and when something is missing.

use api::local::ServiceState;

use super::super::sight::{Found, Probe};
use super::super::testing::{EDGES, GATEWAYS, operation, sight, with, without};
use super::*;

const SOON: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_secs(60);

fn decided(operation: &Operation, sight: &Sight, waited: Duration) -> Next {
    next(&Moment {
        operation,
        uncertain: None,
        declared: true,
        sight,
        waited,
        stayed: waited,
        looked: LATE,
        stanzas: 0,
    })
}

fn entered(operation: &Operation, sight: &Sight, waited: Duration) -> State {
    match decided(operation, sight, waited) {
        Next::Enter(state, why) => {
            assert!(!why.is_empty());
            state
        }
        other => panic!("{other:?}"),
    }
}

fn waits(operation: &Operation, sight: &Sight, waited: Duration) -> String {
    match decided(operation, sight, waited) {
        Next::Wait(what) => what,
        other => panic!("{other:?}"),
    }
}

fn at(state: State) -> Operation {
    operation(Kind::Switchover, state)
}

/// All is well and goes by the new epoch, and partners are there.
fn moved() -> Sight {
    with(sight(2), &EDGES[2..], |facts| (facts.partners, facts.stanzas) = (1, 20))
}

#[test]
fn it_goes_from_state_to_state_where_all_is_well() {
    assert_eq!(entered(&at(State::Preparing), &sight(1), SOON), State::Ready);
    assert_eq!(decided(&at(State::Ready), &sight(1), SOON), Next::Commit);
    assert_eq!(entered(&at(State::Committed), &sight(2), SOON), State::Applying);
    assert_eq!(entered(&at(State::Applying), &sight(2), SOON), State::Verifying);
    assert_eq!(entered(&at(State::Verifying), &moved(), SOON), State::Draining);
    let edges = EDGES[..2].iter().map(|edge| (*edge).to_owned()).collect();
    assert_eq!(decided(&at(State::Draining), &moved(), SOON), Next::Drain(edges));
    let finished = with(moved(), &EDGES[..2], |facts| facts.rested = Some(2));
    assert_eq!(entered(&at(State::Draining), &finished, SOON), State::Done);
}

#[test]
fn before_the_commit_what_is_missing_is_waited_for_and_then_it_is_rolled_back() {
    let gone = without(sight(1), &EDGES[2..]);
    assert!(waits(&at(State::Preparing), &gone, SOON).contains("target-serves"));
    assert_eq!(entered(&at(State::Preparing), &gone, LATE), State::RolledBack);
    // Who was accepted to be gone may be.
    let half = without(sight(1), &GATEWAYS[..1]);
    assert_eq!(entered(&at(State::Preparing), &half, LATE), State::RolledBack);
    let accepted = Operation { accepted: vec!["gateways-whole".to_owned()], ..at(State::Preparing) };
    assert_eq!(entered(&accepted, &half, SOON), State::Ready);
    // What was seen by somebody, or some time ago, is looked at again, and a pool that was taken out of the topology isn't
    // the route.
    assert_eq!(decided(&at(State::Ready), &sight(1), LATE), Next::Commit);
    assert_eq!(entered(&at(State::Ready), &gone, SOON), State::Preparing);
    let (operation, well) = (at(State::Preparing), sight(1));
    let undeclared = Moment {
        operation: &operation,
        uncertain: None,
        declared: false,
        sight: &well,
        waited: SOON,
        stayed: SOON,
        looked: LATE,
        stanzas: 0,
    };
    assert!(matches!(next(&undeclared), Next::Enter(State::RolledBack, _)));
}

#[test]
fn members_that_do_not_go_by_it_are_waited_for_and_those_that_are_gone_are_not() {
    let late = with(sight(2), &GATEWAYS[..1], |facts| facts.epoch = Some(1));
    assert!(waits(&at(State::Committed), &late, SOON).contains(GATEWAYS[0]));
    assert_eq!(entered(&at(State::Committed), &late, LATE), State::Applying);
    assert_eq!(entered(&at(State::Committed), &without(sight(2), &GATEWAYS[..1]), SOON), State::Applying);
    let alone = without(sight(2), &GATEWAYS);
    waits(&at(State::Committed), &alone, SOON);
    assert_eq!(entered(&at(State::Committed), &alone, LATE), State::Degraded);
}

#[test]
fn it_is_verified_by_what_is_seen_since_the_commit() {
    let mut old = moved();
    old.probes.values_mut().for_each(|probe| probe.age = LATE);
    assert!(waits(&at(State::Verifying), &old, SOON).contains("nobody has looked at it"));
    // At night nobody says anything, and then the probe is enough.
    let quiet = sight(2);
    assert!(waits(&at(State::Verifying), &quiet, SOON).contains("no partner"));
    assert_eq!(entered(&at(State::Verifying), &quiet, LATE), State::Draining);
    let behind = with(moved(), &EDGES[2..], |facts| facts.epoch = Some(1));
    assert!(waits(&at(State::Verifying), &behind, SOON).contains("epoch 2"));
}

#[test]
fn a_target_that_does_not_serve_is_taken_back_once_where_the_old_pool_does() {
    let closed = |mut sight: Sight| {
        let seen = "connection refused".to_owned();
        let (by, found) = (EDGES[0].to_owned(), Found::Bad);
        let probe = Probe { by, found, seen, uncovered: Vec::new(), unfit: Vec::new(), age: Duration::ZERO };
        sight.probes.insert(EDGES[2].to_owned(), probe);
        sight
    };
    assert!(waits(&at(State::Verifying), &closed(moved()), SOON).contains("connection refused"));
    assert!(matches!(decided(&at(State::Verifying), &closed(moved()), LATE), Next::TakeBack(_)));
    let back = Operation { takes_back: Some(1), ..at(State::Verifying) };
    assert_eq!(entered(&back, &closed(moved()), LATE), State::Degraded, "never to and fro");
    let nowhere = closed(without(moved(), &EDGES[..2]));
    assert_eq!(entered(&at(State::Verifying), &nowhere, LATE), State::Degraded);
    // It is looked at again and again, and goes on when it serves.
    waits(&at(State::Degraded), &nowhere, LATE);
    assert_eq!(entered(&at(State::Degraded), &moved(), SOON), State::Draining);
}

#[test]
fn a_target_that_nobody_could_look_at_is_not_taken_back() {
    let by = |found| {
        let mut sight = moved();
        sight.probes.values_mut().for_each(|probe| probe.found = found);
        sight
    };
    // The controller's clock has jumped, say, and members refuse it.
    assert_eq!(entered(&at(State::Verifying), &by(Found::Unsure), LATE), State::Degraded);
    assert_eq!(entered(&at(State::Degraded), &moved(), SOON), State::Draining, "somebody could");
    let unlooked = Sight { probes: Default::default(), ..moved() };
    assert_eq!(entered(&at(State::Verifying), &unlooked, LATE), State::Degraded);
    // Who was seen to be closed, or isn't used, is.
    assert!(matches!(decided(&at(State::Verifying), &by(Found::Bad), LATE), Next::TakeBack(_)));
    let unused =
        with(by(Found::Unsure), &GATEWAYS, |facts| facts.trunks.retain(|edge| EDGES[..2].contains(&edge.as_str())));
    assert!(matches!(decided(&at(State::Verifying), &unused, LATE), Next::TakeBack(_)));
}

#[test]
fn a_target_that_an_administrator_has_stopped_is_waited_for_without_an_end() {
    let stopped = with(sight(2), &EDGES[2..], |facts| facts.service = Some(ServiceState::Stopped));
    match decided(&at(State::Verifying), &stopped, LATE) {
        Next::Await(Need::Start, what) => {
            assert!(what.contains("fedge service start --pool pool2.contoso.test"), "{what}");
        }
        other => panic!("{other:?}"),
    }
    // Where it serves and something else is missing, it is that.
    let one = with(moved(), &EDGES[2..], |facts| facts.epoch = Some(1));
    assert!(matches!(decided(&at(State::Verifying), &one, SOON), Next::Wait(_)));
}

#[test]
fn what_an_operation_waits_for_is_told_and_over_when_it_goes_on() {
    let waiting = Operation { waits: Some("a start".to_owned()), needs: Some(Need::Start), ..at(State::Verifying) };
    assert!(waiting.told(|_| None, Vec::new()).needs_start);
    let mut gone_on = waiting.clone();
    gone_on.enter(State::Draining, 2000, "it serves");
    assert!(gone_on.needs.is_none() && gone_on.waits.is_none() && !gone_on.told(|_| None, Vec::new()).needs_somebody());
    // What lies in the store from an older version doesn't say it.
    let mut old = serde_json::to_value(&waiting).expect("JSON");
    old.as_object_mut().expect("an object").remove("needs");
    let old: Operation = serde_json::from_value(old).expect("it is read");
    assert_eq!(old, Operation { needs: None, ..waiting });
}

#[test]
fn who_had_the_route_finishes_and_who_is_gone_is_named() {
    let mut busy = moved();
    busy.drains.insert(EDGES[0].to_owned(), Drain::Told);
    busy.drains.insert(EDGES[1].to_owned(), Drain::Finished("41 finished, 0 returned, 0 left, in 2 s".to_owned()));
    let busy = with(busy, &EDGES[..1], |facts| facts.partners = 3);
    assert_eq!(waits(&at(State::Draining), &busy, LATE), "edge1.contoso.test to finish; partners still there: 3");
    // One that was there a moment ago may be busy.
    let gone = without(moved(), &EDGES[..2]);
    waits(&at(State::Draining), &gone, SOON);
    let failover = operation(Kind::Failover, State::Draining);
    match decided(&failover, &gone, SOON) {
        Next::Enter(State::Done, why) => assert!(why.contains("edge1.contoso.test is not reached"), "{why}"),
        other => panic!("{other:?}"),
    }
    // Who has just taken over has heard nobody yet.
    let new = Moment {
        operation: &failover,
        uncertain: None,
        declared: true,
        sight: &gone,
        waited: SOON,
        stayed: SOON,
        looked: SOON,
        stanzas: 0,
    };
    assert!(matches!(next(&new), Next::Wait(_)));
    let stopped = with(moved(), &EDGES[..2], |facts| facts.service = Some(ServiceState::Stopped));
    assert_eq!(entered(&at(State::Draining), &stopped, SOON), State::Done);
}
