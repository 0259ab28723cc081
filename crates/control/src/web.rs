//! The API over HTTP: what may be asked by whom, and what comes back. docs/openapi.json describes it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use axum::extract::{DefaultBodyLimit, FromRequestParts};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::map_response;
use axum::response::{IntoResponse, Json, Response};
use axum::{Router, routing::get};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{Role, User, Users};
use crate::http::Peer;
use crate::ledger::{DOCUMENT_BYTES, Ledger};
use crate::members::Members;
use crate::route::moves::Moves;
use crate::zones::planned::Names;

mod audit;
mod dns;
mod failure;
mod health;
mod members;
mod probe;
mod recover;
mod route;
mod secrets;
mod service;
mod topology;

pub use failure::Failure;

/// What the API works with.
#[derive(Debug, Clone)]
pub struct Office {
    /// The store.
    pub ledger: Arc<Ledger>,
    /// Everybody who is kept at what is there.
    pub members: Arc<Members>,
    /// What is asked of the route.
    pub moves: Arc<Moves>,
    /// What is asked of DNS outside.
    pub names: Names,
    /// Who may use it.
    pub users: Arc<ArcSwap<Users>>,
    /// What was answered.
    pub answers: Arc<Answers>,
}

/// How many requests were answered, by HTTP's status.
#[derive(Debug, Default)]
pub struct Answers(Mutex<BTreeMap<u16, u64>>);

impl Answers {
    /// All of them.
    pub fn by_status(&self) -> BTreeMap<u16, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, status: StatusCode) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(status.as_u16()).or_default() += 1;
    }
}

/// The API's description, without its paths, which come from the handlers.
#[derive(Debug, OpenApi)]
#[openapi(info(
    title = "fedge-control",
    description = "What the command line and other programs ask the control plane of fedge. Every request but health needs a \
                   token (`Authorization: Bearer …`) or a client certificate of a user; a problem is told as RFC 9457 says.",
    license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
))]
struct Description;

/// All that can be asked, and its description.
pub fn router(office: Office) -> Router {
    let answers = office.answers.clone();
    let (router, description) = described();
    let text = description.to_pretty_json().unwrap_or_default();
    router
        .route("/v1/openapi.json", get(move || async move { text }))
        .fallback(|| async { Failure::not_found("there is nothing here", "docs/openapi.json says what there is") })
        // JSON makes a document longer, by its quotes and line ends.
        .layer(DefaultBodyLimit::max(2 * DOCUMENT_BYTES))
        .layer(map_response(move |response: Response| {
            answers.count(response.status());
            std::future::ready(response)
        }))
        .with_state(office)
}

/// The description, as docs/openapi.json has it.
pub fn description() -> String {
    described().1.to_pretty_json().unwrap_or_default() + "\n"
}

fn described() -> (Router<Office>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(audit::entries))
        .routes(routes!(audit::verified))
        .routes(routes!(topology::current, topology::publish_one))
        .routes(routes!(topology::one))
        .routes(routes!(topology::again))
        .routes(routes!(topology::history))
        .routes(routes!(members::status))
        .routes(routes!(members::enrol))
        .routes(routes!(health::of_controller))
        .routes(routes!(health::of_pool))
        .routes(routes!(health::of_address))
        .routes(routes!(service::order))
        .routes(routes!(secrets::take))
        .routes(routes!(probe::all))
        .routes(routes!(dns::plan))
        .routes(routes!(dns::apply))
        .routes(routes!(dns::check))
        .routes(routes!(dns::answers))
        .routes(routes!(dns::tlsa))
        .routes(routes!(dns::contents))
        .routes(routes!(dns::signed))
        .routes(routes!(dns::forget_key))
        .routes(routes!(recover::look, recover::forward))
        .routes(routes!(route::show))
        .routes(routes!(route::plan))
        .routes(routes!(route::begin))
        .routes(routes!(route::verify))
        .routes(routes!(route::history))
        .routes(routes!(route::one))
        .routes(routes!(route::resume))
        .routes(routes!(route::abort))
        .split_for_parts()
}

/// By what a request says who asks.
#[derive(Debug)]
pub struct Caller {
    token: Option<String>,
    peer: Option<Peer>,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Caller, Self::Rejection> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|header| header.strip_prefix("Bearer ")).map(|token| token.trim().to_owned());
        Ok(Caller { token, peer: parts.extensions.get::<Peer>().copied() })
    }
}

impl Office {
    /// Refuses what must not be done while the store is behind its members.
    ///
    /// # Errors
    /// That it is.
    fn not_behind(&self) -> Result<(), Failure> {
        match self.members.picture().behind {
            Some(what) => Err(Failure::conflict(what, "look with `fedge recover` what members know")),
            None => Ok(()),
        }
    }

    /// Who asks, where they may.
    ///
    /// # Errors
    /// Why they may not.
    fn admit(&self, caller: &Caller, needed: Role) -> Result<User, Failure> {
        let users = self.users.load();
        let user = users.admit(caller.token.as_deref(), caller.peer.and_then(|peer| peer.key), needed);
        user.cloned().map_err(|denied| {
            let address = caller.peer.map(|peer| peer.address.to_string()).unwrap_or_default();
            tracing::warn!(address, reason = %denied, "a request to the API was denied");
            Failure::from(denied)
        })
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [("content-type", "application/problem+json")], Json(self.problem)).into_response()
    }
}
