//! A driver that is killed or paused at each of its transactions, drains and updates of a zone, and goes on itself or is relieved.

use std::time::Duration;

use api::route::Kind;
use tokio::time::sleep;

use super::layout::{Layout, Zoned};
use super::life::Life;
use super::process::{Halt, Moment};
use super::virtually;

/// For an operation to come to rest after its driver was killed: another takes over after 4 s.
const REST: Duration = Duration::from_secs(10);
/// For one whose target doesn't serve, which is believed after 15 s by whoever looks, and for the one that takes it back.
const BACK: Duration = Duration::from_secs(60);
/// For an operation to get as far as where its driver halts.
const THERE: Duration = Duration::from_secs(60);
/// The longest drain, in milliseconds. How long one takes is for partners to say; what counts here is all the rest.
const DRAIN: u64 = 2000;
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

/// What is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Switchover,
    Failover,
    /// A switchover to a pool that nobody reaches from outside, once it has the route.
    TakenBack,
    /// A switchover that partners are told of by an update of their zone.
    Named,
    /// The same, and somebody else changes the zone.
    ByHand,
}

impl Course {
    fn layout(self) -> Layout {
        let zone = match self {
            Course::Named | Course::TakenBack => Zoned::Updated,
            Course::ByHand => Zoned::ByHand,
            Course::Switchover | Course::Failover => Zoned::Nobody,
        };
        Layout { zone, ..Layout::usual() }
    }
}

/// Where it halts.
#[derive(Debug, Clone, Copy)]
enum Place {
    Transaction,
    /// A drain, or an update of a zone.
    Effect,
}

async fn founded(course: Course) -> Life {
    let life = Life::found(course.layout(), SEED).await;
    life.ground.field().longest_drain = DRAIN;
    life.names.served().troubled = 0;
    sleep(Duration::from_secs(3)).await;
    match course {
        Course::Switchover | Course::Named | Course::ByHand => {}
        Course::Failover => {
            life.layout.edges(0).iter().for_each(|edge| life.ground.kill(edge));
            sleep(Duration::from_secs(1)).await;
        }
        Course::TakenBack => {
            let (judge, ground, edges) = (life.judge.clone(), life.ground.clone(), life.layout.edges(1));
            tokio::spawn(async move {
                while judge.route().is_none_or(|route| route.epoch < 2) {
                    sleep(Duration::from_millis(1)).await;
                }
                ground.field().closed.extend(edges);
            });
        }
    }
    let kind = if course == Course::Failover { Kind::Failover } else { Kind::Switchover };
    life.begin(0, kind, 1);
    life
}

/// How many transactions and drains it takes where nothing happens.
async fn undisturbed(course: Course) -> (u64, u64) {
    let life = founded(course).await;
    let operations = if course == Course::TakenBack { 2 } else { 1 };
    let ended = life.until(THERE, |life| life.is_over(operations)).await;
    assert!(ended, "{course:?} doesn't end: {}", life.trace.text());
    let driver = &life.controllers[&0];
    (driver.line.asked(), driver.keeper.effects.count())
}

async fn disturbed(course: Course, place: Place, halt: Halt, fate: Fate) -> Result<(), String> {
    let mut life = founded(course).await;
    let driver = &life.controllers[&0];
    match place {
        Place::Transaction => driver.line.halts_at(halt),
        Place::Effect => driver.keeper.effects.halts_at(halt),
    }
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
    let rest = if matches!(course, Course::TakenBack | Course::ByHand) { BACK } else { REST };
    life.rests(rest).await?;
    if fate == Fate::Late {
        sleep(Duration::from_secs(60)).await;
        life.controllers[&0].process.resume();
        sleep(Duration::from_secs(5)).await;
        life.rests(rest).await?;
    }
    if course == Course::Failover {
        life.layout.edges(0).iter().for_each(|edge| life.ground.start(edge));
    }
    life.settled().await?;
    let epoch = life.judge.route().map(|route| route.epoch).unwrap_or_default();
    let (begun, most) = (life.judge.begun(), if course == Course::TakenBack { 2 } else { 1 });
    // Whoever began it may have died before it was begun, or may begin it only when it goes on.
    if (begun != 0 && begun != most) || epoch != 1 + begun {
        return Err(format!("{begun} operations were begun, and the epoch is {epoch}"));
    }
    Ok(())
}

fn everywhere(course: Course, fates: &[Fate]) {
    let (transactions, drains) = virtually(undisturbed(course));
    let of = |place: Place, count: u64| (1..=count).map(move |at| (place, at));
    let mut faults = Vec::new();
    let mut lives = 0;
    for (place, at) in of(Place::Transaction, transactions).chain(of(Place::Effect, drains)) {
        for moment in [Moment::Before, Moment::After] {
            for fate in fates.iter().copied() {
                let halt = Halt { at, moment, ends: fate != Fate::Late };
                let case = format!("{course:?}, {moment:?} {place:?} {at} of {transactions} and {drains}, {fate:?}");
                let lived = virtually(disturbed(course, place, halt, fate));
                faults.extend(lived.err().map(|fault| format!("{case}: {fault}")));
                lives += 1;
            }
        }
    }
    println!("{course:?}: {lives} lives, with {transactions} transactions and {drains} drains");
    assert!(faults.is_empty(), "{} of {lives} lives went wrong:\n{}", faults.len(), faults.join("\n"));
    assert!(transactions >= 7 && lives > 40, "every step has its transaction");
}

#[test]
fn a_switchover_comes_to_rest_wherever_its_driver_is_killed_or_paused() {
    everywhere(Course::Switchover, &[Fate::Restarted, Fate::Relieved, Fate::Late]);
}

#[test]
fn a_failover_comes_to_rest_wherever_its_driver_is_killed_or_paused() {
    everywhere(Course::Failover, &[Fate::Restarted, Fate::Relieved, Fate::Late]);
}

#[test]
fn a_switchover_that_partners_are_told_of_comes_to_rest_wherever_its_driver_is_killed_or_paused() {
    everywhere(Course::Named, &[Fate::Restarted, Fate::Relieved, Fate::Late]);
}

#[test]
fn a_switchover_that_waits_for_somebody_s_hand_comes_to_rest_wherever_its_driver_is_killed() {
    everywhere(Course::ByHand, &[Fate::Restarted, Fate::Relieved]);
}

#[test]
fn a_switchover_that_is_taken_back_comes_to_rest_wherever_its_driver_is_killed() {
    everywhere(Course::TakenBack, &[Fate::Restarted, Fate::Relieved]);
}
