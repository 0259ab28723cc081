//! The federation route: shown, planned, moved, verified.

use api::control::Problem;
use api::route::{Begun, Move, Operation, Plan, Route, Verified, Wish};
use axum::extract::{Path, State};
use axum::response::Json;

use super::{Caller, Failure, Office};
use crate::access::Role;
use crate::route::moves::MoveError;
use crate::route::plan::PlanError;

/// How many operations the history has.
const HISTORY: u64 = 50;

/// The route, and who stands by.
#[utoipa::path(get, path = "/v1/route", responses((status = 200, body = Route), (status = "default", body = Problem)))]
pub(super) async fn show(State(office): State<Office>, caller: Caller) -> Result<Json<Route>, Failure> {
    office.admit(&caller, Role::Viewer)?;
    Ok(Json(office.moves.route().await?))
}

/// What a move would do, and whether it may be made. Nothing is changed.
#[utoipa::path(post, path = "/v1/route/plan", request_body = Wish, responses((status = 200, body = Plan), (status = "default", body = Problem)))]
pub(super) async fn plan(
    State(office): State<Office>,
    caller: Caller,
    Json(wish): Json<Wish>,
) -> Result<Json<Plan>, Failure> {
    office.admit(&caller, Role::Viewer)?;
    Ok(Json(office.moves.plan(&wish).await?))
}

/// Begin a move, if nothing refuses it.
#[utoipa::path(post, path = "/v1/route/move", request_body = Move, responses((status = 200, body = Begun), (status = "default", body = Problem)))]
pub(super) async fn begin(
    State(office): State<Office>,
    caller: Caller,
    Json(asked): Json<Move>,
) -> Result<Json<Begun>, Failure> {
    let user = office.admit(&caller, Role::Operator)?;
    Ok(Json(office.moves.begin(&asked, &user.name).await?))
}

/// Whether the route is where it should be, as far as can be seen now.
#[utoipa::path(post, path = "/v1/route/verify", responses((status = 200, body = Verified), (status = "default", body = Problem)))]
pub(super) async fn verify(State(office): State<Office>, caller: Caller) -> Result<Json<Verified>, Failure> {
    office.admit(&caller, Role::Viewer)?;
    Ok(Json(office.moves.verify().await?))
}

/// The last operations, the latest first.
#[utoipa::path(get, path = "/v1/operations", responses((status = 200, body = [Operation]), (status = "default", body = Problem)))]
pub(super) async fn history(State(office): State<Office>, caller: Caller) -> Result<Json<Vec<Operation>>, Failure> {
    office.admit(&caller, Role::Viewer)?;
    Ok(Json(office.moves.history(HISTORY).await?))
}

/// An operation, as it is now.
#[utoipa::path(get, path = "/v1/operations/{number}", responses((status = 200, body = Operation), (status = "default", body = Problem)))]
pub(super) async fn one(
    State(office): State<Office>,
    caller: Caller,
    Path(number): Path<u64>,
) -> Result<Json<Operation>, Failure> {
    office.admit(&caller, Role::Viewer)?;
    Ok(Json(office.moves.operation(number).await?))
}

/// Have an operation that rests look again at once, driven by this controller.
#[utoipa::path(post, path = "/v1/operations/{number}/resume", responses((status = 200, body = Operation), (status = "default", body = Problem)))]
pub(super) async fn resume(
    State(office): State<Office>,
    caller: Caller,
    Path(number): Path<u64>,
) -> Result<Json<Operation>, Failure> {
    let user = office.admit(&caller, Role::Operator)?;
    let operation = office.moves.resume(number, &user.name).await?;
    Ok(Json(office.moves.told(&operation)))
}

/// End an operation whose target isn't the route yet.
#[utoipa::path(post, path = "/v1/operations/{number}/abort", responses((status = 200, body = Operation), (status = "default", body = Problem)))]
pub(super) async fn abort(
    State(office): State<Office>,
    caller: Caller,
    Path(number): Path<u64>,
) -> Result<Json<Operation>, Failure> {
    let user = office.admit(&caller, Role::Operator)?;
    let operation = office.moves.abort(number, &user.name).await?;
    Ok(Json(office.moves.told(&operation)))
}

impl From<MoveError> for Failure {
    fn from(error: MoveError) -> Failure {
        let title = error.to_string();
        match error {
            MoveError::NoTopology => Failure::not_found(title, "publish the first one: `fedge topology publish`"),
            MoveError::Plan(PlanError::NoPool(_)) => Failure::not_found(title, "`fedge route show` lists the pools"),
            MoveError::Plan(PlanError::NoTarget) => Failure::refused(title, "name it: --to POOL"),
            MoveError::Plan(PlanError::Home(_)) => {
                Failure::refused(title, "leave it out; or move there with `fedge route switchover --to POOL`")
            }
            MoveError::Stale { .. } => Failure::conflict(title, "look at the new one: `fedge route plan`"),
            MoveError::Overtaken { .. } => {
                Failure::conflict(title, "`fedge route watch` shows it; ask again when it rests")
            }
            MoveError::NoOperation(_) => Failure::not_found(title, "`fedge route history` lists them"),
            MoveError::Committed { .. } => {
                Failure::refused(title, "move the route again: `fedge route switchover`, or `fedge route failback`")
            }
            MoveError::Over { .. } => Failure::refused(title, "`fedge route show` says where the route is"),
            MoveError::Store(error) => error.into(),
        }
    }
}
