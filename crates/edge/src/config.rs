//! The configuration: read and checked as a whole, before a socket opens.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use net::face;
use net::judge::Roots;
use topology::faults::Faults;
use topology::policy::Policy;

mod check;
mod file;
#[cfg(test)]
mod tests;

pub use file::{Format, Level, Log};

/// What `fedge-edge` runs by.
#[derive(Debug)]
pub struct Config {
    /// Where the local commands ask.
    pub socket: Option<PathBuf>,
    /// How the log is written.
    pub log: Log,
    /// The external face.
    pub external: FaceConfig,
    /// The folder of the external face's own certificates.
    pub certificates: PathBuf,
    /// Whether partners may be at addresses that aren't public.
    pub private_targets: bool,
    /// The internal face.
    pub gateway: FaceConfig,
    /// The internal CA's folder; without it, internal servers verify by dialback.
    pub ca: Option<PathBuf>,
    /// Times and sizes of both faces.
    pub settings: face::Settings,
    /// Who may speak to whom.
    pub policy: Policy,
}

/// What both faces have.
#[derive(Debug)]
pub struct FaceConfig {
    /// Where it accepts streams.
    pub listen: Vec<SocketAddr>,
    /// Whose certificates count.
    pub trusted: Trusted,
    /// The file of dialback secrets; without it, one is drawn at each start.
    pub dialback_secrets: Option<PathBuf>,
    /// The DNS servers to ask; none for those of the system.
    pub resolvers: Vec<SocketAddr>,
}

/// Whose certificates count.
#[derive(Debug)]
pub struct Trusted {
    /// Roots.
    pub roots: Roots,
    /// Revocation lists.
    pub revoked: Vec<PathBuf>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{}: it can't be read ({error}); name a file that this user may read", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// It says something that can't be.
    #[error("{0}")]
    Faulty(#[from] Faults),
}

impl Config {
    /// Reads and checks the file. Other files that it names are found from its folder, and aren't
    /// read here.
    ///
    /// # Errors
    /// Every fault, with its place; of unknown keys and wrong types only the first.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable { file: path.to_owned(), error })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(Config::parse(&path.display().to_string(), &text, folder)?)
    }

    fn parse(name: &str, text: &str, folder: &Path) -> Result<Config, Faults> {
        let mut faults = Faults::new(name, text);
        match toml::from_str(text) {
            Ok(file) => {
                let config = check::check(&file, folder, &mut faults);
                faults.none_or(config)
            }
            Err(error) => {
                let place = error.span().unwrap_or(0..0);
                faults.add(place, error.message(), "docs/configuration.md names every key and its values");
                Err(faults.none_or(()).expect_err("a fault was added"))
            }
        }
    }
}
