//! Operations driven on: by any controller, one at a time, until they come to rest; what a driver leaves, another goes on with.

use std::sync::Arc;
use std::time::Duration;

use api::route::{Kind, State};
use store::{Expect, Keys, StoreError};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::next::{Moment, Next, next};
use super::operation::{Driver, Operation};
use super::world::World;
use super::writing::{Beginning, Held};
use crate::ledger::Ledger;
use crate::records;

/// Between two looks while an operation is driven.
const LOOK: Duration = Duration::from_millis(100);
/// While there is none, or somebody else drives it; hints come sooner.
const IDLE: Duration = Duration::from_secs(1);
/// A driver shows that it is there so often.
const BEAT: Duration = Duration::from_secs(1);
/// Whoever hasn't for so long is gone, and another takes over. It is fenced: what it writes later finds another writing.
const GONE: Duration = Duration::from_secs(4);

/// What is not demanded when a move is taken back: all that could be accepted, but that somebody has seen the old pool's port.
pub(crate) const TAKING_BACK: [&str; 11] = [
    "old-dead",
    "old-reached",
    "target-whole",
    "target-capacity",
    "gateways-whole",
    "next-hops",
    "clocks",
    "dns-reached",
    "dns-ours",
    "dns-current",
    "dns-writable",
];

/// A controller that drives operations.
pub struct Drivers<W> {
    ledger: Arc<Ledger>,
    world: Arc<W>,
    own: Driver,
    nudge: Arc<Notify>,
}

/// What a driver remembers of the operation before it.
#[derive(Debug)]
struct Memory {
    number: u64,
    /// The last writing of it, and when it was first seen.
    written: (Expect, Instant),
    /// Its state, and when it was first seen.
    state: (State, Instant),
    /// The same, and nothing sets it back but a gap.
    entered: Instant,
    /// What the target had taken in when the commit was first seen.
    stanzas: Option<u64>,
    /// Since when this driver has driven it without a gap, and when it did last; nothing while another does.
    driven: Option<(Instant, Instant)>,
}

impl Memory {
    fn of(held: &Held, operation: &Operation, now: Instant) -> Memory {
        Memory {
            number: operation.number,
            written: (held.written(), now),
            state: (operation.state, now),
            entered: now,
            stanzas: None,
            driven: None,
        }
    }

    /// It is ours to drive, and how it is has been looked at now; says for how long that has been so. Who wasn't the driver, or
    /// stood still, hasn't seen what there was to be seen meanwhile, and waits for everything anew.
    fn drive(&mut self, now: Instant) -> Duration {
        let since = self.driven.filter(|(_, last)| now.duration_since(*last) < GONE).map(|(since, _)| since);
        if since.is_none() {
            (self.state.1, self.entered) = (now, now);
        }
        let since = since.unwrap_or(now);
        self.driven = Some((since, now));
        now.duration_since(since)
    }

    fn see(&mut self, held: &Held, operation: &Operation, now: Instant) {
        if self.number != operation.number {
            *self = Memory::of(held, operation, now);
        }
        if self.written.0 != held.written() {
            self.written = (held.written(), now);
        }
        if self.state.0 != operation.state {
            self.entered = now;
        }
        // While it waits for somebody, its time doesn't run.
        if self.state.0 != operation.state || operation.needs.is_some() {
            self.state = (operation.state, now);
        }
    }
}

impl<W: World> Drivers<W> {
    /// For this controller. A look is taken at once when `nudge` is notified.
    pub fn new(ledger: Arc<Ledger>, world: Arc<W>, own: Driver, nudge: Arc<Notify>) -> Drivers<W> {
        Drivers { ledger, world, own, nudge }
    }

    /// Drives whatever operation there is, for as long as it is awaited.
    pub async fn run(self) {
        let mut hints = self.ledger.store().watch(&Keys::One(records::route()));
        let mut memory = None;
        loop {
            let pause = match self.turn(&mut memory).await {
                Ok(pause) => pause,
                // Somebody else wrote first; how it is now must be read.
                Err(StoreError::Conflict(_)) => LOOK,
                Err(error) => {
                    tracing::warn!(%error, "an operation can't be driven on now");
                    IDLE
                }
            };
            tokio::select! {
                biased;
                () = self.nudge.notified() => {}
                () = hints.next(), if pause > LOOK => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Takes one step, where there is one to take, and says how long to wait before the next.
    async fn turn(&self, memory: &mut Option<Memory>) -> Result<Duration, StoreError> {
        let now = Instant::now();
        let held = Held::read(&self.ledger).await?;
        let Some((held, operation)) = held.and_then(|held| held.operation.clone().map(|operation| (held, operation)))
        else {
            *memory = None;
            self.world.rest();
            return Ok(IDLE);
        };
        let seen = memory.get_or_insert_with(|| Memory::of(&held, &operation, now));
        seen.see(&held, &operation, now);
        let driver = &operation.driver;
        if (&driver.controller, driver.life) != (&self.own.controller, self.own.life) {
            // An earlier run of this process is certainly gone.
            let gone = driver.controller == self.own.controller || now.duration_since(seen.written.1) >= GONE;
            seen.driven = None;
            if !gone {
                return Ok(IDLE.min(GONE / 4));
            }
            self.take_over(&held, operation).await?;
            return Ok(Duration::ZERO);
        }
        self.step(&held, operation, seen, now).await
    }

    async fn take_over(&self, held: &Held, mut operation: Operation) -> Result<(), StoreError> {
        let before = std::mem::replace(&mut operation.driver, self.own.clone());
        let what = if before.controller == self.own.controller {
            format!("{} goes on after it was started again", self.own.controller)
        } else {
            format!("{} goes on, since {} isn't heard any more", self.own.controller, before.controller)
        };
        tracing::info!(operation = operation.number, what, "an operation is taken over");
        operation.note(self.ledger.now(), what);
        held.beat(&self.ledger, &operation).await
    }

    async fn step(
        &self,
        held: &Held,
        mut operation: Operation,
        memory: &mut Memory,
        now: Instant,
    ) -> Result<Duration, StoreError> {
        let Some(current) = self.world.current().await?.filter(|current| held.is(current)) else {
            // The hint that brings it here may have been lost.
            self.world.look_now();
            return Ok(LOOK / 2);
        };
        let looked = memory.drive(now);
        let sight = self.world.sight(&current, &operation);
        let taken = sight.edges(&operation.to).fold(0_u64, |sum, (_, facts)| sum.saturating_add(facts.stanzas));
        let stanzas = if operation.state.is_committed() { *memory.stanzas.get_or_insert(taken) } else { taken };
        let uncertain = self.world.uncertain();
        let moment = Moment {
            operation: &operation,
            uncertain: uncertain.as_deref(),
            declared: crate::publish::has_pool(&current.topology, &operation.to),
            sight: &sight,
            waited: now.duration_since(memory.state.1),
            stayed: now.duration_since(memory.entered),
            looked,
            stanzas,
        };
        let at = self.ledger.now();
        match next(&moment) {
            Next::Enter(state, why) => {
                tracing::info!(operation = operation.number, %state, why, "an operation goes on");
                operation.enter(state, at, why);
                held.entered(&self.ledger, &operation).await?;
                return Ok(Duration::ZERO);
            }
            Next::Commit => {
                let what = format!("{} is the route, with epoch {}", operation.to, operation.epoch);
                tracing::info!(operation = operation.number, what, "an operation is committed");
                held.commit(&self.ledger, &operation, &what).await?;
                self.world.look_now();
                return Ok(Duration::ZERO);
            }
            Next::TakeBack(why) => {
                tracing::warn!(operation = operation.number, why, "an operation is taken back");
                let taking_back = Beginning {
                    kind: Kind::Failover,
                    to: operation.from.clone(),
                    plan: format!("takes back operation {}", operation.number),
                    accepted: TAKING_BACK.map(str::to_owned).to_vec(),
                    who: self.own.controller.clone(),
                    why,
                    takes_back: Some(operation.number),
                };
                held.begin(&self.ledger, &taking_back, self.own.clone()).await?;
                return Ok(Duration::ZERO);
            }
            Next::Drain(edges) => {
                operation.note(at, format!("{} are told to finish what they have", edges.join(", ")));
                held.beat(&self.ledger, &operation).await?;
                edges.iter().for_each(|edge| self.world.drain(edge, operation.epoch));
                return Ok(LOOK);
            }
            Next::Publish(zones, what) => {
                self.world.publish(&current, &operation, &zones);
                (operation.waits, operation.needs) = (Some(what), None);
            }
            Next::Wait(what) => (operation.waits, operation.needs) = (Some(what), None),
            Next::Await(need, what) => (operation.waits, operation.needs) = (Some(what), Some(need)),
        }
        let changed = held
            .operation
            .as_ref()
            .is_none_or(|before| (&before.waits, before.needs) != (&operation.waits, operation.needs));
        if changed || now.duration_since(memory.written.1) >= BEAT {
            operation.driver.beat += 1;
            held.beat(&self.ledger, &operation).await?;
        }
        Ok(LOOK)
    }
}

impl<W> std::fmt::Debug for Drivers<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drivers").field("controller", &self.own.controller).finish_non_exhaustive()
    }
}
