//! What a stanza costs in processor time, instructions and allocations, path by path, without sockets and TLS.

use anyhow::ensure;

use super::spread::Spread;
use crate::guard::Callgrind;

/// How it is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Rounds of each path, in turn; one more to warm up isn't counted.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Stanzas in a round.
    #[arg(long, default_value_t = 200_000)]
    stanzas: u32,
}

/// Measures, and prints a table for docs/performance.md. Ratios are to the scanner, in the same round.
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    ensure!(options.rounds > 0 && options.stanzas > 0, "at least one round of one stanza");
    let callgrind = Callgrind::ready(None)?;
    let paths = callgrind.paths()?;
    let mut rounds = Vec::new();
    let mut bytes = 0.0;
    for round in 0..=options.rounds {
        let mut times = Vec::new();
        for path in &paths {
            let (all, nanoseconds) = callgrind.time(path, options.stanzas)?;
            bytes = all / f64::from(options.stanzas);
            times.push(nanoseconds / f64::from(options.stanzas));
        }
        if round > 0 {
            rounds.push(times);
        }
    }
    println!("\nstanzas of {bytes:.0} bytes; the middle of {} rounds, from the lowest to the highest\n", rounds.len());
    println!("| path | nanoseconds | to the scanner's | instructions | allocations |\n|---|---|---|---|---|");
    for (at, path) in paths.iter().enumerate() {
        let cost = callgrind.cost(path)?;
        let time = Spread::of(rounds.iter().map(|times| times[at])).show(0);
        let ratio = Spread::of(rounds.iter().map(|times| times[at] / times[0])).show(2);
        println!("| {path} | {time} | {ratio} | {:.0} | {:.2} |", cost.instructions, cost.allocations);
    }
    Ok(())
}
