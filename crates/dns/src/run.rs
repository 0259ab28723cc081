//! The daemon: opens sockets, says what it serves, reads the configuration again on SIGHUP, ends
//! on SIGTERM or SIGINT.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use daemon::log::{self, LogLevel};
use daemon::settings::ConfigError;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::forward::Forwarder;
use crate::listen::Listener;
use crate::service::{Served, Service};
use crate::view::View;

/// Why the daemon doesn't run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address can't be listened on.
    #[error("can't listen on {address}: {error}")]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The system refuses something that every daemon needs.
    #[error("{what}: {error}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        error: io::Error,
    },
}

/// Runs until a signal ends it.
///
/// # Errors
/// When it can't start.
pub fn run(path: &Path) -> Result<(), DaemonError> {
    let config = Config::read(path)?;
    let logging = log::init(&config.log);
    let failed = |what| move |error| DaemonError::System { what, error };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed("can't start threads"))?;
    runtime.block_on(async {
        let mut reload = signal(SignalKind::hangup()).map_err(failed("can't wait for signals"))?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed("can't wait for signals"))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed("can't wait for signals"))?;
        let mut daemon = Daemon::start(config, logging).await?;
        notify(&[NotifyState::Ready]);
        loop {
            tokio::select! {
                _ = reload.recv() => daemon.reload(path).await,
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        notify(&[NotifyState::Stopping]);
        tracing::info!("ends");
        Ok(())
    })
}

struct Daemon {
    service: Arc<Service>,
    /// By the address as configured.
    listeners: HashMap<SocketAddr, Listener>,
    logging: LogLevel,
}

impl Daemon {
    async fn start(config: Config, logging: LogLevel) -> Result<Daemon, DaemonError> {
        let addresses = config.listen.clone();
        let summary = Summary::of(&config);
        let mut daemon = Daemon { service: Service::new(serve(config)), listeners: HashMap::new(), logging };
        daemon.listeners = daemon.open(&addresses).await?;
        daemon.say("serves the internal view", &summary);
        Ok(daemon)
    }

    /// Opens those of `addresses` that aren't open.
    async fn open(&self, addresses: &[SocketAddr]) -> Result<HashMap<SocketAddr, Listener>, DaemonError> {
        let mut opened = HashMap::new();
        for address in addresses.iter().filter(|address| !self.listeners.contains_key(address)) {
            let listener = Listener::open(*address, &self.service).await;
            opened.insert(*address, listener.map_err(|error| DaemonError::Listen { address: *address, error })?);
        }
        Ok(opened)
    }

    /// Does what the file says now, or goes on as before if that can't be done.
    async fn reload(&mut self, path: &Path) {
        let mut state = vec![NotifyState::Reloading];
        state.extend(NotifyState::monotonic_usec_now());
        notify(&state);
        if let Err(error) = self.change(path).await {
            tracing::error!(%error, "the configuration stays as it was");
        }
        notify(&[NotifyState::Ready]);
    }

    async fn change(&mut self, path: &Path) -> Result<(), DaemonError> {
        let config = Config::read(path)?;
        let opened = self.open(&config.listen).await?;
        self.listeners.retain(|address, _| config.listen.contains(address));
        self.listeners.extend(opened);
        self.logging.change(&config.log);
        let summary = Summary::of(&config);
        self.service.replace(serve(config));
        self.say("serves the internal view as configured now", &summary);
        Ok(())
    }

    fn say(&self, what: &str, summary: &Summary) {
        let mut listen: Vec<SocketAddr> = self.listeners.values().map(Listener::address).collect();
        listen.sort();
        let Summary { gateways, locals, forward } = summary;
        tracing::info!(?listen, ?gateways, local_domains = locals, ?forward, "{what}");
    }
}

/// What a configuration makes the daemon do, in the words of its first line in the log.
struct Summary {
    gateways: Vec<String>,
    locals: usize,
    forward: Vec<SocketAddr>,
}

impl Summary {
    fn of(config: &Config) -> Summary {
        Summary {
            gateways: config.view.gateways.iter().map(|gateway| gateway.name.to_string()).collect(),
            locals: config.view.locals.len(),
            forward: config.forward.clone(),
        }
    }
}

fn serve(config: Config) -> Served {
    let forwarder = Arc::new(Forwarder::new(config.forward, config.cache));
    Served { view: View::new(config.view), clients: config.clients, forwarder }
}

/// Tells systemd, if it listens.
fn notify(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd can't be told");
    }
}
