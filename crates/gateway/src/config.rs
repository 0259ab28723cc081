//! The configuration of fedge-gateway, and its `[gateway]` section, which fedge-edge may have too.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use daemon::log::Log;
use daemon::settings::{
    self, ConfigError, FaceConfig, Federation, Limits, Local, Metrics, Partner, Policies, Times, Trusted,
};
use net::face;
use net::trunk::tls::Files;
use serde::Deserialize;
use toml::Spanned;
use topology::faults::Faults;
use topology::policy::Policy;

#[cfg(test)]
mod tests;

/// `[gateway]`, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "docs/configuration.md says what each key means")]
pub struct Section {
    pub listen: Spanned<Vec<SocketAddr>>,
    #[serde(default)]
    pub shared: Vec<SocketAddr>,
    pub ca: Option<PathBuf>,
    #[serde(default = "system")]
    pub trusted: PathBuf,
    #[serde(default)]
    pub revoked: Vec<PathBuf>,
    pub dialback_secrets: Option<PathBuf>,
    #[serde(default)]
    pub resolvers: Vec<SocketAddr>,
}

fn system() -> PathBuf {
    PathBuf::from("system")
}

impl Section {
    /// All addresses that it listens on, its own and the shared ones.
    pub fn addresses(&self) -> Spanned<Vec<SocketAddr>> {
        settings::with_shared(&self.listen, &self.shared)
    }

    /// The internal face, and the folder of the internal CA; files are found from `folder`.
    pub fn read(&self, folder: &Path) -> (FaceConfig, Option<PathBuf>) {
        let face = FaceConfig {
            listen: self.addresses().into_inner(),
            shared: self.shared.clone(),
            trusted: Trusted::new(folder, &self.trusted, &self.revoked),
            dialback_secrets: self.dialback_secrets.as_ref().map(|file| folder.join(file)),
            resolvers: self.resolvers.clone(),
        };
        (face, self.ca.as_ref().map(|ca| folder.join(ca)))
    }
}

/// What `fedge-gateway` runs by.
#[derive(Debug)]
pub struct Config {
    /// Where the local commands ask.
    pub socket: Option<PathBuf>,
    /// How the log is written.
    pub log: Log,
    /// Where metrics are told.
    pub metrics: Vec<SocketAddr>,
    /// The internal face.
    pub face: FaceConfig,
    /// The internal CA's folder; without it, internal servers verify by dialback.
    pub ca: Option<PathBuf>,
    /// Our name on the trunk.
    pub name: String,
    /// Our files on the trunk.
    pub trunk: Files,
    /// The edge servers, by pools.
    pub pools: Vec<Pool>,
    /// The pool that carries the route at the start.
    pub route: String,
    /// The local domains, as they are written.
    pub serves: Vec<String>,
    /// Times and sizes.
    pub settings: face::Settings,
    /// Who may speak to whom.
    pub policy: Policy,
}

/// A pool of edge servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Its members.
    pub edges: Vec<Edge>,
}

/// An edge server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Its name, as its certificate gives it.
    pub name: String,
    /// Where it takes trunks.
    pub address: SocketAddr,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    socket: Option<PathBuf>,
    #[serde(default)]
    log: Log,
    metrics: Option<Metrics>,
    gateway: Section,
    trunk: Trunk,
    #[serde(default)]
    pool: Vec<Spanned<PoolEntry>>,
    #[serde(default)]
    times: Times,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    federation: Federation,
    #[serde(default)]
    local: Vec<Spanned<Local>>,
    #[serde(default)]
    partner: Vec<Spanned<Partner>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trunk {
    name: String,
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    route: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolEntry {
    name: String,
    edges: Spanned<Vec<EdgeEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EdgeEntry {
    name: Spanned<String>,
    address: SocketAddr,
}

impl Config {
    /// Reads and checks the file. Other files that it names are found from its folder, and aren't
    /// read here.
    ///
    /// # Errors
    /// Every fault, with its place; of unknown keys and wrong types only the first.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        settings::read(path, |file: File, folder, faults| check(&file, folder, faults))
    }
}

fn check(file: &File, folder: &Path, faults: &mut Faults) -> Config {
    let times_and_sizes = settings::settings(&file.times, &file.limits, faults);
    let internal = file.gateway.addresses();
    let mut faces = vec![("internal", &internal)];
    faces.extend(file.metrics.as_ref().map(|metrics| ("metrics'", &metrics.listen)));
    settings::check_listeners(&faces, faults);
    let policies = Policies {
        federation: &file.federation,
        local: &file.local,
        partner: &file.partner,
        own: faces.iter().flat_map(|(_, listen)| listen.get_ref()).copied().collect(),
        delivers: true,
    };
    let (face, ca) = file.gateway.read(folder);
    let domains = file.local.iter().flat_map(|entry| entry.get_ref().domains.get_ref());
    Config {
        socket: file.socket.as_ref().map(|socket| folder.join(socket)),
        log: file.log.clone(),
        metrics: file.metrics.as_ref().map(|metrics| metrics.listen.get_ref().clone()).unwrap_or_default(),
        face,
        ca,
        name: file.trunk.name.clone(),
        trunk: Files {
            ca: folder.join(&file.trunk.ca),
            certificate: folder.join(&file.trunk.certificate),
            key: folder.join(&file.trunk.key),
        },
        pools: pools(file, faults),
        route: file.trunk.route.get_ref().clone(),
        serves: domains.map(|domain| domain.get_ref().clone()).collect(),
        settings: times_and_sizes,
        policy: policies.read(faults),
    }
}

fn pools(file: &File, faults: &mut Faults) -> Vec<Pool> {
    let mut pools: Vec<Pool> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for entry in &file.pool {
        let (place, entry) = (entry.span(), entry.get_ref());
        if pools.iter().any(|pool| pool.name == entry.name) {
            faults.add(place, format!("there are two pools {}", entry.name), "give each its own name");
        }
        if entry.edges.get_ref().is_empty() {
            let what = format!("the pool {} has no edge server", entry.name);
            faults.add(
                entry.edges.span(),
                what,
                "name one: `{ name = \"edge1.contoso.test\", address = \"192.0.2.1:5270\" }`",
            );
        }
        for edge in entry.edges.get_ref() {
            if names.contains(&edge.name.get_ref().as_str()) {
                let what = format!("{} is named twice", edge.name.get_ref());
                faults.add(edge.name.span(), what, "an edge server is a member of one pool");
            }
            names.push(edge.name.get_ref());
        }
        let edge = |edge: &EdgeEntry| Edge { name: edge.name.get_ref().clone(), address: edge.address };
        pools.push(Pool { name: entry.name.clone(), edges: entry.edges.get_ref().iter().map(edge).collect() });
    }
    let route = &file.trunk.route;
    if !pools.iter().any(|pool| pool.name == *route.get_ref()) {
        let known: Vec<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
        let what = format!("there is no [[pool]] {} for the route", route.get_ref());
        let remedy = if known.is_empty() { "add one".to_owned() } else { format!("name one of {}", known.join(", ")) };
        faults.add(route.span(), what, remedy);
    }
    pools
}
