//! Publishing, by one and by several at once.

use std::sync::Arc;

use store::Memory;
use topology::document::{First, first};

use super::*;
use crate::records::Secrets;
use crate::secrets;

fn ledger(memory: &Memory, controller: &str) -> Ledger {
    Ledger::new(Arc::new(memory.clone()), controller, 1, || 1_000).expect("a name")
}

/// A topology with a pool of this name.
fn document(pool: &str) -> String {
    let name = |text: &str| text.parse().expect("a name");
    let address = |text: &str| text.parse().expect("an address");
    first(&First {
        installation: "Contoso".to_owned(),
        site: "Site1".to_owned(),
        pool: name(pool),
        edge: (name("edge1.contoso.test"), address("203.0.113.10"), address("10.1.0.10")),
        gateway: (name("gateway1.contoso.test"), address("10.0.0.5")),
        local: ("contoso.test".parse().expect("a domain"), "10.0.0.2".parse().expect("a next hop")),
        partner: "fabrikam.test".parse().expect("a domain"),
    })
}

#[tokio::test]
async fn versions_follow_each_other_and_an_old_one_can_be_current_again() {
    let ledger = ledger(&Memory::new(), "ctl1.contoso.test");
    assert_eq!(current(&ledger).await.expect("nothing is wrong"), None);
    let first = document("pool1.contoso.test");
    let published = publish(&ledger, "anna", &first, Some(0), "the beginning").await.expect("it is good");
    assert_eq!(published.version, 1);
    let second = first.replace("10.0.0.2", "10.0.0.3");
    let published = publish(&ledger, "anna", &second, Some(1), "a new server").await.expect("it is good");
    assert_eq!(
        published,
        Published {
            version: 2,
            changes: vec!["local domain contoso.test: next hop 10.0.0.3:5269 (was 10.0.0.2:5269)".to_owned()]
        }
    );
    let same = publish(&ledger, "bert", &second, None, "").await.expect("it is good");
    assert_eq!(same, Published { version: 2, changes: Vec::new() });
    publish(&ledger, "bert", &first, None, "the new server is no good").await.expect("it is good");
    let (versions, now) = history(&ledger).await.expect("they are there");
    assert_eq!((versions.len(), now), (3, Some(3)));
    assert_eq!(versions[0].1.document, versions[2].1.document);
    let current = current(&ledger).await.expect("it can be read").expect("it is there");
    assert_eq!((current.document.as_str(), current.route.epoch), (first.as_str(), 1));
    let whos: Vec<String> = ledger.audit(1, 10).await.expect("three").into_iter().map(|entry| entry.who).collect();
    assert_eq!(whos, ["anna", "anna", "bert"]);
}

#[tokio::test]
async fn what_is_faulty_or_overtaken_or_loses_the_route_changes_nothing() {
    let ledger = ledger(&Memory::new(), "ctl1.contoso.test");
    let first = document("pool1.contoso.test");
    publish(&ledger, "anna", &first, None, "").await.expect("it is good");
    let faulty = publish(&ledger, "anna", "", None, "").await;
    assert!(matches!(faulty, Err(PublishError::Faulty(faults)) if !faults.is_empty()));
    let overtaken = publish(&ledger, "anna", &first.replace("10.0.0.2", "10.0.0.3"), Some(0), "").await;
    let overtaken = overtaken.expect_err("anna was first").to_string();
    assert_eq!(overtaken, "the topology was made from version 0, and 1, which anna published, is current by now");
    let lost = publish(&ledger, "anna", &document("pool2.contoso.test"), None, "").await;
    assert!(matches!(lost, Err(PublishError::RouteLost(pool)) if pool == "pool1.contoso.test"));
    assert_eq!(ledger.audit(1, 10).await.expect("it can be read").len(), 1);
}

#[tokio::test]
async fn thousands_of_changes_at_once_are_published_and_told_as_far_as_an_entry_of_the_trail_holds_them() {
    let ledger = ledger(&Memory::new(), "ctl1.contoso.test");
    let first = document("pool1.contoso.test");
    publish(&ledger, "anna", &first, None, "").await.expect("it is good");
    let partner = |number: u32| format!("\n[[partner]]\ndomains = [\"partner{number}.example\"]\n");
    let many = first + &(0..20_000).map(partner).collect::<String>();
    let published = publish(&ledger, "anna", &many, Some(1), "a merger").await.expect("it is good");
    assert_eq!(published.changes.len(), 20_000);
    let told = ledger.audit(2, 1).await.expect("it can be read").remove(0).after;
    let lines = told.lines().filter(|line| line.starts_with("partner ")).count();
    assert!(lines > 1000, "{lines} lines");
    assert!(told.ends_with(&format!("\nand {} lines more", 20_000 - lines)), "{lines} lines");
    assert_eq!(ledger.verify().await.expect("it can be read").broken, None);
}

#[tokio::test]
async fn of_two_at_once_one_is_told_that_it_was_overtaken() {
    let memory = Memory::new();
    let (one, other) = (ledger(&memory, "ctl1.contoso.test"), ledger(&memory, "ctl2.contoso.test"));
    publish(&one, "anna", &document("pool1.contoso.test"), None, "").await.expect("it is good");
    for round in 0..10 {
        let text = |host: &str| document("pool1.contoso.test").replace("10.0.0.2", &format!("10.0.{round}.{host}"));
        let from = current(&one).await.expect("it can be read").map(|current| current.version);
        let (first, second) = (text("7"), text("8"));
        let (anna, bert) =
            tokio::join!(publish(&one, "anna", &first, from, ""), publish(&other, "bert", &second, from, ""));
        let good = [&anna, &bert].into_iter().filter(|published| published.is_ok()).count();
        assert_eq!(good, 1, "{anna:?} {bert:?}");
        let (winner, other) = if anna.is_ok() { ("anna", bert) } else { ("bert", anna) };
        let told = other.expect_err("one of them").to_string();
        assert!(told.contains(&format!(", which {winner} published, is current by now")), "{told}");
    }
    assert_eq!(one.verify().await.expect("it can be read").broken, None);
}

/// With a zone of our own dns servers, signed or not.
fn with_zone(signed: bool) -> String {
    let dns = "[[dns]]\nfqdn = \"ns1.contoso.test\"\nsite = \"Site1\"\ninternal = [\"10.0.0.11\"]\nexternal = [\"192.0.2.53\"]\n";
    let zone = format!("[[zone]]\nname = \"contoso.test\"\npublisher = \"embedded\"\nsigned = {signed}\n");
    document("pool1.contoso.test") + "\n" + dns + &zone
}

#[tokio::test]
async fn a_zone_gets_its_key_with_the_topology_that_signs_it_and_keeps_it() {
    let ledger = ledger(&Memory::new(), "ctl1.contoso.test");
    let begin = Secrets { external: vec!["hush".to_owned()], ..Secrets::default() };
    ledger.installation("contoso-1", &begin, "ctl1.contoso.test").await.expect("founded");
    let now = async || {
        let (secrets, _) = ledger.one::<Secrets>(&records::secrets()).await.expect("it can be read");
        secrets.expect("they are there")
    };
    publish(&ledger, "anna", &with_zone(false), None, "").await.expect("it is good");
    assert!(now().await == begin, "nothing is to be signed");
    publish(&ledger, "anna", &with_zone(true), None, "").await.expect("it is good");
    let first = now().await;
    let key = agent::zone_key::ZoneKey::read(&first.zone_keys()["contoso.test."]).expect("a key");
    let told = &ledger.audit(3, 1).await.expect("it can be read")[0].after;
    assert!(told.contains(&format!("zone contoso.test.: a new key, {}", key.tag())), "{told}");
    assert!(!told.contains(&first.zones["contoso.test."]), "{told}");
    for signed in [false, true] {
        publish(&ledger, "anna", &with_zone(signed), None, "").await.expect("it is good");
        assert!(now().await == first, "the same key, and the same secrets besides");
    }
    secrets::take(&ledger, secrets::Step::Add, ("anna", "once a year")).await.expect("a step");
    assert!(now().await.zones == first.zones);
    let topology = current(&ledger).await.expect("it can be read").expect("it is there");
    assert!(!topology.document.contains(&first.zones["contoso.test."]));
}

/// Dialback's secrets change at the same time: both are there afterwards.
#[tokio::test]
async fn a_key_and_other_secrets_at_once_are_both_kept() {
    let memory = Memory::new();
    let (one, other) = (ledger(&memory, "ctl1.contoso.test"), ledger(&memory, "ctl2.contoso.test"));
    let begin = Secrets { external: vec!["hush".to_owned()], internal: vec!["hush".to_owned()], ..Secrets::default() };
    one.installation("contoso-1", &begin, "ctl1.contoso.test").await.expect("founded");
    let signed = with_zone(true);
    let (published, taken) = tokio::join!(
        publish(&one, "anna", &signed, None, ""),
        secrets::take(&other, secrets::Step::Add, ("bert", "")),
    );
    published.expect("a conflict of secrets alone is tried again");
    let (now, _) = one.one::<Secrets>(&records::secrets()).await.expect("it can be read");
    let now = now.expect("they are there");
    assert_eq!((now.zones.len(), now.external.len()), (1, if taken.is_ok() { 2 } else { 1 }));
}
