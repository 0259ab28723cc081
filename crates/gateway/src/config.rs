//! The configuration of fedge-gateway, and its `[gateway]` section, which fedge-edge may have too.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use daemon::control::{self, Control};
use daemon::log::Log;
use daemon::settings::{
    self, ConfigError, FaceConfig, Federation, Limits, Local, Metrics, Partner, Policies, Times, Trusted,
};
use net::face;
use net::trunk::tls::Files;
use serde::Deserialize;
use toml::Spanned;
use topology::faults::Faults;

use crate::course::{Course, Edge, Pool};

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
    /// By what it finds the edge servers, and knows who may speak to whom.
    pub lead: Lead,
    /// Times and sizes.
    pub settings: face::Settings,
}

/// What a gateway is led by.
#[derive(Debug)]
pub enum Lead {
    /// Its own file.
    File {
        /// Our name on the trunk.
        name: String,
        /// Our files on the trunk.
        trunk: Files,
        /// What to go by.
        course: Box<Course>,
    },
    /// Controllers, who send snapshots.
    Control(Control),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    socket: Option<PathBuf>,
    #[serde(default)]
    log: Log,
    metrics: Option<Metrics>,
    control: Option<control::Section>,
    gateway: Section,
    trunk: Option<Trunk>,
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
    faces.extend(file.control.as_ref().map(|control| ("agent's", &control.listen)));
    settings::check_listeners(&faces, faults);
    let own = faces.iter().flat_map(|(_, listen)| listen.get_ref()).copied().collect();
    let (face, ca) = file.gateway.read(folder);
    Config {
        socket: file.socket.as_ref().map(|socket| folder.join(socket)),
        log: file.log.clone(),
        metrics: file.metrics.as_ref().map(|metrics| metrics.listen.get_ref().clone()).unwrap_or_default(),
        face,
        ca,
        lead: lead(file, own, folder, faults),
        settings: times_and_sizes,
    }
}

fn lead(file: &File, own: Vec<SocketAddr>, folder: &Path, faults: &mut Faults) -> Lead {
    let policies =
        Policies { federation: &file.federation, local: &file.local, partner: &file.partner, own, delivers: true };
    match (&file.control, &file.trunk) {
        (Some(control), _) => {
            let alone = settings::Alone {
                sections: &[("[trunk]", file.trunk.is_some()), ("[[pool]]", !file.pool.is_empty())],
                policies: &policies,
                dialback_secrets: file.gateway.dialback_secrets.is_some(),
            };
            alone.check(faults);
            Lead::Control(control.read(folder, faults))
        }
        (None, trunk) => {
            if trunk.is_none() {
                let remedy = "add [trunk] and a [[pool]], or [control] where controllers lead this gateway";
                faults.add(0..0, "there is no [trunk] to any edge server", remedy);
            }
            let path = |of: fn(&Trunk) -> &PathBuf| trunk.as_ref().map(|trunk| folder.join(of(trunk)));
            let domains = file.local.iter().flat_map(|entry| entry.get_ref().domains.get_ref());
            Lead::File {
                name: trunk.as_ref().map(|trunk| trunk.name.clone()).unwrap_or_default(),
                trunk: Files {
                    ca: path(|trunk| &trunk.ca).unwrap_or_default(),
                    certificate: path(|trunk| &trunk.certificate).unwrap_or_default(),
                    key: path(|trunk| &trunk.key).unwrap_or_default(),
                },
                course: Box::new(Course {
                    pools: pools(file, trunk.as_ref(), faults),
                    route: trunk.as_ref().map(|trunk| trunk.route.get_ref().clone()).unwrap_or_default(),
                    serves: domains.map(|domain| domain.get_ref().clone()).collect(),
                    secrets: None,
                    policy: policies.read(faults),
                }),
            }
        }
    }
}

fn pools(file: &File, trunk: Option<&Trunk>, faults: &mut Faults) -> Vec<Pool> {
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
        let edge = |edge: &EdgeEntry| Edge { name: edge.name.get_ref().clone(), addresses: vec![edge.address] };
        pools.push(Pool { name: entry.name.clone(), edges: entry.edges.get_ref().iter().map(edge).collect() });
    }
    let Some(Trunk { route, .. }) = trunk else { return pools };
    if !pools.iter().any(|pool| pool.name == *route.get_ref()) {
        let known: Vec<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
        let what = format!("there is no [[pool]] {} for the route", route.get_ref());
        let remedy = if known.is_empty() { "add one".to_owned() } else { format!("name one of {}", known.join(", ")) };
        faults.add(route.span(), what, remedy);
    }
    pools
}
