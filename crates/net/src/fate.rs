//! What became of the stanza with this id: the latest outcomes, for the administrator who asks.

#[cfg(test)]
use std::collections::HashMap;
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use xmpp::domain::DomainPair;
use xmpp::stanza::{Kind, Stanza};

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

/// The latest stanzas that had an id, up to a number of them on each face.
pub struct Fates {
    faces: Mutex<Vec<Arc<Mutex<Latest>>>>,
    most: usize,
}

/// Those of one face. Whoever accepts its stanzas numbers them as they come, from 0 on, so that each is found again
/// without a search: in a flood, a table of them all would cost more than anything else that is done for a stanza.
pub(crate) struct Latest {
    /// From the oldest on.
    entries: VecDeque<Entry>,
    /// How many came before those.
    before: u64,
    /// Whose fate was heard of when so many had come since that they were forgotten.
    late: VecDeque<Entry>,
    most: usize,
}

struct Entry {
    pair: DomainPair,
    named: Named,
    accepted: SystemTime,
    changed: SystemTime,
    fate: Fate,
}

impl Entry {
    fn record(&self) -> Record {
        let Entry { pair, named, accepted, changed, fate } = self;
        let (pair, kind, fate) = (pair.clone(), named.kind.name(), fate.clone());
        Record { pair, kind, accepted: *accepted, changed: *changed, fate }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fates {
    /// Remembers the latest `most` stanzas of each face.
    pub fn new(most: usize) -> Fates {
        Fates { faces: Mutex::default(), most }
    }

    /// Those of one more face, none so far.
    pub(crate) fn of_face(&self) -> Arc<Mutex<Latest>> {
        let latest = Latest { entries: VecDeque::new(), before: 0, late: VecDeque::new(), most: self.most };
        let latest = Arc::new(Mutex::new(latest));
        locked(&self.faces).push(latest.clone());
        latest
    }

    /// What became of the stanzas with this id, in whatever pair: of the one in each that came last.
    pub fn of(&self, id: &str) -> Vec<Record> {
        let id = hash(id);
        let of_face = |latest: &Arc<Mutex<Latest>>| -> Vec<Record> {
            locked(latest).all().filter(|entry| entry.named.id == id).map(Entry::record).collect()
        };
        let records: Vec<Record> = locked(&self.faces).iter().flat_map(of_face).collect();
        // A pair speaks on one face.
        let mut seen = HashSet::new();
        let mut records: Vec<Record> =
            records.into_iter().rev().filter(|record| seen.insert(record.pair.clone())).collect();
        records.reverse();
        records
    }

    /// The latest fate of each stanza, by the hash of its id.
    #[cfg(test)]
    pub(crate) fn all(&self) -> HashMap<u64, Fate> {
        let faces = locked(&self.faces);
        let of_face = |latest: &Arc<Mutex<Latest>>| -> Vec<_> {
            locked(latest).all().map(|entry| (entry.named.id, entry.fate.clone())).collect()
        };
        faces.iter().flat_map(of_face).collect()
    }
}

impl Latest {
    /// In the order in which the stanzas came.
    fn all(&self) -> impl Iterator<Item = &Entry> {
        self.late.iter().chain(&self.entries)
    }
}

/// Notes fates of one face, all as of one moment.
pub(crate) struct Recorder<'a> {
    latest: MutexGuard<'a, Latest>,
    now: SystemTime,
}

impl Recorder<'_> {
    /// Notes what happens now.
    pub(crate) fn of(latest: &Mutex<Latest>) -> Recorder<'_> {
        Recorder { latest: locked(latest), now: SystemTime::now() }
    }

    /// Remembers one more stanza, by the next number.
    pub(crate) fn remember(&mut self, pair: DomainPair, named: Named, fate: Fate) {
        let (entry, latest) = (self.entry(pair, named, fate), &mut *self.latest);
        latest.entries.push_back(entry);
        if latest.entries.len() > latest.most {
            latest.entries.pop_front();
            latest.before += 1;
        }
    }

    /// Notes what became of the stanza that was remembered by this number.
    pub(crate) fn changed(&mut self, number: u64, pair: DomainPair, named: Named, fate: Fate) {
        let place = number.checked_sub(self.latest.before).and_then(|place| usize::try_from(place).ok());
        if let Some(entry) = place.and_then(|place| self.latest.entries.get_mut(place)) {
            (entry.fate, entry.changed) = (fate, self.now);
            return;
        }
        let (entry, latest) = (self.entry(pair, named, fate), &mut *self.latest);
        latest.late.push_back(entry);
        if latest.late.len() > latest.most {
            latest.late.pop_front();
        }
    }

    fn entry(&self, pair: DomainPair, named: Named, fate: Fate) -> Entry {
        Entry { pair, named, accepted: self.now, changed: self.now, fate }
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

    /// One from contoso.test is accepted.
    fn accepted(latest: &Mutex<Latest>, id: &str) {
        Recorder::of(latest).remember(pair("contoso.test"), named(id), Fate::Accepted);
    }

    fn changed(latest: &Mutex<Latest>, number: u64, id: &str, fate: Fate) {
        Recorder::of(latest).changed(number, pair("contoso.test"), named(id), fate);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let fates = Fates::new(2);
        let latest = fates.of_face();
        ["1", "2", "3"].iter().for_each(|id| accepted(&latest, id));
        changed(&latest, 2, "3", Fate::Taken);
        assert!(fates.of("1").is_empty());
        assert_eq!(fates.of("2")[0].fate, Fate::Accepted);
        assert_eq!((fates.of("3")[0].fate.clone(), fates.of("3")[0].kind), (Fate::Taken, "iq"));
    }

    #[test]
    fn what_becomes_of_a_forgotten_one_is_remembered_all_the_same() {
        let fates = Fates::new(2);
        let latest = fates.of_face();
        ["1", "2", "3", "4", "5"].iter().for_each(|id| accepted(&latest, id));
        for (number, id) in [(0, "1"), (1, "2"), (2, "3")] {
            changed(&latest, number, id, Fate::Returned("late".to_owned()));
        }
        changed(&latest, 3, "4", Fate::Taken);
        let from_contoso = |fate| vec![("contoso.test".to_owned(), fate)];
        assert_eq!(of(&fates, "1"), []);
        assert_eq!(of(&fates, "2"), from_contoso(Fate::Returned("late".to_owned())));
        assert_eq!(of(&fates, "3"), from_contoso(Fate::Returned("late".to_owned())));
        assert_eq!(of(&fates, "4"), from_contoso(Fate::Taken));
        assert_eq!(locked(&latest).all().count(), 4);
    }

    #[test]
    fn the_latest_of_an_id_counts_in_each_pair_and_on_each_face() {
        let fates = Fates::new(9);
        let (one, other) = (fates.of_face(), fates.of_face());
        accepted(&one, "1");
        accepted(&one, "1");
        changed(&one, 1, "1", Fate::Failed("why".to_owned()));
        Recorder::of(&other).remember(pair("litware.test"), named("1"), Fate::Accepted);
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
