//! The daemon fedge-edge and its local commands: from arguments to an exit status.

use std::path::PathBuf;
use std::process::ExitCode;

use api::local::Request;
use clap::{Parser, Subcommand};
use daemon::ask::{Ask, Asked, ask};
use daemon::enrol::{Enrol, EnrolFailure, enrol};
use daemon::exit;
use daemon::health::{self, Look};
use daemon::probe::{self, Probe};
use daemon::service::Order;
use edge::run::{self, Failure};

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
    /// Say how far the servers of a domain can be reached from here, and why not further. Exits with 0 where
    /// nothing is bad, 1 where something is bad, 2 where it can't be told.
    Probe(Probe),
    /// Ask the daemon that runs on this machine.
    #[command(flatten)]
    Ask(Ask),
}

fn main() -> ExitCode {
    let args: Args = match exit::parsed() {
        Ok(args) => args,
        Err(ended) => return ended,
    };
    let asked = Asked { socket: args.socket, json: args.json };
    let asks = |request: &Request| exit::told(ask(request, &asked), |_| false);
    match args.command {
        Command::Run { file } => exit::told(run::run(&file), Failure::is_configuration),
        Command::Check { file } => exit::told(run::check(&file), Failure::is_configuration),
        Command::Enrol(told) => {
            exit::told(enrol(&told, run::role(told.file()), run::PROGRAM), EnrolFailure::is_configuration)
        }
        Command::Health(look) => match health::tell(&look, &asked) {
            Ok(false) => ExitCode::FAILURE,
            told => exit::told(told, |_| false),
        },
        Command::Service(order) => asks(&order.into()),
        Command::Probe(probe) => probe::tell(&probe, &asked),
        Command::Ask(request) => asks(&request.into()),
    }
}
