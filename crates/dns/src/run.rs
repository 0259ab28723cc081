//! The daemon: opens sockets, says what it serves, reads the configuration again on SIGHUP, ends
//! on SIGTERM or SIGINT.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use agent::state::Kept;
use daemon::control::{Change, Controlled, ControlledError};
use daemon::desk::unix;
use daemon::life::{self, ListenError};
use daemon::log::{self, LogLevel};
use daemon::metrics;
use daemon::settings::ConfigError;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use topology::faults::Faults;

use crate::config::{Config, Leads};
use crate::control;
use crate::counts::{Counts, Told};
use crate::forward::Forwarder;
use crate::listen::Listener;
use crate::service::{Served, Service};
use crate::view::View;
use crate::zone::service::Authority;
use crate::zone::{Told as ToldZone, Zones};

/// Between two looks whether signatures of zones are to be made anew. The clock may have been set meanwhile.
const SIGNATURES: Duration = Duration::from_secs(10);

/// Why the daemon doesn't run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Controllers can't come.
    #[error(transparent)]
    Control(#[from] ControlledError),
    /// A snapshot that was kept can't be understood by this version.
    #[error("the snapshot in the state folder can't be used: {0}")]
    Snapshot(#[from] Faults),
    /// An address can't be listened on.
    #[error("can't listen on {address}: {error}")]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// An address for metrics.
    #[error(transparent)]
    Metrics(#[from] ListenError),
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
    let began = Instant::now();
    let config = Config::read(path)?;
    let logging = log::init(&config.log);
    let failed = |what| move |error| DaemonError::System { what, error };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed("can't start threads"))?;
    runtime.block_on(async {
        let mut reload = signal(SignalKind::hangup()).map_err(failed("can't wait for signals"))?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed("can't wait for signals"))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed("can't wait for signals"))?;
        let mut controlled =
            config.control.as_ref().map(|control| control::begin(control, logging.clone())).transpose()?;
        let metrics_listeners = life::listen(&config.metrics, &[])?;
        let mut daemon = match &mut controlled {
            None => Daemon::start(config, None, logging).await?,
            Some(controlled) => tokio::select! {
                started = Daemon::follow_first(config, controlled, logging) => started?,
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
            },
        };
        let agent = controlled.as_ref().map(|controlled| controlled.agent.clone());
        let told = Told { service: daemon.service.clone(), began, agent };
        let _metrics = metrics::serve(metrics_listeners, Arc::new(told));
        notify(&[NotifyState::Ready]);
        let mut looks = tokio::time::interval(SIGNATURES);
        loop {
            tokio::select! {
                _ = looks.tick() => daemon.sign_again(),
                _ = reload.recv() => daemon.reload(path).await,
                (snapshot, done) = changed(&mut controlled) => {
                    let _ = done.send(daemon.follow(&snapshot).await);
                }
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        notify(&[NotifyState::Stopping]);
        tracing::info!("ends");
        Ok(())
    })
}

/// The next snapshot; never one, where there are no controllers.
async fn changed(controlled: &mut Option<Controlled>) -> Change {
    match controlled {
        Some(controlled) => controlled.next().await,
        None => std::future::pending().await,
    }
}

struct Daemon {
    service: Arc<Service>,
    authority: Arc<Authority>,
    counts: Arc<Counts>,
    /// As the file says, without what controllers say.
    file: Config,
    snapshot: Option<Arc<Kept>>,
    /// By the address as configured.
    listeners: HashMap<SocketAddr, Listener>,
    /// The same, of those that answer for zones.
    zone_listeners: HashMap<SocketAddr, Listener>,
    logging: LogLevel,
}

/// What is served: what the file says, and what a snapshot says.
fn led(file: &Config, snapshot: Option<&Kept>) -> Result<(Config, Zones), Faults> {
    match snapshot {
        Some(snapshot) => {
            let leads = Leads::read(&snapshot.content)?;
            let zones = control::zones(snapshot, &leads, SystemTime::now())?;
            Ok((file.leading(leads), zones))
        }
        None => Ok((file.clone(), Zones::default())),
    }
}

impl Daemon {
    async fn start(file: Config, snapshot: Option<Arc<Kept>>, logging: LogLevel) -> Result<Daemon, DaemonError> {
        let (config, zones) = led(&file, snapshot.as_deref())?;
        let (addresses, for_zones) = (config.listen.clone(), config.zones.clone());
        let summary = Summary::of(&config);
        let counts = Arc::<Counts>::default();
        let service = Service::new(serve(config, &counts), counts.clone());
        let authority = Authority::new(counts.clone());
        let (listeners, zone_listeners) = (HashMap::new(), HashMap::new());
        let mut daemon = Daemon { service, authority, counts, file, snapshot, listeners, zone_listeners, logging };
        daemon.listeners = daemon.open(&addresses).await?;
        // Who asks before there is an answer is told that there is no such zone, and believes it for a while.
        let told = zones.told().to_vec();
        daemon.authority.limit(for_zones.responses_per_second);
        daemon.authority.replace(zones);
        daemon.zone_listeners = daemon.open_zones(&for_zones.listen).await?;
        daemon.say("serves the internal view", &summary);
        daemon.say_zones("serves zones", &told);
        Ok(daemon)
    }

    /// Starts by the snapshot that was kept; where none is, by the first that comes.
    async fn follow_first(file: Config, controlled: &mut Controlled, logging: LogLevel) -> Result<Daemon, DaemonError> {
        let (kept, done) = controlled.first().await;
        let started = Daemon::start(file, Some(kept), logging).await;
        if let Some(done) = done {
            let _ = done.send(started.as_ref().map(drop).map_err(ToString::to_string));
        }
        started
    }

    /// Goes by a snapshot from now on.
    async fn follow(&mut self, snapshot: &Arc<Kept>) -> Result<(), String> {
        let (config, zones) = led(&self.file, Some(snapshot)).map_err(|faults| faults.to_string())?;
        let told = zones.told().to_vec();
        self.authority.replace(zones);
        self.say_zones("serves zones as controllers say now", &told);
        // Where only the route moved, what is cached stays good.
        if self.snapshot.as_ref().is_none_or(|before| before.content != snapshot.content) {
            let (addresses, summary) = (config.listen.clone(), Summary::of(&config));
            // Who asks before there is an answer is told that there is no such name.
            self.service.replace(serve(config, &self.counts));
            let opened = self.open(&addresses).await.map_err(|error| error.to_string())?;
            self.listeners.retain(|address, _| addresses.contains(address));
            self.listeners.extend(opened);
            self.say("serves the internal view as controllers say now", &summary);
        }
        self.snapshot = Some(snapshot.clone());
        Ok(())
    }

    /// Makes signatures anew where it is time, also when no controller is there.
    fn sign_again(&self) {
        if !self.authority.is_due(unix(SystemTime::now())) {
            return;
        }
        match led(&self.file, self.snapshot.as_deref()) {
            Ok((_, zones)) => {
                tracing::info!("signs zones anew");
                self.authority.replace(zones);
            }
            Err(error) => {
                tracing::error!(%error, "zones can't be signed anew");
            }
        }
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

    /// The same for zones.
    async fn open_zones(&self, addresses: &[SocketAddr]) -> Result<HashMap<SocketAddr, Listener>, DaemonError> {
        let mut opened = HashMap::new();
        for address in addresses.iter().filter(|address| !self.zone_listeners.contains_key(address)) {
            let listener = Listener::open_zones(*address, &self.authority).await;
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
        let file = Config::read(path)?;
        if file.control != self.file.control {
            tracing::warn!("[control] changes with the next start");
        }
        if file.metrics != self.file.metrics {
            tracing::warn!("[metrics] changes with the next start");
        }
        let config = match self.file.control {
            Some(_) => led(&file, self.snapshot.as_deref())?.0,
            // What the next start would ask controllers for isn't here.
            None if file.control.is_some() => return Ok(()),
            None => file.clone(),
        };
        let opened = self.open(&config.listen).await?;
        let for_zones = self.open_zones(&config.zones.listen).await?;
        self.zone_listeners.retain(|address, _| config.zones.listen.contains(address));
        self.zone_listeners.extend(for_zones);
        self.authority.limit(config.zones.responses_per_second);
        self.file = file;
        self.listeners.retain(|address, _| config.listen.contains(address));
        self.listeners.extend(opened);
        self.logging.change(&config.log);
        let summary = Summary::of(&config);
        self.service.replace(serve(config, &self.counts));
        self.say("serves the internal view as configured now", &summary);
        Ok(())
    }

    fn say(&self, what: &str, summary: &Summary) {
        if self.listeners.is_empty() {
            if !self.file.listen.is_empty() {
                let to_do =
                    "take [view] out of the configuration, or `view = false` out of its [[dns]] in the topology";
                tracing::warn!(to_do, "[view] is there, and the topology has this server answer for zones only");
            }
            return;
        }
        let mut listen: Vec<SocketAddr> = self.listeners.values().map(Listener::address).collect();
        listen.sort();
        let Summary { gateways, locals, forward } = summary;
        tracing::info!(?listen, ?gateways, local_domains = locals, ?forward, "{what}");
    }

    fn say_zones(&self, what: &str, zones: &[ToldZone]) {
        let mut listen: Vec<SocketAddr> = self.zone_listeners.values().map(Listener::address).collect();
        listen.sort();
        match (listen.is_empty(), zones) {
            (true, []) => {}
            (true, _) => {
                let to_do = "add [zones] with its `listen` to the configuration";
                tracing::warn!(to_do, "the topology has this server answer for zones, and it doesn't listen for that");
            }
            (false, zones) => {
                let told: Vec<String> =
                    zones.iter().map(|ToldZone { name, serial }| format!("{name} {serial}")).collect();
                tracing::info!(?listen, zones = ?told, "{what}");
                if !zones.is_empty() {
                    return;
                }
                let to_do = "in the topology, give its [[dns]] `external`, and a [[zone]] publisher = \"embedded\"";
                tracing::warn!(to_do, "[zones] is there, and the topology has no zone for this server");
            }
        }
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

fn serve(config: Config, counts: &Arc<Counts>) -> Served {
    let forwarder = Arc::new(Forwarder::new(config.forward, config.cache, counts.clone()));
    Served { view: View::new(config.view), clients: config.clients, forwarder }
}

/// Tells systemd, if it listens.
fn notify(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd can't be told");
    }
}
