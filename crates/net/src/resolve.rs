//! Where a domain's servers are: from a domain or a next hop to addresses, in the order in which they are tried.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::task::JoinSet;
use topology::address::Forbidden;
use topology::partner::S2S_PORT;
use xmpp::domain::Domain;

use crate::crypto::random_below;

mod choose;

use choose::{Choice, Service, Srv, choose};

/// Hosts of one domain that are looked at; more is a zone gone wrong, or an attack.
const HOSTS: usize = 16;
/// Addresses of one domain that are tried.
const TARGETS: usize = 32;
/// An answer isn't believed for longer than this, whatever its TTL: servers move.
const LONGEST_TTL: Duration = Duration::from_secs(300);
/// That there is nothing isn't believed for longer than this.
const LONGEST_NEGATIVE_TTL: Duration = Duration::from_secs(30);

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

/// Why there is nowhere to dial.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The domain says so itself.
    #[error("{0} says in DNS that it does not federate (SRV target `.`)")]
    NotOffered(Domain),
    /// No address at all.
    #[error("DNS has no address for {0}")]
    NoAddress(String),
    /// Addresses, but none that may be dialed.
    #[error("DNS leads nowhere that may be dialed: {0}")]
    Forbidden(Forbidden),
    /// DNS didn't answer, or with an error.
    #[error("DNS could not be asked for {name}: {why}")]
    Failed {
        /// For what.
        name: String,
        /// What went wrong.
        why: String,
    },
}

impl ResolveError {
    /// Whether asking again within seconds is pointless.
    pub fn is_lasting(&self) -> bool {
        !matches!(self, ResolveError::Failed { .. })
    }
}

/// Asks DNS. Cheap to clone.
#[derive(Clone)]
pub struct Resolver {
    dns: TokioResolver,
}

/// Says whether an address may be dialed.
pub type Guard<'a> = &'a (dyn Fn(IpAddr) -> Result<(), Forbidden> + Sync);

impl Resolver {
    /// Asks these servers, or those that the system asks if there are none.
    ///
    /// # Errors
    /// When the system's configuration can't be read.
    pub fn new(servers: &[SocketAddr]) -> Result<Resolver, ResolveError> {
        let failed = |error: NetError| ResolveError::Failed { name: "anything".into(), why: error.to_string() };
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio().map_err(failed)?
        } else {
            let servers = servers.iter().map(|server| {
                let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                connections.iter_mut().for_each(|connection| connection.port = server.port());
                NameServerConfig::new(server.ip(), true, connections)
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
            builder.options_mut().use_hosts_file = ResolveHosts::Never;
            builder
        };
        let options = builder.options_mut();
        options.timeout = Duration::from_secs(2);
        options.attempts = 2;
        options.edns0 = true;
        options.try_tcp_on_error = true;
        options.positive_max_ttl = Some(LONGEST_TTL);
        options.negative_max_ttl = Some(LONGEST_NEGATIVE_TTL);
        options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
        Ok(Resolver { dns: builder.build().map_err(failed)? })
    }

    /// Where the servers of `domain` are, as its SRV records say, or its address records where it
    /// has none (RFC 6120 §3.2). `guard` says which addresses may be dialed.
    ///
    /// # Errors
    /// When there is no such place, or DNS doesn't answer.
    pub async fn targets(&self, domain: &Domain, guard: Guard<'_>) -> Result<Vec<Target>, ResolveError> {
        let (starttls, direct) = tokio::join!(self.service(domain, false), self.service(domain, true));
        let hosts = match choose(starttls, direct, random_below) {
            Choice::Hosts(hosts) => hosts,
            Choice::OwnAddress => {
                let host = domain.to_ascii().to_owned();
                vec![Srv { priority: 0, weight: 0, port: S2S_PORT, host, direct_tls: false }]
            }
            Choice::NotOffered => return Err(ResolveError::NotOffered(domain.clone())),
            Choice::Failed(why) => return Err(ResolveError::Failed { name: domain.to_string(), why }),
        };
        let targets = self.addresses(hosts, domain.as_str()).await?;
        permitted(targets, guard)
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
        self.addresses(vec![hop], host).await
    }

    async fn service(&self, domain: &Domain, direct_tls: bool) -> Service {
        let service = if direct_tls { "_xmpps-server" } else { "_xmpp-server" };
        let Ok(name) = Name::from_ascii(format!("{service}._tcp.{}.", domain.to_ascii())) else {
            // Too long with the prefix: no zone can have it.
            return Service::Absent;
        };
        let lookup = match self.dns.lookup(name, RecordType::SRV).await {
            Ok(lookup) => lookup,
            Err(error) if is_empty(&error) => return Service::Absent,
            Err(error) => return Service::Failed(error.to_string()),
        };
        let records = lookup.answers().iter().filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(srv),
            _ => None,
        });
        let (offered, refused): (Vec<_>, Vec<_>) = records.partition(|srv| !srv.target.is_root() && srv.port != 0);
        let records: Vec<_> = offered
            .into_iter()
            .take(HOSTS)
            .map(|srv| Srv {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                host: srv.target.to_ascii().trim_end_matches('.').to_owned(),
                direct_tls,
            })
            .collect();
        match (records.is_empty(), refused.is_empty()) {
            (false, _) => Service::Records(records),
            (true, false) => Service::Refused,
            (true, true) => Service::Absent,
        }
    }

    /// The addresses of all hosts, asked for at once, in the hosts' order.
    async fn addresses(&self, hosts: Vec<Srv>, name: &str) -> Result<Vec<Target>, ResolveError> {
        let mut lookups = JoinSet::new();
        for (index, srv) in hosts.into_iter().take(2 * HOSTS).enumerate() {
            let dns = self.dns.clone();
            lookups.spawn(async move {
                let addresses = lookup_addresses(&dns, &srv.host).await;
                (index, srv, addresses)
            });
        }
        let mut found = lookups.join_all().await;
        found.sort_by_key(|(index, ..)| *index);
        let mut targets = Vec::new();
        let mut failure = None;
        for (_, srv, addresses) in found {
            match addresses {
                Ok(addresses) => targets.extend(addresses.into_iter().map(|address| Target {
                    host: srv.host.clone(),
                    address: (address, srv.port).into(),
                    direct_tls: srv.direct_tls,
                })),
                Err(why) => failure = Some(ResolveError::Failed { name: srv.host, why }),
            }
        }
        targets.truncate(TARGETS);
        match failure {
            Some(failure) if targets.is_empty() => Err(failure),
            _ if targets.is_empty() => Err(ResolveError::NoAddress(name.to_owned())),
            _ => Ok(targets),
        }
    }
}

/// Both families, alternating, IPv6 first (RFC 8305 §4).
async fn lookup_addresses(dns: &TokioResolver, host: &str) -> Result<Vec<IpAddr>, String> {
    let Ok(name) = Name::from_ascii(format!("{host}.")) else {
        return Err("this is no host name".to_owned());
    };
    let (v6, v4) = tokio::join!(dns.lookup(name.clone(), RecordType::AAAA), dns.lookup(name, RecordType::A));
    let mut failure = None;
    let mut of = |result: Result<hickory_resolver::lookup::Lookup, NetError>| match result {
        Ok(lookup) => lookup.answers().iter().filter_map(|record| record.data.ip_addr()).collect::<Vec<_>>(),
        Err(error) if is_empty(&error) => Vec::new(),
        Err(error) => {
            failure = Some(error.to_string());
            Vec::new()
        }
    };
    let (v6, v4) = (of(v6), of(v4));
    let mut addresses = Vec::with_capacity(v6.len() + v4.len());
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    loop {
        match (v6.next(), v4.next()) {
            (None, None) => break,
            (six, four) => addresses.extend(six.into_iter().chain(four)),
        }
    }
    match failure {
        Some(why) if addresses.is_empty() => Err(why),
        _ => Ok(addresses),
    }
}

fn permitted(targets: Vec<Target>, guard: Guard<'_>) -> Result<Vec<Target>, ResolveError> {
    let mut forbidden = None;
    let permitted: Vec<_> = targets
        .into_iter()
        .filter(|target| match guard(target.address.ip()) {
            Ok(()) => true,
            Err(why) => {
                forbidden = Some(why);
                false
            }
        })
        .collect();
    match forbidden {
        Some(why) if permitted.is_empty() => Err(ResolveError::Forbidden(why)),
        _ => Ok(permitted),
    }
}

/// Whether DNS answered, and the answer is that there is nothing.
fn is_empty(error: &NetError) -> bool {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            matches!(none.response_code, ResponseCode::NXDomain | ResponseCode::NoError)
        }
        _ => false,
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}
