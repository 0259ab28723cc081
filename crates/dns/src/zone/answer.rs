//! The decision about one query: which answer is the one, or why there is none. No I/O.

use hickory_proto::op::ResponseCode;

use super::query::{Kind, Query};
use super::reply::{Records, Reply};
use super::wire::{self, LONGEST_NAME, QUESTION};
use super::{Ready, Top, Zones};

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
    if let Some(node) = zones.nodes.get(name) {
        let set = node.sets.iter().find(|(kind, _)| *kind == query.kind).map(|(_, ready)| ready);
        let other = if query.kind == Kind::ANY { &node.any } else { &node.other };
        return ready(set.unwrap_or(other));
    }
    // Of several, the longest: what is below another's zone is nothing for us.
    let top = wire::labels(name).find_map(|label| zones.tops.get(&name[label..]).map(|top| (label, top)));
    match top {
        Some((label, Top::Served(soa))) => Reply {
            code: ResponseCode::NXDomain,
            authoritative: true,
            records: Records::Nothing(QUESTION + label, soa),
        },
        Some((_, Top::Elsewhere)) | None => Reply::error(ResponseCode::Refused),
    }
}

fn ready(ready: &Ready) -> Reply<'_> {
    let code = if ready.exists { ResponseCode::NoError } else { ResponseCode::NXDomain };
    let Ready { records, counts, lean, .. } = ready;
    Reply { code, authoritative: true, records: Records::Ready { records, counts: *counts, lean: *lean } }
}
