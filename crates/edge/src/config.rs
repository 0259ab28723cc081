//! The configuration: read and checked as a whole, before a socket opens.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

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

#[cfg(test)]
mod tests;

/// What `fedge-edge` runs by.
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
    /// Who may speak to whom.
    pub policy: Policy,
}

/// What stands between the external face and the servers inside.
#[derive(Debug)]
pub enum Inward {
    /// The internal face, in this process.
    Gateway {
        /// The internal face.
        face: FaceConfig,
        /// The internal CA's folder; without it, internal servers verify by dialback.
        ca: Option<PathBuf>,
    },
    /// Gateways, who dial us.
    Trunk {
        /// Where they do.
        listen: Vec<SocketAddr>,
        /// Our name on the trunk.
        name: String,
        /// Our files on the trunk.
        files: Files,
        /// The names of gateways that may come.
        gateways: Vec<String>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    socket: Option<PathBuf>,
    #[serde(default)]
    log: Log,
    metrics: Option<Metrics>,
    external: External,
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
    let external = &file.external;
    let addresses = settings::with_shared(&external.listen, &external.shared);
    let internal = file.gateway.as_ref().map(Section::addresses);
    let mut faces = vec![("external", &addresses)];
    faces.extend(internal.as_ref().map(|internal| ("internal", internal)));
    faces.extend(file.trunk.as_ref().map(|trunk| ("trunk's", &trunk.listen)));
    faces.extend(file.metrics.as_ref().map(|metrics| ("metrics'", &metrics.listen)));
    settings::check_listeners(&faces, faults);
    let policies = Policies {
        federation: &file.federation,
        local: &file.local,
        partner: &file.partner,
        own: faces.iter().flat_map(|(_, listen)| listen.get_ref()).copied().collect(),
        delivers: file.gateway.is_some(),
    };
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
        inward: inward(file, folder, faults),
        settings: settings::settings(&file.times, &file.limits, faults),
        policy: policies.read(faults),
    }
}

fn inward(file: &File, folder: &Path, faults: &mut Faults) -> Inward {
    match (&file.gateway, &file.trunk) {
        (Some(gateway), None) => {
            let (face, ca) = gateway.read(folder);
            Inward::Gateway { face, ca }
        }
        (None, Some(trunk)) => {
            if trunk.gateways.get_ref().is_empty() {
                faults.add(trunk.gateways.span(), "no gateway may come", "name one, such as \"gateway1.contoso.test\"");
            }
            Inward::Trunk {
                listen: trunk.listen.get_ref().clone(),
                name: trunk.name.clone(),
                files: Files {
                    ca: folder.join(&trunk.ca),
                    certificate: folder.join(&trunk.certificate),
                    key: folder.join(&trunk.key),
                },
                gateways: trunk.gateways.get_ref().clone(),
            }
        }
        (gateway, _) => {
            let what = if gateway.is_some() {
                "there are [gateway] and [trunk]"
            } else {
                "there is no [gateway] and no [trunk]"
            };
            let remedy =
                "have [gateway] where servers inside are reached from this machine, or [trunk] where gateways dial it";
            faults.add(0..0, what, remedy);
            let face = FaceConfig {
                listen: Vec::new(),
                shared: Vec::new(),
                trusted: Trusted::new(folder, Path::new("system"), &[]),
                dialback_secrets: None,
                resolvers: Vec::new(),
            };
            Inward::Gateway { face, ca: None }
        }
    }
}
