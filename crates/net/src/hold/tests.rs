//! What the hold does, one situation at a time.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::*;
use xmpp::domain::Domain;

mod lives;

const AGE: Duration = Duration::from_secs(20);

fn limits() -> Limits {
    Limits { window_bytes: 600, window_stanzas: 5, link_bytes: 2000, total_bytes: 20_000, age: AGE }
}

fn pair(partner: u64) -> DomainPair {
    let domain = |text: &str| Domain::parse(text).expect("a domain");
    DomainPair::new(domain("contoso.test"), domain(&format!("partner{partner}.test")))
}

fn stanza(id: u64, kind: &str) -> Stanza {
    let text = format!("<message type='{kind}' id='{id}' from='a@contoso.test' to='b@fabrikam.test'/>");
    parsed(&text)
}

fn parsed(text: &str) -> Stanza {
    Stanza::parse(text.as_bytes()).expect("a stanza")
}

fn id(stanza: &Stanza) -> u64 {
    stanza.id().expect("an id").parse().expect("a number")
}

fn sent(hold: &mut Hold) -> Vec<(PeerId, u64)> {
    let mut sent = Vec::new();
    while let Some(action) = hold.poll() {
        if let Action::Send(peer, Crossing::Stanza { stanza, .. }) = action {
            sent.push((peer, id(&stanza)));
        }
    }
    sent
}

#[test]
fn a_window_bounds_what_is_in_flight_and_each_has_one_outcome() {
    let (mut hold, now) = (Hold::new(limits()), Instant::now());
    hold.connected(1, PeerState::Up);
    for number in 1..=7 {
        let kind = if number == 3 { "error" } else { "chat" };
        hold.accept(now, &pair(1), &stanza(number, kind), None).expect("room");
    }
    assert_eq!(sent(&mut hold).len(), 5);
    for number in [2, 3, 2] {
        hold.heard(1, Crossing::Refused { pair: pair(1), number, why: why("nobody answered") });
    }
    hold.heard(1, Crossing::Taken { pair: pair(1), up_to: 4 });
    assert_eq!(hold.counts(), Counts { accepted: 7, taken: 3 - 1, returned: 1, failed: 1, in_flight: 3 });
    assert_eq!(sent(&mut hold), [(1, 6), (1, 7)]);
}

#[test]
fn a_full_link_makes_its_sender_wait_and_calls_him_back() {
    let (mut hold, now) = (Hold::new(limits()), Instant::now());
    hold.connected(1, PeerState::Up);
    let mut number = 0;
    while hold.accept(now, &pair(1), &stanza(number, "chat"), None).is_ok() {
        number += 1;
    }
    assert!(number > 5, "{number}");
    while hold.poll().is_some() {}
    hold.heard(1, Crossing::Taken { pair: pair(1), up_to: 1 });
    let mut actions = std::iter::from_fn(|| hold.poll());
    assert!(actions.any(|action| matches!(action, Action::Room)));
    assert_eq!(hold.accept(now, &pair(1), &stanza(number, "chat"), None), Ok(()));
}

#[test]
fn small_stanzas_count_with_what_they_take_besides() {
    let (mut hold, now) = (Hold::new(limits()), Instant::now());
    let held =
        (0..).take_while(|number| hold.accept(now, &pair(*number), &stanza(*number, "chat"), None).is_ok()).count();
    assert!((50..20_000 / ITEM).contains(&held), "{held}");
}

#[test]
fn when_the_process_ends_all_goes_back_that_can() {
    let (mut hold, now) = (Hold::new(limits()), Instant::now());
    hold.connected(1, PeerState::Up);
    (1..=7).for_each(|number| hold.accept(now, &pair(1), &stanza(number, "chat"), None).expect("room"));
    hold.accept(now, &pair(2), &stanza(8, "error"), None).expect("room");
    assert_eq!(sent(&mut hold).len(), 6);
    hold.give_up();
    assert!(hold.is_settled());
    assert_eq!(hold.counts(), Counts { accepted: 8, returned: 7, failed: 1, ..Counts::default() });
    hold.heard(1, Crossing::Taken { pair: pair(1), up_to: 5 });
    assert_eq!(hold.counts().taken, 0, "each has one outcome");
}

#[test]
fn what_nobody_takes_goes_back_in_time() {
    let (mut hold, now) = (Hold::new(limits()), Instant::now());
    hold.accept(now, &pair(1), &stanza(1, "chat"), None).expect("room");
    hold.tick(now + AGE / 2);
    assert_eq!(hold.counts().in_flight, 1);
    hold.tick(now + AGE);
    assert_eq!(hold.counts(), Counts { accepted: 1, returned: 1, ..Counts::default() });
}

#[test]
fn a_new_route_waits_for_what_the_old_peer_has_written() {
    let (mut hold, now) = (Hold::new(limits()), Instant::now());
    hold.connected(1, PeerState::Up);
    for number in 1..=3 {
        hold.accept(now, &pair(1), &stanza(number, "chat"), None).expect("room");
    }
    assert_eq!(sent(&mut hold), [(1, 1), (1, 2), (1, 3)]);
    hold.route(vec![vec![2]]);
    hold.connected(2, PeerState::Up);
    assert!(matches!(hold.poll(), Some(Action::Send(1, Crossing::Recall { .. }))));
    hold.heard(1, Crossing::Unsent { pair: pair(1), from: 2 });
    assert!(sent(&mut hold).is_empty(), "the first may be written but isn't taken yet");
    hold.heard(1, Crossing::Taken { pair: pair(1), up_to: 1 });
    assert_eq!(sent(&mut hold), [(2, 2), (2, 3)]);
}

#[test]
fn a_new_route_asks_the_old_peer_also_where_it_owes_nothing() {
    for (state, asked) in [(PeerState::Up, true), (PeerState::Draining, true), (PeerState::Away, false)] {
        let (mut hold, now) = (Hold::new(limits()), Instant::now());
        hold.connected(1, PeerState::Up);
        hold.accept(now, &pair(1), &stanza(1, "chat"), None).expect("room");
        hold.heard(1, Crossing::Taken { pair: pair(1), up_to: 1 });
        assert_eq!(sent(&mut hold), [(1, 1)]);
        hold.state(1, state);
        hold.route(vec![vec![2]]);
        hold.connected(2, PeerState::Up);
        hold.accept(now, &pair(1), &stanza(2, "chat"), None).expect("room");
        if asked {
            let done: Vec<_> = std::iter::from_fn(|| hold.poll()).collect();
            let recall = |action: &&Action| matches!(action, Action::Send(1, Crossing::Recall { give_up: false, .. }));
            assert_eq!(done.iter().filter(recall).count(), 1, "{state:?}: {done:?}");
            assert!(!done.iter().any(|action| matches!(action, Action::Send(_, Crossing::Stanza { .. }))), "{done:?}");
            hold.heard(1, Crossing::Unsent { pair: pair(1), from: 2 });
        }
        assert_eq!(sent(&mut hold), [(2, 2)], "{state:?}");
    }
}

#[test]
fn who_was_asked_and_owes_nothing_is_not_waited_for_when_its_connection_is_lost() {
    let (mut hold, now) = (Hold::new(limits()), Instant::now());
    hold.connected(1, PeerState::Up);
    hold.accept(now, &pair(1), &stanza(1, "chat"), None).expect("room");
    hold.heard(1, Crossing::Taken { pair: pair(1), up_to: 1 });
    hold.connected(2, PeerState::Up);
    hold.route(vec![vec![2]]);
    hold.accept(now, &pair(1), &stanza(2, "chat"), None).expect("room");
    assert_eq!(sent(&mut hold), [(1, 1)], "the other waits for an answer");
    hold.away(1);
    assert_eq!(sent(&mut hold), [(2, 2)]);
    hold.connected(1, PeerState::Up);
    assert!(hold.poll().is_none(), "it isn't asked again");
}

#[test]
fn a_pair_that_pauses_stays_where_its_next_server_may_still_read() {
    let (mut hold, now) = (Hold::new(limits()), Instant::now());
    hold.tick(now);
    (1..=2).for_each(|peer| hold.connected(peer, PeerState::Up));
    hold.accept(now, &pair(1), &stanza(1, "chat"), None).expect("room");
    let [(first, _)] = sent(&mut hold)[..] else { panic!("one was sent") };
    let other = 3 - first;
    hold.heard(first, Crossing::Taken { pair: pair(1), up_to: 1 });
    let say = |hold: &mut Hold, now, number| {
        hold.accept(now, &pair(1), &stanza(number, "chat"), None).expect("room");
        let sent = sent(hold);
        hold.heard(sent[0].0, Crossing::Taken { pair: pair(1), up_to: number });
        sent
    };
    // Away for a moment: the other has it, and keeps it when the first is back.
    hold.away(first);
    assert_eq!(say(&mut hold, now, 2), [(other, 2)]);
    hold.connected(first, PeerState::Up);
    assert_eq!(say(&mut hold, now, 3), [(other, 3)]);
    // But nobody waits for it,
    hold.state(other, PeerState::Silent);
    assert_eq!(say(&mut hold, now, 4), [(first, 4)]);
    hold.state(other, PeerState::Up);
    hold.away(first);
    assert_eq!(say(&mut hold, now, 5), [(other, 5)]);
    hold.connected(first, PeerState::Up);
    // and after a while it goes where all spread it to.
    (1..=120).for_each(|tick| hold.tick(now + Duration::from_millis(100) * tick));
    assert_eq!(say(&mut hold, now, 6), [(first, 6)]);
}

#[test]
fn what_a_lost_peer_had_goes_back_or_by_another_as_its_destination_wants_it() {
    for resend in [false, true] {
        let (mut hold, now) = (Hold::new(limits()), Instant::now());
        hold.connected(1, PeerState::Up);
        for number in 1..=7 {
            hold.accept(now, &pair(1), &stanza(number, "chat"), None).expect("room");
        }
        assert_eq!(sent(&mut hold).len(), 5);
        hold.heard(1, Crossing::Taken { pair: pair(1), up_to: 1 });
        sent(&mut hold);
        hold.lost(1, "edge 1", |_| resend);
        hold.connected(2, PeerState::Up);
        let (expected, returned) = if resend { (2..=6, 0) } else { (7..=7, 5) };
        assert_eq!(sent(&mut hold), expected.map(|number| (2, number)).collect::<Vec<_>>());
        assert_eq!(hold.counts().returned, returned);
    }
}

#[test]
fn what_waits_for_somebody_who_serves_its_domain_goes_as_soon_as_one_does() {
    let (mut hold, now) = (Hold::new(limits()), Instant::now());
    hold.connected(1, PeerState::Up);
    hold.serves(1, vec!["elsewhere.test".parse().expect("a pattern")]);
    hold.accept(now, &pair(1), &stanza(1, "chat"), None).expect("room");
    assert!(sent(&mut hold).is_empty());
    hold.serves(1, Vec::new());
    assert_eq!(sent(&mut hold), [(1, 1)]);
}

#[test]
fn what_was_sent_by_a_connection_is_sent_again_by_the_next_also_where_nobody_told_of_its_end() {
    let (mut hold, now) = (Hold::new(limits()), Instant::now());
    hold.connected(1, PeerState::Up);
    hold.accept(now, &pair(1), &stanza(1, "chat"), None).expect("room");
    assert_eq!(sent(&mut hold), [(1, 1)]);
    hold.state(1, PeerState::Up);
    assert!(sent(&mut hold).is_empty(), "it is the same connection");
    hold.connected(1, PeerState::Up);
    assert_eq!(sent(&mut hold), [(1, 1)]);
}

#[test]
fn a_retired_peer_gets_nothing_new_whatever_it_says_and_finishes_what_it_has() {
    let (mut hold, now) = (Hold::new(limits()), Instant::now());
    hold.connected(1, PeerState::Up);
    hold.accept(now, &pair(1), &stanza(1, "chat"), None).expect("room");
    assert_eq!(sent(&mut hold), [(1, 1)]);
    hold.connected(2, PeerState::Up);
    hold.retire(1, true);
    hold.state(1, PeerState::Up);
    hold.accept(now, &pair(1), &stanza(2, "chat"), None).expect("room");
    assert!(sent(&mut hold).is_empty(), "the first may be written but isn't taken yet");
    hold.heard(1, Crossing::Unsent { pair: pair(1), from: 2 });
    hold.heard(1, Crossing::Taken { pair: pair(1), up_to: 1 });
    assert_eq!(sent(&mut hold), [(2, 2)]);
    hold.lost(2, "edge 2", |_| true);
    assert!(sent(&mut hold).is_empty(), "nobody is left");
    hold.retire(1, false);
    assert_eq!(sent(&mut hold), [(1, 2)], "it is a member again");
}

#[test]
fn an_answer_that_a_lost_peer_had_is_brought_by_another() {
    let (mut hold, now) = (Hold::new(limits()), Instant::now());
    hold.connected(1, PeerState::Up);
    for (number, type_) in [(1, "get"), (2, "result"), (3, "error")] {
        let text = format!("<iq type='{type_}' id='{number}' from='a@contoso.test' to='b@fabrikam.test'/>");
        hold.accept(now, &pair(1), &parsed(&text), None).expect("room");
    }
    assert_eq!(sent(&mut hold), [(1, 1), (1, 2), (1, 3)]);
    hold.lost(1, "edge 1", |_| false);
    hold.connected(2, PeerState::Up);
    assert_eq!(sent(&mut hold), [(2, 2), (2, 3)]);
    assert_eq!(hold.counts(), Counts { accepted: 3, returned: 1, in_flight: 2, ..Counts::default() });
}

/// A link whose stanza 1 is written by peer 1, and whose stanza 2 waits there, as the way is closed.
fn stuck_at_one(pools: Vec<Vec<PeerId>>) -> (Hold, Instant) {
    let (mut hold, now) = (Hold::new(limits()), Instant::now());
    let peers: Vec<PeerId> = pools.iter().flatten().copied().collect();
    hold.route(pools);
    peers.into_iter().for_each(|peer| hold.connected(peer, PeerState::Up));
    for number in 1..=2 {
        hold.accept(now, &pair(1), &stanza(number, "chat"), None).expect("room");
    }
    assert_eq!(sent(&mut hold), [(1, 1), (1, 2)]);
    hold.heard(1, Crossing::Stuck { pair: pair(1) });
    (hold, now)
}

/// Who is asked for a way now.
fn asked(hold: &mut Hold, now: Instant) -> Option<PeerId> {
    hold.tick(now);
    let mut asked = None;
    while let Some(action) = hold.poll() {
        if let Action::Send(peer, Crossing::Try { .. }) = action {
            assert_eq!(asked.replace(peer), None, "one at a time");
        }
    }
    asked
}

#[test]
fn when_nobody_of_the_routed_pool_is_there_the_next_one_takes_over_until_somebody_is() {
    let (mut hold, now) = (Hold::new(limits()), Instant::now());
    hold.route(vec![vec![1, 2], vec![3]]);
    for peer in 1..=3 {
        hold.connected(peer, PeerState::Up);
    }
    hold.state(2, PeerState::Draining);
    hold.accept(now, &pair(1), &stanza(1, "chat"), None).expect("room");
    assert_eq!(sent(&mut hold), [(1, 1)]);
    hold.lost(1, "edge 1", |_| false);
    hold.accept(now, &pair(1), &stanza(2, "chat"), None).expect("room");
    assert_eq!(sent(&mut hold), [(3, 2)]);
    hold.state(2, PeerState::Up);
    assert!(matches!(hold.poll(), Some(Action::Send(3, Crossing::Recall { give_up: false, .. }))));
    hold.heard(3, Crossing::Unsent { pair: pair(1), from: 2 });
    assert_eq!(sent(&mut hold), [(2, 2)]);
}

#[test]
fn a_link_leaves_a_peer_without_a_way_only_for_one_that_found_one() {
    let (mut hold, now) = stuck_at_one(vec![vec![1], vec![2], vec![3]]);
    assert!(sent(&mut hold).is_empty(), "nobody knows yet whether another has a way");
    assert_eq!(asked(&mut hold, now), Some(2));
    assert_eq!(asked(&mut hold, now), None, "it hasn't answered");
    hold.heard(2, Crossing::Stuck { pair: pair(1) });
    assert_eq!(asked(&mut hold, now), Some(3));
    hold.heard(3, Crossing::Open { pair: pair(1) });
    assert!(matches!(hold.poll(), Some(Action::Send(1, Crossing::Recall { give_up: true, .. }))));
    hold.heard(1, Crossing::Refused { pair: pair(1), number: 1, why: why("it may have been delivered") });
    hold.heard(1, Crossing::Unsent { pair: pair(1), from: 2 });
    assert_eq!(sent(&mut hold), [(3, 2)]);
}

#[test]
fn whoever_keeps_us_waiting_for_an_answer_is_not_the_only_one_asked() {
    let (mut hold, now) = stuck_at_one(vec![vec![1, 3], vec![2]]);
    let at = |milliseconds| now + Duration::from_millis(milliseconds);
    assert_eq!([at(0), at(499), at(500)].map(|at| asked(&mut hold, at)), [Some(3), None, Some(2)]);
    hold.heard(2, Crossing::Open { pair: pair(1) });
    hold.heard(1, Crossing::Unsent { pair: pair(1), from: 1 });
    assert_eq!(sent(&mut hold), [(2, 1), (2, 2)]);
    // Late, but of a better place.
    hold.heard(3, Crossing::Open { pair: pair(1) });
    assert!(matches!(hold.poll(), Some(Action::Send(2, Crossing::Recall { give_up: false, .. }))));
}

#[test]
fn an_answer_that_is_late_and_no_better_changes_nothing() {
    let (mut hold, now) = stuck_at_one(vec![vec![1], vec![2, 3]]);
    let first = asked(&mut hold, now).expect("somebody");
    let second = asked(&mut hold, now + Duration::from_millis(500)).expect("the other one");
    hold.heard(second, Crossing::Open { pair: pair(1) });
    hold.heard(first, Crossing::Open { pair: pair(1) });
    hold.heard(1, Crossing::Unsent { pair: pair(1), from: 1 });
    assert_eq!(sent(&mut hold), [(second, 1), (second, 2)]);
}

#[test]
fn what_a_peer_said_of_ways_holds_until_it_connects_anew() {
    let (mut hold, _) = stuck_at_one(vec![vec![1], vec![2]]);
    hold.heard(1, Crossing::Taken { pair: pair(1), up_to: 2 });
    assert_eq!(hold.links.len(), 1, "it is remembered");
    hold.connected(1, PeerState::Silent);
    assert!(hold.links.is_empty(), "it will be said anew if it is still so");
}

#[test]
fn what_was_asked_on_a_connection_that_is_lost_is_not_waited_for() {
    let (mut hold, now) = stuck_at_one(vec![vec![1], vec![2]]);
    assert_eq!(asked(&mut hold, now), Some(2));
    // There is no way but the link's own for a moment, and nothing closed.
    hold.heard(1, Crossing::Open { pair: pair(1) });
    hold.connected(2, PeerState::Up);
    hold.heard(1, Crossing::Stuck { pair: pair(1) });
    assert_eq!(asked(&mut hold, now), Some(2), "on its new connection");
}

#[test]
fn a_link_stays_where_nobody_else_has_a_way_and_asks_again() {
    let (mut hold, now) = stuck_at_one(vec![vec![1], vec![2]]);
    assert_eq!(asked(&mut hold, now), Some(2));
    hold.heard(2, Crossing::Stuck { pair: pair(1) });
    assert_eq!(asked(&mut hold, now + Duration::from_secs(4)), None);
    assert_eq!(asked(&mut hold, now + Duration::from_secs(5)), Some(2));
    assert_eq!(asked(&mut hold, now + Duration::from_secs(10)), Some(2), "it didn't answer, so it has none");
    hold.heard(1, Crossing::Open { pair: pair(1) });
    hold.heard(1, Crossing::Taken { pair: pair(1), up_to: 2 });
    assert_eq!(hold.counts(), Counts { accepted: 2, taken: 2, ..Counts::default() });
}

#[test]
fn a_better_place_is_tried_again_before_it_is_used_again() {
    let (mut hold, now) = stuck_at_one(vec![vec![1], vec![2]]);
    asked(&mut hold, now);
    hold.heard(2, Crossing::Open { pair: pair(1) });
    hold.heard(1, Crossing::Unsent { pair: pair(1), from: 1 });
    assert_eq!(sent(&mut hold), [(2, 1), (2, 2)]);
    assert_eq!(asked(&mut hold, now + Duration::from_secs(1)), Some(1), "it wasn't asked yet");
    hold.heard(1, Crossing::Stuck { pair: pair(1) });
    assert_eq!(asked(&mut hold, now + Duration::from_secs(59)), None);
    assert_eq!(asked(&mut hold, now + Duration::from_secs(62)), Some(1));
    hold.heard(1, Crossing::Open { pair: pair(1) });
    assert!(matches!(hold.poll(), Some(Action::Send(2, Crossing::Recall { give_up: false, .. }))));
}

#[test]
fn pairs_are_spread_and_stay_where_they_are() {
    let (mut hold, now) = (Hold::new(limits()), Instant::now());
    for peer in 1..=3 {
        hold.connected(peer, PeerState::Up);
    }
    let mut places = HashMap::new();
    for partner in 0..60 {
        hold.accept(now, &pair(partner), &stanza(partner, "chat"), None).expect("room");
        let peer = sent(&mut hold)[0].0;
        hold.heard(peer, Crossing::Taken { pair: pair(partner), up_to: u64::MAX });
    }
    for (round, gone) in [(0, None), (1, Some(2))] {
        if let Some(gone) = gone {
            hold.lost(gone, "edge 2", |_| false);
        }
        for partner in 0..60 {
            hold.accept(now, &pair(partner), &stanza(partner, "chat"), None).expect("room");
            let peer = sent(&mut hold)[0].0;
            hold.heard(peer, Crossing::Taken { pair: pair(partner), up_to: u64::MAX });
            let before = *places.entry(partner).or_insert(peer);
            assert!(before == peer || Some(before) == gone, "round {round}: {partner} moved without need");
        }
    }
    let used: HashSet<PeerId> = places.values().copied().collect();
    assert_eq!(used.len(), 3);
}

#[test]
fn pairs_are_spread_alike_by_all_who_know_the_same_peers() {
    let names = ["gateway1", "gateway2", "gateway3"];
    let now = Instant::now();
    let spread = |numbers: [PeerId; 3]| {
        let mut hold = Hold::new(limits());
        for (number, name) in numbers.into_iter().zip(names) {
            hold.named(number, name);
            hold.connected(number, PeerState::Up);
        }
        let mut places = Vec::new();
        for partner in 0..60 {
            hold.accept(now, &pair(partner), &stanza(partner, "chat"), None).expect("room");
            let peer = sent(&mut hold)[0].0;
            hold.heard(peer, Crossing::Taken { pair: pair(partner), up_to: u64::MAX });
            places.push(numbers.iter().position(|number| *number == peer));
        }
        places
    };
    // One of them met the second anew.
    assert_eq!(spread([1, 2, 3]), spread([1, 17, 3]));
    assert_eq!(spread([1, 2, 3]), spread([3, 2, 1]));
}

fn why(text: &str) -> Undeliverable {
    Undeliverable { condition: StanzaCondition::RemoteServerTimeout, text: text.into() }
}
