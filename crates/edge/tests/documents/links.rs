//! Links between documents lead somewhere, files that they name exist, and every document can be found from the README.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::reading::{Document, documents, workspace};

/// The places of a document that a link can lead to, as they are derived from headings.
fn anchors(document: &Document) -> BTreeSet<String> {
    let headings = document.prose().into_iter().filter_map(|(_, line)| line.strip_prefix('#'));
    headings.map(|heading| anchor(heading.trim_start_matches('#').trim())).collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn links(document: &Document) -> Vec<(usize, String)> {
    let in_line = |(number, line): (usize, &str)| {
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        targets.map(|target| (number, target.to_owned())).collect::<Vec<_>>()
    };
    document.prose().into_iter().flat_map(in_line).collect()
}

/// `path` with its `..` taken away, as all paths here are compared.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
        plain
    })
}

#[test]
fn links_lead_somewhere() {
    let documents = documents();
    let mut faults = Vec::new();
    let mut linked: BTreeSet<PathBuf> = BTreeSet::new();
    for document in &documents {
        for (line, target) in links(document) {
            if target.starts_with("https://") {
                continue;
            }
            let (file, place) =
                target.split_once('#').map_or((target.as_str(), None), |(file, place)| (file, Some(place)));
            let path = match file {
                "" => document.path.clone(),
                file => plain(&document.path.parent().unwrap_or(Path::new("")).join(file)),
            };
            let other = documents.iter().find(|other| other.path == path);
            let is_there = match (place, other) {
                (Some(place), Some(other)) => anchors(other).contains(place),
                (Some(_), None) => false,
                (None, _) => workspace().join(&path).exists(),
            };
            if !is_there {
                faults.push(format!("{}:{line}: {target} leads nowhere", document.path.display()));
            }
            if path != document.path {
                linked.insert(path);
            }
        }
    }
    let lost = documents.iter().filter(|document| !linked.contains(&document.path));
    let lost = lost.filter(|document| document.path != Path::new("README.md"));
    faults.extend(lost.map(|document| format!("no link leads to {}", document.path.display())));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_that_are_named_exist() {
    let documents = documents();
    let mut named = 0;
    let mut faults = Vec::new();
    for document in &documents {
        for (line, code) in document.code_in_prose() {
            let is_path = ["crates/", "docs/", "packaging/"].iter().any(|folder| code.starts_with(folder));
            if is_path {
                named += 1;
                if !workspace().join(&code).exists() {
                    faults.push(format!("{}:{line}: there is no {code}", document.path.display()));
                }
            }
        }
    }
    assert!(named > 50, "only {named} were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn anchors_are_those_of_headings() {
    assert_eq!(anchor("`[[local]]` of fedge-dns"), "local-of-fedge-dns");
    assert_eq!(anchor("Usage: serverAuth and clientAuth"), "usage-serverauth-and-clientauth");
    assert_eq!(anchor("2. User and folders"), "2-user-and-folders");
}
