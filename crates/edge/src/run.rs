//! The life of fedge-edge: the external face, and beside it the internal one or trunks from gateways.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use daemon::desk::{self, Certificate, Desk, DeskError, Office};
use daemon::life::{self, Ending, ListenError};
use daemon::log::{self, LogLevel};
use daemon::metrics;
use daemon::parts::{PartsError, Shared};
use daemon::settings::ConfigError;
use gateway::inside::{Inside, InsideError};
use net::bridge::{self, End};
use net::face::FaceState;
use net::trunk::members::{Members, Standing};
use net::trunk::tls::FilesError;
use net::trunk::wire::{Hello, VERSION};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use topology::policy::Policy;

use crate::config::{Config, Inward};
use crate::entrance::Entrance;
use crate::gateways;
use crate::outside::{Outside, OutsideError};

const PROGRAM: &str = "fedge-edge";
const VERSION_TEXT: &str = env!("CARGO_PKG_VERSION");
/// What somebody should know while the entrance is closed.
const CLOSED: &str = "no gateway is there that takes stanzas, so partners' connections are refused; look at the gateways, \
                      and at the firewall between them and this edge server";
/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(5);
/// Between two reminders of what somebody should look at, in looks.
const REMIND: u32 = 12 * 60 * 24;

/// Why the daemon doesn't run.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Its configuration.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// A file of the external face.
    #[error("{0}")]
    Outside(#[from] OutsideError),
    /// A file of the internal face.
    #[error("{0}")]
    Inside(#[from] InsideError),
    /// A file of the trunk.
    #[error("{0}")]
    Trunk(#[from] FilesError),
    /// DNS can't be asked at all.
    #[error("{0}")]
    Parts(#[from] PartsError),
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

impl Failure {
    /// Whether the configuration or a file that it names is at fault.
    pub fn is_configuration(&self) -> bool {
        let faulty = matches!(self, Failure::Config(ConfigError::Faulty(_)) | Failure::Parts(_) | Failure::Trunk(_));
        faulty || matches!(self, Failure::Outside(_) | Failure::Inside(_))
    }
}

/// What the daemon reads from files, and can be replaced while it runs.
#[derive(Clone)]
struct Files {
    outside: Outside,
    inside: Option<Inside>,
    policy: Arc<ArcSwap<Policy>>,
}

impl Files {
    fn read(config: &Config, policy: Arc<ArcSwap<Policy>>) -> Result<Files, Failure> {
        let inside = match &config.inward {
            Inward::Gateway { face, ca } => Some(Inside::read(face, ca.as_deref())?),
            Inward::Trunk { .. } => None,
        };
        Ok(Files { outside: Outside::read(&config.external, &config.certificates)?, inside, policy })
    }

    /// Takes over what a configuration that was read again says: all of it, or nothing.
    fn read_again(&self, file: &Path) -> Result<(), Failure> {
        let config = Config::read(file)?;
        let fresh = Files::read(&config, self.policy.clone())?;
        self.outside.replace(&fresh.outside).map_err(OutsideError::from)?;
        if let (Some(inside), Some(fresh)) = (&self.inside, &fresh.inside) {
            inside.replace(fresh).map_err(InsideError::from)?;
        }
        self.policy.store(Arc::new(config.policy));
        Ok(())
    }

    fn concerns(&self) -> Vec<String> {
        let (policy, now) = (self.policy.load(), SystemTime::now());
        let inside = self.inside.as_ref().map(|inside| inside.concerns(&policy, now)).unwrap_or_default();
        [self.outside.concerns(&policy, now), inside].concat()
    }
}

/// Checks a configuration and all files that it names, and says what it found.
///
/// # Errors
/// When the daemon would not start with it.
pub fn check(file: &Path) -> Result<(), Failure> {
    let config = Config::read(file)?;
    if let Inward::Trunk { files, .. } = &config.inward {
        files.acceptor()?;
    }
    let (locals, partners) = (config.policy.locals().len(), config.policy.partners().len());
    let federation = if config.policy.is_open() { "everybody" } else { "those listed" };
    let policy = Arc::new(ArcSwap::from_pointee(config.policy.clone()));
    let files = Files::read(&config, policy)?;
    let certificates = files.outside.certificates().len();
    println!("{}: good", file.display());
    println!("{locals} local domains, {partners} partners, federation with {federation}; {certificates} certificates");
    for concern in files.concerns() {
        println!("warning: {concern}");
    }
    Ok(())
}

/// Runs the daemon until SIGTERM or SIGINT.
///
/// # Errors
/// When it can't start.
pub fn run(file: &Path) -> Result<(), Failure> {
    let config = Config::read(file)?;
    let level = log::init(&config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(work(file, &config, level))
}

async fn work(file: &Path, config: &Config, level: LogLevel) -> Result<(), Failure> {
    let began = Instant::now();
    let mut ending = Ending::new()?;
    // Before anybody knows that we run: until it is caught, this signal would end us.
    let hangup = signal(SignalKind::hangup())?;
    life::allow_open_files(config.settings.streams);
    let shared = Shared::new(config.policy.clone(), own_addresses(config), config.private_targets);
    let files = Files::read(config, shared.policy.clone())?;
    let (external, returns) = files.outside.face(&config.external, &config.settings, &shared)?;
    // All listeners are open before any is served: half a border is none.
    let listeners = life::listen(&config.external.listen, &config.external.shared)?;
    let inward = Opened::open(config, &files, &shared)?;
    let trunk = config.inward.trunk_certificate()?;
    let metrics_listeners = life::listen(&config.metrics, &[])?;
    let socket = config.socket.as_deref().map(desk::bind).transpose()?;
    let mut at_work = vec![life::begin(&external, Vec::new(), returns)];
    let mut faces = vec![(external, config.external.listen.clone())];
    let mut tasks = JoinSet::new();
    let outer = at_work[0].end.clone();
    let (entrance, open) = Entrance::new(&config.external);
    let members = match inward {
        Opened::Gateway { face, listen, listeners: inner, returns } => {
            life::accept(&mut at_work[0], listeners);
            at_work.push(life::begin(&face, inner, returns));
            faces.push((face, listen));
            bridge::join(&outer, &at_work[1].end, &mut tasks);
            None
        }
        Opened::Trunk(trunk) => {
            // It is certain that it can be listened there; the entrance opens with the first gateway.
            drop(listeners);
            Some(trunk.begin(outer, &mut tasks))
        }
    };
    let desk = Arc::new(Desk {
        program: (PROGRAM, VERSION_TEXT),
        began,
        level,
        streams: shared.streams.clone(),
        fates: shared.fates.clone(),
        draining: AtomicBool::new(false),
        faces,
        office: Box::new(Borderer { files: files.clone(), members: members.clone(), trunk, open }),
    });
    let _metrics = metrics::serve(metrics_listeners, desk.clone());
    let _desk = socket.map(|socket| desk::open(socket, desk.clone()));
    let watching = tokio::spawn(watch(file.to_owned(), hangup, files));
    life::ready(PROGRAM, VERSION_TEXT);
    match &members {
        Some(_) => tokio::select! {
            () = ending.wait() => {}
            never = entrance.keep(&mut at_work[0]) => match never {},
        },
        None => ending.wait().await,
    }
    life::stopping();
    desk.drains();
    watching.abort();
    if let Some(members) = &members {
        members.finish().await;
    }
    life::drain(&mut at_work, &shared.streams, config.settings.stream.drain).await;
    // What became of the last stanzas is heard, too.
    if let Some(members) = &members {
        members.finish().await;
    }
    Ok(())
}

impl Inward {
    /// Our own certificate on the trunk, where there is one.
    fn trunk_certificate(&self) -> Result<Option<Certificate>, FilesError> {
        match self {
            Inward::Gateway { .. } => Ok(None),
            Inward::Trunk { name, files, .. } => {
                Ok(Some(Certificate { used_for: "trunk", name: name.clone(), not_after: files.expires()? }))
            }
        }
    }
}

fn own_addresses(config: &Config) -> Vec<std::net::IpAddr> {
    let inward = match &config.inward {
        Inward::Gateway { face, .. } => &face.listen,
        Inward::Trunk { listen, .. } => listen,
    };
    let all = config.external.listen.iter().chain(inward).map(SocketAddr::ip);
    all.filter(|address| !address.is_unspecified()).collect()
}

/// What stands between the external face and the servers inside, with its listeners open.
enum Opened {
    Gateway {
        face: Arc<FaceState>,
        listen: Vec<SocketAddr>,
        listeners: Vec<tokio::net::TcpListener>,
        returns: net::holder::Returns,
    },
    Trunk(OpenedTrunk),
}

struct OpenedTrunk {
    listeners: Vec<tokio::net::TcpListener>,
    acceptor: net::trunk::tls::Acceptor,
    name: String,
    gateways: Vec<String>,
}

impl Opened {
    fn open(config: &Config, files: &Files, shared: &Shared) -> Result<Opened, Failure> {
        match (&config.inward, &files.inside) {
            (Inward::Gateway { face: settings, .. }, Some(inside)) => {
                let (face, returns) = inside.face(settings, &config.settings, shared)?;
                let listeners = life::listen(&settings.listen, &settings.shared)?;
                Ok(Opened::Gateway { face, listen: settings.listen.clone(), listeners, returns })
            }
            (Inward::Trunk { listen, name, files, gateways }, _) => Ok(Opened::Trunk(OpenedTrunk {
                listeners: life::listen(listen, &[])?,
                acceptor: files.acceptor()?,
                name: name.clone(),
                gateways: gateways.clone(),
            })),
            (Inward::Gateway { .. }, None) => {
                Err(std::io::Error::other("the internal face's files were not read").into())
            }
        }
    }
}

impl OpenedTrunk {
    fn begin(self, outer: End, tasks: &mut JoinSet<()>) -> Arc<Members> {
        let hello = Hello { version: VERSION, instance: gateway::run::instance(), name: self.name, serves: Vec::new() };
        let members = Members::new(outer, hello, &self.gateways);
        for listener in self.listeners {
            tasks.spawn(gateways::accept(listener, self.acceptor.clone(), members.clone()));
        }
        members
    }
}

struct Borderer {
    files: Files,
    members: Option<Arc<Members>>,
    /// Its own on the trunk, where there is one.
    trunk: Option<Certificate>,
    /// Whether the entrance is, where it hangs on gateways.
    open: Arc<AtomicBool>,
}

impl Office for Borderer {
    fn concerns(&self) -> Vec<String> {
        let mut concerns = self.files.concerns();
        concerns.extend(self.hindrance());
        concerns
    }

    fn hindrance(&self) -> Option<String> {
        (self.members.is_some() && !self.open.load(Ordering::Relaxed)).then(|| CLOSED.to_owned())
    }

    fn certificates(&self) -> Vec<Certificate> {
        let inside = self.files.inside.as_ref().and_then(Inside::certificate);
        self.files.outside.certificates().into_iter().chain(inside).chain(self.trunk.clone()).collect()
    }

    fn members(&self) -> Vec<Standing> {
        self.members.as_ref().map(|members| members.standing()).unwrap_or_default()
    }
}

/// Takes over changed files: certificates and roots by themselves, everything on SIGHUP.
async fn watch(file: PathBuf, mut hangup: Signal, files: Files) {
    let mut look = tokio::time::interval(LOOK);
    let mut looks = 0_u32;
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                match files.read_again(&file) {
                    Ok(()) => {
                        tracing::info!("policy, certificates, roots and secrets were read again; other changes need a restart");
                    }
                    Err(error) => tracing::error!(%error, "the configuration can't be used; everything stays as it was"),
                }
                tell(&files);
            }
            _ = look.tick() => {
                files.outside.look();
                if let Some(inside) = &files.inside {
                    inside.look();
                }
                if looks.is_multiple_of(REMIND) {
                    tell(&files);
                }
                looks = looks.wrapping_add(1);
            }
        }
    }
}

fn tell(files: &Files) {
    for concern in files.concerns() {
        tracing::warn!("{concern}");
    }
}
