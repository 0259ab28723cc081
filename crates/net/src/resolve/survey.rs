//! All that DNS says of a domain's servers, also what dialing doesn't need: for a person who looks for a fault in it.

use std::net::IpAddr;

use tokio::task::JoinSet;
use topology::address::Forbidden;
use xmpp::domain::Domain;

use super::{Guard, ResolveError, Resolver, Service, Srv, Target, hosts, names, permitted, some};

/// What DNS said of one of the two services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Records that can be used, as `PRIORITY WEIGHT PORT HOST`.
    Records(Vec<String>),
    /// There are none.
    Absent,
    /// The domain says that it doesn't have it.
    Refused,
    /// Some, which name port 0 only.
    NoPort,
    /// It couldn't be asked; why.
    Failed(String),
}

/// What DNS says of a domain's servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Of servers that take STARTTLS (`_xmpp-server`).
    pub starttls: Said,
    /// Of servers with TLS from the first byte on (`_xmpps-server`).
    pub direct: Said,
    /// The domain has no records, so that its own address counts.
    pub own_address: bool,
    /// Hosts in its records that are aliases, which they must not be (RFC 2782).
    pub aliases: Vec<String>,
    /// Hosts in its records that have no address.
    pub nowhere: Vec<String>,
    /// Addresses that are not dialed, and why.
    pub forbidden: Vec<(IpAddr, Forbidden)>,
    /// Where to dial, in order.
    pub targets: Result<Vec<Target>, ResolveError>,
}

impl Said {
    fn of(service: &Service) -> Said {
        let record = |srv: &Srv| format!("{} {} {} {}", srv.priority, srv.weight, srv.port, srv.host);
        match service {
            Service::Records(records) => Said::Records(records.iter().map(record).collect()),
            Service::Absent => Said::Absent,
            Service::Refused => Said::Refused,
            Service::NoPort => Said::NoPort,
            Service::Failed(why) => Said::Failed(why.clone()),
        }
    }

    /// Its records; none where it hasn't any.
    pub fn records(&self) -> &[String] {
        if let Said::Records(records) = self { records } else { &[] }
    }
}

impl Resolver {
    /// Asks for all of it. What [`Resolver::targets`] would give is among it.
    pub async fn survey(&self, domain: &Domain, guard: Guard<'_>) -> Survey {
        let (starttls, direct) = tokio::join!(self.service(domain, false), self.service(domain, true));
        let mut survey = Survey {
            starttls: Said::of(&starttls),
            direct: Said::of(&direct),
            own_address: false,
            aliases: Vec::new(),
            nowhere: Vec::new(),
            forbidden: Vec::new(),
            targets: Ok(Vec::new()),
        };
        let (hosts, own) = match hosts(domain, starttls, direct) {
            Ok(hosts) => hosts,
            Err(error) => {
                survey.targets = Err(error);
                return survey;
            }
        };
        survey.own_address = own;
        let mut every: Vec<String> = hosts.iter().map(|srv| srv.host.clone()).collect();
        every.sort_unstable();
        every.dedup();
        let mut aliases = JoinSet::new();
        for host in every.iter().filter(|_| !own).cloned() {
            let dns = self.dns.clone();
            aliases.spawn(async move { dns.is_alias(&host).await.then_some(host) });
        }
        survey.aliases = aliases.join_all().await.into_iter().flatten().collect();
        survey.aliases.sort_unstable();
        let names = names(&hosts);
        let found = match self.addresses(hosts, domain.as_str()).await {
            Ok(found) => found,
            Err(error) => {
                survey.targets = Err(error);
                return survey;
            }
        };
        survey.nowhere = every.into_iter().filter(|host| !found.iter().any(|target| target.host == *host)).collect();
        survey.forbidden = found
            .iter()
            .filter_map(|target| guard(target.address.ip()).err().map(|why| (target.address.ip(), why)))
            .collect();
        survey.targets = some(found, domain, own, names).and_then(|targets| {
            permitted(targets, guard).map_err(|why| ResolveError::Forbidden { of: domain.clone(), why })
        });
        survey
    }
}
