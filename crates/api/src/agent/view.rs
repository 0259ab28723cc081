//! What each member needs of the topology, and no more.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use toml::Spanned;
use topology::document::{self, Edge, Member, Pool, Topology};
use topology::entries::{Local, Partner};
use topology::fqdn::Fqdn;
use topology::records::Published;
use topology::zone::{Publisher, Zone};

use super::Role;
use super::content::{self, Content as _, Secret};

/// Of SRV records: gateways of the DNS server's own site are tried before those of others.
const NEAR: u16 = 10;
const FAR: u16 = 20;

/// What members are handed of what nobody else may know.
#[derive(Debug, Clone, Copy)]
pub struct Secrets<'a> {
    /// What dialback keys are made of on the member's face, the one that makes keys first.
    pub dialback: &'a [Secret],
    /// The private keys of signed zones, by the zones' names.
    pub zones: &'a BTreeMap<String, Secret>,
}

impl Secrets<'_> {
    /// None at all, for who only asks what else there is.
    pub const NONE: Secrets<'static> = Secrets { dialback: &[], zones: &BTreeMap::new() };
}

/// What the member of that name goes by, as it travels; nothing for a controller, or who isn't a member.
pub fn view(topology: &Topology, secrets: &Secrets<'_>, member: &Fqdn) -> Option<String> {
    let found = topology.members().find(|found| found.fqdn == *member)?;
    let federation = topology.entries.federation.clone();
    match found.role {
        document::Role::Edge => {
            let mut edges = topology.pools.iter().flat_map(|pool| pool.edges.iter().map(move |edge| (pool, edge)));
            let (pool, edge) = edges.find(|(_, edge)| edge.member.fqdn == *member)?;
            let content = content::Edge {
                pool: pool.fqdn.to_string(),
                trunk: trunk(edge),
                gateways: topology.gateways.iter().map(|gateway| gateway.fqdn.to_string()).collect(),
                dialback_secrets: secrets.dialback.to_vec(),
                federation,
                // Where our own servers are is nothing for the perimeter.
                local: locals(topology, |local| Local { next_hop: None, direct_tls: false, ..local }),
                partner: partners(topology, |partner| partner),
            };
            Some(content.write())
        }
        document::Role::Gateway => {
            let pools = topology.route.iter().filter_map(|fqdn| topology.pool(fqdn));
            let content = content::Gateway {
                dialback_secrets: secrets.dialback.to_vec(),
                pool: pools.map(pool).collect(),
                federation,
                local: locals(topology, |local| local),
                partner: partners(topology, |partner| Partner { next_hop: None, direct_tls: false, ..partner }),
            };
            Some(content.write())
        }
        document::Role::Dns => {
            // Where our own servers are is nothing for who answers partners' resolvers alone.
            let view = topology.dns.iter().any(|dns| dns.view && dns.member.fqdn == *member);
            let gateways = topology.gateways.iter().filter(|_| view).map(|gateway| content::DnsGateway {
                fqdn: gateway.fqdn.to_string(),
                addresses: gateway.internal.clone(),
                priority: if gateway.site == found.site { NEAR } else { FAR },
            });
            let published = published(topology, member);
            let signed = published.iter().flat_map(|published| published.zones.iter().filter(|zone| zone.is_signed()));
            let key = |zone: &Zone| Some((zone.name.clone(), secrets.zones.get(&zone.name)?.clone()));
            let content = content::Dns {
                view,
                gateway: gateways.collect(),
                local: if view { locals(topology, |local| local) } else { Vec::new() },
                zone_keys: signed.filter_map(key).collect(),
                published,
            };
            Some(content.write())
        }
        document::Role::Witness => {
            let patterns = topology.policy.locals().iter().map(|local| local.pattern.to_string());
            Some(content::Witness { local: patterns.collect() }.write())
        }
        document::Role::Controller => None,
    }
}

/// What a server that has authority for a zone of ours publishes there.
fn published(topology: &Topology, member: &Fqdn) -> Option<Published> {
    let serves = |zone: &Zone| match &zone.publisher {
        Publisher::Embedded { servers, .. } => servers.iter().any(|server| server.fqdn == *member),
        _ => false,
    };
    if !topology.zones.iter().any(serves) {
        return None;
    }
    let mut published = Published::of(topology);
    // Of zones of other publishers it needs to know that they aren't its own; where those take updates is inside, perhaps.
    for zone in published.zones.iter_mut().filter(|zone| !serves(zone)) {
        zone.publisher = Publisher::Manual { servers: Vec::new() };
    }
    Some(published)
}

/// Where a member's agent listens.
pub fn agent(member: &Member) -> Vec<SocketAddr> {
    member.internal.iter().map(|address| (*address, member.agent_port).into()).collect()
}

fn trunk(edge: &Edge) -> Vec<SocketAddr> {
    edge.member.internal.iter().map(|address| (*address, edge.trunk_port).into()).collect()
}

fn pool(pool: &Pool) -> content::Pool {
    let edge = |edge: &Edge| content::PoolEdge { fqdn: edge.member.fqdn.to_string(), trunk: trunk(edge) };
    content::Pool { fqdn: pool.fqdn.to_string(), edge: pool.edges.iter().map(edge).collect() }
}

fn locals(topology: &Topology, seen: impl Fn(Local) -> Local) -> Vec<Spanned<Local>> {
    topology.entries.local.iter().cloned().map(|local| Spanned::new(0..0, seen(local))).collect()
}

fn partners(topology: &Topology, seen: impl Fn(Partner) -> Partner) -> Vec<Spanned<Partner>> {
    topology.entries.partner.iter().cloned().map(|partner| Spanned::new(0..0, seen(partner))).collect()
}

impl From<document::Role> for Role {
    fn from(role: document::Role) -> Role {
        match role {
            document::Role::Edge => Role::Edge,
            document::Role::Gateway => Role::Gateway,
            document::Role::Dns => Role::Dns,
            document::Role::Witness => Role::Witness,
            document::Role::Controller => Role::Controller,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"
        [installation]
        name = "Contoso"
        [[site]]
        name = "Site1"
        [[site]]
        name = "Site2"
        [[pool]]
        fqdn = "pool1.contoso.test"
        site = "Site1"
        [[pool]]
        fqdn = "edge3.contoso.test"
        site = "Site2"
        [[edge]]
        fqdn = "edge1.contoso.test"
        pool = "pool1.contoso.test"
        external = ["203.0.113.1"]
        internal = ["10.1.0.1", "fd00::1:1"]
        [[edge]]
        fqdn = "edge3.contoso.test"
        pool = "edge3.contoso.test"
        external = ["198.51.100.3"]
        internal = ["10.2.0.3"]
        trunk_port = 5280
        [[gateway]]
        fqdn = "gateway1.contoso.test"
        site = "Site1"
        internal = ["10.0.0.1"]
        [[gateway]]
        fqdn = "gateway2.contoso.test"
        site = "Site2"
        internal = ["10.0.9.1"]
        [[dns]]
        fqdn = "dns2.contoso.test"
        site = "site2"
        internal = ["10.0.9.3"]
        agent_port = 5299
        [[witness]]
        fqdn = "witness1.contoso.test"
        site = "Site2"
        internal = ["10.3.0.1"]
        [[controller]]
        fqdn = "ctl1.contoso.test"
        site = "Site1"
        internal = ["10.0.0.4"]
        [route]
        pools = ["edge3.contoso.test", "pool1.contoso.test"]
        [federation]
        dialback = false
        [[local]]
        domains = ["contoso.test"]
        next_hop = "10.0.0.2"
        direct_tls = true
        [[partner]]
        domains = ["fabrikam.test"]
        next_hop = "203.0.113.200"
        [[partner]]
        domains = ["*.tailspin.test"]
        tls = "optional"
    "#;

    /// A name server in the perimeter, with its zone, and a zone of another that is updated inside.
    const PERIMETER: &str = r#"
        [[dns]]
        fqdn = "ns1.contoso.test"
        site = "Site1"
        internal = ["10.1.0.53"]
        external = ["203.0.113.53"]
        view = false
        [[zone]]
        name = "contoso.test"
        publisher = "embedded"
        [[zone]]
        name = "im.contoso.test"
        publisher = "rfc2136"
        servers = ["10.0.9.53"]
        key = "fedge-key"
    "#;

    fn seen_by(fqdn: &str) -> (Topology, Option<String>) {
        seen_in(DOCUMENT, fqdn)
    }

    fn seen_in(document: &str, fqdn: &str) -> (Topology, Option<String>) {
        let topology = Topology::read("topology.toml", document).expect("it is good");
        let secrets = [Secret::new("first-secret-of-all".to_owned()), Secret::new("second-secret-of-all".to_owned())];
        let secrets = Secrets { dialback: &secrets, ..Secrets::NONE };
        let seen = view(&topology, &secrets, &fqdn.parse().expect("an FQDN"));
        (topology, seen)
    }

    #[test]
    fn an_edge_server_learns_nothing_of_the_inside_but_the_gateways_names() {
        let text = seen_by("edge1.contoso.test").1.expect("a member");
        for inside in ["10.0.0", "10.0.9", "10.2.0", "direct_tls", "dns2", "ctl1", "edge3"] {
            assert!(!text.contains(inside), "{inside}: {text}");
        }
        let edge = content::Edge::read(&text).expect("it can be read");
        assert_eq!(edge.pool, "pool1.contoso.test");
        assert_eq!(edge.gateways, ["gateway1.contoso.test", "gateway2.contoso.test"]);
        assert_eq!(edge.trunk, ["10.1.0.1:5270".parse().expect("one"), "[fd00::1:1]:5270".parse().expect("one")]);
        assert_eq!(edge.dialback_secrets[0].reveal(), "first-secret-of-all");
        let policy = edge.policy(&text, Vec::new()).expect("it is good");
        assert!(policy.partners()[0].next_hop.is_some(), "it dials them");
        assert!(policy.locals()[0].next_hop.is_none() && !policy.locals()[0].terms.dialback);
    }

    #[test]
    fn a_witness_learns_the_local_domains_and_nothing_else() {
        let text = seen_by("witness1.contoso.test").1.expect("a member");
        assert_eq!(text.trim(), "local = [\"contoso.test\"]");
        assert_eq!(content::Witness::read(&text).expect("it can be read").local, ["contoso.test"]);
    }

    #[test]
    fn a_gateway_learns_the_pools_in_the_order_of_the_route_and_its_next_hops() {
        let text = seen_by("gateway2.contoso.test").1.expect("a member");
        let gateway = content::Gateway::read(&text).expect("it can be read");
        let pools: Vec<&str> = gateway.pool.iter().map(|pool| pool.fqdn.as_str()).collect();
        assert_eq!(pools, ["edge3.contoso.test", "pool1.contoso.test"]);
        assert_eq!(gateway.pool[0].edge[0].trunk, ["10.2.0.3:5280".parse().expect("one")]);
        let policy = gateway.policy(&text, Vec::new()).expect("it is good");
        assert!(policy.locals()[0].next_hop.as_ref().is_some_and(|hop| hop.direct_tls));
        assert!(policy.partners().iter().all(|partner| partner.next_hop.is_none()), "edge servers dial them");
    }

    #[test]
    fn a_dns_server_leads_to_the_gateways_of_its_own_site_first() {
        let (topology, text) = seen_by("dns2.contoso.test");
        let dns = content::Dns::read(&text.expect("a member")).expect("it can be read");
        let gateways: Vec<(&str, u16)> =
            dns.gateway.iter().map(|found| (found.fqdn.as_str(), found.priority)).collect();
        assert_eq!(gateways, [("gateway1.contoso.test", FAR), ("gateway2.contoso.test", NEAR)]);
        assert_eq!(agent(&topology.dns[0].member), ["10.0.9.3:5299".parse().expect("one")]);
    }

    #[test]
    fn a_dns_server_without_the_view_learns_the_zones_and_nothing_else() {
        let document = format!("{DOCUMENT}{PERIMETER}");
        let text = seen_in(&document, "ns1.contoso.test").1.expect("a member");
        for inside in ["10.", "fd00", "gateway", "next_hop", "dns2", "ctl1", "fabrikam", "secret"] {
            assert!(!text.contains(inside), "{inside}: {text}");
        }
        let dns = content::Dns::read(&text).expect("it can be read");
        assert_eq!((dns.view, dns.published.is_some()), (false, true));
        assert_eq!(seen_in(&document, "dns2.contoso.test").1.map(|text| text.contains("published")), Some(false));
    }

    #[test]
    fn the_key_of_a_signed_zone_goes_to_servers_that_partners_reach_and_to_nobody_else() {
        let document = DOCUMENT.replace("agent_port = 5299", "external = [\"192.0.2.53\"]").replace(
            "[[witness]]",
            "[[dns]]\nfqdn = \"dns3.contoso.test\"\nsite = \"Site2\"\ninternal = [\"10.0.9.4\"]\n\
             [[zone]]\nname = \"contoso.test\"\npublisher = \"embedded\"\nsigned = true\n\
             [[zone]]\nname = \"adatum.test\"\npublisher = \"embedded\"\n[[witness]]",
        );
        let topology = Topology::read("topology.toml", &document).expect("it is good");
        let zones = ["contoso.test.", "adatum.test.", "gone.test."]
            .map(|zone| (zone.to_owned(), Secret::new(format!("hush of {zone}"))));
        let secrets = Secrets { zones: &zones.into_iter().collect(), ..Secrets::NONE };
        for member in topology.members() {
            let seen = view(&topology, &secrets, &member.fqdn).unwrap_or_default();
            let has = member.fqdn.as_str() == "dns2.contoso.test";
            assert_eq!(seen.contains("hush of contoso.test."), has, "{}: {seen}", member.fqdn);
            assert!(!seen.contains("hush of adatum") && !seen.contains("hush of gone"), "{seen}");
            if has {
                let dns = content::Dns::read(&seen).expect("it can be read");
                assert_eq!(dns.zone_keys["contoso.test."].reveal(), "hush of contoso.test.");
                assert!(!format!("{dns:?}").contains("hush"), "{dns:?}");
            }
        }
    }

    #[test]
    fn nobody_else_learns_anything() {
        assert_eq!(seen_by("ctl1.contoso.test").1, None, "it reads the store");
        assert_eq!(seen_by("pool1.contoso.test").1, None);
        assert_eq!(seen_by("evil.test").1, None);
    }
}
