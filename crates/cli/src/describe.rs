//! Completions and man pages, from the same definitions that the arguments are read by.

use std::io;
use std::path::Path;

use clap::CommandFactory as _;

use crate::args::Args;

pub(crate) fn completions(shell: clap_complete::Shell) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "fedge", &mut script);
    io::Write::write_all(&mut io::stdout(), &script)
}

pub(crate) fn man(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Args::command(), folder)
}
