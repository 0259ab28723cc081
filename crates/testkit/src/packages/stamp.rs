//! What is in a folder of packages, so that asking for it again costs nothing.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::UNIX_EPOCH;

use anyhow::Context as _;

use super::Package;

const NAME: &str = ".unpacked";
const INSTALLED: &str = "/var/lib/dpkg/status";

/// The file says in its lines for which state of the machine, which packages were wanted, and which
/// files were unpacked.
#[derive(Debug, Default, Clone)]
pub(super) struct Stamp {
    /// The state of the machine for which the wanted packages are complete.
    machine: String,
    wanted: BTreeSet<String>,
    unpacked: BTreeSet<String>,
}

impl Stamp {
    pub(super) fn read(folder: &Path) -> anyhow::Result<Stamp> {
        let path = folder.join(NAME);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Stamp::default()),
            result => result.with_context(|| format!("can't read {}", path.display()))?,
        };
        let of = |kind: &str| -> BTreeSet<String> {
            let lines = text.lines().filter_map(|line| line.split_once(' '));
            lines.filter(|(key, _)| *key == kind).map(|(_, value)| value.to_owned()).collect()
        };
        let machine = of("machine").into_iter().next().unwrap_or_default();
        Ok(Stamp { machine, wanted: of("wanted"), unpacked: of("unpacked") })
    }

    /// Whether all of `packages` are there, and what they need isn't different on the machine of today.
    pub(super) fn satisfies(&self, packages: &[&str]) -> bool {
        packages.iter().all(|package| self.wanted.contains(*package)) && self.machine == machine()
    }

    /// All that is wanted when `packages` are wanted, too.
    pub(super) fn with(&self, packages: &[&str]) -> Vec<String> {
        let mut wanted = self.wanted.clone();
        wanted.extend(packages.iter().map(|&package| package.to_owned()));
        wanted.into_iter().collect()
    }

    pub(super) fn has(&self, package: &Package) -> bool {
        self.unpacked.contains(&package.file)
    }

    pub(super) fn add(&mut self, package: &Package) {
        self.unpacked.insert(package.file.clone());
    }

    /// `wanted` is complete on the machine as it is.
    pub(super) fn done(mut self, wanted: &[String]) -> Stamp {
        self.wanted = wanted.iter().cloned().collect();
        self.machine = machine();
        self
    }

    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let machine = std::iter::once(("machine", &self.machine));
        let wanted = self.wanted.iter().map(|package| ("wanted", package));
        let unpacked = self.unpacked.iter().map(|file| ("unpacked", file));
        let lines: String =
            machine.chain(wanted).chain(unpacked).map(|(kind, value)| format!("{kind} {value}\n")).collect();
        let path = folder.join(NAME);
        fs::write(&path, lines).with_context(|| format!("can't write {}", path.display()))
    }
}

/// Changes whenever packages are installed on or removed from this machine.
fn machine() -> String {
    let changed = fs::metadata(INSTALLED).and_then(|file| Ok((file.len(), file.modified()?)));
    let Ok((length, time)) = changed else { return String::from("without packages") };
    let time = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{length} {}.{}", time.as_secs(), time.subsec_nanos())
}
