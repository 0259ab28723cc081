//! The configuration as it stands in the file, with the place of everything that can be wrong.

use std::num::NonZeroU16;

use daemon::control;
use daemon::log::Log;
use daemon::settings::Metrics;
use serde::Deserialize;
use toml::Spanned;

/// A value that means more than its letters.
pub(super) type Text = Spanned<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) log: Log,
    pub(super) metrics: Option<Metrics>,
    pub(super) control: Option<control::Section>,
    pub(super) view: Option<Spanned<View>>,
    pub(super) zones: Option<Spanned<Zones>>,
    #[serde(default)]
    pub(super) gateway: Vec<Gateway>,
    #[serde(default)]
    pub(super) local: Vec<Local>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct View {
    pub(super) listen: Spanned<Vec<Text>>,
    pub(super) forward: Spanned<Vec<Text>>,
    pub(super) ttl: Option<Spanned<u32>>,
    pub(super) clients: Option<Spanned<Vec<Text>>>,
    pub(super) cache: Option<Spanned<u64>>,
    pub(super) direct_tls: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Zones {
    pub(super) listen: Spanned<Vec<Text>>,
    pub(super) responses_per_second: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gateway {
    pub(super) name: Text,
    pub(super) addresses: Spanned<Vec<Text>>,
    pub(super) port: Option<NonZeroU16>,
    pub(super) priority: Option<u16>,
    pub(super) weight: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Local {
    pub(super) domains: Spanned<Vec<Text>>,
    pub(super) next_hop: Text,
    #[serde(default)]
    pub(super) direct_tls: bool,
}
