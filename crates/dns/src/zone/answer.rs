//! The decision about one query: which answer is the one, or why there is none. No I/O.

use hickory_proto::op::ResponseCode;

use super::query::{Kind, Query};
use super::reply::{Records, Reply};
use super::wire::{self, LONGEST_NAME, QUESTION};
use super::{Denial, Ready, Top, Zones};

/// What is said to a query.
pub(super) fn answer<'a>(zones: &'a Zones, query: &Query<'_>) -> Reply<'a> {
    if query.edns.is_some_and(|edns| edns.version != 0) {
        return Reply::error(ResponseCode::BADVERS);
    }
    if !query.is_internet || query.kind.is_no_record() {
        return Reply::error(ResponseCode::Refused);
    }
    let mut letters = [0; LONGEST_NAME];
    let name = &mut letters[..query.name.len()];
    name.copy_from_slice(query.name);
    // Lengths of labels are no letters: they are below 64.
    name.make_ascii_lowercase();
    let name = &*name;
    let wants_signatures = query.edns.is_some_and(|edns| edns.dnssec_ok);
    let signed = if wants_signatures { zones.signed.get(name) } else { None };
    if let Some(node) = signed.or_else(|| zones.nodes.get(name)) {
        let set = node.sets.iter().find(|(kind, _)| *kind == query.kind).map(|(_, ready)| ready);
        let other = if query.kind == Kind::ANY { &node.any } else { &node.other };
        return ready(set.unwrap_or(other));
    }
    // Of several, the longest: what is below another's zone is nothing for us.
    let top = wire::labels(name).find_map(|label| zones.tops.get(&name[label..]).map(|top| (label, top)));
    match top {
        Some((label, Top::Served(soa))) => {
            let denial = zones.denials.get(&name[label..]).filter(|_| wants_signatures);
            Reply {
                code: ResponseCode::NXDomain,
                authoritative: true,
                records: match denial {
                    Some(denial) => denied(zones, (name, label), soa, denial),
                    None => Records::Nothing(QUESTION + label, soa),
                },
            }
        }
        Some((_, Top::Elsewhere)) | None => Reply::error(ResponseCode::Refused),
    }
}

/// That there is no such name in a signed zone, whose own begins at `label`.
fn denied<'a>(zones: &Zones, (name, label): (&[u8], usize), soa: &'a [u8], denial: &'a Denial) -> Records<'a> {
    let above = wire::labels(name).map(|label| &name[label..]).find(|above| zones.nodes.contains_key(*above));
    let links = denial.chain.nothing(name, above.unwrap_or(&name[label..]));
    Records::Denied { at: QUESTION + label, top: name.len() - label, soa: [soa, &denial.soa], links }
}

fn ready(ready: &Ready) -> Reply<'_> {
    let code = if ready.exists { ResponseCode::NoError } else { ResponseCode::NXDomain };
    let Ready { records, counts, lean, .. } = ready;
    Reply { code, authoritative: true, records: Records::Ready { records, counts: *counts, lean: *lean } }
}
