//! One simulated installation: who there is, what happens when, by seed, and how it has to end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::local::ServiceAction;
use api::route::{Kind, State, Wish};
use store::Memory;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::clock;
use super::controller::Controller;
use super::edge;
use super::ground::Ground;
use super::judge::Judge;
use super::keeper::INSTALLATION;
use super::layout::{Layout, Zoned};
use super::names::{Names, Way};
use super::process::Process;
use super::random::Random;
use super::shelf::{Line, Shelf, Weather};
use super::trace::Trace;
use crate::ledger::Ledger;
use crate::publish;
use crate::route::drive::TAKING_BACK;
use crate::route::operation::Operation;
use crate::zones::{self, apply};

/// For every operation to come to rest, once everybody is there again.
const REST: Duration = Duration::from_secs(60);
/// Everything that a failover may be begun without.
pub(super) const ALL: [&str; 11] = TAKING_BACK;

/// An installation.
pub(super) struct Life {
    pub(super) random: Random,
    pub(super) trace: Trace,
    pub(super) layout: Layout,
    pub(super) ground: Ground,
    pub(super) names: Names,
    pub(super) shelf: Shelf,
    pub(super) judge: Arc<Judge>,
    pub(super) controllers: BTreeMap<usize, Controller>,
    lives: u64,
    /// What is to happen later.
    pub(super) plots: JoinSet<()>,
}

/// Somebody changes the zone when he gets round to it.
async fn by_hand(names: Names, judge: Arc<Judge>, random: Random) {
    loop {
        sleep(random.milliseconds(500, 20_000)).await;
        let current = publish::current(&judge.ledger).await.expect("the store").expect("a topology");
        zones::wanted(&current, INSTALLATION).iter().for_each(|contents| names.change_by_hand(contents));
    }
}

/// What came of a life.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) begun: u64,
    pub(super) epochs: u64,
    pub(super) ends: BTreeMap<&'static str, u64>,
    pub(super) trace: String,
}

impl Life {
    /// One in which nothing happens by itself.
    pub(super) async fn found(layout: Layout, seed: u64) -> Life {
        clock::begin();
        let (random, trace, memory) = (Random::new(seed), Trace::default(), Memory::new());
        let names = Names::new(random.clone(), trace.clone());
        let judge = Arc::new(Judge::new(&memory, trace.clone(), names.clone()));
        let shelf = Shelf::new(memory, judge.clone(), random.clone());
        let ground = Ground::new(&layout, random.clone(), trace.clone());
        let process = Process::new();
        let line = Line::new(shelf.clone(), "founder", 0, process.clone(), false);
        let ledger = Ledger::new(Arc::new(line), "founder", 0, clock::CLOCKS[0]).expect("a name");
        publish::publish(&ledger, "anna", &layout.document(), None, "the first").await.expect("it is good");
        let current = publish::current(&ledger).await.expect("the store").expect("a topology");
        for contents in zones::wanted(&current, INSTALLATION) {
            let way = Way::new(&names, &ground, &process, None, "founder");
            // A reply may be lost.
            while let Err(error) = apply::apply(&ledger, &way, &contents, false, ("anna", "the first")).await {
                trace.say(error);
            }
            if layout.zone == Zoned::ByHand {
                names.change_by_hand(&contents);
                tokio::spawn(by_hand(names.clone(), judge.clone(), random.clone()));
            }
        }
        for fqdn in ground.names() {
            ground.start(&fqdn);
        }
        tokio::spawn(ground.clone().live());
        let plots = JoinSet::new();
        let mut life =
            Life { random, trace, layout, ground, names, shelf, judge, controllers: BTreeMap::new(), lives: 0, plots };
        for number in 0..life.layout.controllers {
            life.start(number);
        }
        life
    }

    /// Everything by this seed.
    ///
    /// # Errors
    /// What went wrong, and all that happened.
    pub(super) async fn live(seed: u64) -> Result<Summary, String> {
        let layout = Layout::random(&Random::new(seed));
        let mut life = Life::found(layout, seed).await;
        let lived = life.go_through_it().await;
        let trace = life.trace.text();
        match lived.err().or(life.trace.fault()) {
            Some(fault) => Err(format!("{fault}\n{trace}")),
            None => Ok(Summary {
                begun: life.judge.begun(),
                epochs: life.judge.route().map(|route| route.epoch).unwrap_or_default(),
                ends: life.judge.ends(),
                trace,
            }),
        }
    }

    async fn go_through_it(&mut self) -> Result<(), String> {
        sleep(Duration::from_secs(2)).await;
        for _ in 0..self.random.between(10, 60) {
            let pause = match self.random.below(10) {
                0 => self.random.milliseconds(5_000, 30_000),
                1..4 => self.random.milliseconds(0, 100),
                _ => self.random.milliseconds(0, 4_000),
            };
            sleep(pause).await;
            let event = self.happen();
            self.trace.say(format_args!("* {event}"));
            if let Some(fault) = self.trace.fault() {
                return Err(fault);
            }
        }
        self.heal();
        self.rests(REST).await?;
        // What somebody was asked before may be done only now.
        sleep(Duration::from_secs(10)).await;
        self.start_services();
        self.rests(REST).await?;
        sleep(Duration::from_secs(10)).await;
        self.rests(REST).await?;
        self.settled().await
    }

    /// An administrator wants the route on the pool with that number, and accepts what can be accepted.
    pub(super) fn begin(&self, controller: usize, kind: Kind, to: usize) {
        let wish = Wish { kind, to: Some(Layout::pool(to)), accept: ALL.map(str::to_owned).to_vec() };
        self.controllers[&controller].begin(wish, false, "anna");
    }

    /// Waits until this is so; says whether it has become so.
    pub(super) async fn until(&self, within: Duration, is_so: impl Fn(&Life) -> bool) -> bool {
        let began = Instant::now();
        while !is_so(self) {
            if began.elapsed() >= within {
                return false;
            }
            sleep(Duration::from_millis(10)).await;
        }
        true
    }

    /// How the operation with that number stands.
    pub(super) fn state(&self, number: u64) -> Option<State> {
        self.judge.numbered(number).map(|operation| operation.state)
    }

    /// Whether the operation with that number is over.
    pub(super) fn is_over(&self, number: u64) -> bool {
        self.state(number).is_some_and(State::is_over)
    }

    /// A controller's process starts.
    pub(super) fn start(&mut self, number: usize) {
        self.lives += 1;
        let deaf = self.random.percent(10);
        let controller = Controller::start((&self.ground, &self.names), &self.shelf, number, self.lives, deaf);
        self.controllers.insert(number, controller);
    }

    pub(super) fn kill(&mut self, number: usize) {
        if let Some(controller) = self.controllers.remove(&number) {
            controller.process.kill();
        }
    }

    /// Those that have ended by themselves are gone.
    pub(super) fn bury(&mut self) {
        self.controllers.retain(|_, controller| !controller.process.is_killed());
    }

    /// Whether nothing is left to do, or only what somebody else has to.
    ///
    /// # Errors
    /// What still goes on then.
    pub(super) async fn rests(&self, within: Duration) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let operation = self.judge.operation();
            if let Some(fault) = self.trace.fault() {
                return Err(fault);
            }
            if operation.as_ref().is_none_or(|operation| self.may_rest(operation)) {
                return Ok(());
            }
            if began.elapsed() >= within {
                return Err(format!("it doesn't come to rest within {} s: {operation:#?}", within.as_secs()));
            }
            sleep(Duration::from_millis(250)).await;
        }
    }

    /// It waits for an administrator, and says for what.
    fn may_rest(&self, operation: &Operation) -> bool {
        let said = operation.waits.as_ref().is_some_and(|waits| !waits.is_empty());
        let field = self.ground.field();
        let mut edges = field.members.values().filter(|member| member.pool.as_ref() == Some(&operation.to));
        let stopped = edges.all(|edge| edge.service.stopped);
        said && stopped && matches!(operation.state, State::Verifying | State::Degraded)
    }

    /// Everybody is there, and reaches everybody.
    pub(super) fn heal(&mut self) {
        self.trace.say("* all is well again");
        self.bury();
        self.plots.abort_all();
        self.shelf.becomes(Weather::FAIR);
        self.names.heal();
        {
            let mut field = self.ground.field();
            field.cuts.clear();
            field.closed.clear();
            field.blind.clear();
            field.full.clear();
            field.quiet = false;
            field.inside_is_down = false;
            let frozen = field.members.values().filter_map(|member| member.process.as_ref());
            frozen.for_each(Process::resume);
        }
        for fqdn in self.ground.names() {
            self.ground.start(&fqdn);
        }
        for number in 0..self.layout.controllers {
            match self.controllers.get(&number) {
                Some(controller) => {
                    controller.line.heal();
                    controller.keeper.effects.heal();
                    controller.process.resume();
                }
                None => self.start(number),
            }
        }
    }

    fn start_services(&self) {
        self.trace.say("* an administrator starts all services");
        for fqdn in self.ground.names() {
            self.service(&fqdn, ServiceAction::Start);
        }
    }

    pub(super) fn service(&self, fqdn: &str, action: ServiceAction) {
        let (ground, fqdn) = (self.ground.clone(), fqdn.to_owned());
        tokio::spawn(async move { edge::order(&ground, "desk", &fqdn, (action, None)).await });
    }

    /// How it must be in the end.
    ///
    /// # Errors
    /// What isn't so.
    pub(super) async fn settled(&self) -> Result<(), String> {
        // A controller may be deaf to hints, and looks at the store every few seconds; a member may have to be dialed again.
        sleep(Duration::from_secs(15)).await;
        self.judge.audited().await?;
        let route = self.judge.route().ok_or("there is no route")?;
        let field = self.ground.field();
        for (fqdn, member) in field.members.iter().filter(|(fqdn, _)| self.judge.declares(fqdn)) {
            let Some(head) = &member.applied else { return Err(format!("{fqdn} goes by nothing")) };
            let route = (route.epoch, route.pool.as_str());
            if (head.route.epoch, head.route.pool.as_str()) != route {
                return Err(format!("{fqdn} goes by {:?}, and the route is {route:?}", head.route));
            }
            let routed = member.pool.as_deref() == Some(route.1);
            if routed && !field.serves(fqdn) {
                return Err(format!("{fqdn} is {}, and its pool has the route", member.service.state));
            }
        }
        drop(field);
        let epochs = self.names.epochs();
        if self.judge.is_done(route.epoch) && epochs.iter().any(|epoch| *epoch != route.epoch) {
            return Err(format!("epoch {} is done, and DNS has {epochs:?}", route.epoch));
        }
        match self.trace.fault() {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }
}
