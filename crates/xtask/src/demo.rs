//! `cargo xtask demo`: real servers federate through fedge on this machine's loopback, before your eyes.

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use testkit::lab::{CONTOSO, FABRIKAM, Kind, Lab, LabPlan, Peer, TAILSPIN, address_of};
use testkit::packages::Debian;
use testkit::place::Place;
use testkit::server::Authentication;
use tokio::signal::unix::{SignalKind, signal};

mod story;

/// How the demo goes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Fetch the Debian packages that it takes without asking.
    #[arg(long)]
    yes: bool,
    /// Leave everything running afterwards, until Ctrl-C.
    #[arg(long)]
    keep: bool,
}

/// Runs the demo.
///
/// # Errors
/// When something that was said was not delivered, or something doesn't start.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let certificates = |kind| Peer { kind, authentication: Authentication::External };
    let dialback = |kind| Peer { kind, authentication: Authentication::Dialback };
    let partners = [(FABRIKAM, certificates(Kind::Ejabberd)), (TAILSPIN, dialback(Kind::Prosody))];
    let plan = LabPlan::new(certificates(Kind::Prosody), &partners);
    introduce();
    ensure!(testkit::is_root(), "it takes root: servers look for DNS at port 53, which nobody else may open");
    fetch(options, &plan)?;
    println!("building fedge");
    testkit::fedge::Programs::built()?;
    Lab::check_free(&Place::here(), &plan)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let told = runtime.block_on(show(options, plan));
    runtime.shutdown_background();
    told
}

fn introduce() {
    println!(
        "contoso.test has a Prosody of its own and federates through fedge, with two partners:\n\
         \n\
         \x20 Prosody (contoso.test)         fedge-edge                 ejabberd (fabrikam.test)\n\
         \x20 127.0.1.1              <-->    127.0.2.1 | 127.0.3.1 <--> 127.0.4.1, by certificate (EXTERNAL)\n\
         \x20 finds partners by fedge-dns    inside    | outside   <--> Prosody (tailspin.test)\n\
         \x20                                                           127.0.5.1, by dialback\n"
    );
}

/// Says what is missing, asks, and unpacks it into the target folder.
fn fetch(options: &Options, plan: &LabPlan) -> anyhow::Result<()> {
    let folder = Debian::usual_folder();
    let mut say = |told: &str| println!("{told}");
    let missing = Debian::missing(&folder, &plan.packages(), &mut say)?;
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
    Debian::unpack(&folder, &plan.packages(), &mut say)?;
    Ok(())
}

async fn show(options: &Options, plan: LabPlan) -> anyhow::Result<()> {
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
    let starting =
        tokio::task::spawn_blocking(move || Lab::start(Place::here(), &plan, &path, &mut |told| println!("{told}")));
    let lab = starting.await.context("starting")??;
    println!("everything runs after {:.1} s\n", began.elapsed().as_secs_f64());
    let told = tokio::select! {
        biased;
        () = &mut interrupted => Err(anyhow::anyhow!("interrupted")),
        told = story::tell(&lab) => told,
    };
    if told.is_ok() && options.keep {
        logins(&lab);
        interrupted.await;
        println!();
    }
    println!("ending everything");
    let ended = tokio::task::spawn_blocking(move || lab.stop()).await.context("ending")?;
    told.and(ended)
}

fn logins(lab: &Lab) {
    println!("\nIt goes on until Ctrl-C. Log in with any XMPP client, without TLS; the password is `secret`:");
    for domain in [CONTOSO, FABRIKAM, TAILSPIN] {
        for user in ["alice", "bob"] {
            println!("  {user}@{domain}  at {}, port 5222", address_of(domain));
        }
    }
    println!("Logs and configurations are in {}", lab.folder().display());
    println!("Ask fedge: {} status --socket {}", lab.programs.path("fedge-edge").display(), lab.socket().display());
}
