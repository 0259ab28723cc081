//! The scenarios of failover that concern the control plane alone, by their numbers: what happens in each, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use api::local::ServiceState;
use api::route::{Kind, State, Wish};
use store::Transaction;
use tokio::time::{Instant, sleep};

use super::clock;
use super::layout::{Layout, WITNESS};
use super::life::Life;
use super::process::{Halt, Moment};
use super::shelf::Fate;
use super::virtually;
use crate::ledger::Ledger;
use crate::records;

/// For whatever is waited for here.
const SOON: Duration = Duration::from_secs(60);
/// What each scenario is lived by.
const SEEDS: std::ops::Range<u64> = 0..5;

/// An installation in which everybody is there.
async fn founded(seed: u64) -> Life {
    let life = Life::found(Layout::usual(), seed).await;
    sleep(Duration::from_secs(3)).await;
    life
}

/// Goes through it in a few lives, each with other delays.
fn in_some_lives<F: Future<Output = ()>>(scenario: impl Fn(u64) -> F) {
    for seed in SEEDS {
        virtually(scenario(seed));
    }
}

impl Life {
    fn pool_and_epoch(&self) -> (String, u64) {
        self.judge.route().map(|route| (route.pool, route.epoch)).unwrap_or_default()
    }

    fn is_on(&self, pool: usize, epoch: u64) {
        assert_eq!(self.pool_and_epoch(), (Layout::pool(pool), epoch), "{}", self.trace.text());
    }

    async fn awaits(&self, what: &str, is_so: impl Fn(&Life) -> bool) {
        assert!(self.until(SOON, is_so).await, "not {what}: {}", self.trace.text());
    }

    async fn ends(&self, number: u64, state: State) {
        self.awaits("over", |life| life.is_over(number)).await;
        assert_eq!(self.state(number), Some(state), "{}", self.trace.text());
    }

    async fn settles(&self) {
        self.settled().await.unwrap_or_else(|fault| panic!("{fault}: {}", self.trace.text()));
    }

    /// Nobody reaches this pool any more, and it reaches nobody.
    fn vanishes(&self, pool: usize) {
        for edge in self.layout.edges(pool) {
            let others = [self.layout.all_controllers(), self.layout.gateways()].concat();
            others.iter().for_each(|other| self.ground.cut(other, &edge));
            self.ground.field().closed.insert(edge);
        }
    }

    fn dies(&self, pool: usize) {
        self.layout.edges(pool).iter().for_each(|edge| self.ground.kill(edge));
    }

    fn comes_back(&self, pool: usize) {
        self.layout.edges(pool).iter().for_each(|edge| self.ground.start(edge));
    }

    /// The first controller halts at its commit of epoch 2, as it is in a life with this seed in which nothing else happens.
    fn halts_at_the_commit(&self, commit: u64, moment: Moment, ends: bool) {
        self.controllers[&0].line.halts_at(Halt { at: commit, moment, ends });
    }

    async fn has_halted(&self) {
        let process = &self.controllers[&0].process;
        self.awaits("halted", |_| process.is_paused() || process.is_killed()).await;
    }
}

/// By which of its transactions the first controller commits a switchover.
fn commit(seed: u64) -> u64 {
    virtually(async {
        let life = founded(seed).await;
        life.begin(0, Kind::Switchover, 1);
        life.awaits("committed", |life| life.judge.committed_by(2).is_some()).await;
        life.judge.committed_by(2).expect("it is committed")
    })
}

#[test]
fn scenario_01_the_active_site_vanishes_together_with_the_store_s_leader() {
    in_some_lives(|seed| async move {
        let mut life = founded(seed).await;
        life.vanishes(0);
        life.controllers.values().for_each(|controller| controller.line.cut(true));
        sleep(Duration::from_secs(5)).await;
        // Nothing can be begun, and nothing is.
        life.begin(1, Kind::Failover, 1);
        sleep(Duration::from_secs(2)).await;
        life.is_on(0, 1);
        life.controllers.values().for_each(|controller| controller.line.cut(false));
        life.begin(1, Kind::Failover, 1);
        life.ends(1, State::Done).await;
        life.is_on(1, 2);
        life.heal();
        life.settles().await;
    });
}

#[test]
fn scenario_02_paused_before_the_commit_and_awake_after_another_has_committed() {
    in_some_lives(|seed| async move {
        let at = commit_of(seed).await;
        let life = founded(seed).await;
        life.halts_at_the_commit(at, Moment::Before, false);
        life.begin(0, Kind::Switchover, 1);
        life.has_halted().await;
        life.is_on(0, 1);
        life.ends(1, State::Done).await;
        sleep(SOON).await;
        life.controllers[&0].process.resume();
        sleep(Duration::from_secs(10)).await;
        life.is_on(1, 2);
        life.settles().await;
    });
}

#[test]
fn scenario_03_paused_after_the_commit_and_awake_when_the_route_has_gone_back() {
    in_some_lives(|seed| async move {
        let life = founded(seed).await;
        life.controllers[&0].keeper.effects.halts_at(Halt { at: 1, moment: Moment::Before, ends: false });
        life.begin(0, Kind::Switchover, 1);
        life.has_halted().await;
        life.is_on(1, 2);
        life.begin(1, Kind::Switchover, 0);
        life.ends(2, State::Done).await;
        assert_eq!(life.state(1), Some(State::Superseded));
        // It tells the pool that has the route again to finish, and to refuse partners for a minute.
        life.controllers[&0].process.resume();
        sleep(Duration::from_secs(5)).await;
        life.is_on(0, 3);
        life.settles().await;
        let drained = life.ground.field().drained.clone();
        assert!(!drained.keys().any(|(_, epoch)| *epoch == 2), "{drained:?}");
    });
}

#[test]
fn scenario_04_the_answer_to_the_commit_is_lost() {
    in_some_lives(|seed| async move {
        let at = commit_of(seed).await;
        for fate in [Fate::Unheard, Fate::Lost, Fate::Late] {
            let life = founded(seed).await;
            life.controllers[&0].line.has_fate(at, fate);
            life.begin(0, Kind::Switchover, 1);
            life.ends(1, State::Done).await;
            life.is_on(1, 2);
            life.settles().await;
        }
    });
}

#[test]
fn scenario_05_two_operators_fail_over_in_the_same_moment() {
    in_some_lives(|seed| async move {
        let layout = Layout { pools: vec![1, 1, 1], declared: 3, ..Layout::usual() };
        let life = Life::found(layout, seed).await;
        sleep(Duration::from_secs(3)).await;
        life.dies(0);
        life.begin(0, Kind::Failover, 1);
        life.begin(1, Kind::Failover, 2);
        sleep(Duration::from_secs(3)).await;
        assert_eq!(life.judge.begun(), 1, "{}", life.trace.text());
        let refused = ["operation 1 was begun while", "refused: no-operation"];
        assert!(refused.iter().any(|why| life.trace.text().contains(why)), "{}", life.trace.text());
        life.ends(1, State::Done).await;
        assert_eq!(life.pool_and_epoch().1, 2);
        life.comes_back(0);
        life.settles().await;
    });
}

#[test]
fn scenario_06_controllers_do_not_reach_the_active_pool_and_partners_do() {
    in_some_lives(|seed| async move {
        let mut life = founded(seed).await;
        for edge in life.layout.edges(0) {
            life.layout.all_controllers().iter().for_each(|controller| life.ground.cut(controller, &edge));
        }
        sleep(SOON).await;
        life.is_on(0, 1);
        let wish = Wish { kind: Kind::Failover, to: Some(Layout::pool(1)), accept: Vec::new() };
        life.controllers[&0].begin(wish, false, "anna");
        sleep(SOON).await;
        assert!(life.trace.text().contains("refused: old-reached"), "{}", life.trace.text());
        life.is_on(0, 1);
        life.heal();
        life.settles().await;
    });
}

#[test]
fn scenario_10_the_old_pool_comes_back_with_the_old_route_on_its_disk() {
    in_some_lives(|seed| async move {
        let life = founded(seed).await;
        life.dies(0);
        life.begin(0, Kind::Failover, 1);
        life.ends(1, State::Done).await;
        life.comes_back(0);
        sleep(SOON).await;
        life.is_on(1, 2);
        assert_eq!(life.judge.begun(), 1);
        life.settles().await;
    });
}

#[test]
fn scenario_13_a_way_to_the_active_pool_comes_and_goes_for_an_hour() {
    virtually(async {
        let mut life = founded(1).await;
        for round in 0..360 {
            for edge in life.layout.edges(0) {
                for controller in life.layout.all_controllers() {
                    if round % 2 == 0 {
                        life.ground.cut(&controller, &edge);
                    } else {
                        life.ground.join(&controller, &edge);
                    }
                }
            }
            if round % 60 == 30 {
                let to = usize::from(life.pool_and_epoch().0 == Layout::pool(0));
                life.begin(0, Kind::Switchover, to);
            }
            sleep(Duration::from_secs(10)).await;
        }
        life.heal();
        life.rests(SOON).await.unwrap_or_else(|fault| panic!("{fault}: {}", life.trace.text()));
        life.settles().await;
        assert!(life.pool_and_epoch().1 <= 7, "nothing moves by itself");
    });
}

#[test]
fn scenario_14_the_driver_s_clock_jumps() {
    in_some_lives(|seed| async move {
        for by in [3_600_000, -600_000] {
            // In each of its states: it prepares for a moment, and verifies and drains for seconds.
            for after in [0, 20, 40, 60, 150, 1000, 2500, 4000] {
                let life = founded(seed).await;
                life.begin(0, Kind::Switchover, 1);
                sleep(Duration::from_millis(after)).await;
                clock::jump(0, by);
                life.ends(1, State::Done).await;
                life.is_on(1, 2);
                life.settles().await;
            }
        }
    });
}

#[test]
fn servers_inside_that_do_not_answer_refuse_a_plan_in_bounded_time() {
    in_some_lives(|seed| async move {
        let life = founded(seed).await;
        let planned = async |accept: &[&str]| {
            let accept = accept.iter().map(|code| (*code).to_owned()).collect();
            let wish = Wish { kind: Kind::Switchover, to: Some(Layout::pool(1)), accept };
            let plan = life.controllers[&0].moves.plan(&wish).await.expect("a plan");
            plan.refusals().map(|condition| condition.code.clone()).collect::<Vec<_>>()
        };
        assert_eq!(planned(&[]).await, [""; 0]);
        life.ground.field().inside_is_down = true;
        // By then what was seen counts no more.
        sleep(Duration::from_secs(3)).await;
        let began = Instant::now();
        assert_eq!(planned(&[]).await, ["next-hops"]);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(planned(&["next-hops"]).await, [""; 0]);
    });
}

#[test]
fn scenario_18_the_driver_dies_after_the_members_were_told_and_never_comes_back() {
    in_some_lives(|seed| async move {
        let life = founded(seed).await;
        life.controllers[&0].keeper.effects.halts_at(Halt { at: 2, moment: Moment::After, ends: true });
        life.begin(0, Kind::Switchover, 1);
        life.has_halted().await;
        life.ends(1, State::Done).await;
        life.settles().await;
        let drained = life.ground.field().drained.clone();
        let once: Vec<(String, u64)> = life.layout.edges(0).into_iter().map(|edge| (edge, 2)).collect();
        assert_eq!(drained.keys().cloned().collect::<Vec<_>>(), once);
        assert!(drained.values().all(|times| *times == 1), "{drained:?}");
    });
}

#[test]
fn scenario_22_the_target_dies_between_ready_and_the_commit() {
    in_some_lives(|seed| async move {
        let at = commit_of(seed).await;
        let mut life = founded(seed).await;
        life.halts_at_the_commit(at, Moment::Before, true);
        life.begin(0, Kind::Switchover, 1);
        life.has_halted().await;
        life.dies(1);
        // Who goes on hasn't seen what was ready, and looks itself.
        life.ends(1, State::RolledBack).await;
        life.is_on(0, 1);
        life.heal();
        life.settles().await;
    });
}

#[test]
fn scenario_22_the_target_is_cut_off_from_outside_between_ready_and_the_commit() {
    in_some_lives(|seed| async move {
        let at = commit_of(seed).await;
        let mut life = founded(seed).await;
        // The second controller has seen that it answers.
        let probed = Wish { kind: Kind::Failover, to: Some(Layout::pool(1)), accept: Vec::new() };
        life.controllers[&1].begin(probed, false, "ben");
        life.awaits("refused", |life| life.trace.text().contains("refused: old-dead")).await;
        sleep(Duration::from_secs(15)).await;
        life.halts_at_the_commit(at, Moment::Before, true);
        life.begin(0, Kind::Switchover, 1);
        life.has_halted().await;
        life.ground.field().closed.extend(life.layout.edges(1));
        life.controllers[&1].resume(1, "ben");
        life.ends(1, State::RolledBack).await;
        life.is_on(0, 1);
        life.heal();
        life.settles().await;
    });
}

#[test]
fn a_witness_is_enough_where_nobody_else_is_left_and_alone_refuses_nothing() {
    in_some_lives(|seed| async move {
        let layout = Layout { pools: vec![1, 1], witness: true, ..Layout::usual() };
        let life = Life::found(layout, seed).await;
        sleep(Duration::from_secs(3)).await;
        life.dies(0);
        let sees = |sees: bool| {
            let blind = if sees { Vec::new() } else { vec![WITNESS.to_owned()] };
            life.ground.field().blind = blind.into_iter().collect();
        };
        let wish = Wish { kind: Kind::Failover, to: Some(Layout::pool(1)), accept: vec!["old-reached".to_owned()] };
        // Its word alone isn't enough to say that nobody gets in, but nobody says that somebody does.
        sees(false);
        life.controllers[&0].begin(wish.clone(), false, "anna");
        life.awaits("refused", |life| life.trace.text().contains("refused: target-port")).await;
        sees(true);
        sleep(Duration::from_secs(3)).await;
        life.controllers[&0].begin(wish, false, "anna");
        life.ends(1, State::Done).await;
        life.is_on(1, 2);
        life.comes_back(0);
        life.settles().await;
        // Now there is somebody who sees otherwise.
        sees(false);
        life.begin(1, Kind::Switchover, 0);
        life.ends(2, State::Done).await;
        life.is_on(0, 3);
        sees(true);
        life.settles().await;
    });
}

#[test]
fn a_target_that_is_taken_out_of_the_topology_before_the_commit_does_not_become_the_route() {
    in_some_lives(|seed| async move {
        let at = commit_of(seed).await;
        let layout = Layout { pools: vec![2, 2, 1], declared: 3, ..Layout::usual() };
        let mut life = Life::found(layout, seed).await;
        sleep(Duration::from_secs(3)).await;
        life.halts_at_the_commit(at, Moment::Before, false);
        life.begin(0, Kind::Switchover, 2);
        life.has_halted().await;
        life.layout.declared = 2;
        life.controllers[&1].publish(&life.layout, "carla");
        life.awaits("published", |life| !life.judge.declares("edge3a.contoso.test")).await;
        life.controllers[&0].process.resume();
        life.ends(1, State::RolledBack).await;
        life.is_on(0, 1);
        life.settles().await;
    });
}

#[test]
fn scenario_22_the_target_dies_between_the_commit_and_its_verification() {
    in_some_lives(|seed| async move {
        let mut life = founded(seed).await;
        life.begin(0, Kind::Switchover, 1);
        life.awaits("committed", |life| life.pool_and_epoch().1 == 2).await;
        life.dies(1);
        // By a new operation with an epoch of its own.
        life.awaits("taken back", |life| life.pool_and_epoch().1 == 3).await;
        life.ends(2, State::Done).await;
        assert_eq!(life.state(1), Some(State::Superseded));
        life.is_on(0, 3);
        life.heal();
        life.settles().await;

        // Where the old pool is dead, too, there is nothing to go back to.
        let mut life = founded(seed).await;
        life.begin(0, Kind::Switchover, 1);
        life.awaits("committed", |life| life.pool_and_epoch().1 == 2).await;
        life.dies(0);
        life.dies(1);
        life.awaits("degraded", |life| life.state(1) == Some(State::Degraded)).await;
        life.is_on(1, 2);
        life.heal();
        life.ends(1, State::Done).await;
        life.settles().await;
    });
}

#[test]
fn scenario_23_a_failover_while_the_old_pool_of_a_switchover_drains() {
    in_some_lives(|seed| async move {
        let mut life = founded(seed).await;
        life.ground.field().longest_drain = 20_000;
        life.begin(0, Kind::Switchover, 1);
        life.awaits("draining", |life| life.state(1) == Some(State::Draining)).await;
        sleep(Duration::from_secs(1)).await;
        life.dies(1);
        life.begin(1, Kind::Failover, 0);
        life.ends(2, State::Done).await;
        assert_eq!(life.state(1), Some(State::Superseded), "{}", life.trace.text());
        life.is_on(0, 3);
        let states: Vec<ServiceState> = {
            let field = life.ground.field();
            life.layout.edges(0).iter().map(|edge| field.members[edge].service.state).collect()
        };
        assert_eq!(states, [ServiceState::Running; 2]);
        life.heal();
        life.settles().await;
    });
}

#[test]
fn scenario_25_controllers_of_two_versions_drive_one_after_the_other() {
    in_some_lives(|seed| async move {
        let life = founded(seed).await;
        life.controllers[&0].keeper.effects.halts_at(Halt { at: 1, moment: Moment::Before, ends: true });
        life.begin(0, Kind::Switchover, 1);
        life.has_halted().await;
        // It was of a version that writes more than this one knows.
        let founder = Ledger::new(Arc::new(life.shelf.memory.clone()), "later", 0, clock::CLOCKS[0]).expect("a name");
        for key in [records::route(), records::operation(1)] {
            let (record, expect) = founder.one::<serde_json::Value>(&key).await.expect("it can be read");
            let mut record = record.expect("it is there");
            record["of_a_later_version"] = serde_json::json!({ "what": "nobody knows" });
            let put = Transaction::new().expect(key.clone(), expect).put(key, record.to_string());
            founder.put(&put).await.expect("nobody else writes there");
        }
        life.ends(1, State::Done).await;
        life.is_on(1, 2);
        life.settles().await;
    });
}

/// As [`commit`], from within another life: on a thread of its own, since each life has its thread's clocks.
async fn commit_of(seed: u64) -> u64 {
    std::thread::spawn(move || commit(seed)).join().expect("it is committed")
}

/// Nobody moves the route, and nobody has to: gateways use the other pool by themselves, which rests, and wakes for them.
#[test]
fn a_pool_that_rests_wakes_when_the_one_with_the_route_dies() {
    in_some_lives(|seed| async move {
        let life = founded(seed).await;
        life.begin(0, Kind::Switchover, 1);
        life.awaits("begun", |life| life.state(1).is_some()).await;
        life.ends(1, State::Done).await;
        let edges = life.layout.edges(0);
        let serving = |life: &Life| edges.iter().all(|edge| life.ground.field().serves(edge));
        assert!(!serving(&life), "they rest");
        life.dies(1);
        assert!(life.until(Duration::from_secs(2), serving).await, "{}", life.trace.text());
        life.is_on(1, 2);
        life.comes_back(1);
        life.settles().await;
    });
}
