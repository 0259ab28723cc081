//! What has to change in a zone so that it holds of ours what it should, and nothing else is touched.

use std::fmt;

use super::RecordSet;

/// One change to a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// There is no such set.
    Add(RecordSet),
    /// It says something else, or may be kept for another time.
    Replace {
        /// What is there.
        before: RecordSet,
        /// What should be.
        after: RecordSet,
    },
    /// It shouldn't be there any more.
    Remove(RecordSet),
}

impl Change {
    /// What is there, if anything is.
    pub fn before(&self) -> Option<&RecordSet> {
        match self {
            Change::Add(_) => None,
            Change::Replace { before, .. } | Change::Remove(before) => Some(before),
        }
    }

    /// What should be, if anything should.
    pub fn after(&self) -> Option<&RecordSet> {
        match self {
            Change::Add(after) | Change::Replace { after, .. } => Some(after),
            Change::Remove(_) => None,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = match self {
            Change::Add(after) => (Vec::new(), after.lines()),
            Change::Replace { before, after } => (before.lines(), after.lines()),
            Change::Remove(before) => (before.lines(), Vec::new()),
        };
        let lines = before.iter().map(|line| format!("- {line}")).chain(after.iter().map(|line| format!("+ {line}")));
        f.write_str(&lines.collect::<Vec<_>>().join("\n"))
    }
}

/// The types that we publish; others at our names are somebody else's.
const KINDS: [&str; 5] = ["SRV", "CNAME", "A", "AAAA", "TLSA"];

/// What has to change where `is` is there and `should` should be; what goes comes first, so that an alias makes room.
/// Names that we own and that shouldn't be any more lose what we put there; names that nobody says are ours stay as they are.
pub fn difference(should: &[RecordSet], is: &[RecordSet], owned: &[String]) -> Vec<Change> {
    let same_place =
        |one: &RecordSet, other: &RecordSet| one.name.eq_ignore_ascii_case(&other.name) && one.kind == other.kind;
    let meant = |name: &str| {
        owned.iter().any(|owned| owned.eq_ignore_ascii_case(name))
            || should.iter().any(|set| set.name.eq_ignore_ascii_case(name))
    };
    let stale = is.iter().filter(|set| KINDS.contains(&set.kind.as_str()) && meant(&set.name));
    let stale = stale.filter(|set| !should.iter().any(|wanted| same_place(wanted, set)));
    let mut changes: Vec<Change> = stale.cloned().map(Change::Remove).collect();
    for after in should {
        match is.iter().find(|set| same_place(set, after)) {
            None => changes.push(Change::Add(after.clone())),
            Some(before) if before.says(after) && before.ttl == after.ttl => {}
            Some(before) => changes.push(Change::Replace { before: before.clone(), after: after.clone() }),
        }
    }
    changes
}

/// What is there at names that should be ours, says something else than we would, and isn't ours yet: somebody put it there,
/// and should be asked.
pub fn foreign(should: &[RecordSet], is: &[RecordSet], owned: &[String]) -> Vec<RecordSet> {
    let is_owned = |name: &str| owned.iter().any(|owned| owned.eq_ignore_ascii_case(name));
    let is_wanted = |name: &str| should.iter().any(|set| set.name.eq_ignore_ascii_case(name));
    let foreign = is.iter().filter(|set| KINDS.contains(&set.kind.as_str()));
    let foreign = foreign.filter(|set| is_wanted(&set.name) && !is_owned(&set.name));
    foreign.filter(|set| !should.iter().any(|wanted| wanted.says(set))).cloned().collect()
}
