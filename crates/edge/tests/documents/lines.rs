//! The lines of the log that docs/operation.md explains are lines that the daemons write.

use std::fs;

use super::reading::{Document, files, first_code};

#[test]
fn explained_lines_are_in_the_code() {
    let source: String = ["daemon", "edge", "net", "gateway", "dns"]
        .iter()
        .flat_map(|name| files(&format!("crates/{name}/src"), ".rs"))
        .map(|path| fs::read_to_string(path).expect("readable"))
        .collect();
    let operation = Document::named("docs/operation.md");
    for heading in ["Lines of fedge-edge and fedge-gateway", "Lines of fedge-dns"] {
        let rows = operation.rows_under(heading);
        assert!(rows.len() > 5, "{heading}: {} lines", rows.len());
        for row in rows {
            let line = first_code(&row[0]).expect("a line in backquotes");
            // Some begin with the program's name.
            assert!(source.contains(&format!("{line}\"")), "{heading}: no `{line}` in the code");
        }
    }
}
