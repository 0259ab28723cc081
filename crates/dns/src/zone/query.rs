//! Bytes to queries: what is asked and how long the answer may be. Nothing is copied.

use hickory_proto::op::{OpCode, ResponseCode};

use super::wire::{self, LONGEST_NAME, QUESTION};
use crate::message::{Transport, UDP_LIMIT, UDP_WITHOUT_EDNS};

/// A type of records, or of questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u16);

#[allow(missing_docs, reason = "the names say it")]
impl Kind {
    pub const A: Kind = Kind(1);
    pub const NS: Kind = Kind(2);
    pub const CNAME: Kind = Kind(5);
    pub const SOA: Kind = Kind(6);
    pub const TXT: Kind = Kind(16);
    pub const AAAA: Kind = Kind(28);
    pub const SRV: Kind = Kind(33);
    pub const OPT: Kind = Kind(41);
    pub const RRSIG: Kind = Kind(46);
    pub const NSEC: Kind = Kind(47);
    pub const DNSKEY: Kind = Kind(48);
    pub const TLSA: Kind = Kind(52);
    pub const ANY: Kind = Kind(255);

    /// Whether it stands for an operation instead of records, such as a transfer (RFC 6895 §3.1), but for ANY.
    pub fn is_no_record(self) -> bool {
        self.0 == 0 || self == Kind::OPT || ((128..256).contains(&self.0) && self != Kind::ANY)
    }
}

/// A query that can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<'a> {
    /// The first four bytes.
    pub(super) head: [u8; 4],
    /// The question as it came.
    pub(super) question: &'a [u8],
    /// The name in it.
    pub(super) name: &'a [u8],
    /// The type that is asked for.
    pub(super) kind: Kind,
    /// Whether that is of class IN.
    pub(super) is_internet: bool,
    /// Whether there is EDNS, and whether signatures may come (RFC 6891, RFC 3225).
    pub(super) edns: Option<Edns>,
    /// How long the reply may be.
    pub(super) limit: usize,
}

/// What a query says by EDNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    pub(super) version: u8,
    pub(super) dnssec_ok: bool,
}

/// What came instead of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// Not even a header, or a reply: whoever answers those is in a loop soon.
    Silence,
    /// To be answered with this error, and no question.
    Error([u8; 4], ResponseCode),
}

/// Reads what came by `transport`.
///
/// # Errors
/// What to send back, if anything.
pub fn read(bytes: &[u8], transport: Transport) -> Result<Query<'_>, Unfit> {
    let (header, _) = bytes.split_first_chunk::<QUESTION>().ok_or(Unfit::Silence)?;
    let [a, b, c, d, counts @ ..] = *header;
    let head = [a, b, c, d];
    if c & 0x80 != 0 {
        return Err(Unfit::Silence);
    }
    if c & 0x78 != u8::from(OpCode::Query) << 3 {
        return Err(Unfit::Error(head, ResponseCode::NotImp));
    }
    let malformed = Unfit::Error(head, ResponseCode::FormErr);
    // One question and no records but pseudo-records (RFC 9619 §4).
    let [0, 1, 0, 0, 0, 0, additional @ ..] = counts else { return Err(malformed) };
    let mut reader = Reader { bytes, at: QUESTION };
    let name = reader.name().ok_or(malformed)?;
    let kind = Kind(reader.number().ok_or(malformed)?);
    let class = reader.number().ok_or(malformed)?;
    let question = &bytes[QUESTION..reader.at];
    let (mut edns, mut size) = (None, UDP_WITHOUT_EDNS);
    for _ in 0..u16::from_be_bytes(additional) {
        let is_root = reader.skip_name().ok_or(malformed)?;
        let kind = Kind(reader.number().ok_or(malformed)?);
        let class = reader.number().ok_or(malformed)?;
        let [_, version, flags, _] = reader.take::<4>().ok_or(malformed)?;
        let length = reader.number().ok_or(malformed)?;
        reader.skip(length.into()).ok_or(malformed)?;
        if kind == Kind::OPT {
            if edns.is_some() || !is_root {
                return Err(malformed);
            }
            edns = Some(Edns { version, dnssec_ok: flags & 0x80 != 0 });
            size = class.clamp(UDP_WITHOUT_EDNS, UDP_LIMIT);
        }
    }
    if reader.at != bytes.len() {
        return Err(malformed);
    }
    let limit = usize::from(match transport {
        Transport::Tcp => u16::MAX,
        Transport::Udp => size,
    });
    Ok(Query { head, question, name, kind, is_internet: matches!(class, 1 | 255), edns, limit })
}

impl Query<'_> {
    /// The name, for the log: whatever is in a label but letters, digits, `-` and `_` is escaped.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for label in wire::labels(self.name) {
            let end = label + 1 + usize::from(self.name[label]);
            text.extend(self.name[label + 1..end].iter().flat_map(|byte| byte.escape_ascii()).map(char::from));
            text.push('.');
        }
        text
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A name without pointers, as it stands in a question: there is nothing before it to point at.
    fn name(&mut self) -> Option<&'a [u8]> {
        let begin = self.at;
        loop {
            let length = *self.bytes.get(self.at)?;
            if length > 63 {
                return None;
            }
            self.skip(1 + usize::from(length))?;
            if self.at - begin > LONGEST_NAME {
                return None;
            }
            if length == 0 {
                return Some(&self.bytes[begin..self.at]);
            }
        }
    }

    /// A name that doesn't matter; whether it is the root.
    fn skip_name(&mut self) -> Option<bool> {
        let begin = self.at;
        loop {
            let length = *self.bytes.get(self.at)?;
            match length {
                0 => {
                    self.skip(1)?;
                    return Some(self.at - begin == 1);
                }
                1..=63 => self.skip(1 + usize::from(length))?,
                192.. => {
                    self.skip(2)?;
                    return Some(false);
                }
                _ => return None,
            }
        }
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, _) = self.bytes.get(self.at..)?.split_first_chunk::<N>()?;
        self.at += N;
        Some(*taken)
    }

    fn number(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        self.at += length;
        (self.at <= self.bytes.len()).then_some(())
    }
}
