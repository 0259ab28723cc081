//! The life of fedge-control: the store, and the API on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use daemon::life::{self, Ending, ListenError};
use daemon::log;
use daemon::settings::ConfigError;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use store::StoreError;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use crate::access::Users;
use crate::config::Config;
use crate::http::{self, Tls};
use crate::ledger::Ledger;
use crate::web::{self, Office};

const PROGRAM: &str = "fedge-control";
const VERSION: &str = env!("CARGO_PKG_VERSION");

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
        matches!(self, Failure::Config(ConfigError::Faulty(_)) | Failure::File { .. })
            || matches!(self, Failure::Store(StoreError::Refused { .. }))
    }
}

/// Checks a configuration and the files that it names.
///
/// # Errors
/// When the controller would not start with it.
pub fn check(file: &Path) -> Result<(), Failure> {
    let config = Config::read(file)?;
    tls(&config)?;
    println!("{}: good", file.display());
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
    let mut ending = Ending::new()?;
    let hangup = signal(SignalKind::hangup())?;
    let tls = tls(&config)?;
    let store = store::open(&config.store)?;
    tracing::info!(store = store.name(), "the store is open");
    let ledger = Arc::new(Ledger::new(store, &config.name, random(), now)?);
    let installation = ledger.installation(&format!("{:016x}{:016x}", random(), random()), &config.name).await?;
    tracing::info!(installation = installation.id, "this is the installation");
    let users = Arc::new(ArcSwap::from_pointee(config.users));
    let office = Office { ledger, users: users.clone() };
    let router = web::router(office);
    let mut tasks = JoinSet::new();
    for listener in life::listen(&config.listen)? {
        tracing::info!(address = %listener.local_addr()?, "serving the API");
        tasks.spawn(http::serve(listener, tls.clone(), router.clone()));
    }
    tasks.spawn(reload(file, hangup, tls, users));
    life::ready(PROGRAM, VERSION);
    ending.wait().await;
    life::stopping();
    Ok(())
}

fn read_pem(config: &Config) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Failure> {
    let fault = |file: &Path, what: String| Failure::File { file: file.to_owned(), what };
    let chain = CertificateDer::pem_file_iter(&config.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault(&config.certificate, format!("no certificate can be read from it ({error})")))?;
    let key = PrivateKeyDer::from_pem_file(&config.key)
        .map_err(|error| fault(&config.key, format!("no private key can be read from it ({error})")))?;
    Ok((chain, key))
}

fn tls(config: &Config) -> Result<Tls, Failure> {
    let (chain, key) = read_pem(config)?;
    Tls::new(chain, key).map_err(|error| unusable(config, &error))
}

fn unusable(config: &Config, error: &rustls::Error) -> Failure {
    let what = format!("it can't be used with {} ({error})", config.key.display());
    Failure::File { file: config.certificate.clone(), what }
}

/// Takes over users and certificate on SIGHUP.
async fn reload(file: PathBuf, mut hangup: Signal, tls: Tls, users: Arc<ArcSwap<Users>>) {
    while hangup.recv().await.is_some() {
        match read_again(&file, &tls) {
            Ok(fresh) => {
                users.store(Arc::new(fresh));
                tracing::info!("users and the API's certificate were read again; other changes need a restart");
            }
            Err(error) => tracing::error!(%error, "the configuration can't be used; everything stays as it was"),
        }
    }
}

fn read_again(file: &Path, tls: &Tls) -> Result<Users, Failure> {
    let config = Config::read(file)?;
    let (chain, key) = read_pem(&config)?;
    tls.replace(chain, key).map_err(|error| unusable(&config, &error))?;
    Ok(config.users)
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn random() -> u64 {
    let half = || u64::from(net::crypto::random_below(u32::MAX));
    (half() << 32) | half()
}
