//! The results' file: a line of JSON for each run, with all that it takes to repeat it.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use testkit::fedge::Programs;
use testkit::rig::{Order, Report};

use super::Border;

/// A run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) fault: String,
    pub(super) seed: u64,
    pub(super) messages: usize,
    #[serde(default)]
    pub(super) per_second: usize,
    #[serde(default)]
    pub(super) inward: bool,
    /// What stood at the border: `fedge`, or a rival's name.
    #[serde(default = "fedge")]
    pub(super) border: String,
    /// When it ended: seconds since 1970.
    pub(super) at: u64,
    /// Of fedge.
    pub(super) version: String,
    /// Whether it was fedge as it is released; otherwise it was the development build, or a rival.
    #[serde(default)]
    pub(super) released: bool,
    /// What it found that isn't as promised.
    pub(super) broken: Vec<String>,
    #[serde(flatten)]
    pub(super) report: Report,
}

impl Line {
    pub(super) fn new(
        border: Border,
        programs: &Programs,
        order: &Order,
        report: Report,
        broken: Vec<String>,
    ) -> anyhow::Result<Line> {
        Ok(Line {
            fault: order.fault.to_string(),
            seed: order.seed,
            messages: order.messages,
            per_second: order.per_second,
            inward: order.inward,
            border: border.to_string(),
            at: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
            version: programs.run("fedge-edge", &["--version"])?.trim().to_owned(),
            released: border.is_released(programs),
            broken,
            report,
        })
    }
}

fn fedge() -> String {
    "fedge".to_owned()
}

/// All runs so far.
pub(super) struct Results(pub(super) Vec<Line>);

impl Results {
    /// Reads them; none when there is no file yet.
    pub(super) fn read(file: &Path) -> anyhow::Result<Results> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| format!("can't read {}", file.display())),
        };
        let line = |(index, line): (usize, &str)| {
            serde_json::from_str(line)
                .with_context(|| format!("{}, line {}: not a result of this soak", file.display(), index + 1))
        };
        Ok(Results(text.lines().enumerate().map(line).collect::<anyhow::Result<_>>()?))
    }

    pub(super) fn have(&self, border: &str, released: bool, order: &Order) -> bool {
        let same = |line: &&Line| (line.seed, &line.fault) == (order.seed, &order.fault.to_string());
        let there = (border, released, order.inward);
        self.0.iter().filter(same).any(|line| (line.border.as_str(), line.released, line.inward) == there)
    }

    /// Adds one to the file. Whoever else writes to it waits meanwhile.
    pub(super) fn append(file: &Path, line: &Line) -> anyhow::Result<()> {
        let text = serde_json::to_string(line)? + "\n";
        let write = || {
            let mut file = File::options().create(true).append(true).open(file)?;
            file.lock()?;
            // The lock goes with the file.
            file.write_all(text.as_bytes())
        };
        write().with_context(|| format!("can't write {}", file.display()))
    }
}
