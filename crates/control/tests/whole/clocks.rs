//! Clocks that jump by an hour or a day while the route is moved: that of the controller which drives the move, before its commit
//! and in its drain, and that of a gateway. What is seen of it is named, the route has one epoch for each commit, and nobody who
//! talks notices.

use std::time::Instant;

use api::route::State;
use serde_json::Value;
use testkit::clock::{Clock, PACKAGES};
use testkit::lab::installation::{CONTROLLERS, GATEWAYS, Installation, fqdn};
use testkit::packages::Debian;

use crate::faults::{REST, at, commits_follow, rested};
use crate::load::{assert_unnoticed, installation, talking};
use crate::moments::struck_at;
use crate::moves::{carrying, route};

const HOUR: i64 = 3600;
const JUMPS: [i64; 4] = [HOUR, -24 * HOUR, 24 * HOUR, -HOUR];
/// So often it is tried to hit a moment.
const TRIES: usize = 8;

fn other(lab: &Installation) -> &'static str {
    if at(lab).0 == fqdn("pool1") { "pool2" } else { "pool1" }
}

/// Starts it again with a clock of its own.
fn with_a_clock(lab: &mut Installation, debian: &Debian, name: &'static str) -> Clock {
    lab.end(name).expect("it ends");
    let clock = Clock::new(debian, &lab.folder().join(name).join("clock")).expect("a clock");
    lab.clocks.insert(name, clock.clone());
    lab.begin(name).expect("it starts");
    clock
}

/// The longest step between two lines of a journal, in seconds, forwards or backwards.
fn longest_step(operation: &Value) -> f64 {
    let lines = operation["journal"].as_array().expect("a journal");
    let times: Vec<f64> = lines.iter().map(|line| line["at"].as_f64().expect("a time") / 1000.0).collect();
    times.windows(2).map(|two| (two[1] - two[0]).abs()).fold(0.0, f64::max)
}

/// The driver's clock jumps at that moment of a move. Gives whether it was hit.
fn the_drivers_clock_jumps(lab: &mut Installation, clock: &Clock, jump: i64, moment: &[State]) -> bool {
    let ((pool, epoch), to) = (at(lab), other(lab));
    let (target, store) = (fqdn(to), lab.folder().join("store.db"));
    let arguments = ["switchover", "--to", &target, "--no-wait", "--why", "a clock jumps"];
    let hit = struck_at(lab, &store, &arguments, moment, || clock.jump(jump).expect("it is set"));
    let last = rested(lab, &["done", "rolled-back", "degraded"]);
    println!("{jump} s in {hit:?}: {last:#}");
    if last["state"] == "rolled-back" {
        // All others seem to be off: that is said, and nothing was moved.
        let why = last["journal"].as_array().and_then(|lines| lines.last()).map(|line| line["what"].to_string());
        assert!(why.is_some_and(|why| why.contains("clocks")) && !hit.expect("a jump").is_committed(), "{last:#}");
        assert_eq!(at(lab), (pool, epoch));
    } else {
        assert_eq!(at(lab), (target, epoch + 1), "{last:#}");
    }
    if hit.is_some() {
        let (step, least) = (longest_step(&last), jump.abs() as f64 * 0.9);
        assert!(step > least, "it didn't jump: {last:#}");
    }
    clock.jump(0).expect("it is set");
    if last["state"] == "degraded" {
        // Members refuse it, so it can't be seen whether the target serves: that is said, and looked at when the clock is right.
        let why = last["journal"].as_array().and_then(|lines| lines.last()).map(|line| line["what"].to_string());
        assert!(why.is_some_and(|why| why.contains("clocks")), "{last:#}");
        rested(lab, &["done"]);
    }
    lab.wait_until_well().expect("all is well again");
    hit.is_some()
}

/// A gateway's clock jumps: a move is refused and says whose clock it is; accepted so, it is made, by that gateway too.
fn a_gateways_clock_jumps(lab: &mut Installation, clock: &Clock, jump: i64) {
    let (epoch, to) = (at(lab).1, other(lab));
    let target = fqdn(to);
    clock.jump(jump).expect("it is set");
    let way = if jump < 0 { "behind" } else { "ahead" };
    let began = Instant::now();
    let seen = loop {
        let (_, told) = route(lab, &["plan", "--to", &target, "--json"]);
        let plan: Value = serde_json::from_str(&told).expect("JSON");
        let mut conditions = plan["conditions"].as_array().expect("conditions").iter();
        if let Some(clocks) = conditions.find(|one| one["code"] == "clocks" && one["holds"] == false) {
            break clocks["seen"].as_str().expect("what was seen").to_owned();
        }
        assert!(began.elapsed() < REST, "nobody notices: {plan:#}");
    };
    assert!(seen.contains(&fqdn(GATEWAYS[0])) && seen.contains(way), "{seen}");
    let (status, told) = route(lab, &["switchover", "--to", &target, "--why", "a clock is off"]);
    assert!(status == Some(2) && told.contains("clocks"), "{told}");
    // Where it takes the controllers' certificates for those of another time, it can't be asked to look at next hops either.
    let accepted = ["--accept", "clocks", "--accept", "next-hops"];
    let arguments = [&["switchover", "--to", &target, "--why", "a clock is off"], &accepted[..]].concat();
    let (status, told) = route(lab, &arguments);
    assert_eq!(status, Some(0), "{told}");
    assert_eq!(at(lab), (target.clone(), epoch + 1));
    assert!(carrying(lab).contains(&to));
    let told = lab.ask(GATEWAYS[0], &["status"]).expect("it answers");
    assert!(told.contains(&format!("the route is on {target}")), "{told}");
    clock.jump(0).expect("it is set");
    lab.wait_until_well().expect("all is well again");
}

#[test]
fn clocks_jump_during_a_move_and_nobody_who_talks_notices() {
    let debian = Debian::unpack(&Debian::usual_folder(), PACKAGES, &mut |what| println!("{what}"));
    let debian = debian.expect("a package");
    let (mut lab, _folder) = installation();
    let [driver, gateway] = [CONTROLLERS[0], GATEWAYS[0]].map(|name| with_a_clock(&mut lab, &debian, name));
    lab.wait_until_well().expect("all is well");
    let (lab, tallies) = talking(lab, move |mut lab| {
        for jump in JUMPS {
            for moment in [&[State::Preparing, State::Ready][..], &[State::Draining]] {
                let mut hits = |_| the_drivers_clock_jumps(&mut lab, &driver, jump, moment);
                assert!((0..TRIES).any(&mut hits), "{moment:?} was never hit");
            }
            a_gateways_clock_jumps(&mut lab, &gateway, jump);
        }
        lab
    });
    assert_unnoticed(&tallies);
    commits_follow(&lab);
    lab.stop().expect("everything ends well");
}
