//! Faults in a file of settings, each drawn with its place and what would put it right.

use std::fmt;
use std::ops::Range;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, in bytes of the text; empty at 0 for the file as a whole.
    pub place: Range<usize>,
    /// What was seen.
    pub what: String,
    /// What would put it right.
    pub remedy: String,
}

/// All faults of a file, in the order of their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    file: String,
    text: String,
    list: Vec<Fault>,
}

impl Faults {
    /// No fault so far in `text`, which was read from `file`.
    pub fn new(file: impl Into<String>, text: impl Into<String>) -> Faults {
        Faults { file: file.into(), text: text.into(), list: Vec::new() }
    }

    /// Adds a fault.
    pub fn add(&mut self, place: Range<usize>, what: impl Into<String>, remedy: impl Into<String>) {
        self.list.push(Fault { place, what: what.into(), remedy: remedy.into() });
    }

    /// The faults.
    pub fn list(&self) -> &[Fault] {
        &self.list
    }

    /// `value` if there is no fault.
    ///
    /// # Errors
    /// The faults, if there are any.
    pub fn none_or<T>(mut self, value: T) -> Result<T, Faults> {
        if self.list.is_empty() {
            return Ok(value);
        }
        self.list.sort_by_key(|fault| fault.place.start);
        Err(self)
    }
}

impl std::error::Error for Faults {}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.list.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            self.draw(f, fault)?;
        }
        Ok(())
    }
}

impl Faults {
    /// Each fault, drawn by itself.
    pub fn drawn(&self) -> Vec<String> {
        let draw = |fault: &Fault| {
            let mut text = String::new();
            // Writing into a text never fails.
            let _ = self.draw(&mut text, fault);
            text
        };
        self.list.iter().map(draw).collect()
    }

    fn draw(&self, f: &mut impl fmt::Write, fault: &Fault) -> fmt::Result {
        if fault.place.is_empty() {
            writeln!(f, "{}: {}", self.file, fault.what)?;
            return write!(f, "  = {}", fault.remedy);
        }
        let before = self.text.get(..fault.place.start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let number = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count();
        let line = self.text[line_start..].lines().next().unwrap_or_default();
        let marked = self.text.get(fault.place.clone()).unwrap_or_default();
        let width = marked.lines().next().map_or(1, |first| first.chars().count()).max(1);
        let margin = " ".repeat(number.to_string().len());
        writeln!(f, "{}:{number}:{}: {}", self.file, column + 1, fault.what)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {line}")?;
        writeln!(f, "{margin} | {}{}", " ".repeat(column), "^".repeat(width))?;
        write!(f, "{margin} = {}", fault.remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_drawn_in_its_place() {
        let text = "[a]\nkey = \"wert\"\nother = 1\n";
        let mut faults = Faults::new("edge.toml", text);
        let place = |what: &str| text.find(what).map(|at| at..at + what.len()).expect("it is there");
        faults.add(place("1"), "it is 1", "make it 2");
        faults.add(place("\"wert\""), "`wert` is no value", "write `value`");
        faults.add(0..0, "there is no [b]", "add it");
        let drawn = faults.none_or(()).expect_err("faults").to_string();
        assert_eq!(
            drawn,
            "edge.toml: there is no [b]\n  = add it\n\
             edge.toml:2:7: `wert` is no value\n  |\n2 | key = \"wert\"\n  |       ^^^^^^\n  = write `value`\n\
             edge.toml:3:9: it is 1\n  |\n3 | other = 1\n  |         ^\n  = make it 2"
        );
    }

    #[test]
    fn no_fault_is_no_error() {
        assert_eq!(Faults::new("edge.toml", "").none_or(1), Ok(1));
    }
}
