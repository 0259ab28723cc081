//! The catalogue: every metric there is, in the order of the page. docs/metrics.md says the same.

use prometheus_client::registry::Unit;

pub mod control;
pub mod dns;

/// What a number does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until the daemon ends; its name on the page ends with `_total`.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// A metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name, without its unit and `_total`.
    pub name: &'static str,
    /// What it does.
    pub kind: Kind,
    /// Its unit, which is the end of its name; none where things are counted.
    pub unit: Option<Unit>,
    /// What tells its values apart.
    pub labels: &'static [&'static str],
    /// What it says, in a sentence.
    pub help: &'static str,
}

const FACE: &[&str] = &["face"];
const LINK: &[&str] = &["face", "from", "to"];
const MEMBER: &[&str] = &["member"];

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit: None, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit: None, labels, help }
}

const fn measure(name: &'static str, unit: Unit, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit: Some(unit), labels, help }
}

/// Of every daemon.
pub static BUILD: Metric = gauge("fedge_build_info", &["program", "version"], "Which program runs. Always 1.");
/// Of every daemon.
pub static UP: Metric = measure("fedge_up", Unit::Seconds, &[], "For how long the daemon has been running.");
/// Of every daemon.
pub static CONCERNS: Metric = gauge("fedge_concerns", &[], "Things that somebody should look at; status says which.");

/// An account in four counters and what is still open. At any time accepted is the sum of the other four.
pub(super) struct Account {
    pub(super) accepted: Metric,
    pub(super) taken: Metric,
    pub(super) returned: Metric,
    pub(super) failed: Metric,
    pub(super) in_flight: Metric,
}

pub(super) static STANZAS: Account = Account {
    accepted: counter("fedge_stanzas_accepted", FACE, "Stanzas that came in on the face and may pass."),
    taken: counter("fedge_stanzas_taken", FACE, "Those that the next server took."),
    returned: counter("fedge_stanzas_returned", FACE, "Those that went back to their senders as errors."),
    failed: counter(
        "fedge_stanzas_failed",
        FACE,
        "Errors, results and presence of rooms that couldn't be delivered, which are not returned.",
    ),
    in_flight: gauge("fedge_stanzas_in_flight", FACE, "Those without an outcome yet."),
};

pub(super) static LINK_STANZAS: Account = Account {
    accepted: counter(
        "fedge_link_stanzas_accepted",
        LINK,
        "Stanzas of the domain pair that came in on the face and may pass.",
    ),
    taken: counter("fedge_link_stanzas_taken", LINK, "Those that the next server took."),
    returned: counter("fedge_link_stanzas_returned", LINK, "Those that went back to their senders as errors."),
    failed: counter(
        "fedge_link_stanzas_failed",
        LINK,
        "Errors, results and presence of rooms that couldn't be delivered, which are not returned.",
    ),
    in_flight: gauge("fedge_link_stanzas_in_flight", LINK, "Those without an outcome yet."),
};

pub(super) static ERRORS: Metric = gauge(
    "fedge_errors_waiting",
    FACE,
    "Errors on their way back to the senders of what came in on the face, and questions to their servers about presence after a break.",
);
pub(super) static HELD: Metric =
    measure("fedge_held", Unit::Bytes, FACE, "What that takes which came in on the face and has no outcome yet.");
pub(super) static HELD_LIMIT: Metric =
    measure("fedge_held_limit", Unit::Bytes, FACE, "From where on streams of the face aren't read.");
pub(super) static STREAMS: Metric = gauge(
    "fedge_streams",
    &["face", "direction", "state"],
    "Open streams: accepted or dialed; unproven as long as nobody has proven on it who it is, then proven.",
);
pub(super) static SERVICE: Metric = gauge(
    "fedge_service_running",
    &[],
    "Whether the federation service takes partners in: 1, or 0 while it is drained or stopped.",
);
pub(super) static CONNECTED: Metric =
    gauge("fedge_member_connected", MEMBER, "Whether the trunk to the other end is up: 1 or 0.");
pub(super) static ROUTED: Metric =
    gauge("fedge_member_routed", MEMBER, "Whether the edge server carries the route: 1 or 0.");
pub(super) static CERTIFICATE: Metric = measure(
    "fedge_certificate_left",
    Unit::Seconds,
    &["use", "certificate"],
    "How long the certificate is still valid; below 0 since it expired.",
);

/// All of them.
pub static ALL: [&Metric; 39] = [
    &BUILD,
    &UP,
    &CONCERNS,
    &STANZAS.accepted,
    &STANZAS.taken,
    &STANZAS.returned,
    &STANZAS.failed,
    &STANZAS.in_flight,
    &LINK_STANZAS.accepted,
    &LINK_STANZAS.taken,
    &LINK_STANZAS.returned,
    &LINK_STANZAS.failed,
    &LINK_STANZAS.in_flight,
    &ERRORS,
    &HELD,
    &HELD_LIMIT,
    &STREAMS,
    &SERVICE,
    &CONNECTED,
    &ROUTED,
    &CERTIFICATE,
    &control::MEMBERS,
    &control::VERSION,
    &control::EPOCH,
    &control::APPLIED,
    &control::REFUSED,
    &control::STORE_ERRORS,
    &control::BLIND,
    &control::REQUESTS,
    &control::AUDIT,
    &control::CERTIFICATE,
    &dns::ANSWERED,
    &dns::IGNORED,
    &dns::CACHE_HITS,
    &dns::ASKED,
    &dns::UNANSWERED,
    &dns::WAITING,
    &dns::WAITING_LIMIT,
    &dns::TURNED_AWAY,
];

impl Metric {
    /// Its name as it stands on the page.
    pub fn full_name(&self) -> String {
        let unit = self.unit.as_ref().map(|unit| format!("_{}", unit.as_str())).unwrap_or_default();
        let total = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{}{unit}{total}", self.name)
    }
}
