//! A zone changed to what it should hold: decided from what is there, and written only over that.

use std::net::SocketAddr;

use store::StoreError;
use topology::records::{Change, Contents, Mark, RecordSet, difference, foreign};
use topology::zone::Publisher;

use super::look::Seen;
use super::{NameServers, Unwritten, owned};
use crate::ledger::Ledger;

/// How often it is looked anew after somebody else was faster.
const ATTEMPTS: usize = 5;
/// So many sets are shown of more.
const SHOWN: usize = 10;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// Our own name servers answer it by the snapshot that controllers give them.
    Served,
    /// Somebody has to do it by hand.
    ByHand,
    /// It was all there.
    Already,
    /// It was written.
    Written(Vec<Change>),
}

/// Why a zone wasn't changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Another installation publishes there, or somebody's text is in the mark's place.
    #[error(
        "{zone} has the mark of somebody else: `{mark}`, and ours is `{ours}`. Two installations must not publish in one zone; if that \
         one is no more, delete the record _epoch.{zone} TXT, and adopt its names: `fedge dns apply --zone {zone} --adopt`"
    )]
    Another {
        /// The zone.
        zone: String,
        /// What stands there.
        mark: String,
        /// What would.
        ours: Mark,
    },
    /// A later route or topology is published there already.
    #[error("{zone} has what was made from something later: `{mark}`, and this would be `{ours}`")]
    Newer {
        /// The zone.
        zone: String,
        /// What stands there.
        mark: Mark,
        /// What would.
        ours: Mark,
    },
    /// Somebody has put something at names that should be ours.
    #[error(
        "{zone} has records of somebody else at our names:\n{}\nlook whether they may go, and then adopt the names: \
         `fedge dns apply --zone {zone} --adopt`",
        shown(sets)
    )]
    Foreign {
        /// The zone.
        zone: String,
        /// They.
        sets: Vec<RecordSet>,
    },
    /// The name server that takes updates can't be asked.
    #[error("{server}, which takes the updates of {zone}, can't be asked: {why}")]
    Unasked {
        /// The zone.
        zone: String,
        /// The name server.
        server: SocketAddr,
        /// Why.
        why: String,
    },
    /// It doesn't take the update.
    #[error("{zone} can't be changed: {why}")]
    Unwritten {
        /// The zone.
        zone: String,
        /// Why.
        why: String,
    },
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
}

fn shown(sets: &[RecordSet]) -> String {
    let lines: Vec<String> = sets.iter().take(SHOWN).flat_map(RecordSet::lines).collect();
    let more = sets.len().saturating_sub(SHOWN);
    if more > 0 { format!("{}\nand {more} more", lines.join("\n")) } else { lines.join("\n") }
}

/// What is to be sent to a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    /// It holds all of it, with its mark.
    Nothing,
    /// These changes, over this mark, or over none.
    Write {
        /// The mark that must be there.
        before: Option<Mark>,
        /// What changes besides.
        changes: Vec<Change>,
    },
}

/// Decides what is to be sent to a zone that holds this. Names in `owned` are ours; others only with `adopt`.
///
/// # Errors
/// Why nothing may be.
pub fn decide(contents: &Contents, seen: &Seen, owned: &[String], adopt: bool) -> Result<Doing, ApplyError> {
    let (zone, ours) = (contents.zone.name.clone(), contents.mark.clone());
    let before = match &seen.mark {
        Some(Err(text)) => return Err(ApplyError::Another { zone, mark: text.clone(), ours }),
        Some(Ok(mark)) if mark.owner != ours.owner => {
            return Err(ApplyError::Another { zone, mark: mark.to_string(), ours });
        }
        Some(Ok(mark)) if !mark.is_not_after(&ours) => {
            return Err(ApplyError::Newer { zone, mark: mark.clone(), ours });
        }
        Some(Ok(mark)) => Some(mark.clone()),
        None => None,
    };
    // Without a mark nothing there is ours, whatever the store remembers.
    let owned = if before.is_some() { owned } else { &[] };
    let sets = foreign(&contents.sets, &seen.sets, owned);
    if !sets.is_empty() && !adopt {
        return Err(ApplyError::Foreign { zone, sets });
    }
    let changes = difference(&contents.sets, &seen.sets, owned);
    if changes.is_empty() && before.as_ref() == Some(&ours) {
        return Ok(Doing::Nothing);
    }
    Ok(Doing::Write { before, changes })
}

/// Has a zone hold what it should, as far as that is ours to do. `by` is who wants it, and why.
///
/// # Errors
/// Why not; then it holds what it held, or what somebody else has written.
pub async fn apply(
    ledger: &Ledger,
    servers: &dyn NameServers,
    contents: &Contents,
    adopt: bool,
    by: (&str, &str),
) -> Result<Applied, ApplyError> {
    let zone = contents.zone.name.clone();
    let primary = match &contents.zone.publisher {
        Publisher::Embedded { .. } => return Ok(Applied::Served),
        Publisher::Manual { .. } => return Ok(Applied::ByHand),
        Publisher::Rfc2136 { primary, .. } => *primary,
    };
    for _ in 0..ATTEMPTS {
        let (known, _, _) = owned::of(ledger, &zone).await?;
        let known: Vec<String> = known.names.into_iter().collect();
        let seen = servers.observe(primary, contents, &known).await;
        let seen = seen.map_err(|why| ApplyError::Unasked { zone: zone.clone(), server: primary, why })?;
        let Doing::Write { before, changes } = decide(contents, &seen, &known, adopt)? else {
            owned::claim(ledger, contents, by).await?;
            owned::settle(ledger, contents).await?;
            return Ok(Applied::Already);
        };
        // Before it is sent: whoever finds it there later must know that it is ours.
        owned::claim(ledger, contents, by).await?;
        match servers.update(contents, before.as_ref(), &changes).await {
            Ok(()) => {
                owned::settle(ledger, contents).await?;
                return Ok(Applied::Written(changes));
            }
            // Another controller, with the same or something later: how it is now decides.
            Err(Unwritten::Overtaken) => {}
            Err(Unwritten::Refused(why)) => return Err(ApplyError::Unwritten { zone, why }),
        }
    }
    let why = format!("somebody else was faster each of {ATTEMPTS} times; who changes it?");
    Err(ApplyError::Unwritten { zone, why })
}

#[cfg(test)]
mod tests;
