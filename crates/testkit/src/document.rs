//! Reads commands out of the documents, so that what runs in a laboratory is what administrators are told.

use std::path::Path;

use anyhow::Context as _;

/// A block of code in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What stands behind the fence: its language, and in some documents where it is run.
    pub kind: String,
    /// The paragraph before it.
    pub told: String,
    /// What is in it.
    pub text: String,
}

/// The text of a document, such as `docs/store.md`.
///
/// # Errors
/// When there is no such file in the workspace.
pub fn text(document: &str) -> anyhow::Result<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(document);
    std::fs::read_to_string(&file).with_context(|| format!("can't read {}", file.display()))
}

/// All blocks of a document's text, in its order.
pub fn blocks(text: &str) -> Vec<Block> {
    let (mut blocks, mut open, mut told): (Vec<Block>, bool, Vec<&str>) = Default::default();
    for line in text.lines() {
        match line.strip_prefix("```") {
            Some(_) if open => open = false,
            Some(kind) => {
                let lines = told.split(|line| line.is_empty()).rfind(|lines| !lines.is_empty());
                let told = lines.map(|lines| lines.join(" ")).unwrap_or_default();
                blocks.push(Block { kind: kind.trim().to_owned(), told, text: String::new() });
                open = true;
            }
            None if open => blocks.last_mut().into_iter().for_each(|block| block.text += &format!("{line}\n")),
            None => told.push(line),
        }
    }
    blocks
}

/// The lines of a document's blocks of this kind, in which something is.
///
/// # Errors
/// When there is no such document, or no such line in it.
pub fn lines(document: &str, kind: &str, with: &str) -> anyhow::Result<Vec<String>> {
    let blocks = blocks(&text(document)?).into_iter().filter(|block| block.kind == kind);
    let lines = blocks.flat_map(|block| block.text.lines().map(str::to_owned).collect::<Vec<_>>());
    let lines: Vec<String> = lines.filter(|line| line.contains(with)).collect();
    anyhow::ensure!(!lines.is_empty(), "{document}: no `{with}` in the {kind} blocks");
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_with_what_is_said_before_them() {
        let text = "# A\nFirst.\n\nOn the edge,\nrun:\n\n```sh edge1\na\nb\n```\n\n```toml\nc\n```\n";
        let block = |kind: &str, told: &str, text: &str| {
            let [kind, told, text] = [kind, told, text].map(str::to_owned);
            Block { kind, told, text }
        };
        let expected = [block("sh edge1", "On the edge, run:", "a\nb\n"), block("toml", "On the edge, run:", "c\n")];
        assert_eq!(blocks(text), expected);
        assert!(lines("docs/store.md", "sh", "etcdctl ").expect("there are some").len() > 5);
        assert!(lines("docs/store.md", "sh", "no such command").is_err());
    }
}
