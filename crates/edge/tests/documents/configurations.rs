//! Every configuration in the documents is good: the examples as they are, parts put into them.

use std::fs;

use toml::{Table, Value};

use super::reading::{Document, documents, read};
use super::site::{ETC, EXAMPLES, Site};

#[test]
fn the_examples_are_good() {
    let site = Site::new();
    for (program, name) in EXAMPLES {
        let told = site.run(&format!("{program} check {ETC}/{name}"));
        assert!(told.status.success(), "docs/examples/{name}:\n{}", site.told(&told));
        assert!(!site.told(&told).contains("warning"), "docs/examples/{name}:\n{}", site.told(&told));
    }
}

#[test]
fn the_parts_are_good() {
    let site = Site::new();
    let mut parts = 0;
    for block in documents().iter().flat_map(Document::blocks) {
        let (program, name) = match block.kind.as_str() {
            "toml edge" => ("fedge-edge", "edge.toml"),
            "toml witness" => ("fedge-edge", "witness.toml"),
            // It stands beside what is in the example.
            "toml topology" => {
                parts += 1;
                let whole = read("docs/examples/topology.toml") + &block.text;
                fs::write(site.path("part.toml"), whole).expect("written");
                let told = site.run(&format!("fedge topology check {ETC}/part.toml"));
                assert!(told.status.success(), "{}:\n{}", block.place, site.told(&told));
                continue;
            }
            "toml gateway" => ("fedge-gateway", "gateway.toml"),
            "toml dns" => ("fedge-dns", "dns.toml"),
            _ => continue,
        };
        parts += 1;
        let part: Table = block.text.parse().unwrap_or_else(|error| panic!("{}: {error}", block.place));
        let mut whole: Table = read(format!("docs/examples/{name}")).parse().expect("the example is TOML");
        put(&mut whole, part);
        fs::write(site.path("part.toml"), toml::to_string(&whole).expect("it was TOML")).expect("written");
        let told = site.run(&format!("{program} check {ETC}/part.toml"));
        assert!(told.status.success(), "{}:\n{}", block.place, site.told(&told));
    }
    assert!(parts > 10, "only {parts} parts were found");
}

/// Tables are put into tables; everything else takes the place of what was there.
fn put(into: &mut Table, part: Table) {
    for (key, value) in part {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(part)) => put(into, part),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}
