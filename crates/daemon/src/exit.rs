//! How a command of fedge's ends: in words on standard error, and with an exit status as systemd reads it.

use std::fmt::Display;
use std::process::ExitCode;

use clap::Parser;

use crate::describe;

/// The command line is at fault (sysexits.h, EX_USAGE).
const USAGE: u8 = 64;
/// The configuration is, or a file that it names (EX_CONFIG): a restart would not help.
const CONFIGURATION: u8 = 78;

/// The command line; or how the program ends for it, with help, completions, man pages or a fault already told.
///
/// # Errors
/// When there is nothing more to be done.
pub fn parsed<A: Parser>() -> Result<A, ExitCode> {
    let command = describe::beside(A::command());
    let matches = command.clone().try_get_matches().map_err(|error| refused(&error))?;
    if let Some(written) = describe::asked(&matches, command) {
        return Err(told(written.map_err(|error| format!("it can't be written: {error}")), |_| false));
    }
    A::from_arg_matches(&matches).map_err(|error| refused(&error))
}

fn refused(error: &clap::Error) -> ExitCode {
    // Nobody is left to hear that it can't be printed.
    let _ = error.print();
    if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS }
}

/// Tells what went wrong, if something did; `is_configuration` says whether the configuration was at fault.
pub fn told<T, E: Display>(done: Result<T, E>, is_configuration: impl FnOnce(&E) -> bool) -> ExitCode {
    let Err(error) = done else { return ExitCode::SUCCESS };
    eprintln!("{error}");
    if is_configuration(&error) { CONFIGURATION.into() } else { ExitCode::FAILURE }
}
