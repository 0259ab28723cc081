//! Operations in the store: begun, driven on, committed and ended, each by one transaction that nobody can overtake.

use api::route::{Kind, Plan, State};
use store::{Expect, Keys, StoreError, Transaction};

use super::operation::{Driver, Operation, may_be_superseded};
use crate::audit::Deed;
use crate::ledger::Ledger;
use crate::publish::Current;
use crate::records::{self, Head, Operations, Route};

/// The route and the operation that holds it, as they lay in the store at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The topology's version.
    pub version: u64,
    /// The route.
    pub route: Route,
    /// The operation, if one holds it.
    pub operation: Option<Operation>,
    head: Expect,
    route_as: Expect,
    operation_as: Expect,
}

/// A move that is to be begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// What kind of move.
    pub kind: Kind,
    /// The pool that is to carry the route.
    pub to: String,
    /// The hash of its plan.
    pub plan: String,
    /// Codes of conditions that were accepted not to hold.
    pub accepted: Vec<String>,
    /// Who wants it.
    pub who: String,
    /// Why.
    pub why: String,
    /// The operation that it takes back.
    pub takes_back: Option<u64>,
}

impl Beginning {
    /// By a plan that may be carried out.
    pub fn of(plan: &Plan, who: &str, why: &str) -> Beginning {
        let accepted = plan.conditions.iter().filter(|condition| condition.accepted);
        Beginning {
            kind: plan.kind,
            to: plan.to.clone(),
            plan: plan.hash.clone(),
            accepted: accepted.map(|condition| condition.code.clone()).collect(),
            who: who.to_owned(),
            why: why.to_owned(),
            takes_back: None,
        }
    }
}

impl Held {
    /// What lies there now; nothing before the first topology.
    ///
    /// # Errors
    /// As the store.
    pub async fn read(ledger: &Ledger) -> Result<Option<Held>, StoreError> {
        let (head, route) = (records::head(), records::route());
        loop {
            let snapshot = ledger.read(&[Keys::One(head.clone()), Keys::One(route.clone())]).await?;
            let (Some(at), Some(routed)) = (snapshot.get(&head), snapshot.get(&route)) else { return Ok(None) };
            let at: Head = records::read(&head, at)?;
            let routed: Route = records::read(&route, routed)?;
            let (head_as, route_as) = (snapshot.expect(&head), snapshot.expect(&route));
            let Some(number) = routed.operation else {
                let held = Held {
                    version: at.version,
                    route: routed,
                    operation: None,
                    head: head_as,
                    route_as,
                    operation_as: Expect::Absent,
                };
                return Ok(Some(held));
            };
            let key = records::operation(number);
            // Together, so that the operation is that of this route.
            let keys = [&head, &route, &key].map(|key| Keys::One(key.clone()));
            let both = ledger.read(&keys).await?;
            if both.expect(&route) != route_as || both.expect(&head) != head_as {
                continue;
            }
            let operation = both.get(&key).map(|entry| records::read(&key, entry)).transpose()?;
            let operation_as = both.expect(&key);
            return Ok(Some(Held {
                version: at.version,
                route: routed,
                operation,
                head: head_as,
                route_as,
                operation_as,
            }));
        }
    }

    /// Whether it is what `current` says of topology and route.
    pub fn is(&self, current: &Current) -> bool {
        self.version == current.version && self.route == current.route
    }

    /// Begins a move, and gives its number. An operation that may be superseded is.
    ///
    /// # Errors
    /// As the store; a conflict is somebody else's change, and then nothing was begun.
    pub async fn begin(&self, ledger: &Ledger, beginning: &Beginning, driver: Driver) -> Result<u64, StoreError> {
        let (count_key, at) = (records::operations_head(), ledger.now());
        let (count, count_as) = ledger.one::<Operations>(&count_key).await?;
        let number = count.unwrap_or_default().last + 1;
        let from = self.route.pool.clone();
        let mut fresh = Operation {
            number,
            kind: beginning.kind,
            from,
            to: beginning.to.clone(),
            epoch: self.route.epoch + 1,
            state: State::Preparing,
            waits: None,
            needs: None,
            plan: beginning.plan.clone(),
            accepted: beginning.accepted.clone(),
            who: beginning.who.clone(),
            why: beginning.why.clone(),
            began: at,
            driver,
            journal: Vec::new(),
            takes_back: beginning.takes_back,
        };
        let what = format!("{} from {} to {}, by {}", fresh.kind, fresh.from, fresh.to, fresh.who);
        fresh.note(at, what);
        let key = records::operation(number);
        let route = Route { operation: Some(number), ..self.route.clone() };
        let mut transaction = Transaction::new()
            .expect(records::head(), self.head)
            .expect(records::route(), self.route_as)
            .expect(count_key.clone(), count_as)
            .expect(key.clone(), Expect::Absent)
            .put(records::route(), records::write(&route))
            .put(count_key, records::write(&Operations { last: number }))
            .put(key, records::write(&fresh));
        if let Some(old) = &self.operation {
            if !may_be_superseded(old.state) {
                return Err(StoreError::Conflict(records::operation(old.number)));
            }
            let mut old = old.clone();
            old.enter(State::Superseded, at, format!("operation {number} takes over"));
            let old_key = records::operation(old.number);
            transaction = transaction.expect(old_key.clone(), self.operation_as).put(old_key, records::write(&old));
        }
        let deed = Deed {
            who: fresh.who.clone(),
            what: format!("begin {}", fresh.kind),
            why: fresh.why.clone(),
            before: told(&self.route),
            after: format!("operation {number}, plan {}, to {}{}", fresh.plan, fresh.to, accepted(&fresh)),
        };
        ledger.change(&transaction, &deed).await?;
        Ok(number)
    }

    /// Makes the operation's target the route.
    ///
    /// # Errors
    /// As the store; a conflict is somebody else's change, and then the route is what it was.
    pub async fn commit(&self, ledger: &Ledger, operation: &Operation, what: &str) -> Result<(), StoreError> {
        let mut operation = operation.clone();
        operation.enter(State::Committed, ledger.now(), what);
        let route = Route {
            epoch: operation.epoch,
            pool: operation.to.clone(),
            previous: Some(self.route.pool.clone()),
            operation: Some(operation.number),
        };
        let key = records::operation(operation.number);
        let transaction = Transaction::new()
            .expect(records::head(), self.head)
            .expect(records::route(), self.route_as)
            .expect(key.clone(), self.operation_as)
            .put(records::route(), records::write(&route))
            .put(key, records::write(&operation));
        let deed = Deed {
            who: operation.who.clone(),
            what: format!("commit {}", operation.kind),
            why: operation.why.clone(),
            before: told(&self.route),
            after: format!("{}\noperation {}{}", told(&route), operation.number, accepted(&operation)),
        };
        ledger.change(&transaction, &deed).await
    }

    /// Writes down how far the operation is now. One that is over lets the route go.
    ///
    /// # Errors
    /// As the store; a conflict is somebody else's change.
    pub async fn entered(&self, ledger: &Ledger, operation: &Operation) -> Result<(), StoreError> {
        let key = records::operation(operation.number);
        let mut transaction = Transaction::new()
            .expect(records::route(), self.route_as)
            .expect(key.clone(), self.operation_as)
            .put(key, records::write(operation));
        if operation.state.is_over() {
            let route = Route { operation: None, ..self.route.clone() };
            transaction = transaction.put(records::route(), records::write(&route));
        }
        let line = operation.journal.last().map(|line| line.what.clone()).unwrap_or_default();
        let before = self.operation.as_ref().map(|before| before.state.to_string()).unwrap_or_default();
        let deed = Deed {
            who: operation.who.clone(),
            what: format!("operation {} is {}", operation.number, operation.state),
            why: operation.why.clone(),
            before,
            after: format!("{line}\nby {}", operation.driver.controller),
        };
        ledger.change(&transaction, &deed).await
    }

    /// Writes down that its driver is there, what it waits for, or who drives it now. That is no deed.
    ///
    /// # Errors
    /// As the store; a conflict is somebody else's change.
    pub async fn beat(&self, ledger: &Ledger, operation: &Operation) -> Result<(), StoreError> {
        let key = records::operation(operation.number);
        let beat = Transaction::new().expect(key.clone(), self.operation_as).put(key, records::write(operation));
        ledger.put(&beat).await
    }

    /// What tells this writing of the operation from others.
    pub fn written(&self) -> Expect {
        self.operation_as
    }
}

/// An operation by its number.
///
/// # Errors
/// As the store.
pub async fn operation(ledger: &Ledger, number: u64) -> Result<Option<Operation>, StoreError> {
    Ok(ledger.one(&records::operation(number)).await?.0)
}

/// The number of the last operation that was begun; 0 before the first.
///
/// # Errors
/// As the store.
pub async fn last(ledger: &Ledger) -> Result<u64, StoreError> {
    let (count, _) = ledger.one::<Operations>(&records::operations_head()).await?;
    Ok(count.unwrap_or_default().last)
}

/// The last operations, at most so many, the latest first.
///
/// # Errors
/// As the store.
pub async fn history(ledger: &Ledger, most: u64) -> Result<Vec<Operation>, StoreError> {
    let last = last(ledger).await?;
    let numbers = last.saturating_sub(most) + 1..=last;
    let keys: Vec<Keys> = numbers.map(|number| Keys::One(records::operation(number))).collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let snapshot = ledger.read(&keys).await?;
    let all: Result<Vec<Operation>, StoreError> =
        snapshot.entries.iter().map(|(key, entry)| records::read(key, entry)).collect();
    let mut all = all?;
    all.reverse();
    Ok(all)
}

fn told(route: &Route) -> String {
    format!("route on {}, epoch {}", route.pool, route.epoch)
}

fn accepted(operation: &Operation) -> String {
    if operation.accepted.is_empty() { String::new() } else { format!("; accepted: {}", operation.accepted.join(", ")) }
}
