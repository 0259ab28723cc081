//! The configuration: a TOML file, checked wholly before anything else happens.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use topology::faults::Faults;

use crate::view;

mod check;
mod file;
#[cfg(test)]
mod tests;

pub use file::{Format, Level, Log};

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
    /// Reads and checks the file.
    ///
    /// # Errors
    /// Every fault, with its place; of unknown keys and wrong types only the first.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable { file: path.to_owned(), error })?;
        Ok(Config::parse(&path.display().to_string(), &text)?)
    }

    fn parse(name: &str, text: &str) -> Result<Config, Faults> {
        let mut faults = Faults::new(name, text);
        match toml::from_str(text) {
            Ok(file) => {
                let config = check::check(file, &mut faults);
                faults.none_or(config)
            }
            Err(error) => {
                // Where something is missing, the place has no width; one that isn't empty is drawn.
                let place = error
                    .span()
                    .filter(|place| *place != (0..0))
                    .map(|place| place.start..place.end.max(place.start + 1));
                faults.add(
                    place.unwrap_or_default(),
                    error.message(),
                    "docs/configuration.md names every key and its values",
                );
                Err(faults.none_or(()).expect_err("a fault was added"))
            }
        }
    }
}
