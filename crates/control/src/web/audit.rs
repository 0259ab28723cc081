//! The audit trail, shown and verified.

use api::control::{AuditEntry, AuditVerified, Problem};
use axum::extract::{Query, State};
use axum::response::Json;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Caller, Failure, Office};
use crate::access::Role;
use crate::audit::Entry;

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct Page {
    /// The first one's number; 1 where it isn't given.
    from: Option<u64>,
    /// How many at most; 100 where it isn't given, never more than 500.
    count: Option<u64>,
}

/// Entries of the audit trail, the oldest first.
#[utoipa::path(get, path = "/v1/audit", params(Page), responses((status = 200, body = [AuditEntry]), (status = "default", body = Problem)))]
pub(super) async fn entries(
    State(office): State<Office>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<Json<Vec<AuditEntry>>, Failure> {
    office.admit(&caller, Role::Viewer)?;
    let entries = office.ledger.audit(page.from.unwrap_or(1), page.count.unwrap_or(100)).await?;
    Ok(Json(entries.into_iter().map(shown).collect()))
}

/// Whether the audit trail is what was written.
#[utoipa::path(get, path = "/v1/audit/verified", responses((status = 200, body = AuditVerified), (status = "default", body = Problem)))]
pub(super) async fn verified(State(office): State<Office>, caller: Caller) -> Result<Json<AuditVerified>, Failure> {
    office.admit(&caller, Role::Viewer)?;
    let verified = office.ledger.verify().await?;
    Ok(Json(AuditVerified {
        entries: verified.entries,
        hash: verified.hash.to_string(),
        broken: verified.broken.map(|broken| broken.to_string()),
    }))
}

fn shown(entry: Entry) -> AuditEntry {
    let Entry { number, at, who, what, why, before, after, previous, hash } = entry;
    AuditEntry { number, at, who, what, why, before, after, previous: previous.to_string(), hash: hash.to_string() }
}
