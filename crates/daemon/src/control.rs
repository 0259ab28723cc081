//! `[control]`: where controllers come to a daemon that goes by what they send, and what it keeps of that.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use agent::serve::{Agent, AgentError};
use api::agent::Role;
use serde::Deserialize;
use toml::Spanned;
use topology::faults::Faults;

/// `[control]`, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "docs/configuration.md says what each key means")]
pub struct Section {
    pub listen: Spanned<Vec<SocketAddr>>,
    pub state: PathBuf,
}

/// Where controllers come to, and what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Where the agent listens.
    pub listen: Vec<SocketAddr>,
    /// The folder of the key, the certificates and the snapshot.
    pub state: PathBuf,
}

impl Section {
    /// What it means; the folder is found from `folder`.
    pub fn read(&self, folder: &Path, faults: &mut Faults) -> Control {
        if self.listen.get_ref().is_empty() {
            let remedy = "name this machine's internal address, such as \"10.0.0.10:5271\"";
            faults.add(self.listen.span(), "no controller could come", remedy);
        }
        Control { listen: self.listen.get_ref().clone(), state: folder.join(&self.state) }
    }
}

impl Control {
    /// Opens the state folder of a member that was enrolled.
    ///
    /// # Errors
    /// When it wasn't, or the folder can't be used.
    pub fn open(&self, role: Role, program: (&'static str, &'static str)) -> Result<Agent, AgentError> {
        Agent::open(&self.state, role, program)
    }
}
