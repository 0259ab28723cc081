//! Where a domain's servers are: from a domain or a next hop to addresses, in the order in which they are tried.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::proto::rr::Name;
use tokio::task::JoinSet;
use topology::address::Forbidden;
use topology::partner::S2S_PORT;
use xmpp::domain::Domain;

use crate::crypto::random_below;

mod ask;
mod choose;
mod error;
mod survey;

use ask::{Dns, both};
use choose::{Choice, Service, Srv, choose};
pub use error::ResolveError;
pub use survey::{Said, Survey};

/// Hosts of one domain that are looked at, the best ones; more is a zone gone wrong, or an attack.
const HOSTS: usize = 16;
/// Addresses of one host that are tried.
const ADDRESSES: usize = 4;
/// Addresses of one domain that are tried.
const TARGETS: usize = 16;
/// Once there is something to dial, what might stand before or beside it is waited for so long.
const THE_REST: Duration = Duration::from_secs(1);

/// An address to dial.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The host's name, or its address if it has none.
    pub host: String,
    /// Where.
    pub address: SocketAddr,
    /// Whether TLS begins with the first byte (XEP-0368).
    pub direct_tls: bool,
}

/// Finds targets by DNS, in bounded time. Cheap to clone.
#[derive(Clone)]
pub struct Resolver {
    dns: Dns,
    servers: Arc<[SocketAddr]>,
}

/// Says whether an address may be dialed.
pub type Guard<'a> = &'a (dyn Fn(IpAddr) -> Result<(), Forbidden> + Sync);

impl Resolver {
    /// Asks these servers, or those that the system asks if there are none.
    ///
    /// # Errors
    /// When the system's configuration can't be read.
    pub fn new(servers: &[SocketAddr]) -> Result<Resolver, ResolveError> {
        let failed = |error: hickory_resolver::net::NetError| ResolveError::Failed {
            name: "anything".to_owned(),
            why: error.to_string(),
        };
        Ok(Resolver { dns: Dns::new(servers).map_err(failed)?, servers: servers.into() })
    }

    /// One that asks the same servers and remembers nothing of what they said before.
    ///
    /// # Errors
    /// As [`Resolver::new`].
    pub fn afresh(&self) -> Result<Resolver, ResolveError> {
        Resolver::new(&self.servers)
    }

    /// Where the servers of `domain` are, as its SRV records say, or its address records where it
    /// has none (RFC 6120 §3.2). `guard` says which addresses may be dialed.
    ///
    /// # Errors
    /// When there is no such place, or DNS doesn't answer.
    pub async fn targets(&self, domain: &Domain, guard: Guard<'_>) -> Result<Vec<Target>, ResolveError> {
        let is_of_use = |service: &Service| matches!(service, Service::Records(_));
        let late = || Service::Failed("no answer in time".to_owned());
        let (starttls, direct) =
            both(self.service(domain, false), self.service(domain, true), is_of_use, THE_REST, late).await;
        let (hosts, own) = hosts(domain, starttls, direct)?;
        let names = names(&hosts);
        let targets = self.addresses(hosts, domain.as_str()).await?;
        let targets = some(targets, domain, own, names)?;
        permitted(targets, guard).map_err(|why| ResolveError::Forbidden { of: domain.clone(), why })
    }

    /// Where a configured next hop is.
    ///
    /// # Errors
    /// When its name has no address, or DNS doesn't answer.
    pub async fn host(&self, host: &str, port: u16, direct_tls: bool) -> Result<Vec<Target>, ResolveError> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![Target { host: host.to_owned(), address: (address, port).into(), direct_tls }]);
        }
        let hop = Srv { priority: 0, weight: 0, port, host: host.to_owned(), direct_tls };
        let targets = self.addresses(vec![hop], "this next hop").await?;
        if targets.is_empty() {
            return Err(ResolveError::NoAddress { hosts: host.to_owned(), of: "as a next hop".to_owned() });
        }
        Ok(targets)
    }

    async fn service(&self, domain: &Domain, direct_tls: bool) -> Service {
        let service = if direct_tls { "_xmpps-server" } else { "_xmpp-server" };
        let Ok(name) = Name::from_ascii(format!("{service}._tcp.{}.", domain.to_ascii())) else {
            // Too long with the prefix: no zone can have it.
            return Service::Absent;
        };
        let records = match self.dns.services(name).await {
            Ok(records) if records.is_empty() => return Service::Absent,
            Ok(records) => records,
            Err(why) => return Service::Failed(why),
        };
        if records.iter().all(|srv| srv.target.is_root()) {
            return Service::Refused;
        }
        let usable = records.into_iter().filter(|srv| !srv.target.is_root() && srv.port != 0);
        let usable: Vec<_> = usable
            .map(|srv| Srv {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                host: srv.target.to_ascii().trim_end_matches('.').to_owned(),
                direct_tls,
            })
            .collect();
        if usable.is_empty() { Service::NoPort } else { Service::Records(usable) }
    }

    /// The addresses of all hosts, asked for at once, in the hosts' order; none if none has one.
    async fn addresses(&self, hosts: Vec<Srv>, of: &str) -> Result<Vec<Target>, ResolveError> {
        let mut lookups = JoinSet::new();
        for (index, srv) in hosts.into_iter().enumerate() {
            let dns = self.dns.clone();
            lookups.spawn(async move {
                let addresses = dns.addresses(&srv.host).await;
                (index, srv, addresses)
            });
        }
        let mut found = Vec::with_capacity(lookups.len());
        let mut bound = None;
        loop {
            let next = async {
                match bound {
                    Some(bound) => tokio::time::timeout_at(bound, lookups.join_next()).await.ok().flatten(),
                    None => lookups.join_next().await,
                }
            };
            // An error is a panic, which has told so itself.
            match next.await {
                Some(Ok((index, srv, addresses))) => {
                    if addresses.as_ref().is_ok_and(|addresses| !addresses.is_empty()) {
                        bound.get_or_insert_with(|| tokio::time::Instant::now() + THE_REST);
                    }
                    found.push((index, srv, addresses));
                }
                Some(Err(_)) => {}
                None => break,
            }
        }
        found.sort_by_key(|(index, ..)| *index);
        let mut targets = Vec::new();
        let mut failure = None;
        for (_, srv, addresses) in found {
            match addresses {
                Ok(addresses) => targets.extend(addresses.into_iter().take(ADDRESSES).map(|address| Target {
                    host: srv.host.clone(),
                    address: (address, srv.port).into(),
                    direct_tls: srv.direct_tls,
                })),
                Err(why) => failure = Some(ResolveError::Failed { name: format!("{} (for {of})", srv.host), why }),
            }
        }
        targets.truncate(TARGETS);
        match failure {
            Some(failure) if targets.is_empty() => Err(failure),
            _ => Ok(targets),
        }
    }
}

/// The hosts that are tried, in this order, and whether that is the domain itself, which has no records.
fn hosts(domain: &Domain, starttls: Service, direct: Service) -> Result<(Vec<Srv>, bool), ResolveError> {
    match choose(starttls, direct, random_below) {
        Choice::Hosts(mut hosts) => {
            hosts.truncate(HOSTS);
            Ok((hosts, false))
        }
        Choice::OwnAddress => {
            let host = domain.to_ascii().to_owned();
            Ok((vec![Srv { priority: 0, weight: 0, port: S2S_PORT, host, direct_tls: false }], true))
        }
        Choice::NotOffered => Err(ResolveError::NotOffered(domain.clone())),
        Choice::NoPort => Err(ResolveError::NoPort(domain.clone())),
        Choice::Failed(why) => Err(ResolveError::Failed { name: domain.to_string(), why }),
    }
}

/// Those targets, if there is one. `names` are those of the hosts.
fn some(targets: Vec<Target>, domain: &Domain, own: bool, names: String) -> Result<Vec<Target>, ResolveError> {
    match (targets.is_empty(), own) {
        (true, true) => Err(ResolveError::NoServer(domain.clone())),
        (true, false) => Err(ResolveError::NoAddress { hosts: names, of: domain.to_string() }),
        (false, _) => Ok(targets),
    }
}

/// The hosts' names, each once.
fn names(hosts: &[Srv]) -> String {
    let mut names: Vec<&str> = hosts.iter().map(|srv| srv.host.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

/// Those targets that may be dialed; an error is why none may.
fn permitted(targets: Vec<Target>, guard: Guard<'_>) -> Result<Vec<Target>, Forbidden> {
    let mut permitted = Vec::with_capacity(targets.len());
    let mut forbidden = None;
    for target in targets {
        match guard(target.address.ip()) {
            Ok(()) => permitted.push(target),
            Err(why) => forbidden = forbidden.or(Some(why)),
        }
    }
    match forbidden {
        Some(why) if permitted.is_empty() => Err(why),
        _ => Ok(permitted),
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}
