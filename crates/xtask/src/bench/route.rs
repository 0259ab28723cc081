//! How soon a move of the route is everywhere: from its commit until each member has it on its disk and goes by it.

use anyhow::{Context as _, ensure};
use testkit::fedge::Programs;
use testkit::lab::installation::StoreKind;
use testkit::process::allow_open_files;

mod fleet;

use super::spread::of_hundred;
use fleet::Fleet;

/// For each member, what it has open and what comes to it, and some.
const OPEN_FILES: usize = 10_000;

/// How it is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many edge servers there are, half of them in each of two pools; may be given several times. 2, 20 and 200, unless it
    /// is.
    #[arg(long)]
    edges: Vec<usize>,
    /// How many partners the topology has.
    #[arg(long, default_value_t = 1000)]
    partners: usize,
    /// How often the route is moved; before that once, which isn't counted. 20 times, unless it is given.
    #[arg(long)]
    moves: Option<usize>,
    /// The store is an etcd of three, and not a file; fedge isn't optimised then.
    #[arg(long)]
    etcd: bool,
    /// Two moves with 2 and 10, unless more is asked for, with a fedge that isn't optimised: shows that it works, and hardly how
    /// long it takes.
    #[arg(long)]
    quick: bool,
}

/// Of one number of edge servers: how long after a move's commit each member went by it, in milliseconds.
struct Measured {
    edges: usize,
    /// For each move, for each member.
    moves: Vec<Vec<f64>>,
}

/// Measures, and prints a table for docs/performance.md.
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let (few, some): (&[usize], _) = if options.quick { (&[2, 10], 2) } else { (&[2, 20, 200], 20) };
    let edges = if options.edges.is_empty() { few } else { &options.edges };
    let (moves, partners) = (options.moves.unwrap_or(some), options.partners);
    ensure!(moves > 0, "at least one move");
    ensure!(edges.iter().all(|edges| (2..=2000).contains(edges)), "2 to 2000 edge servers");
    let optimised = !options.quick && !options.etcd;
    println!("building fedge {}", if optimised { "as it is released" } else { "for tests" });
    let programs = if options.etcd {
        Programs::with_etcd()?
    } else if options.quick {
        Programs::built()?
    } else {
        Programs::released()?
    };
    allow_open_files(OPEN_FILES)?;
    let store = if options.etcd { StoreKind::Etcd } else { StoreKind::Sqlite };
    let mut all = Vec::new();
    for &edges in edges {
        println!("{edges} edge servers, two gateways, two controllers, {partners} partners");
        let mut fleet = Fleet::start(&programs, store, edges, partners)?;
        let mut measured = Measured { edges, moves: Vec::new() };
        for number in 0..=moves {
            let took = fleet.moved()?;
            let last = took.iter().copied().fold(0.0, f64::max);
            println!("  everybody goes by it after {last:.0} ms");
            if number > 0 {
                measured.moves.push(took);
            }
        }
        fleet.stop()?;
        all.push(measured);
    }
    println!("\nmilliseconds from the commit of a move; {moves} moves of each");
    println!(
        "| edge servers | members | half of them | 99 % | the last one, in the middle of the moves | in the worst |"
    );
    println!("|---|---|---|---|---|---|");
    for measured in &all {
        println!("{}", measured.row().context("somebody is measured")?);
    }
    Ok(())
}

impl Measured {
    fn row(&self) -> Option<String> {
        let members = self.moves.first()?.len();
        let (times, lasts) = (sorted(self.moves.iter().flatten().copied()), self.lasts());
        let [half, most] = [of_hundred(&times, 50)?, of_hundred(&times, 99)?];
        let [middle, worst] = [of_hundred(&lasts, 50)?, *lasts.last()?];
        Some(format!("| {} | {members} | {half:.0} | {most:.0} | {middle:.0} | {worst:.0} |", self.edges))
    }

    /// When the last member went by each move.
    fn lasts(&self) -> Vec<f64> {
        sorted(self.moves.iter().map(|took| took.iter().copied().fold(0.0, f64::max)))
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}
