//! Zones changed on name servers that lie in memory.

use std::sync::Arc;

use store::Memory;

use super::super::testing::{BY_HAND, Played, UPDATED, holding, servers, zoned};
use super::super::{owned, wanted};
use super::*;

const BY: (&str, &str) = ("anna", "a test");

fn ledger() -> Ledger {
    Ledger::new(Arc::new(Memory::default()), "ctl1.contoso.test", 1, || 1000).expect("a ledger")
}

fn contents(version: u64, epoch: u64) -> Contents {
    wanted(&zoned(UPDATED, version, epoch), "a1").remove(0)
}

/// The zone as it is before anybody has published there.
fn fresh() -> Played {
    let played = Played::default();
    played.answer(&servers(), &Seen::default());
    played
}

fn primary(played: &Played) -> Seen {
    played.served().answers[&servers()[0]].clone()
}

#[tokio::test]
async fn a_zone_is_written_once_and_then_it_is_there() {
    let (ledger, played, now) = (ledger(), fresh(), contents(3, 7));
    let written = apply(&ledger, &played, &now, false, BY).await.expect("it is written");
    assert!(matches!(written, Applied::Written(changes) if changes.len() == now.sets.len()));
    assert_eq!(primary(&played), holding(&now));
    let (owned, ..) = owned::of(&ledger, "contoso.test.").await.expect("the store");
    assert!(now.sets.iter().all(|set| owned.names.contains(&set.name)));
    assert_eq!(owned.applied, Some(now.mark.to_string()));
    assert_eq!(apply(&ledger, &played, &now, false, BY).await.expect("it is there"), Applied::Already);
    assert_eq!(played.served().updates, 1);
    // Who owned which names is in the audit trail.
    let trail = ledger.audit(1, 10).await.expect("the trail");
    assert!(trail.iter().any(|entry| entry.what == "own names in contoso.test." && entry.who == "anna"));
}

#[tokio::test]
async fn the_reply_may_be_lost_and_another_may_be_faster_with_the_same() {
    let (ledger, played, now) = (ledger(), fresh(), contents(3, 7));
    played.served().loses = true;
    assert_eq!(apply(&ledger, &played, &now, false, BY).await.expect("it is there"), Applied::Already);
    assert_eq!(primary(&played), holding(&now));
    let next = contents(3, 8);
    played.served().faster = Some(holding(&next));
    assert_eq!(apply(&ledger, &played, &next, false, BY).await.expect("it is there"), Applied::Already);
}

#[tokio::test]
async fn what_is_later_stays_and_what_is_another_installations_too() {
    let (ledger, played, now) = (ledger(), fresh(), contents(3, 7));
    for later in [contents(3, 8), contents(4, 7)] {
        played.answer(&servers(), &holding(&later));
        let refused = apply(&ledger, &played, &now, true, BY).await;
        assert!(matches!(&refused, Err(ApplyError::Newer { mark, .. }) if *mark == later.mark), "{refused:?}");
    }
    // It comes right before the update.
    played.answer(&servers(), &holding(&contents(3, 6)));
    played.served().faster = Some(holding(&contents(3, 8)));
    let refused = apply(&ledger, &played, &now, true, BY).await;
    assert!(matches!(refused, Err(ApplyError::Newer { .. })), "{refused:?}");
    let theirs = Mark { owner: "b2".to_owned(), epoch: 1, topology: 1 };
    for mark in [Ok(theirs), Err("v=spf1".to_owned())] {
        played.answer(&servers(), &Seen { mark: Some(mark), ..holding(&now) });
        let refused = apply(&ledger, &played, &now, true, BY).await;
        assert!(matches!(refused, Err(ApplyError::Another { .. })), "{refused:?}");
    }
    assert_eq!(played.served().updates, 0);
}

#[tokio::test]
async fn what_somebody_has_put_there_stays_until_it_is_adopted() {
    let (ledger, played, now) = (ledger(), fresh(), contents(3, 7));
    let srv = "_xmpp-server._tcp.contoso.test.".to_owned();
    let theirs = RecordSet {
        name: srv,
        kind: "SRV".to_owned(),
        ttl: 3600,
        values: vec!["5 0 5269 xmpp.contoso.test.".to_owned()],
    };
    played.answer(&servers(), &Seen { mark: None, sets: vec![theirs.clone()] });
    match apply(&ledger, &played, &now, false, BY).await {
        Err(ApplyError::Foreign { sets, .. }) => assert_eq!(sets, [theirs]),
        other => panic!("{other:?}"),
    }
    assert!(owned::all(&ledger).await.expect("the store").is_empty(), "nothing is ours by a refusal");
    apply(&ledger, &played, &now, true, BY).await.expect("it is adopted");
    assert_eq!(primary(&played), holding(&now));
    // From then on it is ours, whoever drives a move.
    let next = contents(3, 8);
    apply(&ledger, &played, &next, false, BY).await.expect("it is ours");
    assert_eq!(primary(&played).mark, Some(Ok(next.mark)));
}

#[tokio::test]
async fn names_that_are_not_wanted_any_more_go_and_are_not_ours_then() {
    let (ledger, played, now) = (ledger(), fresh(), contents(3, 7));
    apply(&ledger, &played, &now, false, BY).await.expect("it is written");
    let next = contents(4, 7);
    let fewer = Contents { sets: next.sets[..1].to_vec(), ..next.clone() };
    let written = apply(&ledger, &played, &fewer, false, BY).await.expect("it is written");
    let Applied::Written(changes) = written else { panic!("{written:?}") };
    assert_eq!(changes.len(), now.sets.len() - 1);
    assert_eq!(primary(&played), holding(&fewer));
    let owned = owned::all(&ledger).await.expect("the store").remove("contoso.test.").expect("the zone");
    assert_eq!(owned.names.into_iter().collect::<Vec<_>>(), [fewer.sets[0].name.clone()]);
}

#[tokio::test]
async fn whoever_is_told_by_hand_or_by_a_snapshot_is_sent_nothing() {
    let (ledger, played) = (ledger(), fresh());
    let by_hand = wanted(&zoned(BY_HAND, 3, 7), "a1").remove(0);
    assert_eq!(apply(&ledger, &played, &by_hand, false, BY).await.expect("nothing"), Applied::ByHand);
    let document = crate::ahead::tests::DOCUMENT
        .replace("fqdn = \"dns1.contoso.test\"\n", "fqdn = \"dns1.contoso.test\"\nexternal = [\"192.0.2.53\"]\n");
    let zone = "[[zone]]\nname = \"contoso.test\"\npublisher = \"embedded\"\n";
    let current = crate::ahead::tests::by(&format!("{document}\n{zone}"), 3, 7);
    let embedded = wanted(&current, "a1").remove(0);
    assert_eq!(apply(&ledger, &played, &embedded, false, BY).await.expect("nothing"), Applied::Served);
    assert_eq!(played.served().updates, 0);
    played.served().refuses = Some("REFUSED".to_owned());
    let refused = apply(&ledger, &played, &contents(3, 7), false, BY).await;
    assert!(matches!(refused, Err(ApplyError::Unwritten { .. })), "{refused:?}");
}
