//! A large topology: 10,000 partners and 1,000 local domains reach every member, which starts by them from its disk.

use std::time::Instant;

use testkit::fedge::Programs;
use testkit::lab::installation::{CONTROLLERS, DNS, GATEWAYS, Ground, Installation, StoreKind, many};
use testkit::lab::{FABRIKAM, Kind, LabPlan, Peer};
use testkit::place::Place;
use testkit::server::Authentication::External;

// How long it takes is what `cargo xtask bench snapshot` measures, with the released build.
#[test]
fn a_large_topology_is_gone_by_and_started_from() {
    let peer = Peer { kind: Kind::Prosody, authentication: External };
    let (plan, folder) = (LabPlan::new(peer, &[(FABRIKAM, peer)]), tempfile::tempdir().expect("a folder"));
    let ground = Ground::loopback(Place::isolated().expect("root"));
    let programs = Programs::built().expect("they are built");
    let mut lab = Installation::lead(ground, &plan, StoreKind::Sqlite, programs, folder.path(), &mut |_| {})
        .expect("an installation");
    let (version, began) = lab.publish_with(&many(1000, 10_000), "a large one").expect("it is published");
    let took = lab.wait_for_version(version, began).expect("everybody goes by it");
    println!("{took:.2?}");
    CONTROLLERS.iter().for_each(|controller| lab.kill(controller));
    for member in ["edge1", GATEWAYS[0], DNS] {
        lab.end(member).expect("it ends");
        let began = Instant::now();
        lab.begin(member).expect("it starts from its disk");
        println!("{member} started in {:.2?}", began.elapsed());
    }
    for member in ["edge1", GATEWAYS[0]] {
        let told = lab.ask(member, &["status"]).expect("it answers");
        assert!(told.contains(&format!("version {version} of the topology")), "{told}");
    }
    lab.stop().expect("everything ends well");
}
