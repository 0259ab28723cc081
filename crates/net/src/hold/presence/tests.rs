//! Presence after breaks: case by case, and users of whom servers tell and are asked in thousands of random breaks.

use std::collections::BTreeMap;

use api::local::Counts;
use xmpp::domain::Domain;
use xmpp::stanza::StanzaCondition;

use super::super::{Action, Hold, Limits, Receipt};
use super::*;
use crate::trunk::{Crossing, PeerState, Undeliverable};

const ROOM: &str = "<x xmlns='http://jabber.org/protocol/muc#user'/>";

fn pair() -> DomainPair {
    let domain = |text| Domain::parse(text).expect("a domain");
    DomainPair::new(domain("contoso.test"), domain("fabrikam.test"))
}

fn presence(kind: &str, from: &str, to: &str) -> Stanza {
    let kind = if kind.is_empty() { String::new() } else { format!(" type='{kind}'") };
    let content = if from.starts_with("room") { ROOM } else { "" };
    let text = format!("<presence{kind} from='{from}' to='{to}'>{content}</presence>");
    parsed(&text)
}

fn parsed(text: &str) -> Stanza {
    Stanza::parse(text.as_bytes()).expect("a stanza")
}

/// What a pair's stanza says and to whom: `late` or `probe`, type, sender, addressee.
fn words(said: &Said) -> Option<String> {
    let (what, stanza) = match said {
        Said::Late(_, stanza) => ("late", stanza),
        Said::Probe(_, stanza) => ("probe", stanza),
        Said::Done(..) => return None,
    };
    let (from, to) = (stanza.from().expect("a sender"), stanza.to().expect("an addressee"));
    Some(format!("{what} {} {from} {to}", stanza.type_().as_deref().unwrap_or("available")))
}

fn refuse(machine: &mut Presence, now: Instant, stanza: &Stanza) {
    assert!(!machine.comes_in(now, &pair(), stanza));
    machine.refused(&pair(), stanza);
}

/// Some other stanza of the pair is taken.
fn way_back(machine: &mut Presence) {
    machine.taken(&pair(), &Stanza::parse(b"<message from='a@contoso.test' to='b@fabrikam.test'/>").expect("a stanza"));
}

/// Everything that is said until nothing is remembered any more, without another break.
fn all(machine: &mut Presence, mut now: Instant) -> Vec<String> {
    let mut said = Vec::new();
    for _ in 0..1000 {
        said.extend(machine.tick(now).iter().filter_map(words));
        now += Duration::from_millis(250);
    }
    said
}

#[test]
fn what_still_holds_is_said_again_and_what_may_not_is_asked_for() {
    let (mut machine, now) = (Presence::default(), Instant::now());
    for (kind, from, to) in [
        ("", "ann@contoso.test/desk", "bob@fabrikam.test"),
        ("", "ann@contoso.test/phone", "bob@fabrikam.test"),
        ("", "ann@contoso.test/desk", "carl@fabrikam.test"),
        ("unavailable", "dora@contoso.test/desk", "bob@fabrikam.test"),
        ("unavailable", "dora@contoso.test/desk", "bob@fabrikam.test"),
        ("probe", "ann@contoso.test/desk", "bob@fabrikam.test"),
        ("", "room@contoso.test/eve", "bob@fabrikam.test/desk"),
        ("", "ann@contoso.test/desk", "bob@fabrikam.test/desk"),
        // None of these.
        ("unavailable", "ann@contoso.test", "bob@fabrikam.test"),
        ("subscribe", "ann@contoso.test", "bob@fabrikam.test"),
        ("subscribed", "ann@contoso.test", "bob@fabrikam.test"),
        ("error", "ann@contoso.test/desk", "bob@fabrikam.test"),
    ] {
        refuse(&mut machine, now, &presence(kind, from, to));
    }
    way_back(&mut machine);
    assert_eq!(
        all(&mut machine, now),
        [
            "late probe ann@contoso.test/desk bob@fabrikam.test",
            "late available ann@contoso.test/desk bob@fabrikam.test/desk",
            "late unavailable dora@contoso.test/desk bob@fabrikam.test",
            "late available room@contoso.test/eve bob@fabrikam.test/desk",
            "probe probe bob@fabrikam.test ann@contoso.test",
            "probe probe carl@fabrikam.test ann@contoso.test",
        ]
    );
    assert!(machine.links.is_empty() && machine.bytes == 0);
}

#[test]
fn what_is_said_later_counts() {
    let (mut machine, now) = (Presence::default(), Instant::now());
    let (ann, bob) = ("ann@contoso.test/desk", "bob@fabrikam.test");
    let (dora, room) = ("dora@contoso.test/desk", "room@contoso.test/eve");
    for (kind, from) in [("unavailable", ann), ("", ann), ("", dora), ("unavailable", dora), ("", room)] {
        refuse(&mut machine, now, &presence(kind, from, bob));
    }
    refuse(&mut machine, now, &presence("unavailable", room, bob));
    way_back(&mut machine);
    machine.taken(&pair(), &presence("", dora, bob));
    let said = all(&mut machine, now);
    assert_eq!(
        said,
        [
            "late unavailable room@contoso.test/eve bob@fabrikam.test",
            "probe probe bob@fabrikam.test ann@contoso.test",
            "probe probe bob@fabrikam.test dora@contoso.test",
        ]
    );
}

#[test]
fn many_pairs_are_paced_together_and_each_has_its_turn() {
    let (mut machine, now) = (Presence::default(), Instant::now());
    let domain = |text: &str| Domain::parse(text).expect("a domain");
    for number in 0..100 {
        let pair = DomainPair::new(domain("contoso.test"), domain(&format!("partner{number}.test")));
        for user in 0..60 {
            let (from, to) = (format!("u{user}@contoso.test/desk"), format!("bob@partner{number}.test"));
            let stanza = presence("unavailable", &from, &to);
            assert!(!machine.comes_in(now, &pair, &stanza));
            machine.refused(&pair, &stanza);
        }
        machine.taken(&pair, &parsed("<message from='a@contoso.test' to='b@partner.test'/>"));
    }
    let mut said: BTreeMap<DomainPair, u32> = BTreeMap::new();
    for step in 0..60 {
        for said_now in machine.tick(now + step * Duration::from_millis(250)) {
            let Said::Late(pair, _) = said_now else { continue };
            *said.entry(pair).or_default() += 1;
        }
        assert!(said.values().sum::<u32>() <= 501 + 125 * step, "too many after {step} quarters of a second");
        let (least, most) = (said.values().min(), said.values().max());
        let fair = said.len() == 100 && most.zip(least).is_some_and(|(most, least)| most - least <= 51);
        assert!(step < 10 || fair, "{} of 100 pairs had {least:?} to {most:?} turns", said.len());
    }
    assert_eq!(said.values().sum::<u32>(), 6000);
}

#[test]
fn it_is_paced_and_stops_when_the_break_goes_on() {
    let (mut machine, now) = (Presence::default(), Instant::now());
    for number in 0..500 {
        refuse(&mut machine, now, &presence("", &format!("user{number}@contoso.test/desk"), "bob@fabrikam.test"));
    }
    way_back(&mut machine);
    let mut said = 0;
    for step in 0..=8 {
        said += machine.tick(now + step * Duration::from_millis(250)).len();
    }
    assert!((100..=102).contains(&said), "{said} in two seconds");
    let later = now + Duration::from_secs(2);
    refuse(&mut machine, later, &presence("", "user1@contoso.test/desk", "bob@fabrikam.test"));
    assert_eq!(machine.tick(later + Duration::from_secs(1)).len(), 0);
    assert_eq!(machine.tick(later + PAUSE.0).len(), 1, "one is tried");
    way_back(&mut machine);
    let said = machine.tick(later + Duration::from_secs(3000)).len();
    assert!(said <= 51, "{said} at once after a long time");
}

#[test]
fn trials_become_rare_and_what_is_old_is_forgotten() {
    let (mut machine, began) = (Presence::default(), Instant::now());
    for number in 0..20 {
        refuse(&mut machine, began, &presence("", &format!("user{number}@contoso.test/desk"), "bob@fabrikam.test"));
    }
    let (mut now, mut trials, mut over) = (began, 0, None);
    while now < began + 3 * AGE {
        now += Duration::from_secs(1);
        for said in machine.tick(now) {
            match said {
                Said::Probe(_, probe) => {
                    trials += 1;
                    // His server answers, and that can't be delivered either.
                    let user = format!("{}/desk", probe.to().expect("an addressee"));
                    refuse(&mut machine, now, &presence("", &user, "bob@fabrikam.test"));
                }
                Said::Done(_, repair) => over = Some(repair),
                Said::Late(..) => panic!("nothing is said again"),
            }
        }
    }
    assert!((7..=12).contains(&trials), "{trials} trials in an hour");
    assert_eq!(over, Some(Repair { late: 0, asked: trials, forgotten: 20 }));
    assert!(machine.links.is_empty());
}

#[test]
fn memory_is_bounded_and_says_so() {
    let (mut machine, now) = (Presence::default(), Instant::now());
    for number in 0..MOST + 5 {
        refuse(&mut machine, now, &presence("unavailable", &format!("u{number}@contoso.test/a"), "bob@fabrikam.test"));
    }
    let status = "x".repeat(1 << 20);
    let long = |to: usize| {
        let to = format!("c{to}@tailspin.test");
        format!("<presence type='unavailable' from='a@contoso.test/a' to='{to}'><status>{status}</status></presence>")
    };
    let other = DomainPair::new(pair().from, Domain::parse("tailspin.test").expect("a domain"));
    for number in 0..20 {
        machine.refused(&other, &Stanza::parse(long(number).as_bytes()).expect("a stanza"));
    }
    assert!(machine.bytes <= MOST_BYTES, "{}", machine.bytes);
    assert_eq!(machine.links[&pair()].repair.forgotten, 5);
    assert!(machine.links[&other].repair.forgotten > 4);
}

#[test]
fn an_answer_to_our_own_question_does_not_undo_a_request() {
    let (mut machine, now) = (Presence::default(), Instant::now());
    let denied = presence("unsubscribed", "ann@contoso.test", "bob@fabrikam.test");
    refuse(&mut machine, now, &presence("", "ann@contoso.test/desk", "bob@fabrikam.test"));
    assert!(!machine.comes_in(now, &pair(), &denied), "nothing was asked yet");
    way_back(&mut machine);
    assert_eq!(machine.tick(now).iter().filter_map(words).count(), 1);
    assert!(machine.comes_in(now, &pair(), &denied), "it is ours");
    assert!(!machine.comes_in(now, &pair(), &denied), "the next is hers");
    // Who answers with presence has answered.
    for answer in ["", "unavailable"] {
        refuse(&mut machine, now, &presence("", "ann@contoso.test/desk", "bob@fabrikam.test"));
        way_back(&mut machine);
        assert_eq!(machine.tick(now + Duration::from_secs(1)).iter().filter_map(words).count(), 1);
        assert!(!machine.comes_in(now, &pair(), &presence(answer, "ann@contoso.test/desk", "bob@fabrikam.test")));
        assert!(!machine.comes_in(now, &pair(), &denied));
    }
}

/// Numbers that look random, from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// A server with its users, a way that breaks, and what contacts behind it see.
struct World {
    machine: Presence,
    now: Instant,
    works: bool,
    /// Whether the server answers when asked about one who is offline, as Prosody does and ejabberd doesn't.
    answers: bool,
    /// What users say of each of their resources.
    users: BTreeMap<(u64, u64), u64>,
    /// What each contact sees.
    views: [BTreeMap<String, u64>; CONTACTS],
    probes: usize,
}

const CONTACTS: usize = 2;
const USERS: u64 = 3;
const RESOURCES: u64 = 2;

fn resource(user: u64, resource: u64) -> String {
    format!("user{user}@contoso.test/r{resource}")
}

impl World {
    /// The server says how it stands with one of its users.
    fn tells(&mut self, from: &str, show: Option<u64>, contact: usize) {
        let to = format!("contact{contact}@fabrikam.test");
        let text = match show {
            Some(show) => format!("<presence from='{from}' to='{to}'><priority>{show}</priority></presence>"),
            None => format!("<presence from='{from}' to='{to}' type='unavailable'/>"),
        };
        self.sent(&Stanza::parse(text.as_bytes()).expect("a stanza"));
    }

    fn sent(&mut self, stanza: &Stanza) {
        assert!(!self.machine.comes_in(self.now, &pair(), stanza));
        if !self.works {
            return self.machine.refused(&pair(), stanza);
        }
        self.machine.taken(&pair(), stanza);
        let to = stanza.to().expect("an addressee");
        let contact: usize = to["contact".len()..].split('@').next().expect("a name").parse().expect("a number");
        let from = stanza.from().expect("a sender").into_owned();
        let tree = xmpp::xml::tree::Element::of(stanza).expect("a tree");
        match tree.child(&tree.namespace, "priority") {
            Some(show) => self.views[contact].insert(from, show.text().parse().expect("a number")),
            None => self.views[contact].remove(&from),
        };
    }

    fn asked(&mut self, probe: &Stanza) {
        let (from, to) = (probe.from().expect("a sender"), probe.to().expect("an addressee"));
        let contact = from["contact".len()..].split('@').next().expect("a name").parse().expect("a number");
        let user: u64 = to["user".len()..].split('@').next().expect("a name").parse().expect("a number");
        let online: Vec<_> = self.users.range((user, 0)..(user + 1, 0)).map(|(key, show)| (*key, *show)).collect();
        for ((user, number), show) in &online {
            self.tells(&resource(*user, *number), Some(*show), contact);
        }
        if online.is_empty() && self.answers {
            self.tells(&to, None, contact);
        }
    }

    fn tick(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
        for said in self.machine.tick(self.now) {
            match said {
                Said::Late(_, stanza) => self.sent(&stanza),
                Said::Probe(_, probe) => {
                    self.probes += 1;
                    self.asked(&probe);
                }
                Said::Done(..) => {}
            }
        }
    }
}

#[test]
fn nobody_stays_shown_wrongly_whatever_breaks() {
    for seed in 0..2000 {
        let mut random = Random(seed);
        let (views, users) = (Default::default(), BTreeMap::new());
        let (machine, now, answers) = (Presence::default(), Instant::now(), random.below(2) == 0);
        let mut world = World { machine, now, works: true, answers, users, views, probes: 0 };
        for _ in 0..random.below(150) {
            let (user, number, show) = (random.below(USERS), random.below(RESOURCES), random.below(100));
            match random.below(10) {
                0..=6 => {
                    let show = (random.below(3) > 0).then_some(show);
                    match show {
                        Some(show) => world.users.insert((user, number), show),
                        None => world.users.remove(&(user, number)),
                    };
                    (0..CONTACTS).for_each(|contact| world.tells(&resource(user, number), show, contact));
                }
                7 => world.works = !world.works,
                _ => world.tick(random.below(20_000)),
            }
        }
        world.works = true;
        let before = world.probes;
        // Half of the time nobody says anything, and it must come out by itself.
        if seed % 2 == 0 {
            way_back(&mut world.machine);
        }
        (0..1000).for_each(|_| world.tick(1000));
        let truth: BTreeMap<_, _> = world.users.iter().map(|((user, r), show)| (resource(*user, *r), *show)).collect();
        for view in &world.views {
            assert_eq!(*view, truth, "seed {seed}");
        }
        assert!(
            world.probes - before <= CONTACTS * usize::try_from(USERS).expect("few"),
            "seed {seed}: {}",
            world.probes
        );
        assert!(world.machine.links.is_empty(), "seed {seed}");
    }
}

fn actions(hold: &mut Hold) -> Vec<Action> {
    std::iter::from_fn(|| hold.poll())
        .filter(|action| !matches!(action, Action::Remember(..) | Action::Changed(..)))
        .collect()
}

#[test]
fn in_the_hold_questions_are_not_counted_and_the_newest_wins() {
    let (mut hold, now) = (Hold::new(Limits { window_stanzas: 1, ..Limits::default() }), Instant::now());
    hold.connected(1, PeerState::Up);
    let message = parsed("<message type='error' from='a@contoso.test' to='b@fabrikam.test'/>");
    let (ann, bob) = ("ann@contoso.test/desk", "bob@fabrikam.test");
    let left = presence("unavailable", ann, bob);
    let dora = presence("", "dora@contoso.test/desk", bob);
    for stanza in [&left, &dora, &message, &presence("", ann, bob)] {
        hold.accept(now, &pair(), stanza, None).expect("room");
    }
    let why = Undeliverable { condition: StanzaCondition::RemoteServerTimeout, text: "nobody answered".into() };
    for number in [1, 2] {
        hold.heard(1, Crossing::Refused { pair: pair(), number, why: why.clone() });
    }
    hold.heard(1, Crossing::Taken { pair: pair(), up_to: 3 });
    actions(&mut hold);
    hold.tick(now + BURST);
    // Ann's return is on its way behind it, so that she left isn't said any more.
    let asked = actions(&mut hold);
    assert!(
        matches!(&asked[..], [Action::Return(back, probe), Action::Repaired(..)] if *back == pair().reversed() && is_probe(probe)),
        "{asked:?}"
    );
    assert_eq!(hold.counts(), Counts { accepted: 4, taken: 1, returned: 2, failed: 0, in_flight: 1 });
    let receipt = Receipt { stream: 1, number: 1 };
    let denied = presence("unsubscribed", "dora@contoso.test", bob);
    hold.accept(now, &pair(), &denied, Some(receipt)).expect("no room is needed");
    assert!(matches!(actions(&mut hold)[..], [Action::Settled(settled)] if settled == receipt));
    assert_eq!(hold.counts().accepted, 4);
}

fn is_probe(stanza: &Stanza) -> bool {
    stanza.type_().as_deref() == Some("probe")
}

#[test]
fn in_the_hold_what_is_said_again_is_counted_again() {
    let (mut hold, now) = (Hold::new(Limits::default()), Instant::now());
    hold.connected(1, PeerState::Up);
    for stanza in [presence("unavailable", "ann@contoso.test/desk", "bob@fabrikam.test"), room_tells()] {
        hold.accept(now, &pair(), &stanza, None).expect("room");
    }
    hold.lost(1, "edge1", |_| false);
    // The room isn't told, as it would throw its occupant out.
    assert_eq!(hold.counts(), Counts { accepted: 2, returned: 1, failed: 1, ..Counts::default() });
    hold.connected(2, PeerState::Up);
    actions(&mut hold);
    hold.tick(now + PAUSE.0);
    let tried = actions(&mut hold);
    assert!(matches!(tried[..], [Action::Send(2, Crossing::Stanza { number: 3, .. })]), "{tried:?}");
    hold.heard(2, Crossing::Taken { pair: pair(), up_to: 3 });
    hold.tick(now + PAUSE.0);
    let (said, done) = (actions(&mut hold), Repair { late: 2, ..Repair::default() });
    assert!(
        matches!(&said[..], [Action::Send(2, Crossing::Stanza { number: 4, .. }), Action::Repaired(_, repair)] if *repair == done),
        "{said:?}"
    );
    hold.heard(2, Crossing::Taken { pair: pair(), up_to: 4 });
    assert_eq!(hold.counts(), Counts { accepted: 4, taken: 2, returned: 1, failed: 1, in_flight: 0 });
}

fn room_tells() -> Stanza {
    presence("", "room@contoso.test/eve", "bob@fabrikam.test/desk")
}

#[test]
fn in_the_hold_the_account_adds_up_whatever_happens() {
    let mut asked = 0;
    for seed in 0..500 {
        let mut random = Random(seed);
        let limits = Limits { window_stanzas: 4, link_bytes: 3000, age: Duration::from_secs(5), ..Limits::default() };
        let (mut hold, mut now, mut peer, mut sent) = (Hold::new(limits), Instant::now(), 1, Vec::new());
        hold.connected(peer, PeerState::Up);
        for _ in 0..300 {
            let user = format!("user{}@contoso.test/r", random.below(4));
            match random.below(12) {
                0..=5 => {
                    let kinds = ["", "unavailable", "probe", "unsubscribed", "error"];
                    let kind = kinds[random.below(5) as usize];
                    let to = ["bob@fabrikam.test", "bob@fabrikam.test/desk"][random.below(2) as usize];
                    let _ = hold.accept(now, &pair(), &presence(kind, &user, to), None);
                }
                6..=7 => hold.heard(peer, Crossing::Taken { pair: pair(), up_to: sent.last().copied().unwrap_or(0) }),
                8 => {
                    let number = sent.iter().copied().nth(random.below(1 + sent.len() as u64) as usize).unwrap_or(0);
                    let condition = StanzaCondition::RemoteServerTimeout;
                    let why = Undeliverable { condition, text: "nobody answered".into() };
                    hold.heard(peer, Crossing::Refused { pair: pair(), number, why });
                }
                9 => {
                    let resends = random.below(2) == 0;
                    hold.lost(peer, "an edge", |_| resends);
                    (peer, sent) = (peer + 1, Vec::new());
                    hold.connected(peer, PeerState::Up);
                }
                _ => now += Duration::from_millis(random.below(4000)),
            }
            hold.tick(now);
            for action in actions(&mut hold) {
                match action {
                    Action::Send(_, Crossing::Stanza { number, .. }) => sent.push(number),
                    Action::Return(_, stanza) => asked += u64::from(is_probe(&stanza)),
                    _ => {}
                }
            }
            let counts = hold.counts();
            let settled = counts.taken + counts.returned + counts.failed;
            assert_eq!(counts.accepted, settled + counts.in_flight, "seed {seed}");
        }
    }
    assert!(asked > 500, "servers were asked {asked} times only");
}
