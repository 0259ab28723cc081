//! Runs the micro-benchmark under callgrind, and reads from its files how many instructions and allocations were counted.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};
use testkit::fedge;
use testkit::packages::Debian;
use testkit::place::Place;

/// Stanzas of each run: enough that what happens once doesn't matter.
const STANZAS: u32 = 20_000;
/// The path that allocates exactly so often for each stanza.
const CALIBRATION: (&str, f64) = ("calibration", 3.0);
/// What Rust's allocator calls in the C library.
const ALLOCATORS: [&str; 5] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];

/// What a stanza costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Instructions.
    pub(crate) instructions: f64,
    /// Allocations, and allocations that grow.
    pub(crate) allocations: f64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} instructions and {:.2} allocations", self.instructions, self.allocations)
    }
}

/// The micro-benchmark as it would be released, and valgrind.
pub(crate) struct Callgrind {
    micro: PathBuf,
    debian: Debian,
    folder: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl Callgrind {
    /// Builds the one and fetches the other. Files stay in `keep`, if that is given.
    ///
    /// # Errors
    /// When one of them isn't to be had, or allocations can't be counted here.
    pub(crate) fn ready(keep: Option<&Path>) -> anyhow::Result<Callgrind> {
        println!("building what is measured as it is released");
        let micro = fedge::released("micro", "micro")?;
        let debian = Debian::unpack(&Debian::usual_folder(), &["valgrind"], &mut |told| println!("  {told}"))?;
        let (folder, temporary) = match keep {
            Some(folder) => {
                fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
                (folder.to_owned(), None)
            }
            None => {
                let folder = tempfile::Builder::new().prefix("fedge-guard-").tempdir()?;
                (folder.path().to_owned(), Some(folder))
            }
        };
        let callgrind = Callgrind { micro, debian, folder, _temporary: temporary };
        let (path, expected) = CALIBRATION;
        let seen = callgrind.cost(path)?.allocations;
        ensure!(
            (seen - expected).abs() < 0.001,
            "{expected} allocations a stanza were made, and {seen} were counted: this valgrind names the C library's \
             functions in another way; see {}",
            file!()
        );
        Ok(callgrind)
    }

    /// What is measured, but for the calibration.
    ///
    /// # Errors
    /// When the micro-benchmark can't be run.
    pub(crate) fn paths(&self) -> anyhow::Result<Vec<String>> {
        let named = said(&mut Command::new(&self.micro))?;
        Ok(named.lines().filter(|name| *name != CALIBRATION.0).map(str::to_owned).collect())
    }

    /// The processor time of a path for so many stanzas, without callgrind: how many bytes those are, and nanoseconds.
    ///
    /// # Errors
    /// When it can't be run.
    pub(crate) fn time(&self, path: &str, stanzas: u32) -> anyhow::Result<(f64, f64)> {
        let said = said(Command::new(&self.micro).args([path, &stanzas.to_string()]))?;
        let numbers: Vec<f64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [_, bytes, nanoseconds] = numbers[..] else { bail!("`{said}` isn't what the micro-benchmark prints") };
        Ok((bytes, nanoseconds))
    }

    /// What a stanza costs on a path.
    ///
    /// # Errors
    /// When it can't be run, or its file can't be read.
    pub(crate) fn cost(&self, path: &str) -> anyhow::Result<Cost> {
        let file = self.folder.join(format!("{path}.callgrind"));
        let mut command = self.debian.command(&Place::here(), "usr/bin/valgrind.bin");
        command.env("VALGRIND_LIB", self.debian.path("usr/libexec/valgrind"));
        // Only what the function of that name does is counted, with all that it calls.
        command.args(["--tool=callgrind", "--quiet", "--collect-atstart=no", "--toggle-collect=*counted*"]);
        command.arg(format!("--callgrind-out-file={}", file.display()));
        said(command.arg(&self.micro).args([path, &STANZAS.to_string()]))?;
        let text = fs::read_to_string(&file).with_context(|| format!("callgrind wrote no {}", file.display()))?;
        let counted = Counted::of(&text).with_context(|| format!("{} can't be understood", file.display()))?;
        let each = |count: u64| count as f64 / f64::from(STANZAS);
        // No more digits than two runs have in common.
        let allocations = (each(counted.allocations) * 100.0).round() / 100.0;
        Ok(Cost { instructions: each(counted.instructions).round(), allocations })
    }
}

fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("can't run {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {errors}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What stands in a file of callgrind's.
#[derive(Debug, PartialEq)]
struct Counted {
    instructions: u64,
    allocations: u64,
}

impl Counted {
    /// Reads callgrind's format: functions have numbers, and a name where they are seen first; a call is `cfn=` and then
    /// `calls=`.
    fn of(text: &str) -> anyhow::Result<Counted> {
        let (mut names, mut instructions, mut allocations) = (HashMap::new(), None, 0);
        let mut allocator = false;
        for line in text.lines() {
            let Some((key, value)) = line.split_once('=') else {
                if let Some(total) = line.strip_prefix("totals: ") {
                    instructions = Some(total.trim().parse().with_context(|| format!("`{line}`"))?);
                }
                continue;
            };
            match key {
                "fn" | "cfn" => {
                    let (number, name) = value.split_once(')').with_context(|| format!("`{line}`"))?;
                    let name = name.trim();
                    if !name.is_empty() {
                        // Recursion has a number behind it.
                        let is = ALLOCATORS.contains(&name.split('\'').next().unwrap_or(name));
                        names.insert(number.to_owned(), is);
                    }
                    if key == "cfn" {
                        allocator = *names.get(number).with_context(|| format!("`{line}` has no name yet"))?;
                    }
                }
                "calls" if allocator => {
                    let calls = value.split(' ').next().unwrap_or(value);
                    allocations += calls.parse::<u64>().with_context(|| format!("`{line}`"))?;
                }
                _ => {}
            }
        }
        Ok(Counted { instructions: instructions.context("it has no totals")?, allocations })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# callgrind format
events: Ir
summary: 700

fn=(1) micro::counted
0 100
cfn=(2) malloc
calls=3 3281
0 30
cfn=(4) xmpp::mallocate
calls=50 0
0 300

fn=(4)
0 20
cfn=(2)
calls=4 3281
0 40
cfn=(5) realloc'2
calls=2 0
0 10
fn=(2)
0 200

totals: 700
";

    #[test]
    fn allocations_are_counted_by_whoever_makes_them() {
        assert_eq!(Counted::of(FILE).expect("good"), Counted { instructions: 700, allocations: 9 });
    }

    #[test]
    fn a_file_that_was_cut_off_is_none() {
        assert!(Counted::of("fn=(1) micro::counted\n0 100\n").is_err());
        assert!(Counted::of("cfn=(7)\ncalls=1 0\ntotals: 1\n").is_err(), "nobody knows what was called");
    }
}
