//! DS records (RFC 4034 §5): whether the parent of each zone of ours says of its key what is so.

use agent::zone_key::ZoneKey;
use api::dns::{Finding, Severity};
use topology::zone::Zone;

use super::{Ground, found, list, of};

/// The type.
const DS: &str = "DS";
/// The kind of hash that we tell the parent: SHA-256.
const SHA256: &str = "2";

/// All zones of ours, as resolvers say what their parents say of them.
pub(super) fn delegations(ground: &Ground<'_>, findings: &mut Vec<Finding>) {
    for zone in &ground.published.zones {
        for heard in ground.heard.iter().filter(|heard| heard.kind == DS && heard.name == zone.name) {
            // A resolver that doesn't answer is told of by the names that it is asked for besides.
            let Ok(sets) = &heard.said else { continue };
            let by = heard.server;
            match (of(sets, &zone.name, DS), ground.keys.get(&zone.name)) {
                (None, Some(_)) => {
                    let seen = format!(
                        "{by}: {} is signed, and its parent has no DS record for it, so nobody trusts the signatures",
                        zone.name
                    );
                    let fix = "have the parent take up what `fedge dns ds` prints";
                    findings.push(found(Severity::Warning, "ds-missing", &zone.name, seen, fix));
                }
                (Some(set), Some(key)) if !set.values.iter().any(|value| fits(value, key, zone)) => {
                    let seen = format!(
                        "{by}: by its parent {} is signed with another key ({}), so resolvers that validate refuse it",
                        zone.name,
                        list(set)
                    );
                    let fix = "have the parent replace its DS record by what `fedge dns ds` prints";
                    findings.push(found(Severity::Fault, "ds-wrong", &zone.name, seen, fix));
                }
                (Some(set), None) if !zone.is_signed() => {
                    let seen = format!(
                        "{by}: by its parent {} is signed ({}), and it isn't, so resolvers that validate refuse it",
                        zone.name,
                        list(set)
                    );
                    let fix = "have the parent remove its DS record; or sign the zone again: `signed = true`, with the key that it had";
                    findings.push(found(Severity::Fault, "ds-wrong", &zone.name, seen, fix));
                }
                _ => {}
            }
        }
    }
}

/// Whether what a parent says is of this key. Of other hashes than ours, tag and algorithm have to do.
fn fits(value: &str, key: &ZoneKey, zone: &Zone) -> bool {
    let ours = key.parents(&zone.name);
    let (ours, value): (Vec<&str>, Vec<&str>) = (ours.split(' ').collect(), value.split(' ').collect());
    let same = |at: usize| ours.get(at).zip(value.get(at)).is_some_and(|(one, other)| one.eq_ignore_ascii_case(other));
    same(0) && same(1) && (value.get(2) != Some(&SHA256) || same(3))
}
