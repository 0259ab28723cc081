//! Who may speak to whom: one pure decision for each domain pair, with its reason.

use xmpp::domain::{Domain, DomainPair};
use xmpp::stream::{Condition, Need, StreamError, Terms};

use crate::face::{Face, Flow};
use crate::partner::{Local, NextHop, Partner};

mod index;
#[cfg(test)]
mod scan;

use index::{Index, Parents};

/// The whole policy. Built once from the configuration, replaced as a whole. However many entries it has, a decision takes
/// the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    locals: Vec<Local>,
    partners: Vec<Partner>,
    /// Where everybody may federate: what is demanded of those who aren't listed.
    open: Option<Partner>,
    /// `locals` by what they cover.
    by_local: Index,
    /// `partners` by what they cover.
    by_partner: Index,
    /// The domains in `locals`, with or without what is below them: nobody below is an outsider unless declared.
    local_domains: Parents,
    /// What will do for everybody who may come.
    strictest: Terms,
}

/// A pair that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit<'a> {
    /// Which way.
    pub flow: Flow,
    /// The local domain's entry.
    pub local: &'a Local,
    /// The partner's entry.
    pub partner: &'a Partner,
}

impl Permit<'_> {
    /// What is demanded of the stream on which the pair's stanzas come in.
    pub fn terms(&self) -> Terms {
        match self.flow {
            Flow::Outbound => self.local.terms,
            Flow::Inbound => self.partner.terms,
        }
    }
}

/// Why a pair or a stream may not pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The peer wants a domain that isn't served on this face.
    #[error("{0} is not served here")]
    NotServed(Domain),
    /// Somebody outside claims to be one of us.
    #[error("{0} is a local domain; it does not come from outside")]
    LocalFromOutside(Domain),
    /// A server inside claims to be somebody who isn't local.
    #[error("{0} is not a local domain; a server inside may not speak for it")]
    NotLocal(Domain),
    /// Below a local domain, and nobody declared it a partner.
    #[error("{0} lies below a local domain and is not declared a partner")]
    BelowLocal(Domain),
    /// Not on the allow-list.
    #[error("{0} is not a partner")]
    NotAPartner(Domain),
    /// Both are local: their servers can talk without us.
    #[error("{0} and {1} are both local; fedge does not carry what stays inside")]
    BothLocal(Domain, Domain),
    /// Neither is local.
    #[error("neither {0} nor {1} is local; fedge relays nothing between outsiders")]
    NeitherLocal(Domain, Domain),
}

impl Refusal {
    /// The stream error that says so.
    pub fn to_stream_error(&self) -> StreamError {
        let condition = match self {
            Refusal::NotServed(_) => Condition::HostUnknown,
            Refusal::LocalFromOutside(_) | Refusal::NotLocal(_) => Condition::InvalidFrom,
            _ => Condition::PolicyViolation,
        };
        StreamError::new(condition, self.to_string())
    }
}

impl Policy {
    /// Takes the entries as configured; `open` is what is demanded of partners that aren't listed,
    /// or nothing where only those listed may federate.
    pub fn new(locals: Vec<Local>, partners: Vec<Partner>, open: Option<Terms>) -> Policy {
        let open = open.map(|terms| Partner { pattern: None, next_hop: None, terms, resend: false });
        Policy {
            by_local: Index::of(locals.iter().map(|local| Some(&local.pattern))),
            by_partner: Index::of(partners.iter().map(|partner| partner.pattern.as_ref())),
            local_domains: Parents::of(locals.iter().map(|local| local.pattern.domain())),
            strictest: strictest(partners.iter().chain(&open)),
            locals,
            partners,
            open,
        }
    }

    /// The entry of a local domain.
    pub fn local(&self, domain: &Domain) -> Option<&Local> {
        // A partner below a local domain may be listed more narrowly than `*.local`.
        let local = self.locals.get(self.by_local.narrowest(domain)?)?;
        match self.listed(domain) {
            Some(partner) if partner.pattern.as_ref().is_some_and(|pattern| *pattern.domain() == *domain) => {
                (*local.pattern.domain() == *domain).then_some(local)
            }
            _ => Some(local),
        }
    }

    /// Whether what may have been delivered is sent again, instead of going back to its sender: as the
    /// entry of the pair's destination says.
    pub fn resends(&self, pair: &DomainPair) -> bool {
        match self.local(&pair.to) {
            Some(local) => local.resend,
            None => self.outsider(&pair.to).is_ok_and(|partner| partner.resend),
        }
    }

    /// The entry that a partner federates under.
    ///
    /// # Errors
    /// When it may not.
    pub fn partner(&self, domain: &Domain) -> Result<&Partner, Refusal> {
        if self.local(domain).is_some() {
            return Err(Refusal::LocalFromOutside(domain.clone()));
        }
        self.outsider(domain)
    }

    /// The same for a domain that is known not to be local.
    fn outsider(&self, domain: &Domain) -> Result<&Partner, Refusal> {
        if let Some(partner) = self.listed(domain) {
            return Ok(partner);
        }
        if self.local_domains.nearest(domain).is_some() {
            return Err(Refusal::BelowLocal(domain.clone()));
        }
        self.open.as_ref().ok_or_else(|| Refusal::NotAPartner(domain.clone()))
    }

    fn listed(&self, domain: &Domain) -> Option<&Partner> {
        self.partners.get(self.by_partner.narrowest(domain)?)
    }

    /// Whether the pair may pass, and which way.
    ///
    /// # Errors
    /// When it may not.
    pub fn admit(&self, pair: &DomainPair) -> Result<Permit<'_>, Refusal> {
        match (self.local(&pair.from), self.local(&pair.to)) {
            (Some(local), None) => Ok(Permit { flow: Flow::Outbound, local, partner: self.outsider(&pair.to)? }),
            (None, Some(local)) => Ok(Permit { flow: Flow::Inbound, local, partner: self.outsider(&pair.from)? }),
            (Some(_), Some(_)) => Err(Refusal::BothLocal(pair.from.clone(), pair.to.clone())),
            (None, None) => Err(Refusal::NeitherLocal(pair.from.clone(), pair.to.clone())),
        }
    }

    /// Whether the pair may come in on this face.
    ///
    /// # Errors
    /// When it may not, or not here: nobody outside speaks for a local domain, and no server
    /// inside for anybody else.
    pub fn admit_on(&self, face: Face, pair: &DomainPair) -> Result<Permit<'_>, Refusal> {
        let permit = self.admit(pair)?;
        match (permit.flow.accepted_on() == face, face) {
            (true, _) => Ok(permit),
            (false, Face::External) => Err(Refusal::LocalFromOutside(pair.from.clone())),
            (false, Face::Internal) => Err(Refusal::NotLocal(pair.from.clone())),
        }
    }

    /// Whether a stream may open on this face, and what it must bring; the peer hasn't proven
    /// anything yet.
    ///
    /// # Errors
    /// When `to` isn't served here, or `from` may not come.
    pub fn arrive(&self, face: Face, from: Option<&Domain>, to: &Domain) -> Result<Terms, Refusal> {
        match face {
            Face::External => {
                self.local(to).ok_or_else(|| Refusal::NotServed(to.clone()))?;
                match from {
                    Some(from) => self.partner(from).map(|partner| partner.terms),
                    // It must say who it is before it gets far; till then the strictest will do.
                    None => Ok(self.strictest),
                }
            }
            Face::Internal => {
                self.partner(to)?;
                match from {
                    Some(from) => {
                        self.local(from).map(|local| local.terms).ok_or_else(|| Refusal::NotLocal(from.clone()))
                    }
                    None => self.locals.first().map(|local| local.terms).ok_or_else(|| Refusal::NotServed(to.clone())),
                }
            }
        }
    }

    /// How to reach `pair.to` with a stream of this pair: what it demands, and where its fixed next
    /// hop is, if it has one.
    ///
    /// # Errors
    /// When the pair may not pass, or leaves on the other face.
    pub fn way_out(&self, face: Face, pair: &DomainPair) -> Result<(Terms, Option<&NextHop>), Refusal> {
        let permit = self.admit_on(face.opposite(), pair)?;
        match (permit.flow, &permit.local.next_hop) {
            (Flow::Outbound, _) => Ok((permit.partner.terms, permit.partner.next_hop.as_ref())),
            (Flow::Inbound, Some(next_hop)) => Ok((permit.local.terms, Some(next_hop))),
            // DNS is never asked where a server of ours is.
            (Flow::Inbound, None) => Err(Refusal::NotServed(pair.to.clone())),
        }
    }

    /// The local domains, as configured.
    pub fn locals(&self) -> &[Local] {
        &self.locals
    }

    /// The partners, as configured.
    pub fn partners(&self) -> &[Partner] {
        &self.partners
    }

    /// Whether domains that aren't listed may federate too.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

fn strictest<'a>(partners: impl Iterator<Item = &'a Partner> + Clone) -> Terms {
    let mut all = partners.map(|partner| partner.terms);
    let tls =
        if all.clone().all(|terms| terms.tls == Need::NotSupported) { Need::NotSupported } else { Need::Required };
    Terms { tls, external: Need::Optional, dialback: all.any(|terms| terms.dialback) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { tls: Need::Required, external: Need::Optional, dialback: true };

    fn domain(text: &str) -> Domain {
        Domain::parse(text).expect("a domain")
    }

    fn pair(from: &str, to: &str) -> DomainPair {
        DomainPair::new(domain(from), domain(to))
    }

    fn policy(open: bool) -> Policy {
        let local = |name: &str| Local {
            pattern: name.parse().expect("a pattern"),
            next_hop: Some("xmpp.contoso.test".parse().expect("a next hop")),
            terms: TERMS,
            resend: name.starts_with('*'),
        };
        let partner = |name: &str| Partner {
            pattern: Some(name.parse().expect("a pattern")),
            next_hop: None,
            terms: TERMS,
            resend: name == "fabrikam.test",
        };
        Policy::new(
            vec![local("contoso.test"), local("*.im.contoso.test")],
            vec![partner("fabrikam.test"), partner("*.fabrikam.test"), partner("out.im.contoso.test")],
            open.then_some(TERMS),
        )
    }

    #[test]
    fn the_destination_says_whether_something_may_arrive_twice() {
        let policy = policy(true);
        let resends = |from, to| policy.resends(&pair(from, to));
        assert!(resends("contoso.test", "fabrikam.test"));
        assert!(!resends("contoso.test", "rooms.fabrikam.test"));
        assert!(!resends("fabrikam.test", "contoso.test"));
        assert!(resends("fabrikam.test", "rooms.im.contoso.test"));
        assert!(!resends("contoso.test", "anybody.test"), "in open federation");
    }

    #[test]
    fn listed_partners_pass_both_ways() {
        let policy = policy(false);
        let flow = |from, to| policy.admit(&pair(from, to)).map(|permit| permit.flow);
        assert_eq!(flow("contoso.test", "fabrikam.test"), Ok(Flow::Outbound));
        assert_eq!(flow("rooms.fabrikam.test", "contoso.test"), Ok(Flow::Inbound));
        assert_eq!(flow("rooms.im.contoso.test", "fabrikam.test"), Ok(Flow::Outbound));
        assert_eq!(flow("contoso.test", "tailspin.test"), Err(Refusal::NotAPartner(domain("tailspin.test"))));
    }

    #[test]
    fn open_federation_takes_everybody_but_impostors() {
        let policy = policy(true);
        assert!(policy.admit(&pair("tailspin.test", "contoso.test")).is_ok());
        assert!(matches!(policy.admit(&pair("evil.contoso.test", "contoso.test")), Err(Refusal::BelowLocal(_))));
        assert!(matches!(policy.admit(&pair("a.test", "b.test")), Err(Refusal::NeitherLocal(..))));
        assert!(matches!(policy.admit(&pair("contoso.test", "a.im.contoso.test")), Err(Refusal::BothLocal(..))));
    }

    #[test]
    fn a_declared_partner_below_a_local_domain_is_a_partner() {
        let policy = policy(false);
        assert_eq!(
            policy.admit(&pair("out.im.contoso.test", "contoso.test")).map(|permit| permit.flow),
            Ok(Flow::Inbound)
        );
    }

    #[test]
    fn nobody_speaks_for_the_other_side() {
        let policy = policy(true);
        assert!(matches!(
            policy.admit_on(Face::External, &pair("contoso.test", "fabrikam.test")),
            Err(Refusal::LocalFromOutside(_))
        ));
        assert!(matches!(
            policy.admit_on(Face::Internal, &pair("fabrikam.test", "contoso.test")),
            Err(Refusal::NotLocal(_))
        ));
        assert!(policy.arrive(Face::External, Some(&domain("contoso.test")), &domain("contoso.test")).is_err());
        assert!(policy.arrive(Face::Internal, Some(&domain("fabrikam.test")), &domain("tailspin.test")).is_err());
        let unknown = policy.arrive(Face::External, None, &domain("tailspin.test")).expect_err("not served");
        assert_eq!(unknown.to_stream_error().condition, Condition::HostUnknown);
    }

    #[test]
    fn the_way_out_is_the_next_hop_inside_and_dns_outside() {
        let policy = policy(false);
        let (_, hop) = policy.way_out(Face::Internal, &pair("fabrikam.test", "contoso.test")).expect("a way");
        assert_eq!(hop.map(|hop| hop.host.as_str()), Some("xmpp.contoso.test"));
        let (_, hop) = policy.way_out(Face::External, &pair("contoso.test", "fabrikam.test")).expect("a way");
        assert_eq!(hop, None);
        assert!(policy.way_out(Face::Internal, &pair("contoso.test", "fabrikam.test")).is_err());
    }
}
