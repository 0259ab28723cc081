//! Federation services commanded over the API: at all servers at once, written down before and after, and told as it went.

use std::sync::Arc;

use api::control::{Service, ServiceDone};
use api::local::{ServiceAction, ServiceState};
use control::access::Role;
use store::Memory;

use crate::rig::{Controller, EDGES, GATEWAY, Machine, POOLS, Site, member, problem};

pub(crate) async fn installation() -> (Site, Controller, Vec<Machine>) {
    let site = Site::new().await;
    let controller = site.controller("ctl1.contoso.test", Arc::new(Memory::new())).await;
    site.publish(&controller, &site.topology("10.0.0.2")).await.expect("it is good");
    let mut machines = Vec::new();
    for fqdn in EDGES.into_iter().chain([GATEWAY]) {
        machines.push(site.enrol(&controller, fqdn).await);
    }
    controller.sees_all(&[EDGES[0], EDGES[1], EDGES[2], GATEWAY]).await;
    (site, controller, machines)
}

fn order(action: &str) -> Service {
    let (action, why) = (action.to_owned(), "a new kernel".to_owned());
    Service { action, pool: None, server: None, deadline: None, why, force: false }
}

fn of_pool(action: &str, pool: &str) -> Service {
    Service { pool: Some(pool.to_owned()), ..order(action) }
}

fn of_server(action: &str, server: &str) -> Service {
    Service { server: Some(server.to_owned()), ..order(action) }
}

#[tokio::test]
async fn services_are_stopped_and_started_and_it_is_seen_and_written_down() {
    let (site, controller, machines) = installation().await;
    let client = site.client(&controller, Role::Operator);
    let stop = Service { deadline: Some(20), ..of_server("stop", EDGES[1]) };
    let done: Vec<ServiceDone> = client.post("/v1/service", &stop).await.expect("done");
    let expected = ServiceDone { server: EDGES[1].to_owned(), what: "it is stopped".to_owned(), done: true };
    assert_eq!(done, [expected]);
    assert_eq!(machines[1].script.with(|script| script.orders.clone()), [(ServiceAction::Stop, Some(20))]);
    // At once the other is the last one on the route.
    let last = problem(client.post::<Vec<ServiceDone>>("/v1/service", &of_server("stop", EDGES[0])).await);
    assert!(last.title.contains("federation would stop") && last.fix.contains("--force"), "{last:?}");
    let last = problem(client.post::<Vec<ServiceDone>>("/v1/service", &of_pool("drain", POOLS[0])).await);
    assert!(last.title.contains("pool1.contoso.test carries the route"), "{last:?}");
    assert_eq!(machines[0].script.with(|script| script.orders.len()), 0, "nothing was done");
    let stopped = |overview: &_| member(overview, EDGES[1]).service.as_deref() == Some("stopped");
    let overview = controller.sees("it is stopped", stopped).await;
    let wrong: Vec<&str> = overview.wrong.iter().map(|wrong| wrong.what.as_str()).collect();
    assert!(wrong[0].contains("`fedge service start --server edge2.contoso.test`"), "{wrong:?}");

    let done: Vec<ServiceDone> = client.post("/v1/service", &of_pool("start", POOLS[0])).await.expect("done");
    assert!(done.len() == 2 && done.iter().all(|done| done.done && done.what == "it is running"), "{done:?}");
    let running = |overview: &_| member(overview, EDGES[1]).service.as_deref() == Some("running");
    controller.sees("it runs", running).await;

    let trail = controller.ledger.audit(1, 100).await.expect("it answers");
    let trail: Vec<_> = trail.iter().filter(|entry| entry.what.starts_with("service")).collect();
    let what: Vec<&str> = trail.iter().map(|entry| entry.what.as_str()).collect();
    assert_eq!(what, ["service stop", "service stop ended", "service start", "service start ended"]);
    assert_eq!((trail[0].who.as_str(), trail[0].why.as_str()), ("the operator", "a new kernel"));
    assert_eq!(trail[0].before, "edge2.contoso.test running");
    assert_eq!(trail[0].after, "edge2.contoso.test, within 20 s");
    assert_eq!(trail[1].after, "edge2.contoso.test: it is stopped");
}

#[tokio::test]
async fn each_server_s_own_failure_is_told_and_keeps_no_other_from_it() {
    let (site, controller, mut machines) = installation().await;
    let client = site.client(&controller, Role::Operator);
    machines[0].script.with(|script| script.refuses = Some("its disk is full".to_owned()));
    drop(machines.remove(1));
    controller.sees("it is gone", |overview| member(overview, EDGES[1]).state == "unreachable").await;
    let stop = Service { force: true, ..of_pool("stop", POOLS[0]) };
    let done: Vec<ServiceDone> = client.post("/v1/service", &stop).await.expect("an answer");
    assert_eq!(done.iter().map(|done| done.done).collect::<Vec<_>>(), [false, false]);
    assert_eq!(done[0].what, "edge1.contoso.test refuses: its disk is full");
    assert!(done[1].what.contains("edge2.contoso.test doesn't answer"), "{done:?}");
    assert_eq!(machines[0].script.with(|script| script.service.state), ServiceState::Running);
}

#[tokio::test]
async fn whoever_leaves_meanwhile_has_it_finished_and_written_down() {
    let (site, controller, machines) = installation().await;
    let client = site.client(&controller, Role::Operator);
    machines[2].script.with(|script| script.silent = true);
    let stop = of_pool("stop", POOLS[1]);
    let asked = client.post_within::<Vec<ServiceDone>>("/v1/service", &stop, std::time::Duration::from_secs(1)).await;
    assert!(asked.expect_err("nobody answers").to_string().contains("it took too long"));
    // The daemon ends, and with it the last that could say how it went.
    drop(machines);
    let ended = crate::rig::eventually("its end is written down", async || {
        let trail = controller.ledger.audit(1, 100).await.expect("it answers");
        trail.into_iter().find(|entry| entry.what == "service stop ended")
    });
    assert!(ended.await.after.starts_with("edge3.contoso.test: edge3.contoso.test: "));
}

#[tokio::test]
async fn nobody_commands_without_the_role_or_what_makes_no_sense() {
    let (site, controller, machines) = installation().await;
    let viewer = site.client(&controller, Role::Viewer);
    let denied = problem(viewer.post::<Vec<ServiceDone>>("/v1/service", &of_server("stop", EDGES[0])).await);
    assert_eq!(denied.code, "role");
    let operator = site.client(&controller, Role::Operator);
    let both = Service { pool: Some(POOLS[0].to_owned()), ..of_server("stop", EDGES[0]) };
    for (asked, words) in [
        (order("stop"), "one of pool and server is needed"),
        (both, "one of pool and server is needed"),
        (of_server("explode", EDGES[0]), "`explode` is no action"),
        (of_server("stop", GATEWAY), "is a gateway, and only edge servers have"),
        (of_server("stop", "edge9.contoso.test"), "there is no member edge9"),
        (of_pool("start", EDGES[0]), "there is no pool edge1"),
        (Service { deadline: Some(0), ..of_server("stop", EDGES[0]) }, "a drain of 0 s"),
        (Service { deadline: Some(3601), ..of_server("stop", EDGES[0]) }, "a drain of 3601 s"),
    ] {
        let problem = problem(operator.post::<Vec<ServiceDone>>("/v1/service", &asked).await);
        assert!(problem.title.contains(words), "{problem:?}");
    }
    assert!(machines.iter().all(|machine| machine.script.with(|script| script.orders.is_empty())));
}

#[tokio::test]
async fn of_two_who_stop_the_last_two_in_the_same_moment_one_is_refused() {
    let site = Site::new().await;
    let memory = Memory::new();
    let one = site.controller("ctl1.contoso.test", Arc::new(memory.clone())).await;
    let two = site.controller("ctl2.contoso.test", Arc::new(memory)).await;
    site.publish(&one, &site.topology("10.0.0.2")).await.expect("it is good");
    let machines = [site.enrol(&one, EDGES[0]).await, site.enrol(&one, EDGES[1]).await];
    one.sees_all(&EDGES[..2]).await;
    two.sees_all(&EDGES[..2]).await;
    let (anna, bert) = (site.client(&one, Role::Operator), site.client(&two, Role::Operator));
    let (first, second) = (of_server("stop", EDGES[0]), of_server("stop", EDGES[1]));
    for round in 0..5 {
        let both = tokio::join!(
            anna.post::<Vec<ServiceDone>>("/v1/service", &first),
            bert.post::<Vec<ServiceDone>>("/v1/service", &second)
        );
        let running = |machine: &Machine| machine.script.with(|script| script.service.state) == ServiceState::Running;
        assert!(machines.iter().any(running), "round {round}: {both:?}");
        let start = of_pool("start", POOLS[0]);
        anna.post::<Vec<ServiceDone>>("/v1/service", &start).await.expect("they start");
    }
}
