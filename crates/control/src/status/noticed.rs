//! Since when something is wrong, where nothing but our own looks at it can say so.

use std::collections::BTreeMap;
use std::time::SystemTime;

use api::control::Wrong;

use super::milliseconds;

/// Something that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where: a member's name, or the installation's.
    pub at: String,
    /// What, in a sentence, with what to do.
    pub what: String,
    /// Since when, where that is known.
    pub since: Option<SystemTime>,
}

/// When what is wrong was seen first. It is looked at every few seconds, so this is about when it began, or when this
/// controller started.
#[derive(Debug, Default)]
pub struct Noticed(BTreeMap<(String, String), SystemTime>);

impl Noticed {
    /// Says of each since when it is so, the oldest first; what isn't among them any more is forgotten.
    pub fn date(&mut self, findings: Vec<Finding>, now: SystemTime) -> Vec<Wrong> {
        let before = std::mem::take(&mut self.0);
        let mut dated = Vec::new();
        for Finding { at, what, since } in findings {
            let since = since.unwrap_or_else(|| {
                let key = (at.clone(), wording(&what));
                let first = before.get(&key).copied().unwrap_or(now);
                *self.0.entry(key).or_insert(first)
            });
            dated.push(Wrong { at, what, since: milliseconds(since) });
        }
        dated.sort_by_key(|wrong| wrong.since);
        dated
    }
}

/// A sentence without its numbers: `9 days left` and `8 days left` are the same concern.
fn wording(what: &str) -> String {
    what.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn finding(at: &str, what: &str, since: Option<SystemTime>) -> Finding {
        Finding { at: at.to_owned(), what: what.to_owned(), since }
    }

    #[test]
    fn what_stays_wrong_keeps_its_time_and_what_comes_back_gets_a_new_one() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut noticed = Noticed::default();
        let mut since = |what: &[&str], now| {
            let findings = what.iter().map(|what| finding("edge1", what, None)).collect();
            noticed.date(findings, at(now)).iter().map(|wrong| wrong.since / 1000).collect::<Vec<_>>()
        };
        assert_eq!(since(&["9 days left"], 10), [10]);
        assert_eq!(since(&["8 days left", "it is cold"], 20), [10, 20]);
        assert_eq!(since(&["it is cold"], 30), [20]);
        assert_eq!(since(&["8 days left", "it is cold"], 40), [20, 40], "the oldest first");
    }

    #[test]
    fn what_is_known_to_be_older_is_told_so_and_places_are_told_apart() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let mut noticed = Noticed::default();
        let since = now - Duration::from_secs(90);
        let all = vec![finding("edge1", "a", None), finding("edge2", "a", Some(since)), finding("edge3", "a", None)];
        let dated = noticed.date(all, now);
        assert_eq!(dated.iter().map(|wrong| wrong.since).collect::<Vec<_>>(), [10_000, 100_000, 100_000]);
        assert_eq!(dated[0].at, "edge2");
    }
}
