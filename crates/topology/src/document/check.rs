//! From the document as it is written to what it means: names, references, addresses; every fault with its place.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use toml::Spanned;

use super::file::{self, File, Text};
use super::{AGENT_PORT, Edge, Entries, Member, Pool, Role, TRUNK_PORT, Topology, Witness};
use crate::faults::Faults;
use crate::fqdn::Fqdn;
use crate::partner::S2S_PORT;
use crate::written::Policies;

/// What is there, as far as it is good; where there are faults, it isn't used.
pub(super) fn check(file: &File, faults: &mut Faults) -> Topology {
    let mut reading = Reading { faults, names: HashMap::new(), externals: HashSet::new(), sockets: HashSet::new() };
    let installation = reading.installation(file);
    let sites = reading.sites(file);
    let mut pools = reading.pools(file, &sites);
    reading.edges(file, &mut pools);
    for (entry, pool) in &pools {
        if pool.edges.is_empty() {
            let what = format!("the pool {} has no edge server", pool.fqdn);
            let remedy = format!("add an [[edge]] with `pool = \"{}\"`, or take the pool out", pool.fqdn);
            reading.add(entry.clone(), what, remedy);
        }
    }
    let pools: Vec<Pool> = pools.into_iter().map(|(_, pool)| pool).collect();
    let gateways = reading.members("gateway", Role::Gateway, &file.gateway, &sites);
    let dns = reading.dns(&file.dns, &sites);
    let witnesses = reading.witnesses(&file.witness, &sites);
    let controllers = reading.members("controller", Role::Controller, &file.controller, &sites);
    if file.gateway.is_empty() {
        reading.add(
            0..0,
            "there is no [[gateway]], so nobody inside could be reached",
            "add one with `fqdn`, `site` and `internal`",
        );
    }
    let route = reading.route(file, &pools);
    let (names, resolvers) = reading.names(file);
    let ca = reading.authorities(file);
    let nameservers = reading.nameservers(file);
    let zones = reading.zones(file, &nameservers);
    let own = gateways.iter().flat_map(|gateway| &gateway.internal).map(|ip| SocketAddr::new(*ip, S2S_PORT));
    let policies = Policies {
        federation: &file.federation,
        local: &file.local,
        partner: &file.partner,
        own: own.collect(),
        delivers: true,
    };
    let policy = policies.read(reading.faults);
    let entries = Entries {
        federation: file.federation.clone(),
        local: file.local.iter().map(|entry| entry.get_ref().clone()).collect(),
        partner: file.partner.iter().map(|entry| entry.get_ref().clone()).collect(),
    };
    Topology {
        installation,
        sites,
        pools,
        gateways,
        dns,
        nameservers,
        witnesses,
        controllers,
        route,
        names,
        resolvers,
        ca,
        zones,
        entries,
        policy,
    }
}

pub(super) struct Reading<'a> {
    faults: &'a mut Faults,
    /// Names of members, and what they are.
    names: HashMap<Fqdn, String>,
    externals: HashSet<IpAddr>,
    sockets: HashSet<SocketAddr>,
}

/// What every member's entry says.
pub(super) struct Written<'a> {
    fqdn: Option<&'a Text>,
    site: Option<&'a Text>,
    internal: Option<&'a file::Addresses>,
    agent_port: Option<&'a Spanned<u16>>,
}

impl<'a> From<&'a file::Member> for Written<'a> {
    fn from(entry: &'a file::Member) -> Written<'a> {
        let file::Member { fqdn, site, internal, agent_port } = entry;
        Written {
            fqdn: fqdn.as_ref(),
            site: site.as_ref(),
            internal: internal.as_ref(),
            agent_port: agent_port.as_ref(),
        }
    }
}

impl<'a> From<&'a file::Dns> for Written<'a> {
    fn from(entry: &'a file::Dns) -> Written<'a> {
        let file::Dns { fqdn, site, internal, agent_port, .. } = entry;
        Written {
            fqdn: fqdn.as_ref(),
            site: site.as_ref(),
            internal: internal.as_ref(),
            agent_port: agent_port.as_ref(),
        }
    }
}

impl Reading<'_> {
    pub(super) fn add(&mut self, place: Range<usize>, what: impl Into<String>, remedy: impl Into<String>) {
        self.faults.add(place, what, remedy);
    }

    /// What a key says, or that it is missing.
    pub(super) fn required<'b, T>(
        &mut self,
        value: Option<&'b T>,
        key: &str,
        entry: Range<usize>,
        example: &str,
    ) -> Option<&'b T> {
        if value.is_none() {
            self.add(entry, format!("there is no `{key}` here"), format!("add it: `{key} = {example}`"));
        }
        value
    }

    fn installation(&mut self, file: &File) -> String {
        let Some(section) = &file.installation else {
            self.add(0..0, "there is no [installation]", "add it, with a name for people: `name = \"Contoso\"`");
            return String::new();
        };
        let name = section.get_ref().name.as_ref();
        let name = self.required(name, "name", section.span(), "\"Contoso\"");
        name.map(|name| name.get_ref().clone()).unwrap_or_default()
    }

    fn sites(&mut self, file: &File) -> Vec<String> {
        let mut sites: Vec<String> = Vec::new();
        for entry in &file.site {
            let Some(name) = self.required(entry.get_ref().name.as_ref(), "name", entry.span(), "\"Site1\"") else {
                continue;
            };
            if name.get_ref().trim().is_empty() {
                self.add(name.span(), "a site's name is empty", "give it one: `name = \"Site1\"`");
            } else if sites.iter().any(|site| site.eq_ignore_ascii_case(name.get_ref())) {
                let what = format!("there are two sites {}", name.get_ref());
                self.add(name.span(), what, "give each its own name; small letters and capitals count as the same");
            } else {
                sites.push(name.get_ref().clone());
            }
        }
        if file.site.is_empty() {
            self.add(0..0, "there is no [[site]]", "add one: `name = \"Site1\"`");
        }
        sites
    }

    /// The site that is meant, as it writes itself.
    fn site(&mut self, named: Option<&Text>, entry: Range<usize>, sites: &[String]) -> String {
        let Some(named) = self.required(named, "site", entry, "\"Site1\"") else { return String::new() };
        let found = sites.iter().find(|site| site.eq_ignore_ascii_case(named.get_ref()));
        if found.is_none() {
            let what = format!("there is no [[site]] {}", named.get_ref());
            self.add(named.span(), what, one_of("add it", sites));
        }
        found.cloned().unwrap_or_default()
    }

    pub(super) fn fqdn(&mut self, named: Option<&Text>, entry: Range<usize>) -> Option<Fqdn> {
        let named = self.required(named, "fqdn", entry, "\"edge1.contoso.test\"")?;
        match named.get_ref().parse() {
            Ok(fqdn) => Some(fqdn),
            Err(error) => {
                let error: crate::fqdn::FqdnError = error;
                self.add(
                    named.span(),
                    error.to_string(),
                    "a name has at least two parts, and nothing else than letters, digits and `-`",
                );
                None
            }
        }
    }

    fn pools(&mut self, file: &File, sites: &[String]) -> Vec<(Range<usize>, Pool)> {
        let mut pools: Vec<(Range<usize>, Pool)> = Vec::new();
        for entry in &file.pool {
            let (span, entry) = (entry.span(), entry.get_ref());
            let site = self.site(entry.site.as_ref(), span.clone(), sites);
            let tlsa = self.tlsa(entry.tlsa.as_deref().unwrap_or_default());
            let Some(fqdn) = self.fqdn(entry.fqdn.as_ref(), span.clone()) else { continue };
            if pools.iter().any(|(_, pool)| pool.fqdn == fqdn) {
                self.add(span, format!("there are two pools {fqdn}"), "give each its own name");
            } else {
                pools.push((span, Pool { fqdn, site, edges: Vec::new(), tlsa }));
            }
        }
        if file.pool.is_empty() {
            self.add(0..0, "there is no [[pool]]", "add one with `fqdn` and `site`");
        }
        pools
    }

    fn edges(&mut self, file: &File, pools: &mut [(Range<usize>, Pool)]) {
        let known: Vec<String> = pools.iter().map(|(_, pool)| pool.fqdn.to_string()).collect();
        for entry in &file.edge {
            let (span, entry) = (entry.span(), entry.get_ref());
            let fqdn = self.fqdn(entry.fqdn.as_ref(), span.clone());
            let agent_port = self.port(entry.agent_port.as_ref(), AGENT_PORT);
            let trunk_port = self.port(entry.trunk_port.as_ref(), TRUNK_PORT);
            let internal = self.internal(entry.internal.as_ref(), span.clone(), &[agent_port, trunk_port]);
            let external = self.external(entry.external.as_ref(), span.clone());
            let named = self.required(entry.pool.as_ref(), "pool", span.clone(), "\"pool1.contoso.test\"");
            let pool = named.and_then(|named| {
                let at = pools.iter().position(|(_, pool)| named.get_ref().eq_ignore_ascii_case(pool.fqdn.as_str()));
                if at.is_none() {
                    let what = format!("there is no [[pool]] {}", named.get_ref());
                    self.add(named.span(), what, one_of("add it", &known));
                }
                at
            });
            let (Some(fqdn), Some(pool)) = (fqdn, pool) else { continue };
            self.name(&fqdn, "an edge server", span);
            let pool = &mut pools[pool].1;
            let member = Member { fqdn, role: Role::Edge, site: pool.site.clone(), internal, agent_port };
            pool.edges.push(Edge { member, external, trunk_port });
        }
        for (span, pool) in pools.iter() {
            let alone = pool.edges.len() == 1 && pool.edges[0].member.fqdn == pool.fqdn;
            if self.names.contains_key(&pool.fqdn) && !alone {
                let what = format!("{} is a pool, and a server's name too", pool.fqdn);
                self.add(span.clone(), what, "only a pool of one edge server may have its name");
            }
        }
    }

    pub(super) fn members<'b, T>(
        &mut self,
        section: &str,
        role: Role,
        entries: &'b [Spanned<T>],
        sites: &[String],
    ) -> Vec<Member>
    where
        Written<'b>: From<&'b T>,
    {
        let mut members = Vec::new();
        for entry in entries {
            let (span, entry) = (entry.span(), Written::from(entry.get_ref()));
            let fqdn = self.fqdn(entry.fqdn, span.clone());
            let site = self.site(entry.site, span.clone(), sites);
            let agent_port = self.port(entry.agent_port, AGENT_PORT);
            let internal = self.internal(entry.internal, span.clone(), &[agent_port]);
            let Some(fqdn) = fqdn else { continue };
            self.name(&fqdn, &format!("a {section}"), span);
            members.push(Member { fqdn, role, site, internal, agent_port });
        }
        members
    }

    fn witnesses(&mut self, entries: &[Spanned<file::Witness>], sites: &[String]) -> Vec<Witness> {
        let mut witnesses = Vec::new();
        for entry in entries {
            let (span, entry) = (entry.span(), entry.get_ref());
            let fqdn = self.fqdn(entry.fqdn.as_ref(), span.clone());
            let site = self.site(entry.site.as_ref(), span.clone(), sites);
            let agent_port = self.port(entry.agent_port.as_ref(), AGENT_PORT);
            let internal = self.internal(entry.internal.as_ref(), span.clone(), &[agent_port]);
            // Several may look from behind one address; none from where it is to look at.
            let written = entry.external.as_ref().filter(|written| !written.get_ref().is_empty());
            let external = written.map(|written| self.addresses(written)).unwrap_or_default();
            for (place, address) in external.iter().filter(|(_, address)| self.externals.contains(address)).cloned() {
                let what =
                    format!("{address} is an edge server's external address, and a witness looks from elsewhere");
                self.faults.add(place, what, "name the address from which it looks, or leave `external` out");
            }
            let Some(fqdn) = fqdn else { continue };
            self.name(&fqdn, "a witness", span);
            let member = Member { fqdn, role: Role::Witness, site, internal, agent_port };
            witnesses.push(Witness { member, external: external.into_iter().map(|(_, address)| address).collect() });
        }
        witnesses
    }

    /// Notes a member's name, which nobody else may have.
    fn name(&mut self, fqdn: &Fqdn, what: &str, entry: Range<usize>) {
        if let Some(before) = self.names.insert(fqdn.clone(), what.to_owned()) {
            let what = format!("{fqdn} is there twice, first as {before}, now as {what}");
            self.add(entry, what, "give each member its own name, also two on one machine");
        }
    }

    pub(super) fn port(&mut self, port: Option<&Spanned<u16>>, usual: u16) -> u16 {
        let Some(port) = port else { return usual };
        if *port.get_ref() == 0 {
            self.add(port.span(), "0 is no port", format!("name one, or leave it out for {usual}"));
        }
        *port.get_ref()
    }

    fn internal(&mut self, written: Option<&file::Addresses>, entry: Range<usize>, ports: &[u16]) -> Vec<IpAddr> {
        let Some(written) = self.required(written, "internal", entry, "[\"10.1.0.10\"]") else { return Vec::new() };
        let addresses = self.addresses(written);
        for (place, address) in &addresses {
            for port in ports {
                let socket = SocketAddr::new(*address, *port);
                if !self.sockets.insert(socket) {
                    let what = format!("{socket} is somebody's already, or this member's twice");
                    self.add(
                        place.clone(),
                        what,
                        "give members on one machine ports of their own: `agent_port`, `trunk_port`",
                    );
                }
            }
        }
        addresses.into_iter().map(|(_, address)| address).collect()
    }

    fn external(&mut self, written: Option<&file::Addresses>, entry: Range<usize>) -> Vec<IpAddr> {
        let Some(written) = self.required(written, "external", entry, "[\"203.0.113.10\"]") else { return Vec::new() };
        let addresses = self.addresses(written);
        for (place, address) in &addresses {
            let only_here = match address.to_canonical() {
                IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
                IpAddr::V6(address) => address.is_unicast_link_local(),
            };
            if only_here {
                let what = format!("{address} means something on its own network only, and partners are elsewhere");
                self.add(place.clone(), what, "name the address that partners reach it at");
            }
            if !self.externals.insert(*address) {
                let what = format!("{address} is an external address already");
                self.add(place.clone(), what, "each edge server has its own, at which partners reach it");
            }
        }
        addresses.into_iter().map(|(_, address)| address).collect()
    }

    pub(super) fn addresses(&mut self, written: &file::Addresses) -> Vec<(Range<usize>, IpAddr)> {
        if written.get_ref().is_empty() {
            self.add(written.span(), "there is no address", "name at least one, IPv4 or IPv6");
        }
        let mut addresses = Vec::new();
        for address in written.get_ref() {
            let ip = *address.get_ref();
            if ip.is_unspecified() || ip.is_multicast() {
                self.add(
                    address.span(),
                    format!("{ip} is no machine's address"),
                    "name the one that others reach it at",
                );
            }
            addresses.push((address.span(), ip));
        }
        addresses
    }

    fn route(&mut self, file: &File, pools: &[Pool]) -> Vec<Fqdn> {
        let known: Vec<String> = pools.iter().map(|pool| pool.fqdn.to_string()).collect();
        let all = known.iter().map(|pool| format!("\"{pool}\"")).collect::<Vec<_>>().join(", ");
        let Some(section) = &file.route else {
            let remedy = format!("add it, with all pools in the order in which they stand by: `pools = [{all}]`");
            self.add(0..0, "there is no [route]", remedy);
            return Vec::new();
        };
        let written = self.required(section.get_ref().pools.as_ref(), "pools", section.span(), &format!("[{all}]"));
        let Some(written) = written else { return Vec::new() };
        let mut order: Vec<Fqdn> = Vec::new();
        for named in written.get_ref() {
            let pool = pools.iter().find(|pool| named.get_ref().eq_ignore_ascii_case(pool.fqdn.as_str()));
            match pool {
                None => {
                    let what = format!("there is no [[pool]] {}", named.get_ref());
                    self.add(named.span(), what, one_of("add it", &known));
                }
                Some(pool) if order.contains(&pool.fqdn) => {
                    let what = format!("{} is in the route's order twice", pool.fqdn);
                    self.add(named.span(), what, "name it once: its place is its priority in DNS");
                }
                Some(pool) => order.push(pool.fqdn.clone()),
            }
        }
        for pool in pools.iter().filter(|pool| !order.contains(&pool.fqdn)) {
            let what = format!("{} has no place in the route's order", pool.fqdn);
            self.add(written.span(), what, "add it, at the end if it is to stand by last");
        }
        order
    }
}

fn one_of(otherwise: &str, known: &[String]) -> String {
    if known.is_empty() { otherwise.to_owned() } else { format!("name one of {}, or {otherwise}", known.join(", ")) }
}
