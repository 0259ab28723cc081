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
