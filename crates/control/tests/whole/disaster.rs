//! The pool with the route dies, or vanishes, while people talk: one command, and federation goes on by the other pool.

use std::time::{Duration, Instant};

use testkit::lab::installation::{CONTROLLERS, Ground, Installation, POOLS, fqdn, members_of};
use testkit::lab::steady::Tally;
use testkit::packages::Debian;
use testkit::place::{self, Place};

use crate::load::{self, installation_on, talking};
use crate::moves::{carrying, route};

/// Outbound is promised to flow again within 3 s of the command; a machine that does much else gets ten times as much.
const FLOWS: Duration = Duration::from_secs(30);
/// An ejabberd may have said so much into connections that are gone before it hears of it; its sender isn't told.
pub(crate) const WINDOW: usize = 200;

/// Fails over to the second pool, after what `strike` does to the first; both users talk from before until `FLOWS` is over or
/// all is well again.
fn failed_over(
    ground: Ground,
    strike: impl FnOnce(&mut Installation) + Send + 'static,
) -> (Installation, tempfile::TempDir, [Tally; 2]) {
    let (lab, folder) = installation_on(ground);
    let (lab, told) = talking(lab, |mut lab| {
        strike(&mut lab);
        let began = Instant::now();
        // What a dead pool can't say must be accepted by name.
        let (status, told) = route(&lab, &["failover", "--to", &fqdn("pool2")]);
        assert_eq!(status, Some(2), "{told}");
        assert!(told.contains("NO        old-reached: not reached"), "{told}");
        println!("refused after {:.2?}: {told}", began.elapsed());
        let began = Instant::now();
        let arguments = ["failover", "--to", &fqdn("pool2"), "--accept", "old-reached", "--why", "the site burns"];
        let (status, told) = route(&lab, &arguments);
        println!("{told}failed over in {:.2?}", began.elapsed());
        assert_eq!(status, Some(0), "{told}");
        // Whoever vanished may not know that it has.
        assert!(carrying(&lab).contains(&"pool2"));
        lab
    });
    (lab, folder, told)
}

/// What came back or is gone at the moment of the fault may have been on its way; what was said later flows.
fn assert_flows(outbound: &Tally) {
    println!("outbound: {outbound}");
    assert!(outbound.lost.is_empty(), "lost without a word: {outbound:?}");
    assert!(outbound.gap < FLOWS, "{outbound:?}");
    assert_eq!(outbound.doubled, 0, "{outbound:?}");
}

#[test]
fn every_edge_server_of_the_pool_is_killed_and_it_is_failed_over() {
    let ground = Ground::loopback(Place::isolated().expect("root"));
    let (mut lab, _folder, [outbound, inbound]) = failed_over(ground, |lab| {
        for edge in POOLS[0].1 {
            lab.kill(edge);
        }
    });
    assert_flows(&outbound);
    println!("inbound: {inbound}");
    assert!(inbound.lost.len() <= WINDOW && inbound.gap < FLOWS, "{inbound:?}");
    // They come back with what they had on their disks, and are told what is so; the route stays where it is.
    for edge in POOLS[0].1 {
        lab.begin(edge).expect("it starts");
    }
    lab.wait_for("the old pool going by the new route", |status| {
        load::epochs(status).into_iter().all(|epoch| epoch == 2) && load::epochs(status).len() == 7
    })
    .expect("it comes about");
    let (_, told) = route(&lab, &["show"]);
    assert!(told.contains("the route is on pool2.contoso.test, epoch 2"), "{told}");
    lab.fedge(&["audit", "verify"]).expect("the trail is whole");
    lab.stop().expect("everything ends well");
}

#[test]
fn the_pools_hosts_vanish_without_a_word_and_it_is_failed_over() {
    let (mut lab, _folder, [outbound, _]) = failed_over(Ground::hosts().expect("hosts"), |lab| {
        for edge in POOLS[0].1 {
            lab.ground.plug(edge, false).expect("it is parted");
        }
    });
    assert_flows(&outbound);
    for edge in POOLS[0].1 {
        lab.ground.plug(edge, true).expect("it is there again");
    }
    lab.wait_for("the old pool going by the new route", |status| {
        load::epochs(status).into_iter().all(|epoch| epoch == 2) && load::epochs(status).len() == 7
    })
    .expect("it comes about");
    let edges: Vec<&'static str> = POOLS[0].1.into();
    edges.into_iter().for_each(|edge| lab.kill(edge));
    lab.stop().expect("everything else ends well");
}

#[test]
fn a_pool_that_rests_serves_again_when_the_one_with_the_route_dies() {
    let (lab, _folder) = installation_on(Ground::loopback(Place::isolated().expect("root")));
    let (lab, [outbound, _]) = talking(lab, |mut lab| {
        for arguments in [&["switchover", "--to", &fqdn("pool2")][..], &["failback"]] {
            let (status, told) = route(&lab, arguments);
            assert_eq!(status, Some(0), "{told}");
        }
        let state = |edge: &str| lab.ask(edge, &["service", "status"]).expect("it answers");
        assert!(state("edge3").contains("is resting"), "{}", state("edge3"));
        for edge in POOLS[0].1 {
            lab.kill(edge);
        }
        // Nobody says a word: gateways have nobody else, and partners are let in where those are.
        lab.wait_for("an edge server of the other pool that takes partners in", |status| {
            members_of(status).any(|member| member["service"] == "running" && member["state"] == "reached")
        })
        .expect("it comes about");
        lab
    });
    assert_flows(&outbound);
    drop(lab);
}

/// Controllers lose the pool with the route, and nobody else does (scenario 6): whoever asks is told so, everything goes on as it
/// was, and a failover that is made all the same loses nothing.
#[test]
fn a_cut_that_partners_do_not_see_ends_nothing_and_is_told_of() {
    let (lab, _folder) = installation_on(Ground::hosts().expect("hosts"));
    let debian = Debian::unpack(&Debian::usual_folder(), place::PACKAGES, &mut |_| {}).expect("nft can be had");
    let (lab, tallies) = talking(lab, move |lab| {
        let controllers = lab.ground.machine(CONTROLLERS[0]).place.clone();
        let edges = POOLS[0].1.map(|edge| lab.ground.machine(edge).internal.to_string()).join(", ");
        let rule = format!("ip saddr {{ {edges} }} drop; ip daddr {{ {edges} }} drop");
        let cut = controllers.filter(&debian, &rule).expect("nft");
        lab.wait_for("the pool being missed", |status| {
            let of_pool = |member: &&serde_json::Value| POOLS[0].1.iter().any(|edge| member["fqdn"] == fqdn(edge));
            members_of(status).filter(of_pool).all(|member| member["state"] == "unreachable")
        })
        .expect("it comes about");
        // Nobody moves anything by himself, and partners are served as ever.
        assert_eq!(carrying(&lab), ["pool1"]);
        let (status, told) = route(&lab, &["switchover", "--to", &fqdn("pool2")]);
        assert!(status == Some(2) && told.contains("old-reached"), "{told}");
        let (_, told) = route(&lab, &["plan", "--failover", "--to", &fqdn("pool2"), "--accept", "old-reached"]);
        assert!(told.contains("controllers don't reach them, and gateways do"), "{told}");
        let (status, told) = route(&lab, &["failover", "--to", &fqdn("pool2"), "--accept", "old-reached"]);
        assert_eq!(status, Some(0), "{told}");
        assert!(carrying(&lab).contains(&"pool2"));
        drop(cut);
        lab.wait_for("the old pool going by the new route", |status| {
            load::epochs(status).into_iter().all(|epoch| epoch == 2) && load::epochs(status).len() == 7
        })
        .expect("it comes about");
        lab
    });
    load::assert_unnoticed(&tallies);
    lab.stop().expect("everything ends well");
}
