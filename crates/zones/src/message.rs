//! Updates as they travel (RFC 2136): the old mark as prerequisite, the changes, the new mark; cut where they are too long.

use std::collections::{BTreeMap, BTreeSet};

use hickory_proto::op::{Message, OpCode, Query, UpdateMessage as _};
use hickory_proto::rr::{DNSClass, Record, RecordType};
use topology::records::{Change, Mark, RecordSet};

use crate::records::{self, RecordError};

/// Messages over TCP carry 65,535 bytes; the signature is to fit in too.
const LONGEST: usize = 60_000;

/// What is done to a zone's mark with an update.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Marking<'a> {
    /// It stays as it is.
    Keep,
    /// It becomes this one.
    Become(&'a Mark),
}

/// The messages that bring a zone from what `before` marks to what `after` marks: one, as long as all fits in; the mark changes
/// with the last one.
pub(crate) fn messages(
    zone: &str,
    ttl: u32,
    before: Option<&Mark>,
    after: &Mark,
    changes: &[Change],
) -> Result<Vec<Message>, RecordError> {
    let whole = message(zone, ttl, before, Marking::Become(after), changes)?;
    if changes.len() < 2 || length(&whole)? <= LONGEST {
        return Ok(vec![whole]);
    }
    let mut parts = Vec::new();
    for part in cut(zone, ttl, before, &in_order(changes))? {
        parts.push(message(zone, ttl, before, Marking::Keep, part)?);
    }
    parts.push(message(zone, ttl, before, Marking::Become(after), &[])?);
    Ok(parts)
}

/// The changes in an order in which no part of them leaves less than there was: what has an address first, then what leads
/// there, then aliases of that, and last what goes. What belongs to one name stays together, in the order in which it came.
fn in_order(changes: &[Change]) -> Vec<Change> {
    let mut places = BTreeMap::new();
    for change in changes {
        let place = match change {
            Change::Remove(_) => 3,
            Change::Add(after) | Change::Replace { after, .. } => match after.kind.as_str() {
                "A" | "AAAA" => 0,
                "CNAME" => 2,
                _ => 1,
            },
        };
        let of_name: &mut u8 = places.entry(name_of(change)).or_insert(place);
        *of_name = place.min(*of_name);
    }
    let mut ordered = changes.to_vec();
    ordered.sort_by_cached_key(|change| {
        let name = name_of(change);
        (places.get(&name).copied(), name)
    });
    ordered
}

fn name_of(change: &Change) -> String {
    let (Change::Add(set) | Change::Remove(set) | Change::Replace { after: set, .. }) = change;
    set.name.to_ascii_lowercase()
}

/// Changes in order, in pieces that fit. Those of one name are never torn apart: for a moment, it would have nothing.
fn cut<'a>(
    zone: &str,
    ttl: u32,
    before: Option<&Mark>,
    changes: &'a [Change],
) -> Result<Vec<&'a [Change]>, RecordError> {
    let is_whole = |at: &usize| name_of(&changes[at - 1]) != name_of(&changes[*at]);
    let half = changes.len() / 2;
    let middle = (half..changes.len()).chain((1..half).rev()).filter(|at| *at > 0).find(is_whole);
    match middle {
        Some(middle) if length(&message(zone, ttl, before, Marking::Keep, changes)?)? > LONGEST => {
            let (first, second) = changes.split_at(middle);
            let mut pieces = cut(zone, ttl, before, first)?;
            pieces.extend(cut(zone, ttl, before, second)?);
            Ok(pieces)
        }
        _ => Ok(vec![changes]),
    }
}

fn length(message: &Message) -> Result<usize, RecordError> {
    message.to_vec().map(|bytes| bytes.len()).map_err(|_| RecordError("an update".to_owned()))
}

/// One update. Where the zone has no mark yet, nothing says that it is as it was looked at but what stands there itself: so each
/// set that changes has to be what it was.
pub(crate) fn message(
    zone: &str,
    ttl: u32,
    before: Option<&Mark>,
    marking: Marking<'_>,
    changes: &[Change],
) -> Result<Message, RecordError> {
    let mark_name = topology::records::mark_name(zone);
    let mut message = match before {
        Some(mark) => {
            let mut message = empty(zone)?;
            message.add_pre_requisites(is_exactly(&mark.set(zone, ttl))?);
            made(message, changes)?
        }
        None => {
            let mut message = swap(zone, changes)?;
            message.add_pre_requisite(isnt_there(&mark_name, "TXT")?);
            message
        }
    };
    if let Marking::Become(mark) = marking {
        message.add_update(remove(&mark_name, "TXT")?);
        message.add_updates(records::records(&mark.set(zone, ttl))?);
    }
    Ok(message)
}

/// Changes of sets that have to be what they were.
pub(crate) fn swap(zone: &str, changes: &[Change]) -> Result<Message, RecordError> {
    let mut message = empty(zone)?;
    for change in changes {
        match change {
            Change::Add(set) => message.add_pre_requisite(isnt_there(&set.name, &set.kind)?),
            Change::Replace { before, .. } | Change::Remove(before) => message.add_pre_requisites(is_exactly(before)?),
        }
    }
    made(message, changes)
}

fn empty(zone: &str) -> Result<Message, RecordError> {
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Update;
    message.metadata.recursion_desired = false;
    message.add_zone(Query::query(records::name(zone)?, RecordType::SOA));
    Ok(message)
}

fn made(mut message: Message, changes: &[Change]) -> Result<Message, RecordError> {
    for change in changes {
        if let Change::Replace { before, .. } | Change::Remove(before) = change {
            message.add_update(remove(&before.name, &before.kind)?);
        }
        if let Change::Replace { after, .. } | Change::Add(after) = change {
            message.add_updates(records::records(after)?);
        }
    }
    Ok(message)
}

/// An update that changes nothing and needs the right to change the mark and these sets: it takes away single records that
/// nobody ever puts there. Adding again what is there would undo what somebody changes in this moment.
pub(crate) fn nothing<'a>(
    zone: &str,
    mark: Option<&Mark>,
    sets: impl Iterator<Item = &'a RecordSet>,
) -> Result<Message, RecordError> {
    let mut message = message(zone, 0, mark, Marking::Keep, &[])?;
    let mark_name = topology::records::mark_name(zone);
    let places = sets.map(|set| (set.name.to_ascii_lowercase(), set.kind.as_str()));
    for (name, kind) in places.chain([(mark_name, "TXT")]).collect::<BTreeSet<_>>() {
        message.add_updates(nowhere(&name, kind)?);
    }
    Ok(message)
}

/// RFC 2136 §2.5.4: this record goes, where it is there; and it never is.
fn nowhere(name: &str, kind: &str) -> Result<Vec<Record>, RecordError> {
    let value = match kind {
        "A" => "0.0.0.0",
        "AAAA" => "::",
        "SRV" => "65535 65535 9 may-fedge-write.invalid.",
        "CNAME" => "may-fedge-write.invalid.",
        // Nobody has a key of which this is the hash.
        "TLSA" => "3 1 1 0000000000000000000000000000000000000000000000000000000000000000",
        _ => "\"may fedge write\"",
    };
    let set = RecordSet { name: name.to_owned(), kind: kind.to_owned(), ttl: 0, values: vec![value.to_owned()] };
    let mut records = records::records(&set)?;
    records.iter_mut().for_each(|record| record.dns_class = DNSClass::NONE);
    Ok(records)
}

/// RFC 2136 §2.4.2: the set is exactly this one, whatever its TTL.
fn is_exactly(set: &RecordSet) -> Result<Vec<Record>, RecordError> {
    records::records(&RecordSet { ttl: 0, ..set.clone() })
}

/// RFC 2136 §2.4.3: there is no such set.
fn isnt_there(name: &str, kind: &str) -> Result<Record, RecordError> {
    let mut record = Record::update0(records::name(name)?, 0, records::kind(kind)?);
    record.dns_class = DNSClass::NONE;
    Ok(record.into_record_of_rdata())
}

/// RFC 2136 §2.5.2: the set goes, where it is there.
fn remove(name: &str, kind: &str) -> Result<Record, RecordError> {
    let mut record = Record::update0(records::name(name)?, 0, records::kind(kind)?);
    record.dns_class = DNSClass::ANY;
    Ok(record.into_record_of_rdata())
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::RData;

    use super::*;

    fn mark(epoch: u64) -> Mark {
        Mark { owner: "a1b2".to_owned(), epoch, topology: 12 }
    }

    fn change(number: usize) -> Change {
        let set = |routed: usize| RecordSet {
            name: format!("_xmpp-server._tcp.tenant{number}.contoso.test."),
            kind: "SRV".to_owned(),
            ttl: 30,
            values: (0..2)
                .map(|pool| format!("{}0 0 5269 pool{}.contoso.test.", pool + 1, (routed + pool) % 2))
                .collect(),
        };
        Change::Replace { before: set(0), after: set(1) }
    }

    #[test]
    fn what_fits_is_one_message_and_what_does_not_changes_the_mark_last() {
        let changes: Vec<Change> = (0..2000).map(change).collect();
        let made = |count: usize| {
            messages("contoso.test.", 30, Some(&mark(7)), &mark(8), &changes[..count]).expect("they can be")
        };
        assert_eq!(made(1).len(), 1);
        let parts = made(2000);
        assert!(parts.len() > 2);
        let updates = |part: &Message| part.updates().to_vec();
        let marks = |part: &Message| updates(part).iter().any(|record| record.name.to_ascii().starts_with("_epoch"));
        let (last, others) = parts.split_last().expect("several");
        assert!(marks(last) && !others.iter().any(marks));
        assert!(
            parts.iter().all(|part| length(part).expect("it can be") <= LONGEST && part.prerequisites().len() == 1)
        );
        let changed: usize = others.iter().map(|part| updates(part).len()).sum();
        assert_eq!(changed, 2000 * 3);
    }

    #[test]
    fn without_a_mark_each_set_has_to_be_what_it_was() {
        let [Change::Replace { before, after }] = &[change(1)][..] else { panic!("it is one") };
        let changes = [change(1), Change::Add(RecordSet { name: "pool.contoso.test.".to_owned(), ..after.clone() })];
        let message = message("contoso.test.", 30, None, Marking::Become(&mark(1)), &changes).expect("it can be");
        let classes: Vec<_> = message.prerequisites().iter().map(|record| record.dns_class).collect();
        // Two records are there, one set isn't, and neither is the mark.
        assert_eq!(classes, [DNSClass::IN, DNSClass::IN, DNSClass::NONE, DNSClass::NONE]);
        assert!(message.prerequisites().iter().all(|record| record.ttl == 0));
        assert_eq!(before.values.len(), 2);
    }

    #[test]
    fn no_name_is_torn_apart_and_none_leads_to_what_is_not_there_yet() {
        let set = |name: String, kind: &str, value: &str| RecordSet {
            name,
            kind: kind.to_owned(),
            ttl: 30,
            values: vec![value.to_owned()],
        };
        let tenant = |number| format!("_xmpp-server._tcp.tenant{number}.contoso.test.");
        let common = "_xmpp-server._tcp.fed.contoso.test.";
        let old = "10 0 5269 pool1.contoso.test.";
        // As a difference has it: what goes comes first, and then each domain becomes an alias.
        let gone = "_xmpp-server._tcp.a-gone.contoso.test.".to_owned();
        let mut changes: Vec<Change> =
            (0..1500).map(|number| Change::Remove(set(tenant(number), "SRV", old))).collect();
        changes.push(Change::Remove(set(gone.clone(), "SRV", old)));
        changes.extend((0..1500).map(|number| Change::Add(set(tenant(number), "CNAME", common))));
        changes.push(Change::Add(set(common.to_owned(), "SRV", "10 0 5269 pool2.contoso.test.")));
        changes.push(Change::Add(set("pool2.contoso.test.".to_owned(), "A", "192.0.2.2")));
        let parts = messages("contoso.test.", 30, Some(&mark(7)), &mark(8), &changes).expect("they can be");
        assert!(parts.len() > 2);
        let mut there = vec!["pool1.contoso.test.".to_owned()];
        let mut names = Vec::new();
        for part in &parts {
            let mut own: Vec<String> = part.updates().iter().map(|record| record.name.to_ascii()).collect();
            own.dedup();
            for record in part.updates() {
                let target = match &record.data {
                    RData::SRV(srv) => srv.target.to_ascii(),
                    RData::CNAME(alias) => alias.0.to_ascii(),
                    _ => "pool1.contoso.test.".to_owned(),
                };
                assert!(there.contains(&target), "{} leads nowhere", record.name);
                if record.dns_class == DNSClass::IN && !there.contains(&record.name.to_ascii()) {
                    there.push(record.name.to_ascii());
                }
            }
            names.extend(own);
        }
        let sought = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), sought, "a name is in two parts");
        // With the mark, the common one, the target and the one that goes.
        assert_eq!(names.len(), 1500 + 4);
        let last = parts[parts.len() - 2].updates().last().expect("it isn't empty");
        assert_eq!(last.name.to_ascii(), gone);
    }

    #[test]
    fn what_only_asks_for_the_right_takes_away_what_never_is_there() {
        let set = |name: &str, kind: &str| RecordSet {
            name: name.to_owned(),
            kind: kind.to_owned(),
            ttl: 30,
            values: vec!["192.0.2.1".to_owned()],
        };
        let sets = [set("pool1.contoso.test.", "A"), set("_xmpp-server._tcp.contoso.test.", "SRV")];
        let message = nothing("contoso.test.", Some(&mark(7)), sets.iter().chain(&sets)).expect("it can be");
        let updates: Vec<_> =
            message.updates().iter().map(|record| (record.name.to_ascii(), record.dns_class)).collect();
        let names = ["_epoch.contoso.test.", "_xmpp-server._tcp.contoso.test.", "pool1.contoso.test."];
        assert_eq!(updates, names.map(|name| (name.to_owned(), DNSClass::NONE)));
        assert!(
            message.updates().iter().all(|record| record.ttl == 0 && record.data.ip_addr() != "192.0.2.1".parse().ok())
        );
        assert_eq!(message.prerequisites().len(), 1);
    }
}
