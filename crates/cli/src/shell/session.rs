//! A shell at work: one pipeline after the other, and the exit status of all.

use std::io::{BufRead, Write as _};

use super::bind::{self, Ready};
use super::cmdlets::Verb;
use super::line;
use super::names::Names;
use super::object::Output;
use super::talk::{Outcome, ShellError, Talk};
use super::words::Fault;
use super::{help, im, services, site, topology};
use crate::args::Control;
use crate::status::overview;

/// What was typed is at fault (sysexits.h, EX_USAGE).
pub(super) const USAGE: u8 = 64;
/// What a cmdlet gives can't be written.
const TROUBLE: u8 = 1;

/// A shell.
pub(super) struct Session<'a> {
    control: &'a Control,
    /// This host's name.
    host: String,
    /// Somebody is there to answer questions.
    answers: bool,
    /// What isn't finished, or not wholly, of what was done last: 4 or 5.
    rests: u8,
}

/// What came of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Good,
    /// With the exit status that says so; `ends` a script.
    Failed {
        status: u8,
        ends: bool,
    },
    Exit,
}

impl<'a> Session<'a> {
    pub(super) fn new(control: &'a Control, host: String, answers: bool) -> Session<'a> {
        Session { control, host, answers, rests: 0 }
    }

    /// All that can be named, for completion; nothing where no controller answers.
    pub(super) fn names(&self) -> Option<Names> {
        overview(self.control).ok().map(|overview| Names::of(&overview))
    }

    /// Does all of it, unless something in it isn't understood: then nothing. Ends at the first error.
    pub(super) fn script(&mut self, typed: &str) -> u8 {
        let all = match understood(typed) {
            Ok(all) => all,
            Err(fault) => {
                eprintln!("{}", fault.placed(typed));
                return USAGE;
            }
        };
        let mut failed = 0;
        for ready in &all {
            match self.perform(ready) {
                Step::Good => {}
                Step::Failed { status, ends: true } => return status,
                Step::Failed { status, ends: false } => failed = status,
                Step::Exit => break,
            }
        }
        if failed == 0 { self.rests } else { failed }
    }

    /// Does it, and shows what comes of it.
    pub(super) fn perform(&mut self, ready: &Ready) -> Step {
        if ready.call.cmdlet.verb == Verb::Exit {
            return Step::Exit;
        }
        match self.outcome(ready) {
            Ok(Outcome { output, rests }) => {
                self.rests = rests.unwrap_or(self.rests);
                self.show(output.as_ref(), ready)
            }
            Err(error) => {
                if let ShellError::Part { output, .. } = &error {
                    self.show(Some(output), ready);
                }
                let action = ready.call.one("ErrorAction").unwrap_or("Stop");
                if action == "SilentlyContinue" {
                    return Step::Good;
                }
                eprintln!("{}: {error}", ready.call.cmdlet.name);
                Step::Failed { status: error.exit(), ends: action == "Stop" }
            }
        }
    }

    fn outcome(&self, ready: &Ready) -> Result<Outcome, ShellError> {
        let Ready { call, typed, .. } = ready;
        let (control, host) = (self.control, self.host.as_str());
        let (mut keyboard, mut out) = (std::io::stdin().lock(), std::io::stderr());
        let answers = self.answers.then_some(&mut keyboard as &mut dyn BufRead);
        let mut talk = Talk::new(answers, &mut out, call.is_on("Verbose"));
        match call.cmdlet.verb {
            Verb::SetSite => site::set(control, call, typed, &mut talk),
            Verb::GetSite => topology::sites(control, call),
            Verb::StopService | Verb::StartService => services::change(control, host, call, typed, &mut talk),
            Verb::GetService => services::show(control, host, call, typed),
            Verb::GetTopology => topology::topology(control, call),
            Verb::GetReplication => topology::replication(control, call),
            Verb::TestIm => im::test(call, &mut talk),
            Verb::GetHelp => Ok(Output::Text(help::asked(call).map_err(ShellError::Usage)?).into()),
            Verb::Exit | Verb::FormatTable | Verb::FormatList => {
                unreachable!("these begin no pipeline that asks anybody")
            }
        }
    }

    fn show(&self, output: Option<&Output>, ready: &Ready) -> Step {
        let Some(output) = output else { return Step::Good };
        let text = if self.control.json {
            output.json() + "\n"
        } else {
            match output.shown(ready.format.as_ref()) {
                Ok(text) => text,
                Err(fault) => {
                    eprintln!("{fault}");
                    return Step::Failed { status: USAGE, ends: true };
                }
            }
        };
        match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => Step::Good,
            Err(error) => {
                eprintln!("what {} gives can't be written: {error}", ready.call.cmdlet.name);
                Step::Failed { status: TROUBLE, ends: true }
            }
        }
    }
}

/// All of what was typed, if all of it is understood.
pub(super) fn understood(typed: &str) -> Result<Vec<Ready>, Fault> {
    line::read(typed)?.iter().map(bind::pipeline).collect()
}
