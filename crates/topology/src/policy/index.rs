//! Which entry covers a domain, found by its name: as fast among ten thousand entries as among ten.

use std::collections::HashMap;

use xmpp::domain::Domain;

use crate::partner::Pattern;

/// The entries of one kind by what they cover. They are told by their places in the list that it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    exact: HashMap<Domain, usize>,
    below: Parents,
}

impl Index {
    /// Of entries with these patterns, in their order. One without a pattern covers nothing.
    pub(super) fn of<'a>(patterns: impl Iterator<Item = Option<&'a Pattern>>) -> Index {
        let mut index = Index { exact: HashMap::new(), below: Parents::default() };
        for (place, pattern) in patterns.enumerate() {
            match pattern {
                // Of two with the same pattern, which no configuration may have, the later one counts.
                Some(pattern) if pattern.is_wildcard() => index.below.insert(pattern.domain(), place),
                Some(pattern) => drop(index.exact.insert(pattern.domain().clone(), place)),
                None => {}
            }
        }
        index
    }

    /// The entry that covers `domain` most narrowly: an exact domain before any pattern, a longer pattern before a
    /// shorter.
    pub(super) fn narrowest(&self, domain: &Domain) -> Option<usize> {
        self.exact.get(domain).copied().or_else(|| self.below.nearest(domain))
    }
}

/// Domains, found by what lies below them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Parents {
    /// By their A-label forms, as it is these that tell what lies below.
    places: HashMap<Box<str>, usize>,
    /// How many labels they have, most first, each number once: in practice two or three numbers, and a domain with a
    /// hundred labels is looked up no more often than any other.
    labels: Vec<usize>,
}

impl Parents {
    /// Of these domains, by their places.
    pub(super) fn of<'a>(domains: impl Iterator<Item = &'a Domain>) -> Parents {
        let mut parents = Parents::default();
        domains.enumerate().for_each(|(place, domain)| parents.insert(domain, place));
        parents
    }

    fn insert(&mut self, domain: &Domain, place: usize) {
        let labels = domain.to_ascii().split('.').count();
        if let Err(at) = self.labels.binary_search_by(|known| labels.cmp(known)) {
            self.labels.insert(at, labels);
        }
        self.places.insert(domain.to_ascii().into(), place);
    }

    /// The nearest one that `domain` is below.
    pub(super) fn nearest(&self, domain: &Domain) -> Option<usize> {
        self.labels.iter().find_map(|labels| self.places.get(last(*labels, domain.to_ascii())?).copied())
    }
}

/// The last labels of a name that has more of them.
fn last(labels: usize, name: &str) -> Option<&str> {
    let (dot, _) = name.rmatch_indices('.').nth(labels.checked_sub(1)?)?;
    name.get(dot + 1..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_labels_are_those_of_a_longer_name() {
        for (labels, name, expected) in [
            (1, "a.b.c", Some("c")),
            (2, "a.b.c", Some("b.c")),
            (3, "a.b.c", None),
            (4, "a.b.c", None),
            (1, "c", None),
            (0, "a.b.c", None),
        ] {
            assert_eq!(last(labels, name), expected, "{labels} of {name}");
        }
    }
}
