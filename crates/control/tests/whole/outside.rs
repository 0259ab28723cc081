//! What others see of a pool before the route is moved to it: of each local domain's certificate, and from a third site.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::lab::CONTOSO;
use testkit::lab::installation::{Installation, WITNESS, edges, fqdn, members_of};
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
pub(crate) fn condition(lab: &Installation, arguments: &[&str], code: &str) -> (bool, String) {
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

/// Pool 1 is in one site, pool 2 in another, and the witness in a third.
#[test]
fn a_witness_in_a_third_site_looks_before_a_move_also_where_nobody_else_is_left() {
    let (mut lab, _folder) = installation();
    lab.add_witness().expect("it is well");
    let witness = fqdn(WITNESS);
    let status = lab.status().expect("a status");
    let shown = members_of(&status).find(|member| member["fqdn"] == witness.as_str()).expect("it is a member");
    assert_eq!((&shown["role"], &shown["state"]), (&"witness".into(), &"reached".into()), "{shown}");
    assert!(shown["service"].is_null() && shown["partners"].is_null(), "{shown}");
    let told = lab.ask(WITNESS, &["health"]).expect("it is healthy");
    assert_eq!(told.trim(), "ready");
    let refused = lab.try_fedge(&["service", "stop", "--server", &witness]).expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("is a witness"), "{said}");
    let told = lab.fedge(&["probe", CONTOSO, "--via", &witness]).expect("all is good");
    assert!(told.contains("reached at 4 of 4 targets"), "{told}");

    let seen_from = format!("seen from {witness}");
    let (holds, seen) = condition(&lab, &["--to", "pool2.contoso.test"], "target-port");
    assert!(holds && seen.contains(&seen_from) && seen.contains("for each of 2 local domains"), "{seen}");

    // Of all edge servers one is left, and a machine's word about itself is no evidence.
    for edge in edges().filter(|edge| *edge != "edge3") {
        lab.kill(edge);
    }
    let move_it = ["failover", "--to", "pool2.contoso.test", "--accept", "target-whole,old-reached", "--yes"];
    let (status, told) = route(&lab, &move_it);
    assert!(status == Some(0) && told.contains(&format!("{} answered {witness}", fqdn("edge3"))), "{status:?}: {told}");

    for edge in edges().filter(|edge| *edge != "edge3") {
        lab.begin(edge).expect("it starts");
    }
    lab.wait_until_well().expect("all are back");
    let (status, told) = route(&lab, &["failback", "--yes"]);
    assert!(status == Some(0) && told.contains(&format!(" answered {witness}")), "{status:?}: {told}");

    // Whom it trusts is wrong, so it finds fault with everybody; others don't, and it is told.
    let file = lab.folder().join(WITNESS).join("fedge.toml");
    let text = fs::read_to_string(&file).expect("a configuration");
    LabCa::new().expect("a CA").write(&lab.folder().join(WITNESS)).expect("it is written");
    fs::write(&file, text.replace("../trusted.crt", "trusted.crt")).expect("it is written");
    lab.end(WITNESS).expect("it ends");
    lab.begin(WITNESS).expect("it starts");
    lab.wait_until_well().expect("it is back");
    let (holds, seen) = condition(&lab, &["--to", "pool2.contoso.test"], "target-certificates");
    assert!(holds, "{seen}");
    // A controller that has just lost it finds it again when it next tries, and what was good a moment ago counts for another.
    let (began, otherwise) = (Instant::now(), format!("{witness} sees it otherwise: for contoso.test and 1 more"));
    loop {
        let (_, told) = route(&lab, &["verify"]);
        if told.contains(&otherwise) {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{told}");
        std::thread::sleep(Duration::from_millis(100));
    }

    // Gone, it is told, and others look.
    lab.kill(WITNESS);
    let (_, told) = route(&lab, &["plan", "--to", "pool2.contoso.test"]);
    assert!(told.contains(&format!("nobody looks from there: {witness}")), "{told}");
    lab.stop().expect("everything ends well");
}
