//! Zones in DNS in which names of ours lie, who publishes there, and how partners find us by them: as declared.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::fqdn::Fqdn;

/// How long resolvers may keep an answer, in seconds, unless the document says otherwise. New streams see a move after that.
pub const TTL: u32 = 30;
/// How long at most. What lasts longer makes a move slower than partners' patience.
pub const LONGEST_TTL: u32 = 300;
/// Where name servers listen, unless the document says otherwise.
pub const PORT: u16 = 53;

/// How partners find us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// How long resolvers may keep an answer, in seconds.
    pub ttl: u32,
    /// What SRV records lead to.
    pub targets: Targets,
    /// The name below which the one set of SRV records lies that those of all local domains are aliases of.
    pub alias: Option<Fqdn>,
    /// Where partners are taken in by direct TLS (XEP-0368), if that is to be found in DNS.
    pub direct_tls_port: Option<u16>,
}

impl Default for Names {
    fn default() -> Names {
        Names { ttl: TTL, targets: Targets::Pool, alias: None, direct_tls_port: None }
    }
}

/// What SRV records lead to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Targets {
    /// One target for each pool, with the addresses of all its edge servers.
    #[default]
    Pool,
    /// One for each edge server; those of a pool share a priority.
    Edge,
}

/// A zone in which names of ours lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Its name, in small letters, with the dot at its end.
    pub name: String,
    /// Who publishes there.
    pub publisher: Publisher,
}

impl Zone {
    /// Whether an absolute name in small letters lies in it.
    pub fn holds(&self, name: &str) -> bool {
        name.strip_suffix(&self.name).is_some_and(|above| above.is_empty() || above.ends_with('.'))
    }

    /// Whether our own dns servers sign it.
    pub fn is_signed(&self) -> bool {
        matches!(self.publisher, Publisher::Embedded { signed: true, .. })
    }
}

/// Who publishes in a zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Publisher {
    /// Our own dns servers, each of which is a primary.
    Embedded {
        /// Those that partners' resolvers reach.
        servers: Vec<NameServer>,
        /// Whether they sign it (RFC 4033).
        #[serde(default, skip_serializing_if = "is_off")]
        signed: bool,
    },
    /// A name server that takes updates (RFC 2136).
    Rfc2136 {
        /// The one that takes them.
        primary: SocketAddr,
        /// All that have authority; each is asked after a change.
        servers: Vec<SocketAddr>,
        /// The name of the key with which updates are signed (RFC 8945), absolute.
        key: String,
    },
    /// Somebody who is told what to change.
    Manual {
        /// All that have authority; each is asked until it says what it should.
        servers: Vec<SocketAddr>,
    },
}

impl Publisher {
    /// Its word.
    pub fn word(&self) -> &'static str {
        match self {
            Publisher::Embedded { .. } => "embedded",
            Publisher::Rfc2136 { .. } => "rfc2136",
            Publisher::Manual { .. } => "manual",
        }
    }

    /// Where its name servers are asked.
    pub fn servers(&self) -> Vec<SocketAddr> {
        match self {
            Publisher::Embedded { servers, .. } => {
                let addresses = servers.iter().flat_map(|server| &server.addresses);
                addresses.map(|address| SocketAddr::new(*address, PORT)).collect()
            }
            Publisher::Rfc2136 { servers, .. } | Publisher::Manual { servers } => servers.clone(),
        }
    }
}

/// What isn't signed is written as it was before there were signatures.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_off(signed: &bool) -> bool {
    !signed
}

/// A dns server that partners' resolvers reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameServer {
    /// Its name.
    pub fqdn: Fqdn,
    /// Where it is reached from outside.
    pub addresses: Vec<IpAddr>,
}

/// A zone's name as it is kept: in small letters, with the dot at its end. Nothing where it can't be one: a zone may begin
/// with labels such as `_tcp`.
pub fn name(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    (text.len() <= 253 && text.split('.').all(label)).then(|| format!("{}.", text.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_holds_its_own_name_and_those_below() {
        let zone = |name: &str| Zone { name: name.to_owned(), publisher: Publisher::Manual { servers: Vec::new() } };
        let contoso = zone("contoso.test.");
        assert!(contoso.holds("contoso.test.") && contoso.holds("_xmpp-server._tcp.contoso.test."));
        assert!(!contoso.holds("notcontoso.test.") && !contoso.holds("test."));
        assert!(zone("_xmpp-server._tcp.contoso.test.").holds("_xmpp-server._tcp.contoso.test."));
    }

    #[test]
    fn a_zone_may_begin_with_an_underscore() {
        assert_eq!(name("_TCP.Contoso.test"), Some("_tcp.contoso.test.".to_owned()));
        assert_eq!(name("contoso.test."), Some("contoso.test.".to_owned()));
        for bad in ["", ".", "a..b", "contoso test", &"a".repeat(64)] {
            assert_eq!(name(bad), None, "{bad}");
        }
    }
}
