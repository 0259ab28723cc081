//! What comes next while partners are told by DNS.

use api::route::Kind;

use super::super::super::sight::Sight;
use super::super::super::testing::{EDGES, ONE, TWO, operation, sight, with};
use super::super::next;
use super::*;
use crate::zones::testing::{BY_HAND, UPDATED, servers, well};

const SOON: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_secs(60);

fn decided(state: State, zones: Vec<Look>, waited: Duration) -> Next {
    let operation = operation(Kind::Switchover, state);
    let moved = with(sight(2), &EDGES[2..], |facts| (facts.partners, facts.stanzas) = (1, 20));
    let sight = Sight { zones, ..moved };
    next(&Moment {
        operation: &operation,
        uncertain: None,
        declared: true,
        sight: &sight,
        waited,
        stayed: waited,
        looked: LATE,
        stanzas: 0,
    })
}

/// The route is with the second pool, and these name servers still answer the first.
fn late(zone: &str, servers_late: &[usize]) -> Look {
    let (mut look, before) = (well(zone, 2, TWO), well(zone, 1, ONE));
    for server in servers_late.iter().map(|server| servers()[*server]) {
        look.told.insert(server, before.told[&server].clone());
    }
    look
}

fn text(next: Next) -> String {
    match next {
        Next::Publish(zones, what) => format!("publish {}: {what}", zones.join(" ")),
        Next::Wait(what) => format!("wait: {what}"),
        Next::Await(need, what) => format!("await {need:?}: {what}"),
        Next::Enter(state, why) => format!("{state}: {why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_goes_on_when_every_name_server_answers_it() {
    let both = || vec![well(UPDATED, 2, TWO), well(BY_HAND, 2, TWO)];
    let told = text(decided(State::Applying, both(), SOON));
    assert_eq!(
        told,
        "verifying: epoch 2 is in DNS: contoso.test.: all 2 name servers answer it; contoso.test.: all 2 name servers answer it"
    );
    let told = text(decided(State::Degraded, both(), SOON));
    assert!(told.starts_with("draining: epoch 2 is in DNS"), "{told}");
}

#[test]
fn what_was_said_before_this_began_does_not_count() {
    let mut before = well(BY_HAND, 2, TWO);
    before.told.values_mut().for_each(|told| told.age = 2 * SOON);
    let told = text(decided(State::Applying, vec![before], SOON));
    assert!(told.contains("hasn't been asked yet"), "{told}");
}

#[test]
fn a_zone_that_takes_updates_is_changed_and_its_secondaries_are_waited_for() {
    let told = text(decided(State::Applying, vec![late(UPDATED, &[0, 1])], SOON));
    assert!(told.starts_with("publish contoso.test.: contoso.test.: 192.0.2.53:53 still answers epoch 1"), "{told}");
    for publishing in [Publishing::Running, Publishing::Failed { why: "REFUSED".to_owned(), due: false }] {
        let told = text(decided(State::Applying, vec![Look { publishing, ..late(UPDATED, &[0, 1]) }], SOON));
        assert!(told.starts_with("wait: "), "{told}");
    }
    let failed =
        Look { publishing: Publishing::Failed { why: "REFUSED".to_owned(), due: true }, ..late(UPDATED, &[0, 1]) };
    assert_eq!(text(decided(State::Applying, vec![failed], SOON)), "publish contoso.test.: REFUSED");
    // Its primary has it.
    let told = text(decided(State::Applying, vec![late(UPDATED, &[1])], SOON));
    assert_eq!(told, "wait: contoso.test.: 192.0.2.54:53 still answers epoch 1 (topology 1)");
}

#[test]
fn a_name_server_that_stays_behind_is_named_and_tried_for_ever_and_never_is_it_done() {
    let told = text(decided(State::Applying, vec![late(UPDATED, &[1])], LATE));
    assert_eq!(told, "degraded: contoso.test.: 192.0.2.54:53 still answers epoch 1 (topology 1)");
    let told = text(decided(State::Degraded, vec![late(UPDATED, &[1])], LATE));
    assert!(told.starts_with("wait: contoso.test.: 192.0.2.54:53"), "{told}");
    let told = text(decided(State::Degraded, vec![late(UPDATED, &[0, 1])], LATE));
    assert!(told.starts_with("publish contoso.test."), "{told}");
    let mut silent = well(UPDATED, 2, TWO);
    silent.told.get_mut(&servers()[1]).expect("it was asked").said = Err("nothing came".to_owned());
    assert!(text(decided(State::Degraded, vec![silent], LATE)).contains("can't be asked: nothing came"));
    let mut old = well(UPDATED, 2, TWO);
    old.told.values_mut().for_each(|told| told.age = LATE);
    assert!(text(decided(State::Degraded, vec![old], LATE)).contains("hasn't been asked yet"));
}

#[test]
fn whoever_changes_a_zone_by_hand_may_take_his_time() {
    for (state, waited) in [(State::Applying, SOON), (State::Applying, LATE), (State::Degraded, LATE)] {
        let told = text(decided(state, vec![late(BY_HAND, &[0, 1]), well(UPDATED, 2, TWO)], waited));
        assert!(
            told.starts_with("await Records: DNS is to be changed by hand: contoso.test.: 192.0.2.53:53"),
            "{told}"
        );
    }
    // What fedge has to do comes first.
    let told = text(decided(State::Applying, vec![late(BY_HAND, &[0]), late(UPDATED, &[0])], SOON));
    assert!(told.starts_with("publish contoso.test."), "{told}");
}
