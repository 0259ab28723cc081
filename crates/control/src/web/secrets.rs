//! The secrets that dialback keys are made of: changed, and never shown.

use api::control::{Done, Problem, Secrets};
use axum::extract::State;
use axum::response::Json;

use super::{Caller, Failure, Office};
use crate::access::Role;
use crate::secrets::{self, SecretsError, Step};

/// Take a step in changing the dialback secrets of both faces.
#[utoipa::path(post, path = "/v1/secrets", request_body = Secrets, responses((status = 200, body = Done), (status = "default", body = Problem)))]
pub(super) async fn take(
    State(office): State<Office>,
    caller: Caller,
    Json(asked): Json<Secrets>,
) -> Result<Json<Done>, Failure> {
    let user = office.admit(&caller, Role::Administrator)?;
    office.not_behind()?;
    let step = Step::named(&asked.step)
        .ok_or_else(|| Failure::refused(format!("`{}` is no step", asked.step), "ask for add, use, drop or replace"))?;
    if step.waits() && !asked.force {
        let lagging = office.members.lagging().await?;
        if !lagging.is_empty() {
            return Err(SecretsError::Lagging(lagging).into());
        }
    }
    secrets::take(&office.ledger, step, (&user.name, &asked.why)).await?;
    let what = match step {
        Step::Add => "a new secret is accepted; `fedge secrets use` makes keys of it once all members have it",
        Step::Use => "keys are made of the new secret; in a minute, `fedge secrets drop` forgets the old one",
        Step::Drop => "none but the secret that makes keys is accepted",
        Step::Replace => "there are new secrets, and no other is accepted; streams that are being set up fail once",
    };
    Ok(Json(Done { what: what.to_owned() }))
}

impl From<SecretsError> for Failure {
    fn from(error: SecretsError) -> Failure {
        let title = error.to_string();
        match error {
            SecretsError::Order(_) => Failure::refused(title, "docs/control.md says how secrets are changed"),
            SecretsError::Lagging(_) => Failure::refused(
                title,
                "look with `fedge status` what keeps them, and try again; --force, where they are gone for good",
            ),
            SecretsError::Random => Failure::refused(title, "look at the system that the controller runs on"),
            SecretsError::Store(error) => error.into(),
        }
    }
}
