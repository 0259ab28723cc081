//! The stanzas that everything here is measured with: messages as people write them, from a fixed seed.

use std::fmt::Write as _;

use bytes::BytesMut;

/// Who speaks, and to whom.
pub(crate) const FROM: &str = "contoso.test";
/// Whose server they are for.
pub(crate) const TO: &str = "fabrikam.test";
/// Each stanza ends so, and contains it once.
pub(crate) const END: &[u8] = b"</message>";

/// Different numbers for different runs would be different work.
const SEED: u64 = 0x5269_1999_2019_2026;
const WORDS: [&str; 16] = [
    "the", "edge", "carries", "what", "both", "sides", "have", "to", "say", "naïve", "Grüße", "R&amp;D", "meeting",
    "at", "noon", "tomorrow",
];

/// So many stanzas, one after another.
#[derive(Debug)]
pub(crate) struct Stanzas {
    all: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Stanzas {
    /// About 300 bytes each.
    pub(crate) fn new(many: usize) -> Stanzas {
        let (mut random, mut text) = (Random(SEED), String::new());
        let mut ends = Vec::with_capacity(many);
        for _ in 0..many {
            let (device, id) = (random.below(4), random.next());
            let _ = write!(
                text,
                "<message from='alice@{FROM}/desk.{device}' to='bob@{TO}' id='{id:016x}' type='chat'><body>"
            );
            for _ in 0..random.below(12) + 4 {
                text.push_str(WORDS[random.below(WORDS.len())]);
                text.push(' ');
            }
            let _ = write!(
                text,
                "</body><active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/></message>"
            );
            ends.push(text.len());
        }
        Stanzas { all: text.into_bytes(), ends }
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[u8] {
        &self.all
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Puts those from `first` on to the end of `out`, in about `most` bytes and not beyond `end`; the first that is left.
    pub(crate) fn take(&self, first: usize, end: usize, most: usize, out: &mut BytesMut) -> usize {
        let begins = first.checked_sub(1).map_or(0, |before| self.ends[before]);
        let fitting = self.ends.partition_point(|ends| *ends <= begins + most);
        let next = fitting.max(first + 1).min(end).min(self.ends.len());
        out.extend_from_slice(&self.all[begins..self.ends[next - 1]]);
        next
    }

    /// One by one.
    pub(crate) fn each(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(&0).chain(&self.ends);
        begins.zip(&self.ends).map(|(begins, ends)| &self.all[*begins..*ends])
    }
}

/// Marsaglia's xorshift: the same numbers on each machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xmpp::stanza::Stanza;

    #[test]
    fn each_is_a_stanza_and_ends_once() {
        let stanzas = Stanzas::new(100);
        assert_eq!(stanzas.len(), 100);
        for bytes in stanzas.each() {
            let stanza = Stanza::parse(bytes).expect("a stanza");
            assert!(stanza.from().is_some_and(|from| from.starts_with("alice@contoso.test/")));
            assert_eq!(memchr::memmem::find_iter(bytes, END).count(), 1);
        }
        let average = stanzas.all().len() / 100;
        assert!((250..350).contains(&average), "{average} bytes");
    }

    #[test]
    fn whole_stanzas_are_taken() {
        let (stanzas, mut out) = (Stanzas::new(10), BytesMut::new());
        assert_eq!(stanzas.take(0, 1, 10_000, &mut out), 1);
        assert_eq!(stanzas.take(1, usize::MAX, 1, &mut out), 2, "one always is");
        let next = stanzas.take(2, usize::MAX, 1000, &mut out);
        assert!((4..7).contains(&next), "{next}");
        assert_eq!(stanzas.take(next, usize::MAX, 1 << 20, &mut out), 10);
        assert_eq!(out, stanzas.all());
    }

    #[test]
    fn they_are_always_the_same() {
        assert_eq!(Stanzas::new(50).all(), Stanzas::new(50).all());
        assert!(Stanzas::new(51).all().starts_with(Stanzas::new(50).all()));
    }
}
