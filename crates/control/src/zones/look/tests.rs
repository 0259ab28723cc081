//! What follows from what name servers say.

use super::super::testing::{BY_HAND, UPDATED, holding, look, servers, zoned};
use super::super::wanted;
use super::*;

const SOON: Duration = Duration::from_secs(1);

fn contents(zone: &str, version: u64, epoch: u64) -> Contents {
    wanted(&zoned(zone, version, epoch), "a1").remove(0)
}

#[test]
fn it_is_published_when_every_name_server_answers_it() {
    let now = contents(UPDATED, 3, 7);
    let well = look(now.clone(), [Ok(holding(&now)), Ok(holding(&now))]);
    assert_eq!(well.published(SOON), Ok("contoso.test.: all 2 name servers answer it".to_owned()));
    // What was said some time ago is no answer to what should be now.
    let mut old = well.clone();
    old.told.values_mut().for_each(|told| told.age = 2 * SOON);
    assert!(old.published(SOON).expect_err("it is old").contains("192.0.2.53:53 hasn't been asked yet"));
    let before = contents(UPDATED, 3, 6);
    let late = look(now.clone(), [Ok(holding(&now)), Ok(holding(&before))]);
    let why = late.published(SOON).expect_err("one is late");
    assert_eq!(why, "contoso.test.: 192.0.2.54:53 still answers epoch 6 (topology 3)");
    let gone = look(now.clone(), [Ok(holding(&now)), Err("nothing came within 2 s".to_owned())]);
    let why = gone.published(SOON).expect_err("one is gone");
    assert_eq!(why, "contoso.test.: 192.0.2.54:53 can't be asked: nothing came within 2 s");
}

#[test]
fn each_way_to_differ_has_a_name() {
    let now = contents(UPDATED, 3, 7);
    let standing = |seen: Seen| look(now.clone(), [Ok(seen.clone()), Ok(seen)]).standing(servers()[0], SOON);
    assert_eq!(standing(holding(&now)), Standing::Current);
    assert_eq!(standing(Seen { mark: None, ..holding(&now) }), Standing::Unmarked);
    let another = Mark { owner: "b2".to_owned(), ..now.mark.clone() };
    assert_eq!(
        standing(Seen { mark: Some(Ok(another.clone())), ..holding(&now) }),
        Standing::Another(another.to_string())
    );
    let text = Seen { mark: Some(Err("v=spf1".to_owned())), ..holding(&now) };
    assert_eq!(standing(text), Standing::Another("v=spf1".to_owned()));
    let later = contents(UPDATED, 4, 7);
    assert_eq!(standing(holding(&later)), Standing::Ahead(later.mark));
    // A topology that changes nothing in DNS leaves it as it should be.
    let earlier = Mark { topology: 2, ..now.mark.clone() };
    assert_eq!(standing(Seen { mark: Some(Ok(earlier)), ..holding(&now) }), Standing::Current);
    let mut lacking = holding(&now);
    let set = lacking.sets.remove(0);
    assert_eq!(standing(lacking), Standing::Different(vec![Change::Add(set.clone())]));
    let mut slow = holding(&now);
    slow.sets[0].ttl = 3600;
    let different = standing(slow);
    assert!(different.told("ns1").contains(&format!("ns1 answers something else at {} {}", set.name, set.kind)));
}

#[test]
fn who_changes_it_by_hand_is_not_asked_for_a_mark() {
    let now = contents(BY_HAND, 3, 7);
    let seen = Seen { mark: None, ..holding(&now) };
    let by_hand = look(now.clone(), [Ok(seen.clone()), Ok(seen.clone())]);
    assert!(by_hand.published(SOON).is_ok());
    let before = Seen { mark: None, ..holding(&contents(BY_HAND, 3, 7)) };
    let moved = wanted(
        &{
            let mut current = zoned(BY_HAND, 3, 8);
            current.route.pool = "pool2.contoso.test".to_owned();
            current
        },
        "a1",
    )
    .remove(0);
    let waiting = look(moved, [Ok(before.clone()), Ok(before)]);
    assert!(waiting.published(SOON).expect_err("it isn't changed").contains("_xmpp-server._tcp.contoso.test. SRV"));
    let others = Seen { mark: Some(Err("somebody's".to_owned())), ..seen };
    assert!(look(now, [Ok(others.clone()), Ok(others)]).published(SOON).is_err());
}

#[test]
fn what_is_there_is_what_the_primary_says() {
    let (now, before) = (contents(UPDATED, 3, 7), contents(UPDATED, 3, 6));
    let look = look(now.clone(), [Ok(holding(&before)), Ok(holding(&now))]);
    assert_eq!(look.mark(), Some(&before.mark));
    assert_eq!((look.another(), look.foreign()), (None, Vec::new()));
    let unseen = Look::unseen(now);
    assert_eq!((unseen.source(), unseen.changes()), (None, None));
}

#[test]
fn the_api_says_of_each_name_server_what_it_answers_and_what_is_missing() {
    let (now, before) = (contents(UPDATED, 3, 7), contents(UPDATED, 3, 6));
    let mut lacking = holding(&before);
    lacking.sets.remove(0);
    let told = super::super::told(&look(now, [Ok(lacking), Err("nothing came".to_owned())]));
    assert_eq!((told.name.as_str(), told.publisher.as_str()), ("contoso.test.", "rfc2136"));
    assert_eq!(told.servers[0].answers, "192.0.2.53:53 still answers epoch 6 (topology 3)");
    assert_eq!(told.servers[1].answers, "192.0.2.54:53 can't be asked: nothing came");
    assert!(told.servers.iter().all(|server| !server.current));
    assert!(told.changes.len() == 1 && told.changes[0].before.is_empty(), "{:?}", told.changes);
}

#[test]
fn nobody_is_asked_to_change_only_how_long_an_answer_may_be_kept() {
    for (zone, asks) in [(BY_HAND, false), (UPDATED, true)] {
        let now = contents(zone, 3, 7);
        let mut slow = holding(&now);
        slow.sets[0].ttl = 120;
        let look = look(now.clone(), [Ok(slow.clone()), Ok(slow.clone())]);
        assert_eq!(look.standing(servers()[0], SOON), Standing::Current);
        let change = Change::Replace { before: slow.sets[0].clone(), after: now.sets[0].clone() };
        let (made, left) = if asks { (vec![change], Vec::new()) } else { (Vec::new(), vec![change]) };
        assert_eq!((look.changes(), look.left_alone()), (Some(made), left), "{zone}");
    }
    // Too long a time is no small matter.
    let now = contents(BY_HAND, 3, 7);
    let mut slow = holding(&now);
    slow.sets[0].ttl = LONGEST_TTL + 1;
    let look = look(now, [Ok(slow.clone()), Ok(slow)]);
    assert_eq!((look.changes().map(|changes| changes.len()), look.left_alone().len()), (Some(1), 0));
}
