//! What is said and asked beside a cmdlet's objects, and why a cmdlet has none.

use std::io::{BufRead, Write};

use api::client::ClientError;

use super::object::Output;
use crate::remote::RemoteError;

/// Why a cmdlet didn't do what it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShellError {
    /// It can't be asked so.
    #[error("{0}")]
    Usage(String),
    /// It may not be, or somebody said no: nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// Some of it was done, and this is what.
    #[error("{what}")]
    Part { output: Output, what: String },
    /// It was undone again.
    #[error("{0}")]
    RolledBack(String),
    /// The control plane.
    #[error("{0}")]
    Remote(#[from] RemoteError),
    /// A file.
    #[error("{0}")]
    File(String),
}

impl ShellError {
    /// The exit status that says so.
    pub(super) fn exit(&self) -> u8 {
        match self {
            ShellError::Usage(_) => 64,
            ShellError::RolledBack(_) => 3,
            ShellError::Refused(_) | ShellError::File(_) => 2,
            ShellError::Remote(RemoteError::Client(ClientError::Problem(problem))) if problem.code != "unknown" => 2,
            // Something may have been done.
            ShellError::Part { .. } | ShellError::Remote(_) => 1,
        }
    }
}

/// What comes of a cmdlet.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) output: Option<Output>,
    /// The exit status of something that isn't finished, or not wholly, though it is no error: 4 or 5. With `Some(0)` what
    /// wasn't is.
    pub(super) rests: Option<u8>,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Outcome {
        Outcome { output: Some(output), rests: None }
    }
}

/// Says things, and asks whoever is at the keyboard, if anybody is.
pub(super) struct Talk<'a> {
    /// Where answers come from; nothing where nobody could give them.
    pub(super) answers: Option<&'a mut dyn BufRead>,
    pub(super) out: &'a mut dyn Write,
    pub(super) verbose: bool,
    /// An answer to all that is still to be asked.
    to_all: Option<bool>,
}

/// What a question can be answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Answer {
    yes: bool,
    to_all: bool,
}

const CHOICES: &str = "[Y] Yes  [A] Yes to All  [N] No  [L] No to All  [?] Help (default is \"N\"): ";
const HELP: &str = "Y - do it, and ask again before the next thing\nA - do it and all that would be asked for after it\n\
                    N - don't\nL - don't, and nothing that would be asked for after it\n";

impl<'a> Talk<'a> {
    pub(super) fn new(answers: Option<&'a mut dyn BufRead>, out: &'a mut dyn Write, verbose: bool) -> Talk<'a> {
        Talk { answers, out, verbose, to_all: None }
    }

    /// Says something; that nobody hears it keeps nothing from being done.
    pub(super) fn say(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
    }

    pub(super) fn warn(&mut self, text: &str) {
        self.say(&format!("WARNING: {text}"));
    }

    pub(super) fn verbose(&mut self, text: &str) {
        if self.verbose {
            self.say(&format!("VERBOSE: {text}"));
        }
    }

    /// Whether somebody can be asked.
    pub(super) fn can_ask(&self) -> bool {
        self.answers.is_some()
    }

    /// Asks until there is an answer; no answer at all is a no.
    pub(super) fn ask(&mut self, question: &str) -> bool {
        if let Some(yes) = self.to_all {
            return yes;
        }
        let Some(answers) = self.answers.as_mut() else { return false };
        let _ = writeln!(self.out, "\nConfirm\n{question}");
        loop {
            let _ = write!(self.out, "{CHOICES}");
            let _ = self.out.flush();
            let mut line = String::new();
            if !matches!(answers.read_line(&mut line), Ok(1..)) {
                let _ = writeln!(self.out);
                return false;
            }
            if let Some(answer) = understood(&line) {
                self.to_all = answer.to_all.then_some(answer.yes);
                return answer.yes;
            }
            let _ = write!(self.out, "{HELP}");
        }
    }
}

fn understood(line: &str) -> Option<Answer> {
    let answer = |yes, to_all| Some(Answer { yes, to_all });
    match line.trim().to_lowercase().as_str() {
        "y" | "yes" => answer(true, false),
        "a" | "yes to all" => answer(true, true),
        "" | "n" | "no" => answer(false, false),
        "l" | "no to all" => answer(false, true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of so many questions, and what was said.
    fn asked(answers: &str, questions: usize) -> (Vec<bool>, String) {
        let (mut answers, mut said) = (answers.as_bytes(), Vec::new());
        let mut talk = Talk::new(Some(&mut answers), &mut said, false);
        let given = (1..=questions).map(|number| talk.ask(&format!("question {number}"))).collect();
        (given, String::from_utf8(said).expect("text"))
    }

    #[test]
    fn questions_are_asked_until_they_are_answered() {
        for (answers, expected) in [
            ("y\nn\n\n", vec![true, false, false]),
            ("YES\nNo\ny\n", vec![true, false, true]),
            ("a\n", vec![true, true, true]),
            ("y\nL\n", vec![true, false, false]),
            ("what\n?\ny\ny\nn\n", vec![true, true, false]),
            ("", vec![false, false, false]),
            ("maybe", vec![false, false, false]),
        ] {
            assert_eq!(asked(answers, 3).0, expected, "{answers:?}");
        }
        let (_, said) = asked("?\na\n", 2);
        assert_eq!(said.matches("question").count(), 1, "{said}");
        assert!(said.contains(CHOICES) && said.contains(HELP), "{said}");
    }

    #[test]
    fn where_nobody_is_nothing_is_asked() {
        let mut said = Vec::new();
        let mut talk = Talk::new(None, &mut said, false);
        assert!(!talk.can_ask() && !talk.ask("question"));
        talk.verbose("nothing");
        assert!(said.is_empty());
    }
}
