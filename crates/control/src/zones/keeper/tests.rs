//! Zones looked at and changed by one controller, by a clock that only tests move.

use store::Memory;

use super::super::testing::{Played, UPDATED, holding, servers, zoned};
use super::*;

fn zones(played: &Arc<Played>) -> Arc<Zones> {
    let store = Arc::new(Memory::default());
    let ledger = Ledger::new(store, "ctl1.contoso.test", 1, || 1000).expect("a ledger");
    Arc::new(Zones::new(Arc::new(ledger), "a1", played.clone(), Arc::default()))
}

#[tokio::test(start_paused = true)]
async fn a_fresh_look_waits_for_all_and_not_for_ever() {
    let (played, current) = (Arc::<Played>::default(), zoned(UPDATED, 3, 7));
    let zones = zones(&played);
    assert!(zones.known(&current)[0].told.is_empty());
    let wanted = zones.wanted(&current).remove(0);
    played.answer(&servers()[..1], &holding(&wanted));
    let look = zones.fresh(&current).await.remove(0);
    let why = look.published(PATIENCE).expect_err("one says nothing");
    assert_eq!(why, "contoso.test.: 192.0.2.54:53 can't be asked: nothing came");
    played.answer(&servers(), &holding(&wanted));
    assert!(zones.fresh(&current).await[0].published(PATIENCE).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_zone_is_published_and_what_was_refused_is_tried_again_later_and_later() {
    let (played, current) = (Arc::<Played>::default(), zoned(UPDATED, 3, 7));
    let zones = zones(&played);
    let wanted = zones.wanted(&current).remove(0);
    played.answer(&servers(), &Seen::default());
    played.served().refuses = Some("REFUSED".to_owned());
    let mut tries = 0;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(60) {
        let before = zones.known(&current)[0].publishing.clone();
        tries += usize::from(before.is_due());
        zones.publish(&wanted, "anna", "a test");
        sleep(Duration::from_millis(100)).await;
        assert!(matches!(zones.known(&current)[0].publishing, Publishing::Failed { .. }));
    }
    assert!((6..=8).contains(&tries), "{tries}");
    played.served().refuses = None;
    sleep(LATEST).await;
    zones.publish(&wanted, "anna", "a test");
    sleep(Duration::from_millis(100)).await;
    assert_eq!(zones.known(&current)[0].publishing, Publishing::Done { due: false });
    assert_eq!(played.served().answers[&servers()[0]], holding(&wanted));
    // Of another epoch nothing was tried yet.
    assert_eq!(zones.known(&zoned(UPDATED, 3, 8))[0].publishing, Publishing::Idle);
}

#[tokio::test(start_paused = true)]
async fn whether_it_takes_updates_is_known_after_it_was_looked_at() {
    let (played, current) = (Arc::<Played>::default(), zoned(UPDATED, 3, 7));
    let zones = zones(&played);
    zones.try_writing(&current);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(zones.known(&current)[0].writable, None, "its mark isn't known");
    played.answer(&servers(), &holding(&zones.wanted(&current)[0]));
    played.served().refuses = Some("REFUSED".to_owned());
    zones.fresh(&current).await;
    zones.try_writing(&current);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(zones.known(&current)[0].writable, Some(Err("REFUSED".to_owned())));
    played.served().refuses = None;
    zones.try_writing(&current);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(zones.known(&current)[0].writable, Some(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_before_somebody_asks_is_tried_again_for_him() {
    let (played, current) = (Arc::<Played>::default(), zoned(UPDATED, 3, 7));
    let zones = zones(&played);
    played.answer(&servers(), &holding(&zones.wanted(&current)[0]));
    played.served().refuses = Some("REFUSED".to_owned());
    zones.fresh(&current).await;
    zones.try_writing(&current);
    sleep(Duration::from_millis(10)).await;
    played.served().refuses = None;
    let began = Instant::now();
    while !zones.is_known(&current, began) {
        zones.look(&current, began.elapsed());
        zones.try_writing(&current);
        sleep(STEP).await;
        assert!(began.elapsed() < 3 * AGAIN);
    }
    assert_eq!(zones.known(&current)[0].writable, Some(Ok(())));
    // Of nobody who answers it isn't asked whether he would be changed.
    played.served().answers.clear();
    let began = Instant::now();
    zones.look(&current, Duration::ZERO);
    sleep(STEP).await;
    assert!(zones.is_known(&current, began));
}

#[tokio::test(start_paused = true)]
async fn somebody_should_look_at_a_name_server_that_had_time_to_follow() {
    let (played, before, after) = (Arc::<Played>::default(), zoned(UPDATED, 3, 7), zoned(UPDATED, 3, 8));
    let zones = zones(&played);
    played.answer(&servers(), &holding(&zones.wanted(&before)[0]));
    zones.fresh(&before).await;
    assert_eq!(zones.concerns(&before), []);
    // The route moves, and one doesn't follow.
    played.answer(&servers()[..1], &holding(&zones.wanted(&after)[0]));
    zones.fresh(&after).await;
    assert_eq!(zones.concerns(&after), [], "it may yet");
    sleep(FOLLOWING).await;
    assert_eq!(zones.concerns(&after), [], "nobody has looked since");
    zones.fresh(&after).await;
    let told = zones.concerns(&after);
    let [(zone, what)] = &told[..] else { panic!("{told:?}") };
    assert!(zone == "contoso.test" && what.starts_with("192.0.2.54:53 still answers epoch 7"), "{told:?}");
    // Who doesn't answer at all needs no time for it.
    played.served().answers.clear();
    let later = zoned(UPDATED, 4, 8);
    zones.fresh(&later).await;
    let told = zones.concerns(&later);
    let [(_, what)] = &told[..] else { panic!("{told:?}") };
    assert!(what.contains("192.0.2.53:53 can't be asked") && what.contains("192.0.2.54:53 can't"), "{what}");
}
