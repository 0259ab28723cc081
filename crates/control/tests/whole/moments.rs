//! Moments of a move, seen in the store itself: controllers stand still at one of them, so that something happens just then.

use std::thread;
use std::time::Instant;

use api::route::State;
use control::ledger::Ledger;
use control::route::writing;
use nix::sys::signal::Signal;
use testkit::lab::installation::{CONTROLLERS, Installation};
use tokio::runtime::Runtime;

use crate::faults::REST;
use crate::moves::route;

/// An eye on the store's file.
struct Eye {
    ledger: Ledger,
    runtime: Runtime,
}

impl Eye {
    fn on(file: &std::path::Path) -> Eye {
        let store = store::open(&format!("sqlite:{}", file.display())).expect("a store");
        let ledger = Ledger::new(store, "a.test", 0, || 0).expect("a name");
        Eye { ledger, runtime: Runtime::new().expect("threads") }
    }

    /// The number of the last operation.
    fn last(&self) -> u64 {
        self.runtime.block_on(writing::last(&self.ledger)).expect("it can be read")
    }

    /// The state of the operation with that number. One key is read, so that no state is too short to be seen.
    fn state(&self, number: u64) -> Option<State> {
        let read = self.runtime.block_on(writing::operation(&self.ledger, number));
        read.expect("it can be read").map(|operation| operation.state)
    }
}

/// Begins a move with `fedge route …`, has both controllers stand still once it is in one of these states, and, if it still is
/// when they do, does `strike` before they go on. Gives the state then; nothing where they were faster.
pub(crate) fn struck_at(
    lab: &mut Installation,
    store: &std::path::Path,
    arguments: &[&str],
    states: &[State],
    strike: impl FnOnce(),
) -> Option<State> {
    let eye = Eye::on(store);
    let number = eye.last() + 1;
    let mut controllers = CONTROLLERS.map(|name| lab.daemons.remove(name).expect("it runs"));
    let still = &*lab;
    let hit = thread::scope(|scope| {
        let command = scope.spawn(|| route(still, arguments));
        let began = Instant::now();
        loop {
            let state = eye.state(number);
            if state.is_some_and(|state| states.contains(&state) || state.is_over()) {
                break;
            }
            if command.is_finished() && eye.state(number).is_none() {
                panic!("it wasn't begun: {:?}", command.join());
            }
            assert!(began.elapsed() < REST, "it stays {state:?}");
        }
        controllers.iter_mut().for_each(|one| one.signal(Signal::SIGSTOP).expect("it is stopped"));
        let hit = eye.state(number).filter(|state| states.contains(state));
        if hit.is_some() {
            strike();
            assert_eq!(eye.state(number), hit, "nobody is there who could have gone on");
        }
        controllers.iter_mut().for_each(|one| one.signal(Signal::SIGCONT).expect("it goes on"));
        println!("{}: {:?}", arguments.join(" "), command.join().expect("no panic"));
        hit
    });
    lab.daemons.extend(CONTROLLERS.into_iter().zip(controllers));
    hit
}
