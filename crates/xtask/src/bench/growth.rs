//! How cost grows with partners and local domains: snapshots, starts and memory, in a whole installation.

use std::fs;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use testkit::fedge::Programs;
use testkit::lab::installation::{CONTROLLERS, GATEWAYS, Ground, Installation, StoreKind, many};
use testkit::lab::{FABRIKAM, Kind, LabPlan, Peer};
use testkit::place::Place;
use testkit::server::Authentication::External;

use super::memory::resident;
use super::spread::Spread;

/// Who is looked at: one of each kind that carries stanzas.
const LOOKED_AT: [&str; 2] = ["edge1", GATEWAYS[0]];

/// How it is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many partners there are, and as many local domains; may be given several times. 10, 1000 and 10,000, unless it is.
    #[arg(long)]
    sizes: Vec<usize>,
    /// How often a topology is published, with one partner more each time, and how often each member is started.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// 10 and 100, two rounds, with a fedge that isn't optimised: shows that it works, and hardly what it costs.
    #[arg(long)]
    quick: bool,
}

/// What was measured with so many partners and local domains.
struct Measured {
    size: usize,
    /// For each round, how long the command took that published, and after how long the last member went by it; in seconds
    /// from the command's start.
    published: Vec<[f64; 2]>,
    /// Of each that is looked at.
    members: Vec<One>,
    /// The memory of the first controller, in megabytes.
    controller: f64,
}

/// What was measured of one member.
struct One {
    /// How large the snapshot is on its disk, in kilobytes.
    snapshot: f64,
    /// From its start until it is ready, in seconds.
    starts: Vec<f64>,
    /// Its memory after the last start, in megabytes.
    memory: f64,
}

/// Measures, and prints a table for docs/performance.md.
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let (usual, rounds): (&[usize], _) =
        if options.quick { (&[10, 100], 2) } else { (&[10, 1000, 10_000], options.rounds) };
    let sizes = if options.sizes.is_empty() { usual } else { &options.sizes };
    ensure!(rounds > 0, "at least one round");
    println!("building fedge {}", if options.quick { "for tests" } else { "as it is released" });
    let programs = if options.quick { Programs::built()? } else { Programs::released()? };
    let mut all = Vec::new();
    for &size in sizes {
        println!("{size} partners and {size} local domains");
        all.push(measure(&programs, size, rounds)?);
    }
    println!("\nthe middle of {rounds} rounds, from the lowest to the highest\n\n{}", table(&all));
    Ok(())
}

fn measure(programs: &Programs, size: usize, rounds: usize) -> anyhow::Result<Measured> {
    let folder = tempfile::Builder::new().prefix("fedge-bench-").tempdir()?;
    let peer = Peer { kind: Kind::Prosody, authentication: External };
    let (plan, ground) = (LabPlan::new(peer, &[(FABRIKAM, peer)]), Ground::loopback(Place::isolated()?));
    let mut lab = Installation::lead(ground, &plan, StoreKind::Sqlite, programs.clone(), folder.path(), &mut |_| {})?;
    let (version, began) = lab.publish_with(&many(size, size), "many")?;
    lab.wait_for_version(version, began)?;
    let mut published = Vec::new();
    for round in 0..rounds {
        let more = format!("\n[[partner]]\ndomains = [\"round{round}.test\"]\n");
        let (version, began) = lab.publish_with(&more, "one more")?;
        let told = began.elapsed();
        let last = lab.wait_for_version(version, began)?.into_values().max().context("there are members")?;
        let both = [told, last].map(|time| time.as_secs_f64());
        println!("  published after {:.3} s, applied by the last after {:.3} s", both[0], both[1]);
        published.push(both);
    }
    let controller = megabytes(&lab, CONTROLLERS[0])?;
    let mut members = Vec::new();
    for member in LOOKED_AT {
        let mut starts = Vec::new();
        for _ in 0..rounds {
            lab.end(member)?;
            let began = Instant::now();
            lab.begin(member)?;
            starts.push(began.elapsed().as_secs_f64());
        }
        let slowest = starts.iter().copied().fold(0.0, f64::max);
        println!("  {member} is ready after at most {slowest:.3} s");
        let file = lab.folder().join(member).join("state/snapshot");
        let snapshot = fs::metadata(&file).with_context(|| format!("no {}", file.display()))?.len() as f64 / 1e3;
        members.push(One { snapshot, starts, memory: megabytes(&lab, member)? });
    }
    lab.stop()?;
    Ok(Measured { size, published, members, controller })
}

/// The memory that a daemon has.
fn megabytes(lab: &Installation, name: &str) -> anyhow::Result<f64> {
    let daemon = lab.daemons.get(name).with_context(|| format!("{name} doesn't run"))?;
    Ok(resident(daemon.pid())? as f64 / 1e6)
}

fn table(all: &[Measured]) -> String {
    let mut text = "|".to_owned();
    text.extend(all.iter().map(|measured| format!(" | {}", measured.size)));
    text += &format!(" |\n|---{}|\n", "|---".repeat(all.len()));
    let mut row = |what: &str, of: &dyn Fn(&Measured) -> Option<String>| {
        let cells: String = all.iter().map(|measured| format!(" {} |", of(measured).unwrap_or_default())).collect();
        text += &format!("| {what} |{cells}\n");
    };
    let time = |values: &mut dyn Iterator<Item = f64>| Some(format!("{} s", Spread::of(values).show(3)));
    row("published", &|measured| time(&mut measured.published.iter().map(|[told, _]| *told)));
    row("applied by the last member", &|measured| time(&mut measured.published.iter().map(|[_, last]| *last)));
    row("the difference", &|measured| time(&mut measured.published.iter().map(|[told, last]| last - told)));
    for (at, name) in ["edge server", "gateway"].into_iter().enumerate() {
        let one = |measured: &Measured, show: &dyn Fn(&One) -> Option<String>| measured.members.get(at).and_then(show);
        row(&format!("{name}: snapshot"), &|measured| one(measured, &|one| Some(format!("{:.1} kB", one.snapshot))));
        row(&format!("{name}: start"), &|measured| one(measured, &|one| time(&mut one.starts.iter().copied())));
        row(&format!("{name}: memory"), &|measured| one(measured, &|one| Some(format!("{:.1} MB", one.memory))));
    }
    row("controller: memory", &|measured| Some(format!("{:.1} MB", measured.controller)));
    text
}
