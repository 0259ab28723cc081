//! The log: one line for each event, to standard error, from a level on that can be changed while running.

use std::io::IsTerminal as _;

use serde::Deserialize;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt, reload};

/// `[log]`: how the log is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// From which level on.
    pub level: Level,
    /// For whom.
    pub format: Format,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the levels of every log")]
pub enum Level {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For a person.
    #[default]
    Text,
    /// For a program.
    Json,
}

/// Changes the level while the daemon runs.
#[derive(Debug, Clone)]
pub struct LogLevel {
    handle: reload::Handle<Targets, Registry>,
    format: Format,
}

/// Begins to log.
pub fn init(log: &Log) -> LogLevel {
    let (filter, handle) = reload::Layer::new(targets(level_filter(log.level)));
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    // Journald writes the time itself, a terminal needs it.
    let layer = match log.format {
        Format::Json => lines.json().flatten_event(true).boxed(),
        Format::Text if std::io::stderr().is_terminal() => lines.boxed(),
        Format::Text => lines.with_ansi(false).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
    LogLevel { handle, format: log.format }
}

impl LogLevel {
    /// Logs from `level` on.
    ///
    /// # Errors
    /// When there is no such level.
    pub fn set(&self, level: &str) -> Result<(), String> {
        let filter = [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace]
            .into_iter()
            .map(level_filter)
            .find(|filter| filter.to_string() == level)
            .ok_or_else(|| format!("`{level}` is no level; take error, warn, info, debug or trace"))?;
        self.handle.reload(targets(filter)).map_err(|error| format!("the level could not be changed: {error}"))
    }

    /// Logs as a configuration that was read again says, as far as that can change.
    pub fn change(&self, log: &Log) {
        if let Err(error) = self.handle.reload(targets(level_filter(log.level))) {
            tracing::warn!(%error, "the log's level stays as it was");
        }
        if log.format != self.format {
            tracing::warn!("the log's format changes with the next start");
        }
    }

    /// The level from which on it logs now.
    pub fn name(&self) -> String {
        let level = |targets: &Targets| targets.iter().map(|(_, level)| level).max();
        self.handle.with_current(level).ok().flatten().unwrap_or(LevelFilter::INFO).to_string()
    }
}

fn level_filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}

/// Our own crates at `level`. Libraries only warn: what they tell besides is nothing for administrators.
fn targets(level: LevelFilter) -> Targets {
    let ours = ["agent", "control", "daemon", "dns", "edge", "gateway", "net", "store"].map(|name| (name, level));
    Targets::new().with_default(level.min(LevelFilter::WARN)).with_targets(ours)
}
