//! SIGTERM while a Prosody says more than fedge gets settled, without ever pausing: nothing of it is lost without a word.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::client::{Client, Collected};
use testkit::lab::{CONTOSO, FABRIKAM, Kind, Lab, LabPlan, Peer};
use testkit::place::Place;
use testkit::server::Authentication::External;

use crate::rig::{PATIENCE, ended};

/// Runs `work` in a laboratory with two Prosodys and so many seconds to drain, with its two users logged in and the
/// streams up.
fn with_users<F: Future<Output = ()>>(drain: u32, work: impl FnOnce(Lab, Client, Client) -> F + Send + 'static) {
    let prosody = Peer { kind: Kind::Prosody, authentication: External };
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::isolated().expect("a namespace");
    let more = format!("[times]\ndrain = {drain}\n");
    let plan = LabPlan { more, ..LabPlan::new(prosody, &[(FABRIKAM, prosody)]) };
    let lab = Lab::start(place.clone(), &plan, folder.path(), &mut |_| {}).expect("a laboratory");
    place.run(move || async move {
        let alice = lab.login(&format!("alice@{CONTOSO}")).await.expect("a login");
        let bob = lab.login(&format!("bob@{FABRIKAM}")).await.expect("a login");
        alice.message(bob.jid(), "first", "first");
        bob.message_with_id("first", PATIENCE).await.expect("the streams are up");
        work(lab, alice, bob).await;
    });
}

/// Every message arrived once, or came back.
fn nothing_is_lost(arrived: &Collected, back: &Collected) {
    let told: BTreeSet<u32> = back.returned.iter().map(|(number, _)| *number).collect();
    let lost: Vec<u32> = arrived.missing.iter().copied().filter(|number| !told.contains(number)).collect();
    assert!(lost.is_empty(), "{} of {} neither arrived nor came back: {lost:?}", lost.len(), arrived.missing.len());
    assert!(arrived.duplicates.is_empty(), "{:?}", arrived.duplicates);
}

/// Says one message after the other, each without waiting for anything.
async fn speaks_on(alice: &Client, to: &str, messages: u32) {
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    for number in 0..messages {
        ticks.tick().await;
        alice.message(to, &format!("flood-{number}"), "one of many");
    }
    alice.ping(CONTOSO).await.expect("her server has read them");
}

#[test]
fn who_never_pauses_is_told_of_the_end_in_time_and_has_little_to_return() {
    const MESSAGES: u32 = 6000;
    with_users(9, |mut lab, alice, bob| async move {
        let at_bob = bob.collect(alice.jid(), 0..MESSAGES, PATIENCE / 2);
        let at_alice = alice.collect(bob.jid(), MESSAGES..MESSAGES + 1, PATIENCE / 2);
        let began = Instant::now();
        let flood = speaks_on(&alice, bob.jid(), MESSAGES);
        let drain = async {
            tokio::time::sleep_until((began + Duration::from_secs(1)).into()).await;
            lab.fedge_edge.signal(Signal::SIGTERM).expect("it runs");
            // Nothing may wait for this: the flood goes on.
            while lab.fedge_edge.is_running().expect("the system says") {
                assert!(began.elapsed() < Duration::from_secs(10), "all of the time to drain is over");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let (config, log) = (lab.folder().join("edge.toml"), lab.folder().join("second.log"));
            let again = || lab.programs.start("fedge-edge", &lab.layout.fedge, &config, &log);
            tokio::task::block_in_place(again).expect("the same addresses at once")
        };
        let ((), _second, arrived, back) = tokio::join!(flood, drain, at_bob, at_alice);
        let (arrived, back) = (arrived.expect("bob listened"), back.expect("alice listened"));
        nothing_is_lost(&arrived, &back);
        // What Prosody had on its way when it heard of the end.
        let unacknowledged = back.returned.iter().filter(|(_, why)| why == "recipient-unavailable").count();
        assert!(unacknowledged < 400, "{unacknowledged} came back that were said on the old stream");
        assert!(arrived.arrived > 500, "in the middle: {}", arrived.arrived);
    });
}

#[test]
fn who_has_said_more_than_it_can_return_loses_none_of_it() {
    const MESSAGES: u32 = 3000;
    with_users(6, |mut lab, alice, bob| async move {
        let fabrikams = lab.servers.iter().position(|server| server.plan.domain == FABRIKAM).expect("it is there");
        // It doesn't take anything: fedge has a window of stanzas, and contoso's Prosody all others, of which it
        // could return 500.
        let signal = |lab: &mut Lab, signal| {
            lab.servers[fabrikams].daemons.iter_mut().for_each(|daemon| daemon.signal(signal).expect("it runs"));
        };
        signal(&mut lab, Signal::SIGSTOP);
        alice.flood(bob.jid(), 0..MESSAGES, 100, 500).await.expect("alice could send");
        let at_bob = bob.collect(alice.jid(), 0..MESSAGES, PATIENCE / 2);
        let at_alice = alice.collect(bob.jid(), MESSAGES..MESSAGES + 1, PATIENCE / 2);
        let drain = async {
            tokio::task::block_in_place(|| {
                lab.fedge_edge.signal(Signal::SIGTERM).expect("it runs");
                // Prosody has heard of the end, and returned what it can.
                lab.fedge_edge.wait_for_line("stream closed", PATIENCE).expect("in time");
                signal(&mut lab, Signal::SIGCONT);
                ended(&mut lab.fedge_edge);
            });
        };
        let ((), arrived, back) = tokio::join!(drain, at_bob, at_alice);
        let (arrived, back) = (arrived.expect("bob listened"), back.expect("alice listened"));
        nothing_is_lost(&arrived, &back);
        let unacknowledged = back.returned.iter().filter(|(_, why)| why == "recipient-unavailable").count();
        assert_eq!(unacknowledged, 500, "there was more than it keeps");
        assert!(arrived.arrived > 500, "in the middle: {}", arrived.arrived);
    });
}
