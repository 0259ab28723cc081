//! What became of the stanza with this id: the latest outcomes, for the administrator who asks.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use xmpp::domain::DomainPair;
use xmpp::stanza::Stanza;

/// What happened to a stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It came in and is on its way.
    Accepted,
    /// The next server took it.
    Taken,
    /// It went back to its sender; why.
    Returned(String),
    /// It couldn't be delivered and may not go back; why.
    Failed(String),
}

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fate::Accepted => f.write_str("in flight"),
            Fate::Taken => f.write_str("taken by the next server"),
            Fate::Returned(why) => write!(f, "returned to its sender: {why}"),
            Fate::Failed(why) => write!(f, "failed, and such a stanza is not returned: {why}"),
        }
    }
}

/// A fate with its circumstances; no content and no addresses.
#[derive(Debug, Clone)]
pub struct Record {
    /// Who spoke to whom.
    pub pair: DomainPair,
    /// Message, presence or iq.
    pub kind: &'static str,
    /// When it was accepted.
    pub accepted: SystemTime,
    /// When its fate was last heard of.
    pub changed: SystemTime,
    /// What happened.
    pub fate: Fate,
}

/// The latest stanzas that had an id, up to a number of them.
pub struct Fates {
    inner: Mutex<Inner>,
    most: usize,
}

#[derive(Default)]
struct Inner {
    records: HashMap<(DomainPair, String), Record>,
    order: VecDeque<(DomainPair, String)>,
}

impl Fates {
    /// Remembers the latest `most` stanzas.
    pub fn new(most: usize) -> Fates {
        Fates { inner: Mutex::default(), most }
    }

    /// Notes what happened to a stanza now. One without an id can't be asked for.
    pub fn record(&self, pair: &DomainPair, stanza: &Stanza, fate: Fate) {
        let Some(id) = stanza.id().filter(|id| id.len() <= 256) else { return };
        let key = (pair.clone(), id.into_owned());
        let now = SystemTime::now();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = inner.records.get_mut(&key) {
            record.fate = fate;
            record.changed = now;
            return;
        }
        let record = Record { pair: pair.clone(), kind: stanza.kind().name(), accepted: now, changed: now, fate };
        inner.order.push_back(key.clone());
        inner.records.insert(key, record);
        if inner.order.len() > self.most
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.records.remove(&oldest);
        }
    }

    /// What became of the stanzas with this id, in whatever pair.
    pub fn of(&self, id: &str) -> Vec<Record> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let found = inner.order.iter().filter(|(_, other)| other == id);
        found.filter_map(|key| inner.records.get(key).cloned()).collect()
    }

    /// Each stanza's id and latest fate.
    #[cfg(test)]
    pub(crate) fn all(&self) -> HashMap<String, Fate> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.records.iter().map(|((_, id), record)| (id.clone(), record.fate.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xmpp::domain::Domain;

    #[test]
    fn the_oldest_are_forgotten() {
        let domain = |text| Domain::parse(text).expect("a domain");
        let pair = DomainPair::new(domain("contoso.test"), domain("fabrikam.test"));
        let stanza = |id: u32| Stanza::parse(format!("<iq id='{id}' type='get'/>").as_bytes()).expect("a stanza");
        let fates = Fates::new(2);
        for id in 1..=3 {
            fates.record(&pair, &stanza(id), Fate::Accepted);
        }
        fates.record(&pair, &stanza(3), Fate::Taken);
        assert!(fates.of("1").is_empty());
        assert_eq!(fates.of("2")[0].fate, Fate::Accepted);
        assert_eq!(fates.of("3")[0].fate, Fate::Taken);
    }
}
