//! Gateways that share the addresses by which the internal server knows them, with a real keepalived on each host: one is
//! frozen, or its host vanishes, and the other one has its address within seconds.

#[path = "address/onlooker.rs"]
mod onlooker;
#[path = "address/stall.rs"]
mod stall;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::client::{Client, Collected};
use testkit::fedge::Programs;
use testkit::lab::split::{GATEWAYS, Sites, Split, keepalived};
use testkit::lab::{CONTOSO, FABRIKAM, Kind, LabPlan, Peer};
use testkit::packages::Debian;
use testkit::place::{self, Place};
use testkit::process::Daemon;
use testkit::server::Authentication::External;

const PATIENCE: Duration = Duration::from_secs(40);
/// Messages in all: more than are said from the fault on until they have to flow.
const MESSAGES: u32 = 640;
/// Of them before the fault.
const BEFORE: u32 = 128;
/// Of them in a second: a Prosody keeps no more than 500 that nobody has acknowledged, and has to keep them for [`FLOWS`].
const PACE: u32 = 30;
/// Said at a time.
const FEW: u32 = 4;
/// When nothing has come for so long, nothing comes any more, unless an address is on its way.
const QUIET: Duration = Duration::from_secs(8);
/// What was said for so long may be under way on a machine that does much else.
const UNDER_WAY: Duration = Duration::from_secs(3);
/// For the other host to have an address, from the fault on: two looks that fail, and VRRP.
const MOVED: Duration = Duration::from_secs(12);
/// For messages to arrive again, from the fault on.
const FLOWS: Duration = Duration::from_secs(15);

/// The laboratory, and what moves addresses in it.
struct Site {
    split: Split,
    keepalived: Vec<Daemon>,
}

/// Starts it and runs a story in it; the streams are up.
fn story<F: Future<Output = Site>>(
    inside: Kind,
    resends: bool,
    tell: impl FnOnce(Site, Client, Client) -> F + Send + 'static,
) {
    let peer = |kind| Peer { kind, authentication: External };
    let plan = LabPlan { resends, ..LabPlan::new(peer(inside), &[(FABRIKAM, peer(Kind::Prosody))]) };
    let packages = [keepalived::PACKAGES, place::PACKAGES].concat();
    Debian::unpack(&Debian::usual_folder(), &packages, &mut |_| {}).expect("keepalived can be had");
    let folder = tempfile::tempdir().expect("a folder");
    let (sites, programs) = (Sites::hosts_sharing().expect("hosts"), Programs::built().expect("fedge is built"));
    let split = Split::start_at(sites, &plan, folder.path(), programs).expect("a laboratory");
    let keepalived = GATEWAYS.iter().map(|gateway| split.keepalived(gateway).expect("it starts")).collect();
    let site = Site { split, keepalived };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let site = runtime.block_on(async move {
        for gateway in GATEWAYS {
            // Who is there first may have both.
            site.wait_until_at(gateway, &GATEWAYS, PATIENCE).await;
        }
        let alice = site.split.login(&format!("alice@{CONTOSO}")).await.expect("a login");
        let bob = site.split.login(&format!("bob@{FABRIKAM}")).await.expect("a login");
        for (from, to) in [(&alice, &bob), (&bob, &alice)] {
            from.message(to.jid(), "first", "first");
            to.message_with_id("first", PATIENCE).await.expect("the first message");
        }
        tell(site, alice, bob).await
    });
    drop(site.keepalived);
    site.split.stop().expect("everything ends well");
}

impl Site {
    fn address(&self, gateway: &str) -> IpAddr {
        self.split.sites.shared(gateway).expect("they share addresses")
    }

    /// Waits until the address that is normally `whose` is at a host of `gateways`; gives how long that took.
    async fn wait_until_at(&self, whose: &str, gateways: &[&str], bound: Duration) -> Duration {
        let (began, address) = (Instant::now(), self.address(whose));
        while !gateways.iter().any(|gateway| has(&self.split.sites.member(gateway).place, address)) {
            assert!(began.elapsed() < bound, "{address} isn't at {gateways:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        began.elapsed()
    }

    /// The gateway that has the stream of the pair.
    fn carrier(&self) -> &'static str {
        let pair = format!("{CONTOSO} -> {FABRIKAM}");
        let carries = |gateway: &&'static str| {
            let streams = self.split.ask(gateway, &["streams"]).expect("streams");
            streams.lines().any(|line| line.contains("accepted") && line.contains(&pair))
        };
        GATEWAYS.into_iter().find(carries).expect("one has it")
    }
}

/// Whether a host has this address now.
fn has(place: &Place, address: IpAddr) -> bool {
    let listed = place.command("ip").args(["-brief", "address", "show", "dev", "eth0"]).output();
    let listed = listed.expect("ip runs");
    String::from_utf8_lossy(&listed.stdout).contains(&format!(" {address}/"))
}

/// How many are said meanwhile.
fn said_in(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).expect("it is short") * PACE
}

/// Says these numbers at [`PACE`].
async fn speak(from: &Client, to: &Client, numbers: Range<u32>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1) * FEW / PACE);
    for first in numbers.clone().step_by(FEW as usize) {
        tick.tick().await;
        let few = first..numbers.end.min(first + FEW);
        from.flood(to.jid(), few, 10, FEW).await.expect("the server reads");
    }
}

/// What is done to a gateway.
enum Deed {
    /// Its process stops; its host lives, and takes what it is sent.
    Freeze,
    /// Nothing reaches its host any more, nor it anybody, and it doesn't know.
    Vanish,
}

/// What became of what Alice said while it happened, and after it was undone.
struct Account {
    at_bob: Collected,
    returned: Vec<u32>,
    /// Those that arrived only after it was undone.
    late: BTreeSet<u32>,
    /// After which message it happened.
    since: u32,
}

impl Account {
    /// Those that neither arrived nor came back.
    fn lost(&self) -> Vec<u32> {
        let heard = |number: &&u32| self.late.contains(number) || self.returned.contains(number);
        self.at_bob.missing.iter().filter(|number| !heard(number)).copied().collect()
    }

    /// How long it was until everything arrived in time, by the pace at which it was said.
    fn gap(&self) -> Duration {
        let last = self.at_bob.missing.iter().chain(&self.returned).max();
        Duration::from_secs(1) * last.map_or(0, |last| last + 1).saturating_sub(self.since) / PACE
    }
}

/// Alice speaks to Bob; the gateway that has her stream is taken away in the middle, the other one gets its address, and
/// later the first one is there again.
async fn taken_over(site: &mut Site, alice: &Client, bob: &Client, deed: &Deed) -> Account {
    let victim = site.carrier();
    let other = GATEWAYS.into_iter().find(|gateway| *gateway != victim).expect("there are two");
    let debian = site.split.debian().clone();
    let [one, two] = GATEWAYS.map(|gateway| site.address(gateway));
    let resets = format!("ip saddr {{ {one}, {two} }} tcp sport 5269 tcp flags & rst == rst");
    let resets =
        GATEWAYS.map(|gateway| site.split.sites.member(gateway).place.watch_sent(&debian, &resets).expect("nft"));
    let since = BEFORE;
    let strike = async {
        speak(alice, bob, 0..since).await;
        match deed {
            Deed::Freeze => signal(&mut site.split, victim, Signal::SIGSTOP),
            Deed::Vanish => site.split.sites.part(victim, true).expect("its port is closed"),
        }
        let moves = async {
            let [one, two] = GATEWAYS.map(|whose| site.wait_until_at(whose, std::slice::from_ref(&other), MOVED));
            let (one, two) = tokio::join!(one, two);
            one.max(two)
        };
        let (took, ()) = tokio::join!(moves, speak(alice, bob, since..MESSAGES));
        took
    };
    let (took, at_bob, back) = tokio::join!(
        strike,
        // Nothing comes until the address is there and the server has dialed it.
        bob.collect(alice.jid(), 0..MESSAGES, FLOWS),
        alice.collect(bob.jid(), 0..1, MOVED + QUIET),
    );
    let at_bob = at_bob.expect("bob's stream lives");
    let returned = back.expect("alice's stream lives").returned.into_iter().map(|(number, _)| number).collect();
    // A frozen gateway's system does it when the address has gone, and whoever has it now.
    let resets = resets.map(|resets| resets.packets().expect("a counter"));
    assert!(resets.iter().sum::<u64>() > 0, "the server's connection was reset");
    let streams = site.split.ask(other, &["streams"]).expect("streams");
    let missing = at_bob.missing.len();
    assert!(
        streams.contains("accepted"),
        "its stream is at {other}; {missing} missing, {returned:?} came back:\n{streams}"
    );

    // It is there again. It may bring what it had.
    let thaw = async {
        match deed {
            Deed::Freeze => signal(&mut site.split, victim, Signal::SIGCONT),
            Deed::Vanish => site.split.sites.part(victim, false).expect("its port is opened"),
        }
        site.split.wait_for_trunks(victim, 3).expect("its trunks");
    };
    let (collected, ()) = tokio::join!(bob.collect(alice.jid(), 0..MESSAGES, QUIET), thaw);
    let collected = collected.expect("bob's stream lives");
    let late: BTreeSet<u32> = (0..MESSAGES).filter(|number| !collected.missing.contains(number)).collect();
    let again: Vec<_> = late.iter().filter(|number| !at_bob.missing.contains(number)).collect();
    assert!(again.is_empty() && collected.duplicates.is_empty(), "doubled by the old gateway: {again:?}");
    if let Deed::Freeze = deed {
        let there = has(&site.split.sites.member(other).place, site.address(victim));
        assert!(there, "the address stays where it is");
    }
    // And messages pass, whoever has the address now.
    let (began, mut number) = (Instant::now(), 0);
    loop {
        let id = format!("after-{number}");
        alice.message(bob.jid(), &id, "are you there?");
        number += 1;
        // Longer each time: what is said again overtakes nothing that is slow.
        if bob.message_with_id(&id, Duration::from_millis(500) * number).await.is_ok() {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "nothing arrives any more");
    }
    let account = Account { at_bob, returned, late, since };
    println!(
        "the address was at {other} after {:.1} s; flowing again after {:.1} s; {} arrived in time, {} late, {} came back, \
         {} lost, {} both arrived and came back, {} overtaken",
        took.as_secs_f64(),
        account.gap().as_secs_f64(),
        account.at_bob.arrived,
        account.late.len(),
        account.returned.len(),
        account.lost().len(),
        account
            .returned
            .iter()
            .filter(|number| !account.at_bob.missing.contains(number) || account.late.contains(number))
            .count(),
        account.at_bob.overtaken,
    );
    account
}

fn signal(split: &mut Split, member: &str, signal: Signal) {
    split.members.get_mut(member).expect("it runs").signal(signal).expect("it can be sent one");
}

fn nothing_is_lost(deed: Deed, resends: bool) {
    story(Kind::Prosody, resends, move |mut site, alice, bob| async move {
        let account = taken_over(&mut site, &alice, &bob, &deed).await;
        assert!(account.lost().is_empty(), "lost without a word: {:?}", account.lost());
        assert!(account.late.is_empty(), "Prosody had returned them, or sent them again: {:?}", account.late);
        // What had arrived and wasn't acknowledged yet when it happened, a Prosody that resends says once more.
        let unsettled = if resends { account.since - said_in(UNDER_WAY)..account.since } else { 0..0 };
        let doubled = &account.at_bob.duplicates;
        assert!(doubled.iter().all(|number| unsettled.contains(number)), "not only of {unsettled:?}: {doubled:?}");
        assert!(account.gap() < FLOWS, "{:?}", account.gap());
        site
    });
}

#[test]
fn a_frozen_gateways_address_is_taken_over_and_nothing_is_lost_that_prosody_sends() {
    nothing_is_lost(Deed::Freeze, false);
}

#[test]
fn a_vanished_hosts_address_is_taken_over_and_nothing_is_lost_that_prosody_sends() {
    nothing_is_lost(Deed::Vanish, false);
}

#[test]
fn a_gateway_that_thaws_brings_nothing_that_prosody_has_sent_again() {
    nothing_is_lost(Deed::Freeze, true);
}

/// ejabberd has no acknowledgements: what it has written to a connection that is reset is gone. That is what it says
/// between the fault and the reset, and no more.
fn a_window_is_lost(deed: Deed) {
    story(Kind::Ejabberd, false, |mut site, alice, bob| async move {
        let account = taken_over(&mut site, &alice, &bob, &deed).await;
        let (lost, since) = (account.lost(), account.since);
        let window = since - said_in(UNDER_WAY)..since + said_in(FLOWS);
        assert!(lost.iter().all(|number| window.contains(number)), "lost outside of {window:?}: {lost:?}");
        assert!(account.at_bob.duplicates.is_empty(), "{:?}", account.at_bob.duplicates);
        assert!(account.gap() < FLOWS, "{:?}", account.gap());
        site
    });
}

#[test]
fn a_frozen_gateways_address_is_taken_over_and_ejabberd_loses_no_more_than_a_window() {
    a_window_is_lost(Deed::Freeze);
}

#[test]
fn a_vanished_hosts_address_is_taken_over_and_ejabberd_loses_no_more_than_a_window() {
    a_window_is_lost(Deed::Vanish);
}
