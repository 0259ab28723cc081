//! A move as it lies in the store: what it is, how far it is, who drives it, and what was done.

use api::route::{Kind, Line, Need, State, Zone};
use serde::{Deserialize, Serialize};

/// The longest journal. What comes after that many lines is still done, and not written down.
const LINES: usize = 200;

/// A move that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its number; the first is 1.
    pub number: u64,
    /// What kind of move.
    pub kind: Kind,
    /// The pool that carried the route.
    pub from: String,
    /// The pool that is to carry it.
    pub to: String,
    /// The route's epoch once it is committed.
    pub epoch: u64,
    /// How far it is.
    pub state: State,
    /// What it waits for, where it waits.
    pub waits: Option<String>,
    /// Whom that is for, where it may take as long as it takes.
    #[serde(default)]
    pub needs: Option<Need>,
    /// The hash of its plan.
    pub plan: String,
    /// Codes of conditions that were accepted not to hold.
    pub accepted: Vec<String>,
    /// Who wanted it.
    pub who: String,
    /// Why.
    pub why: String,
    /// When it was begun: milliseconds since 1970.
    pub began: u64,
    /// Who drives it.
    pub driver: Driver,
    /// What was done and seen.
    pub journal: Vec<Line>,
    /// The operation that this one takes back, since its target turned out not to serve.
    #[serde(default)]
    pub takes_back: Option<u64>,
}

/// Who drives an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driver {
    /// The controller.
    pub controller: String,
    /// What tells one run of its process from another.
    pub life: u64,
    /// It grows for as long as the controller is there.
    pub beat: u64,
}

impl Operation {
    /// Writes a line into the journal.
    pub fn note(&mut self, at: u64, what: impl Into<String>) {
        if self.journal.len() < LINES {
            let controller = self.driver.controller.clone();
            self.journal.push(Line { at, state: self.state, controller, what: what.into() });
        }
    }

    /// Goes on to this state, and says why in the journal.
    pub fn enter(&mut self, state: State, at: u64, what: impl Into<String>) {
        (self.state, self.waits, self.needs) = (state, None, None);
        self.note(at, what);
    }

    /// What the API says of it, with `zones` as they are now.
    pub fn told(&self, partners: impl Fn(&str) -> Option<u64>, zones: Vec<Zone>) -> api::route::Operation {
        api::route::Operation {
            number: self.number,
            kind: self.kind,
            from: self.from.clone(),
            to: self.to.clone(),
            epoch: self.epoch,
            state: self.state,
            waits: self.waits.clone(),
            needs_start: self.needs == Some(Need::Start),
            needs: self.needs,
            plan: self.plan.clone(),
            accepted: self.accepted.clone(),
            who: self.who.clone(),
            why: self.why.clone(),
            began: self.began,
            driver: self.driver.controller.clone(),
            journal: self.journal.clone(),
            partners_before: partners(&self.from),
            partners_after: partners(&self.to),
            zones,
        }
    }
}

/// Whether a later move may take over from an operation in this state: the route is moved, and the rest may take its time.
pub fn may_be_superseded(state: State) -> bool {
    matches!(state, State::Applying | State::Verifying | State::Draining | State::Degraded)
}
