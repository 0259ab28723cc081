//! What a zone holds of ours, as one name server says it: the mark, and every set at our names.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;
use topology::records::{Contents, Mark, RecordSet, mark_name};

use crate::ask::{Answer, AskError, Manner, ask};

/// Questions that are on their way to one server at once.
const AT_ONCE: usize = 32;
/// What is read while it changes is read anew, so often.
const TRIES: usize = 4;

/// What a server says of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whose the names are, and what they were made from.
    pub mark: Marked,
    /// What stands at our names, of whatever type of ours, and how long it may be kept.
    pub sets: Vec<RecordSet>,
}

/// What stands where a zone has its mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marked {
    /// Nothing.
    Nothing,
    /// A mark, of whatever owner.
    By(Mark),
    /// A text that is no mark.
    Text(String),
}

impl Marked {
    /// The mark, if there is one.
    pub fn mark(&self) -> Option<&Mark> {
        match self {
            Marked::By(mark) => Some(mark),
            Marked::Nothing | Marked::Text(_) => None,
        }
    }

    /// Where the name is an alias, what it leads to is no mark of this zone.
    fn read(answer: &Answer, zone: &str) -> Marked {
        let values: Vec<&str> = answer
            .sets
            .iter()
            .filter(|set| set.kind == "TXT" && set.name.eq_ignore_ascii_case(&mark_name(zone)))
            .flat_map(|set| &set.values)
            .map(String::as_str)
            .collect();
        match values[..] {
            [] => Marked::Nothing,
            [value] => Mark::read(value).map_or_else(|_| Marked::Text(value.to_owned()), Marked::By),
            _ => Marked::Text(values.join(" ")),
        }
    }
}

impl std::fmt::Display for Marked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Marked::Nothing => f.write_str("no mark"),
            Marked::By(mark) => write!(f, "the mark `{mark}`"),
            Marked::Text(text) => write!(f, "the text {text}"),
        }
    }
}

/// The mark of a zone.
///
/// # Errors
/// As [`ask`].
pub async fn mark(server: SocketAddr, zone: &str, manner: Manner, patience: Duration) -> Result<Marked, AskError> {
    Ok(Marked::read(&ask(server, &mark_name(zone), "TXT", manner, patience).await?, zone))
}

/// Asks a server that has authority for all that it should hold of ours, and for what it still holds at names that we own.
/// Each question has `patience`.
///
/// # Errors
/// As [`ask`], for the first question that isn't answered.
pub async fn observe(
    server: SocketAddr,
    contents: &Contents,
    owned: &[String],
    patience: Duration,
) -> Result<Seen, AskError> {
    let zone = &contents.zone.name;
    let names: BTreeSet<&str> =
        contents.sets.iter().map(|set| set.name.as_str()).chain(owned.iter().map(String::as_str)).collect();
    let mut tries = 0;
    loop {
        tries += 1;
        let before = ask(server, &mark_name(zone), "TXT", Manner::Authority, patience).await?;
        let sets = all(server, &names, patience).await?;
        let after = ask(server, &mark_name(zone), "TXT", Manner::Authority, patience).await?;
        // Of what changed meanwhile, one half would be old and the other new.
        let mark = Marked::read(&after, zone);
        if Marked::read(&before, zone) == mark || tries == TRIES {
            return Ok(Seen { mark, sets });
        }
    }
}

/// What stands at each name.
async fn all(server: SocketAddr, names: &BTreeSet<&str>, patience: Duration) -> Result<Vec<RecordSet>, AskError> {
    let mut questions = Vec::new();
    for name in names {
        questions.extend(kinds(name).iter().map(|kind| ((*name).to_owned(), *kind)));
    }
    let mut questions = questions.into_iter();
    let (mut running, mut sets) = (JoinSet::new(), Vec::<RecordSet>::new());
    loop {
        while running.len() < AT_ONCE {
            let Some((name, kind)) = questions.next() else { break };
            running.spawn(async move {
                let answer = ask(server, &name, kind, Manner::Authority, patience).await?;
                // What an alias leads to is asked for by itself, where it is ours.
                Ok(answer.sets.into_iter().filter(move |set| set.name.eq_ignore_ascii_case(&name)).collect::<Vec<_>>())
            });
        }
        let Some(done) = running.join_next().await else { break };
        let found: Result<Vec<RecordSet>, AskError> =
            done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        // Of an alias both questions tell.
        sets.extend(found?.into_iter().filter(|set| !sets.contains(set)).collect::<Vec<_>>());
    }
    // Servers give the records of a set in turns.
    sets.iter_mut().for_each(|set| set.values.sort_unstable());
    sets.sort_by(|one, other| (&one.name, &one.kind).cmp(&(&other.name, &other.kind)));
    Ok(sets)
}

/// The types that ours have at such a name. An alias is told whatever one asks for.
fn kinds(name: &str) -> &'static [&'static str] {
    match name.strip_prefix('_').map(|rest| rest.starts_with(|first: char| first.is_ascii_digit())) {
        // A port's number.
        Some(true) => &["TLSA"],
        Some(false) => &["SRV"],
        None => &["A", "AAAA"],
    }
}
