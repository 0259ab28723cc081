//! The audit trail: who changed what, when and why; each entry carries the hash of the one before.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// What was before and what is after are told in so many bytes each: an entry has to fit into one value of the store, and
/// what is done at once may concern twenty thousand domains.
const TOLD: usize = 64 * 1024;

/// What somebody did, or wants to do, in the words that the trail keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Who: a user of the API, or the controller itself.
    pub who: String,
    /// What was done, such as `topology publish`.
    pub what: String,
    /// Why, as they said it; empty where nobody was asked.
    pub why: String,
    /// What was before; empty where there was nothing.
    pub before: String,
    /// What is after.
    pub after: String,
}

/// An entry of the trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number; the first is 1, and none is left out.
    pub number: u64,
    /// When: milliseconds since 1970, by the clock of the controller that wrote it.
    pub at: u64,
    /// Who.
    pub who: String,
    /// What was done.
    pub what: String,
    /// Why.
    pub why: String,
    /// What was before.
    pub before: String,
    /// What is after.
    pub after: String,
    /// The hash of the entry before; zeros before the first.
    pub previous: Hash,
    /// The hash of all the above.
    pub hash: Hash,
}

/// Where the trail ends. It lies beside the entries, so that one cut off at the end is missed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The number of the last entry; 0 before the first.
    pub number: u64,
    /// Its hash.
    pub hash: Hash,
}

/// SHA-256, written as 64 hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hash([u8; 32]);

/// Where a trail is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// An entry is missing, or one is too many.
    #[error("entry {expected} should come next, and {found} does: entries were taken out or put in")]
    Gap {
        /// The number that should have come.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// An entry doesn't belong to the one before.
    #[error("entry {0} does not carry the hash of the entry before it: one of the two was replaced")]
    Unchained(u64),
    /// An entry isn't what was hashed.
    #[error("entry {0} is not what was written: its hash is that of something else")]
    Changed(u64),
    /// The end is another one than was noted.
    #[error(
        "the trail ends with entry {found}, and entry {noted} was noted as its last one, or the last one was replaced"
    )]
    Cut {
        /// The last one according to the head.
        noted: u64,
        /// The last one that is there.
        found: u64,
    },
}

impl Head {
    /// The entry that comes after this head, and the head after it. A clock that was set back is told as it is:
    /// numbers say what came first.
    pub fn append(&self, deed: Deed, at: u64) -> (Entry, Head) {
        let Deed { who, what, why, before, after } = deed;
        let (before, after) = (shortened(before), shortened(after));
        let number = self.number + 1;
        let mut entry = Entry { number, at, who, what, why, before, after, previous: self.hash, hash: Hash::default() };
        entry.hash = entry.hashed();
        let head = Head { number, hash: entry.hash };
        (entry, head)
    }
}

/// As many of its first lines as are told, and how many more there were.
fn shortened(text: String) -> String {
    if text.len() <= TOLD {
        return text;
    }
    let cut = text.floor_char_boundary(TOLD);
    match text[..cut].rfind('\n') {
        Some(end) => format!("{}\nand {} lines more", &text[..end], text[end + 1..].lines().count()),
        None => format!("{}…, and {} bytes more", &text[..cut], text.len() - cut),
    }
}

impl Entry {
    /// Every field with its length before it, so that no two entries have the same bytes.
    fn hashed(&self) -> Hash {
        let mut bytes = Vec::new();
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(self.at.to_be_bytes());
        for text in [&self.who, &self.what, &self.why, &self.before, &self.after] {
            bytes.extend((text.len() as u64).to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes.extend(self.previous.0);
        Hash::of(&bytes)
    }
}

/// Whether these entries, from the first to the last, are what was written, and all of it.
///
/// # Errors
/// The first place at which they aren't.
pub fn verify<'a>(entries: impl IntoIterator<Item = &'a Entry>, head: &Head) -> Result<(), Broken> {
    let mut last = Head::default();
    for entry in entries {
        let expected = last.number + 1;
        if entry.number != expected {
            return Err(Broken::Gap { expected, found: entry.number });
        }
        if entry.hash != entry.hashed() {
            return Err(Broken::Changed(entry.number));
        }
        if entry.previous != last.hash {
            return Err(Broken::Unchained(entry.number));
        }
        last = Head { number: entry.number, hash: entry.hash };
    }
    if last == *head { Ok(()) } else { Err(Broken::Cut { noted: head.number, found: last.number }) }
}

impl Hash {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Hash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
        Hash(hash)
    }

    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Hash {
        Hash(bytes)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Hash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Hash, NotAHash> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotAHash);
        }
        let mut hash = [0; 32];
        for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| NotAHash)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| NotAHash)?;
        }
        Ok(Hash(hash))
    }
}

/// It can't be a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 64 hexadecimal digits")]
pub struct NotAHash;

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn deed(text: &str) -> Deed {
        let text = || text.to_owned();
        Deed { who: text(), what: text(), why: text(), before: text(), after: text() }
    }

    fn trail(texts: &[String]) -> (Vec<Entry>, Head) {
        let mut head = Head::default();
        let entries = texts.iter().enumerate().map(|(at, text)| {
            let (entry, next) = head.append(deed(text), at as u64);
            head = next;
            entry
        });
        (entries.collect(), head)
    }

    fn three() -> (Vec<Entry>, Head) {
        trail(&["a", "b", "c"].map(str::to_owned))
    }

    #[test]
    fn an_entry_tells_as_much_as_has_room() {
        let told = |text: &str| Head::default().append(deed(text), 0).0.after;
        for text in ["", "one\ntwo", &"x".repeat(TOLD)] {
            assert_eq!(told(text), text);
        }
        let lines = "a line of 20 letters\n".repeat(TOLD / 10);
        let shorter = told(&lines);
        let left = shorter.lines().count() - 1;
        assert!(shorter.len() < TOLD + 40 && shorter.len() > TOLD - 40, "{} bytes", shorter.len());
        assert!(shorter.ends_with(&format!("letters\nand {} lines more", TOLD / 10 - left)), "{left} lines");
        // Not in the middle of a letter.
        let one_line = told(&format!("x{}", "ü".repeat(TOLD)));
        assert!(one_line.ends_with(&format!("ü…, and {} bytes more", TOLD + 2)), "{} bytes", one_line.len());
    }

    #[test]
    fn an_untouched_trail_is_whole() {
        let (entries, head) = three();
        assert_eq!(verify(&entries, &head), Ok(()));
        assert_eq!(verify(&[], &Head::default()), Ok(()));
    }

    #[test]
    fn whatever_is_done_to_a_trail_is_found_and_named() {
        let (entries, head) = three();
        let without = |number: usize| {
            let mut left = entries.clone();
            left.remove(number - 1);
            verify(&left, &head)
        };
        assert_eq!(without(1), Err(Broken::Gap { expected: 1, found: 2 }));
        assert_eq!(without(2), Err(Broken::Gap { expected: 2, found: 3 }));
        assert_eq!(without(3), Err(Broken::Cut { noted: 3, found: 2 }));

        let mut forged = entries.clone();
        forged[1].who = "mallory".to_owned();
        assert_eq!(verify(&forged, &head), Err(Broken::Changed(2)));
        forged[1].hash = forged[1].hashed();
        assert_eq!(verify(&forged, &head), Err(Broken::Unchained(3)));
        // Whoever writes everything anew is found by the head that somebody noted elsewhere.
        forged[2].previous = forged[1].hash;
        forged[2].hash = forged[2].hashed();
        assert_eq!(verify(&forged, &head), Err(Broken::Cut { noted: 3, found: 3 }));
    }

    #[test]
    fn a_hash_survives_being_written() {
        let hash = Hash::of(b"fedge");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!("zz".parse::<Hash>(), Err(NotAHash));
        assert_eq!("+".repeat(64).parse::<Hash>(), Err(NotAHash));
    }

    proptest! {
        #[test]
        fn words_moved_between_fields_are_another_entry(left in ".{0,8}", right in ".{0,8}", cut in 0_usize..8) {
            let whole = format!("{left}{right}");
            let cut = (0..=cut.min(whole.len())).rev().find(|at| whole.is_char_boundary(*at)).unwrap_or(0);
            let entry = |who: &str, what: &str| {
                let deed = Deed { who: who.to_owned(), what: what.to_owned(), ..deed("") };
                Head::default().append(deed, 0).0.hash
            };
            let same = (left.as_str(), right.as_str()) == (&whole[..cut], &whole[cut..]);
            prop_assert_eq!(entry(&left, &right) == entry(&whole[..cut], &whole[cut..]), same);
        }

        #[test]
        fn any_trail_is_whole_and_survives_json(texts in proptest::collection::vec(".{0,20}", 0..12)) {
            let (entries, head) = trail(&texts);
            let text = serde_json::to_string(&entries).expect("JSON");
            let read: Vec<Entry> = serde_json::from_str(&text).expect("the same");
            prop_assert_eq!(&read, &entries);
            prop_assert_eq!(verify(&read, &head), Ok(()));
        }
    }
}
