//! A simulated controller: the real drivers and moves, on its own line to the store and its own ways to members.

use std::sync::Arc;

use api::route::{Move, Wish};
use tokio::sync::Notify;

use super::clock::CLOCKS;
use super::ground::Ground;
use super::keeper::{INSTALLATION, Keeper};
use super::layout::Layout;
use super::names::{Names, Way};
use super::process::Process;
use super::shelf::{Line, Shelf};
use crate::ledger::Ledger;
use crate::publish;
use crate::route::drive::Drivers;
use crate::route::moves::Moves;
use crate::route::operation::Driver;
use crate::route::world::{Reach as _, Real};
use crate::zones::Zones;

/// One run of a controller.
pub(super) struct Controller {
    pub(super) fqdn: String,
    pub(super) process: Process,
    pub(super) line: Arc<Line>,
    pub(super) keeper: Arc<Keeper>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) moves: Arc<Moves<Keeper>>,
    pub(super) zones: Arc<Zones>,
    ground: Ground,
}

impl Controller {
    /// The run `life` of the controller with that number.
    pub(super) fn start(
        (ground, names): (&Ground, &Names),
        shelf: &Shelf,
        number: usize,
        life: u64,
        deaf: bool,
    ) -> Controller {
        let (fqdn, process) = (Layout::controller(number), Process::new());
        let line = Arc::new(Line::new(shelf.clone(), &fqdn, life, process.clone(), deaf));
        let ledger = Ledger::new(line.clone(), &fqdn, life, CLOCKS[number]).expect("a name");
        let ledger = Arc::new(ledger);
        let keeper = Arc::new(Keeper::new(ledger.clone(), ground.clone(), process.clone(), &fqdn));
        let nudge = Arc::<Notify>::default();
        let way = Arc::new(Way::new(names, ground, &process, Some(keeper.clone()), &fqdn));
        let zones = Arc::new(Zones::new(ledger.clone(), INSTALLATION, way, nudge.clone()));
        let world = Arc::new(Real::new(keeper.clone(), zones.clone(), nudge.clone()));
        let driver = Driver { controller: fqdn.clone(), life, beat: 0 };
        let drivers = Drivers::new(ledger.clone(), world.clone(), driver.clone(), nudge.clone());
        let moves = Arc::new(Moves::new(ledger.clone(), keeper.clone(), world, driver, nudge));
        process.spawn(keeper.clone().keep());
        process.spawn(drivers.run());
        let known = keeper.clone();
        process.spawn(zones.clone().keep(move || known.picture().current));
        Controller { fqdn, process, line, keeper, ledger, moves, zones, ground: ground.clone() }
    }

    /// Somebody asks it to do this, and it does it as long as it is there.
    pub(super) fn asked(&self, what: impl Future<Output = String> + Send + 'static) {
        let (trace, fqdn) = (self.ground.trace.clone(), self.fqdn.clone());
        self.process.spawn(async move {
            let answer = what.await;
            trace.say(format_args!("{fqdn} answers: {answer}"));
        });
    }

    /// An administrator wants a move, perhaps by a plan that was looked at.
    pub(super) fn begin(&self, wish: Wish, planned: bool, who: &str) {
        let (moves, who) = (self.moves.clone(), who.to_owned());
        self.asked(async move {
            let plan = match planned {
                true => match moves.plan(&wish).await {
                    Ok(plan) => Some(plan.hash),
                    Err(error) => return error.to_string(),
                },
                false => None,
            };
            let asked = Move { wish, plan, why: "a simulation".to_owned() };
            match moves.begin(&asked, &who).await {
                Ok(begun) => match begun.operation {
                    Some(number) => format!("operation {number} to {}", begun.plan.to),
                    None => {
                        let refusals: Vec<&str> =
                            begun.plan.refusals().map(|condition| condition.code.as_str()).collect();
                        format!("refused: {}", refusals.join(", "))
                    }
                },
                Err(error) => error.to_string(),
            }
        });
    }

    pub(super) fn abort(&self, number: u64, who: &str) {
        let (moves, who) = (self.moves.clone(), who.to_owned());
        self.asked(async move {
            match moves.abort(number, &who).await {
                Ok(operation) => format!("operation {number} is {}", operation.state),
                Err(error) => error.to_string(),
            }
        });
    }

    pub(super) fn resume(&self, number: u64, who: &str) {
        let (moves, who) = (self.moves.clone(), who.to_owned());
        self.asked(async move {
            match moves.resume(number, &who).await {
                Ok(operation) => format!("operation {number} goes on, {}", operation.state),
                Err(error) => error.to_string(),
            }
        });
    }

    /// An administrator has zones hold what they should.
    pub(super) fn apply(&self, who: &str) {
        let (zones, ledger, who) = (self.zones.clone(), self.ledger.clone(), who.to_owned());
        self.asked(async move {
            let current = match publish::current(&ledger).await {
                Ok(Some(current)) => current,
                Ok(None) => return "there is no topology".to_owned(),
                Err(error) => return error.to_string(),
            };
            let mut told = Vec::new();
            for contents in zones.wanted(&current) {
                match zones.apply(&contents, false, (&who, "a simulation")).await {
                    Ok(applied) => told.push(format!("{applied:?}")),
                    Err(error) => told.push(error.to_string()),
                }
            }
            told.join("; ")
        });
    }

    /// An administrator publishes a topology.
    pub(super) fn publish(&self, layout: &Layout, who: &str) {
        let (ledger, document, who) = (self.ledger.clone(), layout.document(), who.to_owned());
        self.asked(async move {
            match publish::publish(&ledger, &who, &document, None, "a simulation").await {
                Ok(published) => format!("version {}", published.version),
                Err(error) => error.to_string(),
            }
        });
    }
}
