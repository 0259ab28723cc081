//! Tables whose keys are domain pairs. A domain's hash was made once, and seeded, so that nobody outside knows which names fall
//! together: here it is only put to use.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use xmpp::domain::DomainPair;

/// Something for each of many domain pairs.
pub(crate) type ByPair<T> = HashMap<DomainPair, T, BuildHasherDefault<Made>>;

/// Puts hashes together that were made before.
#[derive(Debug, Default)]
pub(crate) struct Made(u64);

impl Hasher for Made {
    fn write_u64(&mut self, hash: u64) {
        self.0 = self.0.rotate_left(32) ^ hash;
    }

    /// For whatever isn't made of hashes: no key here does that.
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::Hash as _;

    use super::*;
    use xmpp::domain::Domain;

    fn pair(from: &str, to: &str) -> DomainPair {
        DomainPair::new(Domain::parse(from).expect("a domain"), Domain::parse(to).expect("a domain"))
    }

    fn hash(pair: &DomainPair) -> u64 {
        let mut made = Made::default();
        pair.hash(&mut made);
        made.finish()
    }

    #[test]
    fn pairs_that_are_the_same_are_found_however_they_were_made() {
        let mut table = ByPair::default();
        table.insert(pair("contoso.test", "fabrikam.test"), 1);
        assert_eq!(table.get(&pair("Contoso.test.", "FABRIKAM.test")), Some(&1));
        assert_eq!(table.get(&pair("fabrikam.test", "contoso.test")), None, "the way back is another pair");
    }

    #[test]
    fn hashes_are_spread_over_the_whole_table() {
        let hashes = || (0..4096).map(|number| hash(&pair("contoso.test", &format!("partner{number}.test"))));
        // hashbrown goes by the lowest bits, and by the seven highest.
        let lowest: HashSet<u64> = hashes().map(|hash| hash & 0xfff).collect();
        let highest: HashSet<u64> = hashes().map(|hash| hash >> 57).collect();
        assert!(lowest.len() > 2048 && highest.len() > 64, "{} and {}", lowest.len(), highest.len());
        assert_ne!(hash(&pair("a.test", "b.test")), hash(&pair("b.test", "a.test")));
        assert_ne!(hash(&pair("a.test", "a.test")), 0, "the two don't cancel each other out");
    }
}
