//! What others see of a pool before the route is moved to it: of each local domain's certificate, and from a third site.

use std::fs;
use std::time::Instant;

use serde_json::Value;
use testkit::lab::CONTOSO;
use testkit::lab::installation::{Installation, fqdn};
use testkit::pki::{LabCa, Request};

use crate::load::{PATIENCE, installation};
use crate::moves::route;

/// Where its users' rooms are.
const ROOMS: &str = "conference.contoso.test";

/// Gives an edge server certificates of its own: this CA's for the rooms, and the public one's for the domain.
fn certify(lab: &mut Installation, edge: &'static str, for_rooms: &LabCa) {
    let folder = lab.folder().join(edge);
    let certificates = folder.join("certificates");
    fs::create_dir_all(&certificates).expect("a folder");
    let issued = |ca: &LabCa, domain: &str, name: &str| {
        let issued = ca.issue(&Request::new(&[domain])).expect("a certificate");
        issued.write(&certificates, name).expect("it is written");
    };
    issued(&lab.public_ca, CONTOSO, "contoso");
    issued(for_rooms, ROOMS, "rooms");
    let file = folder.join("fedge.toml");
    let text = fs::read_to_string(&file).expect("a configuration");
    fs::write(&file, text.replace("\"../certificates\"", "\"certificates\"")).expect("it is written");
    lab.end(edge).expect("it ends");
    lab.begin(edge).expect("it starts");
}

/// A condition of a plan.
fn condition(lab: &Installation, arguments: &[&str], code: &str) -> (bool, String) {
    let (_, told) = route(lab, &[&["plan", "--json"], arguments].concat());
    let plan: Value = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"));
    let conditions = plan["conditions"].as_array().unwrap_or_else(|| panic!("no conditions: {told}"));
    let found = conditions.iter().find(|condition| condition["code"] == code).expect("it is asked");
    (found["holds"] == true, found["seen"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_certificate_that_an_edge_server_thinks_well_of_and_nobody_else_does_is_told_with_its_domain() {
    let (mut lab, _folder) = installation();
    let to = ["--to", "pool2.contoso.test"];
    let (holds, seen) = condition(&lab, &to, "target-port");
    assert!(holds && seen.contains("for each of 2 local domains"), "{seen}");

    let nobodys = LabCa::new().expect("a CA");
    for edge in ["edge3", "edge4"] {
        certify(&mut lab, edge, &nobodys);
    }
    lab.wait_until_well().expect("their own word is that all is well");
    // What was seen of them a moment before still counts for a moment.
    let began = Instant::now();
    let (holds, seen) = loop {
        let (holds, seen) = condition(&lab, &to, "target-certificates");
        if !holds || began.elapsed() > PATIENCE {
            break (holds, seen);
        }
    };
    let told = format!("{} for {}, seen from edge", fqdn("edge3"), ROOMS);
    assert!(!holds && seen.contains("partners are shown") && seen.contains(&told), "{seen}");
    let (holds, seen) = condition(&lab, &to, "target-port");
    assert!(!holds && seen.contains(&format!("for {ROOMS}: ")), "{seen}");
    let (status, told) = route(&lab, &["switchover", "--to", "pool2.contoso.test", "--yes"]);
    assert_eq!(status, Some(2), "{told}");
    lab.stop().expect("everything ends well");
}
