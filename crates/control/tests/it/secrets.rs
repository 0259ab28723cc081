//! Dialback secrets changed while members are led: each step waits for all of them.

use std::sync::Arc;

use api::agent::content::{Content as _, Edge, Gateway};
use api::control::{Done, Secrets};
use control::access::Role;
use store::Memory;

use crate::rig::{Controller, EDGES, GATEWAY, Machine, Site, eventually, problem};

fn step(step: &str) -> Secrets {
    Secrets { step: step.to_owned(), why: "once a year".to_owned(), force: false }
}

/// The secrets by which a member goes.
fn secrets(machine: &Machine) -> Vec<String> {
    let content = machine.content().expect("it was led");
    let secrets = match Edge::read(&content) {
        Ok(edge) => edge.dialback_secrets,
        Err(_) => Gateway::read(&content).expect("one of both").dialback_secrets,
    };
    secrets.iter().map(|secret| secret.reveal().to_owned()).collect()
}

/// Takes a step once all members have the one before.
async fn taken(site: &Site, controller: &Controller, word: &str) {
    let client = site.administrator(controller);
    eventually(word, async || client.post::<Done>("/v1/secrets", &step(word)).await.ok()).await;
}

#[tokio::test]
async fn a_secret_is_known_everywhere_before_keys_are_made_of_it() {
    let site = Site::new().await;
    let controller = site.controller("ctl1.contoso.test", Arc::new(Memory::new())).await;
    site.publish(&controller, &site.topology("10.0.0.2")).await.expect("it is good");
    let edge = site.enrol(&controller, EDGES[0]).await;
    let gateway = site.enrol(&controller, GATEWAY).await;
    controller.sees_all(&[EDGES[0], GATEWAY]).await;
    let (outside, inside) = (secrets(&edge), secrets(&gateway));
    assert!(outside.len() == 1 && inside.len() == 1 && outside != inside);

    taken(&site, &controller, "add").await;
    let both = eventually("it is accepted", async || Some(secrets(&edge)).filter(|known| known.len() == 2)).await;
    assert_eq!(both[0], outside[0], "keys are still made of the old one");
    taken(&site, &controller, "use").await;
    let used = [both[1].clone(), both[0].clone()];
    eventually("it makes keys", async || (secrets(&edge) == used).then_some(())).await;
    eventually("inside, too", async || (secrets(&gateway)[1] == inside[0]).then_some(())).await;

    // Whoever is gone hasn't got it: the old one isn't forgotten behind its back.
    drop(gateway);
    let gone = |overview: &_| crate::rig::member(overview, GATEWAY).state == "unreachable";
    controller.sees("it is gone", gone).await;
    let client = site.administrator(&controller);
    let refused = problem(client.post::<Done>("/v1/secrets", &step("drop")).await);
    assert!(refused.title.starts_with("gateway1.contoso.test haven't taken over"), "{refused:?}");
    let forced = Secrets { force: true, ..step("drop") };
    client.post::<Done>("/v1/secrets", &forced).await.expect("it is wanted so");
    eventually("the old one is forgotten", async || (secrets(&edge) == used[..1]).then_some(())).await;

    client.post::<Done>("/v1/secrets", &step("replace")).await.expect("at once");
    eventually("nothing is as it was", async || {
        let now = secrets(&edge);
        (now.len() == 1 && now != used[..1]).then_some(())
    })
    .await;
    let denied = site.client(&controller, Role::Operator).post::<Done>("/v1/secrets", &step("replace")).await;
    assert_eq!(problem(denied).code, "role");
    assert!(problem(client.post::<Done>("/v1/secrets", &step("show")).await).title.contains("`show` is no step"));

    let trail = controller.ledger.audit(1, 100).await.expect("it answers");
    let trail: Vec<_> = trail.iter().filter(|entry| entry.what.starts_with("secrets")).collect();
    let what: Vec<&str> = trail.iter().map(|entry| entry.what.as_str()).collect();
    assert_eq!(what, ["secrets add", "secrets use", "secrets drop", "secrets replace"]);
    assert_eq!(trail[0].after, "external: 2, internal: 2", "no secret is written down");
}
