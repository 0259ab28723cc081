//! fedge's own programs in a laboratory: built from this workspace, started as an administrator would.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::clock::Clock;
use crate::packages::Debian;
use crate::place::Place;
use crate::process::Daemon;

/// How long a daemon of ours may take to start or to end on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

/// The crates with fedge's programs.
const CRATES: [&str; 5] = ["edge", "gateway", "dns", "control", "cli"];
/// The packages that bring what etcd's client is built with.
const PROTOC: &[&str] = &["protobuf-compiler", "libprotobuf-dev"];

/// What [`Programs::with_etcd`] has to unpack on this machine.
pub fn packages_for_etcd() -> &'static [&'static str] {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&folders).any(|folder| folder.join("protoc").exists());
    let is_whole = is_there && Path::new("/usr/include/google/protobuf/descriptor.proto").exists();
    if is_whole { &[] } else { PROTOC }
}

/// Where fedge's programs are.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
}

/// Where they are, or why they can't be built; once for each process.
type Built = OnceLock<Result<Programs, String>>;

impl Programs {
    /// Builds them from this workspace, unless they are built already, once for each process.
    ///
    /// # Errors
    /// When they can't be built.
    pub fn built() -> anyhow::Result<Programs> {
        static BUILT: Built = OnceLock::new();
        // With the profile that we were built with ourselves: nearly everything is there already.
        once(&BUILT, !cfg!(debug_assertions), false)
    }

    /// The same with a fedge-control that knows etcd, which takes `protoc`: the machine's, or that of [`PROTOC`]. A process
    /// uses these or the others, not both: they lie in the same place.
    ///
    /// # Errors
    /// When they can't be built.
    pub fn with_etcd() -> anyhow::Result<Programs> {
        static BUILT: Built = OnceLock::new();
        once(&BUILT, !cfg!(debug_assertions), true)
    }

    /// Builds them as they are released, for measuring, once for each process.
    ///
    /// # Errors
    /// When they can't be built.
    pub fn released() -> anyhow::Result<Programs> {
        static BUILT: Built = OnceLock::new();
        once(&BUILT, true, false)
    }

    /// Members without a daemon behind them, many in one process: what the crate `fleet` makes, built as these are.
    ///
    /// # Errors
    /// When it can't be built.
    pub fn fleet(&self) -> anyhow::Result<PathBuf> {
        let (mut command, _) = cargo_build();
        // With the others, so that nothing is built twice because fewer features of it are used.
        command.args(CRATES.into_iter().chain(["fleet"]).map(|name| format!("--package={name}")));
        command.args(self.are_released().then_some("--release"));
        ensure!(command.status().context("can't run cargo")?.success(), "the fleet can't be built");
        Ok(self.path("fleet"))
    }

    /// Whether they are built as they are released.
    pub fn are_released(&self) -> bool {
        self.folder.ends_with("release")
    }

    /// A program, to be given arguments.
    pub fn path(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }

    /// Runs a program to its end and gives what it printed.
    ///
    /// # Errors
    /// When it fails; with what it said.
    pub fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(self.path(program)).args(arguments).output();
        let output = output.with_context(|| format!("can't run {program}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{program} {} failed: {said}", arguments.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts a daemon in `place` with its configuration and waits until it says that it is ready.
    ///
    /// # Errors
    /// With its log, when it doesn't get ready.
    pub fn start(&self, program: &str, place: &Place, config: &Path, log: &Path) -> anyhow::Result<Daemon> {
        self.start_by(None, program, place, config, log)
    }

    /// The same for one that goes by this clock, where there is one.
    ///
    /// # Errors
    /// As [`Programs::start`].
    pub fn start_by(
        &self,
        clock: Option<&Clock>,
        program: &str,
        place: &Place,
        config: &Path,
        log: &Path,
    ) -> anyhow::Result<Daemon> {
        // A fedge-dns serves the internal view, or zones, or both.
        let ready = if program == "fedge-dns" { "serves " } else { "is ready" };
        let mut command = place.command(self.path(program));
        command.arg("run").arg(config).envs(clock.into_iter().flat_map(Clock::environment));
        let mut daemon = Daemon::start(program, command, log)?;
        daemon.wait_for_line(ready, PATIENCE)?;
        Ok(daemon)
    }
}

/// Builds one program as it is released, and nothing else, for measuring.
///
/// # Errors
/// When it can't be built.
pub fn released(package: &str, program: &str) -> anyhow::Result<PathBuf> {
    alone(package, program, true)
}

/// The same with the profile that we were built with ourselves, to see that something works.
///
/// # Errors
/// When it can't be built.
pub fn built(package: &str, program: &str) -> anyhow::Result<PathBuf> {
    alone(package, program, !cfg!(debug_assertions))
}

fn alone(package: &str, program: &str, release: bool) -> anyhow::Result<PathBuf> {
    let (mut command, target) = cargo_build();
    command.args(release.then_some("--release")).args(["--package", package]);
    ensure!(command.status().context("can't run cargo")?.success(), "{program} can't be built");
    let path = target.join(if release { "release" } else { "debug" }).join(program);
    path.canonicalize().with_context(|| format!("no {}", path.display()))
}

/// `cargo build` of this workspace, and where it builds to.
fn cargo_build() -> (Command, PathBuf) {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&workspace).args(["build", "--quiet"]);
    (command, target)
}

fn once(built: &Built, release: bool, etcd: bool) -> anyhow::Result<Programs> {
    let built = built.get_or_init(|| build(release, etcd).map_err(|error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

fn build(release: bool, etcd: bool) -> anyhow::Result<Programs> {
    let (mut command, target) = cargo_build();
    command.args(CRATES.map(|name| format!("--package={name}")));
    command.args(release.then_some("--release")).args(etcd.then_some("--features=control/etcd"));
    if etcd && !packages_for_etcd().is_empty() {
        let debian = Debian::unpack(&Debian::usual_folder(), PROTOC, &mut |_| {})?;
        let includes = debian.path("usr/include/google");
        command.env("PROTOC", protoc(&debian)?).env("PROTOC_INCLUDE", includes.with_file_name(""));
    }
    ensure!(command.status().context("can't run cargo")?.success(), "fedge's programs can't be built");
    let folder = target.join(if release { "release" } else { "debug" });
    let folder = folder.canonicalize().with_context(|| format!("no {}", folder.display()))?;
    Ok(Programs { folder })
}

/// An unpacked protoc that finds its libraries, as one file.
fn protoc(debian: &Debian) -> anyhow::Result<PathBuf> {
    let file = Debian::usual_folder().with_file_name("protoc");
    let (program, libraries) = (debian.path("usr/bin/protoc"), debian.library_path(&[]));
    let script = format!("#!/bin/sh\nLD_LIBRARY_PATH='{}' exec '{}' \"$@\"\n", libraries.display(), program.display());
    fs::write(&file, script).with_context(|| format!("can't write {}", file.display()))?;
    fs::set_permissions(&file, Permissions::from_mode(0o755))?;
    Ok(file.canonicalize()?)
}
