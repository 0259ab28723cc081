//! A report of what a cmdlet did, as HTML or text.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::super::object::{Object, Output};
use crate::remote::when;

/// The file of a report, once it is known that it can be written: before anything is done.
///
/// # Errors
/// Where it can't.
pub(super) fn at(file: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(file);
    match OpenOptions::new().append(true).create(true).open(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(format!("the report can't be written to {file} ({error}); nothing was done")),
    }
}

/// Writes it.
///
/// # Errors
/// Where it can't be.
pub(super) fn write(file: &Path, typed: &str, output: &Output) -> Result<(), String> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let at = when(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    let is_html =
        file.extension().is_some_and(|end| end.eq_ignore_ascii_case("html") || end.eq_ignore_ascii_case("htm"));
    let text = if is_html { html(typed, &at, output) } else { text(typed, &at, output) };
    let written = fs::write(file, text);
    written.map_err(|error| format!("it was done, but the report can't be written to {} ({error})", file.display()))
}

fn text(typed: &str, at: &str, output: &Output) -> String {
    let shown = output.shown(None).unwrap_or_else(|fault| fault);
    format!("{typed}\n{at} UTC\n\n{shown}")
}

fn html(typed: &str, at: &str, output: &Output) -> String {
    let (title, at) = (escaped(typed), escaped(at));
    let table = match output {
        Output::Objects { objects, .. } => table(objects),
        Output::Text(text) => format!("<pre>{}</pre>\n", escaped(text)),
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n</head>\n<body>\n\
         <h1>{title}</h1>\n<p>{at} UTC</p>\n{table}</body>\n</html>\n"
    )
}

fn table(objects: &[Object]) -> String {
    let Some(first) = objects.first() else { return "<p>Nothing.</p>\n".to_owned() };
    let row = |cells: String| format!("<tr>{cells}</tr>\n");
    let head: String = first.0.iter().map(|(name, _)| format!("<th>{}</th>", escaped(name))).collect();
    let cells = |object: &Object| {
        row(object.0.iter().map(|(_, value)| format!("<td>{}</td>", escaped(&value.to_string()))).collect())
    };
    let body: String = objects.iter().map(cells).collect();
    format!("<table>\n{}{body}</table>\n", row(head))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output() -> Output {
        let object = Object(vec![("ComputerName", "a<b>.test".into()), ("Status", "Stopped".into())]);
        Output::table(vec![object], &["ComputerName", "Status"])
    }

    #[test]
    fn nothing_in_a_report_is_read_as_html() {
        let html = html("Stop-CsWindowsService \"<x>\"", "2026-11-28 03:05:07", &output());
        assert!(html.contains("<title>Stop-CsWindowsService &quot;&lt;x&gt;&quot;</title>"), "{html}");
        assert!(html.contains("<tr><th>ComputerName</th><th>Status</th></tr>"), "{html}");
        assert!(html.contains("<tr><td>a&lt;b&gt;.test</td><td>Stopped</td></tr>"), "{html}");
        let text = text("Stop-CsWindowsService", "2026-11-28 03:05:07", &output());
        assert!(text.starts_with("Stop-CsWindowsService\n2026-11-28 03:05:07 UTC\n\nComputerName Status\n"), "{text}");
    }
}
