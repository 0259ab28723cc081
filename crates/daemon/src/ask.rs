//! The local commands: ask the daemon, and show a person or a program what it says.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use api::local::{AskError, Reply, Request, Stanza, Status, Stream, ask as ask_daemon};
use clap::Subcommand;

use crate::service;

/// The socket of the daemon that is asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Where it is.
    pub socket: PathBuf,
    /// Print JSON.
    pub json: bool,
}

/// What the running daemon can be asked.
#[derive(Debug, Subcommand)]
pub enum Ask {
    /// How it is: faces, streams, stanzas, and what somebody should look at.
    Status,
    /// The open streams.
    Streams,
    /// End a stream properly; its stanzas go on over a new one.
    Close {
        /// Its number, as `streams` shows it.
        stream: u64,
    },
    /// Log from this level on, until the next start.
    LogLevel {
        /// error, warn, info, debug or trace.
        level: String,
    },
    /// Follow what a stream says and hears: XML without any text in it.
    Trace {
        /// Its number, as `streams` shows it.
        stream: u64,
    },
    /// What became of the stanzas with this id.
    Stanza {
        /// The `id` attribute.
        id: String,
    },
}

impl From<Ask> for Request {
    fn from(ask: Ask) -> Request {
        match ask {
            Ask::Status => Request::Status,
            Ask::Streams => Request::Streams,
            Ask::Close { stream } => Request::Close { stream },
            Ask::LogLevel { level } => Request::LogLevel { level },
            Ask::Trace { stream } => Request::Trace { stream },
            Ask::Stanza { id } => Request::Stanza { id },
        }
    }
}

/// Why a command has no answer to show.
#[derive(Debug, thiserror::Error)]
pub enum AskFailure {
    /// The daemon couldn't be asked.
    #[error("{0}")]
    Ask(#[from] AskError),
    /// It refused.
    #[error("{0}")]
    Refused(String),
    /// Nobody reads what we print, or the system fails us.
    #[error("the answer could not be shown: {0}")]
    Io(#[from] std::io::Error),
}

/// Asks, and prints the answer.
///
/// # Errors
/// When there is none.
pub fn ask(request: &Request, asked: &Asked) -> Result<(), AskFailure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(show(request, asked))
}

async fn show(request: &Request, asked: &Asked) -> Result<(), AskFailure> {
    let mut replies = ask_daemon(&asked.socket, request).await?;
    let mut out = std::io::stdout();
    while let Some(reply) = replies.next().await? {
        if let Reply::Refused { why } = reply {
            return Err(AskFailure::Refused(why));
        }
        let text =
            if asked.json { serde_json::to_string(&reply).map_err(AskError::from)? + "\n" } else { plain(&reply) };
        out.write_all(text.as_bytes())?;
        out.flush()?;
    }
    Ok(())
}

fn plain(reply: &Reply) -> String {
    match reply {
        Reply::Status(status) => status_text(status),
        Reply::Health(health) => format!("{}\n", health.state),
        Reply::Streams { streams } => streams_text(streams),
        Reply::Stanzas { stanzas } if stanzas.is_empty() => "no stanza with this id came through lately\n".to_owned(),
        Reply::Stanzas { stanzas } => stanzas.iter().map(stanza_text).collect(),
        Reply::Traced { line } => format!("{line}\n"),
        Reply::Service(service) => service::text(service),
        Reply::Probed(probed) => api::probe::table(probed),
        Reply::Done { what } | Reply::Refused { why: what } => format!("{what}\n"),
    }
}

fn status_text(status: &Status) -> String {
    let mut text = format!("{} {}, up for {}\n", status.program, status.version, span(status.up_seconds));
    for face in &status.faces {
        let counts = &face.stanzas;
        let _ = writeln!(text, "{} face, listening on {}", face.face, face.listen.join(", "));
        let _ = writeln!(text, "  streams: {} accepted, {} dialed", face.accepted_streams, face.dialed_streams);
        let _ = writeln!(
            text,
            "  stanzas that came in: {} = {} taken + {} returned + {} failed + {} in flight",
            counts.accepted, counts.taken, counts.returned, counts.failed, counts.in_flight
        );
        if face.errors > 0 {
            let _ = writeln!(text, "  errors on their way back to senders: {}", face.errors);
        }
    }
    if let Some(service) = &status.service {
        text.push_str(&service::text(service));
    }
    if let Some(route) = &status.route
        && status.led.is_none()
    {
        let _ = writeln!(text, "the route is on {route}");
    }
    if let Some(led) = &status.led {
        let confirmed = if led.confirmed { "" } else { " (unconfirmed)" };
        let _ = writeln!(
            text,
            "led by controllers: version {} of the topology; epoch {}, the route is on {}{confirmed}",
            led.version, led.epoch, led.pool
        );
    }
    for member in &status.members {
        let connected = if member.connected { "connected" } else { "not connected" };
        let routed = if member.routed { ", on the route" } else { "" };
        let _ = writeln!(text, "trunk to {}: {connected}{routed}", member.name);
    }
    for concern in &status.concerns {
        let _ = writeln!(text, "warning: {concern}");
    }
    text
}

fn streams_text(streams: &[Stream]) -> String {
    let mut rows = vec![["STREAM", "FACE", "DIRECTION", "PEER", "OPEN", "STANZAS", "TLS", "PAIRS"].map(str::to_owned)];
    for stream in streams {
        let pair = |pair: &api::local::Pair| format!("{} -> {} ({})", pair.from, pair.to, pair.method);
        rows.push([
            stream.number.to_string(),
            stream.face.clone(),
            stream.direction.clone(),
            stream.peer.clone(),
            span(stream.open_seconds),
            stream.stanzas.to_string(),
            stream.tls.clone().unwrap_or_else(|| "none".to_owned()),
            stream.pairs.iter().map(pair).collect::<Vec<_>>().join(", "),
        ]);
    }
    columns(&rows)
}

/// Each column as wide as its widest cell.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn stanza_text(stanza: &Stanza) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    format!(
        "{} {} -> {}, {} ago: {}\n",
        stanza.kind,
        stanza.from,
        stanza.to,
        span(now.saturating_sub(stanza.accepted_at)),
        stanza.fate
    )
}

/// Seconds as a person says them.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}
