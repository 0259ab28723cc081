//! What fedge-control tells.

use prometheus_client::registry::Unit;

use super::{Metric, counter, gauge, measure};

/// By role and state.
pub static MEMBERS: Metric =
    gauge("fedge_control_members", &["role", "state"], "Members of the topology, as status shows their state.");
/// Of the topology.
pub static VERSION: Metric = gauge("fedge_control_topology_version", &[], "The topology's current version.");
/// Of the route.
pub static EPOCH: Metric = gauge("fedge_control_route_epoch", &[], "The route's current epoch.");
/// By this controller.
pub static APPLIED: Metric =
    counter("fedge_control_snapshots_applied", &[], "Snapshots that this controller sent and a member went by.");
/// By members.
pub static REFUSED: Metric =
    counter("fedge_control_snapshots_refused", &[], "Snapshots and confirmations that a member refused.");
/// Of the store.
pub static STORE_ERRORS: Metric =
    counter("fedge_control_store_errors", &[], "Looks at the store that failed; there is one every 5 s at least.");
/// Of the store.
pub static BLIND: Metric = measure(
    "fedge_control_store_blind",
    Unit::Seconds,
    &[],
    "For how long the store hasn't answered; 0 while it does. Members go on meanwhile.",
);
/// Of the API.
pub static REQUESTS: Metric =
    counter("fedge_control_requests", &["status"], "Requests to the API that were answered, by HTTP's status.");
/// Of the audit trail.
pub static AUDIT: Metric =
    counter("fedge_control_audit_entries", &[], "Entries of the audit trail that this controller wrote.");
/// Of members, as they say.
pub static CERTIFICATE: Metric = measure(
    "fedge_control_certificate_left",
    Unit::Seconds,
    &["member", "use", "certificate"],
    "How long a member's certificate is still valid; below 0 since it expired.",
);
