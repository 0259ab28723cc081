//! Health over HTTP: for whoever asks, without a token; the status says yes or no.

use std::sync::Arc;

use api::client::Client;
use api::control::Serving;
use api::local::ServiceState;
use store::Memory;

use crate::rig::{Controller, EDGES, GATEWAY, POOLS, Site, eventually, problem};

/// Somebody whom nobody knows.
fn stranger(site: &Site, controller: &Controller) -> Client {
    std::fs::write(site.file("stranger"), "fedge_guessed").expect("written");
    let address = controller.address.to_string().parse().expect("a controller");
    Client::new(vec![address], &site.file("ca/agent-ca.crt"), &site.file("stranger")).expect("the files are good")
}

#[tokio::test]
async fn a_pool_and_an_address_are_routed_until_their_services_stop() {
    let site = Site::new().await;
    let controller = site.controller("ctl1.contoso.test", Arc::new(Memory::new())).await;
    let client = stranger(&site, &controller);
    let pool = |want: &str| format!("/v1/health/pools/{}{want}", POOLS[0]);
    let nothing = problem(client.get::<Serving>(&pool("")).await);
    assert!(nothing.title.contains("no topology"), "{nothing:?}");

    site.publish(&controller, &site.topology("10.0.0.2")).await.expect("it is good");
    let machine = site.enrol(&controller, EDGES[0]).await;
    let _gateway = site.enrol(&controller, GATEWAY).await;
    controller.sees_all(&[EDGES[0], GATEWAY]).await;
    let serving: Serving = client.get(&pool("?want=routed")).await.expect("one is enough");
    assert!(serving.live && serving.ready && serving.routed, "{serving:?}");
    assert!(serving.why[0].contains("edge2.contoso.test is not reached"), "{serving:?}");
    client.get::<Serving>("/v1/health/addresses/192.0.2.1?want=routed").await.expect("it is routed");

    machine.script.with(|script| script.service.state = ServiceState::Stopped);
    eventually("it is not ready", async || client.get::<Serving>(&pool("")).await.err()).await;
    let live: Serving = client.get(&pool("?want=live")).await.expect("its daemon is there");
    assert!(live.live && !live.ready && !live.routed, "{live:?}");
    drop(machine);
    eventually("it is gone", async || client.get::<Serving>(&pool("?want=live")).await.err()).await;

    let unknown = problem(client.get::<Serving>("/v1/health/addresses/192.0.2.99").await);
    assert!(unknown.title.contains("no member has the address 192.0.2.99"), "{unknown:?}");
    assert!(client.get::<Serving>("/v1/health/addresses/pool1").await.is_err());
    assert!(client.get::<Serving>(&pool("?want=alive")).await.is_err());
}
