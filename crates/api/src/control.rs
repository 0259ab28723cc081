//! What the control plane's API takes and gives; docs/openapi.json describes it for other programs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why something wasn't done (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What kind of problem it is, for programs, such as `conflict`.
    pub code: String,
    /// What was seen and what was expected, in a sentence.
    pub title: String,
    /// What to do.
    pub fix: String,
    /// Each fault with its place, where a document is at fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

/// A topology to be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Publish {
    /// The document, TOML.
    pub document: String,
    /// The version that it was made from; another one being current by now is a conflict. Without it, whatever
    /// is current is replaced.
    pub from: Option<u64>,
    /// Why, for the audit trail.
    pub why: String,
}

/// An old version to be made the current one again, under a new number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Again {
    /// The old one's number.
    pub version: u64,
    /// Why, for the audit trail.
    pub why: String,
}

/// What publishing did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Published {
    /// The version that is current now.
    pub version: u64,
    /// What it changes against the one before, in sentences; empty where it was current already.
    pub changes: Vec<String>,
}

/// A published topology.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Topology {
    /// Its version.
    pub version: u64,
    /// The document, TOML, as it was published.
    pub document: String,
}

/// A line of the topology's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// The version.
    pub version: u64,
    /// When it was published: milliseconds since 1970.
    pub at: u64,
    /// By whom.
    pub who: String,
    /// Why.
    pub why: String,
    /// SHA-256 of the document.
    pub digest: String,
    /// Whether it is the one that should be.
    pub current: bool,
}

/// How everything is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Overview {
    /// The installation's name.
    pub installation: String,
    /// The current topology's version.
    pub version: u64,
    /// The federation route.
    pub route: Route,
    /// Sites, in the document's order.
    pub sites: Vec<Site>,
    /// What somebody should look at, the oldest first.
    pub wrong: Vec<Wrong>,
    /// Which controller tells this.
    pub controller: String,
}

/// The federation route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Route {
    /// The pool that carries it.
    pub pool: String,
    /// It grows by one with every change.
    pub epoch: u64,
}

/// A site with what stands in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// Its pools.
    pub pools: Vec<Pool>,
    /// Gateways, dns servers and controllers.
    pub members: Vec<Member>,
}

/// A pool with its edge servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pool {
    /// Its name.
    pub fqdn: String,
    /// Whether it carries the route.
    pub routed: bool,
    /// Its edge servers.
    pub members: Vec<Member>,
}

/// How a member is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Its name.
    pub fqdn: String,
    /// `edge`, `gateway`, `dns`, `witness` or `controller`.
    pub role: String,
    /// `not enrolled`, `reached` or `unreachable`.
    pub state: String,
    /// Since when: milliseconds since 1970; 0 where it isn't known.
    pub since: u64,
    /// Its program's version, where it was reached.
    pub program: Option<String>,
    /// The topology's version that it has applied.
    pub version: Option<u64>,
    /// The route's epoch that it has applied.
    pub epoch: Option<u64>,
    /// Whether a controller has told it since its start that its route is the route.
    pub confirmed: Option<bool>,
    /// Its federation service: `running`, `draining` or `stopped`.
    pub service: Option<String>,
    /// Since when it is so: milliseconds since 1970.
    pub service_since: Option<u64>,
    /// Its open streams.
    pub streams: Option<u64>,
    /// Partners that have a stream open with it.
    pub partners: Option<u64>,
    /// Its certificates.
    pub certificates: Vec<Certificate>,
}

/// A certificate that a member shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Certificate {
    /// Where it is used: `external`, `internal`, `trunk` or `control`.
    pub used_for: String,
    /// Its file, or what it is.
    pub name: String,
    /// Days until it expires; negative once it has.
    pub days_left: i64,
}

/// Something that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Wrong {
    /// Where: a member's, pool's or site's name, or the installation's.
    pub at: String,
    /// What, in a sentence, with what to do.
    pub what: String,
    /// Since when: milliseconds since 1970.
    pub since: u64,
}

/// A member to be enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Enrol {
    /// The fingerprint that the new machine prints.
    pub fingerprint: String,
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// What, in a sentence.
    pub what: String,
}

/// What to do with federation services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Service {
    /// `start`, `stop` or `drain`.
    pub action: String,
    /// A pool's name: all its edge servers.
    pub pool: Option<String>,
    /// A member's name.
    pub server: Option<String>,
    /// Seconds for the drain, at most 3600; the member's own where it isn't given.
    pub deadline: Option<u64>,
    /// Why, for the audit trail.
    pub why: String,
    /// Also where nobody would be left that takes partners in.
    #[serde(default)]
    pub force: bool,
}

/// What a service did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceDone {
    /// The member.
    pub server: String,
    /// What it did, or why it didn't, in a sentence.
    pub what: String,
    /// Whether it did.
    pub done: bool,
}

/// An entry of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its number.
    pub number: u64,
    /// When: milliseconds since 1970.
    pub at: u64,
    /// Who.
    pub who: String,
    /// What was done.
    pub what: String,
    /// Why.
    pub why: String,
    /// What was before.
    pub before: String,
    /// What is after.
    pub after: String,
    /// The hash of the entry before, hexadecimal.
    pub previous: String,
    /// The entry's own hash.
    pub hash: String,
}

/// Whether the audit trail is what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditVerified {
    /// How many entries were checked.
    pub entries: u64,
    /// The hash of the last one: noted elsewhere, it proves later that nothing was replaced.
    pub hash: String,
    /// Where the trail is broken, in a sentence; nothing where it is whole.
    pub broken: Option<String>,
}

/// For load balancers and keepalived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Whether the answer is yes; the status is 200 then, and 503 else.
    pub good: bool,
    /// Why, in a sentence.
    pub why: String,
}

/// Whether a pool, or an address, serves: for load balancers and keepalived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Serving {
    /// A daemon is there and answers.
    pub live: bool,
    /// It takes in what comes.
    pub ready: bool,
    /// It does, and carries the route, and knows that it does.
    pub routed: bool,
    /// Why it isn't all three, in sentences.
    pub why: Vec<String>,
}

/// What a store that is behind its members knows, what they know, and what would bring it forward.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Recovery {
    /// Whether a member knows more than the store.
    pub needed: bool,
    /// What the store says is current.
    pub store: Known,
    /// What members go by that are there.
    pub members: Vec<KnownBy>,
    /// Members that aren't there: what they know will be seen when they are.
    pub silent: Vec<String>,
    /// What would be current then; nothing where it can't be told.
    pub next: Option<Known>,
    /// Why it can't be told, with what to do.
    pub hindrance: Option<String>,
}

/// A version of the topology and an epoch of the route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Known {
    /// The topology's version.
    pub version: u64,
    /// SHA-256 of its document, hexadecimal.
    pub digest: String,
    /// The route's epoch.
    pub epoch: u64,
    /// The pool that carries it.
    pub pool: String,
}

/// What a member goes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KnownBy {
    /// Its name.
    pub fqdn: String,
    /// What it goes by.
    pub knows: Known,
    /// Whether the store knows less.
    pub ahead: bool,
    /// The latest version in the store that has its document; nothing where none has.
    pub stored_as: Option<u64>,
    /// The id of its installation, where that is another one.
    pub installation: Option<String>,
}

/// A store to be brought forward.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Recover {
    /// The document that shall be current, TOML; the store's own where it isn't given.
    pub document: Option<String>,
    /// The pool that shall carry the route; as the members with the latest epoch say where it isn't given.
    pub pool: Option<String>,
    /// Members whose word doesn't count.
    #[serde(default)]
    pub without: Vec<String>,
    /// The version that was told to come next; if another would by now, it is a conflict.
    pub version: u64,
    /// The epoch that was told to come next.
    pub epoch: u64,
    /// Why, for the audit trail.
    pub why: String,
}

/// A step in changing the dialback secrets of both faces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Secrets {
    /// `add`: accept a new one; `use`: make keys of it; `drop`: forget the old one; `replace`: all at once.
    pub step: String,
    /// Why, for the audit trail.
    pub why: String,
    /// Also where a member hasn't taken over the step before.
    #[serde(default)]
    pub force: bool,
}
