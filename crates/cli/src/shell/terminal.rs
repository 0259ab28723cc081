//! The prompt: lines typed at a terminal, with completion and a history.

use std::path::{Path, PathBuf};

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::complete::complete;
use super::line;
use super::names::Names;
use super::session::{Session, Step, USAGE, understood};

const PROMPT: &str = "fedge> ";
/// So many lines are remembered.
const HISTORY: usize = 1000;

/// What helps while a line is typed.
struct Help {
    names: Names,
}

impl Completer for Help {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let (start, mut found) = complete(line, at, &self.names);
        // Nothing else can be meant: the next word may follow.
        if let [only] = found.as_mut_slice() {
            only.push(' ');
        }
        Ok((start, found))
    }
}

impl Validator for Help {
    /// A line that isn't finished goes on with the next.
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        let goes_on = matches!(line::read(context.input()), Err(fault) if fault.unfinished);
        Ok(if goes_on { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

impl Hinter for Help {
    type Hint = String;
}

impl Highlighter for Help {}

impl Helper for Help {}

/// Reads lines and does what they say, until `exit` or the end of input.
pub(super) fn run(session: &mut Session) -> u8 {
    let mut editor = match editor() {
        Ok(editor) => editor,
        Err(error) => {
            eprintln!("this terminal can't be used: {error}; type into a pipe, or use fedge shell -c '…'");
            return USAGE;
        }
    };
    let history = history();
    if let Some(file) = &history {
        // There is none at the first time.
        let _ = editor.load_history(file);
    }
    let names = session.names();
    if names.is_none() {
        eprintln!("no controller answers as yet; Get-Help works, and any other cmdlet says why it doesn't");
    }
    editor.set_helper(Some(Help { names: names.unwrap_or_default() }));
    prompt(session, &mut editor, history.as_deref())
}

fn editor() -> rustyline::Result<Editor<Help, FileHistory>> {
    let config = Config::builder()
        .max_history_size(HISTORY)?
        .history_ignore_dups(true)?
        .auto_add_history(true)
        .completion_type(CompletionType::List)
        .build();
    Editor::with_config(config)
}

fn prompt(session: &mut Session, editor: &mut Editor<Help, FileHistory>, history: Option<&Path>) -> u8 {
    loop {
        let typed = match editor.readline(PROMPT) {
            Ok(typed) => typed,
            // Takes back what was typed.
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return 0,
            Err(error) => {
                eprintln!("the terminal can't be read: {error}");
                return USAGE;
            }
        };
        // At once: Ctrl-C ends the shell while something is done. That it can't be remembered keeps nobody from working.
        let _ = history.map(|file| editor.append_history(file));
        let all = match understood(&typed) {
            Ok(all) => all,
            Err(fault) => {
                eprintln!("{}", fault.placed(&typed));
                continue;
            }
        };
        let mut step = Step::Good;
        for ready in &all {
            step = session.perform(ready);
            match step {
                Step::Exit => return 0,
                Step::Failed { ends: true, .. } => break,
                Step::Failed { .. } | Step::Good => {}
            }
        }
        // The topology may be another one by now. Where no controller answers, nobody is to wait for that twice.
        if step == Step::Good
            && let (Some(names), Some(help)) = (session.names(), editor.helper_mut())
        {
            help.names = names;
        }
    }
}

/// Where lines are remembered (XDG Base Directory Specification), if there is such a place.
fn history() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let folder = state.join("fedge");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("shell-history"))
}
