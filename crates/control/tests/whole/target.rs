//! Every edge server of the target dies at a moment of the move: between READY and the commit, and between the commit and
//! verification. The moments are taken from the store, so that each is really hit.

use api::route::State;
use testkit::lab::installation::{Installation, POOLS, fqdn};

use crate::disaster::WINDOW;
use crate::faults::{at, commits_follow, rested};
use crate::load::{installation, talking};
use crate::moments::struck_at;
use crate::moves::{carrying, operations};

/// So often it is tried to hit a moment, and so often it is enough.
const TRIES: usize = 12;
const HITS: usize = 2;
/// Whoever is told at once that a connection is refused goes on at once; a machine that does much else gets more.
const GAP: std::time::Duration = std::time::Duration::from_secs(10);

/// Moves the route to the other pool and kills the edge servers of that one while the move is in one of these states. Gives
/// whether that moment was hit; otherwise the route was moved.
fn dies_at(lab: &mut Installation, moment: &[State]) -> bool {
    let (pool, epoch) = at(lab);
    let (other, edges) = if pool == fqdn("pool1") { POOLS[1] } else { POOLS[0] };
    let target = fqdn(other);
    let before = operations(lab).len();
    let mut victims: Vec<_> =
        edges.into_iter().map(|edge| (edge, lab.daemons.remove(edge).expect("it runs"))).collect();
    let store = lab.folder().join("store.db");
    let arguments = ["switchover", "--to", &target, "--no-wait", "--why", "it dies"];
    let hit = struck_at(lab, &store, &arguments, moment, || victims.clear());
    lab.daemons.extend(victims);
    let last = rested(lab, &["done", "rolled-back", "degraded"]);
    let (now, then) = at(lab);
    let Some(state) = hit else {
        println!("missed {moment:?}");
        assert_eq!((now, then, last["state"].as_str()), (target, epoch + 1, Some("done")), "{last:#}");
        lab.wait_until_well().expect("all is well");
        return false;
    };
    println!("hit in {state}: {last:#}");
    assert_eq!(now, pool, "the pool that serves has the route: {last:#}");
    let mine = operations(lab).len() - before;
    match last["state"].as_str() {
        // It was noticed in time: nothing was moved.
        Some("rolled-back") => assert_eq!((then, mine, state.is_committed()), (epoch, 1, false), "{last:#}"),
        // It was moved, not seen serving, and moved back by a new operation.
        Some("done") => {
            assert_eq!((then, mine), (epoch + 2, 2), "{last:#}");
            assert_eq!(operations(lab)[1]["state"], "superseded");
            let why = last["why"].as_str().expect("a reason");
            assert!(why.contains("was not seen serving"), "{why}");
        }
        other => panic!("{other:?}: {last:#}"),
    }
    // What is said now arrives, and nobody but the old pool is there to carry it.
    assert_eq!(carrying(lab), [pool.split('.').next().expect("a name")]);
    for edge in edges {
        lab.begin(edge).expect("it starts again");
    }
    lab.wait_until_well().expect("all is well again");
    true
}

#[test]
fn the_target_dies_before_the_commit_or_after_it_and_the_pool_that_serves_has_the_route() {
    let (lab, _folder) = installation();
    let (lab, [outbound, inbound]) = talking(lab, |mut lab| {
        for moment in [&[State::Ready][..], &[State::Committed, State::Applying]] {
            let mut hits = 0;
            let tries = (0..TRIES).take_while(|_| {
                hits += usize::from(dies_at(&mut lab, moment));
                hits < HITS
            });
            let tries = tries.count();
            println!("{moment:?} was hit {hits} times, with {tries} tries before the last");
            assert!(hits > 0, "{moment:?} was never hit");
        }
        lab
    });
    for tally in [&outbound, &inbound] {
        println!("{tally}");
        assert!(tally.doubled == 0 && tally.gap < GAP, "{tally:?}");
    }
    assert!(outbound.lost.is_empty(), "lost without a word: {outbound:?}");
    // A partner may have had streams to what was killed.
    assert!(inbound.lost.len() <= WINDOW, "{inbound:?}");
    commits_follow(&lab);
    lab.stop().expect("everything ends well");
}
