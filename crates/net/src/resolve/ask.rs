//! Questions to DNS, each answered in bounded time: with records, with the word that there are none, or not at all.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

/// An answer isn't believed for longer than this, whatever its TTL: servers move.
const LONGEST_TTL: Duration = Duration::from_secs(300);
/// That there is nothing isn't believed for longer than this.
const LONGEST_NEGATIVE_TTL: Duration = Duration::from_secs(30);
/// An answer may take so long, with everything that is tried for it.
const PATIENCE: Duration = Duration::from_secs(6);
/// Once a host has addresses of one family, those of the other are waited for so long.
const OTHER_FAMILY: Duration = Duration::from_millis(250);
/// Aliases that are followed one after another.
const ALIASES: usize = 8;

/// Asks DNS. Cheap to clone.
#[derive(Clone)]
pub(super) struct Dns(TokioResolver);

impl Dns {
    /// Asks these servers, or those that the system asks if there are none.
    pub(super) fn new(servers: &[SocketAddr]) -> Result<Dns, NetError> {
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio()?
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
        Ok(Dns(builder.build()?))
    }

    /// SRV records, none if there are none.
    pub(super) async fn services(&self, name: Name) -> Result<Vec<SRV>, String> {
        in_time(async {
            let mut name = name;
            for _ in 0..ALIASES {
                let records = self.records(&name, RecordType::SRV).await?;
                let services = records.into_iter().filter_map(|data| match data {
                    RData::SRV(srv) => Some(srv),
                    _ => None,
                });
                let services: Vec<_> = services.collect();
                if !services.is_empty() {
                    return Ok(services);
                }
                // hickory-resolver 0.26 looks for SRV records behind an alias at the name that the first of
                // them leads to, and finds none.
                let aliases = self.records(&name, RecordType::CNAME).await?;
                let alias = aliases.into_iter().find_map(|data| match data {
                    RData::CNAME(alias) => Some(alias.0),
                    _ => None,
                });
                match alias {
                    Some(alias) => name = alias,
                    None => return Ok(Vec::new()),
                }
            }
            Err("its aliases lead in circles, or nowhere".to_owned())
        })
        .await
    }

    /// A host's addresses: both families, alternating, IPv6 first (RFC 8305 §4); none if it has none.
    pub(super) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let Ok(name) = Name::from_ascii(format!("{host}.")) else {
            return Err("this is no host name".to_owned());
        };
        let of = |kind| {
            let name = &name;
            in_time(async move {
                let records = self.records(name, kind).await?;
                Ok(records.iter().filter_map(RData::ip_addr).collect::<Vec<_>>())
            })
        };
        let is_of_use = |addresses: &Result<Vec<IpAddr>, String>| addresses.as_ref().is_ok_and(|some| !some.is_empty());
        let late = || Err("no answer in time".to_owned());
        match both(of(RecordType::AAAA), of(RecordType::A), is_of_use, OTHER_FAMILY, late).await {
            (Ok(v6), Ok(v4)) => Ok(alternating(v6, v4)),
            (Ok(some), Err(_)) | (Err(_), Ok(some)) if !some.is_empty() => Ok(some),
            (Err(why), _) | (_, Err(why)) => Err(why),
        }
    }

    /// Whether this name is an alias of another.
    pub(super) async fn is_alias(&self, host: &str) -> bool {
        let Ok(name) = Name::from_ascii(format!("{host}.")) else { return false };
        let asked = in_time(self.records(&name, RecordType::CNAME)).await;
        asked.is_ok_and(|records| records.iter().any(|data| matches!(data, RData::CNAME(_))))
    }

    async fn records(&self, name: &Name, kind: RecordType) -> Result<Vec<RData>, String> {
        match self.0.lookup(name.clone(), kind).await {
            Ok(lookup) => Ok(lookup.answers().iter().map(|record| record.data.clone()).collect()),
            Err(error) if is_empty(&error) => Ok(Vec::new()),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn alternating(one: Vec<IpAddr>, other: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut alternating = Vec::with_capacity(one.len() + other.len());
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    loop {
        match (one.next(), other.next()) {
            (None, None) => return alternating,
            (first, second) => alternating.extend(first.into_iter().chain(second)),
        }
    }
}

async fn in_time<T>(question: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = |_| Err(format!("no answer within {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, question).await.unwrap_or_else(late)
}

/// Waits for both; after one that is of use, for the other only a moment longer. `late` takes its place then.
pub(super) async fn both<T>(
    one: impl Future<Output = T>,
    other: impl Future<Output = T>,
    is_of_use: impl Fn(&T) -> bool,
    moment: Duration,
    late: impl Fn() -> T,
) -> (T, T) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let bound = |first: &T| if is_of_use(first) { moment } else { Duration::MAX };
    tokio::select! {
        first = &mut one => {
            let second = tokio::time::timeout(bound(&first), other).await;
            (first, second.unwrap_or_else(|_| late()))
        }
        second = &mut other => {
            let first = tokio::time::timeout(bound(&second), one).await;
            (first.unwrap_or_else(|_| late()), second)
        }
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
