//! Whether partners get in at the external addresses that DNS leads them to, as others see it who look from elsewhere.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::probe::Request;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use topology::records::Published;

use crate::members::Members;
use crate::probe::probe;
use crate::publish::Current;
use crate::route::outside::{Looker, lookers_at};
use crate::route::sight::{Facts, Sight};
use crate::status::plain;

/// Where partners are taken in by STARTTLS.
const S2S: u16 = 5269;
/// For one look, in seconds.
pub(super) const SECONDS: u64 = 4;
/// So many look at one address before it is said that nobody gets in there.
pub(super) const LOOKERS: usize = 2;
/// Looks that are under way at once.
pub(super) const AT_ONCE: usize = 32;
/// What a member said of itself so long ago still counts.
const LONGEST: Duration = Duration::from_secs(30);

/// What was seen at an external address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    /// A stream gets as far as it should.
    Well,
    /// It does from one place, and not from another.
    FromSome {
        /// From where it does.
        from: String,
        /// What another sees, who is named.
        fault: String,
    },
    /// It doesn't, as each says who looked.
    Nowhere(String),
    /// Nobody could look, for this reason.
    Unseen(String),
}

/// What came of one look: who looked, and why a stream gets nowhere, if it does; or why it couldn't be looked.
pub(super) type Taken = (String, Result<Option<String>, String>);

/// Where partners are led, and who could look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The pool.
    pub(super) pool: String,
    /// The edge server.
    pub(super) server: String,
    /// The address.
    pub(super) at: SocketAddr,
    /// Whether TLS begins with the first byte there.
    pub(super) direct_tls: bool,
    /// Who could look, the best first.
    pub(super) lookers: Vec<Looker>,
}

/// The external addresses of each edge server that serves, with each port at which partners are taken in.
pub(super) fn places(members: &Arc<Members>, current: &Current, published: &Published) -> Vec<Place> {
    let now = Instant::now();
    let since = now.checked_sub(LONGEST).unwrap_or(now);
    let sight = Sight::of(current, |fqdn| members.wanted_head(fqdn), |fqdn| members.seen(fqdn), since);
    let ports: Vec<(u16, bool)> =
        [(S2S, false)].into_iter().chain(published.names.direct_tls_port.map(|port| (port, true))).collect();
    let edges = current.topology.pools.iter().flat_map(|pool| pool.edges.iter().map(move |edge| (pool, edge)));
    let serves = |fqdn: &str| sight.members.get(fqdn).is_some_and(Facts::serves);
    let mut places = Vec::new();
    for (pool, edge) in edges.filter(|(_, edge)| serves(edge.member.fqdn.as_str())) {
        for address in &edge.external {
            let lookers = lookers_at(&current.topology, &sight, edge, *address);
            places.extend(ports.iter().map(|(port, direct_tls)| Place {
                pool: pool.fqdn.to_string(),
                server: edge.member.fqdn.to_string(),
                at: SocketAddr::new(*address, *port),
                direct_tls: *direct_tls,
                lookers: lookers.iter().take(LOOKERS).cloned().collect(),
            }));
        }
    }
    places
}

/// Has other members look at each external address of each edge server that serves, as partners would come there.
pub async fn reached(
    members: &Arc<Members>,
    current: &Current,
    published: &Published,
) -> BTreeMap<SocketAddr, Reached> {
    let (mut looks, room) = (JoinSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
    for Place { at, direct_tls, lookers, .. } in places(members, current, published) {
        let (members, room) = (members.clone(), room.clone());
        looks.spawn(async move {
            let _room = room.acquire_owned().await;
            (at, judged(&seen(&members, lookers, at, direct_tls).await))
        });
    }
    looks.join_all().await.into_iter().collect()
}

/// One after the other, until a stream gets in.
async fn seen(members: &Members, lookers: Vec<Looker>, at: SocketAddr, direct_tls: bool) -> Vec<Taken> {
    let mut taken: Vec<Taken> = Vec::new();
    for looker in lookers {
        let request =
            Request { at: Some(at), direct_tls, seconds: Some(SECONDS), ..Request::to(looker.domain.as_str()) };
        let said = probe(members, &looker.by, request).await.map_err(|error| plain(&error.to_string()));
        let fault = said.map(|probed| {
            let fault = || probed.faults().first().map(|fault| plain(fault)).unwrap_or_default();
            (!probed.reached).then(fault)
        });
        let is_well = fault == Ok(None);
        taken.push((looker.by.fqdn.to_string(), fault));
        if is_well {
            break;
        }
    }
    taken
}

/// What follows from all looks at one address.
fn judged(taken: &[Taken]) -> Reached {
    let well = taken.iter().find(|(_, said)| *said == Ok(None)).map(|(by, _)| by);
    let faults: Vec<String> = taken
        .iter()
        .filter_map(|(by, said)| said.as_ref().ok()?.as_ref().map(|fault| format!("{by} sees: {fault}")))
        .collect();
    match (well, faults.is_empty()) {
        (Some(_), true) => Reached::Well,
        (Some(from), false) => Reached::FromSome { from: from.clone(), fault: faults.join("; ") },
        (None, false) => Reached::Nowhere(faults.join("; ")),
        (None, true) => Reached::Unseen(unseen(taken)),
    }
}

/// Why nobody saw anything.
pub(super) fn unseen(taken: &[Taken]) -> String {
    let why = taken.iter().filter_map(|(by, said)| Some(format!("{by}: {}", said.as_ref().err()?)));
    match taken {
        [] => "no witness and no other edge server that is reached has an address of that family".to_owned(),
        _ => why.collect::<Vec<_>>().join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(all: &[(&str, Result<Option<&str>, &str>)]) -> Reached {
        let owned = |said: &Result<Option<&str>, &str>| said.map(|said| said.map(str::to_owned)).map_err(str::to_owned);
        judged(&all.iter().map(|(by, said)| ((*by).to_owned(), owned(said))).collect::<Vec<_>>())
    }

    #[test]
    fn what_several_saw_is_told_with_who_saw_it() {
        let (witness, edge) = ("witness1", "edge3");
        assert_eq!(taken(&[(witness, Ok(None))]), Reached::Well);
        // Who can't look says nothing against it.
        assert_eq!(taken(&[(witness, Err("it is gone")), (edge, Ok(None))]), Reached::Well);
        let some = Reached::FromSome { from: edge.to_owned(), fault: "witness1 sees: closed".to_owned() };
        assert_eq!(taken(&[(witness, Ok(Some("closed"))), (edge, Ok(None))]), some);
        let nowhere = Reached::Nowhere("witness1 sees: closed; edge3 sees: late".to_owned());
        assert_eq!(taken(&[(witness, Ok(Some("closed"))), (edge, Ok(Some("late")))]), nowhere);
        assert_eq!(taken(&[(witness, Err("it is gone"))]), Reached::Unseen("witness1: it is gone".to_owned()));
        assert!(matches!(taken(&[]), Reached::Unseen(why) if why.starts_with("no witness")));
    }
}
