//! What a gateway's configuration may say, and what is said of a faulty one.

use std::path::Path;

use super::{Config, File, check};

const GOOD: &str = r#"
[gateway]
listen = ["10.0.0.1:5269"]

[trunk]
name = "gateway1.contoso.test"
ca = "trunk/ca.crt"
certificate = "trunk/gateway1.crt"
key = "trunk/gateway1.key"
route = "pool1"

[[pool]]
name = "pool1"
edges = [{ name = "edge1.contoso.test", address = "192.0.2.1:5270" }]

[[pool]]
name = "pool2"
edges = [{ name = "edge2.contoso.test", address = "192.0.2.2:5270" }]

[[local]]
domains = ["contoso.test"]
next_hop = "10.0.0.2"

[[partner]]
domains = ["fabrikam.test"]
"#;

fn parse(text: &str) -> Result<Config, topology::faults::Faults> {
    daemon::settings::parse("gateway.toml", text, Path::new("/etc/fedge"), |file: File, folder, faults| {
        check(&file, folder, faults)
    })
}

#[test]
fn a_good_file_is_read() {
    let config = parse(GOOD).expect("no fault");
    assert_eq!(config.pools.len(), 2);
    assert_eq!(config.pools[0].edges[0].name, "edge1.contoso.test");
    assert_eq!(config.serves, ["contoso.test"]);
    assert_eq!(config.trunk.ca, Path::new("/etc/fedge/trunk/ca.crt"));
}

#[test]
fn what_cannot_work_is_refused() {
    for (good, bad, told) in [
        ("route = \"pool1\"", "route = \"pool3\"", "there is no [[pool]] pool3 for the route"),
        ("name = \"pool2\"", "name = \"pool1\"", "there are two pools pool1"),
        ("name = \"edge2.contoso.test\"", "name = \"edge1.contoso.test\"", "edge1.contoso.test is named twice"),
        ("next_hop = \"10.0.0.2\"", "", "this local domain has no `next_hop`"),
    ] {
        let text = parse(&GOOD.replacen(good, bad, 1)).expect_err("a fault").to_string();
        assert!(text.contains(told), "{told} is missing in:\n{text}");
    }
}
