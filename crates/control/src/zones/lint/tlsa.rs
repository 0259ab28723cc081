//! TLSA records: whether what edge servers show fits those that are declared, and whether anybody goes by them.

use api::dns::{Finding, PoolTlsa, Severity};
use zones::ask::Manner;

use super::{Ground, found, of};
use crate::zones::heard::DNSKEY;

/// All pools that have some, and the zones in which they lie.
pub(super) fn authentication(ground: &Ground<'_>, findings: &mut Vec<Finding>) {
    ground.shown.iter().for_each(|pool| unfit(pool, findings));
    for zone in ground.published.zones_with_tlsa() {
        let answers = ground.heard.iter().filter(|heard| {
            heard.kind == DNSKEY && heard.name == zone.name && heard.manner == Manner::Authority && heard.said.is_ok()
        });
        let mut keys = answers.map(|heard| heard.said.iter().any(|sets| of(sets, &zone.name, DNSKEY).is_some()));
        // Who has said nothing has not said that there is none.
        let Some(first) = keys.next() else { continue };
        if !first && !keys.any(|signed| signed) {
            let seen = format!("TLSA records lie in {}, which isn't signed, so nobody goes by them", zone.name);
            let fix = "sign the zone and have its DS record in the one above; until then the records do nothing";
            findings.push(found(Severity::Warning, "tlsa-unsigned", &zone.name, seen, fix));
        }
    }
}

fn unfit(pool: &PoolTlsa, findings: &mut Vec<Finding>) {
    if pool.declared.is_empty() {
        return;
    }
    for place in &pool.places {
        let unfit: Vec<&str> =
            place.shown.iter().filter(|shown| !shown.fits(&pool.declared)).map(|shown| shown.domain.as_str()).collect();
        let Some(first) = unfit.first() else { continue };
        let more = if unfit.len() > 1 { format!(" and {} more", unfit.len() - 1) } else { String::new() };
        let seen = format!(
            "{} shows a certificate for {first}{more} that fits none of the TLSA records of {}, as {} sees it: partners that \
             check DANE refuse it",
            place.server,
            pool.pool,
            place.by.as_deref().unwrap_or("somebody")
        );
        let fix = format!("`fedge dns tlsa {}` prints the records that fit; publish a topology with them", pool.pool);
        findings.push(found(Severity::Fault, "tlsa-unfit", &place.address, seen, &fix));
    }
}
