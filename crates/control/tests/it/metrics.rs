//! What a controller tells Prometheus.

use std::sync::Arc;

use api::client::ClientError;
use api::control::AuditVerified;
use api::local;
use control::access::Role;
use daemon::metrics::ALL;
use store::Memory;
use testkit::scrape::scrape;

use crate::rig::{EDGES, GATEWAY, Site};

#[tokio::test]
async fn members_snapshots_answers_and_entries_are_counted() {
    let site = Site::new().await;
    let controller = site.controller("ctl1.contoso.test", Arc::new(Memory::new())).await;
    site.publish(&controller, &site.topology("10.0.0.2")).await.expect("it is good");
    let machine = site.enrol(&controller, EDGES[0]).await;
    let _gateway = site.enrol(&controller, GATEWAY).await;
    let own = local::Certificate { used_for: "external".into(), name: "a.pem".into(), not_after: u64::MAX / 4 };
    // Twice the same: no page has a series twice.
    machine.script.with(|script| script.certificates = vec![own.clone(), own]);
    site.publish(&controller, &site.topology("10.0.0.3")).await.expect("it is good");
    controller.sees_all(&[EDGES[0], GATEWAY]).await;
    let viewer = site.client(&controller, Role::Viewer);
    for _ in 0..2 {
        let missing = viewer.get::<AuditVerified>("/v1/nothing").await;
        assert!(matches!(missing, Err(ClientError::Problem(_))), "{missing:?}");
    }

    let page = scrape(controller.metrics).await.expect("a page");
    let known: Vec<String> = ALL.iter().map(|metric| metric.full_name()).collect();
    assert!(page.names().all(|name| known.iter().any(|known| known == name)), "{:?}", page.names().collect::<Vec<_>>());
    let of = |name: &str, labels: &str| page.one(name, labels).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(of("fedge_control_members", "role=\"edge\",state=\"reached\""), 1);
    assert_eq!(of("fedge_control_members", "role=\"edge\",state=\"not enrolled\""), 2);
    assert_eq!(of("fedge_control_members", "role=\"gateway\",state=\"unreachable\""), 0);
    assert_eq!((of("fedge_control_topology_version", ""), of("fedge_control_route_epoch", "")), (2, 1));
    // The first came with the enrolment.
    assert_eq!(of("fedge_control_snapshots_applied_total", ""), 2);
    assert_eq!(of("fedge_control_snapshots_refused_total", ""), 0);
    assert_eq!((of("fedge_control_store_blind_seconds", ""), of("fedge_control_store_errors_total", "")), (0, 0));
    assert_eq!(of("fedge_control_requests_total", "status=\"404\""), 2);
    assert_eq!(of("fedge_control_requests_total", "status=\"200\""), 4);
    // Founded, published twice, enrolled twice.
    assert_eq!(of("fedge_control_audit_entries_total", ""), 5);
    let own = format!("member=\"{0}\",use=\"control\",certificate=\"{0}\"", EDGES[0]);
    let days = of("fedge_control_certificate_left_seconds", &own) / (24 * 3600);
    assert!((88..=90).contains(&days), "{days}");
    assert!(of("fedge_concerns", "") >= 2, "two aren't enrolled");
}
