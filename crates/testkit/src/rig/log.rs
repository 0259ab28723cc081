//! What a server wrote to its log about its streams to other servers during a run: what it lost of its own accord.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::lab::split::Split;

/// So many stanzas of a stream Prosody keeps for the case that it breaks (`smacks_max_queue_size`).
const KEPT: usize = 500;
/// Most lines that are shown.
const SHOWN: usize = 12;

/// A server's log, from some time on.
#[derive(Debug)]
pub struct Since {
    domain: String,
    log: PathBuf,
    length: usize,
}

/// What it says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// For how many stanzas on streams to other servers no acknowledgement had come when these ended.
    pub unacknowledged: usize,
    /// Those of them that were more than it keeps, so that it could return no error.
    pub dropped: usize,
    /// How often it set up a stream for the pair.
    pub streams: usize,
    /// The lines about streams to other servers that ended or failed.
    pub lines: Vec<String>,
}

impl Since {
    /// From now on.
    ///
    /// # Errors
    /// When there is no such server, or no log of it.
    pub fn now(split: &Split, domain: &str) -> anyhow::Result<Since> {
        let log = log_of(split, domain)?;
        let length = fs::read(&log)?.len();
        Ok(Since { domain: domain.to_owned(), log, length })
    }

    /// What was added, also by a server that was started in the place of a killed one, about streams to `to`.
    ///
    /// # Errors
    /// When it can't be read any more.
    pub fn said(&self, split: &Split, to: &str) -> anyhow::Result<Said> {
        let mut text = fs::read(&self.log)?.split_off(self.length);
        let successor = log_of(split, &self.domain)?;
        if successor != self.log {
            text.extend(fs::read(successor)?);
        }
        Ok(read(&String::from_utf8_lossy(&text), &self.domain, to))
    }
}

fn log_of(split: &Split, domain: &str) -> anyhow::Result<PathBuf> {
    let server = split.servers.iter().find(|server| server.plan.domain == domain);
    Ok(server.context("a domain without a server")?.log())
}

fn read(log: &str, from: &str, to: &str) -> Said {
    let mut said = Said::default();
    let pair = format!("{from} -> {to}: ");
    let complete = format!("Outgoing s2s connection {from}->{to} complete");
    for line in log.lines() {
        let destroyed = line.split_once("Destroying session with ").filter(|(before, _)| before.contains("s2sout"));
        if let Some(stanzas) = destroyed.and_then(|(_, after)| after.split(' ').next()?.parse::<usize>().ok()) {
            said.unacknowledged += stanzas;
            said.dropped += stanzas.saturating_sub(KEPT);
        }
        said.streams += usize::from(line.ends_with(&complete));
        let of_prosody = line.contains("s2sout") && ["warn", "error", "closed"].iter().any(|word| line.contains(word));
        let of_ejabberd = line.contains("outbound s2s connection") && line.contains(&pair);
        if (of_prosody || of_ejabberd) && said.lines.len() < SHOWN {
            said.lines.push(line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn prosody_says_what_was_not_acknowledged() {
        let log = "2026-11-25T00:05:46 s2sout55ab9e68ee20 \twarn\tDestroying session with 1160 unacked stanzas\n\
                   2026-11-25T00:05:46 c2s55ab9e68ee20 \twarn\tDestroying session with 700 unacked stanzas\n\
                   2026-11-25T00:05:47 s2sout55ab9e68ee21 \twarn\tDestroying session with 2 unacked stanzas\n\
                   2026-11-25T00:05:48 s2sout55ab9e68ee22 \tinfo\tOutgoing s2s connection a.test->b.test complete\n\
                   2026-11-25T00:05:48 s2sout55ab9e68ee23 \tinfo\tOutgoing s2s connection a.test->c.test complete\n";
        let said = read(log, "a.test", "b.test");
        assert_eq!((said.unacknowledged, said.dropped, said.streams, said.lines.len()), (1162, 660, 1, 2));
    }

    #[test]
    fn ejabberd_says_that_a_stream_failed() {
        let log = "2026-11-25 00:05:46.1+00:00 [info] <0.5.0> Outbound s2s connection a.test -> b.test established\n\
                   2026-11-25 00:05:47.1+00:00 [info] <0.5.0> Closing outbound s2s connection a.test -> b.test: \
                   Stream closed by us: connection reset by peer (system-shutdown)\n";
        assert_eq!(read(log, "a.test", "b.test").lines.len(), 1);
    }
}
