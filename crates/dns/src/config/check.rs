//! From the file to what it means: addresses, networks, gateways, local domains; every fault with
//! its place.

use std::collections::HashMap;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::path::Path;

use api::agent::content::Dns;
use daemon::settings;
use ipnet::IpNet;
use toml::Spanned;
use topology::faults::Faults;
use topology::partner::{NextHop, Pattern, S2S_PORT};
use xmpp::domain::Domain;

use super::file::{self, File, Text};
use super::{Config, Leads, Zones};
use crate::view::{self, Gateway, LONGEST_LABEL, Local};

/// Who may ask if the file doesn't say: loopback, private and link-local networks.
const CLIENTS: [&str; 8] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

/// Seconds, if the file doesn't say.
const TTL: u32 = 5;

/// A day: a TTL beyond that is a mistake in a view that is to follow its configuration.
const LONGEST_TTL: u32 = 86400;

/// Entries, if the file doesn't say.
const CACHE: u64 = 10_000;

/// Some gigabytes: more is a mistake.
const LARGEST_CACHE: u64 = 1_000_000;

/// Replies from zones to one network in a second, if the file doesn't say: a large resolver asks for each name once in its
/// TTL, and what somebody gets who didn't ask is some ten kilobytes.
const RESPONSES: u32 = 200;

/// More is no limit.
const MOST_RESPONSES: u32 = 1_000_000;

/// What was seen, and what would put it right.
type Wrong = (String, &'static str);

/// What `file` means, as far as it isn't faulty.
pub(super) fn check(file: File, folder: &Path, faults: &mut Faults) -> Config {
    let control = file.control.as_ref().map(|control| control.read(folder, faults));
    let metrics = file.metrics.as_ref().map(|metrics| ("metrics'", &metrics.listen));
    let agent = file.control.as_ref().map(|control| ("agent's", &control.listen));
    settings::check_listeners(&metrics.into_iter().chain(agent).collect::<Vec<_>>(), faults);
    let mut check = Check { faults };
    let zones = file.zones.as_ref().map(|zones| check.zones(zones, control.is_some())).unwrap_or_default();
    if file.view.is_none() && file.zones.is_none() {
        let remedy = "add [view] for internal servers, or [zones] for partners' resolvers";
        check.faults.add(0..0, "there is neither [view] nor [zones], so nothing to answer", remedy);
    }
    let header = file.view.as_ref().map(Spanned::span);
    let view = check.view(file.view.map(Spanned::into_inner), &zones.listen);
    if control.is_some() {
        for name in
            file.gateway.iter().map(|gateway| &gateway.name).chain(file.local.iter().map(|local| &local.next_hop))
        {
            let what = "controllers say where names lead, since there is a [control]";
            check.add(name, what, "take out each [[gateway]] and [[local]], or [control]");
        }
    } else if let Some(header) = header.filter(|_| file.gateway.is_empty()) {
        let remedy = "add a [[gateway]] with its `name` and its `addresses`";
        check.faults.add(header, "there is no gateway to lead to", remedy);
    }
    let gateways = check.gateways(file.gateway);
    let locals = check.locals(&file.local);
    Config {
        log: file.log,
        listen: view.listen,
        forward: view.forward,
        clients: view.clients,
        cache: view.cache,
        zones,
        metrics: file.metrics.map(|metrics| metrics.listen.into_inner()).unwrap_or_default(),
        control,
        view: view::Settings { ttl: view.ttl, direct_tls: view.direct_tls, gateways, locals },
    }
}

/// What a snapshot's content means, as far as it isn't faulty.
pub(super) fn leads(content: Dns, faults: &mut Faults) -> Leads {
    let mut check = Check { faults };
    if content.view && content.gateway.is_empty() {
        let remedy = "the topology must have a gateway; look at the version that the controllers have";
        check.faults.add(0..0, "there is no gateway to lead to", remedy);
    }
    let nowhere = |text: String| Spanned::new(0..0, text);
    let gateways = content.gateway.into_iter().map(|gateway| file::Gateway {
        name: nowhere(gateway.fqdn),
        addresses: Spanned::new(0..0, gateway.addresses.iter().map(|address| nowhere(address.to_string())).collect()),
        port: None,
        priority: Some(gateway.priority),
        weight: None,
    });
    let gateways = check.gateways(gateways.collect());
    let mut locals = Vec::new();
    for local in content.local.into_iter().map(Spanned::into_inner) {
        match local.next_hop {
            Some(next_hop) => {
                locals.push(file::Local { domains: local.domains, next_hop, direct_tls: local.direct_tls });
            }
            None => {
                let what = "these domains have no `next_hop`";
                check.add(&local.domains, what, "the topology must name their server");
            }
        }
    }
    Leads {
        view: content.view,
        gateways,
        locals: check.locals(&locals),
        published: content.published,
        zone_keys: content.zone_keys,
    }
}

struct Check<'a> {
    faults: &'a mut Faults,
}

/// What `[view]` means.
struct View {
    listen: Vec<SocketAddr>,
    forward: Vec<SocketAddr>,
    clients: Vec<IpNet>,
    ttl: u32,
    cache: u64,
    direct_tls: bool,
}

impl Check<'_> {
    fn add<T>(&mut self, at: &Spanned<T>, what: impl Into<String>, remedy: &str) {
        self.faults.add(at.span(), what, remedy);
    }

    fn read<T>(&mut self, text: &Text, read: impl Fn(&str) -> Result<T, Wrong>) -> Option<T> {
        read(text.get_ref()).map_err(|(what, remedy)| self.add(text, what, remedy)).ok()
    }

    /// Every entry of a list that must not be empty; nothing for an entry that is wrong or was
    /// there before.
    fn list<T: PartialEq>(
        &mut self,
        list: &Spanned<Vec<Text>>,
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Vec<Option<T>> {
        let mut all: Vec<Option<T>> = Vec::new();
        for text in list.get_ref() {
            let entry = self.read(text, &read).filter(|entry| {
                let twice = all.iter().flatten().any(|other| other == entry);
                if twice {
                    self.add(text, format!("`{}` stands here twice", text.get_ref()), "keep one of them");
                }
                !twice
            });
            all.push(entry);
        }
        if all.is_empty() {
            self.add(list, "the list is empty", "write at least one entry");
        }
        all
    }

    /// Without `[view]` nobody is listened to, and the rest doesn't matter. `taken` is listened on already.
    fn view(&mut self, written: Option<file::View>, taken: &[SocketAddr]) -> View {
        let Some(view) = written else {
            let (listen, forward, clients) = (Vec::new(), Vec::new(), Vec::new());
            return View { listen, forward, clients, ttl: TTL, cache: 0, direct_tls: true };
        };
        let listen = self.list(&view.listen, listen_address);
        let forward = self.list(&view.forward, resolver_address);
        for (address, text) in forward.iter().zip(view.forward.get_ref()) {
            if address.is_some() && listen.contains(address) {
                let what = "this is fedge-dns itself, which would ask itself in circles";
                self.add(text, what, "name the site's resolver");
            }
        }
        for (address, text) in listen.iter().zip(view.listen.get_ref()) {
            if address.is_some_and(|address| address.port() != 0 && taken.contains(&address)) {
                let what = format!("[zones] listens on `{}` too", text.get_ref());
                self.add(text, what, "give the view an internal address, and the zones an external one");
            }
        }
        let clients = match &view.clients {
            Some(clients) => self.list(clients, network).into_iter().flatten().collect(),
            None => CLIENTS.iter().map(|text| text.parse().expect("a constant network")).collect(),
        };
        View {
            listen: listen.into_iter().flatten().collect(),
            forward: forward.into_iter().flatten().collect(),
            clients,
            ttl: self.within(view.ttl.as_ref(), TTL, 1, LONGEST_TTL),
            cache: self.within(view.cache.as_ref(), CACHE, 0, LARGEST_CACHE),
            direct_tls: view.direct_tls.unwrap_or(true),
        }
    }

    fn zones(&mut self, written: &Spanned<file::Zones>, controlled: bool) -> Zones {
        if !controlled {
            let what = "nobody says what is in the zones: there is no [control]";
            self.add(written, what, "add [control] with its `listen` and its `state`, or take out [zones]");
        }
        let zones = written.get_ref();
        let listen = self.list(&zones.listen, listen_address).into_iter().flatten().collect();
        let most = zones.responses_per_second.as_ref();
        Zones { listen, responses_per_second: self.within(most, RESPONSES, 0, MOST_RESPONSES) }
    }

    fn within<T>(&mut self, number: Option<&Spanned<T>>, default: T, least: T, most: T) -> T
    where
        T: Copy + PartialOrd + Display,
    {
        let Some(number) = number else { return default };
        let value = *number.get_ref();
        if value < least || value > most {
            self.add(number, format!("{value} is out of range"), &format!("write a number from {least} to {most}"));
        }
        value
    }

    fn gateways(&mut self, tables: Vec<file::Gateway>) -> Vec<Gateway> {
        let mut gateways: Vec<Gateway> = Vec::new();
        for table in tables {
            let addresses = self.list(&table.addresses, gateway_address);
            let Some(name) = self.read(&table.name, gateway_name) else { continue };
            if gateways.iter().any(|other| other.name == name) {
                let remedy = "give each its own, or name the addresses of both in one";
                self.add(&table.name, format!("there is another gateway called {name}"), remedy);
            }
            gateways.push(Gateway {
                name,
                addresses: addresses.into_iter().flatten().collect(),
                port: table.port.map_or(S2S_PORT, NonZeroU16::get),
                priority: table.priority.unwrap_or(10),
                weight: table.weight.unwrap_or(10),
            });
        }
        gateways
    }

    fn locals(&mut self, tables: &[file::Local]) -> Vec<Local> {
        let mut locals = Vec::new();
        let mut seen = HashMap::new();
        for table in tables {
            let next_hop = self.read(&table.next_hop, next_hop);
            let next_hop = next_hop.map(|hop| NextHop { direct_tls: table.direct_tls, ..hop });
            let patterns = self.list(&table.domains, pattern);
            for (pattern, text) in patterns.into_iter().zip(table.domains.get_ref()) {
                let Some(pattern) = pattern else { continue };
                if let Some(other) = seen.insert(pattern.clone(), table.next_hop.get_ref()) {
                    let what = format!("{pattern} has another next hop already, {other}");
                    self.add(text, what, "keep one of them");
                }
                locals.extend(next_hop.clone().map(|next_hop| Local { pattern, next_hop }));
            }
        }
        locals
    }
}

/// `address` or `address:port`; the port of DNS if there is none.
fn socket_address(text: &str) -> Result<SocketAddr, Wrong> {
    let with_port = text.parse().or_else(|_| text.parse::<IpAddr>().map(|address| (address, 53).into()));
    let remedy = "write `address`, `address:port` or `[address]:port`";
    with_port.map_err(|_| (format!("`{text}` is no address"), remedy))
}

fn listen_address(text: &str) -> Result<SocketAddr, Wrong> {
    let address = socket_address(text)?;
    if address.ip().is_unspecified() {
        let remedy = "write each address to listen on: a reply must come from the one that was asked";
        return Err((format!("`{text}` stands for all addresses"), remedy));
    }
    if address.ip().is_multicast() {
        return Err((format!("`{text}` is a multicast address"), "write an address of this machine"));
    }
    Ok(address)
}

fn resolver_address(text: &str) -> Result<SocketAddr, Wrong> {
    let address = socket_address(text)?;
    if is_nobody(address.ip()) || address.port() == 0 {
        return Err((format!("no resolver can be asked at {address}"), "name the site's resolver"));
    }
    Ok(address)
}

fn gateway_address(text: &str) -> Result<IpAddr, Wrong> {
    let remedy = "write the IP address of the gateway's internal face";
    let address: IpAddr = text.parse().map_err(|_| (format!("`{text}` is no IP address"), remedy))?;
    if is_nobody(address) {
        return Err((format!("no gateway can be reached at {address}"), remedy));
    }
    Ok(address)
}

fn network(text: &str) -> Result<IpNet, Wrong> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let remedy = "write `address/length`, or the address of one client";
    let network = network.map_err(|_| (format!("`{text}` is no network"), remedy))?;
    if network != network.trunc() {
        let what = format!("`{text}` is an address in the network `{}`", network.trunc());
        return Err((what, "write the network, or the address without a length"));
    }
    Ok(network)
}

fn gateway_name(text: &str) -> Result<Domain, Wrong> {
    let remedy = "write a host name, which the view will answer for, such as \"gateway1.contoso.test\"";
    let name: Domain = text.parse().map_err(|error| (format!("{error}"), remedy))?;
    if name.to_ascii().len() + LONGEST_LABEL > 253 {
        let what = "the name is too long: next hops that are addresses get names below it";
        return Err((what.to_owned(), "write a shorter one"));
    }
    Ok(name)
}

fn pattern(text: &str) -> Result<Pattern, Wrong> {
    let remedy = "write a domain, or `*.` and a domain for all below it";
    text.parse().map_err(|error| (format!("{error}"), remedy))
}

fn next_hop(text: &str) -> Result<NextHop, Wrong> {
    let remedy = "name the XMPP server: a host name or an address, and its port if that isn't 5269";
    let next_hop: NextHop = text.parse().map_err(|error| (format!("{error}"), remedy))?;
    let host = &next_hop.host;
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let reachable = match host.parse() {
        Ok(address) => !is_nobody(address),
        Err(_) => !last.bytes().all(|byte| byte.is_ascii_digit()) && view::target_name(host).is_some(),
    };
    if reachable { Ok(next_hop) } else { Err((format!("no server can be reached at `{host}`"), remedy)) }
}

/// Addresses that stand for no single host.
fn is_nobody(address: IpAddr) -> bool {
    address.is_unspecified() || address.is_multicast()
}
