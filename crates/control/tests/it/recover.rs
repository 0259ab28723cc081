//! A store that is restored from an old backup: nothing is done by it, and it is brought forward past what members know.

use std::path::Path;

use api::control::{Known, Published, Recover, Recovery, Service, ServiceDone};
use control::access::Role;
use store::Store;

use crate::rig::{Controller, EDGES, GATEWAY, Machine, POOLS, Site, eventually, member, problem};

/// The store of a site, in a file.
fn store(site: &Site) -> std::sync::Arc<dyn Store> {
    store::open(&format!("sqlite:{}", site.file("store.db").display())).expect("it can be opened")
}

/// What an administrator copies while no controller runs.
fn copy(from: &Path, to: &Path) {
    for end in ["", "-wal", "-shm"] {
        let with = |path: &Path| std::path::PathBuf::from(format!("{}{end}", path.display()));
        let _ = std::fs::remove_file(with(to));
        if with(from).exists() {
            std::fs::copy(with(from), with(to)).expect("copied");
        }
    }
}

/// An installation at version 4, whose store is restored as it was at version 2.
async fn restored() -> (Site, Controller, Vec<Machine>) {
    let site = Site::new().await;
    let controller = site.controller("ctl1.contoso.test", store(&site)).await;
    site.publish(&controller, &site.topology("10.0.0.1")).await.expect("it is good");
    let mut machines = Vec::new();
    for fqdn in [EDGES[0], EDGES[2], GATEWAY] {
        machines.push(site.enrol(&controller, fqdn).await);
    }
    site.publish(&controller, &site.topology("10.0.0.2")).await.expect("it is good");
    controller.sees_all(&[EDGES[0], EDGES[2], GATEWAY]).await;
    drop(controller);
    copy(&site.file("store.db"), &site.file("backup.db"));

    let controller = site.controller("ctl1.contoso.test", store(&site)).await;
    for next_hop in ["10.0.0.3", "10.0.0.4"] {
        site.publish(&controller, &site.topology(next_hop)).await.expect("it is good");
    }
    controller.sees_all(&[EDGES[0], EDGES[2], GATEWAY]).await;
    drop(controller);
    copy(&site.file("backup.db"), &site.file("store.db"));
    let controller = site.controller("ctl1.contoso.test", store(&site)).await;
    let behind = |overview: &_| wrong(overview).iter().any(|what| what.contains("`fedge recover`"));
    controller.sees("it is behind", behind).await;
    (site, controller, machines)
}

fn wrong(overview: &api::control::Overview) -> Vec<&str> {
    overview.wrong.iter().filter(|wrong| wrong.at == "Contoso").map(|wrong| wrong.what.as_str()).collect()
}

fn recover(version: u64, epoch: u64) -> Recover {
    let why = "restored after a fire".to_owned();
    Recover { document: None, pool: None, without: Vec::new(), version, epoch, why }
}

#[tokio::test]
async fn nothing_is_done_by_a_store_that_is_behind() {
    let (site, controller, machines) = restored().await;
    let refused = problem(site.publish(&controller, &site.topology("10.0.0.9")).await);
    assert_eq!(refused.code, "conflict");
    assert!(refused.title.contains("it has version 2 of the topology and epoch 1 of the route"), "{refused:?}");
    let operator = site.client(&controller, Role::Operator);
    let stop = Service {
        action: "stop".to_owned(),
        pool: Some(POOLS[1].to_owned()),
        server: None,
        deadline: None,
        why: String::new(),
        force: false,
    };
    let refused = problem(operator.post::<Vec<ServiceDone>>("/v1/service", &stop).await);
    assert!(refused.title.contains("the store is behind"), "{refused:?}");

    // A member that starts now isn't led back, nor told that its route is the route.
    let [edge, ..] = &machines[..] else { panic!("there are three") };
    assert_eq!(edge.have(), Some(4));
    drop(machines);
    let machine = site.start(EDGES[0]).await;
    let back = |overview: &_| {
        let member = member(overview, EDGES[0]);
        member.state == "reached" && member.confirmed == Some(false) && member.version == Some(4)
    };
    controller.sees("it is back", back).await;
    assert!(!machine.is_confirmed());
    assert_eq!(machine.have(), Some(4));
}

#[tokio::test]
async fn it_is_brought_forward_past_what_members_know_and_they_go_on_by_it() {
    let (site, controller, machines) = restored().await;
    let client = site.administrator(&controller);
    let found: Recovery = client.get("/v1/recover").await.expect("an answer");
    assert!(found.needed && found.silent.is_empty() && found.hindrance.is_none(), "{found:?}");
    assert_eq!((found.store.version, found.store.epoch), (2, 1));
    assert!(found.members.iter().all(|member| member.ahead && member.knows.version == 4), "{found:?}");
    assert!(found.members.iter().all(|member| member.stored_as.is_none()), "published after the backup");
    let next = found.next.expect("it can be told");
    assert_eq!((next.version, next.epoch, next.pool.as_str()), (5, 2, POOLS[0]));

    let operator = site.client(&controller, Role::Operator);
    assert_eq!(problem(operator.post::<Published>("/v1/recover", &recover(5, 2)).await).code, "role");
    let moved = problem(client.post::<Published>("/v1/recover", &recover(4, 2)).await);
    assert!(moved.title.contains("version 5 and epoch 2 would come next"), "{moved:?}");
    // The document of version 4 is at hand: it is that by which the members go.
    let document = site.topology("10.0.0.4");
    let digest = control::audit::Hash::of(document.as_bytes()).to_string();
    assert!(found.members.iter().all(|member| member.knows.digest == digest));
    let asked = Recover { document: Some(document), ..recover(5, 2) };
    let done: Published = client.post("/v1/recover", &asked).await.expect("done");
    assert_eq!(done.version, 5);
    assert!(done.changes[0].contains("next hop 10.0.0.4"), "{done:?}");

    controller.sees_all(&[EDGES[0], EDGES[2], GATEWAY]).await;
    assert!(machines.iter().all(|machine| machine.have() == Some(5)));
    let overview = controller.sees("all is well again", |overview| wrong(overview).is_empty()).await;
    assert_eq!((overview.version, overview.route.epoch), (5, 2));
    let nothing = problem(client.post::<Published>("/v1/recover", &recover(6, 3)).await);
    assert!(nothing.title.contains("no member that is there knows more"), "{nothing:?}");
    assert_eq!(site.publish(&controller, &site.topology("10.0.0.6")).await.expect("as ever").version, 6);

    let trail = controller.ledger.audit(1, 100).await.expect("it answers");
    let entry = trail.iter().find(|entry| entry.what == "recover store").expect("it is written down");
    assert_eq!((entry.who.as_str(), entry.why.as_str()), ("the administrator", "restored after a fire"));
    assert!(entry.before.starts_with("version 2, ") && entry.after.starts_with(&format!("version 5, {digest}")));
    assert_eq!(controller.ledger.verify().await.expect("it answers").broken, None);
}

#[tokio::test]
async fn with_a_store_that_was_founded_anew_members_stay_what_they_are() {
    let (site, controller, machines) = restored().await;
    drop(controller);
    let _ = std::fs::remove_file(site.file("store.db"));
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(site.file(&format!("store.db{end}")));
    }
    let controller = site.controller_of("contoso-2", "ctl1.contoso.test", store(&site)).await;
    site.publish(&controller, &site.topology("10.0.0.1")).await.expect("it is good");
    // Nobody is enrolled in it; who would be is told whose member it is.
    let client = site.administrator(&controller);
    let found: Recovery = client.get("/v1/recover").await.expect("an answer");
    assert!(!found.needed && found.members.is_empty(), "{found:?}");
    let refused = site.enrol_again(&controller, &machines[0]).await;
    assert!(problem(refused).title.contains("a member of the installation contoso-1"));
    eventually("it goes on", async || (machines[0].have() == Some(4)).then_some(())).await;
    let known = Known { version: 1, digest: String::new(), epoch: 1, pool: POOLS[0].to_owned() };
    assert_eq!((found.store.version, found.store.epoch), (known.version, known.epoch));
}
