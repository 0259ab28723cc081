//! What docs/dns-servers.md shows is what the name servers of these tests are set up with.

use testkit::document;
use testkit::name_server::Maker;

use crate::rig::Rig;

const DOCUMENT: &str = "docs/dns-servers.md";

#[test]
fn administrators_are_shown_what_is_tested() {
    for (maker, kind, file) in [
        (Maker::Bind, "bind", "configuration"),
        (Maker::Knot, "knot", "configuration"),
        (Maker::PowerDns, "ini", "configuration"),
        (Maker::PowerDns, "lua", "fedge.lua"),
    ] {
        let rig = Rig::new(maker);
        let folder = rig.folder.path();
        let written = std::fs::read_to_string(folder.join(file)).expect("it was written");
        let written = written.replace(&folder.display().to_string(), "/etc/powerdns");
        let written: Vec<&str> = written.lines().map(str::trim).collect();
        let blocks = document::blocks(&document::text(DOCUMENT).expect("it is there"));
        let shown = blocks.iter().find(|block| block.kind == kind).expect("it is shown");
        for line in shown.text.lines().map(str::trim) {
            assert!(written.contains(&line), "{maker:?} isn't set up with `{line}`: {written:#?}");
        }
    }
}
