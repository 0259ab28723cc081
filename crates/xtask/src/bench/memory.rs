//! How much memory a process has.

use std::fs;

use anyhow::Context as _;

/// What is in memory of it, proc_pid_status(5), in bytes.
pub(super) fn resident(process: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("it has ended")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().context("VmRSS isn't a number")?;
    Ok(kilobytes * 1024)
}
