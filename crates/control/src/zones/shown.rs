//! Which TLSA records would fit what edge servers show at the external addresses that DNS leads to, as others see it.

use std::sync::Arc;

use api::dns::{PoolTlsa, Shown, TlsaPlace};
use api::probe::{Probed, Request};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use topology::records::Published;

use super::reached::{AT_ONCE, Place, SECONDS, places, unseen};
use crate::members::Members;
use crate::probe::probe;
use crate::publish::Current;
use crate::route::outside::Looker;
use crate::status::plain;

/// Has other members look what is shown by the edge servers of these pools that serve.
pub async fn shown(
    members: &Arc<Members>,
    current: &Current,
    published: &Published,
    is_meant: impl Fn(&str) -> bool,
) -> Vec<PoolTlsa> {
    let (mut looks, room) = (JoinSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
    for place in places(members, current, published).into_iter().filter(|place| is_meant(&place.pool)) {
        let (members, room) = (members.clone(), room.clone());
        looks.spawn(async move {
            let _room = room.acquire_owned().await;
            (place.pool.clone(), seen(&members, &place).await)
        });
    }
    let mut all = looks.join_all().await;
    all.sort_by(|(_, one), (_, other)| (&one.server, &one.address).cmp(&(&other.server, &other.address)));
    let pools = published.pools.iter().filter(|pool| is_meant(pool.fqdn.as_str())).map(|pool| PoolTlsa {
        pool: pool.fqdn.to_string(),
        declared: pool.tlsa.clone(),
        places: all.iter().filter(|(of, _)| of == pool.fqdn.as_str()).map(|(_, place)| place.clone()).collect(),
    });
    pools.collect()
}

/// One after the other, until somebody sees a certificate.
async fn seen(members: &Members, place: &Place) -> TlsaPlace {
    let told =
        |by, shown, why| TlsaPlace { server: place.server.clone(), address: place.at.to_string(), by, shown, why };
    let mut failed = Vec::new();
    for looker in &place.lookers {
        let request = Request {
            at: Some(place.at),
            also: looker.also.clone(),
            direct_tls: place.direct_tls,
            seconds: Some(SECONDS),
            ..Request::to(looker.domain.as_str())
        };
        let by = looker.by.fqdn.to_string();
        match probe(members, &looker.by, request).await {
            Ok(probed) => {
                let shown = certificates(looker, &probed);
                if !shown.is_empty() {
                    return told(Some(by), shown, None);
                }
                let fault = probed.faults().first().map(|fault| plain(fault));
                let why = "it says nothing of what is shown; does it run a version of fedge that can?".to_owned();
                failed.push((by, Err(fault.unwrap_or(why))));
            }
            Err(error) => failed.push((by, Err(plain(&error.to_string())))),
        }
    }
    told(None, Vec::new(), Some(unseen(&failed)))
}

/// What is shown for each domain that was asked for.
fn certificates(looker: &Looker, probed: &Probed) -> Vec<Shown> {
    let shown = probed.targets.iter().filter_map(|target| {
        let domain = match &target.domain {
            None => &looker.domain,
            Some(domain) => looker.also.iter().find(|known| *known == domain)?,
        };
        let records = target.certificate.as_ref()?.tlsa.clone();
        (!records.is_empty()).then(|| Shown { domain: domain.clone(), records })
    });
    shown.collect()
}
