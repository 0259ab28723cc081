//! Clocks that jump: what time it is for one program alone, by Debian's libfaketime. Time that only passes goes on as it does.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::packages::Debian;

/// The package that it takes.
pub const PACKAGES: &[&str] = &["libfaketime"];
/// Its file.
const LIBRARY: &str = "libfaketime.so.1";

/// The clock of programs that are started with its environment.
#[derive(Debug, Clone)]
pub struct Clock {
    library: PathBuf,
    /// How far it is from the machine's.
    file: PathBuf,
}

impl Clock {
    /// One that is right at first, and keeps what it shows in `file`.
    ///
    /// # Errors
    /// When the package isn't there, or the file can't be written.
    pub fn new(debian: &Debian, file: &Path) -> anyhow::Result<Clock> {
        let library = debian.libraries("faketime").join(LIBRARY);
        ensure!(library.is_file(), "no {}: {PACKAGES:?} must be unpacked", library.display());
        let clock = Clock { library, file: std::path::absolute(file)? };
        clock.jump(0)?;
        Ok(clock)
    }

    /// From now on it is so many seconds ahead of the machine's, or behind it.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn jump(&self, seconds: i64) -> anyhow::Result<()> {
        // Somebody may read it at any time.
        let beside = self.file.with_added_extension("new");
        fs::write(&beside, format!("{seconds:+}\n")).with_context(|| format!("can't write {}", beside.display()))?;
        fs::rename(&beside, &self.file).with_context(|| format!("can't write {}", self.file.display()))
    }

    /// What has to stand in the environment of a program that goes by it.
    pub fn environment(&self) -> [(&'static str, OsString); 4] {
        [
            ("LD_PRELOAD", self.library.clone().into()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.clone().into()),
            ("FAKETIME_NO_CACHE", "1".into()),
            // How long something takes is no matter of what time it is.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, PACKAGES};
    use crate::packages::Debian;
    use std::process::Command;
    use std::time::{SystemTime, UNIX_EPOCH};

    #[test]
    fn a_clock_jumps_for_those_that_go_by_it() {
        let debian = Debian::unpack(&Debian::usual_folder(), PACKAGES, &mut |what| println!("{what}"));
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::new(&debian.expect("a package"), &folder.path().join("clock")).expect("a clock");
        for jump in [0, 3600, -86_400] {
            clock.jump(jump).expect("it is set");
            let told = Command::new("date").arg("+%s").envs(clock.environment()).output().expect("a time");
            let told: i64 = String::from_utf8_lossy(&told.stdout).trim().parse().expect("a number");
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs().cast_signed();
            assert!((told - now - jump).abs() < 60, "{told}, {now}, {jump}");
        }
    }
}
