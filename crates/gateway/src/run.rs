//! The life of fedge-gateway: the internal face, trunks to edge servers, and the course that it goes by.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime};

use agent::state::Kept;
use api::agent::Role;
use arc_swap::ArcSwap;
use daemon::control::{Control, ControlledError};
use daemon::desk::{self, Desk, DeskError};
use daemon::led::{Change, Led};
use daemon::life::{self, Ending, ListenError};
use daemon::log::{self, LogLevel};
use daemon::metrics;
use daemon::parts::{PartsError, Shared};
use daemon::probe::Probes;
use daemon::settings::ConfigError;
use net::crypto::random_below;
use net::trunk::members::Members;
use net::trunk::tls::FilesError;
use net::trunk::wire::{Hello, VERSION};
use tokio::signal::unix::{Signal, SignalKind, signal};
use topology::faults::Faults;
use topology::policy::Policy;

use crate::config::{Config, Lead};
use crate::course::Course;
use crate::gatekeeper::Gatekeeper;
use crate::inside::{Inside, InsideError};
use crate::steering::Steering;
use crate::trunks::Trunks;

/// The daemon's name and version.
pub const PROGRAM: (&str, &str) = ("fedge-gateway", env!("CARGO_PKG_VERSION"));
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
    /// Controllers can't come.
    #[error("{0}")]
    Control(#[from] ControlledError),
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
    println!("{}: good", file.display());
    match &config.lead {
        Lead::File { trunk, course, .. } => {
            trunk.dialer()?;
            println!("{} pools, the route on {}", course.pools.len(), course.route);
            for concern in inside.concerns(&course.policy, SystemTime::now()) {
                println!("warning: {concern}");
            }
        }
        Lead::Control(_) => println!("pools, route, local domains and partners come from controllers"),
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

/// What the gateway starts with.
struct Start {
    /// Its name on the trunk.
    name: String,
    trunk: net::trunk::tls::Files,
    course: Course,
    /// Where controllers lead.
    led: Option<Led>,
}

impl Start {
    async fn led(control: &Control, own: &[SocketAddr]) -> Result<Start, Failure> {
        let checking = own.to_vec();
        let led = Led::begin(control, (Role::Gateway, PROGRAM), move |sent| course(sent, &checking).map(drop)).await?;
        let course = Course::led(led.snapshot(), own).map_err(ControlledError::from)?;
        Ok(Start { name: led.agent().fqdn().to_owned(), trunk: control.trunk(), course, led: Some(led) })
    }
}

fn course(snapshot: &Kept, own: &[SocketAddr]) -> Result<Course, String> {
    Course::led(snapshot, own).map_err(|faults: Faults| faults.to_string())
}

async fn work(file: &Path, config: Config, level: LogLevel) -> Result<(), Failure> {
    let began = Instant::now();
    let mut ending = Ending::new()?;
    // Before anybody knows that we run: until it is caught, this signal would end us.
    let hangup = signal(SignalKind::hangup())?;
    life::allow_open_files(config.settings.streams);
    let Start { name, trunk, course, led } = match config.lead {
        Lead::File { name, trunk, course } => Start { name, trunk, course: *course, led: None },
        Lead::Control(control) => tokio::select! {
            start = Start::led(&control, &config.face.listen) => start?,
            () = ending.wait() => return Ok(()),
        },
    };
    let own = config.face.listen.iter().map(SocketAddr::ip).collect();
    let shared = Shared::new(course.policy.clone(), own, false);
    let inside = Inside::read(&config.face, config.ca.as_deref())?;
    let (face, returns) = inside.face(&config.face, &config.settings, &shared)?;
    let dialer = trunk.dialer()?;
    let listeners = life::listen(&config.face.listen, &config.face.shared)?;
    let metrics_listeners = life::listen(&config.metrics, &[])?;
    let socket = config.socket.as_deref().map(desk::bind).transpose()?;
    let mut at_work = [life::begin(&face, listeners, returns)];
    let hello = Hello { version: VERSION, instance: instance(), name: name.clone(), serves: Vec::new() };
    let members = Members::new(at_work[0].end.clone(), hello, &[]);
    tell(&inside, &course.policy);
    let trunks = Trunks::new(dialer, members.clone());
    let steering = Arc::new(Steering::new(inside.clone(), shared.policy.clone(), members.clone(), trunks));
    steering.take(course);
    let agent = led.as_ref().map(|led| led.agent().clone());
    let desk = Arc::new(Desk {
        program: PROGRAM,
        began,
        level,
        streams: shared.streams.clone(),
        fates: shared.fates.clone(),
        draining: AtomicBool::new(false),
        probes: Probes::default(),
        faces: vec![(face.clone(), config.face.listen.clone())],
        looks_from: None,
        office: Box::new(Gatekeeper {
            name,
            steering: steering.clone(),
            inside: inside.clone(),
            policy: shared.policy.clone(),
            agent,
        }),
    });
    let _metrics = metrics::serve(metrics_listeners, desk.clone());
    let _desk = socket.map(|socket| desk::open(socket, desk.clone()));
    let files = Files { file: file.to_owned(), inside, steering: steering.clone(), led: led.is_some() };
    let reloading = tokio::spawn(files.reload(hangup, shared.policy.clone()));
    life::ready(PROGRAM.0, PROGRAM.1);
    tokio::select! {
        () = ending.wait() => {}
        never = follow(led, &desk, &steering, &config.face.listen) => match never {},
    }
    life::stopping();
    desk.drains();
    reloading.abort();
    members.finish().await;
    life::drain(&mut at_work, &shared.streams, config.settings.stream.drain, true).await;
    // What became of the last stanzas is heard, too.
    members.finish().await;
    Ok(())
}

/// Goes by each snapshot that comes, where controllers lead.
async fn follow(led: Option<Led>, desk: &Arc<Desk>, steering: &Steering, own: &[SocketAddr]) -> Infallible {
    let Some(led) = led else { return std::future::pending().await };
    led.follow(desk, |snapshot, change| match change {
        Change::Route => steering.route(&snapshot.head.route.pool),
        Change::Content => {
            steering.take(course(snapshot, own)?);
            Ok(())
        }
    })
    .await
}

/// Another one at each start.
pub fn instance() -> u64 {
    (u64::from(random_below(u32::MAX)) << 32) | u64::from(random_below(u32::MAX))
}

/// The files that may change while the gateway runs.
struct Files {
    file: PathBuf,
    inside: Inside,
    steering: Arc<Steering>,
    /// Whether controllers lead, so that the policy is theirs.
    led: bool,
}

impl Files {
    /// Takes over changed files: roots and the trunk's certificate by themselves, policy, CA and secrets on SIGHUP.
    async fn reload(self, mut hangup: Signal, policy: Arc<ArcSwap<Policy>>) {
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = look.tick() => {
                    self.inside.look();
                    self.steering.trunks().look();
                }
                _ = hangup.recv() => match self.read_again(&policy) {
                    Ok(()) => {
                        tell(&self.inside, &policy.load());
                        tracing::info!("policy, CA, roots and secrets were read again; other changes need a restart");
                    }
                    Err(error) => tracing::error!(%error, "the configuration can't be used; everything stays as it was"),
                },
            }
        }
    }

    fn read_again(&self, policy: &ArcSwap<Policy>) -> Result<(), Failure> {
        let config = Config::read(&self.file)?;
        self.inside.replace(&Inside::read(&config.face, config.ca.as_deref())?).map_err(InsideError::from)?;
        match config.lead {
            Lead::File { course, .. } if !self.led => policy.store(Arc::new(course.policy)),
            Lead::Control(_) if self.led => {}
            _ => tracing::warn!("whether controllers lead this gateway changes with the next start"),
        }
        Ok(())
    }
}

fn tell(inside: &Inside, policy: &Policy) {
    for concern in inside.concerns(policy, SystemTime::now()) {
        tracing::warn!("{concern}");
    }
}
