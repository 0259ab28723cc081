//! Members: how they are, and how one becomes a member.

use api::control::{Done, Enrol, Overview, Problem};
use axum::extract::{Path, State};
use axum::response::Json;

use super::{Caller, Failure, Office};
use crate::access::Role;
use crate::members::EnrolError;

/// How everything is.
#[utoipa::path(get, path = "/v1/status", responses((status = 200, body = Overview), (status = "default", body = Problem)))]
pub(super) async fn status(State(office): State<Office>, caller: Caller) -> Result<Json<Overview>, Failure> {
    office.admit(&caller, Role::Viewer)?;
    office.members.overview().map(Json).ok_or_else(|| {
        Failure::not_found("there is no topology yet", "publish the first one: `fedge topology publish`")
    })
}

/// Take a machine that waits for it as a member, if it shows the key with this fingerprint.
#[utoipa::path(post, path = "/v1/members/{fqdn}/enrol", request_body = Enrol, responses((status = 200, body = Done), (status = "default", body = Problem)))]
pub(super) async fn enrol(
    State(office): State<Office>,
    caller: Caller,
    Path(fqdn): Path<String>,
    Json(asked): Json<Enrol>,
) -> Result<Json<Done>, Failure> {
    let user = office.admit(&caller, Role::Administrator)?;
    office.not_behind()?;
    let wrong = |error: api::agent::DigestError| Failure::refused(error.to_string(), "compare it at both machines");
    let fingerprint = asked.fingerprint.parse().map_err(wrong)?;
    office.members.enrol(&fqdn, fingerprint, &user.name).await?;
    Ok(Json(Done { what: format!("{fqdn} is enrolled; start its daemon now") }))
}

impl From<EnrolError> for Failure {
    fn from(error: EnrolError) -> Failure {
        let title = error.to_string();
        match error {
            EnrolError::NoMember(_) => Failure::not_found(title, "publish a topology with it first"),
            EnrolError::Controller(_) => Failure::refused(title, "docs/control.md says how one is set up"),
            EnrolError::Dial(_) => Failure::refused(title, "run `enrol` on the member again, and compare"),
            EnrolError::Store(error) => error.into(),
        }
    }
}
