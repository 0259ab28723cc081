//! A route that moves away from an edge server whose partner can't tell what it has taken: the stream's end tells, so that
//! nothing on the next stream overtakes what was said on the last.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::client::Client;
use testkit::lab::split::{GATEWAYS, Split};
use testkit::lab::{CONTOSO, FABRIKAM, Kind, LabPlan, Peer};
use testkit::place::Place;
use testkit::server::Authentication::External;

const PATIENCE: Duration = Duration::from_secs(40);
/// Messages before the route moves, and as many after.
const HALF: u32 = 50;

fn say(from: &Client, to: &Client, numbers: std::ops::Range<u32>) {
    numbers.for_each(|number| from.message(to.jid(), &format!("n{number}"), "on its way"));
}

/// Whether the edge server has a stream to the partner that it dialed.
fn has_dialed(split: &Split, edge: &str) -> bool {
    split
        .ask(edge, &["streams"])
        .expect("streams")
        .lines()
        .any(|line| line.contains("dialed") && line.contains(FABRIKAM))
}

/// How many stanzas gateways hold.
fn held(split: &Split) -> u32 {
    let told: String = GATEWAYS.iter().map(|gateway| split.ask(gateway, &["status"]).expect("status")).collect();
    let number = |text: &str| text.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse::<u32>().ok();
    told.split(" in flight").filter_map(number).sum()
}

async fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn the_stream_of_a_partner_that_cannot_tell_ends_before_the_next_has_anything() {
    let peer = |kind| Peer { kind, authentication: External };
    // Without dialback nothing can be asked of ejabberd.
    let plan = LabPlan::new(peer(Kind::Prosody), &[(FABRIKAM, peer(Kind::Ejabberd))]);
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::isolated().expect("a namespace");
    let split = Split::start(place.clone(), &plan, folder.path()).expect("a laboratory");
    let split = place.run(move || async move {
        let mut split = split;
        let alice = split.login(&format!("alice@{CONTOSO}")).await.expect("a login");
        let bob = split.login(&format!("bob@{FABRIKAM}")).await.expect("a login");
        // Both pools have a stream to the partner already, so that the next one can be quick.
        for pool in ["pool2", "pool1"] {
            split.route(pool).expect("the route moves");
            alice.message(bob.jid(), pool, "first");
            bob.message_with_id(pool, PATIENCE).await.expect("the first message");
        }
        let edge = ["edge1", "edge2"].into_iter().find(|edge| has_dialed(&split, edge)).expect("one of them dialed");
        // It gets the messages and is told at once that the route has moved.
        split.members.get_mut(edge).expect("it runs").signal(Signal::SIGSTOP).expect("it stops");
        say(&alice, &bob, 0..HALF);
        wait_for("a gateway takes them", || held(&split) >= HALF).await;
        split.route("pool2").expect("the route moves");
        say(&alice, &bob, HALF..2 * HALF);
        split.members.get_mut(edge).expect("it runs").signal(Signal::SIGCONT).expect("it goes on");
        for number in 0..2 * HALF {
            let next = bob.wait_for(number, PATIENCE, |stanza| stanza.name() == "message").await.expect("a message");
            assert_eq!(next.id().as_deref(), Some(&*format!("n{number}")), "in their order");
        }
        wait_for("the stream has ended", || !has_dialed(&split, edge)).await;
        assert!(has_dialed(&split, "edge3"));
        split
    });
    split.stop().expect("everything ends well");
}
