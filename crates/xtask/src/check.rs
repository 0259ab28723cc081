//! `cargo xtask test`: every check and test, quick ones first, each under its own heading.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, ensure};

use crate::{guard, rooms, soak};

/// Programs that the tests call or that etcd's client is built with, and the Debian packages that bring them. A file's
/// whole path stands for itself.
const PROGRAMS: [(&str, &str); 6] = [
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("python3", "python3"),
    ("gcc", "gcc"),
    ("protoc", "protobuf-compiler"),
    ("/usr/include/google/protobuf/descriptor.proto", "libprotobuf-dev"),
];
/// What is off by default: the store in etcd.
const ETCD: &str = "--features=store/etcd";

/// Runs all of it; the first step that fails ends it, once all of its tests have run.
///
/// # Errors
/// What failed.
pub(crate) fn run() -> anyhow::Result<()> {
    let began = Instant::now();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::env::set_current_dir(&workspace).context("the workspace isn't there")?;
    step("programs of the system", install_programs)?;
    step("formatting", || cargo(&["fmt", "--all", "--check"]))?;
    step("the order of the house", rooms::check)?;
    step("lints", || {
        cargo(&["clippy", "--locked", "--workspace", ETCD, "--all-targets", "--quiet", "--", "-Dwarnings"])
    })?;
    step("tests, also with real servers", || cargo(&["test", "--locked", "--workspace", "--no-fail-fast", ETCD]))?;
    step("what a stanza costs", || guard::run(&guard::Options::default()))?;
    step("what survives each fault", || soak::handful::run(&workspace.join("target/soak")))?;
    println!("\neverything passed in {} s", began.elapsed().as_secs());
    Ok(())
}

fn step(name: &str, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let began = Instant::now();
    println!("\n== {name}");
    work().with_context(|| format!("failed: {name}"))?;
    println!("== {name}: good, {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

fn cargo(arguments: &[&str]) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(arguments).status().context("can't run cargo")?;
    ensure!(status.success(), "cargo {} failed", arguments.join(" "));
    Ok(())
}

/// Installs what is missing; none of these packages starts a service. The servers that are tested
/// with are unpacked into the target folder instead.
fn install_programs() -> anyhow::Result<()> {
    let missing: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {}", missing.join(" "));
    for arguments in [vec!["update"], [vec!["install", "--yes", "--no-install-recommends"], missing.clone()].concat()] {
        let status = Command::new("apt-get").args(&arguments).env("DEBIAN_FRONTEND", "noninteractive").status();
        let failed = || format!("install these packages by hand: {}", missing.join(" "));
        ensure!(status.with_context(failed)?.success(), failed());
    }
    Ok(())
}

fn is_there(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin"].map(Into::into);
    std::env::split_paths(&folders).chain(usual).any(|folder| folder.join(program).exists())
}
