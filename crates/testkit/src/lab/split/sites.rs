//! Where everything of a split laboratory is: at loopback addresses of one place, or each on a host of its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::{GATEWAYS, edges};
use crate::lab::{FABRIKAM, Layout, Spot, TAILSPIN};
use crate::place::{Host, Network, Place};

/// Where everything is.
#[derive(Debug, Clone)]
pub struct Sites {
    /// The servers and the DNS.
    pub layout: Layout,
    /// Gateways and edge servers.
    members: BTreeMap<&'static str, Spot>,
    /// Addresses that the gateways share, by who has each normally.
    shared: BTreeMap<&'static str, IpAddr>,
    network: Option<Arc<Network>>,
}

impl Sites {
    /// All at loopback addresses of one place.
    pub fn loopback(place: Place) -> Sites {
        let spot = |member: &'static str| {
            let number = member.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(1);
            let net = if member.starts_with("gateway") { 2 } else { 3 };
            (member, Spot { place: place.clone(), address: IpAddr::from([127, 0, net, number]) })
        };
        let members = edges().chain(GATEWAYS).map(spot).collect();
        Sites { layout: Layout::loopback(place), members, shared: BTreeMap::new(), network: None }
    }

    /// Each on a host of its own, all on one network, so that one can be cut off.
    ///
    /// # Errors
    /// As [`Network::new`] and [`Network::host`].
    pub fn hosts() -> anyhow::Result<Sites> {
        let network = Network::new()?;
        let spot = |host: &Host| Spot { place: Place::clone(host), address: host.ipv4().into() };
        let (inside, dns, public_dns) = (network.host()?, network.host()?, network.host()?);
        let mut partners = Vec::new();
        for domain in [FABRIKAM, TAILSPIN] {
            partners.push((domain, spot(&network.host()?)));
        }
        let mut members = BTreeMap::new();
        for member in edges().chain(GATEWAYS) {
            members.insert(member, spot(&network.host()?));
        }
        let layout = Layout {
            inside: spot(&inside),
            fedge: Place::clone(&dns),
            internal_face: members[GATEWAYS[0]].address,
            external_face: members["edge1"].address,
            internal_dns: SocketAddr::new(dns.ipv4().into(), 53),
            public_dns: spot(&public_dns),
            partners,
        };
        Ok(Sites { layout, members, shared: BTreeMap::new(), network: Some(Arc::new(network)) })
    }

    /// The same on hosts, where the internal server knows the gateways by addresses that they share.
    ///
    /// # Errors
    /// As [`Sites::hosts`].
    pub fn hosts_sharing() -> anyhow::Result<Sites> {
        let shared = GATEWAYS.into_iter().zip(201..).map(|(gateway, number)| (gateway, [10, 77, 0, number].into()));
        Ok(Sites { shared: shared.collect(), ..Sites::hosts()? })
    }

    /// The address by which the internal server knows a gateway, where such addresses are shared.
    pub fn shared(&self, gateway: &str) -> Option<IpAddr> {
        self.shared.get(gateway).copied()
    }

    /// Parts a member's host from all others, without a word, or joins it again.
    ///
    /// # Errors
    /// As [`Network::part`]; and on a loopback, where there are no hosts.
    pub fn part(&self, member: &str, parted: bool) -> anyhow::Result<()> {
        match (&self.network, self.member(member).address) {
            (Some(network), IpAddr::V4(address)) => network.part(address, parted),
            _ => anyhow::bail!("{member} has no host of its own here"),
        }
    }

    /// Where a member is.
    ///
    /// # Panics
    /// When there is no such member, which is a mistake in a test.
    pub fn member(&self, member: &str) -> &Spot {
        self.members.get(member).unwrap_or_else(|| panic!("{member} is nowhere in this laboratory"))
    }
}
