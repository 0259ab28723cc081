//! The daemon fedge-control and its commands: from arguments to an exit status.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use control::access::{Proof, Role, Token};
use control::run;
use daemon::exit;

/// The control plane of the XMPP federation edge: keeps topology and state, brings them to every
/// member, and serves the API that `fedge` asks.
#[derive(Debug, Parser)]
#[command(name = "fedge-control", version, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run as a daemon, in the foreground. SIGHUP reads users and certificate again, SIGTERM ends.
    Run {
        /// The configuration.
        file: PathBuf,
    },
    /// Check a configuration and the files that it names, without opening the store.
    Check {
        /// The configuration.
        file: PathBuf,
    },
    /// Make the control plane's CAs, once, for the first controller.
    Init {
        /// Where they will lie.
        folder: PathBuf,
    },
    /// Copy everything from one store into another, empty one; no controller may run meanwhile.
    Copy {
        /// The store that is read, as a configuration names it.
        from: String,
        /// The one that is written.
        to: String,
    },
    /// Make a token for a user, and say what to write into the configuration. It is shown this once.
    Token {
        /// The user's name, as the audit trail will show it.
        name: String,
        /// What they may do: viewer, operator or administrator.
        #[arg(long)]
        role: Role,
    },
}

fn main() -> ExitCode {
    let args: Args = match exit::parsed() {
        Ok(args) => args,
        Err(ended) => return ended,
    };
    let done = match args.command {
        Command::Run { file } => run::run(&file),
        Command::Check { file } => run::check(&file),
        Command::Init { folder } => run::init(&folder),
        Command::Copy { from, to } => run::copy(&from, &to),
        Command::Token { name, role } => token(&name, role).map_err(run::Failure::from),
    };
    exit::told(done, run::Failure::is_configuration)
}

fn token(name: &str, role: Role) -> std::io::Result<()> {
    let token = Token::draw()?;
    let (Proof::Token(hash) | Proof::Key(hash)) = token.proof();
    // The token alone on standard output, so that it can go straight into a file.
    eprintln!("[[user]]\nname = {name:?}\nrole = \"{role}\"\ntoken = \"{hash}\"\n");
    eprintln!("Write this into control.toml and send fedge-control a SIGHUP. The token is for {name} alone:");
    println!("{}", token.reveal());
    Ok(())
}
