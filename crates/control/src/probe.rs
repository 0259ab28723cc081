//! Probes: what an edge server or a gateway sees of a domain's servers, asked of it from here.

use std::time::Duration;

use agent::dial::DialError;
use api::local::{Reply, Request as Ask};
use api::probe::{Probed, Request, USUAL};
use tokio::time::timeout;
use topology::document::Member;

use crate::members::{Members, ReachError};

/// For all that isn't the probe.
const ANSWER: Duration = Duration::from_secs(5);

/// Has a member probe something.
///
/// # Errors
/// When it isn't enrolled, can't be reached, or refuses.
pub async fn probe(members: &Members, from: &Member, request: Request) -> Result<Probed, ReachError> {
    let refused = |why: &str| DialError::Refused { fqdn: from.fqdn.to_string(), why: why.to_owned() };
    let patience = Duration::from_secs(request.seconds.unwrap_or(USUAL)) + ANSWER;
    let asked = async {
        let mut connection = members.dial(from).await?;
        connection.local(Ask::Probe(request)).await?;
        while let Some(reply) = connection.next().await? {
            match reply {
                Reply::Probed(probed) => return Ok(probed),
                Reply::Refused { why } => return Err(refused(&why).into()),
                _ => {}
            }
        }
        Err(refused("it doesn't know how to probe; does it run an older version of fedge?").into())
    };
    let late = || refused(&format!("it hasn't said within {} s what it saw", patience.as_secs()));
    timeout(patience, asked).await.unwrap_or_else(|_| Err(late().into()))
}
