//! The names of a signed zone in their canonical order (RFC 4034 §6.1): which one stands before a name that isn't there.

use super::wire;

/// The names, the zone's own first.
#[derive(Debug, Default)]
pub(super) struct Chain {
    links: Vec<Link>,
}

/// A name with records.
#[derive(Debug)]
pub(super) struct Link {
    /// By which it is ordered.
    key: Box<[u8]>,
    /// It, in wire form and small letters.
    pub(super) name: Box<[u8]>,
    /// The record that tells what it holds and which name follows, behind its name.
    pub(super) proof: Box<[u8]>,
    /// The signature of that, behind its name.
    pub(super) signature: Box<[u8]>,
}

impl Chain {
    /// Of these names, without proofs yet.
    pub(super) fn new(names: Vec<Vec<u8>>) -> Chain {
        let link = |name: Vec<u8>| Link {
            key: key(&name).into(),
            name: name.into(),
            proof: Box::default(),
            signature: Box::default(),
        };
        let mut links: Vec<Link> = names.into_iter().map(link).collect();
        links.sort_by(|one, other| one.key.cmp(&other.key));
        Chain { links }
    }

    /// Each name with the one that follows it; the first follows the last.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let following = self.links.iter().cycle().skip(1);
        self.links.iter().zip(following).map(|(link, next)| (&*link.name, &*next.name))
    }

    /// The same with proofs and signatures, in this order, for each name.
    pub(super) fn proven(mut self, proof: impl Fn(&[u8]) -> Option<[Box<[u8]>; 2]>) -> Chain {
        for link in &mut self.links {
            if let Some([proof, signature]) = proof(&link.name) {
                (link.proof, link.signature) = (proof, signature);
            }
        }
        self
    }

    /// What proves how a name of the zone is: its own link, or the one before it.
    pub(super) fn at(&self, name: &[u8]) -> Option<&Link> {
        let key = key(name);
        let after = self.links.partition_point(|link| *link.key <= *key);
        self.links.get(after.checked_sub(1)?)
    }

    /// What proves that a name isn't there, nor a wildcard that stands for it below `above`, which is the longest name above
    /// it that exists (RFC 4035 §3.1.3.2). Often one record proves both.
    pub(super) fn nothing(&self, name: &[u8], above: &[u8]) -> [Option<&Link>; 2] {
        let one = self.at(name);
        let other = self.at(&[b"\x01*", above].concat());
        let same = one.zip(other).is_some_and(|(one, other)| std::ptr::eq(one, other));
        [one, other.filter(|_| !same)]
    }
}

/// What orders as names do: their labels from the root on. A label that another one begins with comes before it, so labels
/// end with zeros, and bytes that would be taken for such an end get one before them.
fn key(name: &[u8]) -> Vec<u8> {
    let labels: Vec<&[u8]> = wire::labels(name).map(|at| &name[at + 1..=at + usize::from(name[at])]).collect();
    let mut key = Vec::with_capacity(name.len());
    for label in labels.into_iter().rev() {
        for byte in label {
            match byte {
                0 | 1 => key.extend([1, byte + 1]),
                _ => key.push(*byte),
            }
        }
        key.push(0);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(labels: &[&[u8]]) -> Vec<u8> {
        let mut name = Vec::new();
        for label in labels {
            name.push(u8::try_from(label.len()).expect("short"));
            name.extend(*label);
        }
        name.push(0);
        name
    }

    /// The order of RFC 4034 §6.1, in small letters.
    fn ordered() -> Vec<Vec<u8>> {
        let e: &[u8] = b"example";
        vec![
            name(&[e]),
            name(&[b"a", e]),
            name(&[b"yljkjljk", b"a", e]),
            name(&[b"z", b"a", e]),
            name(&[b"zabc", b"a", e]),
            name(&[b"z", e]),
            name(&[b"\x00", b"z", e]),
            name(&[b"\x01", b"z", e]),
            name(&[b"*", b"z", e]),
            name(&[b"\xc8", b"z", e]),
        ]
    }

    #[test]
    fn names_are_in_their_canonical_order() {
        let mut names = ordered();
        names.reverse();
        let chain = Chain::new(names);
        let found: Vec<Vec<u8>> = chain.links.iter().map(|link| link.name.to_vec()).collect();
        assert_eq!(found, ordered());
        let last = chain.pairs().last().expect("there are some");
        assert_eq!(last, (&*ordered()[9], &*ordered()[0]), "and in a circle");
    }

    #[test]
    fn a_name_that_is_not_there_has_one_before_it() {
        let chain = Chain::new(ordered());
        let before = |labels: &[&[u8]]| chain.at(&name(labels)).map(|link| link.name.to_vec());
        assert_eq!(before(&[b"b", b"example"]), Some(name(&[b"zabc", b"a", b"example"])));
        assert_eq!(before(&[b"z", b"a", b"example"]), Some(name(&[b"z", b"a", b"example"])), "itself");
        assert_eq!(before(&[b"zz", b"example"]), Some(name(&[b"\xc8", b"z", b"example"])));
        assert_eq!(before(&[b"0", b"example"]), Some(name(&[b"example"])));
    }

    #[test]
    fn a_name_and_its_wildcard_are_both_denied() {
        let example = name(&[b"example"]);
        let chain = Chain::new(ordered());
        let denied = |label: &[u8]| {
            let links = chain.nothing(&name(&[label, b"example"]), &example);
            links.map(|link| link.map(|link| link.name.to_vec()))
        };
        assert_eq!(denied(b"b"), [Some(name(&[b"zabc", b"a", b"example"])), Some(example.clone())]);
        assert_eq!(denied(b"0"), [Some(example.clone()), None], "one says both");
    }
}
