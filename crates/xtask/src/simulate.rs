//! `cargo xtask simulate`: thousands of moves of the route in virtual time, with faults by seed; see `control::simulation`.

use std::process::Command;

use anyhow::{Context as _, ensure};

/// How many, and from where on.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Lives are lived until so many operations were begun.
    #[arg(long, default_value_t = 10_000)]
    operations: u64,
    /// The first life's seed; the next one's is one higher.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Live only this one life, and say what happened in it.
    #[arg(long, conflicts_with = "operations")]
    trace: bool,
}

/// The test that does it.
const TEST: &str = "simulation::every_operation_comes_to_rest_and_no_epoch_is_committed_twice";

/// Lives through them. The first life that breaks what must always be so ends it, with its seed and all that happened.
///
/// # Errors
/// When one did.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["test", "--locked", "-p", "control", "--lib"]);
    command.env("FEDGE_SEED", options.seed.to_string());
    if options.trace {
        command.env_remove("FEDGE_OPERATIONS");
    } else {
        // Ten times faster than the development build, which thousands of lives are worth and one isn't.
        command.arg("--release");
        command.env("FEDGE_OPERATIONS", options.operations.to_string());
    }
    command.args(["--", "--exact", TEST, "--nocapture"]);
    let status = command.status().context("can't run cargo")?;
    ensure!(
        status.success(),
        "a life went wrong; its seed is above, and `cargo xtask simulate --trace --seed SEED` lives it again"
    );
    Ok(())
}
