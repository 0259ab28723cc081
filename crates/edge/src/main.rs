//! The daemon fedge-edge and its local commands: from arguments to an exit status.

use std::path::PathBuf;
use std::process::ExitCode;

use api::agent::Role;
use clap::{Parser, Subcommand};
use daemon::ask::{Ask, Asked, ask};
use daemon::enrol::{Enrol, EnrolFailure, enrol};
use daemon::health::{self, Look};
use daemon::service::Order;
use edge::run;

/// The edge of XMPP federation: carries it between partners and the servers behind it.
#[derive(Debug, Parser)]
#[command(name = "fedge-edge", version, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// The daemon's socket, as its configuration names it.
    #[arg(long, global = true, default_value = "/run/fedge-edge/socket")]
    socket: PathBuf,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run as a daemon, in the foreground.
    Run {
        /// The configuration.
        file: PathBuf,
    },
    /// Check a configuration and the files that it names, without opening a socket.
    Check {
        /// The configuration.
        file: PathBuf,
    },
    /// Make this machine a member, so that controllers lead its edge server: says a fingerprint, and waits for one.
    Enrol(Enrol),
    /// Whether the daemon can serve: `ready` and exit status 0, or another word and 1.
    Health(Look),
    /// Stop, drain or start the federation service, while trunk, agent and local commands go on.
    #[command(subcommand)]
    Service(Order),
    /// Ask the daemon that runs on this machine.
    #[command(flatten)]
    Ask(Ask),
}

/// As systemd reads them: the command line, or the configuration is at fault (sysexits.h, EX_USAGE and EX_CONFIG).
const USAGE: u8 = 64;
const CONFIGURATION: u8 = 78;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    let asked = Asked { socket: args.socket, json: args.json };
    let (told, code) = match args.command {
        Command::Run { file } => of(run::run(&file)),
        Command::Check { file } => of(run::check(&file)),
        Command::Enrol(told) => {
            let told = enrol(&told, Role::Edge, run::PROGRAM);
            let code = if told.as_ref().is_err_and(EnrolFailure::is_configuration) { CONFIGURATION } else { 1 };
            (told.map_err(|error| error.to_string()), code)
        }
        Command::Health(look) => match health::tell(&look, &asked) {
            Ok(true) => (Ok(()), 0),
            Ok(false) => return 1.into(),
            Err(error) => (Err(error.to_string()), 1),
        },
        Command::Service(order) => (ask(&order.into(), &asked).map_err(|error| error.to_string()), 1),
        Command::Ask(request) => (ask(&request.into(), &asked).map_err(|error| error.to_string()), 1),
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            code.into()
        }
    }
}

fn of(told: Result<(), run::Failure>) -> (Result<(), String>, u8) {
    let code = if told.as_ref().is_err_and(run::Failure::is_configuration) { CONFIGURATION } else { 1 };
    (told.map_err(|error| error.to_string()), code)
}
