//! What the site's resolvers said, for as long as they said it holds (RFC 2308, RFC 9520).

use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RecordType};

/// What is asked of the site's resolvers: two clients that ask the same share an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ask {
    /// The name; its case doesn't count.
    pub name: Name,
    /// The type.
    pub wanted: RecordType,
    /// Whether signatures are asked for.
    pub dnssec_ok: bool,
    /// Whether answers with bad signatures are wanted too.
    pub checking_disabled: bool,
}

/// Nothing is kept longer than this, in seconds.
const LONGEST: u32 = 86400;

/// Nor is it kept longer than this that something does not exist (RFC 2308 §5).
const LONGEST_NEGATIVE: u32 = 10800;

/// Nor that nobody knew (RFC 9520 §3.2: a second at least).
const FAILURE: u32 = 1;

/// Larger answers aren't kept, so that the number of entries bounds the memory too.
const MOST_RECORDS: usize = 64;

/// A bounded number of answers.
pub struct Cache {
    entries: moka::sync::Cache<Ask, Entry>,
}

#[derive(Clone)]
struct Entry {
    said: Arc<Message>,
    since: Instant,
    until: Instant,
}

impl Cache {
    /// Room for `capacity` answers.
    pub fn new(capacity: u64) -> Cache {
        Cache { entries: moka::sync::Cache::new(capacity) }
    }

    /// What was said to `ask`, its TTLs counted down to `now`.
    pub fn get(&self, ask: &Ask, now: Instant) -> Option<Arc<Message>> {
        let mut entry = self.entries.get(ask)?;
        if entry.until <= now {
            self.entries.invalidate(ask);
            return None;
        }
        let age = u32::try_from(now.saturating_duration_since(entry.since).as_secs()).unwrap_or(u32::MAX);
        if age > 0 {
            let said = Arc::make_mut(&mut entry.said);
            let records = said.answers.iter_mut().chain(&mut said.authorities).chain(&mut said.additionals);
            for record in records {
                record.ttl = record.ttl.saturating_sub(age);
            }
        }
        Some(entry.said)
    }

    /// Keeps what was said to `ask`, if it may be kept.
    pub fn put(&self, ask: Ask, said: Arc<Message>, now: Instant) {
        let seconds = keep(&said);
        let records = said.answers.len() + said.authorities.len() + said.additionals.len();
        if seconds == 0 || records > MOST_RECORDS {
            return;
        }
        let until = now + Duration::from_secs(seconds.into());
        self.entries.insert(ask, Entry { said, since: now, until });
    }
}

/// How many seconds an answer may be kept: as long as its most short-lived record.
fn keep(said: &Message) -> u32 {
    let records = said.answers.iter().chain(&said.authorities).chain(&said.additionals);
    let shortest = records.map(|record| record.ttl).min().unwrap_or(0);
    match said.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain if is_negative(said) => {
            // A denial without an SOA record says not how long it holds (RFC 2308 §5).
            let dated = said.authorities.iter().any(|record| record.record_type() == RecordType::SOA);
            if dated { shortest.min(LONGEST_NEGATIVE) } else { 0 }
        }
        ResponseCode::NoError => shortest.min(LONGEST),
        _ => FAILURE,
    }
}

/// Whether it denies that the name, or the end of its chain of aliases, has such records.
fn is_negative(said: &Message) -> bool {
    let wanted = said.queries.first().map(hickory_proto::op::Query::query_type);
    said.response_code == ResponseCode::NXDomain
        || !said.answers.iter().any(|record| Some(record.record_type()) == wanted)
}

#[cfg(test)]
mod tests;
