//! `cargo xtask`: what the project does for those who try it and those who work on it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod check;
mod demo;
mod drill;
mod guard;
mod rooms;
mod simulate;
mod soak;
mod targets;

/// What the project does for those who try it and those who work on it.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Federate through fedge with real servers on this machine's loopback, and show it.
    Demo(demo::Options),
    /// Run all checks and tests.
    Test,
    /// Measure what misbehaving targets cost Prosody, ejabberd, and a Prosody behind fedge.
    Targets,
    /// Flood through gateways and edge servers while one thing breaks, again and again, and count every message.
    Soak(soak::Options),
    /// Move the route again and again while two users talk, and measure how long it takes.
    Drill(drill::Options),
    /// Measure what fedge costs, as it is released.
    Bench(bench::Bench),
    /// Move the route thousands of times in virtual time, with faults by seed.
    Simulate(simulate::Options),
    /// Count what a stanza costs in instructions and allocations, and compare it with the record.
    Guard(guard::Options),
    /// Check that crates and files stand in their order.
    Rooms,
}

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Demo(options) => demo::run(&options),
        Command::Test => check::run(),
        Command::Targets => targets::run(),
        Command::Soak(options) => soak::run(&options),
        Command::Drill(options) => drill::run(&options),
        Command::Bench(bench) => bench::run(&bench),
        Command::Simulate(options) => simulate::run(&options),
        Command::Guard(options) => guard::run(&options),
        Command::Rooms => rooms::check(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{error:#}");
            ExitCode::FAILURE
        }
    }
}
