//! The log: one line for each event, to standard error, from a level on that can be changed while running.

use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt, reload};

use crate::config::{Format, Level, Log};

/// The log.
pub(super) struct Logging {
    level: reload::Handle<LevelFilter, Registry>,
    format: Format,
}

impl Logging {
    /// Begins to log, once in a process.
    pub(super) fn start(log: Log) -> Logging {
        let (filter, level) = reload::Layer::new(filter(log.level));
        let lines = fmt::layer().with_writer(io::stderr).with_target(false);
        let lines = match log.format {
            Format::Json => lines.json().flatten_event(true).boxed(),
            Format::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        };
        tracing_subscriber::registry().with(lines.with_filter(filter)).init();
        Logging { level, format: log.format }
    }

    /// Logs as `log` says, as far as that can change.
    pub(super) fn change(&self, log: Log) {
        if let Err(error) = self.level.reload(filter(log.level)) {
            tracing::warn!(%error, "the log's level stays as it was");
        }
        if log.format != self.format {
            tracing::warn!("the log's format changes with the next start");
        }
    }
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}
