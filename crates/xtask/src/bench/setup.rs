//! What it costs fedge to set up streams, beside what rustls alone does in handshakes; and what happens when thousands of
//! partners come back at once, as after a move of the route.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use testkit::fedge;
use testkit::place::Place;
use testkit::process::allow_open_files;
use tokio::sync::oneshot;

pub(super) mod callers;
mod site;
mod traffic;

use super::spread::Spread;
use callers::{Callers, Going, Proof};
use site::Site;
use traffic::{Latencies, Traffic};

/// How it is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Rounds of each, in turn; one more to warm up isn't counted.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Streams that are set up in a round, and handshakes of rustls alone.
    #[arg(long, default_value_t = 1000)]
    streams: usize,
    /// Partners that come back at once.
    #[arg(long, default_value_t = 8000)]
    partners: usize,
    /// Little of each, with a fedge that isn't optimised: shows that it works, and hardly what it costs.
    #[arg(long)]
    quick: bool,
}

/// Processes in which those who come back at once are.
const PROCESSES: usize = 2;
/// As many files as fedge needs for all of them.
const OPEN_FILES: usize = 20_000;
/// What is set up in a round.
const KINDS: [&str; 5] = [
    "handshakes by rustls alone",
    "the same, resumed",
    "the same over sockets, not resumed",
    "streams by EXTERNAL",
    "streams by dialback",
];
/// How many set up streams at the same time in a round.
const BESIDE: usize = 16;

/// How much there is of everything.
struct Load {
    rounds: usize,
    streams: usize,
    partners: usize,
    /// How long traffic is looked at before anybody comes back.
    quiet: Duration,
}

impl Load {
    fn of(options: &Options) -> Load {
        let Options { rounds, streams, partners, quick } = *options;
        if quick {
            Load { rounds: 1, streams: 32, partners: 100, quiet: Duration::from_millis(500) }
        } else {
            Load { rounds, streams, partners, quiet: Duration::from_secs(10) }
        }
    }
}

/// Measures, and prints tables for docs/performance.md.
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let load = Load::of(options);
    ensure!(load.rounds > 0 && load.streams > 0, "at least one round of one stream");
    ensure!((PROCESSES..=15_000).contains(&load.partners), "{PROCESSES} to 15000 partners");
    println!("building fedge {}", if options.quick { "for tests" } else { "as it is released" });
    let build = if options.quick { fedge::built } else { fedge::released };
    let programs = [build("edge", "fedge-edge")?, build("micro", "micro")?];
    allow_open_files(OPEN_FILES)?;
    let place = if testkit::is_root() { Place::isolated()? } else { Place::here() };
    let tables = place.run(move || async move { measure(&load, &programs).await })?;
    println!("\n{tables}");
    Ok(())
}

async fn measure(load: &Load, programs: &[PathBuf; 2]) -> anyhow::Result<String> {
    let folder = tempfile::Builder::new().prefix("fedge-bench-").tempdir()?;
    let site = Site::start(programs, folder.path()).await?;
    let mut each = Vec::new();
    for round in 0..=load.rounds {
        let [_, micro] = programs;
        let alone = site.rustls_alone(micro, load.streams, false)?;
        let resumed = site.rustls_alone(micro, load.streams, true)?;
        let sockets = set_up(&site, Proof::Handshake, load.streams)?;
        let external = set_up(&site, Proof::External, load.streams)?;
        let dialback = set_up(&site, Proof::Dialback, load.streams)?;
        println!(
            "  milliseconds of processor: rustls {alone:.3}, resuming {resumed:.3}, over sockets {sockets:.3}; EXTERNAL {external:.3}, dialback {dialback:.3}"
        );
        if round > 0 {
            each.push([alone, resumed, sockets, external, dialback]);
        }
    }
    let crowd = come_back(&site, load).await?;
    site.stop()?;
    Ok(format!("{}\n{}", costs(&each), crowd.told()))
}

/// Milliseconds of processor time for each stream.
fn set_up(site: &Site, proof: Proof, streams: usize) -> anyhow::Result<f64> {
    let callers = Callers::start(site, proof, 0, streams, BESIDE)?;
    let before = site.used(proof)?;
    let (_, going) = callers.go()?.done()?;
    let used = site.used(proof)? - before;
    drop(going);
    site.wait_until_quiet(proof)?;
    Ok(used.as_secs_f64() * 1000.0 / streams as f64)
}

fn costs(rounds: &[[f64; 5]]) -> String {
    let mut text = String::from(
        "| | milliseconds of processor | a second and processor | of what rustls alone does |\n|---|---|---|---|\n",
    );
    for (at, name) in KINDS.iter().enumerate() {
        let time = Spread::of(rounds.iter().map(|times| times[at])).show(3);
        let rate = Spread::of(rounds.iter().map(|times| 1000.0 / times[at])).show(0);
        let ratio = Spread::of(rounds.iter().map(|times| times[0] / times[at])).show(2);
        text += &format!("| {name} | {time} | {rate} | {ratio} |\n");
    }
    text
}

/// What became of those who came back at once, and of traffic before and meanwhile.
struct Crowd {
    /// How long each had to wait, the shortest first.
    waits: Vec<Duration>,
    /// Processor time of fedge.
    used: Duration,
    quiet: [Latencies; 2],
    meanwhile: [Latencies; 2],
}

impl Crowd {
    fn told(&self) -> String {
        let wait = |hundredths: usize| self.waits[(self.waits.len() - 1) * hundredths / 100].as_secs_f64();
        format!(
            "| {} partners come back at once | |\n|---|---|\n\
             | half of them have a stream after | {:.2} s |\n\
             | the last one, which is the worst wait | {:.2} s |\n\
             | fedge's processor time | {:.2} s |\n\
             | messages of others before | {} |\n\
             | the same without fedge in between | {} |\n\
             | messages of others meanwhile | {} |\n\
             | the same without fedge in between | {} |\n",
            self.waits.len(),
            wait(50),
            wait(100),
            self.used.as_secs_f64(),
            self.quiet[0],
            self.quiet[1],
            self.meanwhile[0],
            self.meanwhile[1],
        )
    }
}

async fn come_back(site: &Site, load: &Load) -> anyhow::Result<Crowd> {
    let mut traffic = [Traffic::through_fedge(site).await?, Traffic::beside_fedge(site).await?];
    let ((), quiet) = meanwhile(&mut traffic, tokio::time::sleep(load.quiet)).await?;
    let share = load.partners.div_ceil(PROCESSES);
    let callers = (0..PROCESSES).map(|process| {
        let first = process * share;
        Callers::start(site, Proof::External, first, share.min(load.partners - first), share)
    });
    let callers: Vec<Callers> = callers.collect::<Result<_, _>>()?;
    let before = site.used(Proof::External)?;
    let crowd = tokio::task::spawn_blocking(move || {
        let going: Vec<Going> = callers.into_iter().map(Callers::go).collect::<anyhow::Result<_>>()?;
        let done = going.into_iter().map(Going::done);
        done.collect::<anyhow::Result<Vec<_>>>()
    });
    let (crowd, meanwhile) = meanwhile(&mut traffic, crowd).await?;
    let used = site.used(Proof::External)? - before;
    let mut waits: Vec<Duration> = crowd??.into_iter().flat_map(|(waits, _)| waits).collect();
    ensure!(waits.len() == load.partners, "{} partners came back of {}", waits.len(), load.partners);
    waits.sort_unstable();
    Ok(Crowd { waits, used, quiet, meanwhile })
}

/// Has both talk until that is done.
async fn meanwhile<T>(
    [through, beside]: &mut [Traffic<'_>; 2],
    what: impl Future<Output = T>,
) -> anyhow::Result<(T, [Latencies; 2])> {
    let (done, over) = oneshot::channel::<()>();
    let what = async {
        let result = what.await;
        drop(done);
        result
    };
    let ((result, through), ((), beside)) = tokio::try_join!(
        through.until(what),
        beside.until(async move {
            // Nothing is ever sent.
            let _ = over.await;
        })
    )?;
    Ok((result, [through, beside]))
}
