//! Enrols a machine as two people do: one starts it there, the other types what it prints where the controllers are.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context as _, ensure};

/// Ends a process with whoever waits for it.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the machine's `command`, which waits, and the command of `fedge`'s that it prints by `fedge`.
///
/// # Errors
/// With what either side said.
pub fn enrol(mut command: Command, fedge: impl FnOnce(&[&str]) -> anyhow::Result<Output>) -> anyhow::Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut waiting = Ended(command.spawn().with_context(|| format!("can't run {command:?}"))?);
    let lines = BufReader::new(waiting.0.stdout.take().context("its output")?).lines();
    let (mut lines, mut typed) = (lines.map_while(Result::ok), None);
    // It listens once it says so.
    for line in lines.by_ref() {
        typed = typed.or_else(|| line.trim().strip_prefix("fedge ").map(str::to_owned));
        if line.starts_with("Waiting") {
            break;
        }
    }
    let Some(typed) = typed else {
        let mut said = String::new();
        waiting.0.stderr.take().context("its errors")?.read_to_string(&mut said)?;
        anyhow::bail!("{command:?} doesn't say what to do: {said}");
    };
    let words: Vec<&str> = typed.split(' ').collect();
    let told = fedge(&words)?;
    ensure!(told.status.success(), "fedge {typed}: {}", String::from_utf8_lossy(&told.stderr));
    let last = lines.last().unwrap_or_default();
    let status = waiting.0.wait()?;
    ensure!(status.success(), "{command:?} ended with {status}: {last}");
    Ok(())
}
