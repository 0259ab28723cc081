//! The configuration: read and checked as a whole, before a socket opens.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use daemon::control::{self, Control};
use daemon::log::Log;
use daemon::settings::{
    self, ConfigError, FaceConfig, Federation, Limits, Local, Metrics, Partner, Policies, Times, Trusted,
};
use gateway::config::Section;
use net::face;
use net::trunk::tls::Files;
use serde::Deserialize;
use toml::Spanned;
use topology::faults::Faults;
use topology::policy::Policy;

use crate::course::Course;

#[cfg(test)]
mod tests;
mod witness;

pub use witness::Witness;

/// What `fedge-edge` runs as, and by.
#[derive(Debug)]
pub enum Configured {
    /// An edge server.
    Edge(Box<Config>),
    /// A witness, which only looks at edge servers.
    Witness(Box<Witness>),
}

/// What an edge server runs by.
#[derive(Debug)]
pub struct Config {
    /// Where the local commands ask.
    pub socket: Option<PathBuf>,
    /// How the log is written.
    pub log: Log,
    /// Where metrics are told.
    pub metrics: Vec<SocketAddr>,
    /// The external face.
    pub external: FaceConfig,
    /// The folder of the external face's own certificates.
    pub certificates: PathBuf,
    /// Whether partners may be at addresses that aren't public.
    pub private_targets: bool,
    /// Where stanzas for inside go.
    pub inward: Inward,
    /// Times and sizes of both faces.
    pub settings: face::Settings,
}

/// What stands between the external face and the servers inside, and who says who may speak to whom.
#[derive(Debug)]
pub enum Inward {
    /// The internal face, in this process.
    Gateway {
        /// The internal face.
        face: FaceConfig,
        /// The internal CA's folder; without it, internal servers verify by dialback.
        ca: Option<PathBuf>,
        /// Who may speak to whom.
        policy: Box<Policy>,
    },
    /// Gateways, who dial us, as the file says.
    Trunk {
        /// Our name on the trunk.
        name: String,
        /// Our files on the trunk.
        files: Files,
        /// What to go by.
        course: Box<Course>,
    },
    /// Gateways, who dial us, as controllers say.
    Control(Control),
}

impl Inward {
    /// The state folder, where there is one.
    pub fn state(&self) -> Option<&Path> {
        match self {
            Inward::Control(control) => Some(&control.state),
            Inward::Gateway { .. } | Inward::Trunk { .. } => None,
        }
    }

    /// Who may speak to whom, if the file says it.
    pub fn policy(&self) -> Option<&Policy> {
        match self {
            Inward::Gateway { policy, .. } => Some(policy),
            Inward::Trunk { course, .. } => Some(&course.policy),
            Inward::Control(_) => None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    socket: Option<PathBuf>,
    #[serde(default)]
    log: Log,
    metrics: Option<Metrics>,
    external: Option<External>,
    witness: Option<witness::Section>,
    control: Option<control::Section>,
    gateway: Option<Section>,
    trunk: Option<Trunk>,
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
struct External {
    listen: Spanned<Vec<SocketAddr>>,
    #[serde(default)]
    shared: Vec<SocketAddr>,
    certificates: PathBuf,
    #[serde(default = "system")]
    trusted: PathBuf,
    #[serde(default)]
    revoked: Vec<PathBuf>,
    dialback_secrets: Option<PathBuf>,
    #[serde(default)]
    resolvers: Vec<SocketAddr>,
    #[serde(default)]
    private_targets: bool,
}

fn system() -> PathBuf {
    PathBuf::from("system")
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trunk {
    listen: Spanned<Vec<SocketAddr>>,
    name: String,
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    gateways: Spanned<Vec<String>>,
}

impl Configured {
    /// Reads and checks the file. Other files that it names are found from its folder, and aren't
    /// read here.
    ///
    /// # Errors
    /// Every fault, with its place; of unknown keys and wrong types only the first.
    pub fn read(path: &Path) -> Result<Configured, ConfigError> {
        let configured = settings::read(path, |file: File, folder, faults| check(&file, folder, faults))?;
        Ok(configured.expect("a fault was added"))
    }
}

/// Nothing where it isn't said as what it runs, which is a fault.
fn check(file: &File, folder: &Path, faults: &mut Faults) -> Option<Configured> {
    match (&file.external, &file.witness) {
        (_, Some(section)) => Some(Configured::Witness(Box::new(witness::check(file, section, folder, faults)))),
        (Some(external), None) => Some(Configured::Edge(Box::new(of_edge(file, external, folder, faults)))),
        (None, None) => {
            let remedy = "have [external] for an edge server, or [witness] for who only looks at edge servers";
            faults.add(0..0, "there is no [external] and no [witness]", remedy);
            None
        }
    }
}

fn of_edge(file: &File, external: &External, folder: &Path, faults: &mut Faults) -> Config {
    let addresses = settings::with_shared(&external.listen, &external.shared);
    let internal = file.gateway.as_ref().map(Section::addresses);
    let mut faces = vec![("external", &addresses)];
    faces.extend(internal.as_ref().map(|internal| ("internal", internal)));
    faces.extend(file.trunk.as_ref().map(|trunk| ("trunk's", &trunk.listen)));
    faces.extend(file.control.as_ref().map(|control| ("agent's", &control.listen)));
    faces.extend(file.metrics.as_ref().map(|metrics| ("metrics'", &metrics.listen)));
    settings::check_listeners(&faces, faults);
    let own = faces.iter().flat_map(|(_, listen)| listen.get_ref()).copied().collect();
    Config {
        socket: file.socket.as_ref().map(|socket| folder.join(socket)),
        log: file.log.clone(),
        metrics: file.metrics.as_ref().map(|metrics| metrics.listen.get_ref().clone()).unwrap_or_default(),
        external: FaceConfig {
            listen: addresses.get_ref().clone(),
            shared: external.shared.clone(),
            trusted: Trusted::new(folder, &external.trusted, &external.revoked),
            dialback_secrets: external.dialback_secrets.as_ref().map(|file| folder.join(file)),
            resolvers: external.resolvers.clone(),
        },
        certificates: folder.join(&external.certificates),
        private_targets: external.private_targets,
        inward: inward(file, external, own, folder, faults),
        settings: settings::settings(&file.times, &file.limits, faults),
    }
}

fn inward(file: &File, external: &External, own: Vec<SocketAddr>, folder: &Path, faults: &mut Faults) -> Inward {
    let delivers = file.gateway.is_some();
    let policies = Policies { federation: &file.federation, local: &file.local, partner: &file.partner, own, delivers };
    match (&file.gateway, &file.trunk, &file.control) {
        (gateway, trunk, Some(control)) => {
            if gateway.is_some() {
                let remedy = "run fedge-gateway beside it, led by controllers too, or take out [control]";
                faults.add(0..0, "there are [gateway] and [control]: controllers lead one half at a time", remedy);
            }
            let alone = settings::Alone {
                sections: &[("[trunk]", trunk.is_some())],
                policies: &policies,
                dialback_secrets: external.dialback_secrets.is_some(),
            };
            alone.check(faults);
            Inward::Control(control.read(folder, faults))
        }
        (None, Some(trunk), None) => {
            if trunk.gateways.get_ref().is_empty() {
                faults.add(trunk.gateways.span(), "no gateway may come", "name one, such as \"gateway1.contoso.test\"");
            }
            Inward::Trunk {
                name: trunk.name.clone(),
                files: Files {
                    ca: folder.join(&trunk.ca),
                    certificate: folder.join(&trunk.certificate),
                    key: folder.join(&trunk.key),
                },
                course: Box::new(Course {
                    policy: policies.read(faults),
                    secrets: None,
                    pool: None,
                    trunk: trunk.listen.get_ref().clone(),
                    gateways: trunk.gateways.get_ref().clone(),
                }),
            }
        }
        (Some(gateway), trunk, None) => {
            if trunk.is_some() {
                faults.add(0..0, "there are [gateway] and [trunk]", HALVES);
            }
            let (face, ca) = gateway.read(folder);
            Inward::Gateway { face, ca, policy: Box::new(policies.read(faults)) }
        }
        (None, None, None) => {
            faults.add(0..0, "there is no [gateway], no [trunk] and no [control]", HALVES);
            Inward::Control(Control { listen: Vec::new(), state: PathBuf::new() })
        }
    }
}

/// What to do where the other half of the border is missing, or there twice.
const HALVES: &str = "have [gateway] where servers inside are reached from this machine, [trunk] where gateways dial it, or \
                      [control] where controllers say which";
