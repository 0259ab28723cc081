//! The domain pairs that came up last on a stream, so that who speaks again is known by the letters of his address.

use crate::domain::DomainPair;

/// Pairs that are remembered: those of a server's users who speak at the same time, and of its rooms.
const PAIRS: usize = 8;

/// How the domains of a pair's addresses were written.
struct Spelling {
    from: String,
    to: String,
    pair: DomainPair,
}

/// Pairs that passed, in the order in which they came up.
#[derive(Default)]
pub(super) struct Seen(Vec<Spelling>);

impl Seen {
    /// The pair of addresses with these domains, if one was seen.
    pub(super) fn pair(&self, from: &str, to: &str) -> Option<&DomainPair> {
        self.0.iter().rfind(|seen| seen.from == from && seen.to == to).map(|seen| &seen.pair)
    }

    /// These were read as this pair.
    pub(super) fn remember(&mut self, from: &str, to: &str, pair: &DomainPair) {
        if self.0.len() == PAIRS {
            self.0.remove(0);
        }
        self.0.push(Spelling { from: from.to_owned(), to: to.to_owned(), pair: pair.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Domain;

    #[test]
    fn the_latest_are_known_as_they_were_written() {
        let domain = |text: &str| Domain::parse(text).expect("a domain");
        let pair = |number: usize| DomainPair::new(domain("contoso.test"), domain(&format!("room{number}.test")));
        let mut seen = Seen::default();
        for number in 0..PAIRS + 1 {
            seen.remember("contoso.test", &format!("ROOM{number}.test"), &pair(number));
        }
        assert_eq!(seen.pair("contoso.test", "ROOM0.test"), None, "it was the first");
        assert_eq!(seen.pair("contoso.test", "ROOM1.test"), Some(&pair(1)));
        assert_eq!(seen.pair("contoso.test", "ROOM8.test"), Some(&pair(8)));
        assert_eq!(seen.pair("contoso.test", "room8.test"), None, "it was written in another way");
        assert_eq!(seen.pair("ROOM8.test", "contoso.test"), None);
    }
}
