//! Compare and swap: of several who want to change a zone at once, one does.

use testkit::name_server::Maker;
use topology::records::Change;
use zones::observe::Marked;
use zones::refusal::UpdateError;
use zones::update::Updated;

use crate::rig::{Rig, SWAPPERS, changes, contents, is_whole, mark};

const ROUNDS: u64 = 200;

#[test]
fn a_zone_is_taken_over_and_moved_and_says_what_it_should() {
    for maker in SWAPPERS {
        let rig = Rig::new(maker);
        assert_eq!(rig.see(&contents(1)).mark, Marked::Nothing, "{maker:?}");
        let primary = rig.primary.clone();
        let told = rig.run(async move {
            let first = primary.update(30, None, &mark(1), &changes(None, 1)).await.expect("it is free");
            (first, primary.update(30, Some(&mark(1)), &mark(2), &changes(Some(1), 2)).await.expect("it is ours"))
        });
        assert_eq!(told, (Updated::Done, Updated::Done), "{maker:?}");
        let seen = rig.see(&contents(2));
        assert!(is_whole(&seen, &contents(2)), "{maker:?}: {seen:?}");
        assert!(!is_whole(&seen, &contents(1)));
        assert!(seen.sets.iter().all(|set| set.ttl == 30), "{seen:?}");
    }
}

/// Two hundred rounds, each with three who start from the same mark.
fn race(maker: Maker) {
    let rig = Rig::new(maker);
    let primary = rig.primary.clone();
    let wins = rig.run(async move {
        primary.update(30, None, &mark(1), &changes(None, 1)).await.expect("it is free");
        let mut before = mark(1);
        let mut wins = Vec::new();
        for round in 2..ROUNDS + 2 {
            let racers: Vec<_> = (0..3_u64)
                .map(|racer| {
                    let (primary, before) = (primary.clone(), before.clone());
                    tokio::spawn(async move {
                        // Each would leave another mark, so that nobody finds done what it wants itself.
                        let after = topology::records::Mark { topology: racer + 2, ..mark(round) };
                        let changes = changes(Some(round - 1), round);
                        (after.clone(), primary.update(30, Some(&before), &after, &changes).await)
                    })
                })
                .collect();
            let mut won = Vec::new();
            for racer in racers {
                match racer.await.expect("it ends") {
                    (after, Ok(Updated::Done)) => won.push(after),
                    (_, Err(UpdateError::Overtaken { .. })) => {}
                    (_, other) => panic!("round {round}: {other:?}"),
                }
            }
            wins.push(won.len());
            before = won.pop().expect("one wins");
        }
        wins
    });
    assert_eq!(wins, vec![1; ROUNDS as usize], "{maker:?}");
}

#[test]
fn of_racing_controllers_one_wins_at_bind() {
    race(Maker::Bind);
}

#[test]
fn of_racing_controllers_one_wins_at_knot() {
    race(Maker::Knot);
}

#[test]
fn of_racing_controllers_one_wins_at_powerdns() {
    race(Maker::PowerDns);
}

#[test]
fn what_another_did_already_is_done() {
    for maker in SWAPPERS {
        let rig = Rig::new(maker);
        let primary = rig.primary.clone();
        let told = rig.run(async move {
            primary.update(30, None, &mark(1), &changes(None, 1)).await.expect("it is free");
            primary.update(30, None, &mark(1), &changes(None, 1)).await.expect("it is as it should be")
        });
        assert_eq!(told, Updated::Already, "{maker:?}");
    }
}

#[test]
fn stale_and_foreign_marks_stop_an_update_and_say_who_holds_the_zone() {
    for maker in SWAPPERS {
        let rig = Rig::new(maker);
        let primary = rig.primary.clone();
        let (stale, first, foreign) = rig.run(async move {
            primary.update(30, None, &mark(7), &changes(None, 1)).await.expect("it is free");
            let stale = primary.update(30, Some(&mark(6)), &mark(8), &changes(Some(1), 2)).await;
            let first = primary.update(30, None, &mark(8), &changes(Some(1), 2)).await;
            let other = topology::records::Mark { owner: "f00".to_owned(), ..mark(7) };
            let foreign = primary.update(30, Some(&other), &mark(8), &changes(Some(1), 2)).await;
            (stale, first, foreign)
        });
        for (told, expected) in [(stale, "epoch=6"), (first, "no mark"), (foreign, "owner=f00")] {
            let told = told.expect_err("it is another's").to_string();
            assert!(told.contains(expected) && told.contains("epoch=7"), "{maker:?}: {told}");
        }
        assert!(is_whole(&rig.see(&contents(1)), &topology::records::Contents { mark: mark(7), ..contents(1) }));
    }
}

/// RFC 2136 §2.4.2: sets must be identical. A server that takes a subset for the set would let two win.
#[test]
fn a_subset_or_superset_of_what_is_there_stops_an_update() {
    for maker in SWAPPERS {
        let rig = Rig::new(maker);
        let primary = rig.primary.clone();
        let told = rig.run(async move {
            primary.update(30, None, &mark(1), &changes(None, 1)).await.expect("it is free");
            let services = contents(1).sets.remove(0);
            let mut told = Vec::new();
            for values in [
                &services.values[..1],
                &[services.values.clone(), vec!["30 0 5269 pool3.contoso.test.".to_owned()]].concat(),
            ] {
                let before = topology::records::RecordSet { values: values.to_vec(), ..services.clone() };
                let change = Change::Replace { before, after: contents(2).sets.remove(0) };
                told.push(primary.swap(&[change]).await);
            }
            told
        });
        for told in told {
            assert!(matches!(told, Err(UpdateError::Changed { .. })), "{maker:?}: {told:?}");
        }
        assert!(is_whole(&rig.see(&contents(1)), &contents(1)), "{maker:?}");
    }
}
