//! The command line fedge: from arguments to an exit status.

use std::process::ExitCode;

use clap::Parser as _;

mod args;
mod audit;
mod ca;
mod describe;
mod dns;
mod document;
mod im;
mod probe;
mod recover;
mod remote;
mod route;
mod secrets;
mod service;
mod shell;
mod status;
mod trunk;

/// The command line is at fault (sysexits.h, EX_USAGE).
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    let told = match args.command {
        args::Command::Topology { command } => return document::run(&args.control, command),
        args::Command::Status { watch } => return status::run(&args.control, watch),
        args::Command::Recover(asked) => return recover::run(&args.control, &asked),
        args::Command::Route { command } => return route::run(&args.control, command),
        args::Command::Dns { command } => return dns::run(&args.control, command),
        args::Command::Probe(probe) => return probe::run(&args.control, probe),
        args::Command::Test { command } => return im::run(&args.control, command),
        args::Command::Service { command } => return service::run(&args.control, command),
        args::Command::Shell { command } => return shell::run(&args.control, command.as_deref()),
        args::Command::Enrol { fqdn, fingerprint } => {
            status::enrol(&args.control, &fqdn, fingerprint).map_err(|error| error.to_string())
        }
        args::Command::Secrets { command } => secrets::run(&args.control, command).map_err(|error| error.to_string()),
        args::Command::Audit { command } => audit::run(&args.control, &command).map_err(|error| error.to_string()),
        args::Command::Ca { command } => ca::run(command).map_err(|error| error.to_string()),
        args::Command::Trunk { command } => trunk::run(command).map_err(|error| error.to_string()),
        args::Command::Completions { shell } => describe::completions(shell).map_err(|error| error.to_string()),
        args::Command::Man { folder } => describe::man(&folder).map_err(|error| error.to_string()),
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
