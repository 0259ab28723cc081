//! docs/configuration.md names exactly the keys that the configurations know, with their true defaults.

use std::collections::BTreeSet;
use std::fs;

use edge::config::Configured;
use toml::{Table, Value};

use super::reading::{Document, first_code, read};
use super::site::{ETC, Site};

/// A configuration, and the tables of it: under which heading they are documented, and how they begin in TOML.
struct Shape {
    program: &'static str,
    example: &'static str,
    tables: &'static [(&'static str, &'static str)],
}

const TOP_LEVEL: (&str, &str) = ("Top level", "");
const LOG: (&str, &str) = ("`[log]`", "[log]");
const METRICS: (&str, &str) = ("`[metrics]`", "[metrics]");
const GATEWAY: (&str, &str) = ("`[gateway]`", "[gateway]");
const TIMES: (&str, &str) = ("`[times]`", "[times]");
const LIMITS: (&str, &str) = ("`[limits]`", "[limits]");
const FEDERATION: (&str, &str) = ("`[federation]`", "[federation]");
const LOCAL: (&str, &str) = ("`[[local]]`", "[[local]]");
const PARTNER: (&str, &str) = ("`[[partner]]`", "[[partner]]");
const CONTROL: (&str, &str) = ("`[control]`", "[control]");
const EXTERNAL: (&str, &str) = ("`[external]`", "[external]");
const WITNESS: (&str, &str) = ("`[witness]`", "[witness]");
const EDGE_TRUNK: (&str, &str) = ("`[trunk]` of fedge-edge", "[trunk]");

const EDGE: Shape = Shape {
    program: "fedge-edge",
    example: "edge.toml",
    tables: &[
        TOP_LEVEL, LOG, METRICS, EXTERNAL, WITNESS, GATEWAY, EDGE_TRUNK, CONTROL, TIMES, LIMITS, FEDERATION, LOCAL,
        PARTNER,
    ],
};
const DNS: Shape = Shape {
    program: "fedge-dns",
    example: "dns.toml",
    tables: &[
        ("`[log]` of fedge-dns", "[log]"),
        METRICS,
        CONTROL,
        ("`[view]`", "[view]"),
        ("`[zones]`", "[zones]"),
        ("`[[gateway]]`", "[[gateway]]"),
        ("`[[local]]` of fedge-dns", "[[local]]"),
    ],
};
const OF_GATEWAYS: Shape = Shape {
    program: "fedge-gateway",
    example: "gateway.toml",
    tables: &[
        TOP_LEVEL,
        LOG,
        METRICS,
        GATEWAY,
        ("`[trunk]` of fedge-gateway", "[trunk]"),
        CONTROL,
        ("`[[pool]]`", "[[pool]]"),
        ("Entries of `edges`", "[[pool]]\nname = \"pool\"\n[[pool.edges]]"),
        TIMES,
        LIMITS,
        FEDERATION,
        LOCAL,
        PARTNER,
    ],
};
const SHAPES: [Shape; 9] = [
    EDGE,
    Shape { program: "fedge-edge", example: "edge-trunk.toml", ..EDGE },
    Shape { program: "fedge-edge", example: "edge-controlled.toml", ..EDGE },
    Shape { program: "fedge-edge", example: "witness.toml", ..EDGE },
    OF_GATEWAYS,
    Shape { program: "fedge-gateway", example: "gateway-controlled.toml", ..OF_GATEWAYS },
    DNS,
    Shape { program: "fedge-dns", example: "dns-controlled.toml", ..DNS },
    Shape { program: "fedge-dns", example: "dns-zones.toml", ..DNS },
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

/// The name of a table that stands at the top level.
fn name(table: &str) -> Option<String> {
    let name = table.trim_matches(['[', ']']);
    (!name.is_empty() && !name.contains('\n')).then(|| name.to_owned())
}

#[test]
fn every_key_is_documented_and_no_other() {
    let site = Site::empty();
    for shape in SHAPES {
        let mut top_level: BTreeSet<String> = shape.tables.iter().filter_map(|(_, table)| name(table)).collect();
        for (heading, table) in shape.tables {
            let keys: BTreeSet<String> = documented(heading).iter().map(|row| key(row)).collect();
            if table.is_empty() {
                top_level.extend(keys);
            } else {
                assert_eq!(keys, known(&site, shape.program, table), "under “{heading}” of docs/configuration.md");
            }
        }
        assert_eq!(top_level, known(&site, shape.program, ""), "tables of {}", shape.program);
    }
}

/// The keys in the table under a heading of a document.
fn keys_of(document: &str, heading: &str) -> BTreeSet<String> {
    Document::named(document).rows_under(heading).iter().map(|row| key(row)).collect()
}

#[test]
fn every_key_of_the_topology_is_documented_and_no_other() {
    let site = Site::empty();
    let members = "`[[gateway]]`, `[[controller]]`";
    for (heading, table) in [
        ("`[installation]`", "[installation]"),
        ("`[[site]]`", "[[site]]"),
        ("`[[pool]]`", "[[pool]]"),
        ("`[[edge]]`", "[[edge]]"),
        (members, "[[gateway]]"),
        ("`[[dns]]`", "[[dns]]"),
        (members, "[[controller]]"),
        ("`[[witness]]`", "[[witness]]"),
        ("`[route]`", "[route]"),
        ("`[names]`", "[names]"),
        ("`[[zone]]`", "[[zone]]"),
    ] {
        assert_eq!(keys_of("docs/topology.md", heading), known(&site, "fedge topology", table), "under “{heading}”");
    }
    for (table, elsewhere) in [FEDERATION, LOCAL, PARTNER].map(|(heading, table)| (table, heading)) {
        assert_eq!(keys_of("docs/configuration.md", elsewhere), known(&site, "fedge topology", table));
    }
}

#[test]
fn every_key_of_the_controller_is_documented_and_no_other() {
    let site = Site::empty();
    let mut top_level = keys_of("docs/control.md", TOP_LEVEL.0);
    top_level.extend(["log", "metrics", "api", "dns", "user"].map(str::to_owned));
    assert_eq!(top_level, known(&site, "fedge-control", ""));
    for (heading, table) in [("`[api]`", "[api]"), ("`[dns]`", "[dns]"), ("`[[user]]`", "[[user]]")] {
        assert_eq!(keys_of("docs/control.md", heading), known(&site, "fedge-control", table), "under “{heading}”");
    }
}

#[test]
fn what_is_required_is_required() {
    let site = Site::new();
    let mut required = 0;
    for shape in SHAPES {
        let example: Table = read(format!("docs/examples/{}", shape.example)).parse().expect("the example is TOML");
        for (heading, table) in shape.tables {
            // A table that the example doesn't have takes part in another.
            let Some(name) = name(table).filter(|name| example.contains_key(name)) else { continue };
            for row in documented(heading).iter().filter(|row| row[2].starts_with("required")) {
                let mut without = example.clone();
                let entry = match &mut without[&name] {
                    Value::Array(entries) => entries[0].as_table_mut(),
                    table => table.as_table_mut(),
                };
                // Not there at all: the exception that its row names.
                if entry.expect("a table").remove(&key(row)).is_none() {
                    assert!(row[2].contains("except"), "{row:?} is missing in {}", shape.example);
                    continue;
                }
                fs::write(site.path("without.toml"), toml::to_string(&without).expect("it was TOML")).expect("written");
                let told = site.run(&format!("{} check {ETC}/without.toml", shape.program));
                assert_eq!(told.status.code(), Some(78), "{row:?} of {}: {}", shape.example, site.told(&told));
                required += 1;
            }
        }
    }
    assert!(required > 20, "only {required} were tried");
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
    // A witness is no edge server.
    for (heading, table) in EDGE.tables.iter().filter(|shape| **shape != WITNESS) {
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
        let config = Configured::read(&path).unwrap_or_else(|error| panic!("{error}\n{text}"));
        format!("{config:#?}")
    };
    assert_eq!(read(least), read(&toml::to_string(&written_out).expect("it was TOML")));
}
