//! What became of the stanza with this id: the latest outcomes, for the administrator who asks.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use xmpp::domain::DomainPair;
use xmpp::stanza::{Kind, Stanza};

use crate::tables::{self, ByHash};

/// Senders choose ids: none may know which ones fall together.
static HASHES: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A longer id is none that anybody asks for.
const LONGEST_ID: usize = 256;

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

/// By what a stanza is asked for. The hash of the id stands for it, as it is small wherever it goes: that an administrator is
/// told of another stanza than the one he asked for happens once in some 10^15 questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Named {
    id: u64,
    kind: Kind,
}

impl Named {
    /// What a stanza is called; one without an id can't be asked for.
    pub fn of(stanza: &Stanza) -> Option<Named> {
        let id = stanza.id().filter(|id| id.len() <= LONGEST_ID)?;
        Some(Named { id: hash(&id), kind: stanza.kind() })
    }
}

/// By which an id is remembered.
pub(crate) fn hash(id: &str) -> u64 {
    HASHES.hash_one(id)
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
    /// From the oldest on.
    entries: VecDeque<Entry>,
    /// How many came before those.
    before: u64,
    /// Which one it is, by the hash of pair and id.
    places: ByHash<u64>,
}

struct Entry {
    pair: DomainPair,
    named: Named,
    accepted: SystemTime,
    changed: SystemTime,
    fate: Fate,
}

impl Entry {
    fn is(&self, pair: &DomainPair, id: u64) -> bool {
        self.named.id == id && self.pair == *pair
    }

    fn record(&self) -> Record {
        let Entry { pair, named, accepted, changed, fate } = self;
        let (pair, kind, fate) = (pair.clone(), named.kind.name(), fate.clone());
        Record { pair, kind, accepted: *accepted, changed: *changed, fate }
    }
}

/// Both are hashes: neither says anything of the other.
fn key(pair: &DomainPair, id: u64) -> u64 {
    tables::hash(pair) ^ id
}

impl Fates {
    /// Remembers the latest `most` stanzas.
    pub fn new(most: usize) -> Fates {
        Fates { inner: Mutex::default(), most }
    }

    /// Notes what happened to a stanza now.
    pub fn record(&self, pair: &DomainPair, named: Named, fate: Fate) {
        self.recorder().record(pair, named, fate);
    }

    /// Notes what happens to many at one time.
    pub(crate) fn recorder(&self) -> Recorder<'_> {
        Recorder { inner: self.locked(), most: self.most, now: SystemTime::now() }
    }

    /// What became of the stanzas with this id, in whatever pair.
    pub fn of(&self, id: &str) -> Vec<Record> {
        let id = hash(id);
        self.locked().entries.iter().filter(|entry| entry.named.id == id).map(Entry::record).collect()
    }

    /// The latest fate of each stanza, by the hash of its id.
    #[cfg(test)]
    pub(crate) fn all(&self) -> ByHash<Fate> {
        self.locked().entries.iter().map(|entry| (entry.named.id, entry.fate.clone())).collect()
    }

    fn locked(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes fates, all as of one moment.
pub(crate) struct Recorder<'a> {
    inner: MutexGuard<'a, Inner>,
    most: usize,
    now: SystemTime,
}

impl Recorder<'_> {
    /// Notes what happened to a stanza.
    pub(crate) fn record(&mut self, pair: &DomainPair, named: Named, fate: Fate) {
        let (now, Inner { entries, before, places }) = (self.now, &mut *self.inner);
        let next = *before + entries.len() as u64;
        let place = places.entry(key(pair, named.id)).or_insert(next);
        let known = usize::try_from(*place - *before).ok().and_then(|place| entries.get_mut(place));
        if let Some(entry) = known.filter(|entry| entry.is(pair, named.id)) {
            entry.fate = fate;
            entry.changed = now;
            return;
        }
        *place = next;
        entries.push_back(Entry { pair: pair.clone(), named, accepted: now, changed: now, fate });
        if entries.len() > self.most
            && let Some(oldest) = entries.pop_front()
        {
            let key = key(&oldest.pair, oldest.named.id);
            if places.get(&key) == Some(before) {
                places.remove(&key);
            }
            *before += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xmpp::domain::Domain;

    fn pair(from: &str) -> DomainPair {
        let domain = |text| Domain::parse(text).expect("a domain");
        DomainPair::new(domain(from), domain("fabrikam.test"))
    }

    fn named(id: &str) -> Named {
        let stanza = Stanza::parse(format!("<iq id='{id}' type='get'/>").as_bytes()).expect("a stanza");
        Named::of(&stanza).expect("an id")
    }

    fn of(fates: &Fates, id: &str) -> Vec<(String, Fate)> {
        fates.of(id).into_iter().map(|record| (record.pair.from.to_string(), record.fate)).collect()
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let fates = Fates::new(2);
        for id in ["1", "2", "3"] {
            fates.record(&pair("contoso.test"), named(id), Fate::Accepted);
        }
        fates.record(&pair("contoso.test"), named("3"), Fate::Taken);
        assert!(fates.of("1").is_empty());
        assert_eq!(fates.of("2")[0].fate, Fate::Accepted);
        assert_eq!((fates.of("3")[0].fate.clone(), fates.of("3")[0].kind), (Fate::Taken, "iq"));
    }

    #[test]
    fn one_that_was_forgotten_is_new_when_it_comes_again() {
        let fates = Fates::new(3);
        for id in (0..1000).map(|number| (number % 5).to_string()) {
            fates.record(&pair("contoso.test"), named(&id), Fate::Accepted);
            fates.record(&pair("contoso.test"), named(&id), Fate::Taken);
            assert_eq!(of(&fates, &id), [("contoso.test".to_owned(), Fate::Taken)]);
        }
        let inner = fates.locked();
        assert_eq!((inner.entries.len(), inner.places.len()), (3, 3));
    }

    #[test]
    fn the_same_id_in_two_pairs_is_two_stanzas() {
        let fates = Fates::new(9);
        fates.record(&pair("contoso.test"), named("1"), Fate::Accepted);
        fates.record(&pair("litware.test"), named("1"), Fate::Accepted);
        fates.record(&pair("contoso.test"), named("1"), Fate::Failed("why".to_owned()));
        let expected = [("contoso.test", Fate::Failed("why".to_owned())), ("litware.test", Fate::Accepted)];
        assert_eq!(of(&fates, "1"), expected.map(|(from, fate)| (from.to_owned(), fate)));
    }

    #[test]
    fn what_nobody_could_ask_for_has_no_name() {
        let name = |text: &str| Named::of(&Stanza::parse(text.as_bytes()).expect("a stanza"));
        assert_eq!(name("<message/>"), None);
        assert_eq!(name(&format!("<message id='{}'/>", "x".repeat(LONGEST_ID + 1))), None);
        assert!(name(&format!("<message id='{}'/>", "x".repeat(LONGEST_ID))).is_some());
    }
}
