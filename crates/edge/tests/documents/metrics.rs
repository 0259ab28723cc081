//! docs/metrics.md has the catalogue as it is in the code, and names no other metrics.

use std::collections::BTreeSet;

use daemon::metrics::{ALL, Kind, Metric};

use super::reading::Document;

/// The metric's row, as it has to be.
fn row(metric: &Metric) -> [String; 5] {
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
    };
    let unit = metric.unit.as_ref().map(|unit| unit.as_str().to_owned()).unwrap_or_default();
    let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    [format!("`{}`", metric.full_name()), kind.to_owned(), unit, labels.join(" "), metric.help.to_owned()]
}

#[test]
fn the_catalogue_is_that_of_the_code() {
    let documented = Document::named("docs/metrics.md").rows_under("Catalogue");
    let known: Vec<_> = ALL.iter().map(|metric| row(metric).to_vec()).collect();
    assert_eq!(documented, known);
}

#[test]
fn what_is_named_exists() {
    let text = Document::named("docs/metrics.md").text;
    let known: BTreeSet<String> = ALL.iter().map(|metric| metric.full_name()).collect();
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_' || c == '.' || c == '*' || c == '…'));
    let named: BTreeSet<&str> = words.filter(|word| word.starts_with("fedge_")).collect();
    assert!(named.len() >= ALL.len(), "{named:?}");
    for name in named.into_iter().filter(|name| !name.starts_with("fedge_link_.") && *name != "fedge_link_…") {
        assert!(known.contains(name), "there is no {name}");
    }
}
