//! The hold against peers that write, refuse, stall, vanish and come back, in thousands of random lives.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::*;
use crate::arrivals::Arrivals;
use xmpp::domain::Domain;

const AGE: Duration = Duration::from_secs(20);

fn limits() -> Limits {
    Limits { window_bytes: 600, window_stanzas: 5, link_bytes: 2000, total_bytes: 5000, age: AGE }
}

fn pair(partner: u64) -> DomainPair {
    let domain = |text: &str| Domain::parse(text).expect("a domain");
    DomainPair::new(domain("contoso.test"), domain(&format!("partner{partner}.test")))
}

fn stanza(id: u64, kind: &str) -> Stanza {
    let text = format!("<message type='{kind}' id='{id}' from='a@contoso.test' to='b@fabrikam.test'/>");
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
    hold.peer(1, PeerState::Up);
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
    hold.peer(1, PeerState::Up);
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
    hold.peer(1, PeerState::Up);
    for number in 1..=3 {
        hold.accept(now, &pair(1), &stanza(number, "chat"), None).expect("room");
    }
    assert_eq!(sent(&mut hold), [(1, 1), (1, 2), (1, 3)]);
    hold.route(vec![vec![2]]);
    hold.peer(2, PeerState::Up);
    assert!(matches!(hold.poll(), Some(Action::Send(1, Crossing::Recall { .. }))));
    hold.heard(1, Crossing::Unsent { pair: pair(1), from: 2 });
    assert!(sent(&mut hold).is_empty(), "the first may be written but isn't taken yet");
    hold.heard(1, Crossing::Taken { pair: pair(1), up_to: 1 });
    assert_eq!(sent(&mut hold), [(2, 2), (2, 3)]);
}

#[test]
fn what_a_lost_peer_had_goes_back_or_by_another_as_its_destination_wants_it() {
    for resend in [false, true] {
        let (mut hold, now) = (Hold::new(limits()), Instant::now());
        hold.peer(1, PeerState::Up);
        for number in 1..=7 {
            hold.accept(now, &pair(1), &stanza(number, "chat"), None).expect("room");
        }
        assert_eq!(sent(&mut hold).len(), 5);
        hold.heard(1, Crossing::Taken { pair: pair(1), up_to: 1 });
        sent(&mut hold);
        hold.lost(1, "edge 1", |_| resend);
        hold.peer(2, PeerState::Up);
        let (expected, returned) = if resend { (2..=6, 0) } else { (7..=7, 5) };
        assert_eq!(sent(&mut hold), expected.map(|number| (2, number)).collect::<Vec<_>>());
        assert_eq!(hold.counts().returned, returned);
    }
}

/// A link whose stanza 1 is written by peer 1, and whose stanza 2 waits there, as the way is closed.
fn stuck_at_one(pools: Vec<Vec<PeerId>>) -> (Hold, Instant) {
    let (mut hold, now) = (Hold::new(limits()), Instant::now());
    let peers: Vec<PeerId> = pools.iter().flatten().copied().collect();
    hold.route(pools);
    peers.into_iter().for_each(|peer| hold.peer(peer, PeerState::Up));
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
        hold.peer(peer, PeerState::Up);
    }
    hold.peer(2, PeerState::Draining);
    hold.accept(now, &pair(1), &stanza(1, "chat"), None).expect("room");
    assert_eq!(sent(&mut hold), [(1, 1)]);
    hold.lost(1, "edge 1", |_| false);
    hold.accept(now, &pair(1), &stanza(2, "chat"), None).expect("room");
    assert_eq!(sent(&mut hold), [(3, 2)]);
    hold.peer(2, PeerState::Up);
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
        hold.peer(peer, PeerState::Up);
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

/// Numbers that look random, from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// What a peer does with what it is sent: queues, writes to the partner, reports.
#[derive(Default)]
struct FakePeer {
    /// On the wire to it.
    wire: VecDeque<Crossing>,
    /// On the wire from it.
    back: VecDeque<Crossing>,
    pairs: BTreeMap<DomainPair, FakeLink>,
    arrivals: Arrivals,
}

#[derive(Default)]
struct FakeLink {
    queue: VecDeque<(u64, Stanza)>,
    /// Written and not reported.
    open: Vec<u64>,
    closed: bool,
}

impl FakeLink {
    fn way(&self, pair: DomainPair) -> Crossing {
        if self.closed { Crossing::Stuck { pair } } else { Crossing::Open { pair } }
    }
}

fn why(text: &str) -> Undeliverable {
    Undeliverable { condition: StanzaCondition::RemoteServerTimeout, text: text.into() }
}

impl FakePeer {
    fn receive(&mut self) {
        match self.wire.pop_front() {
            Some(Crossing::Stanza { pair, number, settled, stanza })
                if self.arrivals.stanza(&pair, number, settled) =>
            {
                self.pairs.entry(pair).or_default().queue.push_back((number, stanza));
            }
            Some(Crossing::Recall { pair, give_up }) => {
                let link = self.pairs.entry(pair.clone()).or_default();
                let first = link.queue.front().map(|(number, _)| *number);
                link.queue.clear();
                if give_up {
                    for number in std::mem::take(&mut link.open) {
                        let why = why("it may have been delivered");
                        self.back.push_back(self.arrivals.refused(&pair, number, why));
                    }
                }
                self.back.push_back(self.arrivals.recall(&pair, first));
            }
            Some(Crossing::Try { pair }) => {
                let link = self.pairs.entry(pair.clone()).or_default();
                self.back.push_back(link.way(pair));
            }
            _ => {}
        }
    }

    fn say_again(&mut self) {
        self.back = self.arrivals.say_again().into();
    }

    fn nth(&mut self, which: u64) -> Option<(&DomainPair, &mut FakeLink)> {
        let count = self.pairs.len().max(1) as u64;
        self.pairs.iter_mut().nth((which % count) as usize)
    }

    fn write(&mut self, which: u64, partners: &mut HashMap<DomainPair, Vec<u64>>) {
        if let Some((pair, link)) = self.nth(which)
            && !link.closed
            && let Some((number, stanza)) = link.queue.pop_front()
        {
            link.open.push(number);
            partners.entry(pair.clone()).or_default().push(id(&stanza));
        }
    }

    fn report(&mut self, which: u64) {
        if let Some((pair, link)) = self.nth(which)
            && !link.closed
            && let Some(up_to) = std::mem::take(&mut link.open).last()
        {
            let pair = pair.clone();
            self.back.push_back(self.arrivals.taken(&pair, *up_to));
        }
    }

    /// The way closes, or opens again.
    fn turn(&mut self, which: u64) {
        if let Some((pair, link)) = self.nth(which) {
            link.closed = !link.closed;
            let said = link.way(pair.clone());
            self.back.push_back(said);
        }
    }

    fn refuse(&mut self, which: u64) {
        if let Some((pair, link)) = self.nth(which)
            && let Some((number, _)) = link.queue.pop_front()
        {
            let pair = pair.clone();
            self.back.push_back(self.arrivals.refused(&pair, number, why("nobody there")));
        }
    }
}

struct World {
    hold: Hold,
    peers: BTreeMap<PeerId, FakePeer>,
    away: HashSet<PeerId>,
    partners: HashMap<DomainPair, Vec<u64>>,
    outcomes: HashMap<u64, Vec<Fate>>,
}

impl World {
    fn act(&mut self) {
        while let Some(action) = self.hold.poll() {
            match action {
                Action::Send(peer, crossing) => {
                    assert!(!self.away.contains(&peer), "nothing is sent to one who is away: {crossing:?}");
                    self.peers.get_mut(&peer).expect("a peer that is there").wire.push_back(crossing);
                }
                Action::Record(_, stanza, fate) if fate != Fate::Accepted => {
                    self.outcomes.entry(id(&stanza)).or_default().push(fate);
                }
                _ => {}
            }
        }
        let counts = self.hold.counts();
        let adds_up =
            |counts: Counts| counts.accepted == counts.taken + counts.returned + counts.failed + counts.in_flight;
        assert!(adds_up(counts) && self.hold.links().all(|(_, counts)| adds_up(counts)));
        // So few links that none is forgotten.
        let of_links = self.hold.links().fold(Counts::default(), |sum, (_, counts)| sum + counts);
        assert_eq!(of_links, counts);
    }

    fn hear(&mut self, peer: PeerId) {
        if !self.away.contains(&peer)
            && let Some(crossing) = self.peers.get_mut(&peer).and_then(|peer| peer.back.pop_front())
        {
            self.hold.heard(peer, crossing);
        }
    }
}

#[test]
fn nothing_is_lost_doubled_or_disordered_whatever_peers_do() {
    for seed in 0..3000 {
        let accepted = live(seed);
        assert!(accepted > 0, "seed {seed} accepted nothing");
    }
}

fn live(seed: u64) -> u64 {
    let mut random = Random(seed);
    let mut world = World {
        hold: Hold::new(limits()),
        peers: BTreeMap::new(),
        away: HashSet::new(),
        partners: HashMap::new(),
        outcomes: HashMap::new(),
    };
    let (mut now, mut accepted, mut next_peer) = (Instant::now(), 0, 4);
    for peer in 1..=3 {
        world.peers.insert(peer, FakePeer::default());
        world.hold.peer(peer, PeerState::Up);
    }
    for _ in 0..400 {
        let peer = world.peers.keys().copied().nth(random.below(3) as usize).expect("three peers");
        let away = world.away.contains(&peer);
        let which = random.below(8);
        match random.below(26) {
            0..=7 => {
                let kind = if random.below(10) == 0 { "error" } else { "chat" };
                if world.hold.accept(now, &pair(random.below(4)), &stanza(accepted, kind), None).is_ok() {
                    accepted += 1;
                }
            }
            8..=11 if !away => world.peers.get_mut(&peer).expect("there").receive(),
            12..=14 => world.peers.get_mut(&peer).expect("there").write(which, &mut world.partners),
            15..=16 => world.peers.get_mut(&peer).expect("there").report(which),
            17 => world.peers.get_mut(&peer).expect("there").refuse(which),
            18..=20 => world.hear(peer),
            21 => {
                // The connection breaks; what is on it is lost both ways. Later the peer is back, or gone.
                let fake = world.peers.get_mut(&peer).expect("there");
                fake.wire.clear();
                fake.back.clear();
                if !away {
                    world.away.insert(peer);
                    world.hold.peer(peer, PeerState::Away);
                } else if random.below(2) == 0 {
                    world.away.remove(&peer);
                    fake.say_again();
                    world.hold.peer(peer, PeerState::Up);
                } else {
                    world.away.remove(&peer);
                    world.peers.remove(&peer);
                    world.hold.lost(peer, "an edge", |_| false);
                    world.act();
                    world.peers.insert(next_peer, FakePeer::default());
                    world.hold.peer(next_peer, PeerState::Up);
                    next_peer += 1;
                }
            }
            22 => {
                let others = world.peers.keys().copied().filter(|other| *other != peer).collect();
                let routes = [vec![], vec![vec![peer]], vec![vec![peer], others]];
                world.hold.route(routes[random.below(3) as usize].clone());
            }
            23 if !away => {
                let states = [PeerState::Up, PeerState::Draining];
                world.hold.peer(peer, states[random.below(2) as usize]);
            }
            24 => world.peers.get_mut(&peer).expect("there").turn(which),
            _ => now += Duration::from_millis(random.below(3000)),
        }
        world.hold.tick(now);
        world.act();
    }
    settle(&mut world, seed);
    check(&world, accepted, seed);
    accepted
}

/// Everybody is well again and does what there is to do.
fn settle(world: &mut World, seed: u64) {
    world.hold.route(vec![]);
    for peer in world.peers.keys().copied().collect::<Vec<_>>() {
        if world.away.remove(&peer) {
            world.peers.get_mut(&peer).expect("there").say_again();
        }
        world.hold.peer(peer, PeerState::Up);
        world.act();
    }
    for _ in 0..10_000 {
        if world.hold.is_settled() {
            return;
        }
        for peer in world.peers.keys().copied().collect::<Vec<_>>() {
            let fake = world.peers.get_mut(&peer).expect("there");
            fake.receive();
            for which in 0..8 {
                if fake.nth(which).is_some_and(|(_, link)| link.closed) {
                    fake.turn(which);
                }
                fake.write(which, &mut world.partners);
                fake.report(which);
            }
            world.hear(peer);
            world.act();
        }
    }
    panic!("seed {seed} never settles: {:?}", world.hold);
}

fn check(world: &World, accepted: u64, seed: u64) {
    assert_eq!(world.hold.counts().accepted, accepted);
    assert_eq!(world.hold.held_bytes, 0, "seed {seed}");
    let mut delivered: HashSet<u64> = HashSet::new();
    for (pair, ids) in &world.partners {
        assert!(ids.is_sorted_by(|one, other| one < other), "seed {seed}: {pair}: {ids:?}");
        delivered.extend(ids);
    }
    for id in 0..accepted {
        let fates = world.outcomes.get(&id).map(Vec::as_slice).unwrap_or_default();
        assert_eq!(fates.len(), 1, "seed {seed}: {id}: {fates:?}");
        assert!(fates[0] != Fate::Taken || delivered.contains(&id), "seed {seed}: {id} was taken by nobody");
    }
}
