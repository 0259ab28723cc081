//! What goes wrong around a move, with running processes and people who talk: two operators, a stale plan, a paused controller,
//! a dying target, a failover amid a drain. Scenarios have their numbers in the design's list of nasty ones.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rusqlite::Connection;
use serde_json::Value;
use testkit::lab::installation::{CONTROLLERS, Installation, POOLS, fqdn};
use testkit::process::Daemon;

use crate::load::{installation, talking};
use crate::moves::{operations, route};

/// An operation rests within seconds; a machine that does much else gets more.
pub(crate) const REST: Duration = Duration::from_secs(60);

/// The last operation, once it is in one of these states.
pub(crate) fn rested(lab: &Installation, states: &[&str]) -> Value {
    let began = Instant::now();
    loop {
        let last = operations(lab).swap_remove(0);
        if states.iter().any(|state| last["state"] == *state) {
            return last;
        }
        assert!(began.elapsed() < REST, "{last:#}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Which pool has the route, and with which epoch, as the controllers say.
pub(crate) fn at(lab: &Installation) -> (String, u64) {
    let told = lab.fedge(&["route", "show", "--json"]).expect("the route");
    let told: Value = serde_json::from_str(&told).expect("JSON");
    (told["pool"].as_str().expect("a pool").to_owned(), told["epoch"].as_u64().expect("an epoch"))
}

/// Two operators want the route in two places in the same second: one has it, the other is told who was faster.
fn scenario_05_two_operators_in_the_same_second(lab: &Installation) {
    let before = operations(lab).len();
    let (pool, epoch) = at(lab);
    let other = if pool == fqdn("pool1") { fqdn("pool2") } else { fqdn("pool1") };
    let both: Vec<(Option<i32>, String)> = thread::scope(|scope| {
        let ask = || scope.spawn(|| route(lab, &["switchover", "--to", &other, "--why", "both want it"]));
        let asked = [ask(), ask()];
        asked.into_iter().map(|one| one.join().expect("no panic")).collect()
    });
    let done = both.iter().filter(|(status, _)| *status == Some(0)).count();
    assert_eq!(done, 1, "{both:?}");
    let (status, told) = both.iter().find(|(status, _)| *status != Some(0)).expect("the other");
    assert_eq!(*status, Some(2), "nothing was changed by it: {told}");
    // Who was slower by a whole move finds the route there already.
    assert!(told.contains(&format!("operation {}", before + 1)) || told.contains("target-other"), "{told}");
    assert_eq!(at(lab), (other, epoch + 1));
    assert_eq!(operations(lab).len(), before + 1);
}

/// A plan that was looked at is carried out only as it was.
fn a_stale_plan_is_refused(lab: &mut Installation) {
    let (pool, epoch) = at(lab);
    let (other, edge) = if pool == fqdn("pool1") { ("pool2", POOLS[1].1[1]) } else { ("pool1", POOLS[0].1[1]) };
    let target = fqdn(other);
    let plan = |lab: &Installation| {
        let (_, told) = route(lab, &["plan", "--to", &target, "--json"]);
        let plan: Value = serde_json::from_str(&told).expect("JSON");
        plan["hash"].as_str().expect("a hash").to_owned()
    };
    let hash = plan(lab);
    assert_eq!(plan(lab), hash, "as long as nothing changes");
    lab.kill(edge);
    let (status, told) = route(lab, &["switchover", "--to", &target, "--plan", &hash, "--accept", "target-whole"]);
    assert!(status == Some(2) && told.contains("something has changed since"), "{status:?} {told}");
    assert_eq!(at(lab), (pool, epoch));
    lab.begin(edge).expect("it starts again");
    lab.wait_until_well().expect("all is well again");
    let hash = plan(lab);
    let (status, told) = route(lab, &["switchover", "--to", &target, "--plan", &hash]);
    assert_eq!(status, Some(0), "{told}");
    assert_eq!(at(lab), (target, epoch + 1));
}

/// Stops it while it isn't in the middle of writing into the store: whoever stands still there holds up everybody else, as
/// docs/store.md says, and nobody could relieve him.
fn pause(driver: &mut Daemon, store: &Path) {
    let (began, file) = (Instant::now(), Connection::open(store).expect("the store"));
    file.busy_timeout(Duration::from_secs(1)).expect("it waits for whoever writes");
    loop {
        driver.signal(Signal::SIGSTOP).expect("it is paused");
        if file.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok() {
            return;
        }
        driver.signal(Signal::SIGCONT).expect("it wakes");
        assert!(began.elapsed() < REST, "the store is held all the time");
        // For it to end what it is at.
        thread::sleep(Duration::from_millis(20));
    }
}

/// The controller that drives is paused once its operation is begun, at once and a little later, and wakes when another one has
/// gone on: what it meant to do then is not done.
fn scenarios_02_and_03_a_paused_driver_wakes_and_is_fenced(lab: &mut Installation) {
    let mut relieved = 0;
    for later in [0, 50, 300] {
        let (pool, epoch) = at(lab);
        let other = if pool == fqdn("pool1") { fqdn("pool2") } else { fqdn("pool1") };
        let mut driver = lab.daemons.remove(CONTROLLERS[0]).expect("it runs");
        let before = operations_by(lab, CONTROLLERS[1]).len();
        let last = thread::scope(|scope| {
            let command = scope.spawn(|| route(lab, &["switchover", "--to", &other, "--no-wait", "--why", "paused"]));
            let is_so = |is_so: &dyn Fn(&Value) -> bool| {
                let began = Instant::now();
                loop {
                    let all = operations_by(lab, CONTROLLERS[1]);
                    if let Some(last) = all.first().filter(|last| all.len() > before && is_so(last)) {
                        return last.clone();
                    }
                    assert!(began.elapsed() < REST, "{:#?}", all.first());
                }
            };
            is_so(&|_| true);
            thread::sleep(Duration::from_millis(later));
            pause(&mut driver, &lab.folder().join("store.db"));
            let last = is_so(&|last| last["state"] == "done" || last["state"] == "rolled-back");
            driver.signal(Signal::SIGCONT).expect("it wakes");
            command.join().expect("no panic");
            last
        });
        lab.daemons.insert(CONTROLLERS[0], driver);
        lab.wait_until_well().expect("all is well again");
        let now = rested(lab, &["done", "rolled-back"]);
        assert_eq!((&now["number"], &now["journal"]), (&last["number"], &last["journal"]), "who woke has written");
        let moved = last["state"] == "done";
        assert_eq!(at(lab), if moved { (other, epoch + 1) } else { (pool, epoch) }, "{last:#}");
        relieved += usize::from(last["driver"] == fqdn(CONTROLLERS[1]));
    }
    assert!(relieved >= 2, "it was done before it could be paused: {relieved}");
}

/// The operations, as another controller has them than the one that is asked first.
fn operations_by(lab: &Installation, controller: &str) -> Vec<Value> {
    let address = lab.ground.machine(controller).internal.to_string();
    let told = lab.fedge(&["--controller", &address, "route", "history", "--json"]).expect("the history");
    serde_json::from_str(&told).expect("JSON")
}

/// The target dies between commit and verification: the route goes back to the pool that still serves, with a later epoch.
fn scenario_22_the_target_dies_after_the_commit(lab: &mut Installation) {
    let (pool, epoch) = at(lab);
    let (other, edges) = if pool == fqdn("pool1") { POOLS[1] } else { POOLS[0] };
    let target = fqdn(other);
    let victims: Vec<_> = edges.iter().map(|edge| lab.daemons.remove(edge).expect("it runs")).collect();
    thread::scope(|scope| {
        let command = scope.spawn(|| route(lab, &["switchover", "--to", &target, "--why", "it dies"]));
        let began = Instant::now();
        // By what members go, not by what the command says: they are told right after the commit.
        while at(lab).1 == epoch {
            assert!(began.elapsed() < REST, "it was never committed");
        }
        drop(victims);
        println!("{:?}", command.join().expect("no panic"));
    });
    let last = rested(lab, &["done", "rolled-back", "degraded"]);
    let (now, then) = at(lab);
    println!("{last:#}");
    if now == pool {
        assert_eq!(then, epoch + 2, "not back to the epoch of before");
    } else {
        // It was seen to serve before it died: then the operation was done, and this is the next disaster.
        assert_eq!((now, then), (target, epoch + 1));
        let (status, told) = route(lab, &["failover", "--to", &pool, "--accept", "old-reached"]);
        assert_eq!(status, Some(0), "{told}");
    }
    for edge in edges {
        lab.begin(edge).expect("it starts again");
    }
    lab.wait_until_well().expect("all is well again");
    assert_eq!(at(lab).0, pool);
}

/// A failover while a switchover still drains: it takes over, and the pool that was to finish is open again.
fn scenario_23_a_failover_during_a_switchovers_drain(lab: &Installation) {
    let (pool, epoch) = at(lab);
    let other = if pool == fqdn("pool1") { fqdn("pool2") } else { fqdn("pool1") };
    let (status, told) = route(lab, &["switchover", "--to", &other, "--no-wait", "--why", "planned"]);
    assert!(status == Some(5) || status == Some(0), "{told}");
    rested(lab, &["draining", "done"]);
    let (status, told) = route(lab, &["failover", "--to", &pool, "--accept", "old-dead", "--why", "back at once"]);
    assert_eq!(status, Some(0), "{told}");
    assert_eq!(at(lab), (pool.clone(), epoch + 2));
    let states: Vec<Value> = operations(lab).into_iter().take(2).map(|one| one["state"].clone()).collect();
    assert!(states[0] == "done" && (states[1] == "superseded" || states[1] == "done"), "{states:?}");
    lab.wait_for("the pool with the route serving", |status| {
        let pools = status["sites"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|site| site["pools"].as_array().into_iter().flatten());
        pools
            .filter(|one| one["routed"] == true)
            .any(|one| one["members"].as_array().into_iter().flatten().all(|member| member["service"] == "running"))
    })
    .expect("it comes about");
}

/// Looks into the audit trail for one commit of each epoch, one after another, and whether it is whole.
pub(crate) fn commits_follow(lab: &Installation) {
    let told = lab.fedge(&["audit", "show", "--count", "500", "--json"]).expect("the trail");
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let commits: Vec<u64> = told
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| entry["what"].as_str().is_some_and(|what| what.starts_with("commit ")))
        .filter_map(|entry| {
            entry["after"].as_str()?.split("epoch ").nth(1)?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        })
        .collect();
    assert!(commits.iter().copied().eq(2..2 + commits.len() as u64), "one commit for each epoch: {commits:?}");
    lab.fedge(&["audit", "verify"]).expect("the trail is whole");
}

#[test]
fn whatever_goes_wrong_around_a_move_there_is_one_route_and_nothing_is_lost_silently() {
    let (lab, _folder) = installation();
    let (lab, [outbound, inbound]) = talking(lab, |mut lab| {
        scenario_05_two_operators_in_the_same_second(&lab);
        a_stale_plan_is_refused(&mut lab);
        scenarios_02_and_03_a_paused_driver_wakes_and_is_fenced(&mut lab);
        scenario_23_a_failover_during_a_switchovers_drain(&lab);
        scenario_22_the_target_dies_after_the_commit(&mut lab);
        lab
    });
    println!("said inside: {outbound}; said outside: {inbound}");
    assert!(outbound.lost.is_empty() && outbound.doubled == 0, "{outbound:?}");
    commits_follow(&lab);
    lab.stop().expect("everything ends well");
}
