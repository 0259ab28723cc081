//! Health, for load balancers and keepalived: of this controller, of a pool, of an address. Nobody needs a token for it.

use std::net::IpAddr;
use std::time::SystemTime;

use api::control::{Health, Serving};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Json;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{Failure, Office};
use crate::health::{self, View};

/// What makes an answer a good one.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Want {
    Live,
    #[default]
    Ready,
    Routed,
}

/// What is asked for.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct Asked {
    /// What makes the answer 200: `live`, `ready` or `routed`; `ready` where it isn't given.
    #[serde(default)]
    #[param(inline, required = false)]
    want: Want,
}

/// Whether this controller can do its work: it sees the store.
#[utoipa::path(get, path = "/v1/health", responses((status = 200, body = Health), (status = 503, body = Health)))]
pub(super) async fn of_controller(State(office): State<Office>) -> (StatusCode, Json<Health>) {
    match office.members.picture().blind {
        None => (StatusCode::OK, Json(Health { good: true, why: "the store answers".to_owned() })),
        Some(_) => {
            let why = "the store doesn't answer".to_owned();
            (StatusCode::SERVICE_UNAVAILABLE, Json(Health { good: false, why }))
        }
    }
}

/// Whether a pool serves: whether one of its edge servers does.
#[utoipa::path(get, path = "/v1/health/pools/{fqdn}", params(Asked), responses((status = 200, body = Serving), (status = 503, body = Serving), (status = "default", body = api::control::Problem)))]
pub(super) async fn of_pool(
    State(office): State<Office>,
    Path(fqdn): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<(StatusCode, Json<Serving>), Failure> {
    let serving = look(&office, |view| health::of_pool(view, &fqdn))?;
    answer(&asked, serving, &format!("there is no pool {fqdn} in the topology"))
}

/// Whether the member at an address serves.
#[utoipa::path(get, path = "/v1/health/addresses/{address}", params(Asked), responses((status = 200, body = Serving), (status = 503, body = Serving), (status = "default", body = api::control::Problem)))]
pub(super) async fn of_address(
    State(office): State<Office>,
    Path(address): Path<IpAddr>,
    Query(asked): Query<Asked>,
) -> Result<(StatusCode, Json<Serving>), Failure> {
    let serving = look(&office, |view| health::of_address(view, address))?;
    answer(&asked, serving, &format!("no member has the address {address} in the topology"))
}

fn look(office: &Office, look: impl FnOnce(&View<'_>) -> Option<Serving>) -> Result<Option<Serving>, Failure> {
    let picture = office.members.picture();
    let Some(current) = &picture.current else {
        return Err(Failure::not_found("there is no topology yet", "publish the first one: `fedge topology publish`"));
    };
    let seen = |fqdn: &str| office.members.seen(fqdn);
    let blind = picture.blind.is_some();
    Ok(look(&View { installation: &picture.installation, current, blind, seen: &seen, now: SystemTime::now() }))
}

fn answer(asked: &Asked, serving: Option<Serving>, missing: &str) -> Result<(StatusCode, Json<Serving>), Failure> {
    let serving = serving.ok_or_else(|| Failure::not_found(missing, "`fedge topology show` says what there is"))?;
    let good = match asked.want {
        Want::Live => serving.live,
        Want::Ready => serving.ready,
        Want::Routed => serving.routed,
    };
    Ok((if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(serving)))
}
