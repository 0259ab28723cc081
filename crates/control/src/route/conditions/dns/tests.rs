//! What DNS lacks refuses a move, and what of it may be accepted.

use topology::records::Mark;

use super::*;
use crate::route::testing::{ONE, TWO, sight};
use crate::zones::Seen;
use crate::zones::testing::{BY_HAND, UPDATED, servers, well};

/// The codes that don't hold of such a move, each with whether it may be accepted.
fn refused(kind: Kind, zones: Vec<Look>) -> Vec<(String, bool)> {
    let ground = Ground { from: ONE, to: TWO, kind, uncertain: None, busy: None };
    let conditions = all(&ground, &Sight { zones, ..sight(1) });
    for Condition { code, holds, seen, fix, .. } in &conditions {
        assert!(!seen.is_empty() && *holds == fix.is_empty(), "{code}: {seen}; {fix}");
    }
    conditions.into_iter().filter(|one| !one.holds).map(|one| (one.code, one.waivable)).collect()
}

/// Both kinds of move are refused for this, and it may be accepted of each or not.
fn both(zones: &[Look], code: &str, switchover: bool, failover: bool) {
    for (kind, waivable) in [(Kind::Switchover, switchover), (Kind::Failover, failover)] {
        assert_eq!(refused(kind, zones.to_vec()), [(code.to_owned(), waivable)], "{kind}");
    }
}

fn zone() -> Look {
    well(UPDATED, 1, ONE)
}

/// A name server says something else.
fn saying(mut look: Look, server: usize, said: Result<Seen, String>) -> Look {
    look.told.get_mut(&servers()[server]).expect("it was asked").said = said;
    look
}

fn seen(look: &Look) -> Seen {
    look.source().cloned().expect("it was asked")
}

#[test]
fn where_all_is_well_nothing_is_refused_and_without_zones_nothing_is_asked() {
    assert_eq!(refused(Kind::Switchover, vec![zone(), well(BY_HAND, 1, ONE)]), []);
    let ground = Ground { from: ONE, to: TWO, kind: Kind::Switchover, uncertain: None, busy: None };
    assert_eq!(all(&ground, &sight(1)), []);
}

#[test]
fn a_failover_may_go_without_name_servers_that_are_gone() {
    let gone = saying(zone(), 1, Err("nothing came".to_owned()));
    both(&[gone], "dns-reached", false, true);
    let by_hand = saying(well(BY_HAND, 1, ONE), 0, Err("nothing came".to_owned()));
    both(std::slice::from_ref(&by_hand), "dns-reached", false, true);
    both(&[saying(by_hand, 1, Err("nothing came".to_owned()))], "dns-reached", false, true);
    let mut old = zone();
    old.told.values_mut().for_each(|told| told.age = 2 * LOOKED);
    both(&[old], "dns-reached", false, true);
}

#[test]
fn another_installations_mark_is_never_accepted_and_a_missing_one_may_be() {
    let with = |mark| saying(saying(zone(), 0, Ok(Seen { mark, ..seen(&zone()) })), 1, Ok(Seen { ..seen(&zone()) }));
    let theirs = Mark { owner: "b2".to_owned(), epoch: 1, topology: 1 };
    for mark in [Ok(theirs), Err("v=spf1".to_owned())] {
        both(&[with(Some(mark))], "dns-ours", false, false);
    }
    both(&[with(None)], "dns-ours", true, true);
    let mut foreign = zone();
    foreign.owned.clear();
    let mut theirs = seen(&foreign);
    theirs.sets[0].values = vec!["5 0 5269 xmpp.contoso.test.".to_owned()];
    let codes: Vec<String> = refused(Kind::Switchover, vec![saying(foreign, 0, Ok(theirs))])
        .into_iter()
        .map(|(code, waivable)| {
            assert!(waivable);
            code
        })
        .collect();
    assert_eq!(codes, ["dns-ours", "dns-current"]);
}

#[test]
fn what_is_not_as_it_should_be_may_be_accepted_since_the_move_changes_it() {
    let mut lacking = seen(&zone());
    lacking.sets.remove(0);
    both(&[saying(zone(), 0, Ok(lacking.clone()))], "dns-current", true, true);
    let by_hand = well(BY_HAND, 1, ONE);
    both(&[saying(by_hand, 1, Ok(lacking))], "dns-current", true, true);
    let late = well(UPDATED, 2, TWO);
    let before = seen(&zone());
    both(&[saying(late, 1, Ok(before))], "dns-current", true, true);
}

#[test]
fn a_failover_may_go_without_a_primary_that_takes_updates() {
    for writable in [None, Some(Err("REFUSED".to_owned()))] {
        both(&[Look { writable, ..zone() }], "dns-writable", false, true);
    }
}
