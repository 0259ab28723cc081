//! The hold against peers that write, refuse, stall, vanish and come back, in thousands of random lives.

use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::arrivals::Arrivals;

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
    /// By their numbers.
    remembered: Vec<Named>,
    outcomes: HashMap<Named, Vec<Fate>>,
}

impl World {
    fn act(&mut self) {
        while let Some(action) = self.hold.poll() {
            match action {
                Action::Send(peer, crossing) => {
                    assert!(!self.away.contains(&peer), "nothing is sent to one who is away: {crossing:?}");
                    self.peers.get_mut(&peer).expect("a peer that is there").wire.push_back(crossing);
                }
                Action::Remember(_, named, _) => self.remembered.push(named),
                Action::Changed(number, _, named, fate) => {
                    assert_eq!(self.remembered[number as usize], named, "it is another one's fate");
                    self.outcomes.entry(named).or_default().push(fate);
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
        remembered: Vec::new(),
        outcomes: HashMap::new(),
    };
    let (mut now, mut accepted, mut next_peer) = (Instant::now(), 0, 4);
    for peer in 1..=3 {
        world.peers.insert(peer, FakePeer::default());
        world.hold.connected(peer, PeerState::Up);
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
                if !away && random.below(2) == 0 {
                    // The next one comes before anybody has noticed.
                    fake.say_again();
                    world.hold.connected(peer, PeerState::Up);
                } else if !away {
                    world.away.insert(peer);
                    world.hold.away(peer);
                } else if random.below(2) == 0 {
                    world.away.remove(&peer);
                    fake.say_again();
                    world.hold.connected(peer, PeerState::Up);
                } else {
                    world.away.remove(&peer);
                    world.peers.remove(&peer);
                    world.hold.lost(peer, "an edge", |_| false);
                    world.act();
                    world.peers.insert(next_peer, FakePeer::default());
                    world.hold.connected(next_peer, PeerState::Up);
                    next_peer += 1;
                }
            }
            22 => {
                let others = world.peers.keys().copied().filter(|other| *other != peer).collect();
                let routes = [vec![], vec![vec![peer]], vec![vec![peer], others]];
                world.hold.route(routes[random.below(3) as usize].clone());
            }
            23 if !away => {
                let states = [PeerState::Up, PeerState::Draining, PeerState::Silent];
                world.hold.state(peer, states[random.below(3) as usize]);
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
            world.hold.connected(peer, PeerState::Up);
        }
        world.hold.state(peer, PeerState::Up);
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
        let fates = Named::of(&stanza(id, "chat"))
            .and_then(|named| world.outcomes.get(&named))
            .map(Vec::as_slice)
            .unwrap_or_default();
        assert_eq!(fates.len(), 1, "seed {seed}: {id}: {fates:?}");
        assert!(fates[0] != Fate::Taken || delivered.contains(&id), "seed {seed}: {id} was taken by nobody");
    }
}
