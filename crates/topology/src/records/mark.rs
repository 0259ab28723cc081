//! The mark in a zone: whose the names of ours are, and what they were made from.

use std::fmt;
use std::str::FromStr;

use super::RecordSet;

/// What a zone's records were made from. Of one owner, the later is the greater.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mark {
    /// The installation's id: random, so that no other has it.
    pub owner: String,
    /// The route's epoch.
    pub epoch: u64,
    /// The topology's version.
    pub topology: u64,
}

/// The text is no mark of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` doesn't say `fedge owner=… epoch=… topology=…`")]
pub struct MarkError(String);

/// The name at which a zone has its mark.
pub fn mark_name(zone: &str) -> String {
    format!("_epoch.{zone}")
}

impl Mark {
    /// Whether it is of the same installation, and was made from nothing later than the other.
    pub fn is_not_after(&self, other: &Mark) -> bool {
        self.owner == other.owner && (self.epoch, self.topology) <= (other.epoch, other.topology)
    }

    /// The serial of a zone that holds nothing but ours: the same on every server, and greater after each change. It wraps,
    /// as serials do (RFC 1982).
    pub fn serial(&self) -> u32 {
        u32::try_from(self.epoch.wrapping_add(self.topology) & u64::from(u32::MAX)).unwrap_or_default()
    }

    /// The record in a zone.
    pub fn set(&self, zone: &str, ttl: u32) -> RecordSet {
        RecordSet { name: mark_name(zone), kind: "TXT".to_owned(), ttl, values: vec![format!("\"{self}\"")] }
    }

    /// Read from a record's value, as a zone file has it.
    ///
    /// # Errors
    /// When it is somebody else's text.
    pub fn read(value: &str) -> Result<Mark, MarkError> {
        value.trim_matches('"').parse()
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fedge owner={} epoch={} topology={}", self.owner, self.epoch, self.topology)
    }
}

impl FromStr for Mark {
    type Err = MarkError;

    fn from_str(text: &str) -> Result<Mark, MarkError> {
        let read = || {
            let mut words = text.strip_prefix("fedge owner=")?.split(' ');
            let owner = words.next().filter(|owner| !owner.is_empty())?.to_owned();
            let epoch = words.next()?.strip_prefix("epoch=")?.parse().ok()?;
            let topology = words.next()?.strip_prefix("topology=")?.parse().ok()?;
            words.next().is_none().then_some(Mark { owner, epoch, topology })
        };
        read().ok_or_else(|| MarkError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let mark = Mark { owner: "a1b2".to_owned(), epoch: 7, topology: 12 };
        assert_eq!(Mark::read(&mark.set("contoso.test.", 30).values[0]), Ok(mark));
        for bad in [
            "",
            "fedge owner= epoch=1 topology=1",
            "fedge owner=a epoch=1",
            "v=spf1",
            "fedge owner=a epoch=1 topology=1 x",
        ] {
            assert!(bad.parse::<Mark>().is_err(), "{bad}");
        }
    }

    #[test]
    fn later_is_greater_and_another_owner_is_neither() {
        let mark = |owner: &str, epoch, topology| Mark { owner: owner.to_owned(), epoch, topology };
        assert!(mark("a", 7, 12).is_not_after(&mark("a", 8, 12)));
        assert!(mark("a", 7, 12).is_not_after(&mark("a", 7, 13)));
        assert!(!mark("a", 8, 12).is_not_after(&mark("a", 7, 13)));
        assert!(!mark("a", 7, 12).is_not_after(&mark("b", 8, 12)));
        assert_eq!(mark("a", u64::from(u32::MAX), 2).serial(), 1);
    }
}
