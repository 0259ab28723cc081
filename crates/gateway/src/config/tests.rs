//! What a gateway's configuration may say, and what is said of a faulty one.

use std::path::Path;

use super::{Config, File, Lead, check};

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
    let Lead::File { course, trunk, .. } = &config.lead else { panic!("the file, not {:?}", config.lead) };
    assert_eq!(course.pools.len(), 2);
    assert_eq!(course.pools[0].edges[0].name, "edge1.contoso.test");
    assert_eq!(course.serves, ["contoso.test"]);
    assert_eq!(trunk.ca, Path::new("/etc/fedge/trunk/ca.crt"));
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

#[test]
fn a_gateway_under_controllers_leaves_to_them_what_they_say() {
    let own = GOOD.split("[trunk]").next().expect("a beginning");
    let control = "[control]\nlisten = [\"10.0.0.1:5271\"]\nstate = \"state\"\n";
    let config = parse(&format!("{own}{control}")).expect("no fault");
    let Lead::Control(found) = &config.lead else { panic!("controllers, not {:?}", config.lead) };
    assert_eq!(found.state, Path::new("/etc/fedge/state"));
    let told = parse(&format!("{GOOD}{control}")).expect_err("they say that").to_string();
    for part in ["[trunk] and [control]", "[[pool]] and [control]", "[[local]] and [control]", "[[partner]] and"] {
        assert!(told.contains(part), "{part} is missing in:\n{told}");
    }
    let alone = parse(own).expect_err("nobody leads").to_string();
    assert!(alone.contains("there is no [trunk] to any edge server"), "{alone}");
}
