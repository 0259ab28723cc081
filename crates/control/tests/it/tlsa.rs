//! TLSA records over the API: what edge servers show outside, seen by others, against what is declared.

use api::dns::{Check, Checked, PoolTlsa, TlsaWish};
use control::access::Role;
use testkit::lab_dns::LabDns;
use testkit::place::Place;
use topology::tlsa::Tlsa;

use crate::names::known;
use crate::rig::{EDGES, POOLS, problem};
use crate::service::installation;

fn record(byte: u8) -> Tlsa {
    Tlsa::new(3, 1, 1, &[byte; 32]).expect("a record")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_see_is_told_and_what_is_declared_has_to_fit_it() {
    let (site, controller, machines) = installation().await;
    let client = site.client(&controller, Role::Operator);
    let tlsa = async |pool: Option<&str>| -> Vec<PoolTlsa> {
        let wish = TlsaWish { pool: pool.map(str::to_owned) };
        client.post("/v1/dns/tlsa", &wish).await.expect("an answer")
    };
    // Members of an older version don't say what is shown.
    let all = tlsa(None).await;
    assert_eq!(all.iter().map(|pool| pool.pool.as_str()).collect::<Vec<_>>(), POOLS);
    let why = all[0].places[0].why.as_ref().expect("nothing is known");
    assert!(why.contains("does it run a version of fedge that can?"), "{why}");

    for machine in &machines {
        machine.script.with(|script| script.shows = vec![record(1), record(2)]);
    }
    let all = tlsa(Some("POOL1.contoso.test.")).await;
    let [pool] = &all[..] else { panic!("one pool: {all:?}") };
    let servers: Vec<(&str, usize)> =
        pool.places.iter().map(|place| (place.server.as_str(), place.shown.len())).collect();
    assert_eq!(servers, [(EDGES[0], 1), (EDGES[1], 1)]);
    assert_eq!(pool.places[0].by.as_deref(), Some(EDGES[2]), "of another pool");
    assert_eq!(pool.places[0].shown[0].records, [record(1), record(2)]);
    assert!(pool.declared.is_empty() && !pool.is_unfit());
    let unknown = TlsaWish { pool: Some("pool9.contoso.test".to_owned()) };
    assert_eq!(problem(client.post::<Vec<PoolTlsa>>("/v1/dns/tlsa", &unknown).await).code, "not-found");
    let viewer = site.client(&controller, Role::Viewer);
    assert_eq!(problem(viewer.post::<Vec<PoolTlsa>>("/v1/dns/tlsa", &unknown).await).code, "role");

    // What is declared for one pool fits, and for the other doesn't.
    let dns = LabDns::start(&Place::here(), "127.0.0.1:0".parse().expect("an address")).expect("it starts");
    let mut document = site.topology("10.0.0.2");
    for (pool, byte) in POOLS.iter().zip([2, 3]) {
        let entry = format!("[[pool]]\nfqdn = \"{pool}\"\n");
        assert!(document.contains(&entry), "{document}");
        document = document.replacen(&entry, &format!("{entry}tlsa = [\"{}\"]\n", record(byte)), 1);
    }
    let zone = "\n[[zone]]\nname = \"contoso.test\"\npublisher = \"manual\"\n";
    site.publish(&controller, &format!("{document}{zone}servers = [\"{}\"]\n", dns.address()))
        .await
        .expect("it is good");
    known(&controller, 2).await;
    controller.sees_all(&EDGES).await;
    let checked: Checked = client.post("/v1/dns/check", &Check::default()).await.expect("an answer");
    let unfit: Vec<&str> =
        checked.findings.iter().filter(|found| found.code == "tlsa-unfit").map(|found| found.seen.as_str()).collect();
    let [unfit] = unfit[..] else { panic!("one edge server: {checked:#?}") };
    assert!(unfit.starts_with(EDGES[2]) && unfit.contains(POOLS[1]), "{unfit}");
    assert!(checked.findings.iter().any(|found| found.code == "tlsa-unsigned"), "{checked:#?}");
    let all = tlsa(None).await;
    assert_eq!(all.iter().map(PoolTlsa::is_unfit).collect::<Vec<_>>(), [false, true]);
}
