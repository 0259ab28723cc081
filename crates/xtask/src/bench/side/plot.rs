//! Bars of text, for figures that range over some powers of ten.

use std::fmt::Write as _;

/// The longest bar, in characters.
const WIDTH: f64 = 51.0;

/// A bar for each, on one scale, on which as much further to the right is as many times as much. The lowest has the shortest.
pub(super) fn bars(figures: &[(String, f64)]) -> String {
    let above_zero = || figures.iter().map(|(_, figure)| *figure).filter(|figure| *figure > 0.0);
    let (least, most) = (above_zero().fold(f64::MAX, f64::min), above_zero().fold(f64::MIN_POSITIVE, f64::max));
    let names = figures.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    // Where all are the same, all bars are as short.
    let scale = (WIDTH - 1.0) / (most / least).ln().max(f64::EPSILON);
    let mut text = String::from("```text\n");
    for (name, figure) in figures {
        let length = if *figure > 0.0 { 1.0 + (figure / least).ln() * scale } else { 0.0 };
        let _ = writeln!(text, "{name:names$} {} {figure:.2}", "█".repeat(length.round() as usize));
    }
    text + "```\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_times_as_much_is_as_much_longer() {
        let figures = [("one", 0.1), ("other", 1.0), ("most", 10.0), ("none", 0.0)];
        let text = bars(&figures.map(|(name, figure)| (name.to_owned(), figure)));
        let lengths: Vec<usize> = text.lines().map(|line| line.matches('█').count()).collect();
        assert_eq!(lengths, [0, 1, 26, 51, 0, 0]);
        assert!(text.contains("\nother █"), "{text}");
        assert!(bars(&[("alone".to_owned(), 3.0)]).contains("alone █ 3.00"));
    }
}
