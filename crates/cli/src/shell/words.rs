//! A typed line cut into words, by PowerShell's rules as far as a line of cmdlets needs them.

use std::iter::Peekable;
use std::str::CharIndices;

/// A part of a line, and where it stands: bytes from its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Word(Word),
    /// `-Name`, or `-Name:` with a value after it.
    Parameter {
        name: String,
        colon: bool,
    },
    Comma,
    Pipe,
    /// `;`
    Semicolon,
    /// The end of a line.
    Line,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    Text {
        text: String,
        /// Not between quotes.
        bare: bool,
    },
    /// `$true` or `$false`.
    Flag(bool),
    /// `$null`.
    Null,
}

impl Word {
    /// Its text, where it has one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Word::Text { text, .. } => Some(text),
            Word::Flag(_) | Word::Null => None,
        }
    }
}

/// What can't be understood, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(super) struct Fault {
    pub(super) what: String,
    /// Bytes from the start of what was typed.
    pub(super) at: usize,
    /// More typed after it would mend it.
    pub(super) unfinished: bool,
}

impl Fault {
    pub(super) fn new(at: usize, what: impl Into<String>) -> Fault {
        Fault { what: what.into(), at, unfinished: false }
    }

    pub(super) fn unfinished(at: usize, what: impl Into<String>) -> Fault {
        Fault { unfinished: true, ..Fault::new(at, what) }
    }

    /// With its line and column, both from 1.
    pub(super) fn placed(&self, typed: &str) -> String {
        let before = typed.get(..self.at).unwrap_or(typed);
        let (line, last) = (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap_or_default());
        format!("line {line}, column {}: {}", last.chars().count() + 1, self.what)
    }
}

/// Documents that passed through a word processor have these for `'`, `"` and `-`; PowerShell takes them, too.
fn is_single_quote(letter: char) -> bool {
    matches!(letter, '\'' | '\u{2018}'..='\u{201B}')
}

fn is_double_quote(letter: char) -> bool {
    matches!(letter, '"' | '\u{201C}'..='\u{201E}')
}

fn is_dash(letter: char) -> bool {
    matches!(letter, '-' | '\u{2013}'..='\u{2015}')
}

/// Ends a word that stands without quotes.
fn ends_word(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, ',' | ';' | '|' | '(' | ')' | '{' | '}' | '&' | '<' | '>')
}

/// Cuts what was typed into words.
///
/// # Errors
/// The first thing that isn't understood.
pub(super) fn cut(typed: &str) -> Result<Vec<Token>, Fault> {
    let mut cutter = Cutter { typed, letters: typed.char_indices().peekable() };
    let mut tokens = Vec::new();
    while let Some((start, letter)) = cutter.next_token()? {
        let kind = cutter.token(start, letter)?;
        tokens.push(Token { kind, start, end: cutter.at() });
    }
    Ok(tokens)
}

struct Cutter<'a> {
    typed: &'a str,
    letters: Peekable<CharIndices<'a>>,
}

impl Cutter<'_> {
    /// Where the next letter stands.
    fn at(&mut self) -> usize {
        self.letters.peek().map_or(self.typed.len(), |(at, _)| *at)
    }

    fn peek(&mut self) -> Option<char> {
        self.letters.peek().map(|(_, letter)| *letter)
    }

    /// Where the next token begins, and with what; past spaces, comments and lines that go on.
    fn next_token(&mut self) -> Result<Option<(usize, char)>, Fault> {
        while let Some((at, letter)) = self.letters.peek().copied() {
            match letter {
                '\n' => return Ok(Some((at, letter))),
                '#' => while self.letters.next_if(|(_, letter)| *letter != '\n').is_some() {},
                '`' if self.goes_on(at)? => {}
                _ if letter.is_whitespace() => drop(self.letters.next()),
                _ => return Ok(Some((at, letter))),
            }
        }
        Ok(None)
    }

    /// Takes a backtick with the end of its line, where that is what it is.
    fn goes_on(&mut self, at: usize) -> Result<bool, Fault> {
        if self.typed.len() == at + 1 {
            return Err(Fault::unfinished(at, "a line ends with a backtick, and none follows it"));
        }
        let found = self.joins_lines(at);
        if found {
            while self.letters.next().is_some_and(|(_, letter)| letter != '\n') {}
        }
        Ok(found)
    }

    /// Whether the backtick there stands at the end of a line.
    fn joins_lines(&self, at: usize) -> bool {
        let rest = &self.typed[at + 1..];
        rest.is_empty() || rest.starts_with('\n') || rest.starts_with("\r\n")
    }

    fn token(&mut self, start: usize, letter: char) -> Result<Kind, Fault> {
        let alone = match letter {
            ',' => Some(Kind::Comma),
            '|' => Some(Kind::Pipe),
            ';' => Some(Kind::Semicolon),
            '\n' => Some(Kind::Line),
            _ => None,
        };
        if let Some(kind) = alone {
            self.letters.next();
            if kind == Kind::Pipe && self.peek() == Some('|') {
                return Err(Fault::new(start, "`||` is not known here; write one command after another, with `;`"));
            }
            return Ok(kind);
        }
        if let Some(what) = refused(letter) {
            return Err(Fault::new(start, what));
        }
        if is_single_quote(letter) || is_double_quote(letter) {
            self.letters.next();
            let mut text = String::new();
            self.quoted(start, is_single_quote(letter), &mut text)?;
            return Ok(Kind::Word(Word::Text { text, bare: false }));
        }
        if is_dash(letter) && self.names_parameter(start + letter.len_utf8()) {
            self.letters.next();
            return self.parameter();
        }
        self.bare(start)
    }

    /// The next letter of what stands without quotes.
    fn next_in_word(&mut self) -> Option<(usize, char)> {
        let (at, letter) = self.letters.peek().copied()?;
        if ends_word(letter) || letter == '`' && self.joins_lines(at) { None } else { self.letters.next() }
    }

    /// Whether a parameter's name begins there, and not a word with a dash at its start.
    fn names_parameter(&self, at: usize) -> bool {
        self.typed[at..].starts_with(|letter: char| letter.is_alphabetic() || letter == '?' || letter == '_')
    }

    fn parameter(&mut self) -> Result<Kind, Fault> {
        let mut name = String::new();
        while let Some((at, letter)) = self.next_in_word() {
            match letter {
                ':' => return Ok(Kind::Parameter { name, colon: true }),
                _ if is_single_quote(letter) || is_double_quote(letter) || letter == '`' || letter == '$' => {
                    return Err(Fault::new(at, format!("`{letter}` can't stand in a parameter's name")));
                }
                _ => name.push(letter),
            }
        }
        Ok(Kind::Parameter { name, colon: false })
    }

    /// A word without quotes around it; those in the midst of it are taken off.
    fn bare(&mut self, start: usize) -> Result<Kind, Fault> {
        if self.peek() == Some('$') {
            return self.variable(start);
        }
        let mut text = String::new();
        while let Some((at, letter)) = self.next_in_word() {
            match letter {
                '`' => text.extend(self.letters.next().map(|(_, escaped)| escaped)),
                '$' => return Err(variable(at)),
                _ if is_single_quote(letter) || is_double_quote(letter) => {
                    self.quoted(at, is_single_quote(letter), &mut text)?;
                }
                _ => text.push(letter),
            }
        }
        if text.starts_with('@') && matches!(self.peek(), Some('{' | '(')) {
            return Err(Fault::new(start, "`@` makes lists and tables in PowerShell; here a list is written a,b"));
        }
        Ok(Kind::Word(Word::Text { text, bare: true }))
    }

    /// One of the three that are known.
    fn variable(&mut self, start: usize) -> Result<Kind, Fault> {
        let mut name = String::new();
        while let Some((_, letter)) = self.letters.next_if(|(_, letter)| !ends_word(*letter)) {
            name.extend(letter.to_lowercase());
        }
        match name.as_str() {
            "$true" => Ok(Kind::Word(Word::Flag(true))),
            "$false" => Ok(Kind::Word(Word::Flag(false))),
            "$null" => Ok(Kind::Word(Word::Null)),
            _ => Err(variable(start)),
        }
    }

    /// What stands between quotes, the first of which was taken already.
    fn quoted(&mut self, start: usize, single: bool, text: &mut String) -> Result<(), Fault> {
        let ends = |letter| if single { is_single_quote(letter) } else { is_double_quote(letter) };
        while let Some((at, letter)) = self.letters.next() {
            match letter {
                // Two of them are one.
                _ if ends(letter) => match self.letters.next_if(|(_, next)| ends(*next)) {
                    Some((_, second)) => text.push(second),
                    None => return Ok(()),
                },
                '$' if !single => return Err(variable(at)),
                '`' if !single => match self.letters.next() {
                    Some((_, escaped)) => text.push(unescaped(escaped)),
                    None => break,
                },
                _ => text.push(letter),
            }
        }
        Err(Fault::unfinished(start, "a quotation has no end"))
    }
}

fn unescaped(letter: char) -> char {
    match letter {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        '0' => '\0',
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'v' => '\u{b}',
        other => other,
    }
}

fn variable(at: usize) -> Fault {
    Fault::new(
        at,
        "there are no variables here but $true, $false and $null; a `$` itself stands between single quotes: 'a$b'",
    )
}

/// What PowerShell knows and this shell doesn't.
fn refused(letter: char) -> Option<&'static str> {
    match letter {
        '(' | ')' => Some("there are no expressions in brackets here; write the value itself"),
        '{' | '}' => Some("there are no script blocks here; write one command after another, with `;`"),
        '&' => Some("`&` is not known here; begin with the cmdlet's name"),
        '<' | '>' => Some("nothing is redirected here; use your own shell: fedge shell -c '…' > FILE"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
