//! Where a lost message was lost, as far as those who had it can tell.

use std::collections::BTreeMap;

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
