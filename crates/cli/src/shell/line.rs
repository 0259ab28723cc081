//! Words put together to commands, and commands to pipelines.

use super::words::{Fault, Kind, Token, Word, cut};

/// What stands between two semicolons, or ends of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pipeline {
    /// One, or more where a `|` stands between them.
    pub(super) commands: Vec<Command>,
    /// As it was typed.
    pub(super) typed: String,
}

/// A cmdlet's name with what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) name: String,
    /// Bytes from the start of what was typed.
    pub(super) at: usize,
    pub(super) arguments: Vec<Argument>,
}

/// A parameter, or a value, which may belong to the parameter before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Argument {
    pub(super) at: usize,
    pub(super) what: What,
}

/// Which of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// `-Name`, or `-Name:value`.
    Parameter { name: String, value: Option<Vec<Word>> },
    /// A value; several where commas stand between them.
    Value(Vec<Word>),
}

/// Reads what was typed.
///
/// # Errors
/// The first thing that isn't understood.
pub(super) fn read(typed: &str) -> Result<Vec<Pipeline>, Fault> {
    let tokens = cut(typed)?;
    let mut reader = Reader { tokens: &tokens, end: typed.len() };
    let mut pipelines = Vec::new();
    while let Some(first) = reader.tokens.first() {
        if matches!(first.kind, Kind::Semicolon | Kind::Line) {
            reader.tokens = &reader.tokens[1..];
            continue;
        }
        let start = first.start;
        let commands = reader.pipeline()?;
        let end = reader.tokens.first().map_or(typed.len(), |token| token.start);
        pipelines.push(Pipeline { commands, typed: typed[start..end].trim().to_owned() });
    }
    Ok(pipelines)
}

struct Reader<'a> {
    tokens: &'a [Token],
    end: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn takes(&mut self, kind: &Kind) -> bool {
        let found = self.tokens.first().is_some_and(|token| token.kind == *kind);
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    fn pipeline(&mut self) -> Result<Vec<Command>, Fault> {
        let mut commands = vec![self.command()?];
        while self.takes(&Kind::Pipe) {
            while self.takes(&Kind::Line) {}
            if self.tokens.is_empty() {
                return Err(Fault::unfinished(self.end, "nothing follows the `|`"));
            }
            commands.push(self.command()?);
        }
        Ok(commands)
    }

    fn command(&mut self) -> Result<Command, Fault> {
        let end = self.end;
        let first = self.take().ok_or_else(|| Fault::new(end, "a cmdlet's name is missing"))?;
        let Kind::Word(Word::Text { text, bare: true }) = &first.kind else {
            let what = "a command begins with the name of a cmdlet, without quotes; Get-Help lists them";
            return Err(Fault::new(first.start, what));
        };
        let mut command = Command { name: text.clone(), at: first.start, arguments: Vec::new() };
        while let Some(token) = self.tokens.first() {
            let at = token.start;
            let what = match &token.kind {
                Kind::Pipe | Kind::Semicolon | Kind::Line => break,
                Kind::Word(_) => What::Value(self.list()?),
                Kind::Comma => return Err(Fault::new(at, "nothing stands before this comma")),
                Kind::Parameter { name, colon } => {
                    self.take();
                    let value = if *colon { Some(self.list()?) } else { None };
                    What::Parameter { name: name.clone(), value }
                }
            };
            command.arguments.push(Argument { at, what });
        }
        Ok(command)
    }

    /// Words with commas between them; at least one.
    fn list(&mut self) -> Result<Vec<Word>, Fault> {
        let mut words = Vec::new();
        loop {
            match self.tokens.first() {
                Some(Token { kind: Kind::Word(word), .. }) => words.push(word.clone()),
                Some(other) => return Err(Fault::new(other.start, "a value is missing before this")),
                None => return Err(Fault::unfinished(self.end, "a value is missing at the end")),
            }
            self.take();
            if !self.takes(&Kind::Comma) {
                return Ok(words);
            }
            while self.takes(&Kind::Line) {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Word {
        Word::Text { text: text.to_owned(), bare: true }
    }

    #[test]
    fn parameters_values_and_lists_are_told_apart() {
        let read = read("Stop-CsWindowsService edge1,edge2 -Name:RtcSrv -NoWait:$false -Graceful").expect("it is good");
        let whats: Vec<&What> = read[0].commands[0].arguments.iter().map(|argument| &argument.what).collect();
        let parameter = |name: &str, value: Option<Word>| What::Parameter {
            name: name.to_owned(),
            value: value.map(|value| vec![value]),
        };
        assert_eq!(
            whats,
            [
                &What::Value(vec![text("edge1"), text("edge2")]),
                &parameter("Name", Some(text("RtcSrv"))),
                &parameter("NoWait", Some(Word::Flag(false))),
                &parameter("Graceful", None),
            ]
        );
    }

    #[test]
    fn commands_end_at_semicolons_and_lines_and_go_on_after_commas_bars_and_backticks() {
        let typed = "Get-CsSite; Get-CsTopology # both\n\nGet-CsSite `\n Site1 |\n  ft Identity,\n Pools\n;;";
        let read = read(typed).expect("it is good");
        let typed: Vec<&str> = read.iter().map(|pipeline| pipeline.typed.as_str()).collect();
        assert_eq!(typed.len(), 3);
        assert_eq!(typed[0], "Get-CsSite");
        assert_eq!(read[2].commands.len(), 2);
        assert_eq!(read[2].commands[1].arguments[0].what, What::Value(vec![text("Identity"), text("Pools")]));
    }

    #[test]
    fn what_is_not_finished_is_told_from_what_is_wrong() {
        for (typed, unfinished) in [
            ("Get-CsSite |", true),
            ("Get-CsSite |\n", true),
            ("Get-CsSite a,", true),
            ("Get-CsSite -Identity:", true),
            ("Get-CsSite `", true),
            ("Get-CsSite 'a", true),
            ("Get-CsSite ,a", false),
            ("Get-CsSite a,,b", false),
            ("Get-CsSite a,;", false),
            ("| ft", false),
            ("'Get-CsSite'", false),
            ("-Identity a", false),
            ("Get-CsSite | | ft", false),
        ] {
            let fault = read(typed).expect_err(typed);
            assert_eq!(fault.unfinished, unfinished, "{typed}: {fault:?}");
        }
    }
}
