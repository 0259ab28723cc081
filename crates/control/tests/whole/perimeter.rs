//! Name servers of our own in the perimeter: they follow a move, and know nothing of the inside.

use std::fs;

use testkit::fedge::Programs;
use testkit::lab::installation::{
    CONTROLLERS, DNS, GATEWAYS, Ground, Installation, NAMESERVERS, POOLS, StoreKind, fqdn,
};
use testkit::lab::{FABRIKAM, Kind, LabPlan, Peer, Publisher};
use testkit::place::Place;
use testkit::server::Authentication::External;

use crate::moves::route;

#[test]
fn they_follow_a_move_and_have_nothing_of_the_inside_on_their_disks() {
    let (place, folder) = (Place::isolated().expect("root"), tempfile::tempdir().expect("a folder"));
    let peer = Peer { kind: Kind::Prosody, authentication: External };
    let plan = LabPlan { publisher: Publisher::Embedded, ..LabPlan::new(peer, &[(FABRIKAM, peer)]) };
    let ground = Ground::loopback(place);
    let inside = GATEWAYS.into_iter().chain(CONTROLLERS).chain([DNS]).map(|name| ground.machine(name).internal);
    let inside: Vec<String> =
        inside.chain([ground.layout.inside.address]).map(|address| format!("\"{address}\"")).collect();
    let programs = Programs::built().expect("they are built");
    let lab = Installation::lead(ground, &plan, StoreKind::Sqlite, programs, folder.path(), &mut |_| {});
    let lab = lab.expect("an installation");
    let held = |name: &str| {
        let file = lab.folder().join(name).join("state/snapshot");
        fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    let known = |text: &str| inside.iter().filter(|address| text.contains(*address)).count();
    let words = ["next_hop", "gateway", "secret"];
    let view = held(DNS);
    assert!(known(&view) >= GATEWAYS.len() && view.contains("next_hop"), "our own servers find partners by it: {view}");
    let check = || {
        for name in NAMESERVERS {
            let text = held(name);
            assert!(text.contains(&fqdn(POOLS[0].0)), "{text}");
            assert!(known(&text) == 0 && words.iter().all(|word| !text.contains(word)), "{name}: {text}");
        }
    };
    check();
    let (status, told) = route(&lab, &["switchover", "--to", &fqdn(POOLS[1].0), "--accept", "next-hops"]);
    assert!(status == Some(0) && told.contains("all 2 name servers answer it"), "{status:?}: {told}");
    check();
    lab.stop().expect("everything ends well");
}
