//! What must be so after every transaction, looked at by somebody who sees all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::route::State;
use serde::de::DeserializeOwned;
use store::{Expect, Key, Memory, Transaction, Write};
use topology::records::records;

use super::clock::CLOCKS;
use super::names::Names;
use super::trace::Trace;
use crate::audit::Entry;
use crate::ledger::Ledger;
use crate::publish::{self, has_pool};
use crate::records::{self, Head, Route};
use crate::route::operation::Operation;

/// It knows what lay in the store before each transaction.
#[derive(Debug)]
pub(super) struct Judge {
    /// The store, without a line between.
    pub(super) ledger: Ledger,
    trace: Trace,
    names: Names,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    version: u64,
    /// The members in that version.
    members: Vec<String>,
    route: Option<Route>,
    operations: BTreeMap<u64, Operation>,
    /// The epochs that were committed, and by which transaction of its controller each.
    committed: BTreeMap<u64, u64>,
}

/// What a transaction puts.
struct Puts<'a>(&'a Transaction);

impl Puts<'_> {
    fn one<R: DeserializeOwned>(&self, key: &Key) -> Option<R> {
        let mut writes = self.0.writes.iter().filter(|(written, _)| written == key);
        writes.find_map(|(_, write)| match write {
            Write::Put(value) => serde_json::from_slice(value).ok(),
            Write::Delete => None,
        })
    }

    fn under<R: DeserializeOwned>(&self, folder: &Key) -> Vec<R> {
        let keys = self.0.writes.iter().filter(|(key, _)| key.as_str().starts_with(&format!("{folder}/")));
        keys.filter_map(|(key, _)| self.one(key)).collect()
    }

    fn expects(&self, key: &Key) -> bool {
        self.0.expected.iter().any(|(expected, how)| expected == key && matches!(how, Expect::Unchanged(_)))
    }
}

impl Judge {
    pub(super) fn new(memory: &Memory, trace: Trace, names: Names) -> Judge {
        let ledger = Ledger::new(Arc::new(memory.clone()), "judge", 0, CLOCKS[0]).expect("a name");
        Judge { ledger, trace, names, seen: Mutex::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The route as it lies in the store.
    pub(super) fn route(&self) -> Option<Route> {
        self.seen().route.clone()
    }

    /// Whether a member is in the current topology.
    pub(super) fn declares(&self, fqdn: &str) -> bool {
        self.seen().members.iter().any(|member| member == fqdn)
    }

    /// By which transaction of its controller an epoch was committed.
    pub(super) fn committed_by(&self, epoch: u64) -> Option<u64> {
        self.seen().committed.get(&epoch).copied()
    }

    /// Whether the move by which this epoch came is done.
    pub(super) fn is_done(&self, epoch: u64) -> bool {
        let done = |operation: &&Operation| operation.epoch == epoch && operation.state == State::Done;
        self.seen().operations.values().any(|operation| done(&operation))
    }

    /// The operation that holds the route.
    pub(super) fn operation(&self) -> Option<Operation> {
        let seen = self.seen();
        let number = seen.route.as_ref()?.operation?;
        seen.operations.get(&number).cloned()
    }

    /// An operation by its number.
    pub(super) fn numbered(&self, number: u64) -> Option<Operation> {
        self.seen().operations.get(&number).cloned()
    }

    /// How many operations were begun.
    pub(super) fn begun(&self) -> u64 {
        self.seen().operations.len() as u64
    }

    /// How many of them ended, by how.
    pub(super) fn ends(&self) -> BTreeMap<&'static str, u64> {
        let mut ends = BTreeMap::new();
        for operation in self.seen().operations.values() {
            *ends.entry(operation.state.word()).or_default() += 1;
        }
        ends
    }

    /// This was done, by this run of that controller.
    pub(super) async fn transacted(&self, by: (&str, u64), number: u64, transaction: &Transaction) {
        let puts = Puts(transaction);
        let mut faults = Vec::new();
        let (moved, published) = {
            let mut seen = self.seen();
            let told: Vec<Entry> = puts.under(&records::audits());
            told.iter().for_each(|entry| self.tell(by, entry));
            let head: Option<Head> = puts.one(&records::head());
            if let Some(head) = head {
                if head.version != seen.version + 1 {
                    faults
                        .push(format!("version {} of the topology comes after version {}", head.version, seen.version));
                }
                seen.version = head.version;
            }
            let operations: Vec<Operation> = puts.under(&records::operations());
            let route: Option<Route> = puts.one(&records::route());
            let moved =
                route.as_ref().is_some_and(|route| Some(route.epoch) != seen.route.as_ref().map(|old| old.epoch));
            if let Some(route) = route {
                faults.extend(seen.moves(&puts, number, &route, (&operations, &told)));
                seen.route = Some(route);
            }
            for operation in operations {
                faults.extend(seen.goes_on(&puts, by, &operation));
                let before = seen.operations.get(&operation.number).map(|before| before.state);
                let told = matches!(before, Some(State::Applying | State::Degraded))
                    && matches!(operation.state, State::Verifying | State::Draining);
                faults.extend(self.names.lag_behind(&operation).filter(|_| told));
                seen.operations.insert(operation.number, operation);
            }
            faults.extend(seen.held());
            (moved, head.is_some())
        };
        if moved || published {
            faults.extend(self.served().await);
        }
        faults.iter().for_each(|fault| self.trace.wrong(fault));
    }

    fn tell(&self, (who, life): (&str, u64), entry: &Entry) {
        let after = entry.after.replace('\n', " | ");
        self.trace.say(format_args!("{who}#{life} writes down {}: {after}", entry.what));
    }

    /// Partners find the pool that has the route first, and never an empty set.
    async fn served(&self) -> Vec<String> {
        let current = match publish::current(&self.ledger).await {
            Ok(Some(current)) => current,
            Ok(None) => return vec!["there is no topology".to_owned()],
            Err(error) => return vec![error.to_string()],
        };
        self.seen().members = current.topology.members().map(|member| member.fqdn.to_string()).collect();
        let pool = &current.route.pool;
        if !has_pool(&current.topology, pool) {
            return vec![format!("{pool} carries the route, and isn't in version {}", current.version)];
        }
        let sets = records(&current.topology, pool).unwrap_or_default();
        let first = format!("10 0 5269 {pool}.");
        let served = sets.iter().filter(|set| set.kind == "SRV");
        let served: Vec<bool> = served.map(|set| set.values.first() == Some(&first)).collect();
        let empty = sets.iter().any(|set| set.values.is_empty());
        if served.is_empty() || empty || served.contains(&false) {
            return vec![format!("DNS would have {sets:?} with the route on {pool}")];
        }
        Vec::new()
    }

    /// The audit trail is whole, and has each commit once.
    pub(super) async fn audited(&self) -> Result<(), String> {
        let verified = self.ledger.verify().await.map_err(|error| error.to_string())?;
        if let Some(broken) = verified.broken {
            return Err(format!("the audit trail is broken: {broken}"));
        }
        let mut commits = Vec::new();
        let mut from = 1;
        loop {
            let entries = self.ledger.audit(from, 500).await.map_err(|error| error.to_string())?;
            let Some(last) = entries.last() else { break };
            from = last.number + 1;
            commits
                .extend(entries.into_iter().filter(|entry| entry.what.starts_with("commit ")).map(|entry| entry.after));
        }
        let seen = self.seen();
        let committed: Vec<&Operation> =
            seen.operations.values().filter(|operation| seen.committed.contains_key(&operation.epoch)).collect();
        for epoch in seen.committed.keys() {
            let named = commits.iter().filter(|after| after.contains(&format!(", epoch {epoch}\n"))).count();
            if named != 1 {
                return Err(format!("the audit trail names the commit of epoch {epoch} {named} times"));
            }
        }
        if commits.len() != seen.committed.len() || committed.is_empty() != commits.is_empty() {
            return Err(format!(
                "{} commits in the audit trail, and {} were made",
                commits.len(),
                seen.committed.len()
            ));
        }
        Ok(())
    }
}

impl Seen {
    /// What is wrong with how the route changes.
    fn moves(
        &mut self,
        puts: &Puts<'_>,
        number: u64,
        route: &Route,
        (operations, told): (&[Operation], &[Entry]),
    ) -> Vec<String> {
        let mut faults = Vec::new();
        let Some(old) = &self.route else {
            return if route.epoch == 1 { faults } else { vec![format!("the first route is {route:?}")] };
        };
        if !puts.expects(&records::route()) {
            faults.push(format!("the route is written without a look at what it was: {route:?}"));
        }
        if route.epoch == old.epoch {
            if (&route.pool, &route.previous) != (&old.pool, &old.previous) {
                faults.push(format!("epoch {} is on {} and then on {}", old.epoch, old.pool, route.pool));
            }
            return faults;
        }
        if route.epoch != old.epoch + 1 {
            faults.push(format!("epoch {} comes after epoch {}", route.epoch, old.epoch));
        }
        if self.committed.insert(route.epoch, number).is_some() {
            faults.push(format!("epoch {} is committed twice", route.epoch));
        }
        if route.previous.as_ref() != Some(&old.pool) || route.pool == old.pool {
            faults.push(format!("the route goes from {old:?} to {route:?}"));
        }
        let moving = operations.iter().find(|operation| Some(operation.number) == route.operation);
        let fits = |operation: &Operation| {
            operation.state == State::Committed && operation.epoch == route.epoch && operation.to == route.pool
        };
        if !moving.is_some_and(fits) {
            faults.push(format!("epoch {} is not an operation's commit: {operations:?}", route.epoch));
        }
        let was = moving.and_then(|operation| self.operations.get(&operation.number));
        if was.is_none_or(|was| was.state != State::Ready) {
            faults.push(format!("epoch {} is committed by an operation that wasn't ready: {was:?}", route.epoch));
        }
        let named = told.iter().filter(|entry| entry.what.starts_with("commit ")).count();
        if named != 1 {
            faults.push(format!("epoch {} is committed with {named} entries in the audit trail", route.epoch));
        }
        faults
    }

    /// What is wrong with how an operation goes on.
    fn goes_on(&self, puts: &Puts<'_>, (who, life): (&str, u64), operation: &Operation) -> Vec<String> {
        let number = operation.number;
        let Some(old) = self.operations.get(&number) else {
            let first = operation.state == State::Preparing && !self.operations.keys().any(|other| *other >= number);
            return if first { Vec::new() } else { vec![format!("operation {number} begins as {operation:?}")] };
        };
        let mut faults = Vec::new();
        if old.state.is_over() {
            faults.push(format!("operation {number} is {}, and is changed", old.state));
        }
        if !puts.expects(&records::operation(number)) {
            faults.push(format!("operation {number} is written without a look at what it was"));
        }
        if !may_follow(old.state, operation.state) {
            faults.push(format!("operation {number} goes from {} to {}", old.state, operation.state));
        }
        let same = |operation: &Operation| {
            let Operation { kind, from, to, epoch, plan, accepted, who, takes_back, .. } = operation.clone();
            (kind, from, to, epoch, plan, accepted, who, takes_back)
        };
        if same(old) != same(operation) {
            faults.push(format!("operation {number} becomes another: {old:?} and {operation:?}"));
        }
        if !operation.journal.starts_with(&old.journal) {
            faults.push(format!("operation {number} loses lines of its journal"));
        }
        let commits = operation.journal.iter().filter(|line| line.what.contains(" is the route, with epoch ")).count();
        if commits != usize::from(operation.state.is_committed()) {
            faults.push(format!("operation {number} is {}, and its journal has {commits} commits", operation.state));
        }
        let drives = |operation: &Operation| (operation.driver.controller.clone(), operation.driver.life);
        let by = (who.to_owned(), life);
        let by_others = matches!(operation.state, State::RolledBack | State::Superseded);
        if drives(operation) != by && !by_others {
            faults.push(format!("{who}#{life} writes operation {number}, which {:?} drives", operation.driver));
        }
        faults
    }

    /// At most one operation isn't over, and it holds the route.
    fn held(&self) -> Vec<String> {
        let open = self.operations.values().filter(|operation| !operation.state.is_over());
        let open: Vec<u64> = open.map(|operation| operation.number).collect();
        let holds: Vec<u64> = self.route.iter().filter_map(|route| route.operation).collect();
        if open == holds {
            Vec::new()
        } else {
            vec![format!("operations {open:?} are open, and {holds:?} has the route")]
        }
    }
}

fn may_follow(old: State, new: State) -> bool {
    use State::{Applying, Committed, Degraded, Done, Draining, Preparing, Ready, RolledBack, Superseded, Verifying};
    old == new
        || match old {
            Preparing => matches!(new, Ready | RolledBack),
            Ready => matches!(new, Preparing | Committed | RolledBack),
            Committed => matches!(new, Applying | Degraded),
            Applying => matches!(new, Verifying | Degraded | Superseded),
            Verifying => matches!(new, Draining | Degraded | Superseded),
            Degraded => matches!(new, Applying | Draining | Superseded),
            Draining => matches!(new, Done | Superseded),
            Done | RolledBack | Superseded => false,
        }
}
