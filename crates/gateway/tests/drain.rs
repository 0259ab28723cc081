//! A gateway, then an edge server, drains while users of real servers talk without a pause: nobody notices.

use std::time::Duration;

use testkit::client::{Client, Collected};
use testkit::lab::split::{GATEWAYS, Split, edges};
use testkit::lab::{CONTOSO, FABRIKAM, Kind, LabPlan, Peer};
use testkit::place::Place;
use testkit::server::Authentication::External;

/// Messages each way while one member drains.
const MESSAGES: u32 = 1000;
/// As many at once, and so often: what a busy pair of domains says.
const WAVE: u32 = 20;
const EVERY: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(40);

/// Says them all, a wave at a time.
async fn speak(from: &Client, to: &Client, numbers: std::ops::Range<u32>) {
    let mut waves = tokio::time::interval(EVERY);
    for first in numbers.clone().step_by(WAVE as usize) {
        waves.tick().await;
        let wave = first..numbers.end.min(first + WAVE);
        from.flood(to.jid(), wave, 100, WAVE).await.expect("its server reads");
    }
}

async fn hear(at: &Client, from: &Client, numbers: std::ops::Range<u32>) -> Collected {
    at.collect(from.jid(), numbers, PATIENCE).await.expect("a count")
}

/// Which of `members` has accepted the stream on which a pair speaks.
fn listener(split: &Split, mut members: impl Iterator<Item = &'static str>, pair: &str) -> &'static str {
    let listens = |member: &&'static str| {
        let streams = split.ask(member, &["streams"]).expect("streams");
        streams.lines().any(|line| line.contains("accepted") && line.contains(pair))
    };
    members.find(listens).expect("somebody listens to it")
}

/// Whether all that `sender` had arrived once, in order, and nothing came back to its receiver.
// COMPAT(Prosody 0.12): when it dials anew, what it says between SASL's success and the features of the new
// stream overtakes what it had queued until then, whoever is at the other end.
fn is_unnoticed(collected: &Collected, sender: Kind) -> bool {
    let Collected { overtaken, .. } = collected;
    let overtaken = if sender == Kind::Prosody { 0 } else { *overtaken };
    Collected { overtaken, ..collected.clone() }.is_perfect()
}

fn nobody_notices(inside: Kind, outside: Kind) {
    let peer = |kind| Peer { kind, authentication: External };
    let plan = LabPlan::new(peer(inside), &[(FABRIKAM, peer(outside))]);
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::isolated().expect("a namespace");
    let mut split = Split::start(place.clone(), &plan, folder.path()).expect("a laboratory");
    let split = place.run(move || async move {
        let alice = split.login(&format!("alice@{CONTOSO}")).await.expect("a login");
        let bob = split.login(&format!("bob@{FABRIKAM}")).await.expect("a login");
        // The streams are up before anything is done to them.
        for (from, to) in [(&alice, &bob), (&bob, &alice)] {
            from.message(to.jid(), "first", "first");
            to.message_with_id("first", PATIENCE).await.expect("the first message");
        }
        for round in 0..2 {
            let victim = match round {
                0 => listener(&split, GATEWAYS.into_iter(), "contoso.test -> fabrikam.test"),
                _ => listener(&split, edges(), "fabrikam.test -> contoso.test"),
            };
            let member = split.members.remove(victim).expect("it runs");
            let drain = async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                let drained = tokio::task::spawn_blocking(move || member.terminate(Duration::from_secs(60)));
                drained.await.expect("no panic").expect("it ends by itself");
            };
            let numbers = round * MESSAGES..(round + 1) * MESSAGES;
            let (at_bob, at_alice, (), (), ()) = tokio::join!(
                hear(&bob, &alice, numbers.clone()),
                hear(&alice, &bob, numbers.clone()),
                speak(&alice, &bob, numbers.clone()),
                speak(&bob, &alice, numbers.clone()),
                drain,
            );
            assert!(is_unnoticed(&at_bob, inside), "{victim} drained; at bob: {at_bob:?}, at alice: {at_alice:?}");
            assert!(is_unnoticed(&at_alice, outside), "{victim} drained; at alice: {at_alice:?}, at bob: {at_bob:?}");
            let log = std::fs::read_to_string(split.folder().join(format!("{victim}.log.1"))).expect("a log");
            let account = log.lines().rfind(|line| line.contains("stanzas that came in")).expect("an account");
            let count = account.split_once("accepted=").and_then(|(_, rest)| rest.split(' ').next());
            let count: u32 = count.and_then(|count| count.parse().ok()).expect("a count");
            // With the first message; an edge server has that of the first round, too.
            assert!(count > 1 + round * MESSAGES, "it carried a part of it: {account}");
            split.begin(victim).expect("it starts again");
            for gateway in GATEWAYS {
                split.wait_for_trunks(gateway, edges().count()).expect("its trunks are up");
            }
        }
        split
    });
    split.stop().expect("everything ends well");
}

#[test]
fn nobody_notices_with_prosody_inside_and_outside() {
    nobody_notices(Kind::Prosody, Kind::Prosody);
}

#[test]
fn nobody_notices_with_prosody_inside_and_ejabberd_outside() {
    nobody_notices(Kind::Prosody, Kind::Ejabberd);
}

#[test]
fn nobody_notices_with_ejabberd_inside_and_prosody_outside() {
    nobody_notices(Kind::Ejabberd, Kind::Prosody);
}

#[test]
fn nobody_notices_with_ejabberd_inside_and_outside() {
    nobody_notices(Kind::Ejabberd, Kind::Ejabberd);
}
