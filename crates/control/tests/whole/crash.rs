//! The controller that drives a move is killed at one moment after another of it, while people talk: the other one goes on, the
//! operation comes to rest, and nobody notices.

use std::thread;
use std::time::{Duration, Instant};

use testkit::lab::installation::{CONTROLLERS, Installation, fqdn};

use crate::load::{assert_unnoticed, installation, talking};
use crate::moves::{operations, route};

/// After the command's start, in milliseconds: before the operation is begun, at each of its steps, and after it.
const MOMENTS: [u64; 10] = [20, 150, 400, 650, 750, 850, 1000, 1300, 1800, 2400];
/// It is to rest within 10 s; a machine that does much else gets more.
const REST: Duration = Duration::from_secs(60);

/// Moves the route to the other pool, kills the controller that is asked at that moment, and starts it again when the operation
/// rests. Gives the state that it rests in, and how long after the kill; nothing where it wasn't begun.
fn killed_at(lab: &mut Installation, moment: Duration, to: &str) -> Option<(String, Duration)> {
    let before = operations(lab).len();
    let target = fqdn(to);
    let victim = lab.daemons.remove(CONTROLLERS[0]).expect("it runs");
    let (status, killed) = thread::scope(|scope| {
        let command = scope.spawn(|| route(lab, &["switchover", "--to", &target, "--why", "a crash"]));
        thread::sleep(moment);
        drop(victim);
        let killed = Instant::now();
        (command.join().expect("no panic"), killed)
    });
    let rested = loop {
        let all = operations(lab);
        let Some(last) = all.first().filter(|_| all.len() > before) else { break None };
        let state = last["state"].as_str().expect("a state").to_owned();
        if ["done", "rolled-back", "superseded"].contains(&state.as_str()) {
            break Some((state, killed.elapsed()));
        }
        assert!(killed.elapsed() < REST, "{last:#}");
        thread::sleep(Duration::from_millis(20));
    };
    println!(
        "killed after {moment:.2?}: {rested:?}; the command: {:?} {}",
        status.0,
        status.1.lines().last().unwrap_or_default()
    );
    lab.begin(CONTROLLERS[0]).expect("it starts again");
    lab.wait_until_well().expect("all is well again");
    rested
}

#[test]
fn whenever_its_controller_is_killed_a_move_comes_to_rest_and_nobody_notices() {
    let (lab, _folder) = installation();
    let (lab, tallies) = talking(lab, |mut lab| {
        let mut at = "pool1";
        for moment in MOMENTS {
            let to = if at == "pool1" { "pool2" } else { "pool1" };
            let rested = killed_at(&mut lab, Duration::from_millis(moment), to);
            if rested.as_ref().is_some_and(|(state, _)| state == "done") {
                at = to;
            }
            let (_, told) = route(&lab, &["show"]);
            assert!(told.contains(&format!("the route is on {}", fqdn(at))), "{rested:?}: {told}");
        }
        lab
    });
    let mut epochs: Vec<u64> = operations(&lab)
        .iter()
        .filter(|operation| operation["state"] == "done")
        .map(|operation| operation["epoch"].as_u64().expect("an epoch"))
        .collect();
    epochs.reverse();
    assert!(epochs.len() > MOMENTS.len() / 2, "most of them were begun: {epochs:?}");
    assert!(epochs.iter().copied().eq(2..2 + epochs.len() as u64), "one commit for each epoch: {epochs:?}");
    assert_unnoticed(&tallies);
    lab.fedge(&["audit", "verify"]).expect("the trail is whole");
    lab.stop().expect("everything ends well");
}
