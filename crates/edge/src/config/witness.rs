//! `[witness]`: what a machine runs by that only looks at edge servers, as partners see them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use daemon::control::Control;
use daemon::log::Log;
use daemon::settings::{self, FaceConfig, Policies, Trusted};
use net::face;
use serde::Deserialize;
use topology::faults::Faults;

use super::{File, system};

/// What a witness runs by.
#[derive(Debug)]
pub struct Witness {
    /// Where the local commands ask.
    pub socket: Option<PathBuf>,
    /// How the log is written.
    pub log: Log,
    /// Where metrics are told.
    pub metrics: Vec<SocketAddr>,
    /// How it looks: it listens nowhere.
    pub face: FaceConfig,
    /// Whether edge servers may be at addresses of this machine, and others that aren't public.
    pub private_targets: bool,
    /// Where controllers come to.
    pub control: Control,
    /// Times and sizes of the streams by which it looks.
    pub settings: face::Settings,
}

/// `[witness]`, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Section {
    #[serde(default = "system")]
    trusted: PathBuf,
    #[serde(default)]
    revoked: Vec<PathBuf>,
    #[serde(default)]
    resolvers: Vec<SocketAddr>,
    #[serde(default)]
    private_targets: bool,
}

pub(super) fn check(file: &File, section: &Section, folder: &Path, faults: &mut Faults) -> Witness {
    for (name, there) in [
        ("[external]", file.external.is_some()),
        ("[gateway]", file.gateway.is_some()),
        ("[trunk]", file.trunk.is_some()),
    ] {
        if there {
            let what = format!("there are {name} and [witness]: a witness only looks, and carries nothing");
            faults.add(
                0..0,
                what,
                format!("take out one of them; what has {name} is no witness, and looks all the same"),
            );
        }
    }
    let policies = Policies {
        federation: &file.federation,
        local: &file.local,
        partner: &file.partner,
        own: Vec::new(),
        delivers: false,
    };
    settings::Alone { sections: &[], policies: &policies, dialback_secrets: false }.check(faults);
    let mut listeners = Vec::new();
    listeners.extend(file.control.as_ref().map(|control| ("agent's", &control.listen)));
    listeners.extend(file.metrics.as_ref().map(|metrics| ("metrics'", &metrics.listen)));
    settings::check_listeners(&listeners, faults);
    let control = match &file.control {
        Some(control) => control.read(folder, faults),
        None => {
            let remedy = "add it, with `listen` and `state`: controllers say at whom it looks";
            faults.add(0..0, "there is a [witness] and no [control]", remedy);
            Control { listen: Vec::new(), state: PathBuf::new() }
        }
    };
    Witness {
        socket: file.socket.as_ref().map(|socket| folder.join(socket)),
        log: file.log.clone(),
        metrics: file.metrics.as_ref().map(|metrics| metrics.listen.get_ref().clone()).unwrap_or_default(),
        face: FaceConfig {
            listen: Vec::new(),
            shared: Vec::new(),
            trusted: Trusted::new(folder, &section.trusted, &section.revoked),
            dialback_secrets: None,
            resolvers: section.resolvers.clone(),
        },
        private_targets: section.private_targets,
        control,
        settings: settings::settings(&file.times, &file.limits, faults),
    }
}
