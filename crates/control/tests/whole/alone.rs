//! Federation without its control plane: it goes on under load, and every process starts again from its disk.

use std::path::Path;
use std::time::{Duration, Instant};

use testkit::lab::installation::{CONTROLLERS, DNS, GATEWAYS, Installation, edges, fqdn};

use crate::load::{amid, installation};

/// Ends a member and starts it again; gives how long the start took.
fn restart(lab: &mut Installation, member: &'static str) -> Duration {
    lab.end(member).expect("it ends");
    let began = Instant::now();
    lab.begin(member).expect("it starts from its disk");
    let took = began.elapsed();
    println!("{member} started in {:.2} s", took.as_secs_f64());
    took
}

/// What is promised of a start. A machine that does much else may keep one waiting longer, but not half of them.
const START: Duration = Duration::from_secs(2);

/// Restarts everybody, one after the other, so that another one is always there.
fn restart_all(mut lab: Installation) -> Installation {
    let mut took = Vec::new();
    for edge in edges() {
        took.push(restart(&mut lab, edge));
        for gateway in GATEWAYS {
            lab.wait_for_trunks(gateway, edges().count()).expect("trunks");
        }
    }
    for gateway in GATEWAYS {
        took.push(restart(&mut lab, gateway));
        lab.wait_for_trunks(gateway, edges().count()).expect("trunks");
    }
    took.push(restart(&mut lab, DNS));
    took.sort();
    assert!(took[took.len() / 2] < START, "{took:?}");
    lab
}

/// Takes the store away, or brings it back.
fn away(folder: &Path, away: bool) {
    for name in ["store.db", "store.db-wal", "store.db-shm"] {
        let (here, gone) = (folder.join(name), folder.join(format!("{name}.away")));
        let (from, to) = if away { (here, gone) } else { (gone, here) };
        if from.exists() {
            std::fs::rename(from, to).expect("renamed");
        }
    }
}

#[test]
fn federation_goes_on_under_load_without_controllers_and_store_and_everybody_starts_from_disk() {
    let (mut lab, folder) = installation();
    CONTROLLERS.iter().for_each(|controller| lab.kill(controller));
    away(folder.path(), true);
    let mut lab = amid("everybody starts again", lab, restart_all);
    for member in edges().chain(GATEWAYS) {
        let told = lab.ask(member, &["status"]).expect("it answers");
        assert!(told.contains("(unconfirmed)") && told.contains("no controller has been here"), "{told}");
    }
    assert!(lab.ask("edge1", &["health", "--routed"]).is_err(), "an unconfirmed route is none");
    away(folder.path(), false);
    CONTROLLERS.into_iter().for_each(|controller| lab.begin(controller).expect("it starts again"));
    lab.wait_until_well().expect("controllers lead again");
    assert_eq!(lab.ask("edge1", &["health", "--routed"]).expect("the route leads here").trim(), "ready");
    assert!(lab.ask("edge3", &["health", "--routed"]).is_err(), "{} isn't in the pool of the route", fqdn("edge3"));
    lab.stop().expect("everything ends well");
}
