//! The runbook's cmdlets in its order, typed into `fedge shell`, with people who talk: a pool that works hands over to one whose
//! services were stopped, and one that is dead is failed over as by `fedge route failover`.

use std::time::Duration;

use serde_json::Value;
use testkit::client::Client;
use testkit::lab::installation::{GATEWAYS, Installation, POOLS, fqdn};
use testkit::lab::{CONTOSO, FABRIKAM};

use crate::load::{PATIENCE, amid, installation};

/// Whoever types takes his time.
const LATE: Duration = Duration::from_secs(17);

/// Steps 2, 3 and 7 for a pool, by the name of one of its edge servers; `more` stands at the end of Set-CsSite.
fn runbook(pool: usize, more: &str) -> String {
    let (name, [edge, _]) = POOLS[pool];
    let (name, edge, site) = (fqdn(name), fqdn(edge), pool + 1);
    format!(
        "Stop-CsWindowsService -ComputerName {name}\n\
         Set-CsSite Site{site} -XmppExternalFederationRoute {edge}{more}\n\
         Start-CsWindowsService -ComputerName {name}\n"
    )
}

/// Types a script; gives what was said while it ran.
fn types(lab: &Installation, script: &str) -> String {
    let output = lab.try_fedge(&["shell", "-c", script]).expect("it runs");
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{script}{told}");
    println!("{script}{told}");
    told
}

/// What became of the last move: all that is the same whoever asked for it, and wherever it went.
fn last(lab: &Installation) -> Value {
    let told = lab.fedge(&["route", "history", "--json"]).expect("the history");
    let operations: Value = serde_json::from_str(&told).expect("JSON");
    let last = &operations[0];
    let mut states: Vec<&Value> =
        last["journal"].as_array().expect("a journal").iter().map(|line| &line["state"]).collect();
    states.dedup();
    serde_json::json!({"kind": last["kind"], "state": last["state"], "accepted": last["accepted"], "states": states})
}

/// Everybody goes by this pool, and nobody by another one.
fn is_route(lab: &Installation, pool: usize) {
    let (name, _) = POOLS[pool];
    let sites = lab.fedge(&["--json", "shell", "-c", "Get-CsSite"]).expect("the sites");
    let sites: Value = serde_json::from_str(&sites).expect("JSON");
    let route = format!("EdgeServer:{}", fqdn(name));
    assert!(sites.as_array().expect("an array").iter().all(|site| site["XmppFederationRoute"] == route), "{sites}");
    for gateway in GATEWAYS {
        let told = lab.ask(gateway, &["status"]).expect("it answers");
        assert!(told.contains(&format!("the route is on {}", fqdn(name))), "{told}");
    }
}

#[test]
fn a_pool_that_works_hands_over_to_one_whose_services_were_stopped_and_nobody_notices() {
    let (lab, _folder) = installation();
    let lab = amid("the runbook is typed", lab, |lab| {
        let script = runbook(1, "");
        let (first, last) = script.split_at(script.find("Start-").expect("the last step"));
        let waits = lab.try_fedge(&["shell", "-c", first]).expect("it runs");
        assert_eq!(waits.status.code(), Some(5), "{waits:?}");
        // Longer than the pool would have for being seen to serve.
        std::thread::sleep(LATE);
        let told = String::from_utf8_lossy(&waits.stderr).into_owned() + &types(&lab, last);
        assert!(told.contains("WARNING: an administrator has stopped the federation services"), "{told}");
        assert!(told.contains("goes on: the switchover to pool2.contoso.test"), "{told}");
        is_route(&lab, 1);
        let replicas =
            lab.fedge(&["--json", "shell", "-c", "Get-CsManagementStoreReplicationStatus"]).expect("replicas");
        let replicas: Value = serde_json::from_str(&replicas).expect("JSON");
        assert!(replicas.as_array().expect("an array").iter().all(|replica| replica["UpToDate"] == true), "{replicas}");
        lab
    });
    lab.stop().expect("everything ends well");
}

/// A message each way, which arrive.
async fn talk(alice: &Client, bob: &Client, id: &str) {
    for (from, to) in [(alice, bob), (bob, alice)] {
        from.message(to.jid(), id, id);
        to.message_with_id(id, PATIENCE).await.unwrap_or_else(|error| panic!("{id} at {}: {error:#}", to.jid()));
    }
}

#[test]
fn a_dead_pool_is_failed_over_as_by_fedge_route_failover() {
    let (mut lab, _folder) = installation();
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let (alice, bob) = runtime.block_on(async {
        let alice = lab.login(&format!("alice@{CONTOSO}")).await.expect("a login");
        let bob = lab.login(&format!("bob@{FABRIKAM}")).await.expect("a login");
        talk(&alice, &bob, "before").await;
        (alice, bob)
    });
    let (first, second) = (POOLS[0].1, POOLS[1].1);
    first.iter().for_each(|edge| lab.kill(edge));
    // Nobody has accepted anything, and nobody can be asked.
    let refused = lab.try_fedge(&["shell", "-c", &runbook(1, "")]).expect("it runs");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && told.contains("old-reached: not reached"), "{told}");
    let told = types(&lab, &runbook(1, " -Force"));
    assert!(told.contains("so this is a failover"), "{told}");
    is_route(&lab, 1);
    runtime.block_on(talk(&alice, &bob, "after the runbook"));
    let by_cmdlets = last(&lab);

    first.iter().for_each(|edge| lab.begin(edge).expect("it starts"));
    lab.wait_until_well().expect("all are there");
    second.iter().for_each(|edge| lab.kill(edge));
    let home = fqdn(POOLS[0].0);
    let told = lab.fedge(&["route", "failover", "--to", &home, "--accept", "old-reached"]).expect("it is done");
    println!("{told}");
    is_route(&lab, 0);
    runtime.block_on(talk(&alice, &bob, "after the failover"));
    let by_command = last(&lab);
    assert_eq!(by_cmdlets, by_command);
    second.iter().for_each(|edge| lab.begin(edge).expect("it starts"));
    lab.wait_until_well().expect("all are there");
    lab.stop().expect("everything ends well");
}
