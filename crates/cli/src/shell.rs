//! `fedge shell`: the cmdlets of Lync Server's runbook, typed at a prompt, in a script, or in one command.

use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;

use crate::args::Control;

mod bind;
mod calls;
mod cmdlets;
mod complete;
mod help;
mod im;
mod line;
mod names;
mod object;
mod services;
mod session;
mod site;
mod talk;
mod terminal;
mod topology;
mod wild;
mod words;

use session::Session;

/// Runs one command, a script from standard input, or a prompt where that is a terminal.
pub(crate) fn run(control: &Control, command: Option<&str>) -> ExitCode {
    let is_terminal = std::io::stdin().is_terminal();
    let mut session = Session::new(control, host(), is_terminal && std::io::stderr().is_terminal());
    if let Some(typed) = command {
        return session.script(typed).into();
    }
    if is_terminal && std::io::stdout().is_terminal() {
        return terminal::run(&mut session).into();
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().read_to_end(&mut bytes).map_err(|error| error.to_string());
    let typed = read.and_then(|_| String::from_utf8(bytes).map_err(|error| error.to_string()));
    match typed {
        // Scripts written on Windows may begin with a mark of the byte order.
        Ok(typed) => session.script(typed.trim_start_matches('\u{FEFF}')).into(),
        Err(error) => {
            eprintln!("standard input can't be read as text: {error}");
            session::USAGE.into()
        }
    }
}

/// This host's name, as it knows it.
fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}
