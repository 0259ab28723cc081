//! The command line of fedge: nouns, then verbs.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use xmpp::domain::Domain;

/// XMPP federation edges: pools, route, certificates.
#[derive(Debug, Parser)]
#[command(name = "fedge", version, max_term_width = 100)]
pub(crate) struct Args {
    /// About what.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// About what.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The internal CA, by which the gateway speaks as partners to internal servers.
    Ca {
        /// What to do.
        #[command(subcommand)]
        command: Ca,
    },
    /// The trunk's CA, by which gateways and edge servers know each other.
    Trunk {
        /// What to do.
        #[command(subcommand)]
        command: Trunk,
    },
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a folder.
    Man {
        /// The folder.
        folder: PathBuf,
    },
}

/// What can be done with the internal CA.
#[derive(Debug, Subcommand)]
pub(crate) enum Ca {
    /// Make a root and an intermediate that may never speak for a local domain.
    Init(CaFiles),
    /// Replace the intermediate: for new local domains or partners, or before it expires. The
    /// root's key must be in the folder for that moment.
    Renew(CaFiles),
}

/// The CA's folder and what it is barred from.
#[derive(Debug, clap::Args)]
pub(crate) struct CaFiles {
    /// Where the CA lies.
    pub(crate) folder: PathBuf,
    /// A local domain, which the CA must never speak for; name them all.
    #[arg(long, required = true, value_name = "DOMAIN")]
    pub(crate) local: Vec<Domain>,
    /// A partner, with all below it. With any of these, the CA speaks for nobody else.
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) partner: Vec<Domain>,
}

/// What can be done with the trunk's CA.
#[derive(Debug, Subcommand)]
pub(crate) enum Trunk {
    /// Make the CA.
    Init {
        /// Where it will lie.
        folder: PathBuf,
    },
    /// Make certificate and key of a gateway or an edge server.
    Member {
        /// Where the CA lies; the files are laid beside it.
        folder: PathBuf,
        /// The member's name, as the configurations name it.
        name: String,
        /// What it is.
        #[arg(long = "as", value_name = "ROLE")]
        role: Role,
    },
}

/// What a member of the trunk is.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Role {
    /// An edge server, which accepts trunks.
    Edge,
    /// A gateway, which dials them.
    Gateway,
}
