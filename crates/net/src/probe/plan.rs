//! What is probed, and how far it may go: by the policy, before anything is looked up. No I/O, no clock.

use super::*;

/// What may be demanded of who has no entry.
const ANYBODY: Terms = Terms { tls: Need::Required, external: Need::Optional, dialback: true };

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) to: Domain,
    /// As whom it is spoken; nobody where it is only looked.
    pub(super) from: Option<Domain>,
    pub(super) whose: Whose,
    pub(super) terms: Terms,
    pub(super) goal: Goal,
    /// The fixed place of its server.
    pub(super) next_hop: Option<NextHop>,
    /// What the policy says.
    pub(super) policy: Finding,
}

/// Decides it.
///
/// # Errors
/// When it can't be asked for.
pub(super) fn plan(face: Face, policy: &Policy, request: &Request) -> Result<Plan, ProbeError> {
    let to = domain(&request.to)?;
    let from = request.from.as_deref().map(domain).transpose()?;
    match (face, policy.local(&to)) {
        (Face::External, None) => partner(policy, to, from, request.at.is_some()),
        (Face::External, Some(_)) => own(policy, to, from),
        (Face::Internal, _) => inside(policy, to, from),
    }
}

fn domain(text: &str) -> Result<Domain, ProbeError> {
    Domain::parse(text).map_err(|error| ProbeError::NoDomain { domain: shortened(text), why: error.to_string() })
}

fn shortened(text: &str) -> String {
    text.chars().take(253).flat_map(char::escape_debug).collect()
}

fn partner(policy: &Policy, to: Domain, from: Option<Domain>, named: bool) -> Result<Plan, ProbeError> {
    let from = match from {
        Some(from) if policy.local(&from).is_none() => return Err(ProbeError::NotOurs(from)),
        Some(from) => Some(from),
        None => {
            let mut exact = policy.locals().iter().filter(|local| !local.pattern.is_wildcard());
            exact.next().map(|local| local.pattern.domain().clone())
        }
    };
    let Some(us) = from else {
        if named {
            let finding = Finding::skipped("an address is looked at, as which domain of ours doesn't matter");
            return Ok(look(to, None, Whose::Partner, ANYBODY, finding));
        }
        let finding = Finding::warning("there is no local domain here, so it is only looked at")
            .because("nothing was configured yet, or only patterns")
            .mend("name a domain to speak as with --from");
        return Ok(look(to, None, Whose::Partner, ANYBODY, finding));
    };
    let pair = attempt::pair(Some(&us), &to);
    match policy.way_out(Face::External, &pair) {
        Ok((terms, next_hop)) => {
            let finding = Finding::good(format!("{us} may talk to {to}: {}", demands(terms)));
            let next_hop = next_hop.cloned();
            let plan = look(to, Some(us), Whose::Partner, terms, finding);
            // Whoever is at an address that somebody names isn't shown a key: DNS has to lead to him for that.
            let goal = if named { plan.goal.clone() } else { Goal::Carry };
            Ok(Plan { goal, next_hop, ..plan })
        }
        Err(refusal) => {
            let finding = Finding::bad(format!("nothing passes: {refusal}"))
                .because("no `[[partner]]` entry lists it, and federation isn't open")
                .mend(format!("if it shall be a partner, add {to} to the policy; until then it is only looked at"));
            Ok(look(to, Some(us), Whose::Partner, ANYBODY, finding))
        }
    }
}

fn own(policy: &Policy, to: Domain, from: Option<Domain>) -> Result<Plan, ProbeError> {
    let from = a_partner(policy, from)?;
    let finding = Finding::good(format!("{to} is a local domain, so its edge servers are looked at as from outside"));
    Ok(look(to, from, Whose::Own, ANYBODY, finding))
}

/// To our own servers nobody else is spoken as.
fn a_partner(policy: &Policy, from: Option<Domain>) -> Result<Option<Domain>, ProbeError> {
    match from {
        Some(from) if policy.partner(&from).is_err() => Err(ProbeError::NotAPartner(from)),
        from => Ok(from),
    }
}

fn inside(policy: &Policy, to: Domain, from: Option<Domain>) -> Result<Plan, ProbeError> {
    let Some(local) = policy.local(&to) else { return Err(ProbeError::NotLocal(to)) };
    let from = a_partner(policy, from)?;
    // Servers that go by certificates hang up on who shows none, and a certificate is always somebody's.
    let partners = policy.partners().iter().filter_map(|partner| partner.pattern.as_ref());
    let listed = || partners.clone().find(|pattern| !pattern.is_wildcard()).map(|pattern| pattern.domain().clone());
    let from = from.or_else(listed);
    let finding = Finding::good(format!("{to} is a local domain, so its next hop is looked at"));
    let plan = look(to, from, Whose::NextHop, local.terms, finding);
    Ok(Plan { next_hop: local.next_hop.clone(), ..plan })
}

fn look(to: Domain, from: Option<Domain>, whose: Whose, terms: Terms, policy: Finding) -> Plan {
    let goal = Goal::Look { named: from.is_some() };
    Plan { to, from, whose, terms, goal, next_hop: None, policy }
}

fn demands(terms: Terms) -> String {
    let word = |need| match need {
        Need::Required => "required",
        Need::Optional => "optional",
        Need::NotSupported => "never used",
    };
    let dialback = if terms.takes_dialback() { "dialback will do" } else { "dialback won't do" };
    format!("TLS {}, EXTERNAL {}, {dialback}", word(terms.tls), word(terms.external))
}

impl Plan {
    /// What is done with a target.
    pub(super) fn errand(&self, target: &Target, named: bool, until: Instant) -> Errand {
        let scene = Scene {
            to: self.to.clone(),
            from: self.from.clone(),
            whose: self.whose,
            address: target.address,
            direct_tls: target.direct_tls,
            terms: self.terms,
            looks: self.goal != Goal::Carry,
        };
        let pair = attempt::pair(self.from.as_ref(), &self.to);
        Errand { scene, pair, goal: self.goal.clone(), named, beside: false, until }
    }
}
