//! The federation route: what a move would do, whether it may be made, and making it, step by step, until it is seen.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::ledger::Ledger;
use crate::members::Members;
use crate::zones::Zones;

pub mod conditions;
pub mod drive;
pub mod inside;
pub mod moves;
pub mod next;
pub mod operation;
pub mod outside;
pub mod plan;
pub mod sight;
#[cfg(test)]
mod testing;
pub mod world;
pub mod writing;

/// Drives operations from now on, as one of `tasks`, and gives what is asked of the route. `controller` is its name, and what
/// tells this run of its process from others; `nudge` has it look at once.
pub fn open(
    ledger: &Arc<Ledger>,
    members: &Arc<Members>,
    zones: &Arc<Zones>,
    controller: (&str, u64),
    nudge: Arc<Notify>,
    tasks: &mut JoinSet<()>,
) -> moves::Moves {
    let (controller, life) = controller;
    let world = Arc::new(world::Real::new(members.clone(), zones.clone(), nudge.clone()));
    let driver = operation::Driver { controller: controller.to_owned(), life, beat: 0 };
    let drivers = drive::Drivers::new(ledger.clone(), world.clone(), driver.clone(), nudge.clone());
    tasks.spawn(drivers.run());
    moves::Moves::new(ledger.clone(), members.clone(), world, driver, nudge)
}
