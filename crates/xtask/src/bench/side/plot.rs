//! Bars of text, for figures that range over some powers of ten.

use std::fmt::Write as _;

/// The longest bar, in characters.
const WIDTH: f64 = 50.0;

/// A bar for each, as long as its figure is large, on one scale.
pub(super) fn bars(figures: &[(String, f64)]) -> String {
    let most = figures.iter().map(|(_, figure)| *figure).fold(f64::MIN_POSITIVE, f64::max);
    let names = figures.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let mut text = String::from("```text\n");
    for (name, figure) in figures {
        // Not even the shortest is nothing.
        let bar = "█".repeat((figure / most * WIDTH).round().max(1.0) as usize);
        let _ = writeln!(text, "{name:names$} {bar} {figure:.2}");
    }
    text + "```\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_figures_are_large() {
        let text = bars(&[("one".to_owned(), 10.0), ("other".to_owned(), 5.0), ("none".to_owned(), 0.0)]);
        let lengths: Vec<usize> = text.lines().map(|line| line.matches('█').count()).collect();
        assert_eq!(lengths, [0, 50, 25, 1, 0]);
        assert!(text.contains("\nother █"), "{text}");
    }
}
