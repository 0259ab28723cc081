//! For how long the internal server meets with silence or refusals when a gateway is killed, frozen or vanishes.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::lab::Kind;
use testkit::lab::split::GATEWAYS;
use testkit::place::Place;

use crate::onlooker::{Onlooker, Stream};
use crate::{PATIENCE, Site, has, signal, story};

/// Rounds, where nobody wants more (`FEDGE_ROUNDS`).
const ROUNDS: u32 = 2;
/// Knocks before the fault, and again after all is well.
const KNOCKS: u32 = 50;
/// For a stall, on a machine that does much else. docs/keepalived.md says what it takes.
const BOUND: Duration = Duration::from_secs(3);
/// How long the machine has too much to do, in each round.
const BURDEN: Duration = Duration::from_secs(10);
/// So many want each processor then.
const CROWD: usize = 6;

/// What is done to a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Kill,
    Freeze,
    Vanish,
}

/// What the internal server saw of a fault.
struct Stall {
    /// When the other gateway had both addresses.
    moved: Duration,
    /// When a stream broke on which something was said.
    broke: Duration,
    /// The longest that it took until one who knocked was answered.
    longest: Duration,
    /// Connections that were refused.
    refused: u32,
    /// Connections that were broken while an answer was awaited.
    broken: u32,
    /// Who was never answered.
    never: usize,
}

impl Site {
    /// A gateway that has this address now.
    fn holder(&self, whose: &str) -> &'static str {
        let there = |gateway: &&'static str| has(&self.split.sites.member(gateway).place, self.address(whose));
        GATEWAYS.into_iter().find(there).expect("one has it")
    }

    /// Waits until each address is at one gateway only, where the internal server takes it to be, and either could have it.
    async fn settle(&self) {
        let began = Instant::now();
        while !GATEWAYS.iter().all(|gateway| self.is_settled(gateway) && !self.is_at_fault(gateway)) {
            assert!(began.elapsed() < PATIENCE, "the addresses don't come to rest");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether one gateway only has this address, and the internal server knows which, or would have to ask.
    fn is_settled(&self, whose: &str) -> bool {
        let address = self.address(whose);
        let there = |gateway: &&str| has(&self.split.sites.member(gateway).place, address);
        let mut holders = GATEWAYS.into_iter().filter(there);
        let (Some(holder), None) = (holders.next(), holders.next()) else { return false };
        let ip = |place: &Place, words: &[&str]| {
            let told = place.command("ip").args(words).output().expect("ip runs");
            String::from_utf8_lossy(&told.stdout).into_owned()
        };
        let known = ip(&self.split.layout.inside.place, &["neighbour", "show", &address.to_string()]);
        let known = known.split_once(" lladdr ").and_then(|(_, rest)| rest.split(' ').next());
        let holder = ip(&self.split.sites.member(holder).place, &["-brief", "link", "show", "dev", "eth0"]);
        known.is_none_or(|known| holder.contains(known))
    }

    /// Whether a gateway's keepalived says that it may have one of the addresses not.
    fn is_at_fault(&self, gateway: &str) -> bool {
        let log = self.keepalived_log(gateway);
        GATEWAYS.iter().any(|instance| {
            let last = log.lines().rev().find(|line| line.contains(&format!("({instance}) Entering ")));
            last.is_none_or(|line| line.contains("FAULT"))
        })
    }

    fn keepalived_log(&self, gateway: &str) -> String {
        let index = GATEWAYS.iter().position(|one| *one == gateway).expect("a gateway");
        fs::read_to_string(self.keepalived[index].log()).expect("it has a log")
    }
}

async fn round(site: &mut Site, deed: Deed) -> Stall {
    let victim = site.holder(GATEWAYS[0]);
    let other = GATEWAYS.into_iter().find(|gateway| *gateway != victim).expect("there are two");
    let server = site.split.layout.inside.place.clone();
    let addresses = GATEWAYS.map(|gateway| SocketAddr::new(site.address(gateway), 5269));
    let stream = Stream::open(&server, addresses[0]);
    let mut onlooker = Onlooker::begin(&server, addresses);
    onlooker.more(KNOCKS).await;
    let struck = Instant::now();
    match deed {
        Deed::Kill => site.split.kill(victim),
        Deed::Freeze => signal(&mut site.split, victim, Signal::SIGSTOP),
        Deed::Vanish => site.split.sites.part(victim, true).expect("its port is closed"),
    }
    for whose in GATEWAYS {
        site.wait_until_at(whose, &[other], PATIENCE).await;
    }
    let moved = struck.elapsed();
    let broke = tokio::task::spawn_blocking(|| stream.broken()).await.expect("it breaks");
    onlooker.more(KNOCKS).await;
    let knocks = tokio::task::spawn_blocking(|| onlooker.end()).await.expect("they have an end");
    match deed {
        Deed::Kill => site.split.begin(victim).expect("it starts again"),
        Deed::Freeze => signal(&mut site.split, victim, Signal::SIGCONT),
        Deed::Vanish => site.split.sites.part(victim, false).expect("its port is opened"),
    }
    site.split.wait_for_trunks(victim, 3).expect("its trunks");
    Stall {
        moved,
        broke: broke.saturating_duration_since(struck),
        longest: knocks.iter().filter_map(|knock| knock.took).max().unwrap_or_default(),
        refused: knocks.iter().map(|knock| knock.refused).sum(),
        broken: knocks.iter().map(|knock| knock.broken).sum(),
        never: knocks.iter().filter(|knock| knock.took.is_none()).count(),
    }
}

fn rounds() -> u32 {
    std::env::var("FEDGE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS)
}

fn stalls(deed: Deed) {
    story(Kind::Prosody, false, move |mut site, _alice, _bob| async move {
        for number in 0..rounds() {
            site.settle().await;
            let stall = round(&mut site, deed).await;
            println!(
                "{deed:?} {number}: moved after {:.3} s, the stream broke after {:.3} s; longest {:.3} s, {} refused, \
                 {} broken, {} never answered",
                stall.moved.as_secs_f64(),
                stall.broke.as_secs_f64(),
                stall.longest.as_secs_f64(),
                stall.refused,
                stall.broken,
                stall.never,
            );
            assert_eq!(stall.never, 0, "somebody waits for a gateway that doesn't answer");
            assert!(stall.longest.max(stall.broke) < BOUND, "{:?}, {:?}", stall.longest, stall.broke);
        }
        site
    });
}

#[test]
fn who_comes_while_a_gateway_is_killed_is_answered_soon() {
    stalls(Deed::Kill);
}

#[test]
fn who_comes_while_a_gateway_freezes_is_answered_soon() {
    stalls(Deed::Freeze);
}

#[test]
fn who_comes_while_a_gateway_vanishes_is_answered_soon() {
    stalls(Deed::Vanish);
}

#[test]
fn no_address_moves_because_the_machine_has_much_to_do() {
    story(Kind::Prosody, false, move |site, _alice, _bob| async move {
        site.settle().await;
        let told = |site: &Site| GATEWAYS.map(|gateway| site.keepalived_log(gateway).matches(" Entering ").count());
        let (before, until) = (told(&site), Instant::now() + BURDEN * rounds());
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let busy = move || while Instant::now() < until {};
        let crowd: Vec<_> = (0..processors * CROWD).map(|_| tokio::task::spawn_blocking(busy)).collect();
        for one in crowd {
            one.await.expect("it has no reason to panic");
        }
        assert_eq!(told(&site), before, "{:#?}", GATEWAYS.map(|gateway| site.keepalived_log(gateway)));
        site
    });
}
