//! The order of the house: which crate may use which, what may never get in, how large a file may be.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Each crate, and those of ours that it may use. Left to right, and nothing else crosses.
const ORDER: [(&str, &[&str]); 18] = [
    ("xmpp", &[]),
    ("topology", &["xmpp"]),
    ("api", &["xmpp", "topology"]),
    ("tcp", &[]),
    ("net", &["xmpp", "topology", "api", "tcp"]),
    ("agent", &["topology", "api", "net"]),
    ("daemon", &["xmpp", "topology", "api", "net", "agent"]),
    ("gateway", &["xmpp", "topology", "api", "net", "agent", "daemon"]),
    ("edge", &["xmpp", "topology", "api", "net", "agent", "daemon", "gateway"]),
    ("dns", &["xmpp", "topology", "api", "net", "agent", "daemon"]),
    ("store", &[]),
    ("zones", &["topology"]),
    ("control", &["topology", "api", "net", "agent", "daemon", "store", "zones"]),
    // `fedge ca` works on files, with what the gateway will read them by.
    ("cli", &["xmpp", "topology", "api", "gateway"]),
    ("micro", &["xmpp", "topology", "tcp", "net"]),
    ("fleet", &["api", "agent"]),
    ("testkit", &["xmpp"]),
    ("xtask", &["xmpp", "testkit"]),
];

/// What crates without I/O, clocks and randomness can't have any use for.
const OUTSIDE_WORLD: [&str; 9] =
    ["tokio", "rustls", "socket2", "hickory-resolver", "rand", "getrandom", "aws-lc-rs", "tracing", "time"];
const PURE: [&str; 2] = ["xmpp", "topology"];

/// One crypto provider, and no OpenSSL.
const NOWHERE: [&str; 4] = ["ring", "openssl-sys", "openssl", "native-tls"];

const LINES: usize = 500;

/// Checks all of it.
///
/// # Errors
/// Everything that is out of its place.
pub(crate) fn check() -> anyhow::Result<()> {
    let metadata = MetadataCommand::new().exec().context("cargo metadata failed")?;
    let mut faults = dependencies(&metadata);
    faults.extend(nowhere()?);
    source_files(metadata.workspace_root.as_std_path().join("crates").as_path(), &mut faults)?;
    ensure!(faults.is_empty(), "the house is not in order:\n  {}", faults.join("\n  "));
    println!("the house is in order: {} crates", ORDER.len());
    Ok(())
}

fn dependencies(metadata: &Metadata) -> Vec<String> {
    let mut faults = Vec::new();
    let names: Vec<&str> = ORDER.iter().map(|(name, _)| *name).collect();
    for package in metadata.workspace_packages() {
        let Some((name, may)) = ORDER.iter().find(|(name, _)| package.name.as_str() == *name) else {
            faults.push(format!("the crate {} has no place in the order", package.name));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|used| used.kind != DependencyKind::Development) {
            let used = dependency.name.as_str();
            if names.contains(&used) && !may.contains(&used) {
                faults.push(format!("{name} uses {used}; it may use: {}", may.join(", ")));
            }
            if PURE.contains(name) && OUTSIDE_WORLD.contains(&used) {
                faults.push(format!("{name} uses {used}, but touches neither I/O nor clocks nor randomness"));
            }
        }
    }
    faults
}

/// Asks `cargo tree`, since metadata also names what no feature switches on.
fn nowhere() -> anyhow::Result<Vec<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = ["tree", "--workspace", "--locked", "--prefix=none", "--edges=normal,build,dev", "--format={p}"];
    let output = Command::new(cargo).args(tree).output().context("can't run cargo tree")?;
    ensure!(output.status.success(), "cargo tree failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let used = |name: &&&str| text.lines().any(|line| line.split(' ').next() == Some(**name));
    Ok(NOWHERE.iter().filter(used).map(|name| format!("{name} is built in; aws-lc-rs is the one provider")).collect())
}

fn source_files(folder: &Path, faults: &mut Vec<String>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            source_files(&path, faults)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)?;
            let lines = text.lines().count();
            if lines > LINES {
                faults.push(format!("{} has {lines} lines; {LINES} are enough for one thing", path.display()));
            }
            if !text.starts_with("//! ") {
                faults.push(format!("{} does not say in its first line what it is for", path.display()));
            }
            if path.file_name().is_some_and(|name| name == "mod.rs") {
                faults.push(format!("{}: name it after its folder, beside it", path.display()));
            }
        }
    }
    Ok(())
}
