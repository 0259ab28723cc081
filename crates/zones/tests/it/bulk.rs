//! Five hundred domains: in one zone, in zones of their own, and by one set that all are aliases of.

use std::sync::Arc;
use std::time::{Duration, Instant};

use testkit::name_server::{NameServer, Part, ZonePlan};
use tokio::sync::Semaphore;
use topology::records::{Contents, RecordSet, difference};
use zones::observe::observe;
use zones::update::Primary;

use crate::rig::{MAKERS, PATIENCE, Rig, ZONE, address, contents, is_whole, key, mark, set, zone};

const DOMAINS: usize = 500;
/// Zones that are updated beside each other.
const AT_ONCE: usize = 16;
/// What administrators are promised.
const PROMISED: Duration = Duration::from_secs(10);

fn services(epoch: u64) -> RecordSet {
    contents(epoch).sets.remove(0)
}

fn domain(number: usize) -> String {
    format!("tenant{number}.contoso.test")
}

/// What one zone with all of them holds.
fn all(epoch: u64) -> Contents {
    let named = |number| RecordSet { name: format!("_xmpp-server._tcp.{}.", domain(number)), ..services(epoch) };
    Contents { sets: (0..DOMAINS).map(named).collect(), ..contents(epoch) }
}

#[test]
fn five_hundred_domains_of_one_zone_move_well_within_ten_seconds() {
    for maker in MAKERS {
        let domains: Vec<String> = (0..DOMAINS).map(domain).collect();
        let names: Vec<&str> = domains.iter().map(String::as_str).collect();
        let rig = Rig::with(maker, &ZonePlan::new(ZONE, &names, &[]), &[]);
        let primary = rig.primary.clone();
        let took = rig.run(async move {
            primary.update(30, None, &mark(1), &difference(&all(1).sets, &[], &[])).await.expect("it is free");
            let began = Instant::now();
            let seen = observe(address(), &all(1), &[], PATIENCE).await.expect("it answers");
            primary
                .update(30, Some(&mark(1)), &mark(2), &difference(&all(2).sets, &seen.sets, &[]))
                .await
                .expect("ours");
            let seen = observe(address(), &all(2), &[], PATIENCE).await.expect("it answers");
            assert!(is_whole(&seen, &all(2)));
            began.elapsed()
        });
        println!("{maker:?}: {DOMAINS} domains of one zone looked at, moved and looked at again in {took:?}");
        assert!(took < PROMISED, "{maker:?}: {took:?}");
    }
}

#[test]
fn five_hundred_zones_move_within_ten_seconds() {
    for maker in MAKERS {
        let domains: Vec<String> = (0..DOMAINS).map(|number| format!("tenant{number}.test")).collect();
        let plans: Vec<ZonePlan> = domains.iter().map(|domain| ZonePlan::new(domain, &[domain], &[])).collect();
        let rig = Rig::with(maker, &ZonePlan::new(ZONE, &[ZONE], &[]), &[]);
        let folder = rig.folder.path().join("many");
        std::fs::create_dir(&folder).expect("a folder");
        let at = ([127, 0, 20, 4], 53).into();
        let server = NameServer::start(maker, &rig.place, at, &Part::Primary(Vec::new()), &plans, &folder);
        let _server = server.unwrap_or_else(|error| panic!("{error:#}"));
        let key = key(&folder);
        let took = rig.run(async move {
            let room = Arc::new(Semaphore::new(AT_ONCE));
            let move_all = |from: Option<u64>, to: u64| {
                let (room, key, domains) = (room.clone(), key.clone(), domains.clone());
                async move {
                    let moves = domains.into_iter().map(|domain| {
                        let (room, primary) = (room.clone(), Primary::new(at, &format!("{domain}."), key.clone()));
                        let name = format!("_xmpp-server._tcp.{domain}.");
                        let at_epoch = move |epoch| RecordSet { name: name.clone(), ..services(epoch) };
                        tokio::spawn(async move {
                            let _room = room.acquire_owned().await.expect("it isn't closed");
                            let before: Vec<RecordSet> = from.map(&at_epoch).into_iter().collect();
                            let changes = difference(&[at_epoch(to)], &before, &[]);
                            primary.update(30, from.map(mark).as_ref(), &mark(to), &changes).await.expect("ours");
                            let contents = Contents { zone: zone(&domain), mark: mark(to), sets: vec![at_epoch(to)] };
                            let seen = observe(at, &contents, &[], PATIENCE).await.expect("it answers");
                            assert!(is_whole(&seen, &contents), "{seen:?}");
                        })
                    });
                    for done in moves.collect::<Vec<_>>() {
                        done.await.expect("it ends well");
                    }
                }
            };
            move_all(None, 1).await;
            let began = Instant::now();
            move_all(Some(1), 2).await;
            began.elapsed()
        });
        println!("{maker:?}: {DOMAINS} zones moved and looked at in {took:?}");
        assert!(took < PROMISED, "{maker:?}: {took:?}");
    }
}

#[test]
fn by_an_alias_five_hundred_domains_move_in_one_update_of_one_set() {
    for maker in MAKERS {
        let domains: Vec<String> = (0..DOMAINS).map(domain).collect();
        let names: Vec<&str> = domains.iter().map(String::as_str).chain(["fed.contoso.test"]).collect();
        let rig = Rig::with(maker, &ZonePlan::new(ZONE, &names, &[]), &[]);
        let primary = rig.primary.clone();
        let alias = "_xmpp-server._tcp.fed.contoso.test.";
        let held = move |epoch| {
            let aliases =
                (0..DOMAINS).map(|number| set(&format!("_xmpp-server._tcp.{}.", domain(number)), "CNAME", &[alias]));
            let own = RecordSet { name: alias.to_owned(), ..services(epoch) };
            Contents { sets: aliases.chain([own]).collect(), ..contents(epoch) }
        };
        rig.run(async move {
            primary.update(30, None, &mark(1), &difference(&held(1).sets, &[], &[])).await.expect("it is free");
            let seen = observe(address(), &held(1), &[], PATIENCE).await.expect("it answers");
            let changes = difference(&held(2).sets, &seen.sets, &[]);
            assert_eq!(changes.len(), 1, "{maker:?}: {changes:?}");
            primary.update(30, Some(&mark(1)), &mark(2), &changes).await.expect("ours");
            assert!(is_whole(&observe(address(), &held(2), &[], PATIENCE).await.expect("it answers"), &held(2)));
        });
    }
}
