//! Does this set of certificate names speak for this domain? (RFC 6120 §13.7.1, RFC 6125 §6.4)

use crate::domain::Domain;

/// The names in a certificate that can speak for an XMPP domain. Common names are not among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// dNSName entries, A-labels, possibly with a wildcard as the whole left-most label.
    pub dns: Vec<String>,
    /// SRVName entries (RFC 4985), such as `_xmpp-server.example.org`.
    pub srv: Vec<String>,
    /// XmppAddr entries (RFC 6120 §13.7.1.4), U-labels.
    pub xmpp: Vec<String>,
}

impl Names {
    /// Whether there is no name at all.
    pub fn is_empty(&self) -> bool {
        self.dns.is_empty() && self.srv.is_empty() && self.xmpp.is_empty()
    }

    /// Every name, for a person who has to see which certificate this is.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.dns.iter().chain(&self.srv).chain(&self.xmpp).map(String::as_str)
    }
}

/// Whether one of `names` speaks for `domain` as an XMPP server.
pub fn speaks_for(names: &Names, domain: &Domain) -> bool {
    let is_domain = |name: &str| Domain::parse(name).is_ok_and(|named| named == *domain);
    names.xmpp.iter().any(|name| is_domain(name))
        || names.srv.iter().any(|name| server_service(name).is_some_and(is_domain))
        || names.dns.iter().any(|name| dns_name_matches(name, domain))
}

/// The domain of an SRVName of the service that servers are found by.
fn server_service(name: &str) -> Option<&str> {
    let (service, domain) = name.split_once('.')?;
    service.eq_ignore_ascii_case("_xmpp-server").then_some(domain)
}

/// A wildcard stands for exactly one label, the left-most, and never for one directly below a
/// top-level domain.
fn dns_name_matches(name: &str, domain: &Domain) -> bool {
    let Some(base) = name.strip_prefix("*.") else {
        return Domain::parse(name).is_ok_and(|named| named == *domain);
    };
    let Ok(base) = Domain::parse(base) else { return false };
    let parent = domain.to_ascii().split_once('.').map(|(_, parent)| parent);
    parent == Some(base.to_ascii()) && base.to_ascii().contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(name: &str) -> Names {
        Names { dns: vec![name.into()], ..Names::default() }
    }

    fn speaks(names: &Names, domain: &str) -> bool {
        speaks_for(names, &Domain::parse(domain).expect("a domain"))
    }

    #[test]
    fn each_kind_of_name_speaks_for_its_domain_only() {
        assert!(speaks(&dns("Contoso.test"), "contoso.test"));
        assert!(!speaks(&dns("contoso.test"), "im.contoso.test"));
        let srv = |name: &str| Names { srv: vec![name.into()], ..Names::default() };
        assert!(speaks(&srv("_xmpp-server.contoso.test"), "contoso.test"));
        assert!(!speaks(&srv("_xmpp-client.contoso.test"), "contoso.test"));
        let xmpp = Names { xmpp: vec!["bücher.example".into()], ..Names::default() };
        assert!(speaks(&xmpp, "xn--bcher-kva.example"));
        assert!(!speaks(&Names::default(), "contoso.test"));
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        assert!(speaks(&dns("*.contoso.test"), "im.contoso.test"));
        assert!(!speaks(&dns("*.contoso.test"), "contoso.test"));
        assert!(!speaks(&dns("*.contoso.test"), "a.im.contoso.test"));
        assert!(!speaks(&dns("*.test"), "contoso.test"));
        assert!(!speaks(&dns("i*.contoso.test"), "im.contoso.test"));
    }
}
