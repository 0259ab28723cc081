//! `cargo xtask guard`: what a stanza costs in instructions and allocations, path by path, held against what is recorded.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

mod callgrind;

pub(crate) use callgrind::{Callgrind, Cost};

/// How much more a path may take than recorded, in instructions.
const MORE: f64 = 1.05;
/// Nothing allocates by halves; what buffers take while they grow makes a hundredth or two.
const ALLOCATION: f64 = 0.1;
/// The record, in the workspace.
const RECORD: &str = "crates/micro/cost.toml";
/// What stands above it.
const WORDS: &str = "\
# What a stanza costs in instructions and allocations, path by path, as it is released: held by `cargo xtask guard`, which
# is part of `cargo xtask test`. `cargo xtask guard --record` writes this file anew, and all of it.
#
# That may be done after a change that made a path cheaper; with a new version of the compiler or of a library, in a commit that
# changes nothing else; and where a path does more than before and has to, with the reason in the commit's body. Not
# because the guard failed: then look what it is first (`--keep` leaves callgrind's files, `callgrind_annotate` reads them).
";

/// How it is held.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    /// Write what is measured as the record from now on.
    #[arg(long)]
    record: bool,
    /// Leave callgrind's files in this folder.
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// What is recorded: for each architecture, since instructions are its own.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Record(BTreeMap<String, Costs>);

/// The costs of all paths on one architecture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Costs {
    /// What built it.
    compiler: String,
    /// By the paths' names.
    path: BTreeMap<String, Cost>,
}

/// Measures each path and compares it with the record, or writes that anew.
///
/// # Errors
/// When something can't be measured, or a path costs more than recorded.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let callgrind = Callgrind::ready(options.keep.as_deref())?;
    let mut path = BTreeMap::new();
    for name in callgrind.paths()? {
        let cost = callgrind.cost(&name)?;
        println!("  {name}: {cost} a stanza");
        path.insert(name, cost);
    }
    let measured = Costs { compiler: compiler()?, path };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(RECORD);
    let mut record = read(&file)?;
    let architecture = std::env::consts::ARCH;
    if options.record {
        record.0.insert(architecture.to_owned(), measured);
        fs::write(&file, format!("{WORDS}\n{}", toml::to_string(&record)?)).with_context(|| format!("no {RECORD}"))?;
        println!("{RECORD} is written; commit it with the reason");
        return Ok(());
    }
    let Some(recorded) = record.0.get(architecture) else {
        println!("nothing is recorded for {architecture}; `cargo xtask guard --record` records it");
        return Ok(());
    };
    for cheaper in cheaper(recorded, &measured) {
        println!("  {cheaper}");
    }
    let faults = faults(recorded, &measured);
    let built = if recorded.compiler == measured.compiler {
        String::new()
    } else {
        format!("\nrecorded with {}, measured with {}: look whether that is all", recorded.compiler, measured.compiler)
    };
    ensure!(
        faults.is_empty(),
        "a stanza costs more than recorded:\n  {}{built}\nmake it cheaper, or see in {RECORD} when it may be recorded anew",
        faults.join("\n  ")
    );
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Record> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Record::default()),
        Err(error) => return Err(error).with_context(|| format!("can't read {RECORD}")),
    };
    toml::from_str(&text)
        .with_context(|| format!("{RECORD} can't be understood; `cargo xtask guard --record` writes it"))
}

/// The compiler's version, as it says it.
fn compiler() -> anyhow::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().context("can't run rustc")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Every path that costs more than recorded, or that only one of both has; with what was and what is.
fn faults(recorded: &Costs, measured: &Costs) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, is) in &measured.path {
        let Some(was) = recorded.path.get(name) else {
            faults.push(format!("{name}: it is {is}, and nothing is recorded; record it"));
            continue;
        };
        if is.instructions > was.instructions * MORE {
            let more = (is.instructions / was.instructions - 1.0) * 100.0;
            faults.push(format!(
                "{name}: {:.0} instructions are recorded, and it takes {:.0}, {more:.1} % more",
                was.instructions, is.instructions
            ));
        }
        if is.allocations > was.allocations + ALLOCATION {
            faults.push(format!(
                "{name}: {:.2} allocations are recorded, and it takes {:.2}",
                was.allocations, is.allocations
            ));
        }
    }
    let gone = recorded.path.keys().filter(|name| !measured.path.contains_key(*name));
    faults.extend(gone.map(|name| format!("{name}: it is recorded, and there is no such path any more")));
    faults
}

/// Paths that cost so much less that the record holds nothing any more.
fn cheaper(recorded: &Costs, measured: &Costs) -> Vec<String> {
    let less = |name: &String, is: &Cost| {
        let was = recorded.path.get(name)?;
        let less = is.instructions * MORE < was.instructions || is.allocations + ALLOCATION < was.allocations;
        less.then(|| format!("{name}: {was} are recorded; it is cheaper now, record it"))
    };
    measured.path.iter().filter_map(|(name, is)| less(name, is)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(paths: &[(&str, f64, f64)]) -> Costs {
        let cost = |(name, instructions, allocations): &(&str, f64, f64)| {
            ((*name).to_owned(), Cost { instructions: *instructions, allocations: *allocations })
        };
        Costs { compiler: "rustc".to_owned(), path: paths.iter().map(cost).collect() }
    }

    #[test]
    fn five_in_a_hundred_more_are_suffered_and_no_allocation() {
        let recorded = costs(&[("forward", 1000.0, 2.0)]);
        assert_eq!(faults(&recorded, &costs(&[("forward", 1049.0, 2.05)])), Vec::<String>::new());
        let slow = faults(&recorded, &costs(&[("forward", 1060.0, 2.0)]));
        assert_eq!(slow, ["forward: 1000 instructions are recorded, and it takes 1060, 6.0 % more"]);
        let greedy = faults(&recorded, &costs(&[("forward", 1000.0, 3.0)]));
        assert_eq!(greedy, ["forward: 2.00 allocations are recorded, and it takes 3.00"]);
    }

    #[test]
    fn paths_come_and_go_with_the_record() {
        let (before, after) = (costs(&[("scanner", 10.0, 1.0)]), costs(&[("reader", 10.0, 1.0)]));
        let faults = faults(&before, &after);
        assert!(
            faults.len() == 2 && faults[0].contains("record it") && faults[1].contains("no such path"),
            "{faults:?}"
        );
    }

    #[test]
    fn what_became_cheaper_is_to_be_recorded() {
        let recorded = costs(&[("forward", 1000.0, 2.0)]);
        assert!(cheaper(&recorded, &costs(&[("forward", 960.0, 2.0)])).is_empty());
        assert_eq!(cheaper(&recorded, &costs(&[("forward", 900.0, 2.0)])).len(), 1);
        assert_eq!(cheaper(&recorded, &costs(&[("forward", 1000.0, 1.0)])).len(), 1);
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record([("x86_64".to_owned(), costs(&[("forward", 36_781.7, 12.25)]))].into());
        let text = format!("{WORDS}\n{}", toml::to_string(&record).expect("text"));
        assert_eq!(toml::from_str::<Record>(&text).expect("a record"), record);
    }
}
