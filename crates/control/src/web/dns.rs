//! DNS outside: what should be there, what is, changed and checked.

use api::control::{Done, Problem};
use api::dns::{Answers, Applied, Apply, Check, Checked, Contents, ForgetKey, Plan, PoolTlsa, Signed, TlsaWish, Wish};
use axum::extract::State;
use axum::response::Json;

use super::{Caller, Failure, Office};
use crate::access::Role;
use crate::publish::zone_keys::{self, ForgetError};
use crate::zones::planned::AskError;
use crate::zones::trust;

/// What would be changed in each zone, and by whom. Nothing is changed.
#[utoipa::path(post, path = "/v1/dns/plan", request_body = Wish, responses((status = 200, body = Plan), (status = "default", body = Problem)))]
pub(super) async fn plan(
    State(office): State<Office>,
    caller: Caller,
    Json(wish): Json<Wish>,
) -> Result<Json<Plan>, Failure> {
    office.admit(&caller, Role::Viewer)?;
    Ok(Json(office.names.plan(&wish).await?))
}

/// Have zones hold what they should.
#[utoipa::path(post, path = "/v1/dns/apply", request_body = Apply, responses((status = 200, body = [Applied]), (status = "default", body = Problem)))]
pub(super) async fn apply(
    State(office): State<Office>,
    caller: Caller,
    Json(asked): Json<Apply>,
) -> Result<Json<Vec<Applied>>, Failure> {
    let user = office.admit(&caller, Role::Administrator)?;
    office.not_behind()?;
    Ok(Json(office.names.apply(&asked, &user.name).await?))
}

/// Look at all names from all sides, and say what is wrong.
#[utoipa::path(post, path = "/v1/dns/check", request_body = Check, responses((status = 200, body = Checked), (status = "default", body = Problem)))]
pub(super) async fn check(
    State(office): State<Office>,
    caller: Caller,
    Json(asked): Json<Check>,
) -> Result<Json<Checked>, Failure> {
    office.admit(&caller, Role::Operator)?;
    Ok(Json(office.names.check(&asked).await?))
}

/// What name servers and resolvers answer now for each name.
#[utoipa::path(post, path = "/v1/dns/answers", request_body = Check, responses((status = 200, body = Answers), (status = "default", body = Problem)))]
pub(super) async fn answers(
    State(office): State<Office>,
    caller: Caller,
    Json(asked): Json<Check>,
) -> Result<Json<Answers>, Failure> {
    office.admit(&caller, Role::Operator)?;
    Ok(Json(office.names.answers(&asked).await?))
}

/// Which certificates edge servers show outside, as TLSA records, and whether those that are declared fit.
#[utoipa::path(post, path = "/v1/dns/tlsa", request_body = TlsaWish, responses((status = 200, body = [PoolTlsa]), (status = "default", body = Problem)))]
pub(super) async fn tlsa(
    State(office): State<Office>,
    caller: Caller,
    Json(wish): Json<TlsaWish>,
) -> Result<Json<Vec<PoolTlsa>>, Failure> {
    office.admit(&caller, Role::Operator)?;
    Ok(Json(office.names.tlsa(&wish).await?))
}

/// What each zone should hold of ours, as a zone file has it.
#[utoipa::path(get, path = "/v1/dns/zones", responses((status = 200, body = [Contents]), (status = "default", body = Problem)))]
pub(super) async fn contents(State(office): State<Office>, caller: Caller) -> Result<Json<Vec<Contents>>, Failure> {
    office.admit(&caller, Role::Viewer)?;
    Ok(Json(office.names.contents()?))
}

/// By what each signed zone is to be known to its parent.
#[utoipa::path(get, path = "/v1/dns/ds", responses((status = 200, body = [Signed]), (status = "default", body = Problem)))]
pub(super) async fn signed(State(office): State<Office>, caller: Caller) -> Result<Json<Vec<Signed>>, Failure> {
    office.admit(&caller, Role::Viewer)?;
    Ok(Json(trust::signed(&office.ledger).await?))
}

/// Forget the key of a zone that isn't signed any more, so that it gets another.
#[utoipa::path(post, path = "/v1/dns/forget-key", request_body = ForgetKey, responses((status = 200, body = Done), (status = "default", body = Problem)))]
pub(super) async fn forget_key(
    State(office): State<Office>,
    caller: Caller,
    Json(asked): Json<ForgetKey>,
) -> Result<Json<Done>, Failure> {
    let user = office.admit(&caller, Role::Administrator)?;
    office.not_behind()?;
    let zone = format!("{}.", asked.zone.trim_end_matches('.').to_ascii_lowercase());
    zone_keys::forget(&office.ledger, &zone, (&user.name, &asked.why)).await?;
    Ok(Json(Done { what: format!("the key of {zone} is forgotten; it gets another when it is signed again") }))
}

impl From<ForgetError> for Failure {
    fn from(error: ForgetError) -> Failure {
        let title = error.to_string();
        match error {
            ForgetError::InUse(_) => Failure::refused(
                title,
                "first have the DS record removed from its parent, and stop to sign: docs/dns-zones.md says in which order",
            ),
            ForgetError::NoKey(_) => Failure::not_found(title, "it gets one when it is signed"),
            ForgetError::Store(error) => error.into(),
        }
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Failure {
        let title = error.to_string();
        match error {
            AskError::NoTopology => Failure::not_found(title, "publish the first one: `fedge topology publish`"),
            AskError::NoZone(_) => Failure::not_found(title, "`fedge dns zone` names them"),
            AskError::NoPool(_) => Failure::not_found(title, "`fedge status` names them"),
            AskError::NoZones => Failure::not_found(title, "docs/topology.md says how zones are declared"),
            AskError::Stale { .. } => Failure::conflict(title, "look at the plan again: `fedge dns plan`"),
            AskError::Nobody => Failure::refused(
                title,
                "name a resolver: `fedge dns check --resolver 9.9.9.9`, `resolvers` in [names]; or declare the zones: docs/topology.md",
            ),
            AskError::Resolver(_) => {
                Failure::refused(title, "write an address, if need be with a port: 9.9.9.9 or [2620:fe::fe]:53")
            }
            AskError::Store(error) => error.into(),
        }
    }
}
