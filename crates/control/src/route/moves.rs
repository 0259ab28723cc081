//! Moves as they are asked for: planned from a look at everything, begun, aborted, gone on with.

use std::sync::Arc;
use std::time::Duration;

use api::route::{Begun, Condition, Kind, Move, Plan, Route, State, Verified, Wish};
use store::StoreError;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::conditions::{Ground, conditions};
use super::operation::{Driver, Operation, may_be_superseded};
use super::plan::{Known, PlanError, plan, pools, target};
use super::sight::{Facts, Sight};
use super::world::{Reach, Real, World as _};
use super::writing::{self, Beginning, Held};
use crate::audit::Deed;
use crate::ledger::Ledger;
use crate::members::Members;
use crate::publish::{self, Current};
use crate::zones::told;

/// Whoever is there says how it is within so long, or counts as gone.
const HEARD: Duration = Duration::from_millis(1500);
/// For probes of the target besides.
const PROBED: Duration = Duration::from_secs(5);
/// Between two looks whether all is there.
const LOOK: Duration = Duration::from_millis(25);
/// What name servers said longer ago isn't shown of an operation, but for the first time.
const SHOWN: Duration = Duration::from_secs(2);
/// How often a beginning is tried again when somebody else changed something else meanwhile.
const ATTEMPTS: usize = 5;

/// Why a move isn't made, planned or changed.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// There is no topology yet.
    #[error("there is no topology yet")]
    NoTopology,
    /// It can't be planned.
    #[error("{0}")]
    Plan(#[from] PlanError),
    /// Something has changed since it was planned.
    #[error("the plan {asked} is not what would be done now, which is {now}: something has changed since")]
    Stale {
        /// The plan that was to be carried out.
        asked: String,
        /// What would come of it now.
        now: String,
    },
    /// Somebody else was first.
    #[error(
        "operation {number} was begun while this move was being looked at; the route is now with {pool}, epoch {epoch}"
    )]
    Overtaken {
        /// Theirs.
        number: u64,
        /// The pool that carries the route.
        pool: String,
        /// Its epoch.
        epoch: u64,
    },
    /// There is no such operation.
    #[error("there is no operation {0}")]
    NoOperation(u64),
    /// It is too late.
    #[error("operation {number} is {state}, and can't be aborted any more: {pool} is the route")]
    Committed {
        /// The operation.
        number: u64,
        /// Its state.
        state: State,
        /// Its target.
        pool: String,
    },
    /// It is over.
    #[error("operation {number} is over: it is {state}")]
    Over {
        /// The operation.
        number: u64,
        /// Its state.
        state: State,
    },
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// What is asked of the route.
#[derive(Debug)]
pub struct Moves<M = Members> {
    ledger: Arc<Ledger>,
    members: Arc<M>,
    world: Arc<Real<M>>,
    driver: Driver,
    nudge: Arc<Notify>,
}

impl<M: Reach> Moves<M> {
    /// With the driver that carries out here what is begun here; `nudge` wakes it.
    pub fn new(
        ledger: Arc<Ledger>,
        members: Arc<M>,
        world: Arc<Real<M>>,
        driver: Driver,
        nudge: Arc<Notify>,
    ) -> Moves<M> {
        Moves { ledger, members, world, driver, nudge }
    }

    /// What such a move would do.
    ///
    /// # Errors
    /// When it can't be told.
    pub async fn plan(&self, wish: &Wish) -> Result<Plan, MoveError> {
        let mut attempts = 0;
        loop {
            let (held, current) = self.read().await?;
            let sight = self.look(&current, Some(target(&current.topology, wish)?)).await;
            if attempts < ATTEMPTS && self.has_changed(&held).await? {
                attempts += 1;
                continue;
            }
            return self.planned(wish, &held, &current, &sight);
        }
    }

    /// Whether topology or route aren't any more what they were: then members were seen going by something else.
    async fn has_changed(&self, held: &Held) -> Result<bool, StoreError> {
        let now = Held::read(&self.ledger).await?;
        Ok(now.is_none_or(|now| (now.version, &now.route) != (held.version, &held.route)))
    }

    fn planned(&self, wish: &Wish, held: &Held, current: &Current, sight: &Sight) -> Result<Plan, MoveError> {
        let uncertain = self.world.uncertain();
        let known = Known { current, uncertain: uncertain.as_deref(), operation: held.operation.as_ref(), sight };
        Ok(plan(wish, &known)?)
    }

    /// Begins a move, if nothing refuses it; who drives it goes on by itself.
    ///
    /// # Errors
    /// When it can't be planned, or somebody else was first. Then nothing was begun.
    pub async fn begin(&self, asked: &Move, who: &str) -> Result<Begun, MoveError> {
        let mut attempts = 0;
        let mut first = None;
        loop {
            let (held, current) = self.read().await?;
            let last = writing::last(&self.ledger).await?;
            if *first.get_or_insert(last) != last {
                let (number, route) = (last, current.route.clone());
                return Err(MoveError::Overtaken { number, pool: route.pool, epoch: route.epoch });
            }
            let sight = self.look(&current, Some(target(&current.topology, &asked.wish)?)).await;
            if attempts < ATTEMPTS && self.has_changed(&held).await? {
                attempts += 1;
                continue;
            }
            let plan = self.planned(&asked.wish, &held, &current, &sight)?;
            if let Some(wanted) = asked.plan.as_ref().filter(|wanted| **wanted != plan.hash) {
                return Err(MoveError::Stale { asked: wanted.clone(), now: plan.hash });
            }
            if plan.refusals().next().is_some() {
                self.refused(&plan, who, &asked.why).await?;
                return Ok(Begun { plan, operation: None });
            }
            let beginning = Beginning::of(&plan, who, &asked.why);
            match held.begin(&self.ledger, &beginning, self.driver.clone()).await {
                Ok(number) => {
                    self.nudge.notify_one();
                    return Ok(Begun { plan, operation: Some(number) });
                }
                // How everything is by now decides anew; what was wanted of one route isn't done to the next.
                Err(StoreError::Conflict(_)) if attempts < ATTEMPTS => attempts += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// That somebody wanted to and couldn't is worth knowing, too.
    async fn refused(&self, plan: &Plan, who: &str, why: &str) -> Result<(), StoreError> {
        let refusals: Vec<String> =
            plan.refusals().map(|condition| format!("{}: {}", condition.code, condition.seen)).collect();
        let deed = Deed {
            who: who.to_owned(),
            what: format!("refused {}", plan.kind),
            why: why.to_owned(),
            before: format!("route on {}, epoch {}", plan.from, plan.epoch.saturating_sub(1)),
            after: format!("not moved to {}\n{}", plan.to, refusals.join("\n")),
        };
        self.ledger.note(&deed).await
    }

    /// Ends an operation whose target isn't the route yet.
    ///
    /// # Errors
    /// When it is too late, or there is none.
    pub async fn abort(&self, number: u64, who: &str) -> Result<Operation, MoveError> {
        loop {
            let (held, mut operation) = self.held(number).await?;
            if operation.state.is_committed() {
                let (state, pool) = (operation.state, operation.to);
                return Err(MoveError::Committed { number, state, pool });
            }
            operation.enter(State::RolledBack, self.ledger.now(), format!("{who} aborted it"));
            match held.entered(&self.ledger, &operation).await {
                Ok(()) => return Ok(operation),
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Has an operation that rests look again at once, driven from here.
    ///
    /// # Errors
    /// When it is over, or there is none.
    pub async fn resume(&self, number: u64, who: &str) -> Result<Operation, MoveError> {
        loop {
            let (held, mut operation) = self.held(number).await?;
            operation.driver = Driver { beat: operation.driver.beat + 1, ..self.driver.clone() };
            let what = format!("{who} has it go on, by {}", self.driver.controller);
            if operation.state == State::Degraded {
                operation.enter(State::Applying, self.ledger.now(), what);
            } else {
                operation.note(self.ledger.now(), what);
            }
            match held.entered(&self.ledger, &operation).await {
                Ok(()) => {
                    self.nudge.notify_one();
                    return Ok(operation);
                }
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// An operation that holds the route.
    async fn held(&self, number: u64) -> Result<(Held, Operation), MoveError> {
        let held = Held::read(&self.ledger).await?.ok_or(MoveError::NoTopology)?;
        if let Some(operation) = held.operation.clone().filter(|operation| operation.number == number) {
            return Ok((held, operation));
        }
        let old = writing::operation(&self.ledger, number).await?.ok_or(MoveError::NoOperation(number))?;
        Err(MoveError::Over { number, state: old.state })
    }

    /// An operation, and how many partners are with both pools.
    ///
    /// # Errors
    /// When there is none.
    pub async fn operation(&self, number: u64) -> Result<api::route::Operation, MoveError> {
        let operation = writing::operation(&self.ledger, number).await?.ok_or(MoveError::NoOperation(number))?;
        Ok(self.told(&operation))
    }

    /// What the API says of an operation.
    pub fn told(&self, operation: &Operation) -> api::route::Operation {
        let current = self.members.picture().current;
        let sight = current.as_ref().map(|current| self.world.members(current)).unwrap_or_default();
        // Somebody else may drive it, and look closely.
        let zones = current.filter(|_| !operation.state.is_over()).map(|current| self.world.zones(&current, SHOWN));
        let zones = zones.unwrap_or_default().iter().map(told).collect();
        operation.told(|pool| sight.partners(pool), zones)
    }

    /// The last operations, the latest first.
    ///
    /// # Errors
    /// As the store.
    pub async fn history(&self, most: u64) -> Result<Vec<api::route::Operation>, MoveError> {
        let operations = writing::history(&self.ledger, most).await?;
        Ok(operations.iter().map(|operation| operation.told(|_| None, Vec::new())).collect())
    }

    /// The route, and who stands by.
    ///
    /// # Errors
    /// When there is no topology.
    pub async fn route(&self) -> Result<Route, MoveError> {
        let (held, current) = self.read().await?;
        let sight = self.look(&current, None).await;
        let home = current.topology.route.first().map(ToString::to_string).unwrap_or_default();
        Ok(Route {
            pool: current.route.pool.clone(),
            previous: current.route.previous.clone(),
            epoch: current.route.epoch,
            home,
            pools: pools(&current, &sight, &current.route.pool),
            operation: held.operation.map(|operation| operation.number),
        })
    }

    /// Whether the pool that carries the route could be given it now, looked at as before a move.
    ///
    /// # Errors
    /// When there is no topology.
    pub async fn verify(&self) -> Result<Verified, MoveError> {
        let (held, current) = self.read().await?;
        let pool = current.route.pool.clone();
        let sight = self.look(&current, Some(&pool)).await;
        let uncertain = self.world.uncertain();
        let busy =
            held.operation.filter(|operation| !may_be_superseded(operation.state)).map(|operation| operation.number);
        let ground = Ground { from: "", to: &pool, kind: Kind::Switchover, uncertain: uncertain.as_deref(), busy };
        // What is said of the pool that it comes from has no meaning here.
        let of_both = ["target-other", "target-capacity"];
        let of_target =
            |condition: &Condition| !condition.code.starts_with("old-") && !of_both.contains(&condition.code.as_str());
        let conditions = conditions(&ground, &sight, &[]).into_iter().filter(of_target).collect();
        Ok(Verified { pool, epoch: current.route.epoch, conditions })
    }

    /// What the store says at one moment.
    async fn read(&self) -> Result<(Held, Arc<Current>), MoveError> {
        loop {
            let held = Held::read(&self.ledger).await?.ok_or(MoveError::NoTopology)?;
            let known = self.members.picture().current.filter(|current| held.is(current));
            let current = match known {
                Some(known) => known,
                None => Arc::new(publish::current(&self.ledger).await?.ok_or(MoveError::NoTopology)?),
            };
            if held.is(&current) {
                return Ok((held, current));
            }
        }
    }

    /// Looks at everybody now, and where a pool is given, at its external addresses from outside.
    async fn look(&self, current: &Current, pool: Option<&str>) -> Sight {
        let began = Instant::now();
        self.members.closely();
        let pool = pool.and_then(|fqdn| current.topology.pools.iter().find(|pool| pool.fqdn.as_str() == fqdn));
        loop {
            let passed = began.elapsed();
            let mut sight = self.world.members_since(current, began);
            let heard = passed >= HEARD || current.topology.members().all(|member| self.world.is_heard(member, began));
            if heard && let Some(pool) = pool {
                self.world.probe(current, &sight, pool);
                self.world.probe_hops(current, &sight);
            }
            if pool.is_some() {
                sight.zones = self.world.look_at_zones(current, passed);
            }
            let waits = |fqdn: &str| sight.members.get(fqdn).is_some_and(Facts::serves);
            let probed = pool.is_none_or(|pool| {
                let mut edges = pool.edges.iter().map(|edge| edge.member.fqdn.as_str());
                edges.all(|edge| {
                    !waits(edge) || self.world.is_probed(edge, began) || !self.world.has_lookers(current, &sight, edge)
                })
            });
            let hops = pool.is_none() || self.world.are_hops_probed(&sight, began);
            let named = pool.is_none() || self.world.are_zones_known(current, began);
            if heard && (probed && hops && named || passed >= HEARD + PROBED) {
                return sight;
            }
            sleep(LOOK).await;
        }
    }
}
