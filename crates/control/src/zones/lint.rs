//! What is wrong with our names as partners find them: judged from what should be and what everybody answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use agent::zone_key::ZoneKey;
use api::dns::{Finding, PoolTlsa, Severity};
use topology::records::{Change, Published, RecordSet};
use topology::zone::LONGEST_TTL;
use zones::ask::Manner;

use super::heard::Heard;
use super::look::{Look, Standing};
use super::reached::Reached;

mod caa;
mod parent;
mod service;
mod tlsa;

/// Each finding that there is: how bad it is, and its word. docs/dns-publishing.md explains them.
pub const CODES: [(Severity, &str); 32] = [
    (Severity::Fault, "missing"),
    (Severity::Fault, "alias"),
    (Severity::Fault, "dot"),
    (Severity::Fault, "elsewhere"),
    (Severity::Fault, "port"),
    (Severity::Fault, "equal-priorities"),
    (Severity::Fault, "order"),
    (Severity::Fault, "direct-tls"),
    (Severity::Warning, "pool-missing"),
    (Severity::Warning, "wildcard"),
    (Severity::Warning, "unanswered"),
    (Severity::Fault, "alias-target"),
    (Severity::Fault, "no-address"),
    (Severity::Warning, "address"),
    (Severity::Warning, "no-aaaa"),
    (Severity::Fault, "unreachable"),
    (Severity::Warning, "reached-from-some"),
    (Severity::Warning, "unseen"),
    (Severity::Warning, "ttl"),
    (Severity::Fault, "tlsa-unfit"),
    (Severity::Warning, "tlsa-unsigned"),
    (Severity::Warning, "caa"),
    (Severity::Fault, "silent"),
    (Severity::Fault, "unasked"),
    (Severity::Fault, "no-mark"),
    (Severity::Fault, "foreign-mark"),
    (Severity::Fault, "behind"),
    (Severity::Fault, "ahead"),
    (Severity::Warning, "different"),
    (Severity::Warning, "left-over"),
    (Severity::Warning, "ds-missing"),
    (Severity::Fault, "ds-wrong"),
];

/// What is judged.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// What records are made from.
    pub published: &'a Published,
    /// The pool that carries the route.
    pub routed: &'a str,
    /// The CAs whose certificates are shown outside; nothing where that isn't known.
    pub ca: &'a [String],
    /// Local domains of which no zone can have all names, such as `*.contoso.test`.
    pub wildcards: &'a [String],
    /// The keys of signed zones, by the zones' names.
    pub keys: &'a BTreeMap<String, ZoneKey>,
    /// How each zone is.
    pub looks: &'a [Look],
    /// What was answered for each name.
    pub heard: &'a [Heard],
    /// What was seen at external addresses of edge servers that serve.
    pub reached: &'a BTreeMap<SocketAddr, Reached>,
    /// What certificates were seen there, of pools that have TLSA records.
    pub shown: &'a [PoolTlsa],
}

/// All of it, the worst first.
pub fn lint(ground: &Ground<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    wildcards(ground, &mut findings);
    ground.looks.iter().for_each(|look| zone(look, &mut findings));
    service::services(ground, &mut findings);
    targets(ground, &mut findings);
    addresses(ground, &mut findings);
    caa::authorizations(ground, &mut findings);
    parent::delegations(ground, &mut findings);
    tlsa::authentication(ground, &mut findings);
    findings.sort();
    findings.dedup();
    findings
}

pub(super) fn found(severity: Severity, code: &str, place: &str, seen: String, fix: &str) -> Finding {
    debug_assert!(CODES.contains(&(severity, code)), "{severity:?} {code} is no finding");
    Finding { severity, code: code.to_owned(), place: place.to_owned(), seen, fix: fix.to_owned() }
}

fn wildcards(ground: &Ground<'_>, findings: &mut Vec<Finding>) {
    for wildcard in ground.wildcards {
        let seen =
            format!("the local domains {wildcard} can't be published: no zone can have a `*` in the middle of a name");
        let fix = "give each of them that partners should find a [[local]] of its own";
        findings.push(found(Severity::Warning, "wildcard", wildcard, seen, fix));
    }
}

/// A zone's marks, its name servers among each other, and what is left over in it.
fn zone(look: &Look, findings: &mut Vec<Finding>) {
    let place = look.zone();
    for server in look.contents.zone.publisher.servers() {
        let standing = look.standing(server, Duration::MAX);
        let seen = standing.told(&look.named(server));
        // What is left over is told for itself.
        if let Standing::Different(changes) = &standing
            && changes.iter().all(|change| matches!(change, Change::Remove(_)))
        {
            continue;
        }
        let Some((severity, code, fix)) = fault(&standing) else { continue };
        findings.push(found(severity, code, place, seen, fix));
    }
    for (set, servers) in look.left_over() {
        let servers: Vec<String> = servers.into_iter().map(|server| look.named(server)).collect();
        let seen = format!(
            "{} {} is still there, and shouldn't be any more, by what these answer: {}",
            set.name,
            set.kind,
            servers.join(", ")
        );
        let fix = "`fedge dns apply` removes it; of a secondary alone, look at its transfers";
        findings.push(found(Severity::Warning, "left-over", place, seen, fix));
    }
}

/// How bad it is where a name server stands so, by which code it is known, and what to do. Nothing where all is well.
pub(super) fn fault(standing: &Standing) -> Option<(Severity, &'static str, &'static str)> {
    Some(match standing {
        Standing::Current => return None,
        Standing::Different(_) => (
            Severity::Warning,
            "different",
            "`fedge dns plan` shows what differs, and `fedge dns apply` mends it; of one server alone, look at its transfers",
        ),
        Standing::Unasked => (Severity::Fault, "unasked", "ask again in a moment"),
        Standing::Silent(_) => {
            (Severity::Fault, "silent", "bring it up, or take it out of the topology's `servers` and the zone's NS")
        }
        Standing::Another(_) => {
            (Severity::Fault, "foreign-mark", "let one installation publish in a zone, and give the other its own")
        }
        Standing::Unmarked => {
            (Severity::Fault, "no-mark", "`fedge dns plan` shows what is missing, and `fedge dns apply` writes it")
        }
        Standing::Behind(_) => (
            Severity::Fault,
            "behind",
            "if it stays so, look at its zone transfers; on a primary, `fedge dns apply` writes it",
        ),
        Standing::Ahead(_) => {
            (Severity::Fault, "ahead", "this controller is behind: `fedge status` says what it knows")
        }
    })
}

/// The names that SRV records lead to: whether they are names of hosts, with all addresses, and whether somebody is there.
fn targets(ground: &Ground<'_>, findings: &mut Vec<Finding>) {
    for (target, addresses) in ground.published.targets() {
        for heard in ground.heard.iter().filter(|heard| heard.name == target) {
            let Ok(sets) = &heard.said else { continue };
            let by = heard.server;
            if let Some(alias) = of(sets, &target, "CNAME") {
                let seen = format!(
                    "{by}: {target} is an alias of {}, and the target of an SRV record must not be one",
                    list(alias)
                );
                let fix = "give the name its A and AAAA records itself (RFC 2782)";
                findings.push(found(Severity::Fault, "alias-target", &target, seen, fix));
                continue;
            }
            let is_v4 = heard.kind == "A";
            let mut missing = addresses.iter().filter(|address| address.is_ipv4() == is_v4).map(ToString::to_string);
            let there = of(sets, &target, heard.kind).map(|set| set.values.as_slice()).unwrap_or_default();
            let lacks = missing.find(|address| !there.iter().any(|value| value.eq_ignore_ascii_case(address)));
            if let Some(address) = lacks {
                let (code, severity) =
                    if there.is_empty() { ("no-address", Severity::Fault) } else { ("address", Severity::Warning) };
                // Without IPv6 partners still come by IPv4.
                let severity = if is_v4 { severity } else { Severity::Warning };
                let code = if is_v4 { code } else { "no-aaaa" };
                let seen = format!("{by}: {target} has no {} {address}", heard.kind);
                findings.push(found(
                    severity,
                    code,
                    &target,
                    seen,
                    "`fedge dns apply`, or have it added by whoever publishes",
                ));
            }
            ttl(heard, sets, findings);
        }
    }
}

/// Whether partners get in where DNS leads them.
fn addresses(ground: &Ground<'_>, findings: &mut Vec<Finding>) {
    for (address, reached) in ground.reached {
        let (severity, code, seen, fix) = match reached {
            Reached::Well => continue,
            Reached::Nowhere(fault) => (
                Severity::Fault,
                "unreachable",
                format!("a partner would get nowhere at {address}: {fault}"),
                "open the port to the outside; `fedge probe` shows each stage of such a stream",
            ),
            Reached::FromSome { from, fault } => (
                Severity::Warning,
                "reached-from-some",
                format!("from {from} a partner gets in at {address}, and {fault}"),
                "look what lies between; `fedge probe` shows each stage of such a stream",
            ),
            Reached::Unseen(why) => (
                Severity::Warning,
                "unseen",
                format!("nobody could look whether a partner gets in at {address}: {why}"),
                "have a witness, or an edge server of another pool, with an address of that family, and bring it up",
            ),
        };
        findings.push(found(severity, code, &address.to_string(), seen, fix));
    }
}

/// How long an answer may be kept, as those say who have authority.
pub(super) fn ttl(heard: &Heard, sets: &[RecordSet], findings: &mut Vec<Finding>) {
    if heard.manner == Manner::Resolver {
        return;
    }
    for set in sets.iter().filter(|set| set.ttl > LONGEST_TTL) {
        let seen = format!(
            "{}: {} {} may be kept for {} s; a move isn't seen for so long",
            heard.server, set.name, set.kind, set.ttl
        );
        let fix = "give it a TTL of 30 s; at most 300";
        findings.push(found(Severity::Warning, "ttl", &set.name, seen, fix));
    }
}

pub(super) fn of<'a>(sets: &'a [RecordSet], name: &str, kind: &str) -> Option<&'a RecordSet> {
    sets.iter().find(|set| set.kind == kind && set.name.eq_ignore_ascii_case(name))
}

pub(super) fn list(set: &RecordSet) -> String {
    set.values.join(", ")
}

#[cfg(test)]
mod tests;
