//! CAA records (RFC 8659): whether the CAs whose certificates are shown outside may issue them for our domains.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use api::dns::{Finding, Severity};
use topology::records::RecordSet;
use zones::ask::Manner;

use super::{Ground, found};
use crate::zones::heard::{Heard, upwards};

/// The type.
const CAA: &str = "CAA";

/// All local domains, as each name server and each resolver has them.
pub(super) fn authorizations(ground: &Ground<'_>, findings: &mut Vec<Finding>) {
    if ground.ca.is_empty() {
        return;
    }
    let mut told: BTreeMap<(String, String, String), BTreeSet<String>> = BTreeMap::new();
    let heard: Vec<&Heard> = ground.heard.iter().filter(|heard| heard.kind == CAA).collect();
    let asked = |manner| heard.iter().filter(move |heard| heard.manner == manner);
    let servers = |manner| asked(manner).map(|heard| heard.server).collect::<BTreeSet<SocketAddr>>();
    let all = [Manner::Authority, Manner::Resolver]
        .map(|manner| servers(manner).into_iter().map(move |server| (manner, server)));
    for (manner, server) in all.into_iter().flatten() {
        let said: Vec<&Heard> = asked(manner).copied().filter(|heard| heard.server == server).collect();
        for domain in &ground.published.locals {
            if let Some((at, set)) = closest(&said, domain)
                && let Some(seen) = forbids(set, ground.ca)
            {
                told.entry((domain.clone(), at, seen)).or_default().insert(server.to_string());
            }
        }
    }
    for ((domain, at, seen), servers) in told {
        let ours = ground.ca.join(" and ");
        let servers: Vec<String> = servers.into_iter().collect();
        let seen = format!(
            "{}: the CAA records of {at} {seen}, and certificates for {domain} are of {ours}",
            servers.join(", ")
        );
        let fix = format!("before the next renewal, have this added: `{at} IN CAA 0 issue \"{}\"`", ground.ca[0]);
        findings.push(found(Severity::Warning, "caa", &domain, seen, &fix));
    }
}

/// The set that holds for a domain, with its name: its own, or that of the next domain above that has one. Nothing where there is
/// none, and where this server doesn't say so of each name on the way.
fn closest<'a>(said: &[&'a Heard], domain: &str) -> Option<(String, &'a RecordSet)> {
    for name in upwards(domain) {
        let heard = said.iter().find(|heard| heard.name == name)?;
        let sets = heard.said.as_ref().ok()?;
        // What an alias leads to counts as the name's own.
        if let Some(set) = sets.iter().find(|set| set.kind == CAA) {
            return Some((name, set));
        }
        // Where it leads, a name server needn't know.
        if heard.manner == Manner::Authority && !sets.is_empty() {
            return None;
        }
    }
    None
}

/// Whether it lets none of these issue, and what it says instead.
fn forbids(set: &RecordSet, ours: &[String]) -> Option<String> {
    let issuers: Vec<String> = set.values.iter().filter_map(|value| issuer(value)).collect();
    // Such as a set that only says whom to tell.
    if issuers.is_empty() || issuers.iter().any(|issuer| ours.contains(issuer)) {
        return None;
    }
    let named: Vec<&str> = issuers.iter().map(String::as_str).filter(|issuer| !issuer.is_empty()).collect();
    if named.is_empty() {
        return Some("forbid every CA to issue".to_owned());
    }
    Some(format!("let only {} issue", named.join(" and ")))
}

/// Whom a record lets issue, in small letters: nobody where that is empty. Nothing for records about anything else.
fn issuer(value: &str) -> Option<String> {
    let mut words = value.splitn(3, ' ');
    let (_, tag, value) = (words.next()?, words.next()?, words.next()?);
    let issuer = value.trim_matches('"').split(';').next()?.trim().trim_end_matches('.').to_ascii_lowercase();
    tag.eq_ignore_ascii_case("issue").then_some(issuer)
}
