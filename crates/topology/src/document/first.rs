//! The first document: commented, valid, and to be made one's own.

use std::net::IpAddr;

use crate::fqdn::Fqdn;
use crate::partner::{NextHop, Pattern};

/// What a first document needs to be told.
#[derive(Debug, Clone)]
pub struct First {
    /// The installation's name.
    pub installation: String,
    /// The first site's name.
    pub site: String,
    /// The first pool's name.
    pub pool: Fqdn,
    /// Its edge server, by name, external and internal address.
    pub edge: (Fqdn, IpAddr, IpAddr),
    /// The gateway, by name and internal address.
    pub gateway: (Fqdn, IpAddr),
    /// A local domain, and where its server is.
    pub local: (Pattern, NextHop),
    /// A partner.
    pub partner: Pattern,
}

/// The text of a first document.
pub fn first(told: &First) -> String {
    let First { installation, site, pool, edge: (edge, external, inner), gateway: (gateway, internal), local, partner } =
        told;
    let (local, next_hop) = local;
    let [installation, site] = [installation, site].map(|name| toml::Value::from(name.as_str()));
    format!(
        "\
# The topology of an installation of fedge. `fedge topology check` says what is wrong in it, `fedge topology publish` makes
# it what should be. docs/topology.md says what each key means.

[installation]
name = {installation}

# A site is a place with machines that fail together.
[[site]]
name = {site}

# A pool of edge servers. Its name is what partners find in DNS.
[[pool]]
fqdn = \"{pool}\"
site = {site}

# An edge server stands in the perimeter: partners reach it at `external`, gateways and controllers at `internal`.
[[edge]]
fqdn = \"{edge}\"
pool = \"{pool}\"
external = [\"{external}\"]
internal = [\"{inner}\"]

# A gateway stands inside, next to the XMPP servers. Two are better than one.
[[gateway]]
fqdn = \"{gateway}\"
site = {site}
internal = [\"{internal}\"]

# The order in which pools stand by. The first carries federation at the beginning; another has it after a move.
[route]
pools = [\"{pool}\"]

# What is demanded of everybody whose own entry doesn't say otherwise: TLS, and a certificate or dialback.
[federation]
open = false

# Domains of our own, and the server that serves them. Rooms are domains too: conference.contoso.test.
[[local]]
domains = [\"{local}\"]
next_hop = \"{next_hop}\"

# Those we federate with.
[[partner]]
domains = [\"{partner}\"]
"
    )
}
