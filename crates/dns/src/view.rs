//! The view as a value: where names lead. Made once from the configuration, then only read.

use std::collections::HashMap;
use std::net::IpAddr;

use hickory_proto::rr::Name;
use hickory_proto::rr::rdata::SRV;
use topology::partner::{NextHop, Pattern};
use xmpp::domain::Domain;

/// Where internal servers find partners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// The target of its SRV record. The view answers this name's addresses itself.
    pub name: Domain,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its port.
    pub port: u16,
    /// Lowest first (RFC 2782).
    pub priority: u16,
    /// Its share among those of one priority (RFC 2782).
    pub weight: u16,
}

/// A local domain and its next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Which domains are meant.
    pub pattern: Pattern,
    /// Where their server is.
    pub next_hop: NextHop,
}

/// What a view is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Seconds that the view's own answers may be kept.
    pub ttl: u32,
    /// Whether `_xmpps-server._tcp` leads to the gateways as `_xmpp-server._tcp` does: they tell
    /// direct TLS from STARTTLS by the first byte.
    pub direct_tls: bool,
    /// At least one.
    pub gateways: Vec<Gateway>,
    /// What does not lead to the gateways.
    pub locals: Vec<Local>,
}

/// A name to ask for SRV records: one of the two services of s2s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `_xmpp-server._tcp` (RFC 6120 §3.2.1).
    StartTls,
    /// `_xmpps-server._tcp` (XEP-0368).
    DirectTls,
}

/// Where names lead.
#[derive(Debug)]
pub struct View {
    ttl: u32,
    direct_tls: bool,
    gateways: Vec<SRV>,
    next_hops: Vec<(SRV, Service)>,
    /// Indices into `next_hops`, by the A-label form of the domain.
    exact: HashMap<String, usize>,
    below: HashMap<String, usize>,
    hosts: HashMap<Name, Vec<IpAddr>>,
}

impl View {
    /// The view that `settings` describe. Without a gateway there is nobody who asks it: the server is there for zones alone.
    pub fn new(settings: Settings) -> View {
        let Settings { ttl, direct_tls, gateways, locals } = settings;
        let first = gateways.first().map_or_else(Name::root, |gateway| host_name(&gateway.name));
        let mut view = View {
            ttl,
            direct_tls,
            gateways: Vec::new(),
            next_hops: Vec::new(),
            exact: HashMap::new(),
            below: HashMap::new(),
            hosts: HashMap::new(),
        };
        for gateway in gateways {
            let name = host_name(&gateway.name);
            view.gateways.push(SRV::new(gateway.priority, gateway.weight, gateway.port, name.clone()));
            view.hosts.insert(name, gateway.addresses);
        }
        for Local { pattern, next_hop } in locals {
            let target = match next_hop.host.parse() {
                Ok(address) => {
                    let name = name_of(address, &first);
                    view.hosts.insert(name.clone(), vec![address]);
                    name
                }
                Err(_) => target_name(&next_hop.host).expect("the configuration checked that it is a host name"),
            };
            let service = if next_hop.direct_tls { Service::DirectTls } else { Service::StartTls };
            let exactly = pattern.covers(pattern.domain());
            let into = if exactly { &mut view.exact } else { &mut view.below };
            into.insert(pattern.domain().to_ascii().to_owned(), view.next_hops.len());
            view.next_hops.push((SRV::new(10, 10, next_hop.port, target), service));
        }
        view
    }

    /// Seconds that answers may be kept.
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// What `service` of `domain` leads to; nothing when that service isn't offered.
    pub fn targets(&self, service: Service, domain: &Domain) -> &[SRV] {
        match self.next_hop(domain) {
            Some((target, offered)) if *offered == service => std::slice::from_ref(target),
            Some(_) => &[],
            None => self.gateways(service),
        }
    }

    /// The gateways, for `service` of a domain that isn't local.
    pub fn gateways(&self, service: Service) -> &[SRV] {
        if service == Service::DirectTls && !self.direct_tls { &[] } else { &self.gateways }
    }

    /// The addresses of a name that the view owns.
    pub fn addresses(&self, name: &Name) -> Option<&[IpAddr]> {
        self.hosts.get(name).map(Vec::as_slice)
    }

    /// The name that stands as primary server in SOA records.
    pub(crate) fn primary(&self) -> &Name {
        &self.gateways[0].target
    }

    /// The next hop of the local domain that covers `domain` most narrowly: the domain itself, else
    /// its nearest ancestor.
    fn next_hop(&self, domain: &Domain) -> Option<&(SRV, Service)> {
        let name = domain.to_ascii();
        let ancestors = name.match_indices('.').map(|(dot, _)| &name[dot + 1..]);
        let found = self.exact.get(name).or_else(|| ancestors.into_iter().find_map(|above| self.below.get(above)));
        found.map(|index| &self.next_hops[*index])
    }
}

/// `host` as the target of an SRV record; nothing when it is no host name.
pub(crate) fn target_name(host: &str) -> Option<Name> {
    let mut name = Name::from_ascii(host).ok()?;
    name.set_fqdn(true);
    Some(name)
}

fn host_name(domain: &Domain) -> Name {
    target_name(domain.to_ascii()).expect("a domain's A-label form is a DNS name")
}

/// The name under which the view answers `address`, since an SRV record leads to names only. It
/// lies below a gateway's name: there it can hide nothing, and no resolver keeps it from being
/// asked as they do with made-up top-level domains.
fn name_of(address: IpAddr, gateway: &Name) -> Name {
    let label = match address {
        IpAddr::V4(v4) => v4.octets().map(|octet| octet.to_string()).join("-"),
        IpAddr::V6(v6) => v6.segments().map(|segment| format!("{segment:04x}")).join("-"),
    };
    let below = gateway.prepend_label(format!("next-hop-{label}").as_str());
    below.expect("the configuration checked that gateways' names leave room for it")
}

/// The length of the longest label that the view puts before a gateway's name, with its length byte.
pub(crate) const LONGEST_LABEL: usize = "next-hop-".len() + 39 + 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn local(pattern: &str, next_hop: &str) -> Local {
        let pattern = pattern.parse().expect("a pattern");
        Local { pattern, next_hop: next_hop.parse().expect("a next hop") }
    }

    fn view(locals: Vec<Local>) -> View {
        let name = Domain::parse("gateway1.contoso.test").expect("a domain");
        let addresses = vec!["127.0.2.1".parse().expect("an address")];
        let gateways = vec![Gateway { name, addresses, port: 5269, priority: 10, weight: 10 }];
        View::new(Settings { ttl: 5, direct_tls: true, gateways, locals })
    }

    #[test]
    fn the_narrowest_local_domain_counts() {
        let view = view(vec![
            local("*.test", "a.contoso.test"),
            local("*.contoso.test", "b.contoso.test"),
            local("conference.contoso.test", "c.contoso.test"),
            local("contoso.test", "d.contoso.test"),
        ]);
        for (domain, target) in [
            ("fabrikam.test", "a.contoso.test."),
            ("chat.contoso.test", "b.contoso.test."),
            ("x.conference.contoso.test", "b.contoso.test."),
            ("conference.contoso.test", "c.contoso.test."),
            ("contoso.test", "d.contoso.test."),
            ("test", "gateway1.contoso.test."),
            ("contoso.example", "gateway1.contoso.test."),
        ] {
            let found = view.targets(Service::StartTls, &Domain::parse(domain).expect("a domain"));
            assert_eq!(found[0].target.to_ascii(), target, "{domain}");
        }
    }

    #[test]
    fn addresses_of_next_hops_get_names_that_lead_back_to_them() {
        let next_hops = ["127.0.1.1:5270", "[2001:db8::]:5269", "::1"];
        for (next_hop, label) in next_hops.into_iter().zip([
            "next-hop-127-0-1-1",
            "next-hop-2001-0db8-0000-0000-0000-0000-0000-0000",
            "next-hop-0000-0000-0000-0000-0000-0000-0000-0001",
        ]) {
            let view = view(vec![local("contoso.test", next_hop)]);
            let found = view.targets(Service::StartTls, &Domain::parse("contoso.test").expect("a domain"));
            assert_eq!(found[0].target.to_ascii(), format!("{label}.gateway1.contoso.test."));
            let hop: NextHop = next_hop.parse().expect("a next hop");
            assert_eq!(found[0].port, hop.port);
            assert_eq!(view.addresses(&found[0].target).expect("an owned name")[0].to_string(), hop.host);
            assert!(label.len() < LONGEST_LABEL);
        }
    }
}
