//! The life of fedge-edge: the external face, and beside it the internal one or trunks from gateways.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

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
use daemon::settings::{ConfigError, FaceConfig};
use gateway::inside::InsideError;
use net::bridge::{self, End};
use net::face::FaceState;
use net::trunk::members::Members;
use net::trunk::tls;
use net::trunk::wire::{Hello, VERSION};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use topology::policy::Policy;

use crate::borderer::Borderer;
use crate::config::{Config, Configured, Inward};
use crate::course::Course;
use crate::entrance::{Door, Entrance};
use crate::files::Files;
use crate::gateways::Trunks;
use crate::memory::Memory;
use crate::outside::OutsideError;
use crate::service::{Counter, Scope, Service};
use crate::steering::Steering;
use crate::witness;

/// The daemon's name and version.
pub const PROGRAM: (&str, &str) = ("fedge-edge", env!("CARGO_PKG_VERSION"));

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
    Trunk(#[from] tls::FilesError),
    /// Controllers can't come.
    #[error("{0}")]
    Control(#[from] ControlledError),
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

/// Checks a configuration and all files that it names, and says what it found.
///
/// # Errors
/// When the daemon would not start with it.
pub fn check(file: &Path) -> Result<(), Failure> {
    let config = match Configured::read(file)? {
        Configured::Edge(config) => config,
        Configured::Witness(witness) => {
            let lines = witness::check(&witness)?;
            println!("{}: good", file.display());
            lines.iter().for_each(|line| println!("{line}"));
            return Ok(());
        }
    };
    if let Inward::Trunk { files, .. } = &config.inward {
        files.acceptor()?;
    }
    let policy = config.inward.policy().cloned().unwrap_or_else(|| Policy::new(Vec::new(), Vec::new(), None));
    let files = Files::read(&config, Arc::new(ArcSwap::from_pointee(policy.clone())))?;
    let certificates = files.outside.certificates().len();
    println!("{}: good", file.display());
    if config.inward.policy().is_some() {
        let (locals, partners) = (policy.locals().len(), policy.partners().len());
        let federation = if policy.is_open() { "everybody" } else { "those listed" };
        println!(
            "{locals} local domains, {partners} partners, federation with {federation}; {certificates} certificates"
        );
    } else {
        println!("{certificates} certificates; gateways, local domains and partners come from controllers");
    }
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
    let configured = Configured::read(file)?;
    let level = log::init(match &configured {
        Configured::Edge(config) => &config.log,
        Configured::Witness(witness) => &witness.log,
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match configured {
            Configured::Edge(config) => work(file, &config, level).await,
            Configured::Witness(config) => witness::work(file, &config, level).await,
        }
    })
}

/// As what the machine with this configuration becomes a member. What is wrong with it is told by [`check`].
pub fn role(file: &Path) -> Role {
    let is_witness = Configured::read(file).is_ok_and(|configured| matches!(configured, Configured::Witness(_)));
    if is_witness { Role::Witness } else { Role::Edge }
}

/// What the edge server starts with.
enum Start {
    /// The internal face is in this process.
    Gateway(Box<Policy>),
    /// Gateways dial.
    Trunk(Box<Trunk>),
}

/// What is known of the trunk before it is there.
struct Trunk {
    /// Our name on it.
    name: String,
    files: tls::Files,
    course: Course,
    /// Where controllers lead; and where the edge server listens but for the trunk.
    led: Option<(Led, Vec<SocketAddr>)>,
}

impl Start {
    async fn of(config: &Config) -> Result<Start, Failure> {
        match &config.inward {
            Inward::Gateway { policy, .. } => Ok(Start::Gateway(policy.clone())),
            Inward::Trunk { name, files, course } => {
                let (name, files, course) = (name.clone(), files.clone(), (**course).clone());
                Ok(Start::Trunk(Box::new(Trunk { name, files, course, led: None })))
            }
            Inward::Control(control) => {
                let own = config.external.listen.iter().chain(&config.metrics).chain(&control.listen);
                Start::led(control, own.copied().collect()).await
            }
        }
    }

    async fn led(control: &Control, own: Vec<SocketAddr>) -> Result<Start, Failure> {
        let checking = own.clone();
        let led = Led::begin(control, (Role::Edge, PROGRAM), move |sent| check_led(sent, &checking)).await?;
        let course = Course::led(led.snapshot(), &own).map_err(ControlledError::from)?;
        let name = led.agent().fqdn().to_owned();
        Ok(Start::Trunk(Box::new(Trunk { name, files: control.trunk(), course, led: Some((led, own)) })))
    }

    fn policy(&self) -> &Policy {
        match self {
            Start::Gateway(policy) => policy,
            Start::Trunk(trunk) => &trunk.course.policy,
        }
    }
}

/// Whether it could be gone by: also after a restart, so where it can't be listened it isn't even kept.
fn check_led(snapshot: &Kept, own: &[SocketAddr]) -> Result<(), String> {
    match course(snapshot, own)?.trunk.into_iter().find(|address| !life::has(address.ip())) {
        None => Ok(()),
        Some(address) => Err(format!(
            "gateways were to dial {address}, and this machine doesn't have that address; look at its `internal` in the topology"
        )),
    }
}

fn course(snapshot: &Kept, own: &[SocketAddr]) -> Result<Course, String> {
    Course::led(snapshot, own).map_err(|faults| faults.to_string())
}

async fn work(file: &Path, config: &Config, level: LogLevel) -> Result<(), Failure> {
    let began = Instant::now();
    let mut ending = Ending::new()?;
    // Before anybody knows that we run: until it is caught, this signal would end us.
    let hangup = signal(SignalKind::hangup())?;
    life::allow_open_files(config.settings.streams);
    let start = tokio::select! {
        start = Start::of(config) => start?,
        () = ending.wait() => return Ok(()),
    };
    let own = own_addresses(config, &start);
    let shared = Shared::new(start.policy().clone(), own, config.private_targets);
    let files = Files::read(config, shared.policy.clone())?;
    let (external, returns) = files.outside.face(&config.external, &config.settings, &shared)?;
    let inner = Inner::of(config, &files, &shared)?;
    let doors: Vec<Door> = [Door::of(&config.external)].into_iter().chain(inner.as_ref().map(Inner::door)).collect();
    // It is certain that it can be listened everywhere before anybody is served: half a border is none.
    doors.iter().try_for_each(|door| door.listen().map(drop))?;
    let metrics_listeners = life::listen(&config.metrics, &[])?;
    let socket = config.socket.as_deref().map(desk::bind).transpose()?;
    let mut at_work = vec![life::begin(&external, Vec::new(), returns)];
    let mut faces = vec![(external, config.external.listen.clone())];
    let mut tasks = JoinSet::new();
    let outer = at_work[0].end.clone();
    let entrance = match inner {
        Some(Inner { face, config, returns }) => {
            at_work.push(life::begin(&face, Vec::new(), returns));
            faces.push((face, config.listen.clone()));
            bridge::join(&outer, &at_work[1].end, &mut tasks);
            Entrance::of_both(doors)
        }
        None => Entrance::for_gateways(doors, &at_work[0]),
    };
    let open = entrance.is_open();
    let trunk = match start {
        Start::Gateway(_) => None,
        Start::Trunk(trunk) => Some(trunk.begin(outer, &files)?),
    };
    let trunks = trunk.as_ref().map(|trunk| trunk.trunks.clone());
    let agent = trunk.as_ref().and_then(|trunk| Some(trunk.led.as_ref()?.0.agent().clone()));
    let scope = Scope {
        streams: shared.streams.clone(),
        trunks: trunks.clone(),
        drain: config.settings.stream.drain,
        memory: config.inward.state().map(Memory::new),
    };
    let (mut service, counter) = Service::begin(at_work, entrance, scope).await;
    let desk = Arc::new(Desk {
        program: PROGRAM,
        began,
        level,
        streams: shared.streams.clone(),
        fates: shared.fates.clone(),
        draining: AtomicBool::new(false),
        probes: Probes::default(),
        faces,
        looks_from: None,
        office: Box::new(Borderer {
            files: files.clone(),
            trunk: trunk.as_ref().map(|trunk| (trunk.name.clone(), trunk.trunks.clone())),
            steering: trunk.as_ref().map(|trunk| trunk.steering.clone()),
            open,
            service: counter.clone(),
            agent: agent.clone(),
        }),
    });
    let _metrics = metrics::serve(metrics_listeners, desk.clone());
    let _desk = socket.map(|socket| desk::open(socket, desk.clone()));
    let watching = tokio::spawn(files.watch(file.to_owned(), hangup, trunks, agent.is_some()));
    life::ready(PROGRAM.0, PROGRAM.1);
    tokio::select! {
        () = ending.wait() => {}
        never = service.run() => match never {},
        never = AtTrunk::follow(trunk, &desk, &counter) => match never {},
    }
    life::stopping();
    desk.drains();
    watching.abort();
    service.end().await;
    Ok(())
}

/// Addresses that are never dialed for an outsider.
fn own_addresses(config: &Config, start: &Start) -> Vec<IpAddr> {
    let inward = match (&config.inward, start) {
        (Inward::Gateway { face, .. }, _) => &face.listen,
        (_, Start::Trunk(trunk)) => &trunk.course.trunk,
        _ => return Vec::new(),
    };
    let all = config.external.listen.iter().chain(inward).map(SocketAddr::ip);
    all.filter(|address| !address.is_unspecified()).collect()
}

/// The internal face in this process.
struct Inner<'a> {
    face: Arc<FaceState>,
    config: &'a FaceConfig,
    returns: net::holder::Returns,
}

impl Inner<'_> {
    fn of<'a>(config: &'a Config, files: &Files, shared: &Shared) -> Result<Option<Inner<'a>>, Failure> {
        let (Inward::Gateway { face: own, .. }, Some(inside)) = (&config.inward, &files.inside) else {
            return Ok(None);
        };
        let (face, returns) = inside.face(own, &config.settings, shared)?;
        Ok(Some(Inner { face, config: own, returns }))
    }

    fn door(&self) -> Door {
        Door::of(self.config)
    }
}

/// The trunk at work.
struct AtTrunk {
    name: String,
    trunks: Arc<Trunks>,
    steering: Arc<Steering>,
    led: Option<(Led, Vec<SocketAddr>)>,
}

impl Trunk {
    fn begin(self, outer: End, files: &Files) -> Result<AtTrunk, Failure> {
        let Trunk { name, files: of_trunk, course, led } = self;
        let instance = gateway::run::instance();
        let hello = Hello { version: VERSION, instance, name: name.clone(), serves: Vec::new() };
        let trunks = Arc::new(Trunks::new(of_trunk.acceptor()?, Members::new(outer, hello, &[])));
        let steering = Arc::new(Steering::new(files.clone(), trunks.clone()));
        steering.take(course)?;
        Ok(AtTrunk { name, trunks, steering, led })
    }
}

impl AtTrunk {
    /// Goes by each snapshot that comes, where controllers lead. The desk can be asked from here on.
    async fn follow(trunk: Option<AtTrunk>, desk: &Arc<Desk>, service: &Counter) -> Infallible {
        let Some(AtTrunk { led: Some((led, own)), steering, .. }) = trunk else { return std::future::pending().await };
        led.follow(desk, |snapshot, change| {
            match change {
                // What reaches a standby is served.
                Change::Route => {}
                Change::Content => steering.take(course(snapshot, &own)?).map_err(|error| error.to_string())?,
            }
            if steering.pool().is_some_and(|pool| *pool == snapshot.head.route.pool) {
                service.came(snapshot.head.route.epoch);
            }
            Ok(())
        })
        .await
    }
}
