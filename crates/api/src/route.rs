//! What the control plane's API says of the federation route, and of its moves.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What kind of move it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A planned move while the old pool works.
    Switchover,
    /// A move because it does not.
    Failover,
    /// The move home: to the pool that stands first in the topology's route.
    Failback,
}

impl Kind {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Switchover => "switchover",
            Kind::Failover => "failover",
            Kind::Failback => "failback",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// How far a move is. From `committed` on the new pool is the route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It was begun; what it needs is looked at once more.
    Preparing,
    /// All that it needs was seen a moment ago.
    Ready,
    /// The target is the route, and members are being told.
    Committed,
    /// Members go by it; partners are being told, in DNS.
    Applying,
    /// Whether the target serves is being looked at.
    Verifying,
    /// The pool that was the route finishes what it has.
    Draining,
    /// All of it was done, and seen.
    Done,
    /// Something was missing before the commit: the route is what it was.
    RolledBack,
    /// The target is the route, and something of the rest can't be done or seen; it is tried again.
    Degraded,
    /// The target was made the route, and a later move took over.
    Superseded,
}

impl State {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            State::Preparing => "preparing",
            State::Ready => "ready",
            State::Committed => "committed",
            State::Applying => "applying",
            State::Verifying => "verifying",
            State::Draining => "draining",
            State::Done => "done",
            State::RolledBack => "rolled-back",
            State::Degraded => "degraded",
            State::Superseded => "superseded",
        }
    }

    /// Whether nothing comes after it.
    pub fn is_over(self) -> bool {
        matches!(self, State::Done | State::RolledBack | State::Superseded)
    }

    /// Whether the target is, or was, the route.
    pub fn is_committed(self) -> bool {
        !matches!(self, State::Preparing | State::Ready | State::RolledBack)
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// A move that somebody wants, or wants to be planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Wish {
    /// What kind of move.
    pub kind: Kind,
    /// The pool that is to carry the route; one of its edge servers means it, too. Not for a failback, which knows.
    pub to: Option<String>,
    /// Codes of conditions that need not hold.
    #[serde(default)]
    pub accept: Vec<String>,
}

/// A move to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Move {
    /// Which one.
    #[serde(flatten)]
    pub wish: Wish,
    /// The hash of the plan that was looked at; refused where another plan would come of it by now. Without it, whatever
    /// plan comes of it is carried out.
    pub plan: Option<String>,
    /// Why, for the audit trail.
    pub why: String,
}

/// Something that must be so before a move is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Condition {
    /// Its code, such as `target-serves`.
    pub code: String,
    /// Whether it is so.
    pub holds: bool,
    /// What was seen, in a sentence.
    pub seen: String,
    /// What to do where it isn't so; empty where it is.
    pub fix: String,
    /// Whether the move may be made without it by who accepts that by its code.
    pub waivable: bool,
    /// Whether somebody did.
    pub accepted: bool,
}

impl Condition {
    /// Whether the move can't be made for it.
    pub fn refuses(&self) -> bool {
        !self.holds && !self.accepted
    }
}

/// What a move will do, one thing after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// Its name, such as `commit`.
    pub name: String,
    /// What it does and why, in a sentence.
    pub what: String,
}

/// Whom an operation waits for, for as long as it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// Somebody who starts the federation services of the new pool.
    Start,
    /// Somebody who changes records in DNS by hand.
    Records,
}

/// A set of DNS records at one name that a move changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordChange {
    /// The zone in which it lies; nothing where that is none of the topology.
    #[serde(default)]
    pub zone: Option<String>,
    /// Who publishes there: `embedded`, `rfc2136`, `manual`; nothing where the zone is none of the topology.
    #[serde(default)]
    pub publisher: Option<String>,
    /// The lines of a zone file as they should be now.
    pub before: Vec<String>,
    /// As they should be then.
    pub after: Vec<String>,
}

/// How a zone is with what a move demands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// Who publishes there: `embedded`, `rfc2136`, `manual`.
    pub publisher: String,
    /// Its name servers, each with what it answers.
    pub servers: Vec<ZoneServer>,
    /// What is still to be changed there, where it is known what there is.
    pub changes: Vec<RecordChange>,
}

/// A name server, with what it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ZoneServer {
    /// Its address and port, with its name where that is known.
    pub server: String,
    /// Whether it answers what it should.
    pub current: bool,
    /// What it answers, in a sentence.
    pub answers: String,
}

/// A pool in the table that a plan shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pool {
    /// Its name.
    pub fqdn: String,
    /// Its site.
    pub site: String,
    /// `route`, or `standby`.
    pub before: String,
    /// What it is then.
    pub after: String,
    /// How many edge servers it has.
    pub edges: usize,
    /// How many of them take partners in.
    pub serving: usize,
    /// How many have a federation service that an administrator stopped.
    pub stopped: usize,
    /// Partners that have a stream open with them.
    pub partners: u64,
}

/// What a move would do, and whether it may be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// The hash of all of it that doesn't change by itself from one moment to the next.
    pub hash: String,
    /// What kind of move.
    pub kind: Kind,
    /// The pool that carries the route.
    pub from: String,
    /// The pool that will.
    pub to: String,
    /// The route's epoch then.
    pub epoch: u64,
    /// The pools before and after.
    pub pools: Vec<Pool>,
    /// What must be so.
    pub conditions: Vec<Condition>,
    /// What is well to know, and refuses nothing.
    pub warnings: Vec<String>,
    /// What it does.
    pub steps: Vec<Step>,
    /// What changes in DNS.
    pub records: Vec<RecordChange>,
}

impl Plan {
    /// The conditions for which it can't be carried out.
    pub fn refusals(&self) -> impl Iterator<Item = &Condition> {
        self.conditions.iter().filter(|condition| condition.refuses())
    }
}

/// What came of a move that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Begun {
    /// The plan; where it has refusals, nothing was begun.
    pub plan: Plan,
    /// The number of the operation that carries it out; nothing where it was refused.
    pub operation: Option<u64>,
}

/// A line of an operation's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Line {
    /// When: milliseconds since 1970.
    pub at: u64,
    /// How far it was.
    pub state: State,
    /// Which controller wrote it.
    pub controller: String,
    /// What was done or seen, in a sentence.
    pub what: String,
}

/// A move that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// What it waits for, in a sentence, where it waits.
    pub waits: Option<String>,
    /// Whether that is for somebody who starts the federation services of the new pool.
    #[serde(default)]
    pub needs_start: bool,
    /// Whom it waits for, where that may take as long as it takes.
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
    /// The controller that drives it.
    pub driver: String,
    /// What was done and seen.
    pub journal: Vec<Line>,
    /// Partners with a stream open with the pool that carried the route; nothing where it isn't known.
    pub partners_before: Option<u64>,
    /// Partners with a stream open with the pool that is to carry it.
    pub partners_after: Option<u64>,
    /// The zones that it changes, as they are now; none where it isn't under way.
    #[serde(default)]
    pub zones: Vec<Zone>,
}

impl Operation {
    /// Whether it goes on only when somebody has done something.
    pub fn needs_somebody(&self) -> bool {
        self.needs_start || self.needs.is_some()
    }

    /// How long it has taken, or took, in milliseconds.
    pub fn took(&self) -> u64 {
        self.journal.last().map_or(0, |line| line.at.saturating_sub(self.began))
    }
}

/// The route, and who stands by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Route {
    /// The pool that carries it.
    pub pool: String,
    /// The pool that did before.
    pub previous: Option<String>,
    /// It grows by one with every change.
    pub epoch: u64,
    /// The pool that stands first in the topology's route.
    pub home: String,
    /// All pools, in the topology's order; each `before` is what it is now, and `after` the same.
    pub pools: Vec<Pool>,
    /// The number of the operation that is under way or rests, if one does.
    pub operation: Option<u64>,
}

/// Whether the route is where it should be, as far as can be seen now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verified {
    /// The pool that carries the route.
    pub pool: String,
    /// The route's epoch.
    pub epoch: u64,
    /// What was looked at.
    pub conditions: Vec<Condition>,
}
