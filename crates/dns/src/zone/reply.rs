//! Replies to bytes, so that they fit.

use hickory_proto::op::ResponseCode;

use super::chain::Link;
use super::query::{Kind, Query};
use crate::message::UDP_LIMIT;

/// A reply that isn't written yet.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// How it went.
    pub code: ResponseCode,
    /// Whether we know it of ourselves.
    pub authoritative: bool,
    pub(super) records: Records<'a>,
}

/// What follows the question.
#[derive(Debug, Clone, Copy)]
pub(super) enum Records<'a> {
    /// No record.
    None,
    /// A zone's SOA record, behind its name, which begins there in the message.
    Nothing(usize, &'a [u8]),
    /// The same of a signed zone, whose name has the length `top`: SOA record and its signature behind its name, and what proves
    /// that the name isn't there.
    Denied { at: usize, top: usize, soa: [&'a [u8]; 2], links: [Option<&'a Link>; 2] },
    /// Those; how many in each section, and their length without the additional ones.
    Ready { records: &'a [u8], counts: [u16; 3], lean: usize },
}

/// The length of what we say by EDNS.
const EDNS: usize = 11;

impl Reply<'_> {
    /// An error and nothing else.
    pub(super) fn error(code: ResponseCode) -> Reply<'static> {
        Reply { code, authoritative: false, records: Records::None }
    }

    /// Writes the reply to `query` into `out`, which it empties before. Where it doesn't fit, without the additional
    /// records, which nobody misses (RFC 2181 §9), else without any, and marked as truncated.
    pub fn write(&self, query: &Query<'_>, out: &mut Vec<u8>) {
        let begin = 12 + query.question.len() + query.edns.map_or(0, |_| EDNS);
        let fits = |length: usize| begin + length <= query.limit;
        match self.records {
            Records::None => self.put(query, false, ([0; 3], None, &[]), out),
            Records::Nothing(at, soa) if fits(2 + soa.len()) => {
                let pointer = 0xc000 | u16::try_from(at).unwrap_or_default();
                self.put(query, false, ([0, 1, 0], Some(pointer), soa), out);
            }
            Records::Ready { records, counts, .. } if fits(records.len()) => {
                self.put(query, false, (counts, None, records), out);
            }
            Records::Ready { records, counts: [answers, authority, _], lean } if fits(lean) => {
                self.put(query, false, ([answers, authority, 0], None, &records[..lean]), out);
            }
            Records::Denied { at, top, soa, links } => {
                let (records, count) = denied(at, top, soa, links);
                if fits(records.len()) {
                    self.put(query, false, ([0, count, 0], None, &records), out);
                } else {
                    self.put(query, true, ([0; 3], None, &[]), out);
                }
            }
            Records::Nothing(..) | Records::Ready { .. } => self.put(query, true, ([0; 3], None, &[]), out),
        }
    }

    /// Writes that the whole reply is to be had by TCP only.
    pub fn write_truncated(&self, query: &Query<'_>, out: &mut Vec<u8>) {
        self.put(query, true, ([0; 3], None, &[]), out);
    }

    fn put(
        &self,
        query: &Query<'_>,
        truncated: bool,
        (counts, pointer, records): ([u16; 3], Option<u16>, &[u8]),
        out: &mut Vec<u8>,
    ) {
        let [answers, authority, additional] = counts;
        let code = u16::from(self.code);
        out.clear();
        out.extend(header(query.head, code, u8::from(self.authoritative) << 2 | u8::from(truncated) << 1));
        let additional = additional + query.edns.map_or(0, |_| 1);
        for count in [1, answers, authority, additional] {
            out.extend(count.to_be_bytes());
        }
        out.extend_from_slice(query.question);
        if let Some(pointer) = pointer {
            out.extend(pointer.to_be_bytes());
        }
        out.extend_from_slice(records);
        if let Some(edns) = query.edns {
            // A record at the root: its class is our size, its TTL the higher bits of the code, version and flags.
            out.push(0);
            out.extend(Kind::OPT.0.to_be_bytes());
            out.extend(UDP_LIMIT.to_be_bytes());
            out.extend([u8::try_from(code >> 4).unwrap_or_default(), 0, u8::from(edns.dnssec_ok) << 7, 0, 0, 0]);
        }
    }
}

/// The records that deny a name, and how many they are. Their names end with that of the zone, which is in the question.
fn denied(at: usize, top: usize, soa: [&[u8]; 2], links: [Option<&Link>; 2]) -> (Vec<u8>, u16) {
    let pointer = 0xc000 | u16::try_from(at).unwrap_or_default();
    let links = links.iter().flatten();
    let links = links
        .flat_map(|link| [&link.proof, &link.signature].map(|record| (&link.name[..link.name.len() - top], &**record)));
    let (mut records, mut count) = (Vec::with_capacity(usize::from(UDP_LIMIT)), 0);
    for (name, record) in soa.into_iter().map(|record| (&[][..], record)).chain(links) {
        records.extend(name);
        records.extend(pointer.to_be_bytes());
        records.extend(record);
        count += 1;
    }
    (records, count)
}

/// Writes an error without a question, for who asked none that can be read.
pub fn write_bare(head: [u8; 4], code: ResponseCode, out: &mut Vec<u8>) {
    out.clear();
    out.extend(header(head, code.into(), 0));
    out.extend([0; 8]);
}

/// Id and flags of the reply to a query that began with `head`: operation, RD and CD are its own.
fn header([a, b, c, d]: [u8; 4], code: u16, flags: u8) -> [u8; 4] {
    let low = u8::try_from(code & 0x0f).unwrap_or_default();
    [a, b, 0x80 | (c & 0x79) | flags, (d & 0x10) | low]
}
