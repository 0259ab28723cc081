//! The log on standard error, whose level can change while the daemon runs.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::{Format, Level, Log};

/// The log.
pub(super) struct Logging {
    filter: reload::Handle<LevelFilter, Registry>,
    format: Format,
}

impl Logging {
    /// Starts to log, once in a process.
    pub(super) fn start(log: Log) -> Logging {
        let (filter, handle) = reload::Layer::new(filter(log.level));
        let registry = tracing_subscriber::registry().with(filter);
        match log.format {
            Format::Text => registry.with(fmt::layer().with_writer(io::stderr).with_ansi(false)).init(),
            Format::Json => registry.with(fmt::layer().json().flatten_event(true).with_writer(io::stderr)).init(),
        }
        Logging { filter: handle, format: log.format }
    }

    /// Logs as `log` says, as far as that can change.
    pub(super) fn change(&self, log: Log) {
        if let Err(error) = self.filter.reload(filter(log.level)) {
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
