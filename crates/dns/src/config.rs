//! The configuration: a TOML file, checked wholly before anything else happens.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ipnet::IpNet;
use serde::Deserialize;
use toml::Spanned;
use topology::partner::{NextHop, Pattern};
use xmpp::domain::Domain;

use crate::view::{self, Gateway, LONGEST_LABEL, Local};

mod fault;

pub use fault::Fault;

/// A configuration in which nothing is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// How to log.
    pub log: Log,
    /// Where to answer.
    pub listen: Vec<SocketAddr>,
    /// The site's resolvers, in the order in which to ask them.
    pub forward: Vec<SocketAddr>,
    /// Who may ask.
    pub clients: Vec<IpNet>,
    /// How many answers to keep.
    pub cache: u64,
    /// Where names lead.
    pub view: view::Settings,
}

/// How to log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The least important that is written.
    pub level: Level,
    /// As what lines are written.
    pub format: Format,
}

/// How important a line of the log is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "everybody knows them")]
pub enum Level {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// As what lines of the log are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Something is wrong in it.
    #[error("{}", faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n"))]
    Faulty {
        /// What, in the order of the file.
        faults: Vec<Fault>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    log: Log,
    view: Spanned<ViewTable>,
    #[serde(default)]
    gateway: Vec<GatewayTable>,
    #[serde(default)]
    local: Vec<LocalTable>,
}

type Text = Spanned<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ViewTable {
    listen: Spanned<Vec<Text>>,
    forward: Spanned<Vec<Text>>,
    ttl: Option<Spanned<u32>>,
    clients: Option<Spanned<Vec<Text>>>,
    cache: Option<Spanned<u64>>,
    direct_tls: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GatewayTable {
    name: Text,
    addresses: Spanned<Vec<Text>>,
    port: Option<NonZeroU16>,
    priority: Option<u16>,
    weight: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LocalTable {
    domains: Spanned<Vec<Text>>,
    next_hop: Text,
    #[serde(default)]
    direct_tls: bool,
}

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

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it can't be read, or with everything that is wrong in it.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
        Config::parse(&text, path)
    }

    /// Reads `text`; `path` is what errors call it.
    ///
    /// # Errors
    /// With everything that is wrong in it.
    pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
        let mut check = Check::default();
        let config = match toml::from_str(text) {
            Ok(file) => check.file(file),
            Err(error) => {
                check.found.push((error.span().unwrap_or_default(), error.message().to_owned()));
                None
            }
        };
        check.found.sort_by_key(|(span, _)| span.start);
        let found = check.found.into_iter().map(|(span, what)| Fault::new(path, text, span, what));
        let faults: Vec<Fault> = found.collect();
        match config {
            Some(config) if faults.is_empty() => Ok(config),
            _ => Err(ConfigError::Faulty { faults }),
        }
    }
}

/// Collects what is wrong, so that all of it can be said at once.
#[derive(Default)]
struct Check {
    found: Vec<(std::ops::Range<usize>, String)>,
}

impl Check {
    fn file(&mut self, file: File) -> Option<Config> {
        let header = file.view.span();
        let view = file.view.into_inner();
        let listen = self.list(&view.listen, socket_address);
        let forward = self.list(&view.forward, socket_address);
        self.addresses_of_sockets(&view, &listen, &forward);
        let clients = match &view.clients {
            Some(clients) => self.list(clients, network).into_iter().flatten().collect(),
            None => CLIENTS.iter().map(|text| text.parse().expect("a constant network")).collect(),
        };
        let ttl = self.within(view.ttl.as_ref(), TTL, 1, LONGEST_TTL);
        let cache = self.within(view.cache.as_ref(), CACHE, 0, LARGEST_CACHE);
        if file.gateway.is_empty() {
            self.wrong(header, "there is no gateway to lead to; add a [[gateway]] with `name` and `addresses`");
        }
        let gateways = self.gateways(file.gateway);
        let locals = self.locals(file.local);
        if !self.found.is_empty() {
            return None;
        }
        Some(Config {
            log: file.log,
            listen: listen.into_iter().flatten().collect(),
            forward: forward.into_iter().flatten().collect(),
            clients,
            cache,
            view: view::Settings { ttl, direct_tls: view.direct_tls.unwrap_or(true), gateways, locals },
        })
    }

    fn wrong(&mut self, span: std::ops::Range<usize>, what: impl fmt::Display) {
        self.found.push((span, what.to_string()));
    }

    /// Every entry of a list that must not be empty; nothing for an entry that is wrong or was
    /// there before.
    fn list<T, E: fmt::Display>(
        &mut self,
        list: &Spanned<Vec<Text>>,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<Option<T>>
    where
        T: PartialEq,
    {
        let mut all: Vec<Option<T>> = Vec::new();
        for text in list.get_ref() {
            let entry = match read(text.get_ref()) {
                Ok(entry) if all.iter().flatten().any(|other| *other == entry) => {
                    self.wrong(text.span(), format_args!("`{}` stands here twice", text.get_ref()));
                    None
                }
                Ok(entry) => Some(entry),
                Err(error) => {
                    self.wrong(text.span(), error);
                    None
                }
            };
            all.push(entry);
        }
        if all.is_empty() {
            self.wrong(list.span(), "at least one entry is needed here");
        }
        all
    }

    fn within<T>(&mut self, number: Option<&Spanned<T>>, default: T, least: T, most: T) -> T
    where
        T: Copy + PartialOrd + fmt::Display,
    {
        let Some(number) = number else { return default };
        let value = *number.get_ref();
        if value < least || value > most {
            self.wrong(number.span(), format_args!("{value} is out of range; write {least} to {most}"));
        }
        value
    }

    fn addresses_of_sockets(
        &mut self,
        view: &ViewTable,
        listen: &[Option<SocketAddr>],
        forward: &[Option<SocketAddr>],
    ) {
        for (address, text) in listen.iter().zip(view.listen.get_ref()) {
            let Some(address) = address else { continue };
            if address.ip().is_unspecified() {
                let why = "replies must come from the address that was asked; write each address to listen on";
                self.wrong(text.span(), why);
            } else if address.ip().is_multicast() {
                self.wrong(text.span(), "a multicast address can't be listened on");
            }
        }
        for (address, text) in forward.iter().zip(view.forward.get_ref()) {
            let Some(address) = address else { continue };
            if listen.contains(&Some(*address)) {
                self.wrong(text.span(), "this is fedge-dns itself: it would ask itself in circles");
            } else if address.ip().is_unspecified() || address.ip().is_multicast() || address.port() == 0 {
                self.wrong(text.span(), format_args!("no resolver can be asked at {address}"));
            }
        }
    }

    fn gateways(&mut self, tables: Vec<GatewayTable>) -> Vec<Gateway> {
        let mut gateways: Vec<Gateway> = Vec::new();
        for table in tables {
            let name = self.parsed::<Domain>(&table.name);
            let addresses = self.list(&table.addresses, host_address);
            let Some(name) = name else { continue };
            if gateways.iter().any(|other| other.name == name) {
                self.wrong(table.name.span(), format_args!("there is another gateway called {name}"));
            }
            if name.to_ascii().len() + LONGEST_LABEL > 253 {
                let why = "the name is too long: next hops that are addresses get names below it";
                self.wrong(table.name.span(), why);
            }
            gateways.push(Gateway {
                name,
                addresses: addresses.into_iter().flatten().collect(),
                port: table.port.map_or(topology::partner::S2S_PORT, NonZeroU16::get),
                priority: table.priority.unwrap_or(10),
                weight: table.weight.unwrap_or(10),
            });
        }
        gateways
    }

    fn locals(&mut self, tables: Vec<LocalTable>) -> Vec<Local> {
        let mut locals = Vec::new();
        let mut seen = HashMap::new();
        for table in tables {
            let next_hop = self.next_hop(&table.next_hop, table.direct_tls);
            let patterns = self.list(&table.domains, str::parse::<Pattern>);
            for (pattern, text) in patterns.into_iter().zip(table.domains.get_ref()) {
                let Some(pattern) = pattern else { continue };
                if let Some(other) = seen.insert(pattern.clone(), table.next_hop.get_ref().clone()) {
                    self.wrong(text.span(), format_args!("`{pattern}` has another next hop already: {other}"));
                }
                if let Some(next_hop) = next_hop.clone() {
                    locals.push(Local { pattern, next_hop });
                }
            }
        }
        locals
    }

    fn next_hop(&mut self, text: &Text, direct_tls: bool) -> Option<NextHop> {
        let next_hop: NextHop = self.parsed(text)?;
        let host = &next_hop.host;
        let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        if let Ok(address) = host.parse::<IpAddr>() {
            if address.is_unspecified() || address.is_multicast() {
                self.wrong(text.span(), format_args!("no server can be reached at {address}"));
            }
        } else if last.bytes().all(|byte| byte.is_ascii_digit()) || view::target_name(host).is_none() {
            self.wrong(text.span(), format_args!("`{host}` is neither a host name nor an address"));
        }
        Some(NextHop { direct_tls, ..next_hop })
    }

    fn parsed<T: FromStr>(&mut self, text: &Text) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        text.get_ref().parse().map_err(|error| self.wrong(text.span(), error)).ok()
    }
}

/// `address` or `address:port`; the port of DNS if there is none.
fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let with_port = text.parse().or_else(|_| text.parse::<IpAddr>().map(|address| (address, 53).into()));
    with_port.map_err(|_| format!("`{text}` is no address; write `address`, `address:port` or `[address]:port`"))
}

fn host_address(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| format!("`{text}` is no IP address"))?;
    let reachable = !address.is_unspecified() && !address.is_multicast();
    reachable.then_some(address).ok_or_else(|| format!("no gateway can be reached at {address}"))
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network = network.map_err(|_| format!("`{text}` is no network; write `address/length`, or an address"))?;
    if network != network.trunc() {
        return Err(format!("`{text}` is an address in a network; for the whole network write `{}`", network.trunc()));
    }
    Ok(network)
}

#[cfg(test)]
mod tests;
