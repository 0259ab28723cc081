//! Probes: what members are asked to probe, each from where it is, and what they say. Nothing is changed by it.

use std::sync::Arc;
use std::time::Duration;

use agent::dial::DialError;
use api::local;
use api::probe::{LONGEST, Probed, ProbedBy, Request, USUAL, Wanted};
use tokio::task::JoinSet;
use tokio::time::timeout;
use topology::document::{Member, Role};

use crate::members::{Members, ReachError};
use crate::publish::Current;
use crate::status::plain;

/// For all that isn't the probe itself: reaching the member, and its answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Why nothing is probed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// There is no topology yet.
    #[error("there is no topology yet")]
    NoTopology,
    /// Nobody is called so.
    #[error("there is no pool, edge server, gateway or witness {0} in the topology")]
    Nobody(String),
    /// It has no face.
    #[error("{fqdn} is a {role}, and only edge servers, gateways and witnesses probe")]
    NoFace {
        /// Its name.
        fqdn: String,
        /// What it is.
        role: String,
    },
    /// Too little time, or too much.
    #[error("a probe of {0} s can't be asked for")]
    Time(u64),
}

/// Has this member probe, in bounded time.
///
/// # Errors
/// When it can't be reached, refuses, or doesn't answer in time.
pub async fn probe(members: &Members, from: &Member, request: Request) -> Result<Probed, ReachError> {
    let patience = Duration::from_secs(request.seconds.unwrap_or(USUAL).min(LONGEST)) + ANSWER;
    let tried = format!("nothing came for {} s", patience.as_secs());
    let late = || DialError::Unreachable { fqdn: from.fqdn.to_string(), tried };
    timeout(patience, ask(members, from, request)).await.map_err(|_| late())?
}

async fn ask(members: &Members, from: &Member, request: Request) -> Result<Probed, ReachError> {
    let refused = |why: &str| DialError::Refused { fqdn: from.fqdn.to_string(), why: why.to_owned() };
    let mut connection = members.dial(from).await?;
    connection.local(local::Request::Probe(request)).await?;
    while let Some(reply) = connection.next().await? {
        match reply {
            local::Reply::Probed(probed) => return Ok(probed),
            local::Reply::Refused { why } => return Err(refused(&why).into()),
            _ => {}
        }
    }
    Err(refused("it says nothing of a probe; does it run a version of fedge that can?").into())
}

/// Has everybody probe who is meant, all at once; by name.
///
/// # Errors
/// When nobody is meant, or it can't be asked for. What each can't do is told for itself.
pub async fn all(members: &Arc<Members>, wanted: &Wanted) -> Result<Vec<ProbedBy>, ProbeError> {
    if let Some(seconds) = wanted.seconds.filter(|seconds| !(1..=LONGEST).contains(seconds)) {
        return Err(ProbeError::Time(seconds));
    }
    let current = members.picture().current.ok_or(ProbeError::NoTopology)?;
    let mut tasks = JoinSet::new();
    for member in chosen(&current, wanted.via.as_deref())?.into_iter().cloned() {
        let (members, request) = (members.clone(), Request::from(wanted));
        tasks.spawn(async move {
            let server = member.fqdn.to_string();
            match probe(&members, &member, request).await {
                Ok(probed) => ProbedBy { server, probed: Some(probed), why: None },
                Err(error) => ProbedBy { server, probed: None, why: Some(plain(&error.to_string())) },
            }
        });
    }
    let mut probed = tasks.join_all().await;
    probed.sort_by(|left, right| left.server.cmp(&right.server));
    Ok(probed)
}

/// Who probes: the edge servers of a pool, or one member; those of the pool that carries the route where nobody is named.
///
/// # Errors
/// When nobody is called so, or it is one that doesn't probe.
pub fn chosen<'a>(current: &'a Current, via: Option<&str>) -> Result<Vec<&'a Member>, ProbeError> {
    let topology = &current.topology;
    let name = via.unwrap_or(&current.route.pool);
    if let Some(pool) = topology.pools.iter().find(|pool| pool.fqdn.as_str() == name) {
        return Ok(pool.edges.iter().map(|edge| &edge.member).collect());
    }
    let found = topology.members().find(|member| member.fqdn.as_str() == name);
    let member = found.ok_or_else(|| ProbeError::Nobody(name.to_owned()))?;
    match member.role {
        Role::Edge | Role::Gateway | Role::Witness => Ok(vec![member]),
        role => Err(ProbeError::NoFace { fqdn: name.to_owned(), role: role.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ahead::tests::current;

    fn names(via: Option<&str>) -> Result<Vec<String>, ProbeError> {
        let current = current(3, 2);
        chosen(&current, via).map(|chosen| chosen.iter().map(|member| member.fqdn.to_string()).collect())
    }

    #[test]
    fn the_routed_pool_probes_unless_somebody_is_named() {
        let routed = Ok(vec!["edge1.contoso.test".to_owned(), "edge2.contoso.test".to_owned()]);
        assert_eq!(names(None), routed);
        assert_eq!(names(Some("pool1.contoso.test")), routed);
        for one in ["edge3.contoso.test", "gateway1.contoso.test"] {
            assert_eq!(names(Some(one)), Ok(vec![one.to_owned()]));
        }
        assert_eq!(names(Some("pool2.contoso.test")), names(Some("edge3.contoso.test")));
        let nobody = names(Some("edge9.contoso.test")).expect_err("there is none");
        assert!(nobody.to_string().contains("no pool, edge server, gateway or witness edge9"), "{nobody}");
    }
}
