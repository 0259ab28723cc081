//! Secondaries: they see a change as a whole, and a look whether we may write doesn't hold it back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use testkit::name_server::{Maker, NameServer, Part, ZonePlan};
use zones::ask::{Manner, ask};
use zones::observe::{Marked, Seen, observe};

use crate::rig::{MAKERS, PATIENCE, Rig, ZONE, address, changes, contents, is_whole, mark};

/// Longer than a notify takes, and shorter than BIND holds back a second one (5 s).
const SOON: Duration = Duration::from_secs(4);
const MOVES: u64 = 6;

fn second() -> SocketAddr {
    ([127, 0, 20, 3], 53).into()
}

fn with_secondary(maker: Maker) -> (Rig, NameServer) {
    let targets = ["pool1.contoso.test", "pool2.contoso.test"];
    let plan = ZonePlan::new(ZONE, &[ZONE, "conference.contoso.test"], &targets);
    let rig = Rig::with(maker, &plan, &[second()]);
    let folder = rig.folder.path().join("secondary");
    std::fs::create_dir(&folder).expect("a folder");
    let part = Part::Secondary(address());
    let secondary = NameServer::start(Maker::Bind, &rig.place, second(), &part, &[plan], &folder);
    (rig, secondary.unwrap_or_else(|error| panic!("{error:#}")))
}

/// Asks the secondary until it has the mark of an epoch; each time it must hold one epoch, wholly.
async fn follow(epoch: u64) -> Duration {
    let began = Instant::now();
    loop {
        let seen: Seen = match observe(second(), &contents(epoch), &[], PATIENCE).await {
            Ok(seen) => seen,
            // It may not have the zone yet.
            Err(error) if epoch == 1 => {
                assert!(began.elapsed() < PATIENCE, "{error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        match &seen.mark {
            Marked::By(found) => {
                assert!(is_whole(&seen, &contents(found.epoch)), "half a change: {seen:?}");
                if found.epoch == epoch {
                    return began.elapsed();
                }
            }
            other => assert!(epoch == 1 && *other == Marked::Nothing && seen.sets.is_empty(), "{seen:?}"),
        }
        assert!(began.elapsed() < PATIENCE, "the secondary has {} after {PATIENCE:?}", seen.mark);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[test]
fn a_secondary_sees_each_change_as_a_whole() {
    for maker in MAKERS {
        let (rig, _secondary) = with_secondary(maker);
        let primary = rig.primary.clone();
        rig.run(async move {
            primary.update(30, None, &mark(1), &changes(None, 1)).await.expect("it is free");
            follow(1).await;
            for epoch in 2..2 + MOVES {
                let following = tokio::spawn(follow(epoch));
                primary
                    .update(30, Some(&mark(epoch - 1)), &mark(epoch), &changes(Some(epoch - 1), epoch))
                    .await
                    .expect("ours");
                following.await.expect("it follows");
            }
        });
    }
}

#[test]
fn a_look_whether_we_may_write_changes_nothing_and_delays_nothing() {
    for maker in MAKERS {
        let (rig, _secondary) = with_secondary(maker);
        let primary = rig.primary.clone();
        rig.run(async move {
            let sets = contents(1).sets;
            primary.writable(None, &[], &sets).await.expect("it may");
            assert_eq!(
                observe(address(), &contents(1), &[], PATIENCE).await.expect("it answers").mark,
                Marked::Nothing
            );
            primary.update(30, None, &mark(1), &changes(None, 1)).await.expect("it is free");
            follow(1).await;
            // BIND holds back a second notify for 5 s; what notified nobody isn't the first.
            tokio::time::sleep(Duration::from_secs(6)).await;
            let serial = async || {
                ask(address(), "contoso.test.", "SOA", Manner::Authority, PATIENCE).await.expect("it answers").serial
            };
            let (before, first) =
                (observe(address(), &contents(1), &[], PATIENCE).await.expect("it answers"), serial().await);
            primary.writable(Some(&mark(1)), &before.sets, &sets).await.expect("it may");
            let after = observe(address(), &contents(1), &[], PATIENCE).await.expect("it answers");
            assert_eq!((after, serial().await), (before, first), "nothing was changed, not even the serial");
            assert!(first.is_some());
            primary.update(30, Some(&mark(1)), &mark(2), &changes(Some(1), 2)).await.expect("ours");
            let took = follow(2).await;
            assert!(took < SOON, "{maker:?}: the secondary had it after {took:?}");
        });
    }
}
