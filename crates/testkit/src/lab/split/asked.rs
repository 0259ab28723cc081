//! Asks a member about many stanzas: over its socket itself, as starting a program for each takes too long.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;

/// For an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer, as far as it matters here.
#[derive(Deserialize)]
struct Reply {
    stanzas: Vec<Stanza>,
}

#[derive(Deserialize)]
struct Stanza {
    from: String,
    to: String,
    fate: String,
}

/// What became of the stanzas with this id and of this pair.
pub(super) fn fates(socket: &Path, id: &str, (from, to): (&str, &str)) -> anyhow::Result<Vec<String>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all((serde_json::json!({ "ask": "stanza", "id": id }).to_string() + "\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let reply: Reply = serde_json::from_str(&line).with_context(|| format!("an unexpected answer: {line}"))?;
    let ours = reply.stanzas.into_iter().filter(|stanza| stanza.from == from && stanza.to == to);
    Ok(ours.map(|stanza| stanza.fate).collect())
}
