//! Local domains and partners: which domains a name in the configuration covers, and where it leads.

use std::fmt;
use std::str::FromStr;

use xmpp::domain::{Domain, DomainError};
use xmpp::stream::Terms;

/// A domain, or with `*.` before it every domain below one, at any depth.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    domain: Domain,
    below: bool,
}

impl Pattern {
    /// Exactly `domain`.
    pub fn exactly(domain: Domain) -> Pattern {
        Pattern { domain, below: false }
    }

    /// Whether it covers `domain`.
    pub fn covers(&self, domain: &Domain) -> bool {
        if self.below { domain.is_below(&self.domain) } else { *domain == self.domain }
    }

    /// Whether it covers what is below its domain, and not the domain itself.
    pub fn is_wildcard(&self) -> bool {
        self.below
    }

    /// The domain that is covered, or below which everything is.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }
}

impl FromStr for Pattern {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Pattern, DomainError> {
        let (below, name) = text.strip_prefix("*.").map_or((false, text), |name| (true, name));
        Ok(Pattern { domain: Domain::parse(name)?, below })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.below { write!(f, "*.{}", self.domain) } else { self.domain.fmt(f) }
    }
}

/// A fixed place to dial instead of what DNS says. Whoever answers there must still prove to be
/// the domain.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NextHop {
    /// A host name or an IP address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether TLS begins with the first byte, without STARTTLS (XEP-0368).
    pub direct_tls: bool,
}

/// Why a text is no `host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a next hop; write `host`, `host:port` or `[address]:port`")]
pub struct NextHopError(String);

/// The port of s2s with STARTTLS (RFC 6120 §14.8).
pub const S2S_PORT: u16 = 5269;

impl FromStr for NextHop {
    type Err = NextHopError;

    fn from_str(text: &str) -> Result<NextHop, NextHopError> {
        let wrong = || NextHopError(text.to_owned());
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (host, port) = match bracketed {
            Some((host, rest)) => {
                host.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
                (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or_else(wrong)?) })
            }
            None if text.parse::<std::net::Ipv6Addr>().is_ok() => (text, None),
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let name = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        };
        if bracketed.is_none() && !host.contains(':') && !name(host) {
            return Err(wrong());
        }
        let port = match port {
            None => S2S_PORT,
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?,
        };
        Ok(NextHop { host: host.to_owned(), port, direct_tls: false })
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A domain that one of our own servers serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// What is meant.
    pub pattern: Pattern,
    /// Where its server is; only who delivers to it needs to know.
    pub next_hop: Option<NextHop>,
    /// What streams between its server and us demand.
    pub terms: Terms,
    /// Whether what may have been delivered to it is sent again, instead of going back.
    pub resend: bool,
}

/// Domains that we federate with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partner {
    /// What is meant; nothing for "any", in open federation.
    pub pattern: Option<Pattern>,
    /// Where to dial instead of asking DNS.
    pub next_hop: Option<NextHop>,
    /// What streams between it and us demand.
    pub terms: Terms,
    /// Whether what may have been delivered to it is sent again, instead of going back.
    pub resend: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_hops_are_read() {
        for (text, host, port) in [
            ("xmpp.contoso.test", "xmpp.contoso.test", 5269),
            ("127.0.1.2:5270", "127.0.1.2", 5270),
            ("[2001:db8::1]:5270", "2001:db8::1", 5270),
            ("2001:db8::1", "2001:db8::1", 5269),
            ("[::1]", "::1", 5269),
        ] {
            let hop: NextHop = text.parse().expect(text);
            assert_eq!((hop.host.as_str(), hop.port), (host, port));
            assert_eq!(hop.to_string().parse(), Ok(hop));
        }
        for text in ["", ":5269", "a:", "a:0", "a:b", "a:99999", "[a]:1", "[::1]5", "a b", "a:1:2"] {
            assert!(text.parse::<NextHop>().is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_cover_what_is_below_and_not_the_domain_itself() {
        let pattern: Pattern = "*.contoso.test".parse().expect("a pattern");
        for (domain, covered) in
            [("a.contoso.test", true), ("a.b.contoso.test", true), ("contoso.test", false), ("acontoso.test", false)]
        {
            assert_eq!(pattern.covers(&Domain::parse(domain).expect("a domain")), covered, "{domain}");
        }
    }
}
