//! A controller's machine in a stranger's hands: what he can do with its CAs, until members are enrolled by new ones.

use std::sync::Arc;

use agent::authority::Authorities;
use agent::dial::{Dialer, Target};
use agent::state::Kept;
use api::agent::Role;
use store::Memory;

use crate::rig::{EDGES, GATEWAY, Site};

#[tokio::test]
async fn whoever_has_stolen_the_cas_is_locked_out_by_new_ones_as_the_document_says() {
    let site = Site::new().await;
    let memory = Memory::new();
    let controller = site.controller("ctl1.contoso.test", Arc::new(memory.clone())).await;
    site.publish(&controller, &site.topology("10.0.0.2")).await.expect("it is good");
    let mut machines = Vec::new();
    for fqdn in [EDGES[0], GATEWAY] {
        machines.push(site.enrol(&controller, fqdn).await);
    }
    controller.sees_all(&[EDGES[0], GATEWAY]).await;

    // He makes himself a controller, and has a member go by what he likes.
    std::fs::rename(site.file("ca"), site.file("stolen")).expect("it is there");
    let thief = Authorities::read(&site.file("stolen")).expect("all is in it");
    let thief = Dialer::new(&thief, "ctl9.contoso.test").expect("a controller");
    let target = Target {
        fqdn: EDGES[0].to_owned(),
        role: Role::Edge,
        addresses: vec![site.address(EDGES[0])],
        key: machines[0].fingerprint(),
    };
    let mut connection = thief.dial(&target).await.expect("he has all it takes");
    let have = connection.hello().have.clone().expect("it was led");
    let his = Kept::new(&have.installation, EDGES[0], (99, "his"), have.route, "his".to_owned());
    connection.snapshot(&his).await.expect("nothing tells him from us");
    assert_eq!(machines[0].have(), Some(99));
    drop((connection, controller, machines));

    // New CAs, the old store, and every machine enrolled anew, with an empty state folder.
    Authorities::make(&site.file("ca")).expect("new ones");
    let controller = site.controller("ctl1.contoso.test", Arc::new(memory)).await;
    let mut machines = Vec::new();
    for fqdn in [EDGES[0], GATEWAY] {
        std::fs::remove_dir_all(site.file(fqdn)).expect("it is there");
        machines.push(site.enrol(&controller, fqdn).await);
    }
    controller.sees_all(&[EDGES[0], GATEWAY]).await;
    assert!(machines.iter().all(|machine| machine.have() == Some(1)));
    let target = Target { key: machines[0].fingerprint(), ..target };
    let refused = thief.dial(&target).await.err().expect("he is locked out").to_string();
    assert!(refused.contains("has no certificate of this installation"), "{refused}");
}
