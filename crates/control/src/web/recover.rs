//! A store that is behind its members: what they know, and brought forward.

use std::collections::BTreeMap;

use api::control::{Known, KnownBy, Problem, Published, Recover, Recovery};
use axum::extract::State;
use axum::response::Json;
use topology::document::{Topology, difference};

use super::{Caller, Failure, Office};
use crate::access::Role;
use crate::ahead::{self, Heard};
use crate::audit::Hash;
use crate::publish::{self, Current};
use crate::recover::{self, RecoverError, Wish};

/// What members know that the store doesn't, and what would bring it forward.
#[utoipa::path(get, path = "/v1/recover", responses((status = 200, body = Recovery), (status = "default", body = Problem)))]
pub(super) async fn look(State(office): State<Office>, caller: Caller) -> Result<Json<Recovery>, Failure> {
    office.admit(&caller, Role::Administrator)?;
    let (current, everybody) = seen(&office).await?;
    let (versions, _) = publish::history(&office.ledger).await?;
    // The latest first, and the latest one counts.
    let stored: BTreeMap<Hash, u64> =
        versions.iter().rev().map(|(number, version)| (version.document, *number)).collect();
    let own = office.members.picture().installation;
    let members = everybody.iter().map(|heard| known_by(heard, &current, &stored, &own)).collect::<Vec<_>>();
    let next = recover::next(&own, &current, &everybody, &Wish::default());
    let hindrance = match &next {
        Ok(_) | Err(RecoverError::NotBehind) => None,
        Err(error) => Some(format!("{error}; {}", fix(error))),
    };
    Ok(Json(Recovery {
        needed: members.iter().any(|member| member.ahead),
        store: known(current.version, &current.digest, current.route.epoch, &current.route.pool),
        silent: silent(&office, &everybody),
        members,
        next: next.ok().map(|next| known(next.version, &Hash::of(next.document.as_bytes()), next.epoch, &next.pool)),
        hindrance,
    }))
}

/// Bring the store forward: a version and an epoch past all that anybody knows.
#[utoipa::path(post, path = "/v1/recover", request_body = Recover, responses((status = 200, body = Published), (status = "default", body = Problem)))]
pub(super) async fn forward(
    State(office): State<Office>,
    caller: Caller,
    Json(asked): Json<Recover>,
) -> Result<Json<Published>, Failure> {
    let user = office.admit(&caller, Role::Administrator)?;
    let (current, everybody) = seen(&office).await?;
    let wish = Wish { document: asked.document, pool: asked.pool, without: asked.without };
    let own = office.members.picture().installation;
    let next = recover::next(&own, &current, &everybody, &wish)?;
    if (next.version, next.epoch) != (asked.version, asked.epoch) {
        return Err(RecoverError::Moved { version: next.version, epoch: next.epoch }.into());
    }
    recover::recover(&office.ledger, &current, &next, (&user.name, &asked.why)).await?;
    let topology = Topology::read("topology.toml", &next.document);
    let changes = topology.map_or_else(|_| Vec::new(), |topology| difference(&current.topology, &topology));
    Ok(Json(Published { version: next.version, changes }))
}

/// What the store says now, and everybody whom this controller has heard.
async fn seen(office: &Office) -> Result<(Current, Vec<Heard>), Failure> {
    let current = publish::current(&office.ledger).await?;
    let current = current.ok_or_else(|| {
        Failure::not_found("there is no topology in the store", "publish the first one: `fedge topology publish`")
    })?;
    let everybody = ahead::everybody(&current.topology, |fqdn| office.members.seen(fqdn), None);
    Ok((current, everybody))
}

/// Those whose word is missing.
fn silent(office: &Office, everybody: &[Heard]) -> Vec<String> {
    let enrolled = office.members.picture().enrolled;
    let is_silent = |fqdn: &&String| !everybody.iter().any(|heard| heard.fqdn == **fqdn);
    enrolled.keys().filter(is_silent).cloned().collect()
}

fn known(version: u64, digest: &Hash, epoch: u64, pool: &str) -> Known {
    Known { version, digest: digest.to_string(), epoch, pool: pool.to_owned() }
}

fn known_by(heard: &Heard, current: &Current, stored: &BTreeMap<Hash, u64>, own: &str) -> KnownBy {
    let have = &heard.have;
    let digest = Hash::from(have.topology.0);
    let alien = have.installation != own;
    KnownBy {
        fqdn: heard.fqdn.clone(),
        knows: known(have.version, &digest, have.route.epoch, &crate::status::plain(&have.route.pool)),
        ahead: !alien && ahead::knows_more(have, current),
        stored_as: stored.get(&digest).copied(),
        installation: alien.then(|| crate::status::plain(&have.installation)),
    }
}

impl From<RecoverError> for Failure {
    fn from(error: RecoverError) -> Failure {
        let (title, fix) = (error.to_string(), fix(&error));
        match error {
            RecoverError::Faulty(faults) => Failure::faulty(title, faults),
            RecoverError::Moved { .. } => Failure::conflict(title, fix),
            RecoverError::Store(error) => error.into(),
            _ => Failure::refused(title, fix),
        }
    }
}

fn fix(error: &RecoverError) -> String {
    match error {
        RecoverError::NotBehind => "wait until those that do are reached; `fedge status` shows them".to_owned(),
        RecoverError::Alien { .. } => {
            "bring back a store of theirs; or enrol them anew, each with an empty state folder (docs/enrolment.md)"
                .to_owned()
        }
        RecoverError::Endless { fqdn, .. } => {
            format!("no installation gets there: look who has {fqdn}, and leave it out: --without {fqdn}")
        }
        RecoverError::Divided { .. } => "say which shall carry it: --pool FQDN".to_owned(),
        RecoverError::RouteLost(_) => {
            "give the document that has it: --topology FILE; or another pool: --pool FQDN".to_owned()
        }
        RecoverError::Faulty(_) => "mend each of the faults".to_owned(),
        RecoverError::Moved { .. } => "look again with `fedge recover`".to_owned(),
        RecoverError::Store(_) => "try again".to_owned(),
    }
}
