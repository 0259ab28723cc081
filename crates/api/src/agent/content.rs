//! What is in a snapshot, for each role: TOML, with local domains and partners as daemons' files have them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::Spanned;
use topology::entries::{Federation, Local, Partner};
use topology::faults::Faults;
use topology::policy::Policy;
use topology::records::Published;
use topology::written::Policies;

/// What an edge server goes by. Nothing in it says where anything inside is, but for the gateways' names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// The FQDN of its pool.
    pub pool: String,
    /// Where it takes trunks.
    pub trunk: Vec<SocketAddr>,
    /// The FQDNs of the gateways that may come there.
    pub gateways: Vec<String>,
    /// Of which dialback keys are made: the first makes, and all verify.
    pub dialback_secrets: Vec<Secret>,
    /// What is demanded unless an entry says otherwise.
    #[serde(default)]
    pub federation: Federation,
    /// Our own domains, without next hops.
    #[serde(default)]
    pub local: Vec<Spanned<Local>>,
    /// Those we federate with.
    #[serde(default)]
    pub partner: Vec<Spanned<Partner>>,
}

/// What a gateway goes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// Of which dialback keys are made: the first makes, and all verify.
    pub dialback_secrets: Vec<Secret>,
    /// The pools, in the order in which they stand by.
    pub pool: Vec<Pool>,
    /// What is demanded unless an entry says otherwise.
    #[serde(default)]
    pub federation: Federation,
    /// Our own domains, with their next hops.
    #[serde(default)]
    pub local: Vec<Spanned<Local>>,
    /// Those we federate with, without next hops.
    #[serde(default)]
    pub partner: Vec<Spanned<Partner>>,
}

/// A pool, as gateways need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Its FQDN.
    pub fqdn: String,
    /// Its edge servers.
    pub edge: Vec<PoolEdge>,
}

/// An edge server, as gateways need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolEdge {
    /// Its FQDN.
    pub fqdn: String,
    /// Where it takes trunks.
    pub trunk: Vec<SocketAddr>,
}

/// What a DNS server goes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// Whether our own servers find partners by it. Without, there is neither gateway nor local domain in here.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub view: bool,
    /// The gateways, which the view leads to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gateway: Vec<DnsGateway>,
    /// Our own domains, with their next hops.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub local: Vec<Spanned<Local>>,
    /// What the zones are made from that it has authority for; nothing for a server that partners' resolvers don't reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
    /// The private keys of those of them that are signed, by the zones' names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub zone_keys: BTreeMap<String, Secret>,
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_yes(value: &bool) -> bool {
    *value
}

/// A gateway, as DNS servers need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsGateway {
    /// Its FQDN.
    pub fqdn: String,
    /// Where our own servers reach it.
    pub addresses: Vec<IpAddr>,
    /// Of its SRV record: the lowest is tried first.
    pub priority: u16,
}

/// What a witness goes by: for which domains it looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// Our own domains, patterns among them.
    #[serde(default)]
    pub local: Vec<String>,
}

/// Something that nobody else may know. It is written to members and nowhere else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps it from being shown.
    pub fn new(secret: String) -> Secret {
        Secret(secret)
    }

    /// Shows it, to what works with it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// The content of some role.
pub trait Content: Serialize + DeserializeOwned {
    /// As it travels.
    fn write(&self) -> String {
        toml::to_string(self).expect("it is made of tables, lists and texts")
    }

    /// Reads what was written. Keys that are not known here come from a newer controller and are left out, but not in
    /// local domains and partners: what they demand must be understood.
    ///
    /// # Errors
    /// Where it can't be understood. The line isn't shown, since it may be one with a secret, and faults are logged.
    fn read(text: &str) -> Result<Self, Faults> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            let names_only = NAMES_ONLY.iter().any(|start| error.message().starts_with(start));
            let seen = if names_only { error.message() } else { "not what is understood here" };
            let mut faults = Faults::new("snapshot", "");
            let remedy = "run the version of fedge on this member that the controller runs, or a newer one";
            faults.add(0..0, format!("line {line}: {seen}"), remedy);
            faults
        })
    }
}

/// How those of toml's and serde's words begin that hold names of keys, and nothing of what was written there.
const NAMES_ONLY: [&str; 3] = ["missing field", "unknown field", "duplicate key"];

impl Content for Edge {}
impl Content for Gateway {}
impl Content for Dns {}
impl Content for Witness {}

impl Edge {
    /// Who may speak to whom. `text` is what this was read from; `own` is where this edge server listens.
    ///
    /// # Errors
    /// Every entry that can't be.
    pub fn policy(&self, text: &str, own: Vec<SocketAddr>) -> Result<Policy, Faults> {
        policy(text, (&self.federation, &self.local, &self.partner), own, false)
    }
}

impl Gateway {
    /// Who may speak to whom. `text` is what this was read from; `own` is where this gateway listens.
    ///
    /// # Errors
    /// Every entry that can't be.
    pub fn policy(&self, text: &str, own: Vec<SocketAddr>) -> Result<Policy, Faults> {
        policy(text, (&self.federation, &self.local, &self.partner), own, true)
    }
}

fn policy(
    text: &str,
    (federation, local, partner): (&Federation, &[Spanned<Local>], &[Spanned<Partner>]),
    own: Vec<SocketAddr>,
    delivers: bool,
) -> Result<Policy, Faults> {
    let mut faults = Faults::new("snapshot", text);
    let policy = Policies { federation, local, partner, own, delivers }.read(&mut faults);
    faults.none_or(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRIES: &str = "
        [federation]
        tls = 'optional'
        [[local]]
        domains = ['contoso.test', '*.im.contoso.test']
        next_hop = '10.0.0.2'
        [[partner]]
        domains = ['fabrikam.test']
        external = 'required'
        resend = true
    ";

    fn gateway() -> (Gateway, String) {
        let text = format!(
            "dialback_secrets = ['hush-hush-hush-hush']
            [[pool]]
            fqdn = 'pool1.contoso.test'
            edge = [{{ fqdn = 'edge1.contoso.test', trunk = ['10.0.1.1:5270', '[fd00::1]:5270'] }}]
            {ENTRIES}"
        );
        (Gateway::read(&text).expect("it can be read"), text)
    }

    #[test]
    fn what_was_written_is_read_and_means_the_same() {
        let (content, text) = gateway();
        let written = content.write();
        let read = Gateway::read(&written).expect("it can be read");
        assert_eq!(read.write(), written);
        assert_eq!((&read.pool, &read.dialback_secrets), (&content.pool, &content.dialback_secrets));
        let policy = |content: &Gateway, text: &str| content.policy(text, Vec::new()).expect("no fault");
        assert_eq!(policy(&read, &written), policy(&content, &text));
        assert_eq!(policy(&read, &written).locals().len(), 2);
        assert!(!format!("{read:?}").contains("hush"), "{read:?}");
    }

    #[test]
    fn an_unknown_key_of_a_newer_controller_is_left_out_but_not_in_what_is_demanded() {
        let (_, text) = gateway();
        assert!(Gateway::read(&format!("colour = 'red'\n{text}")).is_ok());
        let demanding = text.replace("resend = true", "quarantine = true");
        let faults = Gateway::read(&demanding).expect_err("it isn't understood");
        assert!(faults.to_string().contains("unknown field `quarantine`"), "{faults}");
    }

    #[test]
    fn a_damaged_snapshot_shows_where_it_is_and_no_secret() {
        let (_, text) = gateway();
        let secret = "'hush-hush-hush-hush'";
        for damaged in [text.replace(secret, &format!("{secret} hush")), text.replace(&format!("[{secret}]"), secret)] {
            let faults = Gateway::read(&damaged).expect_err("it can't be read").to_string();
            assert!(faults.contains("line 1: not what is understood here"), "{faults}");
            assert!(!faults.contains("hush"), "{faults}");
        }
    }

    #[test]
    fn every_fault_is_named() {
        let (_, text) = gateway();
        let text = text.replace("'10.0.0.2'", "'http://10.0.0.2'").replace("fabrikam.test", "not a domain");
        let faults =
            Gateway::read(&text).expect("the form is right").policy(&text, Vec::new()).expect_err("two faults");
        assert_eq!(faults.list().len(), 2, "{faults}");
    }

    #[test]
    fn an_edge_server_needs_no_next_hop() {
        let text = format!("pool = 'p.test'\ntrunk = []\ngateways = []\ndialback_secrets = []\n{ENTRIES}");
        let text = text.replace("next_hop = '10.0.0.2'", "");
        let edge = Edge::read(&text).expect("it can be read");
        assert!(edge.policy(&text, Vec::new()).is_ok());
        assert_eq!(Edge::read(&edge.write()).expect("it can be read").write(), edge.write());
    }

    #[test]
    fn a_dns_server_learns_where_gateways_and_next_hops_are() {
        let text = "
            [[gateway]]
            fqdn = 'gateway1.contoso.test'
            addresses = ['10.0.0.7', 'fd00::7']
            priority = 10
            [[local]]
            domains = ['contoso.test']
            next_hop = '10.0.0.2'
        ";
        let dns = Dns::read(text).expect("it can be read");
        assert_eq!(dns.gateway[0].addresses.len(), 2);
        assert_eq!(Dns::read(&dns.write()).expect("it can be read").write(), dns.write());
        let faults = Dns::read(&text.replace("fd00::7", "fd00::7::")).expect_err("no address");
        assert!(faults.to_string().contains("or a newer one"), "{faults}");
    }
}
