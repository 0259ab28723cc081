//! From local domains and partners as they are written to what they mean; every fault with its place.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;

use toml::Spanned;
use xmpp::stream::{Need, Terms};

use crate::entries;
use crate::faults::Faults;
use crate::partner::{Local, NextHop, Partner, Pattern};
use crate::policy::Policy;

/// Local domains and partners as they are written, and what is needed to check them.
pub struct Policies<'a> {
    /// What is demanded unless an entry says otherwise.
    pub federation: &'a entries::Federation,
    /// Our own domains.
    pub local: &'a [Spanned<entries::Local>],
    /// Those we federate with.
    pub partner: &'a [Spanned<entries::Partner>],
    /// Where this daemon listens, where no next hop may be.
    pub own: Vec<SocketAddr>,
    /// Whether this daemon delivers to next hops.
    pub delivers: bool,
}

impl Policies<'_> {
    /// Who may speak to whom.
    pub fn read(&self, faults: &mut Faults) -> Policy {
        Reading { written: self, faults, seen: HashMap::new() }.read()
    }
}

struct Reading<'a> {
    written: &'a Policies<'a>,
    faults: &'a mut Faults,
    seen: HashMap<Pattern, &'static str>,
}

impl Reading<'_> {
    fn read(mut self) -> Policy {
        let written = self.written;
        let mut locals = Vec::new();
        for entry in written.local {
            let (entry, span) = (entry.get_ref(), entry.span());
            // Our own servers are near: a certificate or dialback, as with partners, unless told otherwise.
            let terms = self.terms(span.clone(), entry.tls, entry.external, entry.dialback, entry.direct_tls);
            if entry.next_hop.is_none() && written.delivers {
                self.faults.add(
                    span.clone(),
                    "this local domain has no `next_hop`",
                    "name its server: `next_hop = \"10.0.0.2\"`",
                );
            }
            let next_hop = entry.next_hop.as_ref().and_then(|hop| self.next_hop(hop, entry.direct_tls));
            for pattern in self.patterns(&entry.domains, span.clone(), "local domain") {
                locals.push(Local { pattern, next_hop: next_hop.clone(), terms, resend: entry.resend });
            }
        }
        if written.local.is_empty() {
            let remedy = "add one: `domains = [\"contoso.test\"]` and its `next_hop`";
            self.faults.add(0..0, "there is no [[local]] domain", remedy);
        }
        let mut partners = Vec::new();
        for entry in written.partner {
            let (entry, span) = (entry.get_ref(), entry.span());
            let terms = self.terms(span.clone(), entry.tls, entry.external, entry.dialback, entry.direct_tls);
            let next_hop = entry.next_hop.as_ref().and_then(|hop| self.next_hop(hop, entry.direct_tls));
            for pattern in self.patterns(&entry.domains, span.clone(), "partner") {
                partners.push(Partner {
                    pattern: Some(pattern),
                    next_hop: next_hop.clone(),
                    terms,
                    resend: entry.resend,
                });
            }
        }
        if written.partner.is_empty() && !written.federation.open {
            self.faults.add(
                0..0,
                "there is no [[partner]] and federation is not open, so nobody could be reached",
                "add one: `domains = [\"fabrikam.test\"]`; or set `open = true` in [federation]",
            );
        }
        let open = self.terms(0..0, None, None, None, false);
        Policy::new(locals, partners, written.federation.open.then_some(open))
    }

    fn patterns(
        &mut self,
        domains: &Spanned<Vec<Spanned<String>>>,
        entry: Range<usize>,
        role: &'static str,
    ) -> Vec<Pattern> {
        if domains.get_ref().is_empty() {
            let place = if domains.span().is_empty() { entry } else { domains.span() };
            self.faults.add(place, "no domain is named", "name at least one, such as \"contoso.test\"");
        }
        let mut patterns = Vec::new();
        for text in domains.get_ref() {
            match text.get_ref().parse::<Pattern>() {
                Ok(pattern) => {
                    if let Some(before) = self.seen.insert(pattern.clone(), role) {
                        let what = format!("{pattern} is named twice, first as a {before}, now as a {role}");
                        self.faults.add(text.span(), what, "keep one of them");
                    }
                    patterns.push(pattern);
                }
                Err(error) => {
                    self.faults.add(
                        text.span(),
                        error.to_string(),
                        "write a domain, or `*.` and a domain for all below it",
                    );
                }
            }
        }
        patterns
    }

    fn next_hop(&mut self, text: &Spanned<String>, direct_tls: bool) -> Option<NextHop> {
        let hop = match text.get_ref().parse::<NextHop>() {
            Ok(hop) => NextHop { direct_tls, ..hop },
            Err(error) => {
                self.faults.add(text.span(), error.to_string(), "name the server, not a URL");
                return None;
            }
        };
        let address = hop.host.parse().ok().map(|ip| SocketAddr::new(ip, hop.port));
        if let Some(address) = address.filter(|address| self.written.own.contains(address)) {
            let what = format!("fedge itself listens on {address}; stanzas would go round in circles");
            self.faults.add(text.span(), what, "name the XMPP server's own address");
        }
        Some(hop)
    }

    fn terms(
        &mut self,
        place: Range<usize>,
        tls: Option<entries::Asked>,
        external: Option<entries::Asked>,
        dialback: Option<bool>,
        direct_tls: bool,
    ) -> Terms {
        let general = self.written.federation;
        let terms = Terms {
            tls: tls.unwrap_or(general.tls).0,
            external: external.unwrap_or(general.external).0,
            dialback: dialback.unwrap_or(general.dialback),
        };
        if terms.tls == Need::NotSupported && (terms.external == Need::Required || direct_tls) {
            let what = "TLS is not supported here, and EXTERNAL or direct TLS is asked for, which need it";
            self.faults.add(place.clone(), what, "set `tls = \"required\"`");
        }
        if !terms.dialback && (terms.external == Need::NotSupported || terms.tls == Need::NotSupported) {
            let what = "neither EXTERNAL nor dialback is left, so nobody could prove anything";
            self.faults.add(place, what, "allow one of them: `dialback = true`, or TLS and `external = \"optional\"`");
        }
        terms
    }
}
