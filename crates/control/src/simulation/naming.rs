//! Moves of which partners are told by DNS, while name servers are gone, late, or told something by somebody who is late.

use std::time::Duration;

use api::route::{Kind, State};
use tokio::time::sleep;

use super::layout::{Layout, Zoned};
use super::life::Life;
use super::virtually;

/// For whatever is waited for here.
const SOON: Duration = Duration::from_secs(120);
const SEEDS: std::ops::Range<u64> = 0..5;

async fn founded(zone: Zoned, seed: u64) -> Life {
    let life = Life::found(Layout { zone, ..Layout::usual() }, seed).await;
    life.names.served().troubled = 0;
    sleep(Duration::from_secs(3)).await;
    life
}

fn in_some_lives<F: Future<Output = ()>>(scenario: impl Fn(u64) -> F) {
    for seed in SEEDS {
        virtually(scenario(seed));
    }
}

async fn becomes(life: &Life, number: u64, state: State) {
    let so = life.until(SOON, |life| life.state(number) == Some(state)).await;
    assert!(so, "operation {number} is not {state}: {}", life.trace.text());
}

async fn waits(life: &Life, number: u64, what: &str) {
    let said = |life: &Life| life.judge.numbered(number).and_then(|operation| operation.waits).unwrap_or_default();
    let so = life.until(SOON, |life| said(life).contains(what)).await;
    assert!(so, "it waits for {}: {}", said(life), life.trace.text());
}

async fn settles(life: &Life, epochs: &[u64]) {
    life.settled().await.unwrap_or_else(|fault| panic!("{fault}: {}", life.trace.text()));
    assert_eq!(life.names.epochs(), epochs, "{}", life.trace.text());
}

#[test]
fn a_name_server_that_is_gone_is_named_until_it_is_back() {
    in_some_lives(|seed| async move {
        let life = founded(Zoned::Updated, seed).await;
        life.begin(0, Kind::Switchover, 1);
        becomes(&life, 1, State::Committed).await;
        life.names.served().down[1] = true;
        becomes(&life, 1, State::Degraded).await;
        sleep(Duration::from_secs(300)).await;
        assert_eq!(life.state(1), Some(State::Degraded), "it is never given up, and never done");
        waits(&life, 1, "192.0.2.254:53").await;
        life.names.heal();
        becomes(&life, 1, State::Done).await;
        settles(&life, &[2, 2]).await;
    });
}

#[test]
fn a_primary_that_refuses_is_asked_again_until_it_takes_it() {
    in_some_lives(|seed| async move {
        let life = founded(Zoned::Updated, seed).await;
        life.begin(0, Kind::Switchover, 1);
        becomes(&life, 1, State::Committed).await;
        life.names.served().refuses = true;
        becomes(&life, 1, State::Degraded).await;
        waits(&life, 1, "REFUSED").await;
        life.names.served().refuses = false;
        becomes(&life, 1, State::Done).await;
        settles(&life, &[2, 2]).await;
    });
}

#[test]
fn a_driver_dies_while_its_update_is_on_its_way_and_another_goes_on() {
    in_some_lives(|seed| async move {
        let mut life = founded(Zoned::Updated, seed).await;
        life.names.served().delays = Some(Duration::from_secs(8));
        life.begin(0, Kind::Switchover, 1);
        becomes(&life, 1, State::Applying).await;
        sleep(Duration::from_secs(1)).await;
        life.kill(0);
        becomes(&life, 1, State::Done).await;
        life.start(0);
        sleep(Duration::from_secs(10)).await;
        settles(&life, &[2, 2]).await;
        assert!(life.trace.text().contains("an update comes too late"), "{}", life.trace.text());
    });
}

#[test]
fn an_update_that_comes_after_the_next_move_changes_nothing() {
    in_some_lives(|seed| async move {
        let life = founded(Zoned::Updated, seed).await;
        life.names.served().delays = Some(Duration::from_secs(40));
        life.begin(0, Kind::Switchover, 1);
        becomes(&life, 1, State::Degraded).await;
        life.begin(1, Kind::Failover, 0);
        becomes(&life, 1, State::Superseded).await;
        becomes(&life, 2, State::Done).await;
        sleep(Duration::from_secs(60)).await;
        settles(&life, &[3, 3]).await;
        assert!(life.trace.text().contains("an update comes too late"), "{}", life.trace.text());
    });
}

#[test]
fn whoever_changes_it_by_hand_is_waited_for_and_may_be_superseded_meanwhile() {
    in_some_lives(|seed| async move {
        let life = founded(Zoned::ByHand, seed).await;
        life.begin(0, Kind::Switchover, 1);
        waits(&life, 1, "DNS is to be changed by hand").await;
        // The other controller has heard by then what members go by.
        sleep(Duration::from_secs(2)).await;
        life.begin(1, Kind::Failover, 0);
        becomes(&life, 2, State::Done).await;
        life.begin(0, Kind::Switchover, 1);
        becomes(&life, 3, State::Done).await;
        settles(&life, &[]).await;
    });
}

#[test]
fn our_own_dns_server_is_waited_for_too() {
    in_some_lives(|seed| async move {
        let life = founded(Zoned::Embedded, seed).await;
        life.begin(0, Kind::Switchover, 1);
        becomes(&life, 1, State::Committed).await;
        life.ground.kill("dns1.contoso.test");
        becomes(&life, 1, State::Degraded).await;
        waits(&life, 1, "dns1.contoso.test").await;
        life.ground.start("dns1.contoso.test");
        becomes(&life, 1, State::Done).await;
    });
}
