//! A driver that is killed or paused at each of its transactions and drains, and goes on itself or is relieved.

use std::time::Duration;

use api::route::Kind;
use tokio::time::sleep;

use super::layout::Layout;
use super::life::Life;
use super::process::{Halt, Moment};
use super::virtually;

/// For an operation to come to rest after its driver was killed: another takes over after 4 s.
const REST: Duration = Duration::from_secs(10);
/// For an operation to get as far as where its driver halts.
const THERE: Duration = Duration::from_secs(30);
/// The seed of all of these lives.
const SEED: u64 = 5;

/// What becomes of the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is killed, and started again at once.
    Restarted,
    /// It is killed, and another goes on.
    Relieved,
    /// It is paused until another has ended the operation, and then goes on where it was.
    Late,
}

/// Where it halts.
#[derive(Debug, Clone, Copy)]
enum Place {
    Transaction,
    Drain,
}

async fn founded(kind: Kind) -> Life {
    let life = Life::found(Layout::usual(), SEED).await;
    sleep(Duration::from_secs(3)).await;
    if kind == Kind::Failover {
        life.layout.edges(0).iter().for_each(|edge| life.ground.kill(edge));
        sleep(Duration::from_secs(1)).await;
    }
    life
}

/// How many transactions and drains such a move takes where nothing happens.
async fn undisturbed(kind: Kind) -> (u64, u64) {
    let life = founded(kind).await;
    life.begin(0, kind, 1);
    assert!(life.until(THERE, |life| life.is_over(1)).await, "{kind} isn't done: {}", life.trace.text());
    let driver = &life.controllers[&0];
    (driver.line.asked(), driver.keeper.effects.count())
}

async fn disturbed(kind: Kind, place: Place, halt: Halt, fate: Fate) -> Result<(), String> {
    let mut life = founded(kind).await;
    let driver = &life.controllers[&0];
    match place {
        Place::Transaction => driver.line.halts_at(halt),
        Place::Drain => driver.keeper.effects.halts_at(halt),
    }
    life.begin(0, kind, 1);
    let halted = |life: &Life| {
        let process = &life.controllers[&0].process;
        process.is_killed() || process.is_paused()
    };
    if !life.until(THERE, halted).await {
        return Err("it didn't get there".to_owned());
    }
    life.trace.say("* it halts");
    if fate == Fate::Restarted {
        sleep(Duration::from_millis(300)).await;
        life.start(0);
    }
    // With the beginning of the operation, nothing may have come into the store.
    life.rests(REST).await?;
    if fate == Fate::Late {
        sleep(Duration::from_secs(60)).await;
        life.controllers[&0].process.resume();
        sleep(Duration::from_secs(5)).await;
        life.rests(REST).await?;
    }
    if kind == Kind::Failover {
        life.layout.edges(0).iter().for_each(|edge| life.ground.start(edge));
    }
    life.settled().await?;
    let epoch = life.judge.route().map(|route| route.epoch).unwrap_or_default();
    let begun = life.judge.begun();
    // Whoever began it may have died before it was begun, or may begin it only when it goes on.
    if begun > 1 || epoch != 1 + begun {
        return Err(format!("{begun} operations were begun, and the epoch is {epoch}"));
    }
    Ok(())
}

fn everywhere(kind: Kind) {
    let (transactions, drains) = virtually(undisturbed(kind));
    let of = |place: Place, count: u64| (1..=count).map(move |at| (place, at));
    let mut faults = Vec::new();
    let mut lives = 0;
    for (place, at) in of(Place::Transaction, transactions).chain(of(Place::Drain, drains)) {
        for moment in [Moment::Before, Moment::After] {
            for fate in [Fate::Restarted, Fate::Relieved, Fate::Late] {
                let halt = Halt { at, moment, ends: fate != Fate::Late };
                let case = format!("{kind}, {moment:?} {place:?} {at} of {transactions} and {drains}, {fate:?}");
                let lived = virtually(async {
                    let lived = disturbed(kind, place, halt, fate).await;
                    lived.map_err(|fault| format!("{case}: {fault}"))
                });
                faults.extend(lived.err());
                lives += 1;
            }
        }
    }
    println!("{kind}: {lives} lives, with {transactions} transactions and {drains} drains");
    assert!(faults.is_empty(), "{} of {lives} lives went wrong:\n{}", faults.len(), faults.join("\n"));
    assert!(transactions >= 7 && lives > 40, "every step has its transaction");
}

#[test]
fn a_switchover_comes_to_rest_wherever_its_driver_is_killed_or_paused() {
    everywhere(Kind::Switchover);
}

#[test]
fn a_failover_comes_to_rest_wherever_its_driver_is_killed_or_paused() {
    everywhere(Kind::Failover);
}
