//! The life of fedge-control: the store, and the API on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use agent::authority::{Authorities, AuthorityError};
use agent::dial::DialError;
use agent::keep::Controller;
use arc_swap::ArcSwap;
use daemon::life::{self, Ending, ListenError};
use daemon::log;
use daemon::metrics;
use daemon::settings::ConfigError;
use store::StoreError;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use zones::key::{Key, KeyError};

use crate::access::Users;
use crate::config::Config;
use crate::http::{self, Tls};
use crate::identity;
use crate::ledger::Ledger;
use crate::members::Members;
use crate::page::Told;
use crate::records::Secrets;
use crate::route;
use crate::web::{self, Answers, Office};
use crate::zones::Zones;
use crate::zones::planned::Names;
use crate::zones::servers::{self, Keyed};

/// The daemon's name.
pub(crate) const PROGRAM: &str = "fedge-control";
/// Its version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Why the controller doesn't run.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Its configuration.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// A file of the API's TLS.
    #[error("{}: {what}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A key with which updates of zones are signed.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// The control plane's CAs.
    #[error("{0}; `fedge-control init` makes them")]
    Authority(#[from] AuthorityError),
    /// The controller's own certificate.
    #[error("{0}")]
    Own(#[from] DialError),
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// An address that it should listen on.
    #[error("{0}")]
    Listen(#[from] ListenError),
    /// The system.
    #[error("the system does not let fedge run: {0}")]
    System(#[from] std::io::Error),
}

impl Failure {
    /// Whether the configuration or a file that it names is at fault.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Failure::Config(ConfigError::Faulty(_)) | Failure::File { .. } | Failure::Key(_))
            || matches!(self, Failure::Store(StoreError::Refused { .. }))
    }
}

/// Checks a configuration and the files that it names.
///
/// # Errors
/// When the controller would not start with it.
pub fn check(file: &Path) -> Result<(), Failure> {
    let config = Config::read(file)?;
    identity::tls(&config, &Authorities::read(&config.authorities)?)?;
    servers::keys(&config.keys)?;
    println!("{}: good", file.display());
    Ok(())
}

/// Makes the control plane's CAs, and says what to do with them.
///
/// # Errors
/// When there are some, or a file can't be written.
pub fn init(folder: &Path) -> Result<(), Failure> {
    let authorities = Authorities::make(folder)?;
    println!("{}: the control plane's CAs; whoever has their keys is the control plane", folder.display());
    println!("Copy the folder to every other controller, and to nobody else.");
    println!("Copy agent-ca.crt to where `fedge` runs, as /etc/fedge/control-ca.crt.");
    println!("New machines are told its fingerprint:");
    println!("  {}", authorities.agent.fingerprint());
    Ok(())
}

/// Copies one store into another, for a move from one kind to the other.
///
/// # Errors
/// When that can't be done.
pub fn copy(from: &str, to: &str) -> Result<(), Failure> {
    let (from, to) = (store::open(from)?, store::open(to)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let keys = runtime.block_on(store::copy(&*from, &*to))?;
    println!("{keys} keys are in {} as they are in {}", to.name(), from.name());
    Ok(())
}

/// Runs the controller until SIGTERM or SIGINT.
///
/// # Errors
/// When it can't start.
pub fn run(file: &Path) -> Result<(), Failure> {
    let config = Config::read(file)?;
    log::init(&config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(work(file.to_owned(), config))
}

async fn work(file: PathBuf, config: Config) -> Result<(), Failure> {
    let began = Instant::now();
    let mut ending = Ending::new()?;
    let hangup = signal(SignalKind::hangup())?;
    let authorities = Authorities::read(&config.authorities)?;
    let tls = identity::tls(&config, &authorities)?;
    let store = store::open(&config.store)?;
    tracing::info!(store = store.name(), "the store is open");
    let ledger = Arc::new(Ledger::new(store, &config.name, random(), now)?);
    let secrets = Secrets { external: vec![random_text(4)], internal: vec![random_text(4)], ..Secrets::default() };
    let (installation, secrets) = ledger.installation(&random_text(2), &secrets, &config.name).await?;
    tracing::info!(installation = installation.id, "this is the installation");
    let controller = Controller::new(authorities, &config.name)?;
    let (keyed, nudge) = (Arc::new(Keyed::new(servers::keys(&config.keys)?)), Arc::<Notify>::default());
    let zones = Arc::new(Zones::new(ledger.clone(), &installation.id, keyed.clone(), nudge.clone()));
    let members = Arc::new(Members::new(ledger.clone(), controller, installation.id, secrets, zones.clone()));
    let users = Arc::new(ArcSwap::from_pointee(config.users));
    let answers = Arc::<Answers>::default();
    let told = Told { members: members.clone(), ledger: ledger.clone(), answers: answers.clone(), began };
    let _metrics = metrics::serve(life::listen(&config.metrics, &[])?, Arc::new(told));
    let mut tasks = JoinSet::new();
    let moves = Arc::new(route::open(&ledger, &members, &zones, (&config.name, random()), nudge, &mut tasks));
    let (picture, names) = (members.clone(), Names::new(members.clone(), zones.clone()));
    tasks.spawn(zones.keep(move || picture.picture().current));
    let office = Office { ledger, members: members.clone(), moves, names, users: users.clone(), answers };
    let router = web::router(office);
    for listener in life::listen(&config.listen, &[])? {
        tracing::info!(address = %listener.local_addr()?, "serving the API");
        tasks.spawn(http::serve(listener, tls.clone(), router.clone()));
    }
    tasks.spawn(members.keep());
    tasks.spawn(identity::keep_new(file.clone(), tls.clone()));
    tasks.spawn(reload(file, hangup, tls, users, keyed));
    life::ready(PROGRAM, VERSION);
    ending.wait().await;
    life::stopping();
    Ok(())
}

/// Takes over users, certificate and keys on SIGHUP.
async fn reload(file: PathBuf, mut hangup: Signal, tls: Tls, users: Arc<ArcSwap<Users>>, keyed: Arc<Keyed>) {
    while hangup.recv().await.is_some() {
        match read_again(&file, &tls) {
            Ok((fresh, keys)) => {
                users.store(Arc::new(fresh));
                keyed.replace(keys);
                tracing::info!("users, the API's certificate and keys were read again; other changes need a restart");
            }
            Err(error) => tracing::error!(%error, "the configuration can't be used; everything stays as it was"),
        }
    }
}

fn read_again(file: &Path, tls: &Tls) -> Result<(Users, Vec<Key>), Failure> {
    let config = Config::read(file)?;
    let keys = servers::keys(&config.keys)?;
    identity::show(&config, &Authorities::read(&config.authorities)?, tls)?;
    Ok((config.users, keys))
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// So many times 64 random bits, as hexadecimal digits.
fn random_text(times: usize) -> String {
    (0..times).map(|_| format!("{:016x}", random())).collect()
}

fn random() -> u64 {
    let half = || u64::from(net::crypto::random_below(u32::MAX));
    (half() << 32) | half()
}
