//! The daemon fedge-dns: the internal DNS view. Here: its command line.

use std::path::PathBuf;
use std::process::ExitCode;

use api::agent::Role;
use clap::{Parser, Subcommand};
use daemon::enrol::{Enrol, EnrolFailure, enrol};
use daemon::exit;
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

fn main() -> ExitCode {
    let command_line: CommandLine = match exit::parsed() {
        Ok(command_line) => command_line,
        Err(ended) => return ended,
    };
    let done = match command_line.command {
        Command::Run { file } => run::run(&file),
        Command::Check { file } => {
            Config::read(&file).map(|_| println!("{}: good", file.display())).map_err(DaemonError::from)
        }
        Command::Enrol(told) => {
            return exit::told(enrol(&told, Role::Dns, PROGRAM), EnrolFailure::is_configuration);
        }
    };
    exit::told(done, |error| matches!(error, DaemonError::Config(_)))
}
