//! fedge beside others that do a part of what it does, in one run on one machine, all under the same load.

use std::fs;

use anyhow::{Context as _, ensure};
use testkit::place::Place;
use testkit::process::allow_open_files;

mod field;
mod flood;
mod flow;
mod idle;
mod link;
mod pacer;
mod plot;

use field::{Things, Way};
pub(super) use flow::latencies;

/// As many files as both ends of all streams take, and some.
const OPEN_FILES: usize = 20_000;

/// What the system holds of a connection on each side, least, at first and at most: as it is, it takes in many megabytes of
/// each, and who is slow goes on for a long time after the last was sent.
const BUFFERS: &str = "4096 131072 1048576";

/// How it is measured.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Options {
    /// Rounds of each, in turn; one more to warm up isn't counted.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How large a stanza of a flood is; may be given several times.
    #[arg(long, default_values_t = [150, 575, 4096, 65_536])]
    bytes: Vec<usize>,
    /// How many links are flooded at the same time; may be given several times.
    #[arg(long, default_values_t = [1, 100])]
    links: Vec<usize>,
    /// Who is measured beside `direct` and `fedge`; may be given several times, and everybody is if it is not.
    #[arg(long)]
    way: Vec<Way>,
    /// Little of each, in a minute or two: shows that it works, and hardly what it costs.
    #[arg(long)]
    quick: bool,
}

/// What can be measured side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Flow,
    Flood,
    Idle,
}

impl Part {
    pub(super) const ALL: [Part; 3] = [Part::Flow, Part::Flood, Part::Idle];
}

/// Measures, and prints tables for docs/performance.md.
pub(super) fn run(options: &Options, parts: &[Part]) -> anyhow::Result<()> {
    ensure!(options.rounds > 0, "at least one round");
    ensure!(options.links.iter().all(|links| (1..=200).contains(links)), "1 to 200 links");
    let things = Things::provide(options.quick, &options.way)?;
    allow_open_files(OPEN_FILES)?;
    // In a network of its own, where that may be made: others may measure here at the same time.
    let place = if testkit::is_root() { Place::isolated()? } else { Place::here() };
    if !place.is_here() {
        place.enter(small_buffers)?;
    }
    let (options, parts) = (options.clone(), parts.to_vec());
    place.run(move || async move {
        let mut told = Vec::new();
        for part in parts {
            told.push(match part {
                Part::Flow => flow::run(&options, &things).await?,
                Part::Idle => idle::run(&options, &things).await?,
                Part::Flood => flood::run(&options, &things).await?,
            });
        }
        for text in told {
            println!("\n{text}");
        }
        anyhow::Ok(())
    })
}

/// For the network of the thread that calls it.
fn small_buffers() -> anyhow::Result<()> {
    for direction in ["rmem", "wmem"] {
        let file = format!("/proc/sys/net/ipv4/tcp_{direction}");
        fs::write(&file, BUFFERS).with_context(|| format!("can't write {file}"))?;
    }
    Ok(())
}
