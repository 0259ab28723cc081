//! SRV records as partners find them: whether they are there, lead to our pools, and to the one with the route first.

use std::collections::BTreeMap;

use api::dns::{Finding, Severity};
use topology::records::{Published, RecordSet};

use super::{Ground, found, list, of, ttl};
use crate::zones::heard::Heard;

/// Where partners are taken in.
const PORT: u16 = 5269;

/// A record, as it is read.
struct Service<'a> {
    priority: u16,
    port: u16,
    target: &'a str,
}

fn read(value: &str) -> Option<Service<'_>> {
    let words: Vec<&str> = value.split(' ').collect();
    let [priority, _, port, target] = words[..] else { return None };
    Some(Service { priority: priority.parse().ok()?, port: port.parse().ok()?, target })
}

/// All services of all local domains.
pub(super) fn services(ground: &Ground<'_>, findings: &mut Vec<Finding>) {
    for heard in ground.heard.iter().filter(|heard| heard.kind == "SRV") {
        let direct = heard.name.starts_with("_xmpps-");
        let wanted = if direct { ground.published.names.direct_tls_port } else { Some(PORT) };
        match (&heard.said, wanted) {
            // A name server that says nothing is told with its zone; a resolver is nobody's else.
            (Err(why), _) => {
                let seen = format!("{}: {why}", heard.server);
                findings.push(found(
                    Severity::Warning,
                    "unanswered",
                    &heard.name,
                    seen,
                    "ask again; then look at that server",
                ));
            }
            (Ok(sets), Some(port)) => wanted_service(ground, heard, sets, port, findings),
            (Ok(sets), None) => {
                if let Some(set) = services_in(sets) {
                    let seen = format!(
                        "{}: {} leads to {}, and the topology knows no direct TLS",
                        heard.server,
                        heard.name,
                        list(set)
                    );
                    let fix = "remove the record, or say `direct_tls_port` in [names]; partners try direct TLS first";
                    findings.push(found(Severity::Fault, "direct-tls", &heard.name, seen, fix));
                }
            }
        }
    }
}

fn services_in(sets: &[RecordSet]) -> Option<&RecordSet> {
    sets.iter().find(|set| set.kind == "SRV")
}

fn wanted_service(ground: &Ground<'_>, heard: &Heard, sets: &[RecordSet], port: u16, findings: &mut Vec<Finding>) {
    let (name, by) = (heard.name.as_str(), heard.server);
    let mut fault = |code: &str, seen: String, fix: &str| {
        findings.push(found(Severity::Fault, code, name, format!("{by}: {seen}"), fix));
    };
    let apply = "`fedge dns plan` shows what should be there, and `fedge dns apply` writes it where fedge publishes";
    let Some(set) = services_in(sets) else {
        match of(sets, name, "CNAME") {
            Some(alias) => {
                fault("alias", format!("{name} is an alias of {}, where there is no SRV record", list(alias)), apply);
            }
            None => fault("missing", format!("{name} has no SRV record, so partners don't find that domain"), apply),
        }
        return;
    };
    let records: Vec<Service<'_>> = set.values.iter().filter_map(|value| read(value)).collect();
    if records.iter().any(|record| record.target == ".") {
        let seen = format!("{name} says that the service isn't offered (target `.`)");
        fault("dot", seen, "remove that record: partners give up where they see it (RFC 2782)");
    }
    for record in records.iter().filter(|record| record.target != ".") {
        let Some(_) = pool_of(ground.published, record.target) else {
            let seen = format!("{name} leads to {}, which is no pool of ours", record.target);
            fault("elsewhere", seen, apply);
            continue;
        };
        if record.port != port {
            let seen = format!(
                "{name} leads to port {} of {}, and partners are taken in at {port}",
                record.port, record.target
            );
            fault("port", seen, apply);
        }
    }
    let mut pools: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for record in &records {
        let Some(pool) = pool_of(ground.published, record.target) else { continue };
        let there = pools.entry(record.priority).or_default();
        if !there.contains(&pool) {
            there.push(pool);
        }
    }
    if let Some((priority, both)) = pools.iter().find(|(_, pools)| pools.len() > 1) {
        let seen =
            format!("{name} has the priority {priority} for {}, so that partners go to either", both.join(" and "));
        fault("equal-priorities", seen, apply);
    } else if let Some(first) =
        pools.values().next().and_then(|first| first.first()).filter(|first| **first != ground.routed)
    {
        let seen = format!("{name} leads to {first} first, and {} carries the route", ground.routed);
        fault("order", seen, "a resolver may know what was before until its TTL is over; else `fedge dns apply`");
    }
    let lacking = ground.published.pools.iter().map(|pool| pool.fqdn.as_str());
    for pool in lacking.filter(|pool| !pools.values().flatten().any(|there| there == pool)) {
        let seen = format!("{by}: {name} doesn't lead to {pool}, so nobody falls back to it");
        findings.push(found(Severity::Warning, "pool-missing", name, seen, apply));
    }
    ttl(heard, sets, findings);
}

/// The pool that a target is, or whose edge server.
fn pool_of<'a>(published: &'a Published, target: &str) -> Option<&'a str> {
    let target = target.trim_end_matches('.');
    let is = |fqdn: &str| fqdn.eq_ignore_ascii_case(target);
    let pool = published
        .pools
        .iter()
        .find(|pool| is(pool.fqdn.as_str()) || pool.edges.iter().any(|edge| is(edge.fqdn.as_str())));
    pool.map(|pool| pool.fqdn.as_str())
}
