//! The daemon fedge-edge and its local commands: from arguments to an exit status.

use std::process::ExitCode;

use clap::Parser as _;
use edge::args::{Args, Command};
use edge::{ask, config, run};

/// As systemd reads it: the configuration is at fault (sysexits.h, EX_CONFIG).
const CONFIGURATION: u8 = 78;
const FAILED: u8 = 1;

fn main() -> ExitCode {
    let told = match Args::parse().command {
        Command::Run { file } => run::run(&file),
        Command::Check { file } => run::check(&file),
        Command::Ask(asked) => ask::ask(asked).map_err(run::Failure::from),
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            match failure {
                run::Failure::Config(config::ConfigError::Faulty(_)) | run::Failure::Parts(_) => CONFIGURATION.into(),
                _ => FAILED.into(),
            }
        }
    }
}
