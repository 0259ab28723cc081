//! `completions` and `man`, which every daemon has, from the same definitions that its arguments are read by.

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{ArgMatches, Command, FromArgMatches as _, Subcommand};

/// What a daemon says of itself.
#[derive(Debug, Subcommand)]
enum Describe {
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

/// The command line with these two beside its own.
pub(crate) fn beside(command: Command) -> Command {
    Describe::augment_subcommands(command)
}

/// Does it, where it was one of these that was asked for.
///
/// # Errors
/// When it can't be written.
pub(crate) fn asked(matches: &ArgMatches, mut command: Command) -> Option<io::Result<()>> {
    if !matches.subcommand_name().is_some_and(Describe::has_subcommand) {
        return None;
    }
    let described = Describe::from_arg_matches(matches).ok()?;
    Some(match described {
        Describe::Completions { shell } => {
            let (name, mut script) = (command.get_name().to_owned(), Vec::new());
            clap_complete::generate(shell, &mut command, name, &mut script);
            io::stdout().write_all(&script)
        }
        Describe::Man { folder } => {
            std::fs::create_dir_all(&folder).and_then(|()| clap_mangen::generate_to(command, &folder))
        }
    })
}
