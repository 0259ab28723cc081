//! Probes: how far a domain's servers can be reached from the edge servers.

use api::control::Problem;
use api::probe::{LONGEST, ProbedBy, Wanted};
use axum::extract::State;
use axum::response::Json;

use super::{Caller, Failure, Office};
use crate::access::Role;
use crate::probe::{self, ProbeError};

/// Probe a domain's servers, from all edge servers of a pool, or from one member, at once.
#[utoipa::path(post, path = "/v1/probe", request_body = Wanted, responses((status = 200, body = [ProbedBy]), (status = "default", body = Problem)))]
pub(super) async fn all(
    State(office): State<Office>,
    caller: Caller,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Vec<ProbedBy>>, Failure> {
    let user = office.admit(&caller, Role::Operator)?;
    tracing::info!(user = user.name, domain = wanted.domain, via = wanted.via, at = ?wanted.at, "a probe was asked for");
    Ok(Json(probe::all(&office.members, &wanted).await?))
}

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Failure {
        let title = error.to_string();
        match error {
            ProbeError::NoTopology => Failure::not_found(title, "publish the first one: `fedge topology publish`"),
            ProbeError::Nobody(_) => Failure::not_found(title, "`fedge status` lists them"),
            ProbeError::NoFace { .. } => Failure::refused(title, "name an edge server, a pool or a gateway"),
            ProbeError::Time(_) => Failure::refused(title, format!("give it 1 to {LONGEST} s")),
        }
    }
}
