//! A few runs of each fault, as a test: what isn't as promised fails.

use std::path::Path;

use anyhow::ensure;

use super::results::Results;
use super::{Options, soak};

/// Runs of each fault. Two of them have each partner once.
const RUNS: u64 = 2;
/// Messages of each, each way: enough for every fault to hit the middle of them.
const MESSAGES: usize = 1500;

/// Runs each fault a few times, and keeps what came of it, with everybody's logs, in `folder` until the next time.
///
/// # Errors
/// When runs can't be done, or one shows something that isn't as promised.
pub(crate) fn run(folder: &Path) -> anyhow::Result<()> {
    if !testkit::is_root() {
        println!("left out: it takes root, as every host is a network namespace");
        return Ok(());
    }
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder)?;
    let results = folder.join("soak.jsonl");
    soak(&Options {
        fault: Vec::new(),
        runs: RUNS,
        partner: None,
        seed: 1,
        border: Vec::new(),
        inward: false,
        released: false,
        messages: Some(MESSAGES),
        per_second: None,
        beside: 2,
        results: results.clone(),
        report: false,
    })?;
    let lines = Results::read(&results)?.0;
    let broken: Vec<String> = lines
        .iter()
        .filter(|line| !line.broken.is_empty())
        .map(|line| {
            format!("{} seed {} with {}: {}", line.fault, line.seed, line.report.partner, line.broken.join("; "))
        })
        .collect();
    ensure!(broken.is_empty(), "logs in {}:\n  {}", folder.display(), broken.join("\n  "));
    Ok(())
}
