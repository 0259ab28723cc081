//! What the trunk costs: fedge-gateway and fedge-edge with it between them, against a fedge-edge with both faces.

use std::time::Duration;

use anyhow::{Context as _, ensure};

mod round;
mod table;

use super::site::{Shape, Site};
use round::{Measured, Senders};

/// No round takes as long.
const PATIENCE: Duration = Duration::from_secs(120);

/// How it is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Rounds of each, in turn; one more to warm up isn't counted.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Domain pairs that speak at the same time, each on a stream of its own.
    #[arg(long, default_value_t = 4)]
    pairs: usize,
    /// How large a stanza is; may be given several times.
    #[arg(long, default_values_t = [300, 4096])]
    bytes: Vec<usize>,
    /// Give each process of fedge one processor, another one to each: as on machines of their own.
    #[arg(long)]
    apart: bool,
}

/// How many messages of that size take some seconds.
fn messages(bytes: usize) -> u64 {
    600_000_000 / (700 + bytes as u64)
}

/// All rounds of one size.
struct Series {
    bytes: usize,
    /// For each round, first without a trunk, then with it.
    rounds: Vec<[Measured; 2]>,
}

/// Measures, and prints a table for docs/performance.md.
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    ensure!(options.rounds > 0 && options.pairs > 0 && options.pairs < 100, "at least one round, and 1 to 99 pairs");
    println!("building fedge as it is released");
    let programs = testkit::fedge::Programs::released()?;
    let folder = tempfile::Builder::new().prefix("fedge-bench-").tempdir()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let series = runtime.block_on(async {
        let site = Site::start(&programs, options.pairs, folder.path()).await?;
        if options.apart {
            site.give_each_a_processor()?;
        }
        let mut series = Vec::new();
        for &bytes in &options.bytes {
            println!("{bytes} bytes: {} rounds of {} messages", options.rounds, messages(bytes));
            series.push(measure(&site, options, bytes).await?);
        }
        site.stop().await?;
        anyhow::Ok(series)
    })?;
    table::print(&series);
    Ok(())
}

/// In turn, so that whatever else the machine does meets both.
async fn measure(site: &Site, options: &Options, bytes: usize) -> anyhow::Result<Series> {
    let mut senders = Vec::new();
    for shape in Shape::BOTH {
        senders.push(Senders::open(site, shape, bytes).await?);
    }
    let mut rounds = Vec::new();
    for round in 0..=options.rounds {
        let mut measured = Vec::new();
        for senders in &mut senders {
            let flood = tokio::time::timeout(PATIENCE, senders.flood(site, messages(bytes)));
            measured.push(flood.await.context("a round takes too long; something was lost")??);
        }
        let both: [Measured; 2] = measured.try_into().map_err(|_| anyhow::anyhow!("one for each shape"))?;
        println!("  {}", table::in_short(&both));
        if round > 0 {
            rounds.push(both);
        }
    }
    for senders in senders {
        senders.close().await?;
    }
    Ok(Series { bytes, rounds })
}
