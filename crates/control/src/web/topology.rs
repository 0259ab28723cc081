//! The topology: what is current, what was, and what should be from now on.

use api::control::{Again, Problem, Publish, Published, Topology, Version};
use axum::extract::{Path, State};
use axum::response::Json;

use super::{Caller, Failure, Office};
use crate::access::Role;
use crate::publish::{self, PublishError};

/// The current topology.
#[utoipa::path(get, path = "/v1/topology", responses((status = 200, body = Topology), (status = "default", body = Problem)))]
pub(super) async fn current(State(office): State<Office>, caller: Caller) -> Result<Json<Topology>, Failure> {
    office.admit(&caller, Role::Viewer)?;
    let current = publish::current(&office.ledger).await?.ok_or_else(|| {
        Failure::not_found("there is no topology yet", "publish the first one: `fedge topology publish`")
    })?;
    Ok(Json(Topology { version: current.version, document: current.document }))
}

/// A version of the topology.
#[utoipa::path(get, path = "/v1/topology/{version}", responses((status = 200, body = Topology), (status = "default", body = Problem)))]
pub(super) async fn one(
    State(office): State<Office>,
    caller: Caller,
    Path(version): Path<u64>,
) -> Result<Json<Topology>, Failure> {
    office.admit(&caller, Role::Viewer)?;
    let (_, document) = publish::version(&office.ledger, version).await?.ok_or(PublishError::NoVersion(version))?;
    Ok(Json(Topology { version, document }))
}

/// All versions of the topology, the latest first.
#[utoipa::path(get, path = "/v1/history", responses((status = 200, body = [Version]), (status = "default", body = Problem)))]
pub(super) async fn history(State(office): State<Office>, caller: Caller) -> Result<Json<Vec<Version>>, Failure> {
    office.admit(&caller, Role::Viewer)?;
    let (versions, current) = publish::history(&office.ledger).await?;
    let shown = |(version, record): (u64, crate::records::Version)| Version {
        version,
        at: record.at,
        who: record.who,
        why: record.why,
        digest: record.document.to_string(),
        current: current == Some(version),
    };
    Ok(Json(versions.into_iter().map(shown).collect()))
}

/// Make a document the current topology.
#[utoipa::path(post, path = "/v1/topology", request_body = Publish, responses((status = 200, body = Published), (status = "default", body = Problem)))]
pub(super) async fn publish_one(
    State(office): State<Office>,
    caller: Caller,
    Json(asked): Json<Publish>,
) -> Result<Json<Published>, Failure> {
    let user = office.admit(&caller, Role::Administrator)?;
    office.not_behind()?;
    let done = publish::publish(&office.ledger, &user.name, &asked.document, asked.from, &asked.why).await?;
    Ok(Json(Published { version: done.version, changes: done.changes }))
}

/// Make an old version current again, under a new number.
#[utoipa::path(post, path = "/v1/topology/again", request_body = Again, responses((status = 200, body = Published), (status = "default", body = Problem)))]
pub(super) async fn again(
    State(office): State<Office>,
    caller: Caller,
    Json(asked): Json<Again>,
) -> Result<Json<Published>, Failure> {
    let user = office.admit(&caller, Role::Administrator)?;
    office.not_behind()?;
    let (_, document) =
        publish::version(&office.ledger, asked.version).await?.ok_or(PublishError::NoVersion(asked.version))?;
    let done = publish::publish(&office.ledger, &user.name, &document, None, &asked.why).await?;
    Ok(Json(Published { version: done.version, changes: done.changes }))
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Failure {
        let title = error.to_string();
        match error {
            PublishError::Faulty(faults) => Failure::faulty(title, faults),
            PublishError::Overtaken { .. } => {
                Failure::conflict(title, "look at what changed with `fedge topology show`, and make yours from that")
            }
            PublishError::RouteLost(_) => Failure::refused(title, "move the route to another pool first"),
            PublishError::NoVersion(_) => Failure::not_found(title, "`fedge topology history` lists them"),
            PublishError::Store(error) => error.into(),
        }
    }
}
