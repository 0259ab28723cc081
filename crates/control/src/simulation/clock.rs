//! The time of a simulation, and the clocks of controllers, each of which may jump.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// When simulations begin: milliseconds since 1970.
const BEGIN: i64 = 1_900_000_000_000;

thread_local! {
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
    static JUMPED: [Cell<i64>; 3] = const { [Cell::new(0), Cell::new(0), Cell::new(0)] };
}

/// The clocks of as many controllers as there may be. They are functions, as a ledger wants one.
pub(super) const CLOCKS: [fn() -> u64; 3] = [|| now(0), || now(1), || now(2)];

/// A simulation begins on this thread.
pub(super) fn begin() {
    BEGAN.set(Some(Instant::now()));
    JUMPED.with(|jumped| jumped.iter().for_each(|jumped| jumped.set(0)));
}

/// How long the simulation that runs here has been going on.
pub(super) fn elapsed() -> Duration {
    BEGAN.get().map(|began| began.elapsed()).unwrap_or_default()
}

/// A controller's clock is set by so many milliseconds.
pub(super) fn jump(controller: usize, by: i64) {
    JUMPED.with(|jumped| jumped[controller].set(jumped[controller].get() + by));
}

/// What members' clocks say, which don't jump: milliseconds since 1970.
pub(super) fn true_now() -> u64 {
    shifted(0)
}

fn now(controller: usize) -> u64 {
    shifted(JUMPED.with(|jumped| jumped[controller].get()))
}

fn shifted(by: i64) -> u64 {
    let passed = i64::try_from(elapsed().as_millis()).unwrap_or(i64::MAX / 2);
    u64::try_from(BEGIN + passed + by).unwrap_or_default()
}
