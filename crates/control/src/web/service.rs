//! Federation services: stopped, started and drained.

use api::control::{Problem, Service, ServiceDone};
use api::local::ServiceAction;
use axum::extract::State;
use axum::response::Json;
use store::StoreError;

use super::{Caller, Failure, Office};
use crate::access::Role;
use crate::records;
use crate::service::{self, LONGEST, Order, ServiceError, Unfit, Whose};

/// Stop, start or drain federation services: those of a pool, or of one edge server.
#[utoipa::path(post, path = "/v1/service", request_body = Service, responses((status = 200, body = [ServiceDone]), (status = "default", body = Problem)))]
pub(super) async fn order(
    State(office): State<Office>,
    caller: Caller,
    Json(asked): Json<Service>,
) -> Result<Json<Vec<ServiceDone>>, Failure> {
    let user = office.admit(&caller, Role::Operator)?;
    let order = understood(&asked)?;
    let done = service::execute(&office.members, &office.ledger, &order, (&user.name, &asked.why)).await?;
    Ok(Json(done))
}

fn understood(asked: &Service) -> Result<Order, Failure> {
    let action = match asked.action.as_str() {
        "start" => ServiceAction::Start,
        "stop" => ServiceAction::Stop,
        "drain" => ServiceAction::Drain,
        other => return Err(Failure::refused(format!("`{other}` is no action"), "ask for start, stop or drain")),
    };
    let whose = match (&asked.pool, &asked.server) {
        (Some(pool), None) => Whose::Pool(pool.clone()),
        (None, Some(server)) => Whose::Server(server.clone()),
        _ => return Err(Failure::refused("one of pool and server is needed, and none or both is there", "name one")),
    };
    if let Some(deadline) = asked.deadline.filter(|deadline| !(1..=LONGEST).contains(deadline)) {
        let title = format!("a drain of {deadline} s can't be asked for");
        return Err(Failure::refused(title, format!("give it 1 to {LONGEST} s")));
    }
    Ok(Order { action, whose, seconds: asked.deadline, force: asked.force })
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Failure {
        match error {
            ServiceError::NoTopology => {
                Failure::not_found(error.to_string(), "publish the first one: `fedge topology publish`")
            }
            ServiceError::Unfit(unfit) => unfit.into(),
            ServiceError::Store(StoreError::Conflict(key)) if key == records::services() => Failure::conflict(
                "somebody else commands federation services at this moment",
                "look how they are, and ask again",
            ),
            ServiceError::Store(error) => error.into(),
        }
    }
}

impl From<Unfit> for Failure {
    fn from(unfit: Unfit) -> Failure {
        let title = unfit.to_string();
        match unfit {
            Unfit::NoPool(_) | Unfit::NoServer(_) => Failure::not_found(title, "`fedge status` lists them"),
            Unfit::NoService { .. } => {
                Failure::refused(title, "end its daemon on its machine instead; a gateway drains then")
            }
            Unfit::LastOfRoute { .. } => Failure::refused(
                title,
                "move the route first, start another of them, or say --force where that is what you want",
            ),
            Unfit::Behind(_) => Failure::refused(title, "`fedge recover`, or --force"),
        }
    }
}
