//! Minted leaves, kept until they are half used up; a bounded number of them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::sign::CertifiedKey;
use xmpp::domain::Domain;

pub(super) struct Cache {
    most: usize,
    kept: HashMap<Domain, Kept>,
    /// Grows with each use; the smallest number was used longest ago.
    uses: u64,
}

struct Kept {
    leaf: Arc<CertifiedKey>,
    fresh: Range<SystemTime>,
    used: u64,
}

impl Cache {
    pub(super) fn new(most: usize) -> Cache {
        Cache { most, kept: HashMap::new(), uses: 0 }
    }

    /// The leaf for `domain`, unless it is time for a new one. A leaf from the future tells that the
    /// clock was set back: others' clocks may find it not valid yet.
    pub(super) fn fresh(&mut self, domain: &Domain, now: SystemTime) -> Option<Arc<CertifiedKey>> {
        let kept = self.kept.get_mut(domain).filter(|kept| kept.fresh.contains(&now))?;
        self.uses += 1;
        kept.used = self.uses;
        Some(kept.leaf.clone())
    }

    /// Keeps a leaf to be shown while it is `fresh`; the one used longest ago makes room.
    pub(super) fn keep(&mut self, domain: &Domain, leaf: Arc<CertifiedKey>, fresh: Range<SystemTime>) {
        if self.kept.len() >= self.most && !self.kept.contains_key(domain) {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(domain, _)| domain.clone());
            oldest.and_then(|domain| self.kept.remove(&domain));
        }
        self.uses += 1;
        self.kept.insert(domain.clone(), Kept { leaf, fresh, used: self.uses });
    }
}
