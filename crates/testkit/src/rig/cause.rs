//! Where a lost message was lost, as far as those who had it can tell.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::lab::split::Split;

/// So many are asked for.
const ASKED: usize = 20;

/// Asks those of `members` that run what became of the messages with these ids in this pair, and counts
/// the answers.
///
/// # Errors
/// When one of them doesn't answer.
pub(super) fn ask(
    split: &Split,
    members: &[&'static str],
    pair: &str,
    ids: &[String],
) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut found = BTreeMap::new();
    for id in ids.iter().take(ASKED) {
        let mut told = Vec::new();
        for member in members.iter().filter(|member| split.members.contains_key(**member)) {
            let said = split.ask(member, &["stanza", id])?;
            let lines = said.lines().filter(|line| line.contains(pair));
            told.extend(lines.filter_map(|line| Some(format!("{member}: {}", line.split_once("ago: ")?.1))));
        }
        let gone: Vec<_> = members.iter().filter(|member| !split.members.contains_key(**member)).copied().collect();
        let where_lost = match (told.is_empty(), gone.is_empty()) {
            (false, _) => told.join("; "),
            (true, true) => "no member had it: before fedge".to_owned(),
            (true, false) => format!("no member that lives had it: before fedge, or in {}", gone.join(", ")),
        };
        *found.entry(where_lost).or_default() += 1;
    }
    Ok(found)
}

/// The log of a domain's Prosody, from some time on.
#[derive(Debug)]
pub(super) struct Since {
    log: PathBuf,
    length: usize,
}

impl Since {
    /// From now on.
    pub(super) fn now(split: &Split, domain: &str) -> anyhow::Result<Option<Since>> {
        let Some(server) = split.servers.iter().find(|server| server.plan.domain == domain) else { return Ok(None) };
        let log = server.daemons[0].log().to_owned();
        let length = fs::read(&log)?.len();
        Ok(Some(Since { log, length }))
    }

    /// For how many stanzas on streams to other servers no acknowledgement had come when these ended.
    pub(super) fn unacknowledged(&self) -> anyhow::Result<usize> {
        Ok(unacknowledged_in(&read_from(&self.log, self.length)?))
    }
}

fn read_from(log: &Path, length: usize) -> anyhow::Result<String> {
    let text = fs::read(log)?;
    Ok(String::from_utf8_lossy(text.get(length..).unwrap_or_default()).into_owned())
}

fn unacknowledged_in(log: &str) -> usize {
    let line = |line: &str| {
        let (before, after) = line.split_once("Destroying session with ")?;
        let number = after.split(' ').next()?.parse::<usize>().ok()?;
        before.contains("s2sout").then_some(number)
    };
    log.lines().filter_map(line).sum()
}

#[cfg(test)]
mod tests {
    use super::unacknowledged_in;

    #[test]
    fn prosody_says_what_was_not_acknowledged() {
        let log = "2026-11-25T00:05:46 s2sout55ab9e68ee20 \twarn\tDestroying session with 1160 unacked stanzas\n\
                   2026-11-25T00:05:46 c2s55ab9e68ee20 \twarn\tDestroying session with 7 unacked stanzas\n\
                   2026-11-25T00:05:47 s2sout55ab9e68ee21 \twarn\tDestroying session with 2 unacked stanzas\n";
        assert_eq!(unacknowledged_in(log), 1162);
    }
}
