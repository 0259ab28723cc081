//! Each condition is found not to hold where it doesn't, and no other.

use api::local::ServiceState;
use api::route::Condition;

use super::super::drive::TAKING_BACK;
use super::super::sight::{Found, Hops};
use super::super::testing::{EDGES, GATEWAYS, ONE, TWO, sight, with, without};
use super::*;
use crate::zones::testing::{UPDATED, well};

fn ground(kind: Kind) -> Ground<'static> {
    Ground { from: ONE, to: TWO, kind, uncertain: None, busy: None }
}

fn refused(ground: &Ground<'_>, sight: &Sight, accept: &[&str]) -> Vec<String> {
    let accept: Vec<String> = accept.iter().map(|code| (*code).to_owned()).collect();
    let all = conditions(ground, sight, &accept);
    // A refusal without what to do is none, and what holds needs nothing done.
    for Condition { code, holds, seen, fix, .. } in &all {
        assert!(!seen.is_empty() && *holds == fix.is_empty(), "{code}: {seen}; {fix}");
    }
    all.into_iter().filter(Condition::refuses).map(|condition| condition.code).collect()
}

fn switchover(sight: &Sight) -> Vec<String> {
    refused(&ground(Kind::Switchover), sight, &[])
}

#[test]
fn where_all_is_well_a_switchover_may_be_made_and_a_failover_may_not() {
    let well = sight(1);
    assert_eq!(switchover(&well), [""; 0]);
    assert_eq!(refused(&ground(Kind::Failover), &well, &[]), ["old-dead"]);
    assert_eq!(refused(&ground(Kind::Failover), &well, &["old-dead"]), [""; 0]);
    assert_eq!(warnings(&ground(Kind::Switchover), &well), [""; 0]);
}

#[test]
fn what_the_target_lacks_refuses_any_move_to_it() {
    let target = &EDGES[2..];
    let gone = without(sight(1), target);
    assert_eq!(switchover(&gone), ["target-serves", "target-whole", "target-port"]);
    let old = with(sight(1), target, |facts| facts.current = false);
    assert_eq!(switchover(&old), ["target-serves", "target-current"]);
    let bare = with(sight(1), target, |facts| facts.uncovered = vec!["contoso.test".to_owned()]);
    assert_eq!(switchover(&bare), ["target-serves", "target-certificates"]);
    let mut closed = sight(1);
    closed.probes.get_mut(EDGES[2]).expect("it was probed").found = Found::Bad;
    assert_eq!(switchover(&closed), ["target-port"]);
    let unseen = Sight { probes: [].into(), ..closed.clone() };
    assert_eq!(switchover(&unseen), ["target-port"], "nobody could look");
    let cut = with(sight(1), &GATEWAYS, |facts| _ = facts.trunks.remove(EDGES[2]));
    assert_eq!(switchover(&cut), ["gateways-reach", "gateways-whole"]);
    for refusing in [gone, old, bare, closed, cut] {
        let everything: Vec<String> =
            conditions(&ground(Kind::Failover), &refusing, &[]).into_iter().map(|one| one.code).collect();
        let everything: Vec<&str> = everything.iter().map(String::as_str).collect();
        assert_ne!(
            refused(&ground(Kind::Failover), &refusing, &everything),
            [""; 0],
            "nothing waives the target's health"
        );
    }
}

#[test]
fn a_part_of_the_target_may_be_accepted_to_be_gone() {
    let ground = Ground { from: TWO, to: ONE, ..ground(Kind::Switchover) };
    let half = without(sight(1), &EDGES[..1]);
    assert_eq!(refused(&ground, &half, &[]), ["target-whole"]);
    assert_eq!(refused(&ground, &half, &["target-whole"]), [""; 0]);
    let one_gateway = without(sight(1), &GATEWAYS[..1]);
    assert_eq!(refused(&ground, &one_gateway, &[]), ["gateways-whole"]);
    assert_eq!(refused(&ground, &one_gateway, &["gateways-whole"]), [""; 0]);
}

#[test]
fn a_dead_pool_is_failed_over_from_and_not_switched_over() {
    let dead = without(sight(1), &EDGES[..2]);
    assert_eq!(switchover(&dead), ["old-reached"]);
    assert_eq!(refused(&ground(Kind::Switchover), &dead, &["old-reached"]), ["old-reached"], "that isn't waived");
    assert_eq!(refused(&ground(Kind::Failover), &dead, &[]), ["old-reached"]);
    assert_eq!(refused(&ground(Kind::Failover), &dead, &["old-reached"]), [""; 0]);
    // It is up, and no gateway gets there: for everybody inside it is as good as dead.
    let cut = with(sight(1), &GATEWAYS, |facts| facts.trunks = [EDGES[2].to_owned()].into());
    assert_eq!(refused(&ground(Kind::Failover), &cut, &[]), [""; 0]);
}

#[test]
fn a_pool_that_only_controllers_do_not_reach_is_told_of() {
    let unseen = without(sight(1), &EDGES[..2]);
    let told = warnings(&ground(Kind::Failover), &unseen);
    assert!(told.len() == 1 && told[0].contains("gateways do: edge1.contoso.test, edge2.contoso.test"), "{told:?}");
    let dead = with(unseen, &GATEWAYS, |facts| facts.trunks = [EDGES[2].to_owned()].into());
    assert_eq!(warnings(&ground(Kind::Failover), &dead), [""; 0]);
}

#[test]
fn a_target_whose_services_are_stopped_is_no_dead_one() {
    let stopped = with(sight(1), &EDGES[2..], |facts| facts.service = Some(ServiceState::Stopped));
    assert_eq!(switchover(&stopped), [""; 0]);
    let told = warnings(&ground(Kind::Switchover), &stopped);
    assert!(told.len() == 1 && told[0].contains("fedge service start --pool pool2.contoso.test"), "{told:?}");
    // Gateways use the old pool meanwhile.
    assert!(told[0].contains("it is pool1.contoso.test that serves"), "{told:?}");
}

#[test]
fn an_uncertain_store_and_a_move_that_is_under_way_refuse() {
    let unsure = Ground { uncertain: Some("the store is behind"), ..ground(Kind::Failover) };
    assert_eq!(refused(&unsure, &sight(1), &["store-known", "old-dead"]), ["store-known"]);
    let busy = Ground { busy: Some(7), ..ground(Kind::Switchover) };
    assert_eq!(refused(&busy, &sight(1), &["no-operation"]), ["no-operation"]);
    let there = Ground { from: TWO, ..ground(Kind::Switchover) };
    assert_eq!(refused(&there, &sight(1), &["target-other"]), ["target-other"]);
}

#[test]
fn where_the_dead_pool_had_the_only_ones_who_could_look_a_failover_may_be_made() {
    let mut alone = without(sight(1), &EDGES[..2]);
    alone.probes.clear();
    let failover = ground(Kind::Failover);
    assert_eq!(refused(&failover, &alone, &["old-reached"]), ["target-port"]);
    assert_eq!(refused(&failover, &alone, &["old-reached", "target-port"]), [""; 0]);
    let unseen = Sight { probes: [].into(), ..sight(1) };
    assert_eq!(refused(&ground(Kind::Switchover), &unseen, &["target-port"]), ["target-port"]);
}

#[test]
fn what_nobody_can_tell_may_be_accepted_in_a_failover_and_what_was_seen_may_not() {
    let mut sight = without(sight(1), &EDGES[..2]);
    let accepted = ["old-reached", "target-port"];
    let failover = ground(Kind::Failover);
    sight.probes.get_mut(EDGES[2]).expect("it was probed").found = Found::Unsure;
    assert_eq!(refused(&failover, &sight, &["old-reached"]), ["target-port"]);
    assert_eq!(refused(&failover, &sight, &accepted), [""; 0]);
    sight.probes.get_mut(EDGES[2]).expect("it was probed").found = Found::Bad;
    assert_eq!(refused(&failover, &sight, &accepted), ["target-port"]);
    // One that is seen is enough, and what is known of the other is told.
    let mut home = super::super::testing::sight(1);
    home.probes.get_mut(EDGES[0]).expect("it was probed").found = Found::Unsure;
    let all = conditions(&Ground { from: TWO, to: ONE, ..ground(Kind::Switchover) }, &home, &[]);
    let port = all.iter().find(|one| one.code == "target-port").expect("it is asked");
    assert!(port.holds && port.seen.contains("it can't be told: edge1.contoso.test ("), "{port:?}");
}

#[test]
fn a_certificate_that_fits_no_tlsa_record_refuses_unless_that_is_accepted() {
    let mut shown = sight(1);
    shown.probes.get_mut(EDGES[2]).expect("it was probed").unfit = vec!["contoso.example".to_owned()];
    let accepted = ["target-certificates"];
    assert_eq!(switchover(&shown), accepted);
    assert_eq!(refused(&ground(Kind::Switchover), &shown, &accepted), [""; 0]);
    let seen = conditions(&ground(Kind::Switchover), &shown, &[]).into_iter().find(|one| !one.holds).expect("one").seen;
    assert!(seen.contains("edge3.contoso.test for contoso.example, seen from edge9.contoso.test"), "{seen}");
    // One that isn't good is another matter.
    shown.probes.get_mut(EDGES[2]).expect("it was probed").uncovered = vec!["contoso.example".to_owned()];
    assert_eq!(refused(&ground(Kind::Switchover), &shown, &accepted), accepted);
}

#[test]
fn a_certificate_that_only_others_see_to_be_wrong_is_told_with_its_domain() {
    let mut shown = sight(1);
    let probe = shown.probes.get_mut(EDGES[2]).expect("it was probed");
    (probe.found, probe.uncovered) = (Found::Bad, vec!["contoso.example".to_owned()]);
    assert_eq!(switchover(&shown), ["target-certificates", "target-port"]);
    let told = |sight: &Sight| {
        let all = conditions(&ground(Kind::Switchover), sight, &[]);
        all.into_iter().find(|one| one.code == "target-certificates").expect("it is asked").seen
    };
    let seen = told(&shown);
    assert!(seen.contains("edge3.contoso.test for contoso.example, seen from edge9.contoso.test"), "{seen}");
    // Of a look of long ago nothing follows.
    shown.probes.get_mut(EDGES[2]).expect("it was probed").age = LOOKED;
    assert!(told(&shown).contains("each has a certificate"));
}

#[test]
fn who_is_gone_is_named_once_with_what_is_known_of_it() {
    let gone = with(without(sight(1), &EDGES[2..]), &EDGES[2..], |facts| {
        facts.problem = Some(format!("{}: connection refused", EDGES[2]));
    });
    let all = conditions(&ground(Kind::Switchover), &gone, &[]);
    let whole = all.iter().find(|one| one.code == "target-whole").expect("it is asked");
    assert_eq!(whole.seen, format!("not reached: {} (connection refused)", EDGES[2]));
}

#[test]
fn servers_inside_that_gateways_do_not_reach_refuse_until_somebody_accepts_that() {
    let hops = |good: &[&str], bad: &[&str]| Hops {
        good: good.iter().map(|domain| (*domain).to_owned()).collect(),
        bad: bad.iter().map(|domain| ((*domain).to_owned(), "connection refused".to_owned())).collect(),
    };
    let seen = |sight: &Sight| {
        let all = conditions(&ground(Kind::Switchover), sight, &[]);
        all.into_iter().find(|one| one.code == "next-hops").expect("it is asked").seen
    };
    let mut down = sight(1);
    down.hops.insert(GATEWAYS[1].to_owned(), hops(&["contoso.test"], &["contoso.example"]));
    assert_eq!(switchover(&down), ["next-hops"]);
    assert_eq!(refused(&ground(Kind::Switchover), &down, &["next-hops"]), [""; 0]);
    assert!(
        seen(&down).contains("contoso.example (connection refused, seen from gateway2.contoso.test)"),
        "{}",
        seen(&down)
    );
    // A gateway that isn't there is another condition's.
    let gone = without(down, &GATEWAYS[1..]);
    assert_eq!(switchover(&gone), ["gateways-whole"]);
    let mut unseen = sight(1);
    unseen.hops.remove(GATEWAYS[0]);
    assert_eq!(switchover(&unseen), ["next-hops"]);
    assert_eq!(seen(&unseen), "not looked at yet by gateway1.contoso.test");
    let mut patterns = sight(1);
    patterns.hops.values_mut().for_each(|looked| *looked = hops(&[], &[]));
    assert_eq!(switchover(&patterns), [""; 0]);
}

#[test]
fn clocks_that_are_apart_refuse_and_those_that_nobody_tells_do_not() {
    let clocks = |by: Option<i64>| with(sight(1), &EDGES[..1], |facts| facts.clock = by);
    for by in [60, -60] {
        assert_eq!(switchover(&clocks(Some(by))), [""; 0]);
    }
    for by in [61, -61, i64::MIN, i64::MAX] {
        assert_eq!(switchover(&clocks(Some(by))), ["clocks"]);
        assert_eq!(refused(&ground(Kind::Switchover), &clocks(Some(by)), &["clocks"]), [""; 0]);
    }
    let seen = |sight: &Sight| {
        let all = conditions(&ground(Kind::Switchover), sight, &[]);
        all.into_iter().find(|one| one.code == "clocks").expect("it is asked").seen
    };
    assert_eq!(seen(&clocks(Some(-75))), "by this controller's: edge1.contoso.test is 75 s behind");
    assert_eq!(switchover(&clocks(None)), [""; 0]);
    assert!(seen(&clocks(None)).ends_with("; not told by edge1.contoso.test"), "{}", seen(&clocks(None)));
}

#[test]
fn a_target_without_room_for_those_who_come_refuses_until_somebody_accepts_that() {
    let crowded = |coming: u64, there: u64| {
        let old = with(sight(1), &EDGES[..2], |facts| facts.streams = coming / 2);
        with(old, &EDGES[2..], |facts| facts.streams = there)
    };
    assert_eq!(switchover(&crowded(90, 10)), [""; 0]);
    assert_eq!(switchover(&crowded(92, 10)), ["target-capacity"]);
    assert_eq!(refused(&ground(Kind::Switchover), &crowded(92, 10), &["target-capacity"]), [""; 0]);
    // Partners who have only been dialed count, and no number is too large.
    let dialed = with(sight(1), &EDGES[..2], |facts| facts.partners = u64::MAX);
    assert_eq!(switchover(&dialed), ["target-capacity"]);
    let untold = with(crowded(92, 10), &EDGES[2..], |facts| facts.places = None);
    assert_eq!(switchover(&untold), [""; 0]);
    // What a dead pool had isn't known.
    let dead = without(crowded(92, 10), &EDGES[..2]);
    assert_eq!(refused(&ground(Kind::Failover), &dead, &["old-reached"]), [""; 0]);
}

#[test]
fn a_move_that_is_taken_back_is_refused_by_nothing_that_may_be_accepted() {
    let sight = Sight { zones: vec![well(UPDATED, 1, ONE)], ..sight(1) };
    let all = conditions(&ground(Kind::Failover), &sight, &[]);
    let mut waivable: Vec<&str> = all.iter().filter(|one| one.waivable).map(|one| one.code.as_str()).collect();
    let mut accepted = TAKING_BACK.to_vec();
    waivable.sort_unstable();
    accepted.sort_unstable();
    assert_eq!(accepted, waivable);
}
