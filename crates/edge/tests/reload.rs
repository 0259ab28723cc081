//! What an administrator changes while fedge runs: certificates by themselves, policy on SIGHUP, and nothing on a fault.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use testkit::client::Client;
use testkit::lab::{CONTOSO, FABRIKAM, Kind, Lab, LabPlan, Peer, TAILSPIN};
use testkit::pki::Request;
use testkit::place::Place;
use testkit::server::Authentication::{Dialback, External};

const PATIENCE: Duration = Duration::from_secs(30);
const READ_AGAIN: &str = "policy, certificates, roots and secrets were read again";

#[test]
fn certificates_and_policy_change_under_open_streams_and_a_fault_changes_nothing() {
    let prosody = |authentication| Peer { kind: Kind::Prosody, authentication };
    let plan = LabPlan::new(prosody(External), &[(FABRIKAM, prosody(Dialback)), (TAILSPIN, prosody(Dialback))]);
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::isolated().expect("a namespace");
    let lab = Lab::start(place.clone(), &plan, folder.path(), &mut |_| {}).expect("a laboratory");
    let lab = place.run(move || tell(lab));
    lab.stop().expect("everything ends well");
}

async fn tell(mut lab: Lab) -> Lab {
    let alice = lab.login(&format!("alice@{CONTOSO}")).await.expect("a login");
    let [bob, carol] = [FABRIKAM, TAILSPIN].map(|domain| format!("bob@{domain}"));
    let (bob, carol) = (lab.login(&bob).await.expect("a login"), lab.login(&carol).await.expect("a login"));
    for (number, friend) in [&bob, &carol].into_iter().enumerate() {
        says(&alice, friend, &format!("before-{number}")).await;
    }
    let before = to_fabrikam(&lab);

    // A renewed certificate is found without being told; streams that are up stay.
    let renewed = lab.public_ca.issue(&Request::new(&[CONTOSO, "conference.contoso.test"])).expect("a certificate");
    renewed.write(&lab.folder().join("certificates"), "contoso").expect("the file is replaced");
    logged(&mut lab, "certificates were read again", 1);
    says(&alice, &bob, "renewed").await;

    // A partner that is struck off gets nothing more, its neighbour notices nothing.
    let config = lab.folder().join("edge.toml");
    let good = fs::read_to_string(&config).expect("the configuration");
    let (others, _) = good.split_once(&format!("[[partner]]\ndomains = [\"{TAILSPIN}\"")).expect("the last partner");
    fs::write(&config, others).expect("the configuration can be changed");
    lab.fedge_edge.signal(Signal::SIGHUP).expect("it runs");
    logged(&mut lab, READ_AGAIN, 1);
    alice.message(carol.jid(), "struck-off", "are you there?");
    let answer = alice.message_with_id("struck-off", PATIENCE).await.expect("an answer");
    assert!(answer.is_error(), "{answer}");
    says(&alice, &bob, "neighbour").await;

    // A faulty configuration changes nothing.
    fs::write(&config, good.replace("[external]", "[extrenal]")).expect("the configuration can be changed");
    lab.fedge_edge.signal(Signal::SIGHUP).expect("it runs");
    logged(&mut lab, "the configuration can't be used; everything stays as it was", 1);
    says(&alice, &bob, "faulty").await;

    // And the partner is welcome again.
    fs::write(&config, good).expect("the configuration can be changed");
    lab.fedge_edge.signal(Signal::SIGHUP).expect("it runs");
    logged(&mut lab, READ_AGAIN, 2);
    says(&alice, &carol, "welcome").await;
    assert_eq!(to_fabrikam(&lab), before, "none of it closed a stream that it didn't concern");
    lab
}

async fn says(from: &Client, to: &Client, id: &str) {
    from.message(to.jid(), id, "hello");
    let arrived = to.message_with_id(id, PATIENCE).await.expect("it arrives");
    assert!(!arrived.is_error(), "{arrived}");
}

/// The numbers of the streams that carry what goes to fabrikam.test.
fn to_fabrikam(lab: &Lab) -> Vec<String> {
    let streams = lab.ask(&["streams"]).expect("streams");
    let theirs = streams.lines().filter(|line| line.contains(&format!("{CONTOSO} -> {FABRIKAM}")));
    theirs.filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
}

/// Waits until the log has that so often.
fn logged(lab: &mut Lab, needle: &str, times: usize) {
    let log = lab.fedge_edge.log().to_owned();
    let look = || Ok((fs::read_to_string(&log)?.matches(needle).count() >= times).then_some(()));
    lab.fedge_edge.wait_for(needle, PATIENCE, look).expect("it says so");
}
