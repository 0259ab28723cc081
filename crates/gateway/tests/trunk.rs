//! Gateways inside, pools of edge servers outside, real servers at both ends: what happens to a flood while members come and go.

use std::ops::Range;
use std::time::{Duration, Instant};

use testkit::client::{Client, Collected};
use testkit::lab::split::{GATEWAYS, Split, edges};
use testkit::lab::{CONTOSO, FABRIKAM, Kind, LabPlan, Peer};
use testkit::place::Place;
use testkit::process::Daemon;
use testkit::rig::Since;
use testkit::server::Authentication::{Dialback, External};

/// Messages each way.
const MESSAGES: u32 = 2000;
const PATIENCE: Duration = Duration::from_secs(40);

/// Starts the laboratory and runs a story in it.
fn story<F: Future<Output = Split>>(outside: Kind, tell: impl FnOnce(Split, Client, Client) -> F + Send + 'static) {
    story_with("", outside, tell);
}

/// The same, with more in the partner's entry.
fn story_with<F: Future<Output = Split>>(
    more: &str,
    outside: Kind,
    tell: impl FnOnce(Split, Client, Client) -> F + Send + 'static,
) {
    let inside = Peer { kind: Kind::Prosody, authentication: External };
    let authentication = if outside == Kind::Ejabberd { External } else { Dialback };
    let partners = [(FABRIKAM, Peer { kind: outside, authentication })];
    let plan = LabPlan { more: more.to_owned(), ..LabPlan::new(inside, &partners) };
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::isolated().expect("a namespace");
    let split = Split::start(place.clone(), &plan, folder.path()).expect("a laboratory");
    let split = place.run(move || async move {
        let alice = split.login(&format!("alice@{CONTOSO}")).await.expect("a login");
        let bob = split.login(&format!("bob@{FABRIKAM}")).await.expect("a login");
        // The streams are up before anything is done to them.
        for (from, to) in [(&alice, &bob), (&bob, &alice)] {
            from.message(to.jid(), "first", "first");
            to.message_with_id("first", PATIENCE).await.expect("the first message");
        }
        tell(split, alice, bob).await
    });
    split.stop().expect("everything ends well");
}

/// Floods, and has `event` happen in the middle: when a fifth is with the sender's own server, and the rest isn't said.
async fn speak(from: &Client, to: &Client, numbers: Range<u32>, event: impl Future<Output = ()>) {
    let middle = numbers.start + MESSAGES / 5;
    from.flood(to.jid(), numbers.start..middle, 100, 50).await.expect("the server reads");
    let (sent, ()) = tokio::join!(from.flood(to.jid(), middle..numbers.end, 100, 50), event);
    sent.expect("the server never stopped");
}

/// Both flood each other while `event` happens in the middle.
async fn flood(alice: &Client, bob: &Client, round: u32, event: impl Future<Output = ()>) -> [Collected; 2] {
    let numbers = round * MESSAGES..(round + 1) * MESSAGES;
    let ((), (), at_bob, at_alice) = tokio::join!(
        speak(alice, bob, numbers.clone(), event),
        speak(bob, alice, numbers.clone(), async {}),
        bob.collect(alice.jid(), numbers.clone(), PATIENCE),
        alice.collect(bob.jid(), numbers.clone(), PATIENCE),
    );
    [at_bob.expect("bob's stream lives"), at_alice.expect("alice's stream lives")]
}

/// What came back: its number, and why.
type Returned = Vec<(u32, String)>;

/// Alice floods Bob while `event` happens in the middle; gives what became of it.
async fn outward(
    alice: &Client,
    bob: &Client,
    patience: Duration,
    event: impl Future<Output = ()>,
) -> (Collected, Returned) {
    let numbers = 0..MESSAGES;
    let ((), at_bob, returned) = tokio::join!(
        speak(alice, bob, numbers.clone(), event),
        bob.collect(alice.jid(), numbers.clone(), patience),
        alice.collect(bob.jid(), 0..1, Duration::from_secs(10)),
    );
    (at_bob.expect("a count"), returned.expect("a count").returned)
}

/// Nothing is lost without a word but so many as the sender's server dropped.
fn nothing_lost_silently(at_bob: &Collected, returned: &Returned, dropped: usize) {
    let silently: Vec<_> =
        at_bob.missing.iter().filter(|number| !returned.iter().any(|(other, _)| other == *number)).collect();
    let back = returned.len();
    assert!(silently.len() <= dropped, "{silently:?} are lost without a word; {back} returned, {dropped} dropped");
}

#[test]
fn a_flood_passes_through_the_trunk() {
    story(Kind::Ejabberd, |mut split, alice, bob| async move {
        for collected in flood(&alice, &bob, 0, async {}).await {
            assert!(collected.is_perfect(), "{collected:?}");
        }
        let status = split.ask("gateway1", &["status"]).expect("a status");
        assert!(status.contains("the route is on pool1"), "{status}");
        assert_eq!(split.ask("gateway1", &["health"]).expect("it is well"), "ready\n");
        for edge in edges() {
            split.kill(edge);
        }
        let began = Instant::now();
        while split.ask("gateway1", &["health", "--or", "waiting"]).expect("a word") != "waiting\n" {
            assert!(began.elapsed() < PATIENCE, "no trunk is up any more");
        }
        split.ask("gateway1", &["health"]).expect_err("it isn't ready");
        split
    });
}

#[test]
fn the_route_moves_in_full_flood_and_nothing_is_lost_doubled_or_disordered() {
    story(Kind::Prosody, |split, alice, bob| async move {
        for (round, pool) in (0..).zip(["pool2", "pool1", "pool2"]) {
            let moves = async { split.route(pool).expect("the route moves") };
            for collected in flood(&alice, &bob, round, moves).await {
                assert!(collected.is_perfect(), "to {pool}: {collected:?}");
            }
        }
        let streams = split.ask("edge3", &["streams"]).expect("streams");
        assert!(streams.contains("contoso.test -> fabrikam.test"), "the other pool carries it now:\n{streams}");
        split
    });
}

#[test]
fn an_edge_server_drains_in_full_flood_and_nothing_is_lost_doubled_or_disordered() {
    story(Kind::Prosody, |mut split, alice, bob| async move {
        let carrying = carrier(&split, "contoso.test -> fabrikam.test");
        let edge = split.members.remove(carrying).expect("it runs");
        let drain = async {
            let drained = tokio::task::spawn_blocking(move || edge.terminate(Duration::from_secs(60)));
            drained.await.expect("no panic").expect("it ends by itself");
        };
        for collected in flood(&alice, &bob, 0, drain).await {
            assert!(collected.is_perfect(), "{collected:?}");
        }
        split.begin(carrying).expect("it starts again");
        split
    });
}

#[test]
fn a_killed_edge_server_loses_nothing_silently_of_what_comes_from_inside() {
    story(Kind::Prosody, |mut split, alice, bob| async move {
        let carrying = carrier(&split, "contoso.test -> fabrikam.test");
        let kill = async {
            split.kill(carrying);
        };
        let (at_bob, returned) = outward(&alice, &bob, Duration::from_secs(10), kill).await;
        nothing_lost_silently(&at_bob, &returned, 0);
        assert!(at_bob.duplicates.is_empty(), "{:?}", at_bob.duplicates);
        assert!(at_bob.arrived > 0 && at_bob.overtaken == 0, "{at_bob:?}");
        split
    });
}

#[test]
fn when_a_whole_pool_is_killed_the_next_one_takes_over_without_a_command() {
    story(Kind::Prosody, |mut split, alice, bob| async move {
        let kill = async {
            for edge in ["edge1", "edge2"] {
                split.kill(edge);
            }
        };
        let (at_bob, returned) = outward(&alice, &bob, Duration::from_secs(10), kill).await;
        nothing_lost_silently(&at_bob, &returned, 0);
        assert!(at_bob.duplicates.is_empty() && at_bob.overtaken == 0, "{at_bob:?}");
        assert!(!at_bob.missing.contains(&(MESSAGES - 1)), "it doesn't flow again: {at_bob:?}");
        let status = split.ask("gateway1", &["status"]).expect("a status");
        assert!(status.contains("the route is on pool1"), "nobody moved it:\n{status}");
        assert_eq!(carrier(&split, "contoso.test -> fabrikam.test"), "edge3");
        split
    });
}

#[test]
fn what_may_have_been_delivered_is_sent_again_where_the_destination_wants_it() {
    story_with("resend = true\n", Kind::Prosody, |mut split, alice, bob| async move {
        let carrying = carrier(&split, "contoso.test -> fabrikam.test");
        let kill = async {
            split.kill(carrying);
        };
        let (at_bob, returned) = outward(&alice, &bob, PATIENCE, kill).await;
        assert!(returned.is_empty(), "{returned:?}");
        assert!(at_bob.missing.is_empty(), "{:?}", at_bob.missing);
        split
    });
}

/// The edge server over which a pair's stream goes out.
fn carrier(split: &Split, pair: &str) -> &'static str {
    let carries = |edge: &&&'static str| {
        let streams = split.ask(edge, &["streams"]).expect("streams");
        streams.lines().any(|line| line.contains("dialed") && line.contains(pair))
    };
    let alive = |edge: &&&'static str| split.members.contains_key(**edge);
    ["edge1", "edge2", "edge3"].iter().filter(alive).find(carries).expect("an edge server carries it")
}

#[test]
fn a_frozen_edge_server_is_left_within_seconds() {
    story(Kind::Ejabberd, |mut split, alice, bob| async move {
        let carrying = carrier(&split, "contoso.test -> fabrikam.test");
        let daemon = split.members.get_mut(carrying).expect("it runs");
        daemon.signal(nix::sys::signal::Signal::SIGSTOP).expect("it can be stopped");
        let began = Instant::now();
        // What is sent before anybody can have noticed may come back; what comes later arrives.
        let mut number = 0;
        loop {
            number += 1;
            let id = format!("after-{number}");
            alice.message(bob.jid(), &id, "are you there?");
            if bob.message_with_id(&id, Duration::from_millis(500)).await.is_ok() {
                break;
            }
            assert!(number < 40, "nothing arrives any more");
        }
        println!("flowing again after {:.1} s", began.elapsed().as_secs_f64());
        split.kill(carrying);
        split
    });
}

#[test]
fn a_killed_gateway_loses_nothing_silently_of_what_comes_from_inside() {
    // COMPAT(Prosody 0.12.3): of what a stream has unacknowledged when it breaks, it returns the last 500 and drops those before,
    // as its log says.
    without_a_gateway(drop, |dropped| dropped);
}

#[test]
fn a_drained_gateway_loses_nothing_and_what_it_did_not_acknowledge_it_did_not_pass_on() {
    let drained = |gateway: Daemon| {
        gateway.terminate(Duration::from_secs(60)).expect("it ends by itself");
    };
    without_a_gateway(drained, |_| 0);
}

/// Alice floods Bob, and the gateway that carries it ends in the middle: all arrives once and in order, or
/// comes back; what comes back did not arrive. So much is forgiven as `forgives` says of what Alice's server dropped.
fn without_a_gateway(end: impl FnOnce(Daemon) + Send + 'static, forgives: fn(usize) -> usize) {
    story(Kind::Prosody, move |mut split, alice, bob| async move {
        let since = Since::now(&split, CONTOSO).expect("a log");
        let inside = GATEWAYS.into_iter().find(|gateway| {
            let streams = split.ask(gateway, &["streams"]).expect("streams");
            streams.lines().any(|line| line.contains("accepted") && line.contains("contoso.test -> fabrikam.test"))
        });
        let gateway = split.members.remove(inside.expect("a gateway has it")).expect("it runs");
        let ending = async {
            tokio::task::spawn_blocking(move || end(gateway)).await.expect("no panic");
        };
        let (at_bob, returned) = outward(&alice, &bob, Duration::from_secs(10), ending).await;
        println!("{} arrived, {} returned, {} overtaken", at_bob.arrived, returned.len(), at_bob.overtaken);
        let dropped = since.said(&split, FABRIKAM).expect("a log").dropped;
        nothing_lost_silently(&at_bob, &returned, forgives(dropped));
        assert!(at_bob.arrived > 0 && at_bob.duplicates.is_empty(), "{at_bob:?}");
        split
    });
}
