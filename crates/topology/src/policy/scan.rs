//! Every entry asked, one after the other: what the index must find, on random policies.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::partner::Pattern;

/// Few labels, so that names lie below each other, one of them with two forms.
const LABELS: [&str; 4] = ["a", "b", "ab", "bücher"];

/// As documented: of several entries that cover a domain the narrowest counts, and an exact one is narrower than any pattern.
fn narrowest<'a, T>(entries: &'a [T], pattern: impl Fn(&T) -> Option<&Pattern>, domain: &Domain) -> Option<&'a T> {
    let covering = entries.iter().filter(|entry| pattern(entry).is_some_and(|pattern| pattern.covers(domain)));
    covering.max_by_key(|entry| pattern(entry).map(|pattern| (!pattern.is_wildcard(), pattern.domain().as_str().len())))
}

/// The decisions that all others rest on, by asking every entry.
struct Scan<'a>(&'a Policy);

impl<'a> Scan<'a> {
    fn local(&self, domain: &Domain) -> Option<&'a Local> {
        let local = narrowest(&self.0.locals, |local| Some(&local.pattern), domain)?;
        let named = self.listed(domain).and_then(|partner| partner.pattern.as_ref());
        let named = named.is_some_and(|pattern| pattern.domain() == domain);
        (!named || local.pattern.domain() == domain).then_some(local)
    }

    fn listed(&self, domain: &Domain) -> Option<&'a Partner> {
        narrowest(&self.0.partners, |partner| partner.pattern.as_ref(), domain)
    }

    fn partner(&self, domain: &Domain) -> Result<&'a Partner, Refusal> {
        if self.local(domain).is_some() {
            return Err(Refusal::LocalFromOutside(domain.clone()));
        }
        if let Some(partner) = self.listed(domain) {
            return Ok(partner);
        }
        if self.0.locals.iter().any(|local| domain.is_below(local.pattern.domain())) {
            return Err(Refusal::BelowLocal(domain.clone()));
        }
        self.0.open.as_ref().ok_or_else(|| Refusal::NotAPartner(domain.clone()))
    }

    fn admit(&self, pair: &DomainPair) -> Result<Permit<'a>, Refusal> {
        match (self.local(&pair.from), self.local(&pair.to)) {
            (Some(local), None) => Ok(Permit { flow: Flow::Outbound, local, partner: self.partner(&pair.to)? }),
            (None, Some(local)) => Ok(Permit { flow: Flow::Inbound, local, partner: self.partner(&pair.from)? }),
            (Some(_), Some(_)) => Err(Refusal::BothLocal(pair.from.clone(), pair.to.clone())),
            (None, None) => Err(Refusal::NeitherLocal(pair.from.clone(), pair.to.clone())),
        }
    }
}

fn domain() -> impl Strategy<Value = Domain> {
    prop::collection::vec(select(&LABELS[..]), 1..5)
        .prop_map(|labels| Domain::parse(&labels.join(".")).expect("such labels make domains"))
}

fn pattern() -> impl Strategy<Value = Pattern> {
    (domain(), any::<bool>()).prop_map(|(domain, below)| {
        let before = if below { "*." } else { "" };
        format!("{before}{domain}").parse().expect("a pattern")
    })
}

fn terms() -> impl Strategy<Value = Terms> {
    let need = || select(&[Need::Required, Need::Optional, Need::NotSupported][..]);
    (need(), need(), any::<bool>()).prop_map(|(tls, external, dialback)| Terms { tls, external, dialback })
}

fn hop(number: usize) -> Option<NextHop> {
    Some(format!("host{number}.test").parse().expect("a next hop"))
}

/// Every entry is told from the others by its next hop, also where patterns are the same.
fn policy() -> impl Strategy<Value = Policy> {
    let locals = prop::collection::vec((pattern(), terms(), any::<bool>()), 0..5).prop_map(|entries| {
        let local = |(number, (pattern, terms, resend))| Local { pattern, next_hop: hop(number), terms, resend };
        entries.into_iter().enumerate().map(local).collect::<Vec<_>>()
    });
    let partners = prop::collection::vec((pattern(), terms(), any::<bool>()), 0..12).prop_map(|entries| {
        let partner = |(number, (pattern, terms, resend))| {
            let pattern = Some(pattern);
            Partner { pattern, next_hop: hop(number), terms, resend }
        };
        entries.into_iter().enumerate().map(partner).collect::<Vec<_>>()
    });
    (locals, partners, prop::option::of(terms()))
        .prop_map(|(locals, partners, open)| Policy::new(locals, partners, open))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_index_finds_what_asking_every_entry_finds(policy in policy(), domains in prop::collection::vec(domain(), 2..8)) {
        let scan = Scan(&policy);
        for from in &domains {
            prop_assert_eq!(policy.local(from), scan.local(from), "{}", from);
            prop_assert_eq!(policy.partner(from), scan.partner(from), "{}", from);
            for to in &domains {
                let pair = DomainPair::new(from.clone(), to.clone());
                prop_assert_eq!(policy.admit(&pair), scan.admit(&pair), "{}", pair);
                let resends = scan.local(to).map_or_else(
                    || scan.partner(to).is_ok_and(|partner| partner.resend),
                    |local| local.resend,
                );
                prop_assert_eq!(policy.resends(&pair), resends, "{}", pair);
            }
        }
    }
}
