//! The route moved by an administrator's one command, while people talk: nobody notices, and what the clients count says where
//! it went.

use std::time::{Duration, Instant};

use testkit::lab::installation::{self as whole, GATEWAYS, Installation, POOLS, fqdn};
use testkit::lab::{CONTOSO, FABRIKAM};

use crate::load::{PATIENCE, amid, installation};

/// A switchover is committed and its members told within 3 s; a machine that does much else gets ten times as much.
const MOVED: Duration = Duration::from_secs(30);

/// Runs `fedge route …`; gives its exit status and what it printed.
pub(crate) fn route(lab: &Installation, arguments: &[&str]) -> (Option<i32>, String) {
    let output = lab.try_fedge(&[&["route"], arguments].concat()).expect("it runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), format!("{out}{err}"))
}

/// The operations as the history has them, the latest first.
pub(crate) fn operations(lab: &Installation) -> Vec<serde_json::Value> {
    let told = lab.fedge(&["route", "history", "--json"]).expect("the history");
    serde_json::from_str(&told).expect("JSON")
}

/// The states of the last operation, and after how many seconds each of its lines was written.
fn journal(lab: &Installation) -> Vec<(String, f64)> {
    let last = operations(lab).swap_remove(0);
    let began = last["began"].as_f64().expect("a time");
    let lines = last["journal"].as_array().expect("a journal").iter();
    lines
        .map(|line| {
            let at = line["at"].as_f64().expect("a time");
            (line["state"].as_str().expect("a state").to_owned(), (at - began) / 1000.0)
        })
        .collect()
}

/// Which pool's edge servers have a stream on which federation goes on.
pub(crate) fn carrying(lab: &Installation) -> Vec<&'static str> {
    // One that was killed has none.
    let streams = |edge: &str| lab.ask(edge, &["streams"]).is_ok_and(|told| told.contains("fabrikam.test"));
    let running = |edge: &&str| lab.daemons.contains_key(*edge);
    let carries = |edges: &[&'static str]| edges.iter().filter(|edge| running(edge)).any(|edge| streams(edge));
    POOLS.into_iter().filter(|(_, edges)| carries(edges)).map(|(pool, _)| pool).collect()
}

#[test]
fn a_switchover_and_a_failback_under_load_and_nobody_notices() {
    let (lab, _folder) = installation();
    let lab = amid("the route is moved and moved home", lab, |lab| {
        for (verb, to, other) in [("switchover", "pool2", "pool1"), ("failback", "pool1", "pool2")] {
            let target = fqdn(to);
            let arguments = if verb == "failback" {
                vec![verb]
            } else {
                vec![verb, "--to", target.as_str(), "--why", "maintenance"]
            };
            let began = Instant::now();
            let (status, told) = route(&lab, &arguments);
            println!("{told}{verb} took {:.2?}", began.elapsed());
            assert_eq!(status, Some(0), "{told}");
            let journal = journal(&lab);
            println!("{journal:?}");
            let applied = journal.iter().find(|(state, _)| state == "applying").expect("members went by it");
            assert!(applied.1 < MOVED.as_secs_f64(), "{journal:?}");
            // What is said from here on goes by the new pool alone: the clients' counts say that it arrived.
            assert_eq!(carrying(&lab), [to], "and not by {other}");
            for gateway in GATEWAYS {
                let told = lab.ask(gateway, &["status"]).expect("it answers");
                assert!(told.contains(&format!("the route is on {target}")), "{told}");
            }
        }
        lab
    });
    assert_eq!(lab.failed_streams().expect("logs"), 0, "each stream found an SRV target at which it could be set up");
    lab.stop().expect("everything ends well");
}

#[test]
fn a_stream_that_can_be_set_up_nowhere_is_counted() {
    let (mut lab, _folder) = installation();
    for name in whole::edges().chain(GATEWAYS) {
        lab.kill(name);
    }
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(async {
        let alice = lab.login(&format!("alice@{CONTOSO}")).await.expect("a login");
        let bob = lab.login(&format!("bob@{FABRIKAM}")).await.expect("a login");
        for (from, to) in [(&alice, &bob), (&bob, &alice)] {
            from.message(to.jid(), "nowhere", "nobody is there");
            let back = from.message_with_id("nowhere", PATIENCE).await.expect("it comes back");
            assert!(back.is_error(), "{back:?}");
        }
    });
    // An ejabberd writes its log when it finds the time, after it has answered.
    let (began, expected) = (Instant::now(), [1, 1]);
    loop {
        let counts: Vec<usize> = lab.servers.iter().map(|server| server.failed_streams().expect("a log")).collect();
        if counts == expected {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "a Prosody and an ejabberd, each for its one try: {counts:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
