//! The configuration: a TOML file, checked wholly before anything else happens.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use api::agent::content::{self, Content as _, Secret};
use daemon::control::Control;
use daemon::log::Log;
use daemon::settings::{self, ConfigError};
use ipnet::IpNet;
use topology::faults::Faults;
use topology::records::Published;

use crate::view;

mod check;
mod file;
#[cfg(test)]
mod tests;

/// A configuration in which nothing is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Where zones are answered for.
    pub zones: Zones,
    /// Where metrics are told.
    pub metrics: Vec<SocketAddr>,
    /// Where controllers come to, if they say where names lead.
    pub control: Option<Control>,
    /// Where names lead; with controllers, what of that is this daemon's own.
    pub view: view::Settings,
}

/// How zones are answered for that we have authority for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Zones {
    /// Where; nowhere, if that is done elsewhere.
    pub listen: Vec<SocketAddr>,
    /// How many replies one network gets by UDP in a second; 0 is no limit.
    pub responses_per_second: u32,
}

/// What controllers say of where names lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leads {
    /// Whether they do: not at a server that is there for zones alone.
    pub view: bool,
    /// Where internal servers find partners.
    pub gateways: Vec<view::Gateway>,
    /// What doesn't lead there.
    pub locals: Vec<view::Local>,
    /// What our zones are made from, if partners' resolvers reach this server.
    pub published: Option<Published>,
    /// The keys of those of them that are signed, as they travel.
    pub zone_keys: BTreeMap<String, Secret>,
}

impl Config {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// Every fault, with its place; of unknown keys and wrong types only the first.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        settings::read(path, |file: file::File, folder, faults| check::check(file, folder, faults))
    }

    /// This, with names leading where controllers say; without the view where they say so.
    pub fn leading(&self, leads: Leads) -> Config {
        let mut config = self.clone();
        config.view.gateways = leads.gateways;
        config.view.locals = leads.locals;
        if !leads.view {
            config.listen.clear();
        }
        config
    }
}

impl Leads {
    /// Reads a snapshot's content.
    ///
    /// # Errors
    /// Everything in it that can't be.
    pub fn read(content: &str) -> Result<Leads, Faults> {
        let written = content::Dns::read(content)?;
        let mut faults = Faults::new("snapshot", content);
        let leads = check::leads(written, &mut faults);
        faults.none_or(leads)
    }
}
