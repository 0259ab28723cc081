//! What an administrator does to an installation amid the talk of its users: services and topology.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use testkit::lab::installation::{GATEWAYS, Installation, edges, fqdn, members_of};

use crate::load::{PATIENCE, amid, installation};

/// Whether partners can connect to an edge server.
fn takes_partners(lab: &Installation, edge: &'static str) -> bool {
    let machine = lab.ground.machine(edge);
    let at = SocketAddr::new(machine.external, 5269);
    machine.place.run(move || async move { TcpStream::connect(at).is_ok() })
}

/// Waits until they can.
fn wait_for_partners(lab: &Installation, edge: &'static str) {
    let began = Instant::now();
    while !takes_partners(lab, edge) {
        assert!(began.elapsed() < PATIENCE, "partners can't connect to {edge}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What the status says of a member's service.
fn service(lab: &Installation, member: &str) -> String {
    let status = lab.status().expect("a status");
    let found = members_of(&status).find(|found| found["fqdn"] == fqdn(member)).expect("a member");
    found["service"].as_str().unwrap_or("unknown").to_owned()
}

/// Waits until the status says that of a member's service.
fn wait_for_service(lab: &Installation, member: &str, state: &str) {
    lab.wait_for(&format!("{member} being {state}"), |status| {
        members_of(status).any(|found| found["fqdn"] == fqdn(member) && found["service"] == state)
    })
    .expect("it comes about");
}

#[test]
fn a_service_is_stopped_under_load_stays_so_over_a_restart_and_nobody_notices() {
    let (lab, _folder) = installation();
    let lab = amid("services are stopped and started", lab, |mut lab| {
        for edge in ["edge1", "edge2"] {
            let told =
                lab.fedge(&["service", "stop", "--server", &fqdn(edge), "--why", "a test"]).expect("it is stopped");
            assert!(told.contains(&fqdn(edge)) && told.contains("stopped"), "{told}");
            assert!(!takes_partners(&lab, edge));
            wait_for_service(&lab, edge, "stopped");

            lab.end(edge).expect("it ends");
            lab.begin(edge).expect("it starts");
            let told = lab.ask(edge, &["service", "status"]).expect("it answers");
            assert!(told.starts_with("the federation service is stopped"), "{told}");
            assert!(!takes_partners(&lab, edge));

            lab.fedge(&["service", "start", "--server", &fqdn(edge)]).expect("it is started");
            lab.wait_for_trunks(GATEWAYS[0], edges().count()).expect("trunks");
            wait_for_service(&lab, edge, "running");
            wait_for_partners(&lab, edge);
        }
        lab
    });
    // The last one of the pool with the route isn't stopped by mistake.
    lab.fedge(&["service", "stop", "--server", &fqdn("edge1")]).expect("edge2 is left");
    wait_for_service(&lab, "edge1", "stopped");
    let refused = lab.try_fedge(&["service", "stop", "--server", &fqdn("edge2")]).expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("federation would stop"), "{said}");
    assert_eq!(service(&lab, "edge2"), "running");
    lab.stop().expect("everything ends well");
}

/// The topology without an edge server.
fn without(document: &str, edge: &str) -> String {
    let sections: Vec<&str> = document.split("\n[[").collect();
    let stays = sections.iter().filter(|section| !(section.starts_with("edge]]") && section.contains(&fqdn(edge))));
    stays.copied().collect::<Vec<_>>().join("\n[[")
}

/// Publishes a document, and waits until all who are still members go by it.
fn publish(lab: &Installation, document: &str, why: &str) {
    let file = lab.folder().join("topology.toml");
    std::fs::write(&file, document).expect("written");
    let told = lab.fedge(&["topology", "publish", &file.display().to_string(), "--why", why]).expect("published");
    let version: u64 = told.split(' ').nth(1).and_then(|number| number.parse().ok()).expect("its number");
    lab.wait_for("all going by it", |status| {
        members_of(status).filter(|member| member["role"] != "controller").all(|member| member["version"] == version)
    })
    .expect("it comes about");
}

#[test]
fn an_edge_server_leaves_the_topology_and_comes_back_under_load_and_nobody_notices() {
    let (lab, _folder) = installation();
    let lab = amid("edge servers leave and come back", lab, |mut lab| {
        for edge in ["edge1", "edge2"] {
            let whole = lab.fedge(&["topology", "show"]).expect("the document");
            lab.fedge(&["service", "stop", "--server", &fqdn(edge)]).expect("it is stopped");
            publish(&lab, &without(&whole, edge), "it is taken out");
            for gateway in GATEWAYS {
                let told = lab.ask(gateway, &["status"]).expect("it answers");
                assert!(!told.contains(&format!("trunk to {}", fqdn(edge))), "{told}");
            }
            publish(&lab, &whole, "it is back");
            lab.fedge(&["service", "start", "--server", &fqdn(edge)]).expect("it is started");
            for gateway in GATEWAYS {
                lab.wait_for_trunks(gateway, edges().count()).expect("trunks");
            }
            wait_for_service(&lab, edge, "running");
        }
        lab
    });
    let lab = an_address_that_a_machine_does_not_have_is_refused(lab);
    lab.stop().expect("everything ends well");
}

/// What an edge server couldn't go by after a restart, it doesn't keep.
fn an_address_that_a_machine_does_not_have_is_refused(mut lab: Installation) -> Installation {
    let own = lab.ground.machine("edge4").internal;
    let whole = lab.fedge(&["topology", "show"]).expect("the document");
    let mistaken = whole.replace(&format!("[\"{own}\"]"), &format!("[\"{own}\", \"10.99.0.1\"]"));
    let file = lab.folder().join("topology.toml");
    std::fs::write(&file, mistaken).expect("written");
    lab.fedge(&["topology", "publish", &file.display().to_string()])
        .expect("it may be right, for all that is known here");
    lab.wait_for("the mistake being told", |status| {
        let wrong = status["wrong"].as_array().into_iter().flatten();
        wrong.filter(|wrong| wrong["at"] == fqdn("edge4")).any(|wrong| {
            wrong["what"].as_str().is_some_and(|what| what.contains("10.99.0.1:5270, and this machine doesn't have"))
        })
    })
    .expect("it comes about");
    lab.end("edge4").expect("it ends");
    lab.begin("edge4").expect("it starts by what it had");
    publish(&lab, &whole, "as it was");
    lab.wait_until_well().expect("all is well again");
    lab
}
