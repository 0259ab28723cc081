//! Who lost a message: what those say who had it, and what else is known about the run.

use std::collections::BTreeMap;

use super::fault::{Deed, Fault, Victim};
use crate::lab::split::Split;

/// Those lost by fedge; there must be none.
pub const FEDGE: &str = "fedge";
/// In the memory of a server that was killed.
pub const KILLED: &str = "killed server";
/// Prosody returns the last 500 stanzas of a stream that broke, and drops those before.
pub const QUEUE: &str = "Prosody beyond 500";
/// Between a server without acknowledgements and its peer, when their connection broke.
pub const BREAK: &str = "no acknowledgements";

/// What the members that live know of a lost message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// No member had it; those named live no more and can't be asked.
    Nothing {
        /// Dead members.
        dead: Vec<&'static str>,
    },
    /// The next server took it, says each of these.
    Taken(String),
    /// Something else became of it.
    Other(String),
}

/// What of a run bears on who lost something in one direction.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Circumstances {
    /// The sender's server was killed.
    pub(super) sender_killed: bool,
    /// The addressee's server was killed.
    pub(super) receiver_killed: bool,
    /// The sender's server has no acknowledgements, and a connection of its may have broken.
    pub(super) sender_blind: bool,
}

impl Circumstances {
    /// Of a fault, for what comes in, or else goes out.
    pub(super) fn of(fault: Fault, inward: bool, partner: &str) -> Circumstances {
        let killed = |victim| fault.deed == Deed::Kill && fault.victim == victim;
        let at_partner = matches!(fault.victim, Victim::Edge | Victim::Pool | Victim::Outside | Victim::Partner);
        // What is drained or moved away from is left in peace.
        let breaks = at_partner && !matches!(fault.deed, Deed::Drain | Deed::Move);
        let blind = partner == "ejabberd" && breaks;
        let (sender, receiver) =
            if inward { (Victim::Partner, Victim::NextHop) } else { (Victim::NextHop, Victim::Partner) };
        Circumstances {
            sender_killed: killed(sender),
            receiver_killed: killed(receiver),
            sender_blind: inward && blind,
        }
    }
}

/// Asks those of `members` that run what became of the messages with these ids in this pair.
///
/// # Errors
/// When one of them doesn't answer.
pub(super) fn fates(
    split: &Split,
    members: &[&'static str],
    pair: (&str, &str),
    ids: &[String],
) -> anyhow::Result<Vec<Known>> {
    let runs = |member: &&'static str| split.members.contains_key(*member);
    let (alive, dead): (Vec<_>, Vec<_>) = members.iter().copied().partition(runs);
    let one = |id: &String| {
        let mut told = Vec::new();
        for member in &alive {
            let fates = split.fates(member, id, pair)?;
            told.extend(fates.into_iter().map(|fate| format!("{member}: {fate}")));
        }
        Ok(match told.is_empty() {
            true => Known::Nothing { dead: dead.clone() },
            false if told.iter().all(|told| told.contains(": taken")) => Known::Taken(told.join("; ")),
            false => Known::Other(told.join("; ")),
        })
    };
    ids.iter().map(one).collect()
}

/// How many were lost where.
pub(super) fn places(known: &[Known]) -> BTreeMap<String, usize> {
    let mut places = BTreeMap::new();
    for known in known {
        let place = match known {
            Known::Nothing { dead } if dead.is_empty() => "no member had it: before fedge".to_owned(),
            Known::Nothing { dead } => format!("no member that lives had it: before fedge, or in {}", dead.join(", ")),
            Known::Taken(told) | Known::Other(told) => told.clone(),
        };
        *places.entry(place).or_default() += 1;
    }
    places
}

/// Whose loss they are. `dropped` is what the sender's server says that it dropped itself. What nothing
/// explains is fedge's.
pub(super) fn blame(known: &[Known], dropped: usize, circumstances: &Circumstances) -> BTreeMap<String, usize> {
    let mut by: BTreeMap<String, usize> = BTreeMap::new();
    let mut dropped = dropped;
    for known in known {
        let whose = match known {
            Known::Nothing { .. } if circumstances.sender_killed => KILLED,
            Known::Nothing { .. } if dropped > 0 => {
                dropped -= 1;
                QUEUE
            }
            Known::Nothing { .. } if circumstances.sender_blind => BREAK,
            Known::Taken(_) if circumstances.receiver_killed => KILLED,
            _ => FEDGE,
        };
        *by.entry(whose.to_owned()).or_default() += 1;
    }
    by
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blamed(known: &[Known], dropped: usize, circumstances: Circumstances) -> Vec<(String, usize)> {
        blame(known, dropped, &circumstances).into_iter().collect()
    }

    fn known() -> [Known; 3] {
        let nothing = Known::Nothing { dead: Vec::new() };
        [nothing, Known::Taken("edge1: taken".into()), Known::Other("edge1: in flight".into())]
    }

    #[test]
    fn what_nothing_explains_is_fedges() {
        assert_eq!(blamed(&known(), 0, Circumstances::default()), [(FEDGE.to_owned(), 3)]);
    }

    #[test]
    fn a_killed_server_takes_along_what_it_had() {
        let killed = Circumstances { sender_killed: true, receiver_killed: true, ..Circumstances::default() };
        assert_eq!(blamed(&known(), 0, killed), [(FEDGE.to_owned(), 1), (KILLED.to_owned(), 2)]);
    }

    #[test]
    fn a_prosody_explains_as_many_as_it_says() {
        let nothing = Known::Nothing { dead: vec!["edge1"] };
        let known = [nothing.clone(), nothing.clone(), nothing];
        assert_eq!(blamed(&known, 2, Circumstances::default()), [(QUEUE.to_owned(), 2), (FEDGE.to_owned(), 1)]);
    }

    #[test]
    fn only_whoever_lost_a_connection_is_blind() {
        let of = |name: &str, inward| Circumstances::of(name.parse().expect("a fault"), inward, "ejabberd");
        assert!(of("kill-edge", true).sender_blind && of("reject-partner", true).sender_blind);
        assert!(!of("kill-gateway", true).sender_blind && !of("drain-edge", true).sender_blind);
        assert!(!Circumstances::of("kill-edge".parse().expect("a fault"), true, "prosody").sender_blind);
        assert!(of("kill-partner", true).sender_killed && of("kill-next-hop", true).receiver_killed);
    }
}
