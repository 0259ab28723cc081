//! What the control plane is asked of DNS outside, and what it answers: what should be there, what is, and who changes it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::route::{RecordChange, Zone};

mod tlsa;

pub use tlsa::{Place as TlsaPlace, PoolTlsa, Shown, TlsaWish};

/// Which zones are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DnsWish)]
pub struct Wish {
    /// Their names; all of them where none is given.
    #[serde(default)]
    pub zones: Vec<String>,
}

/// What would be changed in each zone, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DnsPlan)]
pub struct Plan {
    /// What tells this plan from another one.
    pub hash: String,
    /// The pool that partners are to find first.
    pub pool: String,
    /// The route's epoch.
    pub epoch: u64,
    /// The topology's version.
    pub topology: u64,
    /// The zones.
    pub zones: Vec<Planned>,
    /// Lines of names that should be there and lie in no zone of the topology: they are nobody's business here.
    pub elsewhere: Vec<String>,
}

/// What would be changed in a zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DnsPlanned)]
pub struct Planned {
    /// How it is.
    pub zone: Zone,
    /// Lines of what somebody else has put at names that should be ours.
    pub foreign: Vec<String>,
    /// Lines of what differs only in how long an answer may be kept, and is left as it is: as it is there.
    #[serde(default)]
    pub left: Vec<String>,
    /// Why it couldn't be changed as it is, where that is known.
    pub hindered: Option<String>,
    /// What to send to whoever changes it, where that is a person.
    pub message: Option<String>,
}

impl Planned {
    /// Whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.zone.servers.iter().all(|server| server.current)
    }
}

/// Zones are to hold what they should.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DnsApply)]
pub struct Apply {
    /// Which; all of them where none is given.
    #[serde(default)]
    pub zones: Vec<String>,
    /// Take over names at which there is something of somebody else.
    #[serde(default)]
    pub adopt: bool,
    /// The plan that is meant: where something else would be done now, nothing is.
    #[serde(default)]
    pub plan: Option<String>,
    /// Why, for the audit trail.
    #[serde(default)]
    pub why: String,
}

/// What became of a zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DnsApplied)]
pub struct Applied {
    /// Which.
    pub zone: String,
    /// Whether nothing is left to do.
    pub done: bool,
    /// Whether it couldn't be done.
    pub refused: bool,
    /// What was done, or why not, or what somebody has to do.
    pub what: String,
    /// What was changed.
    pub changes: Vec<RecordChange>,
}

/// What is asked of resolvers besides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DnsCheck)]
pub struct Check {
    /// Recursive resolvers beside those of the topology, each as an address, if need be with a port.
    #[serde(default)]
    pub resolvers: Vec<String>,
}

/// What is found where names are looked at from all sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DnsChecked)]
pub struct Checked {
    /// How many names were looked at.
    pub names: usize,
    /// The name servers and resolvers that were asked.
    pub asked: Vec<String>,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
}

/// Something that is wrong, or might be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[schema(as = DnsFinding)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A word for it.
    pub code: String,
    /// The name, zone or name server.
    pub place: String,
    /// What was seen, and what was expected.
    pub seen: String,
    /// What to do.
    pub fix: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = DnsSeverity)]
pub enum Severity {
    /// Partners don't find us, or find the wrong pool.
    Fault,
    /// They do, and something is not as it should be.
    Warning,
}

/// What one server answers for one name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[schema(as = DnsAnswer)]
pub struct Answer {
    /// The name.
    pub name: String,
    /// The type that was asked for.
    pub kind: String,
    /// Who was asked.
    pub server: String,
    /// Whether that is a resolver, which may keep what it heard before.
    pub resolver: bool,
    /// Whether it is what it should be.
    pub right: bool,
    /// What it answers, as a zone file has it; or why it doesn't.
    pub answers: Vec<String>,
    /// For how many seconds it may still be kept.
    pub ttl: Option<u32>,
}

/// What everybody answers now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DnsAnswers)]
pub struct Answers {
    /// The pool that partners are to find first.
    pub pool: String,
    /// The route's epoch.
    pub epoch: u64,
    /// Each name at each server.
    pub answers: Vec<Answer>,
}

impl Answers {
    /// Whether all answer what they should. Where nobody was asked, nothing is known.
    pub fn are_right(&self) -> bool {
        !self.answers.is_empty() && self.answers.iter().all(|answer| answer.right)
    }
}

/// By what a signed zone is to be known to its parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DnsSigned)]
pub struct Signed {
    /// The zone.
    pub zone: String,
    /// The record that its parent is to have, as a zone file has it.
    pub ds: String,
    /// The public key in the zone itself, as a zone file has it; some parents ask for that instead.
    pub dnskey: String,
}

/// The key of a zone that isn't signed any more is to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DnsForgetKey)]
pub struct ForgetKey {
    /// Of which zone.
    pub zone: String,
    /// Why, for the audit trail.
    #[serde(default)]
    pub why: String,
}

/// What a zone should hold of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DnsContents)]
pub struct Contents {
    /// The zone.
    pub zone: String,
    /// Who publishes there: `embedded`, `rfc2136`, `manual`.
    pub publisher: String,
    /// The lines of a zone file.
    pub lines: Vec<String>,
}
