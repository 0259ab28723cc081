//! `cargo xtask demo`: real servers federate through fedge on this machine's loopback, before your eyes.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use testkit::lab::{CONTOSO, FABRIKAM, Kind, LabPlan, Peer, Publisher, TAILSPIN, address_of};
use testkit::packages::Debian;
use testkit::server::Authentication;
use tokio::signal::unix::{SignalKind, signal};

mod installation;
mod moves;
mod small;
mod story;

/// How the demo goes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Fetch the Debian packages that it takes without asking.
    #[arg(long)]
    yes: bool,
    /// Leave everything running afterwards, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Where the controllers keep topology and state.
    #[arg(long, value_enum, default_value_t = Store::Sqlite, conflicts_with = "small")]
    store: Store,
    /// Who publishes by which names partners find the pools.
    #[arg(long, value_enum, default_value_t = Dns::Embedded, conflicts_with = "small")]
    dns: Dns,
    /// One process between the servers, without a control plane, instead of a whole installation.
    #[arg(long)]
    small: bool,
}

/// Where controllers keep topology and state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Store {
    /// In a file.
    Sqlite,
    /// In an etcd of three.
    Etcd,
}

/// Who publishes by which names partners find the pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Dns {
    /// A fedge-dns in the perimeter of each site.
    Embedded,
    /// The company's name server, a BIND that takes updates.
    Bind,
}

impl Dns {
    fn publisher(self) -> Publisher {
        match self {
            Dns::Embedded => Publisher::Embedded,
            Dns::Bind => Publisher::Bind,
        }
    }
}

/// What is shown.
trait Stage: Sized + Send + 'static {
    /// Builds fedge, and checks that it can be started.
    fn prepare(options: &Options, plan: &LabPlan) -> anyhow::Result<()>;

    /// Starts everything in a folder, and says what is being done.
    fn start(options: &Options, plan: &LabPlan, folder: &Path) -> anyhow::Result<Self>;

    /// Tells the story on it.
    async fn tell(&mut self) -> anyhow::Result<()>;

    /// Says what one can do with it while it is kept.
    fn keep(&self);

    /// Ends everything.
    fn stop(self) -> anyhow::Result<()>;
}

/// Runs the demo.
///
/// # Errors
/// When something that was said was not delivered, or something doesn't start.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let certificates = |kind| Peer { kind, authentication: Authentication::External };
    let dialback = |kind| Peer { kind, authentication: Authentication::Dialback };
    let partners = [(FABRIKAM, certificates(Kind::Ejabberd)), (TAILSPIN, dialback(Kind::Prosody))];
    let mut plan = LabPlan::new(certificates(Kind::Prosody), &partners);
    plan.publisher = options.dns.publisher();
    let introduction = if options.small { small::INTRODUCTION } else { installation::INTRODUCTION };
    println!("{introduction}");
    ensure!(testkit::is_root(), "it takes root: servers look for DNS at port 53, which nobody else may open");
    let more = if options.small { Vec::new() } else { installation::packages(options) };
    fetch(options, &[plan.packages(), more].concat())?;
    println!("building fedge");
    if options.small { perform::<small::Small>(options, plan) } else { perform::<installation::Whole>(options, plan) }
}

fn perform<S: Stage>(options: &Options, plan: LabPlan) -> anyhow::Result<()> {
    S::prepare(options, &plan)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let told = runtime.block_on(show::<S>(options, plan));
    runtime.shutdown_background();
    told
}

/// Says what is missing, asks, and unpacks it into the target folder.
fn fetch(options: &Options, packages: &[&str]) -> anyhow::Result<()> {
    let folder = Debian::usual_folder();
    let mut say = |told: &str| println!("{told}");
    let missing = Debian::missing(&folder, packages, &mut say)?;
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name.as_str()).collect();
    println!("It takes {} Debian packages, which will be unpacked into the target folder;", names.len());
    println!("nothing gets installed, and no service of this machine is touched:\n  {}", names.join(" "));
    if !options.yes {
        ensure!(std::io::stdin().is_terminal(), "run it with --yes to fetch them");
        print!("Fetch them? [y/N] ");
        std::io::stdout().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            bail!("nothing was fetched, and nothing was started");
        }
    }
    Debian::unpack(&folder, packages, &mut say)?;
    Ok(())
}

async fn show<S: Stage>(options: &Options, plan: LabPlan) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("fedge-demo-").tempdir()?;
    let path = folder.path().to_owned();
    let began = Instant::now();
    // From here on, also while servers are being started: whatever happens, they are ended.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let interrupted = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    tokio::pin!(interrupted);
    let given = options.clone();
    let starting = tokio::task::spawn_blocking(move || S::start(&given, &plan, &path));
    tokio::pin!(starting);
    let started = tokio::select! {
        started = &mut starting => started,
        () = &mut interrupted => {
            println!("ending everything, as soon as what is being started is there");
            starting.await?.and_then(S::stop)?;
            bail!("interrupted");
        }
    };
    let mut stage = started.context("starting")??;
    println!("everything runs after {:.1} s\n", began.elapsed().as_secs_f64());
    let told = tokio::select! {
        biased;
        () = &mut interrupted => Err(anyhow::anyhow!("interrupted")),
        told = stage.tell() => told,
    };
    if told.is_ok() && options.keep {
        logins();
        stage.keep();
        interrupted.await;
        println!();
    }
    println!("ending everything");
    let ended = tokio::task::spawn_blocking(move || stage.stop()).await.context("ending")?;
    told.and(ended)
}

fn logins() {
    println!("\nIt goes on until Ctrl-C. Log in with any XMPP client, without TLS; the password is `secret`:");
    for domain in [CONTOSO, FABRIKAM, TAILSPIN] {
        for user in ["alice", "bob"] {
            println!("  {user}@{domain}  at {}, port 5222", address_of(domain));
        }
    }
}
