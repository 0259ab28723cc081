//! Controllers with their real drivers and moves in one virtual time, on a store that loses answers, with members that die,
//! freeze and come back, in many lives by seed.
//!
//! `FEDGE_SEED=17` lives one of them and says what happened in it; `FEDGE_OPERATIONS=10000` lives until so many operations
//! were begun.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

mod clock;
mod controller;
mod edge;
mod events;
mod ground;
mod judge;
mod keeper;
mod layout;
mod life;
mod matrix;
mod names;
mod naming;
mod process;
mod random;
mod scenarios;
mod shelf;
mod trace;

use life::{Life, Summary};

/// Operations that are begun where nobody asks for more.
const OPERATIONS: u64 = 300;

/// After so many operations it is said how far it is.
const TELLS: u64 = 1_000;

/// Goes through this in a time of its own.
fn virtually<F: Future>(what: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(what)
}

fn live(seed: u64) -> Result<Summary, String> {
    virtually(Life::live(seed))
}

fn asked(variable: &str) -> Option<u64> {
    Some(std::env::var(variable).ok()?.parse().expect("a number"))
}

#[test]
fn every_operation_comes_to_rest_and_no_epoch_is_committed_twice() {
    if let (Some(seed), None) = (asked("FEDGE_SEED"), asked("FEDGE_OPERATIONS")) {
        let summary = live(seed).unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        return println!("{}\n{:?}", summary.trace, summary.ends);
    }
    let began = Instant::now();
    let wanted = asked("FEDGE_OPERATIONS").unwrap_or(OPERATIONS);
    let first = asked("FEDGE_SEED").unwrap_or_default();
    let (mut begun, mut epochs, mut ends) = (0, 0, BTreeMap::<&str, u64>::new());
    let mut seed = first;
    while begun < wanted {
        let summary = live(seed).unwrap_or_else(|fault| panic!("FEDGE_SEED={seed}: {fault}"));
        if begun / TELLS < (begun + summary.begun) / TELLS {
            println!("{} of {wanted} operations, after {:.0?}", begun + summary.begun, began.elapsed());
        }
        (begun, epochs) = (begun + summary.begun, epochs + summary.epochs - 1);
        for (state, count) in summary.ends {
            *ends.entry(state).or_default() += count;
        }
        seed += 1;
    }
    println!(
        "seeds {first} to {}: {begun} operations in {:?}, {epochs} of them committed: {ends:?}",
        seed - 1,
        began.elapsed()
    );
    for state in ["done", "rolled-back", "superseded"] {
        assert!(ends.get(state).is_some_and(|count| *count > 0), "the simulation does something: {ends:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(3600));
}

#[test]
fn the_same_seed_is_the_same_life() {
    for seed in [3, 7] {
        let told = || live(seed).map(|summary| summary.trace);
        assert_eq!(told(), told());
    }
}
