//! The command line of fedge-edge.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

/// The edge of XMPP federation: carries it between partners and the servers behind it.
#[derive(Debug, Parser)]
#[command(name = "fedge-edge", version, max_term_width = 100)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What fedge-edge does.
#[derive(Debug, Subcommand)]
pub enum Command {
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
    /// Ask the daemon that runs on this machine.
    #[command(flatten)]
    Ask(Ask),
}

/// The socket of the daemon that is asked.
#[derive(Debug, Clone, ClapArgs)]
pub struct Asked {
    /// The daemon's socket, as its configuration names it.
    #[arg(long, default_value = "/run/fedge-edge/socket")]
    pub socket: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What the running daemon can be asked.
#[derive(Debug, Subcommand)]
pub enum Ask {
    /// How it is: faces, streams, stanzas, and what somebody should look at.
    Status {
        /// Whom to ask.
        #[command(flatten)]
        asked: Asked,
    },
    /// The open streams.
    Streams {
        /// Whom to ask.
        #[command(flatten)]
        asked: Asked,
    },
    /// End a stream properly; its stanzas go on over a new one.
    Close {
        /// Its number, as `streams` shows it.
        stream: u64,
        /// Whom to ask.
        #[command(flatten)]
        asked: Asked,
    },
    /// Log from this level on, until the next start.
    LogLevel {
        /// error, warn, info, debug or trace.
        level: String,
        /// Whom to ask.
        #[command(flatten)]
        asked: Asked,
    },
    /// Follow what a stream says and hears: XML without any text in it.
    Trace {
        /// Its number, as `streams` shows it.
        stream: u64,
        /// Whom to ask.
        #[command(flatten)]
        asked: Asked,
    },
    /// What became of the stanzas with this id.
    Stanza {
        /// The `id` attribute.
        id: String,
        /// Whom to ask.
        #[command(flatten)]
        asked: Asked,
    },
}
