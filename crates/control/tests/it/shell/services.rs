//! Services, sites and replication, and how scripts are read.

use api::local::{ServiceAction, ServiceState};

use super::Administrator;
use crate::rig::{EDGES, GATEWAY, POOLS, member};

const STOP: ServiceAction = ServiceAction::Stop;
const START: ServiceAction = ServiceAction::Start;

#[tokio::test]
async fn services_are_stopped_and_started_by_the_runbook_s_names() {
    let anna = Administrator::new().await;
    let stopped = anna.does("Stop-CsWindowsService -ComputerName POOL2.contoso.test -Name RtcSrv").await;
    assert_eq!(stopped.status, 0, "{stopped:?}");
    let expected = "ComputerName       Status  Name       Result\n------------       ------  ----       ------\n\
                    edge3.contoso.test Stopped fedge-edge it is stopped\n";
    assert_eq!(stopped.out, expected);
    assert_eq!(anna.orders(2), [(STOP, Some(30))]);
    anna.sees_service(2, "stopped").await;
    let services = anna.gives("Get-CsWindowsService -ComputerName *").await;
    let states: Vec<_> = services.iter().map(|service| (&service["ComputerName"], &service["Status"])).collect();
    assert_eq!(states[2], (&EDGES[2].into(), &"Stopped".into()));
    assert_eq!(states[0], (&EDGES[0].into(), &"Running".into()));
    assert_eq!(services[0]["CarriesRoute"], true);

    let started = anna.does("start-cswindowsservice \u{2013}comp edge3.contoso.test | fl ComputerName,Status").await;
    assert_eq!(started.status, 0, "{started:?}");
    assert_eq!(started.out, "ComputerName : edge3.contoso.test\nStatus       : Running\n");
    assert_eq!(anna.orders(2), [(START, None)]);

    let graceful = anna.does("Stop-CsWindowsService -Comp edge2.contoso.test,pool2.contoso.test -Graceful").await;
    assert_eq!(graceful.status, 0, "{graceful:?}");
    assert_eq!((anna.orders(1), anna.orders(2)), (vec![(STOP, Some(3600))], vec![(STOP, Some(3600))]));
    let trail = anna.controller.ledger.audit(1, 100).await.expect("it answers");
    let entry = trail.iter().find(|entry| entry.what == "service stop").expect("it is written down");
    assert_eq!(entry.why, "Stop-CsWindowsService -ComputerName POOL2.contoso.test -Name RtcSrv");
}

#[tokio::test]
async fn federation_is_not_stopped_unless_somebody_says_so() {
    let anna = Administrator::new().await;
    let both = "Stop-CsWindowsService -ComputerName edge1.contoso.test,edge2.contoso.test";
    for typed in ["Stop-CsWindowsService -ComputerName pool1.contoso.test", both] {
        let refused = anna.does(typed).await;
        assert_eq!((refused.status, refused.out.as_str()), (2, ""), "{refused:?}");
        assert!(refused.error.contains("pool1.contoso.test carries the federation route"), "{refused:?}");
        assert!(refused.error.contains("Set-CsSite") && refused.error.contains("-Force"), "{refused:?}");
    }
    let asks = anna.does("Stop-CsWindowsService -ComputerName pool2.contoso.test -Confirm").await;
    assert!(asks.status == 2 && asks.error.contains("nobody can answer"), "{asks:?}");
    let what_if = anna.does("Stop-CsWindowsService -ComputerName pool1.contoso.test -WhatIf").await;
    assert_eq!(what_if.status, 0);
    let expected = "What if: Performing the operation \"Stop-CsWindowsService\" on target \"fedge-edge of pool \
                    pool1.contoso.test (edge1.contoso.test, edge2.contoso.test)\".\n";
    assert_eq!(what_if.out, expected);
    assert!((0..3).all(|edge| anna.orders(edge).is_empty()), "nothing was done");
    let forced = anna.does("Stop-CsWindowsService -ComputerName pool1.contoso.test -Force").await;
    assert_eq!(forced.status, 0, "{forced:?}");
    assert_eq!((anna.orders(0), anna.orders(1)), (vec![(STOP, Some(30))], vec![(STOP, Some(30))]));
}

#[tokio::test]
async fn a_name_that_means_nothing_is_answered_with_those_that_do() {
    let anna = Administrator::new().await;
    for (typed, status, said) in [
        ("Stop-CsWindowsService", 2, "-ComputerName"),
        ("Get-CsWindowsService", 2, EDGES[2]),
        ("Get-CsWindowsService -ComputerName edge9.contoso.test", 2, POOLS[1]),
        ("Stop-CsWindowsService -ComputerName *", 2, "name each"),
        ("Stop-CsWindowsService -ComputerName gateway1.contoso.test", 2, "no pool or edge server"),
        ("Stop-CsWindowsService W3SVC -ComputerName edge1.contoso.test", 64, "fedge-edge, RtcSrv"),
        ("Get-CsSite Site3", 2, "there are Site1, Site2"),
        ("Get-CsSite | Format-Table Nmae", 64, "there are Identity, "),
        ("Get-CsTopology -AsXml", 2, "fedge topology show"),
        ("Get-CsManagementStoreReplicationStatus -ReplicaFqdn edge9.contoso.test", 2, "`fedge status`"),
        ("Get-CsSite | Where-Object Identity", 64, "Format-List can"),
        ("Move-CsUser anna", 64, "Set-CsSite, "),
        ("Get-Help Move-CsUser", 64, "Set-CsSite, "),
        ("Start-CsWindowsService -Comp edge1.contoso.test -Report no/such/folder.txt", 2, "nothing was done"),
    ] {
        let told = anna.does(typed).await;
        assert!(told.status == status && told.error.contains(said) && told.out.is_empty(), "{typed}: {told:?}");
    }
    assert!((0..3).all(|edge| anna.orders(edge).is_empty()), "nothing was done");
}

#[tokio::test]
async fn sites_topology_and_replication_are_shown() {
    let mut anna = Administrator::new().await;
    let sites = anna.gives("Get-CsSite").await;
    assert_eq!(sites.len(), 2);
    assert_eq!(sites[1]["Identity"], "Site:Site2");
    assert_eq!(sites[1]["Pools"], serde_json::json!([POOLS[1]]));
    assert_eq!(sites[1]["XmppFederationRoute"], "EdgeServer:pool1.contoso.test");
    let route = anna.does("Get-CsSite site:site1 | fl XmppExternalFederationRoute, Epoch").await;
    assert_eq!(route.out, "XmppFederationRoute : EdgeServer:pool1.contoso.test\nEpoch               : 1\n");
    assert_eq!(anna.gives("Get-CsSite -Filter *2").await, sites[1..]);

    let topology = anna.gives("Get-CsTopology").await;
    assert_eq!((&topology[0]["Identity"], &topology[0]["Version"]), (&"Contoso".into(), &1.into()));
    assert_eq!(topology[0]["EdgeServers"], serde_json::json!(EDGES));
    assert_eq!(topology[0]["Gateways"], serde_json::json!([GATEWAY]));

    let all = anna.gives("Get-CsManagementStoreReplicationStatus").await;
    assert!(all.len() == 4 && all.iter().all(|replica| replica["UpToDate"] == true), "{all:?}");
    assert!(all.iter().all(|replica| replica["LastUpdateCreation"].is_string()), "{all:?}");
    assert_eq!(all[0]["ProductVersion"], "fedge-scripted 0.1.0");
    drop(anna.machines.pop());
    anna.controller.sees("it is gone", |overview| member(overview, GATEWAY).state == "unreachable").await;
    let typed = "Get-CsManagementStoreReplicationStatus -ReplicaFqdn gateway1.contoso.test | ft ReplicaFqdn,UpToDate";
    let gone = anna.does(typed).await;
    assert_eq!(
        gone.out,
        "ReplicaFqdn           UpToDate\n-----------           --------\ngateway1.contoso.test False\n"
    );
}

#[tokio::test]
async fn objects_have_the_properties_that_help_names() {
    let anna = Administrator::new().await;
    for typed in [
        "Get-CsSite",
        "Get-CsTopology",
        "Get-CsManagementStoreReplicationStatus",
        "Get-CsWindowsService -ComputerName *",
        "Get-CsWindowsService -ComputerName * -ExcludeActivityLevel",
        "Stop-CsWindowsService -ComputerName pool2.contoso.test",
        "Start-CsWindowsService -ComputerName pool2.contoso.test",
        "Set-CsSite Site1 -XmppFederationRoute pool1.contoso.test",
    ] {
        let name = typed.split(' ').next().expect("a name");
        let help = anna.does(&format!("Get-Help {name} -Full")).await.out;
        let outputs = help.split_once("OUTPUTS\n").expect("it has some").1.split("\n\n").next().expect("a paragraph");
        let mut named: Vec<&str> = outputs.split([',', ' ', '\n']).filter(|word| !word.is_empty()).collect();
        let objects = anna.gives(typed).await;
        let mut given: Vec<&str> = objects[0].as_object().expect("one").keys().map(String::as_str).collect();
        named.sort_unstable();
        given.sort_unstable();
        assert_eq!(given, named, "{typed}");
    }
    let wrong = anna.does("Stop-CsWindowsService -ComputerName pool2.contoso.test | ft Nmae").await;
    assert!(wrong.status == 64 && wrong.error.contains("there are ComputerName, Status"), "{wrong:?}");
    let orders: Vec<ServiceAction> = anna.orders(2).into_iter().map(|(action, _)| action).collect();
    assert_eq!(orders, [STOP, START], "nothing was done for what isn't understood");
}

#[tokio::test]
async fn a_script_is_understood_before_it_begins_and_ends_at_the_first_error() {
    let anna = Administrator::new().await;
    let wrong = anna.script("Stop-CsWindowsService -Comp pool2.contoso.test\nGet-CsSite -Nmae x\n").await;
    assert_eq!(wrong.status, 64, "{wrong:?}");
    assert!(wrong.error.starts_with("line 2, column 12: Get-CsSite has no parameter -Nmae"), "{wrong:?}");
    assert_eq!(anna.orders(2), [], "nothing of it was done");

    let script = "\u{FEFF}# The standby's services.\r\nStop-CsWindowsService `\r\n  -Comp pool2.contoso.test | ft Status\r\n\
                  Get-CsSite Site9\r\nStart-CsWindowsService -Comp pool2.contoso.test\r\n";
    let ended = anna.script(script).await;
    assert_eq!((ended.status, ended.out.as_str()), (2, "Status\n------\nStopped\n"), "{ended:?}");
    assert!(ended.error.starts_with("Get-CsSite: there is no site `Site9`"), "{ended:?}");
    assert_eq!(anna.orders(2), [(STOP, Some(30))], "nothing was started after the error");

    let goes_on = anna.script("Get-CsSite Site9 -ea Continue; Get-CsSite Site1 | fl Identity; exit; Get-CsSite").await;
    assert_eq!((goes_on.status, goes_on.out.as_str()), (2, "Identity : Site:Site1\n"), "{goes_on:?}");
    let silent = anna.script("Get-CsSite Site9 -ErrorAction SilentlyContinue").await;
    assert_eq!((silent.status, silent.out.as_str(), silent.error.as_str()), (0, "", ""));
    assert_eq!(anna.script("").await.status, 0);
}

#[tokio::test]
async fn a_report_says_what_was_done_at_each_server_also_where_one_refused() {
    let anna = Administrator::new().await;
    anna.machines[0].script.with(|script| script.refuses = Some("its <disk> is full".to_owned()));
    let typed = "Stop-CsWindowsService -ComputerName pool1.contoso.test -Force -Report stop.HTML";
    let stopped = anna.does(typed).await;
    assert_eq!(stopped.status, 1, "{stopped:?}");
    assert!(stopped.out.contains("edge2.contoso.test Stopped"), "{stopped:?}");
    assert!(stopped.error.contains("edge1.contoso.test refuses: its <disk> is full"), "{stopped:?}");
    let report = std::fs::read_to_string(anna.site.file("stop.HTML")).expect("it was written");
    assert!(report.contains("its &lt;disk&gt; is full") && report.contains("<td>Stopped</td>"), "{report}");
    assert!(report.contains(typed), "{report}");
    let shown = anna.does("Get-CsWindowsService -ComputerName pool1.contoso.test -Report services.txt").await;
    let report = std::fs::read_to_string(anna.site.file("services.txt")).expect("it was written");
    assert!(report.ends_with(&shown.out) && report.starts_with("Get-CsWindowsService "), "{report}");
}

#[tokio::test]
async fn who_does_not_want_to_wait_leaves_and_it_goes_on() {
    let anna = Administrator::new().await;
    anna.machines[2].script.with(|script| script.silent = true);
    let left = anna.does("Stop-CsWindowsService -ComputerName pool2.contoso.test -NoWait | fl Status,Result").await;
    assert_eq!((left.status, left.out.as_str()), (0, "Status : StopPending\nResult : it goes on\n"), "{left:?}");
    let trail = anna.controller.ledger.audit(1, 100).await.expect("it answers");
    assert!(trail.iter().any(|entry| entry.what == "service stop"));
    assert!(!trail.iter().any(|entry| entry.what == "service stop ended"));
    assert_eq!(anna.machines[2].script.with(|script| script.service.state), ServiceState::Running);
}

#[tokio::test]
async fn on_an_edge_server_its_own_service_is_meant() {
    let anna = Administrator::new().await;
    for host in ["edge3", "EDGE3.contoso.test"] {
        let typed = "Stop-CsWindowsService; Start-CsWindowsService | ft ComputerName";
        let own = anna.fedge_at(host, &["shell", "-c", typed]).await;
        assert_eq!(own.status, 0, "{own:?}");
        assert!(own.out.ends_with("\nedge3.contoso.test\n"), "{own:?}");
        assert_eq!(anna.orders(2), [(STOP, Some(30)), (START, None)]);
    }
    let other = anna.fedge_at("edge9", &["shell", "-c", "Stop-CsWindowsService"]).await;
    assert!(other.status == 2 && other.error.contains("this host, `edge9`, is no edge server"), "{other:?}");
}
