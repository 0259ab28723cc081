//! The daemon fedge-dns: the internal DNS view. Here: its command line.

use std::path::PathBuf;
use std::process::ExitCode;

use api::agent::Role;
use clap::{Parser, Subcommand};
use daemon::enrol::{Enrol, enrol};
use dns::config::Config;
use dns::control::PROGRAM;
use dns::run::{self, DaemonError};

/// The internal DNS view of fedge: leads internal XMPP servers that look for partners to the
/// gateways, and forwards everything else to the site's resolvers.
#[derive(Parser)]
#[command(name = "fedge-dns", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the view. SIGHUP reads the file again, SIGTERM ends.
    Run {
        /// The configuration file.
        file: PathBuf,
    },
    /// Make this machine's key, say its fingerprint, and wait until a controller has enrolled this machine.
    Enrol(Enrol),
    /// Say everything that is wrong in a configuration file.
    Check {
        /// The configuration file.
        file: PathBuf,
    },
}

/// The exit codes of all of fedge's commands.
const USAGE: u8 = 64;
const CONFIGURATION: u8 = 78;

fn main() -> ExitCode {
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(error) => {
            let asked_for_help = !error.use_stderr();
            // Nobody is left to hear that help can't be printed.
            let _ = error.print();
            return if asked_for_help { ExitCode::SUCCESS } else { USAGE.into() };
        }
    };
    let done = match command_line.command {
        Command::Run { file } => run::run(&file),
        Command::Check { file } => {
            let checked = Config::read(&file).map_err(DaemonError::from);
            checked.map(|_| println!("{}: good", file.display()))
        }
        Command::Enrol(told) => match enrol(&told, Role::Dns, PROGRAM) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                return if error.is_configuration() { CONFIGURATION.into() } else { ExitCode::FAILURE };
            }
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            if matches!(error, DaemonError::Config(_)) { CONFIGURATION.into() } else { ExitCode::FAILURE }
        }
    }
}
