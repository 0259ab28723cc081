//! docs/configuration.md names exactly the keys that the configurations know, with their true defaults.

use std::collections::BTreeSet;
use std::fs;

use edge::config::Config;
use toml::{Table, Value};

use super::reading::{Document, first_code};
use super::site::{ETC, Site};

/// The tables of both configurations: heading in the document, and how the table is begun in TOML.
const EDGE: [(&str, &str); 9] = [
    ("Top level", ""),
    ("`[log]`", "[log]"),
    ("`[external]`", "[external]"),
    ("`[gateway]`", "[gateway]"),
    ("`[times]`", "[times]"),
    ("`[limits]`", "[limits]"),
    ("`[federation]`", "[federation]"),
    ("`[[local]]`", "[[local]]"),
    ("`[[partner]]`", "[[partner]]"),
];
const DNS: [(&str, &str); 4] = [
    ("`[log]` of fedge-dns", "[log]"),
    ("`[view]`", "[view]"),
    ("`[[gateway]]`", "[[gateway]]"),
    ("`[[local]]` of fedge-dns", "[[local]]"),
];

fn documented(heading: &str) -> Vec<Vec<String>> {
    Document::named("docs/configuration.md").rows_under(heading)
}

fn key(row: &[String]) -> String {
    first_code(&row[0]).unwrap_or_else(|| panic!("no key in {row:?}")).to_owned()
}

/// What the program says that it would have understood instead of a key that doesn't exist.
fn known(site: &Site, program: &str, table: &str) -> BTreeSet<String> {
    fs::write(site.path("unknown.toml"), format!("{table}\nno_such_key = 1\n")).expect("written");
    let told = site.told(&site.run(&format!("{program} check {ETC}/unknown.toml")));
    let message = told.lines().find(|line| line.contains("unknown field `no_such_key`"));
    let message = message.unwrap_or_else(|| panic!("{table} of {program}: another fault was told:\n{told}"));
    let (_, expected) = message.split_once("expected").expect("it says what it knows");
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_key_is_documented_and_no_other() {
    let site = Site::empty();
    let tables = EDGE.map(|table| ("fedge-edge", table)).into_iter().chain(DNS.map(|table| ("fedge-dns", table)));
    for (program, (heading, table)) in tables {
        let mut keys: BTreeSet<String> = documented(heading).iter().map(|row| key(row)).collect();
        if table.is_empty() {
            // The other tables stand at the top level, each under a heading of its own.
            let names = EDGE.iter().filter(|(_, table)| !table.is_empty());
            keys.extend(names.map(|(_, table)| table.trim_matches(['[', ']']).to_owned()));
        }
        assert_eq!(keys, known(&site, program, table), "under “{heading}” of docs/configuration.md, {program}");
    }
}

#[test]
fn written_out_defaults_change_nothing() {
    let site = Site::empty();
    let least = r#"
[external]
listen = ["192.0.2.10:5269"]
certificates = "certificates"
[gateway]
listen = ["10.0.0.10:5269"]
[[local]]
domains = ["contoso.test"]
next_hop = "10.0.0.20"
[[partner]]
domains = ["fabrikam.test"]
next_hop = "192.0.2.20"
"#;
    let mut written_out: Table = least.parse().expect("TOML");
    let mut defaults = 0;
    for (heading, table) in EDGE {
        for row in documented(heading).iter().filter(|row| row[2].starts_with('`')) {
            let value = first_code(&row[2]).expect("it begins with a backquote");
            let value: Table = format!("value = {value}").parse().unwrap_or_else(|error| panic!("{row:?}: {error}"));
            let table = written_out.entry(table.trim_matches(['[', ']'])).or_insert_with(|| Value::Table(Table::new()));
            let into = match table {
                Value::Array(entries) => entries[0].as_table_mut(),
                table => table.as_table_mut(),
            };
            let before = into.expect("a table").insert(key(row), value["value"].clone());
            assert_eq!(before, None, "{row:?} is required, so it has no default");
            defaults += 1;
        }
    }
    assert!(defaults > 20, "only {defaults} defaults were found");
    let read = |text: &str| {
        let path = site.path("edge.toml");
        fs::write(&path, text).expect("written");
        let config = Config::read(&path).unwrap_or_else(|error| panic!("{error}\n{text}"));
        format!("{config:#?}")
    };
    assert_eq!(read(least), read(&toml::to_string(&written_out).expect("it was TOML")));
}
