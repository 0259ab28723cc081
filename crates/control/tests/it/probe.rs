//! Probes over the API: by whom they are done, for whom, and what is told of who can't.

use std::net::SocketAddr;

use api::probe::{ProbedBy, Request, Verdict, Wanted};
use control::access::Role;
use control::probe::probe;

use crate::rig::{EDGES, GATEWAY, Machine, POOLS, problem};
use crate::service::installation;

fn wanted(via: Option<&str>) -> Wanted {
    let via = via.map(str::to_owned);
    Wanted { domain: "fabrikam.test".to_owned(), via, local: None, at: None, direct_tls: false, seconds: None }
}

fn asked(machine: &Machine) -> Vec<Request> {
    machine.script.with(|script| std::mem::take(&mut script.probes))
}

#[tokio::test]
async fn the_routed_pool_probes_unless_somebody_is_named_and_each_for_itself() {
    let (site, controller, mut machines) = installation().await;
    let client = site.client(&controller, Role::Operator);
    machines[1].script.with(|script| script.verdict = Verdict::Bad);
    let all: Vec<ProbedBy> = client.post("/v1/probe", &wanted(None)).await.expect("an answer");
    let told = |all: &[ProbedBy]| -> Vec<(String, Option<Verdict>)> {
        all.iter().map(|by| (by.server.clone(), by.probed.as_ref().map(|probed| probed.verdict))).collect()
    };
    let (one, two) = (EDGES[0].to_owned(), EDGES[1].to_owned());
    assert_eq!(told(&all), [(one.clone(), Some(Verdict::Good)), (two.clone(), Some(Verdict::Bad))]);
    assert_eq!(asked(&machines[0]), [Request::to("fabrikam.test")]);
    assert_eq!((asked(&machines[1]).len(), asked(&machines[2]).len(), asked(&machines[3]).len()), (1, 0, 0));

    // All that is asked for reaches who is named.
    let at: SocketAddr = "192.0.2.1:5269".parse().expect("an address");
    let more = Wanted {
        local: Some("contoso.test".to_owned()),
        at: Some(at),
        direct_tls: true,
        seconds: Some(7),
        ..wanted(None)
    };
    for (via, index) in [(POOLS[1], 2), (EDGES[2], 2), (GATEWAY, 3)] {
        let wanted = Wanted { via: Some(via.to_owned()), ..more.clone() };
        let all: Vec<ProbedBy> = client.post("/v1/probe", &wanted).await.expect("an answer");
        assert_eq!(all.len(), 1, "{via}: {all:?}");
        let from = Some("contoso.test".to_owned());
        let expected = Request { from, direct_tls: true, seconds: Some(7), ..Request::at("fabrikam.test", at) };
        assert_eq!(asked(&machines[index]), [expected], "{via}");
    }

    // One refuses, the other is gone; each is told.
    machines[0].script.with(|script| script.refuses = Some("4 probes are under way".to_owned()));
    drop(machines.remove(1));
    let all: Vec<ProbedBy> = client.post("/v1/probe", &wanted(None)).await.expect("an answer");
    assert_eq!(told(&all), [(one, None), (two, None)]);
    let why: Vec<&str> = all.iter().filter_map(|by| by.why.as_deref()).collect();
    assert!(why[0].contains("4 probes are under way") && why[1].contains("doesn't answer"), "{why:?}");
    // It changed nothing, so that there is nothing to be found in the trail.
    let trail = controller.ledger.audit(1, 100).await.expect("it answers");
    assert!(trail.iter().all(|entry| !entry.what.contains("probe")), "{trail:?}");
}

#[tokio::test]
async fn nobody_probes_without_the_role_or_what_makes_no_sense() {
    let (site, controller, machines) = installation().await;
    let denied = site.client(&controller, Role::Viewer).post::<Vec<ProbedBy>>("/v1/probe", &wanted(None)).await;
    assert_eq!(problem(denied).code, "role");
    let client = site.client(&controller, Role::Operator);
    for (wanted, words) in [
        (wanted(Some("edge9.contoso.test")), "no pool, edge server, gateway or witness edge9.contoso.test"),
        (Wanted { seconds: Some(0), ..wanted(None) }, "a probe of 0 s"),
        (Wanted { seconds: Some(61), ..wanted(None) }, "a probe of 61 s"),
    ] {
        let problem = problem(client.post::<Vec<ProbedBy>>("/v1/probe", &wanted).await);
        assert!(problem.title.contains(words) && !problem.fix.is_empty(), "{problem:?}");
    }
    assert!(machines.iter().all(|machine| asked(machine).is_empty()));
}

#[tokio::test]
async fn a_member_that_never_answers_is_waited_for_no_longer_than_its_probe_may_take() {
    let (_site, controller, machines) = installation().await;
    machines[2].script.with(|script| script.silent = true);
    let current = controller.members.picture().current.expect("a topology");
    let member = current.topology.members().find(|member| member.fqdn.as_str() == EDGES[2]).expect("a member");
    let request = Request { seconds: Some(1), ..Request::to("fabrikam.test") };
    let late = probe(&controller.members, member, request).await.expect_err("it is silent");
    assert!(late.to_string().contains("nothing came for 11 s"), "{late}");
    let good = current.topology.members().find(|member| member.fqdn.as_str() == EDGES[0]).expect("a member");
    let probed = probe(&controller.members, good, Request::to("fabrikam.test")).await.expect("an answer");
    assert_eq!(probed.verdict, Verdict::Good);
}
