//! The life of fedge-gateway: the internal face, trunks to all edge servers, the route among their pools.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use daemon::desk::{self, Certificate, Desk, DeskError, Office};
use daemon::life::{self, Ending, ListenError};
use daemon::log::{self, LogLevel};
use daemon::metrics;
use daemon::parts::{PartsError, Shared};
use daemon::settings::ConfigError;
use net::crypto::random_below;
use net::trunk::members::{Members, Standing};
use net::trunk::tls::{Dialer, FilesError};
use net::trunk::wire::{Hello, VERSION};
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use topology::policy::Policy;

use crate::config::{Config, Edge, Pool};
use crate::inside::{Inside, InsideError};

const PROGRAM: &str = "fedge-gateway";
const VERSION_TEXT: &str = env!("CARGO_PKG_VERSION");
/// Between two attempts to reach an edge server.
const RETRY: Duration = Duration::from_millis(200);
/// For an edge server to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(5);

/// Why the gateway doesn't run.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Its configuration.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// A file of the internal face.
    #[error("{0}")]
    Inside(#[from] InsideError),
    /// A file of the trunk.
    #[error("{0}")]
    Trunk(#[from] FilesError),
    /// An address that it should listen on.
    #[error("{0}")]
    Listen(#[from] ListenError),
    /// The socket for local commands.
    #[error("{0}")]
    Desk(#[from] DeskError),
    /// The system.
    #[error("the system does not let fedge run: {0}")]
    System(#[from] std::io::Error),
}

impl From<PartsError> for Failure {
    fn from(error: PartsError) -> Failure {
        Failure::Inside(error.into())
    }
}

impl Failure {
    /// Whether the configuration or a file that it names is at fault.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Failure::Config(ConfigError::Faulty(_)) | Failure::Inside(_) | Failure::Trunk(_))
    }
}

/// Checks a configuration and all files that it names, and says what it found.
///
/// # Errors
/// When the gateway would not start with it.
pub fn check(file: &Path) -> Result<(), Failure> {
    let config = Config::read(file)?;
    let inside = Inside::read(&config.face, config.ca.as_deref())?;
    config.trunk.dialer()?;
    println!("{}: good", file.display());
    println!("{} pools, the route on {}", config.pools.len(), config.route);
    for concern in inside.concerns(&config.policy, SystemTime::now()) {
        println!("warning: {concern}");
    }
    Ok(())
}

/// Runs the gateway until SIGTERM or SIGINT.
///
/// # Errors
/// When it can't start.
pub fn run(file: &Path) -> Result<(), Failure> {
    let config = Config::read(file)?;
    let level = log::init(&config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(work(file, config, level))
}

async fn work(file: &Path, config: Config, level: LogLevel) -> Result<(), Failure> {
    let began = Instant::now();
    let mut ending = Ending::new()?;
    // Before anybody knows that we run: until it is caught, this signal would end us.
    let hangup = signal(SignalKind::hangup())?;
    life::allow_open_files(config.settings.streams);
    let own = config.face.listen.iter().map(std::net::SocketAddr::ip).collect();
    let shared = Shared::new(config.policy, own, false);
    let inside = Inside::read(&config.face, config.ca.as_deref())?;
    let (face, returns) = inside.face(&config.face, &config.settings, &shared)?;
    let dialer = config.trunk.dialer()?;
    let trunk = Certificate { used_for: "trunk", name: config.name.clone(), not_after: config.trunk.expires()? };
    let listeners = life::listen(&config.face.listen, &config.face.shared)?;
    let metrics_listeners = life::listen(&config.metrics, &[])?;
    let socket = config.socket.as_deref().map(desk::bind).transpose()?;
    let mut at_work = [life::begin(&face, listeners, returns)];
    let edges: Vec<&Edge> = config.pools.iter().flat_map(|pool| &pool.edges).collect();
    let names: Vec<String> = edges.iter().map(|edge| edge.name.clone()).collect();
    let hello = Hello { version: VERSION, instance: instance(), name: config.name, serves: config.serves };
    let members = Members::new(at_work[0].end.clone(), hello, &names);
    tell(&inside, &shared.policy.load());
    let route = Arc::new(Route { pools: config.pools.clone(), members: members.clone(), on: Mutex::default() });
    route.set(&config.route).map_err(std::io::Error::other)?;
    let mut tasks = JoinSet::new();
    for edge in edges {
        tasks.spawn(keep(edge.clone(), dialer.clone(), members.clone()));
    }
    let desk = Arc::new(Desk {
        program: (PROGRAM, VERSION_TEXT),
        began,
        level,
        streams: shared.streams.clone(),
        fates: shared.fates.clone(),
        draining: AtomicBool::new(false),
        faces: vec![(face.clone(), config.face.listen.clone())],
        office: Box::new(Gatekeeper { route, inside: inside.clone(), policy: shared.policy.clone(), trunk }),
    });
    let _metrics = metrics::serve(metrics_listeners, desk.clone());
    let _desk = socket.map(|socket| desk::open(socket, desk.clone()));
    tasks.spawn(reload(file.to_owned(), hangup, inside, shared.policy.clone()));
    life::ready(PROGRAM, VERSION_TEXT);
    ending.wait().await;
    life::stopping();
    desk.drains();
    members.finish().await;
    life::drain(&mut at_work, &shared.streams, config.settings.stream.drain).await;
    // What became of the last stanzas is heard, too.
    members.finish().await;
    Ok(())
}

/// Another one at each start.
pub fn instance() -> u64 {
    (u64::from(random_below(u32::MAX)) << 32) | u64::from(random_below(u32::MAX))
}

/// Keeps a trunk to an edge server up for as long as the gateway runs.
async fn keep(edge: Edge, dialer: Dialer, members: Arc<Members>) {
    let mut told = String::new();
    loop {
        let reached = tokio::time::timeout(PATIENCE, async {
            let socket = TcpStream::connect(edge.address).await?;
            dialer.dial(socket, &edge.name).await
        });
        let error = match reached.await {
            Ok(Ok(stream)) => match members.serve(stream, std::slice::from_ref(&edge.name)).await {
                Err(error) => error.to_string(),
                Ok(never) => match never {},
            },
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("nothing came within {} s", PATIENCE.as_secs()),
        };
        // One line for each new reason, not for each attempt.
        if error != told {
            tracing::warn!(edge = edge.name, address = %edge.address, reason = error, "no trunk to this edge server");
            told = error;
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Which pool carries the route.
struct Route {
    pools: Vec<Pool>,
    members: Arc<Members>,
    on: Mutex<String>,
}

impl Route {
    fn set(&self, name: &str) -> Result<(), String> {
        if !self.pools.iter().any(|pool| pool.name == name) {
            let known: Vec<&str> = self.pools.iter().map(|pool| pool.name.as_str()).collect();
            return Err(format!("there is no pool {name}; there are {}", known.join(", ")));
        }
        tracing::info!(pool = name, "the route is on this pool");
        name.clone_into(&mut self.on.lock().unwrap_or_else(PoisonError::into_inner));
        // The others stand by in the order in which they are configured.
        let (routed, others): (Vec<&Pool>, Vec<&Pool>) = self.pools.iter().partition(|pool| pool.name == name);
        let names = |pool: &Pool| pool.edges.iter().map(|edge| edge.name.clone()).collect();
        self.members.route(routed.into_iter().chain(others).map(names).collect());
        Ok(())
    }
}

struct Gatekeeper {
    route: Arc<Route>,
    inside: Inside,
    policy: Arc<ArcSwap<Policy>>,
    /// Its own on the trunk.
    trunk: Certificate,
}

impl Office for Gatekeeper {
    fn concerns(&self) -> Vec<String> {
        self.inside.concerns(&self.policy.load(), SystemTime::now())
    }

    fn hindrance(&self) -> Option<String> {
        // Any will do: those of the other pools stand in for the routed one's.
        let reached = self.members().iter().any(|member| member.connected);
        (!reached).then(|| "no trunk to any edge server is up, so what comes is held".to_owned())
    }

    fn members(&self) -> Vec<Standing> {
        self.route.members.standing()
    }

    fn certificates(&self) -> Vec<Certificate> {
        self.inside.certificate().into_iter().chain([self.trunk.clone()]).collect()
    }

    fn route(&self) -> Option<String> {
        Some(self.route.on.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn set_route(&self, pool: &str) -> Result<(), String> {
        self.route.set(pool)
    }
}

/// Takes over changed files: roots by themselves, policy, CA and secrets on SIGHUP.
async fn reload(file: PathBuf, mut hangup: Signal, inside: Inside, policy: Arc<ArcSwap<Policy>>) {
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            _ = look.tick() => inside.look(),
            _ = hangup.recv() => match read_again(&file, &inside) {
                Ok(fresh) => {
                    tell(&inside, &fresh);
                    policy.store(Arc::new(fresh));
                    tracing::info!("policy, CA, roots and secrets were read again; other changes need a restart");
                }
                Err(error) => tracing::error!(%error, "the configuration can't be used; everything stays as it was"),
            },
        }
    }
}

fn tell(inside: &Inside, policy: &Policy) {
    for concern in inside.concerns(policy, SystemTime::now()) {
        tracing::warn!("{concern}");
    }
}

fn read_again(file: &Path, inside: &Inside) -> Result<Policy, Failure> {
    let config = Config::read(file)?;
    inside.replace(&Inside::read(&config.face, config.ca.as_deref())?).map_err(InsideError::from)?;
    Ok(config.policy)
}
