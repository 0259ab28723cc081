//! What name servers say of a zone, and what follows from it: whether it is published, what has to change, and whose it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use topology::records::{Change, Contents, Mark, RecordSet, difference, foreign};
use topology::zone::{LONGEST_TTL, Publisher};

/// So many names of sets are told; of more, how many.
const NAMED: usize = 3;

/// What one name server says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The mark, or the text that stands in its place; nothing where there is none.
    pub mark: Option<Result<Mark, String>>,
    /// What it has at our names.
    pub sets: Vec<RecordSet>,
}

/// The same, or why it doesn't answer, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What it said.
    pub said: Result<Seen, String>,
    /// How long ago it was asked.
    pub age: Duration,
}

/// How a zone is, as far as this controller knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// What it should hold of ours.
    pub contents: Contents,
    /// The names that are ours there.
    pub owned: Vec<String>,
    /// What its name servers say; those that haven't been asked yet are missing.
    pub told: BTreeMap<SocketAddr, Told>,
    /// Whether it takes updates, or why not; nothing where it wasn't tried, or nobody sends it any.
    pub writable: Option<Result<(), String>>,
    /// How far this controller is with changing it.
    pub publishing: Publishing,
}

/// How far a controller is with changing a zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Publishing {
    /// It has nothing to do with it.
    #[default]
    Idle,
    /// It is under way.
    Running,
    /// It couldn't, for this reason; whether it is time to try again.
    Failed {
        /// Why.
        why: String,
        /// Whether it may be tried again.
        due: bool,
    },
    /// It has done it.
    Done {
        /// Whether it may be looked at again.
        due: bool,
    },
}

impl Publishing {
    /// Whether something may be begun now.
    pub fn is_due(&self) -> bool {
        match self {
            Publishing::Idle => true,
            Publishing::Running => false,
            Publishing::Failed { due, .. } | Publishing::Done { due } => *due,
        }
    }
}

/// How a name server stands to what should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It answers just that.
    Current,
    /// It wasn't asked yet.
    Unasked,
    /// It doesn't answer, for this reason.
    Silent(String),
    /// Another installation has its mark there, or somebody else a text.
    Another(String),
    /// There is no mark.
    Unmarked,
    /// It has what was made from an earlier route or topology.
    Behind(Mark),
    /// It has what was made from a later one.
    Ahead(Mark),
    /// It has something else at some names.
    Different(Vec<Change>),
}

impl Standing {
    /// In a sentence that begins with the name server.
    pub fn told(&self, server: &str) -> String {
        match self {
            Standing::Current => format!("{server} answers what it should"),
            Standing::Unasked => format!("{server} hasn't been asked yet"),
            // It mostly names the name server itself.
            Standing::Silent(why) if why.starts_with(server) => why.clone(),
            Standing::Silent(why) => format!("{server} can't be asked: {why}"),
            Standing::Another(text) => format!("{server} has the mark of somebody else: {text}"),
            Standing::Unmarked => format!("{server} has no mark of ours"),
            Standing::Behind(mark) => format!("{server} still answers epoch {}{}", mark.epoch, of(mark)),
            Standing::Ahead(mark) => format!("{server} answers epoch {}{} already", mark.epoch, of(mark)),
            Standing::Different(changes) => format!("{server} answers something else at {}", places(changes)),
        }
    }
}

fn of(mark: &Mark) -> String {
    format!(" (topology {})", mark.topology)
}

/// Whether it only differs how long an answer may be kept, and that isn't too long: it says nothing of where it leads, and not every
/// provider takes any time.
fn is_of_time(change: &Change) -> bool {
    matches!(change, Change::Replace { before, after } if before.says(after) && before.ttl <= LONGEST_TTL)
}

/// The first few sets that differ.
fn places(changes: &[Change]) -> String {
    let place = |change: &Change| {
        let (Change::Add(set) | Change::Replace { after: set, .. } | Change::Remove(set)) = change;
        format!("{} {}", set.name, set.kind)
    };
    let shown: Vec<String> = changes.iter().take(NAMED).map(place).collect();
    let more = changes.len().saturating_sub(NAMED);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

impl Look {
    /// Of a zone at which nobody has looked yet.
    pub fn unseen(contents: Contents) -> Look {
        Look { contents, owned: Vec::new(), told: BTreeMap::new(), writable: None, publishing: Publishing::default() }
    }

    /// The zone's name.
    pub fn zone(&self) -> &str {
        &self.contents.zone.name
    }

    /// A name server, as people know it.
    pub fn named(&self, server: SocketAddr) -> String {
        if let Publisher::Embedded { servers, .. } = &self.contents.zone.publisher
            && let Some(of) = servers.iter().find(|of| of.addresses.contains(&server.ip()))
        {
            return format!("{} ({})", of.fqdn, server.ip());
        }
        server.to_string()
    }

    /// What a name server says, if it was asked not longer ago than this.
    fn said(&self, server: SocketAddr, within: Duration) -> Option<&Result<Seen, String>> {
        self.told.get(&server).filter(|told| told.age <= within).map(|told| &told.said)
    }

    /// How a name server stands to what should be, if it was asked not longer ago than this.
    pub fn standing(&self, server: SocketAddr, within: Duration) -> Standing {
        match self.said(server, within) {
            None => Standing::Unasked,
            Some(Err(why)) => Standing::Silent(why.clone()),
            Some(Ok(seen)) => self.judged(seen),
        }
    }

    fn judged(&self, seen: &Seen) -> Standing {
        let wanted = &self.contents.mark;
        // Whoever is told what to change isn't bothered with a mark.
        let manual = matches!(self.contents.zone.publisher, Publisher::Manual { .. });
        match &seen.mark {
            Some(Err(text)) => return Standing::Another(text.clone()),
            Some(Ok(mark)) if mark.owner != wanted.owner => return Standing::Another(mark.to_string()),
            Some(Ok(mark)) if !manual && mark.epoch < wanted.epoch => return Standing::Behind(mark.clone()),
            Some(Ok(mark)) if !manual && !mark.is_not_after(wanted) => return Standing::Ahead(mark.clone()),
            None if !manual => return Standing::Unmarked,
            _ => {}
        }
        let mut changes = self.changes_on(seen);
        changes.retain(|change| !is_of_time(change));
        if changes.is_empty() { Standing::Current } else { Standing::Different(changes) }
    }

    fn changes_on(&self, seen: &Seen) -> Vec<Change> {
        difference(&self.contents.sets, &seen.sets, &self.owned)
    }

    /// Whether every name server answers what it should, as they were asked not longer ago than this.
    ///
    /// # Errors
    /// Each that doesn't, and what it answers.
    pub fn published(&self, within: Duration) -> Result<String, String> {
        let servers = self.contents.zone.publisher.servers();
        let standings = servers.iter().map(|server| (*server, self.standing(*server, within)));
        let bad: Vec<String> = standings
            .filter(|(_, standing)| *standing != Standing::Current)
            .map(|(server, standing)| standing.told(&self.named(server)))
            .collect();
        if bad.is_empty() {
            return Ok(format!("{}: all {} name servers answer it", self.zone(), servers.len()));
        }
        Err(format!("{}: {}", self.zone(), bad.join(", ")))
    }

    /// What is in the zone, where that is known: as its primary says; where there is none, as whoever says the latest.
    pub fn source(&self) -> Option<&Seen> {
        let seen = |server: &SocketAddr| self.told.get(server).and_then(|told| told.said.as_ref().ok());
        if let Publisher::Rfc2136 { primary, .. } = &self.contents.zone.publisher {
            return seen(primary);
        }
        let latest = |seen: &&Seen| match &seen.mark {
            Some(Ok(mark)) => Some((mark.epoch, mark.topology)),
            _ => None,
        };
        self.contents.zone.publisher.servers().iter().filter_map(seen).max_by_key(latest)
    }

    /// What has to change in it, where it is known what there is.
    pub fn changes(&self) -> Option<Vec<Change>> {
        let all = self.source().map(|seen| self.changes_on(seen))?;
        Some(all.into_iter().filter(|change| !self.leaves(change)).collect())
    }

    /// What differs in it, and is left as it is.
    pub fn left_alone(&self) -> Vec<Change> {
        let all = self.source().map(|seen| self.changes_on(seen)).unwrap_or_default();
        all.into_iter().filter(|change| self.leaves(change)).collect()
    }

    /// Where somebody changes the zone, a time that isn't too long is no reason to ask him. An update costs nobody anything.
    fn leaves(&self, change: &Change) -> bool {
        !matches!(self.contents.zone.publisher, Publisher::Rfc2136 { .. }) && is_of_time(change)
    }

    /// What is still there at names that are ours and should have nothing any more, with the name servers that say so. A zone
    /// without our mark has nothing of ours.
    pub fn left_over(&self) -> Vec<(RecordSet, Vec<SocketAddr>)> {
        let mut all: Vec<(RecordSet, Vec<SocketAddr>)> = Vec::new();
        for (server, told) in &self.told {
            let Ok(seen) = &told.said else { continue };
            if !matches!(self.judged(seen), Standing::Behind(_) | Standing::Different(_)) {
                continue;
            }
            for change in self.changes_on(seen) {
                let Change::Remove(set) = change else { continue };
                match all.iter_mut().find(|(known, _)| known.name == set.name && known.kind == set.kind) {
                    Some((_, servers)) => servers.push(*server),
                    None => all.push((set, vec![*server])),
                }
            }
        }
        all
    }

    /// What somebody else has put at names that should be ours.
    pub fn foreign(&self) -> Vec<RecordSet> {
        let sets = self.source().map(|seen| foreign(&self.contents.sets, &seen.sets, &self.owned));
        sets.unwrap_or_default()
    }

    /// The mark, where it is known what there is, and is one of this installation.
    pub fn mark(&self) -> Option<&Mark> {
        let mark = self.source()?.mark.as_ref()?.as_ref().ok()?;
        (mark.owner == self.contents.mark.owner).then_some(mark)
    }

    /// Whether somebody else has a mark in it, as any name server says, and which.
    pub fn another(&self) -> Option<String> {
        let seen = self.told.values().filter_map(|told| told.said.as_ref().ok());
        seen.filter_map(|seen| match seen.mark.as_ref()? {
            Err(text) => Some(text.clone()),
            Ok(mark) => (mark.owner != self.contents.mark.owner).then(|| mark.to_string()),
        })
        .next()
    }
}

#[cfg(test)]
mod tests;
