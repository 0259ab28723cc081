//! The configuration: a TOML file, checked wholly before anything else happens.

use std::net::SocketAddr;
use std::path::Path;

use daemon::log::Log;
use daemon::settings::{self, ConfigError};
use ipnet::IpNet;

use crate::view;

mod check;
mod file;
#[cfg(test)]
mod tests;

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

impl Config {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// Every fault, with its place; of unknown keys and wrong types only the first.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        settings::read(path, |file: file::File, _, faults| check::check(file, faults))
    }
}
