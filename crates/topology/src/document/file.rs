//! The document as it is written: names of keys, and nothing checked but types.

use std::net::IpAddr;

use serde::Deserialize;
use toml::Spanned;
use toml::de::DeTable;

use super::recover::{nothing_else, section, sections, wide};
use crate::entries::{self, Federation};
use crate::faults::Faults;

/// All that may stand in a document.
const KNOWN: [&str; 14] = [
    "[installation]",
    "[[site]]",
    "[[pool]]",
    "[[edge]]",
    "[[gateway]]",
    "[[dns]]",
    "[[witness]]",
    "[[controller]]",
    "[route]",
    "[names]",
    "[[zone]]",
    "[federation]",
    "[[local]]",
    "[[partner]]",
];

#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) installation: Option<Spanned<Installation>>,
    pub(super) site: Vec<Spanned<Site>>,
    pub(super) pool: Vec<Spanned<Pool>>,
    pub(super) edge: Vec<Spanned<Edge>>,
    pub(super) gateway: Vec<Spanned<Member>>,
    pub(super) dns: Vec<Spanned<Dns>>,
    pub(super) witness: Vec<Spanned<Witness>>,
    pub(super) controller: Vec<Spanned<Member>>,
    pub(super) route: Option<Spanned<Route>>,
    pub(super) names: Option<Spanned<Names>>,
    pub(super) zone: Vec<Spanned<Zone>>,
    pub(super) federation: Federation,
    pub(super) local: Vec<Spanned<entries::Local>>,
    pub(super) partner: Vec<Spanned<entries::Partner>>,
}

pub(super) type Text = Spanned<String>;
pub(super) type Addresses = Spanned<Vec<Spanned<IpAddr>>>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Installation {
    pub(super) name: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Site {
    pub(super) name: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pool {
    pub(super) fqdn: Option<Text>,
    pub(super) site: Option<Text>,
    pub(super) tlsa: Option<Vec<Text>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Edge {
    pub(super) fqdn: Option<Text>,
    pub(super) pool: Option<Text>,
    pub(super) external: Option<Addresses>,
    pub(super) internal: Option<Addresses>,
    pub(super) trunk_port: Option<Spanned<u16>>,
    pub(super) agent_port: Option<Spanned<u16>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Member {
    pub(super) fqdn: Option<Text>,
    pub(super) site: Option<Text>,
    pub(super) internal: Option<Addresses>,
    pub(super) agent_port: Option<Spanned<u16>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dns {
    pub(super) fqdn: Option<Text>,
    pub(super) site: Option<Text>,
    pub(super) internal: Option<Addresses>,
    pub(super) external: Option<Addresses>,
    pub(super) view: Option<Spanned<bool>>,
    pub(super) agent_port: Option<Spanned<u16>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Witness {
    pub(super) fqdn: Option<Text>,
    pub(super) site: Option<Text>,
    pub(super) external: Option<Addresses>,
    pub(super) internal: Option<Addresses>,
    pub(super) agent_port: Option<Spanned<u16>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Names {
    pub(super) ttl: Option<Spanned<u32>>,
    pub(super) targets: Option<Text>,
    pub(super) alias: Option<Text>,
    pub(super) direct_tls_port: Option<Spanned<u16>>,
    pub(super) resolvers: Option<Vec<Text>>,
    pub(super) ca: Option<Vec<Text>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Zone {
    pub(super) name: Option<Text>,
    pub(super) publisher: Option<Text>,
    pub(super) servers: Option<Spanned<Vec<Text>>>,
    pub(super) primary: Option<Text>,
    pub(super) key: Option<Text>,
    pub(super) signed: Option<Spanned<bool>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Route {
    pub(super) pools: Option<Spanned<Vec<Text>>>,
}

impl File {
    /// What is written, as far as it can be read; the rest is told.
    pub(super) fn read(text: &str, faults: &mut Faults) -> File {
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let place = error.span().map(wide).unwrap_or_default();
            faults.add(place, error.message(), "TOML is described at https://toml.io");
        }
        let mut document = document.into_inner();
        let file = File {
            installation: section(&mut document, "installation", faults),
            site: sections(&mut document, "site", faults),
            pool: sections(&mut document, "pool", faults),
            edge: sections(&mut document, "edge", faults),
            gateway: sections(&mut document, "gateway", faults),
            dns: sections(&mut document, "dns", faults),
            witness: sections(&mut document, "witness", faults),
            controller: sections(&mut document, "controller", faults),
            route: section(&mut document, "route", faults),
            names: section(&mut document, "names", faults),
            zone: sections(&mut document, "zone", faults),
            federation: section(&mut document, "federation", faults).map(Spanned::into_inner).unwrap_or_default(),
            local: sections(&mut document, "local", faults),
            partner: sections(&mut document, "partner", faults),
        };
        nothing_else(&document, &KNOWN, faults);
        file
    }
}
