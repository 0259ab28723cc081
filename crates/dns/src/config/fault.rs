//! One thing that is wrong in the configuration, drawn where it is.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Something wrong, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    path: PathBuf,
    what: String,
    /// Both from 1; the column in characters.
    line: usize,
    column: usize,
    /// How many characters to underline.
    width: usize,
    source: String,
}

impl Fault {
    /// `what` is wrong at the bytes `span` of `text`, which `path` holds. What goes on beyond its
    /// first line is underlined to the line's end.
    pub(super) fn new(path: &Path, text: &str, span: Range<usize>, what: String) -> Fault {
        let start = text.floor_char_boundary(span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let end = text.floor_char_boundary(span.end).clamp(start, line_end);
        Fault {
            path: path.to_owned(),
            what,
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            width: text[start..end].trim_end().chars().count().max(1),
            source: text[line_start..line_end].trim_end().to_owned(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { path, what, line, column, width, source } = self;
        let gutter = line.to_string().len();
        writeln!(f, "{}:{line}:{column}: {what}", path.display())?;
        writeln!(f, "{:gutter$} |", "")?;
        // Tabs stay tabs, so that the caret stands under what it means.
        let indent: String = source.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        writeln!(f, "{line} | {source}")?;
        write!(f, "{:gutter$} | {indent}{}", "", "^".repeat(*width))
    }
}
