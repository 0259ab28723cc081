//! Reading the documents: which there are, their blocks of code, and the code in their prose.

use std::fs;
use std::path::{Path, PathBuf};

/// A document.
pub(crate) struct Document {
    /// Relative to the workspace.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// A fenced block of code.
pub(crate) struct Block {
    /// What stands behind the fence: its language, and what the tests should make of it.
    pub(crate) kind: String,
    pub(crate) text: String,
    /// For error messages: where it begins.
    pub(crate) place: String,
}

/// Where all paths begin.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace exists")
}

/// A file of the workspace.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = workspace().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below `folder` whose name ends so.
pub(crate) fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![workspace().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// All documents.
pub(crate) fn documents() -> Vec<Document> {
    let mut paths = files("docs", ".md");
    paths.extend(["README.md", "ARCHITECTURE.md", "THREATS.md"].map(|name| workspace().join(name)));
    let relative = |path: PathBuf| path.strip_prefix(workspace()).expect("it is in the workspace").to_owned();
    paths.into_iter().map(relative).map(|path| Document { text: read(&path), path }).collect()
}

impl Document {
    pub(crate) fn named(path: &str) -> Document {
        Document { path: path.into(), text: read(path) }
    }

    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut inside = false;
        for (number, line) in self.text.lines().enumerate() {
            match line.trim_start().strip_prefix("```") {
                Some(_) if inside => inside = false,
                Some(kind) => {
                    inside = true;
                    let place = format!("{}:{}", self.path.display(), number + 1);
                    blocks.push(Block { kind: kind.trim().to_owned(), text: String::new(), place });
                }
                None if inside => {
                    let block = blocks.last_mut().expect("one was begun");
                    block.text += line;
                    block.text.push('\n');
                }
                None => {}
            }
        }
        assert!(!inside, "{}: a block of code has no end", self.path.display());
        blocks
    }

    /// The text without its blocks of code, line by line, with numbers from 1.
    pub(crate) fn prose(&self) -> Vec<(usize, &str)> {
        let mut inside = false;
        let mut prose = Vec::new();
        for (number, line) in self.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                inside = !inside;
            } else if !inside {
                prose.push((number + 1, line));
            }
        }
        prose
    }

    /// What stands in backquotes in the prose, also across the end of a line, with its line's number.
    pub(crate) fn code_in_prose(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        // By paragraphs: a backquote too many in one must not turn all that follows inside out.
        let mut paragraph: Vec<(usize, &str)> = Vec::new();
        for (number, line) in self.prose().into_iter().chain([(0, "")]) {
            let ends = line.trim().is_empty() || line.starts_with('|') || line.starts_with("- ");
            if ends {
                found.extend(code_in(&paragraph));
                paragraph.clear();
            }
            paragraph.push((number, line));
        }
        found
    }

    /// The rows of the first table under the heading that reads so, cell by cell, without its head.
    pub(crate) fn rows_under(&self, heading: &str) -> Vec<Vec<String>> {
        let lines = self.text.lines().skip_while(|line| line.trim_start_matches('#').trim() != heading).skip(1);
        let section = lines.take_while(|line| !line.starts_with('#'));
        let table = section.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
        let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        // The head, and the rule below it.
        let rows: Vec<Vec<String>> = table.skip(2).map(cells).collect();
        assert!(!rows.is_empty(), "{}: there is no table under `{heading}`", self.path.display());
        rows
    }
}

fn code_in(paragraph: &[(usize, &str)]) -> Vec<(usize, String)> {
    let Some((first, _)) = paragraph.first() else { return Vec::new() };
    let text = paragraph.iter().map(|(_, line)| *line).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    let mut at = *first;
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            found.push((at, part.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
        at += part.matches('\n').count();
    }
    found
}

/// The first thing in backquotes.
pub(crate) fn first_code(cell: &str) -> Option<&str> {
    cell.split('`').nth(1)
}
