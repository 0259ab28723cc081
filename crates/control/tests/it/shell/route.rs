//! Set-CsSite: the route moved by a switchover or a failover, whichever it is, and the runbook in its order.

use api::local::{ServiceAction, ServiceState};

use super::{Administrator, Told};
use crate::rig::{EDGES, GATEWAY, POOLS, member};

const MOVE: &str = "Set-CsSite Site2 -XmppExternalFederationRoute EDGE3.contoso.test";
const BACK: &str = "Set-CsSite Site1 -XmppFederationRoute EdgeServer:pool1.contoso.test";

impl Administrator {
    /// Which pool carries the route, and its epoch.
    async fn route(&self) -> (String, u64) {
        let route: api::route::Route =
            self.site.administrator(&self.controller).get("/v1/route").await.expect("it answers");
        (route.pool, route.epoch)
    }

    async fn operations(&self) -> Vec<api::route::Operation> {
        self.site.administrator(&self.controller).get("/v1/operations").await.expect("it answers")
    }

    /// The second pool has the route, and dies. Those of the first can look at one another from outside.
    async fn lose_second_pool(&mut self) {
        let moved = self.does(MOVE).await;
        assert_eq!(moved.status, 0, "{moved:?}");
        drop(self.machines.remove(2));
        self.controller.sees("it is dead", |overview| member(overview, EDGES[2]).state == "unreachable").await;
    }
}

fn object(told: &Told) -> Vec<(&str, &str)> {
    told.out.lines().filter_map(|line| line.split_once(':')).map(|(name, value)| (name.trim(), value.trim())).collect()
}

#[tokio::test]
async fn a_member_s_name_means_its_pool_and_a_healthy_old_pool_a_switchover() {
    let anna = Administrator::new().await;
    let what_if = anna.does(&format!("{MOVE} -WhatIf -Verbose")).await;
    assert_eq!(what_if.status, 0, "{what_if:?}");
    assert!(what_if.error.contains("VERBOSE: target-serves: 1 of 1 edge servers"), "{what_if:?}");
    let expected = "What if: Performing the operation \"Set-CsSite\" on target \"Site2\": a switchover from \
                    pool1.contoso.test to pool2.contoso.test.";
    assert!(what_if.out.starts_with(expected) && what_if.out.contains("commit"), "{what_if:?}");
    assert_eq!(anna.route().await, (POOLS[0].to_owned(), 1), "nothing was changed");
    let asks = anna.does(&format!("{MOVE} -Confirm")).await;
    assert!(asks.status == 2 && asks.error.contains("nobody can answer"), "{asks:?}");

    let moved = anna.does(MOVE).await;
    assert_eq!(moved.status, 0, "{moved:?}");
    let expected = [
        ("Site", "Site2"),
        ("XmppFederationRoute", "EdgeServer:pool2.contoso.test"),
        ("Epoch", "2"),
        ("Operation", "1"),
        ("State", "done"),
    ];
    assert_eq!(object(&moved), expected);
    for line in
        ["operation 1: the switchover", "s ready ", "s committed ", "s done ", "+ _xmpp-server._tcp.contoso.test. "]
    {
        assert!(moved.error.contains(line), "{line}: {}", moved.error);
    }
    assert_eq!(anna.route().await, (POOLS[1].to_owned(), 2));
    assert_eq!(anna.operations().await[0].why, MOVE);

    let again = anna.does("set-cssite site:site2 -XmppF EdgeServer:pool2.contoso.test | fl State").await;
    assert_eq!((again.status, again.out.as_str()), (0, "State : unchanged\n"), "{again:?}");
    assert!(again.error.contains("carries the federation route already"), "{again:?}");
    assert_eq!(anna.operations().await.len(), 1);
}

#[tokio::test]
async fn a_dead_old_pool_makes_it_a_failover_which_somebody_has_to_accept() {
    let mut anna = Administrator::new().await;
    anna.lose_second_pool().await;
    let refused = anna.does(BACK).await;
    assert_eq!((refused.status, refused.out.as_str()), (2, ""), "{refused:?}");
    assert!(refused.error.contains("so this is a failover"), "{refused:?}");
    assert!(refused.error.contains("\nold-reached: not reached") && refused.error.contains("-Force"), "{refused:?}");
    assert_eq!(anna.route().await, (POOLS[1].to_owned(), 2), "nothing was changed");

    let moved = anna.does(&format!("{BACK} -Force")).await;
    assert_eq!(moved.status, 0, "{moved:?}");
    assert!(moved.error.contains("WARNING: old-reached is accepted not to hold"), "{moved:?}");
    assert_eq!(anna.route().await, (POOLS[0].to_owned(), 3));
    let operations = anna.operations().await;
    assert_eq!(operations[0].kind, api::route::Kind::Failover);
    assert_eq!(operations[0].accepted, ["old-reached"]);
}

#[tokio::test]
async fn the_runbook_in_its_order_moves_the_route_to_a_pool_whose_services_are_stopped() {
    let mut anna = Administrator::new().await;
    anna.lose_second_pool().await;
    let stopped = anna.does("Stop-CsWindowsService -ComputerName pool1.contoso.test").await;
    assert_eq!(stopped.status, 0, "{stopped:?}");
    let moved = anna.does(&format!("{BACK} -Force")).await;
    assert_eq!(moved.status, 5, "{moved:?}");
    assert!(moved.error.contains("WARNING: an administrator has stopped the federation services"), "{moved:?}");
    assert!(object(&moved).contains(&("State", "verifying")), "{moved:?}");
    assert_eq!(anna.route().await, (POOLS[0].to_owned(), 3), "it is committed");
    let started = anna.does("Start-CsWindowsService -ComputerName pool1.contoso.test").await;
    assert_eq!(started.status, 0, "{started:?}");
    assert!(started.error.contains("operation 2 goes on: the failover to pool1"), "{started:?}");
    assert!(started.error.contains("operation 2 is done"), "{started:?}");
    assert_eq!(anna.machines[0].script.with(|script| script.service.state), ServiceState::Running);
}

#[tokio::test]
async fn the_runbook_as_a_script_ends_with_the_status_of_what_came_of_the_move() {
    let anna = Administrator::new().await;
    let script = format!(
        "# Steps 2, 3 and 7.\nStop-CsWindowsService -ComputerName pool2.contoso.test | Out\n{MOVE}\n\
         Start-CsWindowsService -ComputerName pool2.contoso.test\n"
    );
    let wrong = anna.script(&script).await;
    assert!(wrong.status == 64 && wrong.error.starts_with("line 2, column "), "{wrong:?}");
    assert!(anna.orders(2).is_empty());
    let done = anna.script(&script.replace(" | Out", " | ft ComputerName,Status")).await;
    assert_eq!(done.status, 0, "{done:?}");
    assert_eq!(
        anna.orders(2).iter().map(|(action, _)| *action).collect::<Vec<_>>(),
        [ServiceAction::Stop, ServiceAction::Start]
    );
    assert_eq!(anna.orders(0), [(ServiceAction::Drain, None)], "the old pool finishes what it has");
    // Without its last step it isn't over.
    let waits = anna.script(&format!("Stop-CsWindowsService -ComputerName pool1.contoso.test; {BACK}")).await;
    assert_eq!(waits.status, 5, "{waits:?}");
    assert_eq!(anna.route().await, (POOLS[0].to_owned(), 3));
}

#[tokio::test]
async fn what_refuses_a_move_is_said_and_what_can_not_be_asked_too() {
    let anna = Administrator::new().await;
    for (typed, status, said) in [
        ("Set-CsSite Site3 -XmppFederationRoute pool2.contoso.test", 2, "there are Site1, Site2"),
        ("Set-CsSite Site2 -XmppFederationRoute pool3.contoso.test", 2, "pools pool1.contoso.test, pool2.contoso.test"),
        ("Set-CsSite Site2 -XmppFederationRoute EdgeServer:edge2", 64, "fully qualified"),
        ("Set-CsSite Site2 -XmppFederationRoute gateway1.contoso.test", 2, "no pool or edge server"),
    ] {
        let told = anna.does(typed).await;
        assert!(told.status == status && told.error.contains(said) && told.out.is_empty(), "{typed}: {told:?}");
    }
    let gateway = anna.machines.last().expect("it is the last");
    gateway.script.with(|script| script.trunks.clear());
    anna.controller.sees("it runs", |overview| member(overview, GATEWAY).state == "reached").await;
    // Also with -Force: there are conditions that nothing waives.
    let refused = anna.does(&format!("{MOVE} -Force")).await;
    assert_eq!(refused.status, 2, "{refused:?}");
    assert!(refused.error.contains("\ngateways-reach: no gateway has a trunk"), "{refused:?}");
    assert!(!refused.error.contains("so this is a failover"), "{refused:?}");
    let what_if = anna.does(&format!("{MOVE} -WhatIf")).await;
    assert!(what_if.status == 2 && what_if.out.contains("gateways-reach"), "{what_if:?}");
    assert_eq!(anna.route().await, (POOLS[0].to_owned(), 1));

    anna.machines.last().expect("it is the last").script.with(|script| script.trunks = EDGES.to_vec());
    let left = anna.does(&format!("{MOVE} -NoWait | fl Operation,State")).await;
    assert_eq!((left.status, left.out.as_str()), (5, "Operation : 1\nState     : begun\n"), "{left:?}");
    crate::rig::eventually("it is done without anybody who waits", async || {
        anna.operations().await[0].state.is_over().then_some(())
    })
    .await;
    assert_eq!(anna.route().await, (POOLS[1].to_owned(), 2));
}
