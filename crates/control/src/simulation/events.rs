//! What happens in a life by chance: administrators, troubles, and stories that hardly come about by themselves.

use std::time::Duration;

use api::local::ServiceAction;
use api::route::{Kind, Move, Wish};
use tokio::time::sleep;

use super::clock;
use super::controller::Controller;
use super::layout::{Layout, WITNESS};
use super::life::{ALL, Life};
use super::process::{Halt, Moment};
use super::shelf::Weather;

/// Who administrates.
const WHO: [&str; 2] = ["anna", "ben"];

impl Life {
    fn any_controller(&self) -> Option<&Controller> {
        let numbers: Vec<usize> = self.controllers.keys().copied().collect();
        self.controllers.get(&self.random.of(&numbers)?)
    }

    fn any_member(&self) -> String {
        self.random.of(&self.ground.names()).unwrap_or_default()
    }

    fn any_edge(&self) -> String {
        let pool = usize::try_from(self.random.below(self.layout.pools.len() as u64)).unwrap_or_default();
        self.random.of(&self.layout.edges(pool)).unwrap_or_default()
    }

    /// Something happens, and is told.
    pub(super) fn happen(&mut self) -> String {
        self.bury();
        match self.random.below(100) {
            0..30 => self.administrate(),
            30..42 => self.tell_a_story(),
            42..45 => self.change_services(),
            45..48 => self.publish(),
            48..66 => self.trouble_controllers(),
            66..76 => self.trouble_members(),
            76..84 => self.trouble_ways(),
            84..90 => self.trouble_the_store(),
            93..96 => self.trouble_names(),
            90..92 => {
                let quiet = self.random.percent(50);
                self.ground.field().quiet = quiet;
                format!("partners {}", if quiet { "say nothing" } else { "talk" })
            }
            92 => {
                let down = self.random.percent(50);
                self.ground.field().inside_is_down = down;
                format!("the servers inside {}", if down { "don't answer" } else { "answer" })
            }
            _ => {
                self.heal();
                "nothing else".to_owned()
            }
        }
    }

    /// What happens together.
    fn tell_a_story(&mut self) -> String {
        let routed = self.judge.route().map(|route| route.pool).unwrap_or_default();
        let pools = self.layout.all_pools();
        let other = self.random.of(&pools.iter().filter(|pool| **pool != routed).cloned().collect::<Vec<_>>());
        let other = other.unwrap_or_default();
        let at = |pool: &str| pools.iter().position(|known| known == pool).unwrap_or_default();
        let (old, new) = (self.layout.edges(at(&routed)), self.layout.edges(at(&other)));
        let wish = |kind, to: &str| Wish { kind, to: Some(to.to_owned()), accept: ALL.map(str::to_owned).to_vec() };
        let numbers: Vec<usize> = self.controllers.keys().copied().collect();
        let one = || self.random.of(&numbers).and_then(|number| self.controllers.get(&number));
        let (Some(controller), Some(second)) = (one(), one()) else { return "nobody is there".to_owned() };
        match self.random.below(7) {
            0 => {
                controller.begin(wish(Kind::Switchover, &other), false, "anna");
                let elsewhere = self.random.of(&pools).unwrap_or_default();
                second.begin(wish(Kind::Failover, &elsewhere), false, "ben");
                format!("anna wants {other} and ben {elsewhere} in the same moment")
            }
            1 => {
                controller.begin(wish(Kind::Switchover, &other), false, "anna");
                let (number, judge) = (self.judge.begun() + 1, self.judge.clone());
                let (pause, moves) = (self.random.milliseconds(0, 40), controller.moves.clone());
                controller.asked(async move {
                    while judge.begun() < number {
                        sleep(Duration::from_millis(5)).await;
                    }
                    sleep(pause).await;
                    moves.abort(number, "anna").await.map_or_else(|error| error.to_string(), |_| "aborted".to_owned())
                });
                "anna begins and aborts".to_owned()
            }
            2 => {
                old.iter().for_each(|edge| self.ground.kill(edge));
                controller.begin(wish(Kind::Failover, &other), false, "ben");
                format!("{routed} dies, and ben fails over to {other}")
            }
            3 => {
                for edge in &old {
                    self.layout.all_controllers().iter().for_each(|from| self.ground.cut(from, edge));
                    self.layout.gateways().iter().for_each(|from| self.ground.cut(from, edge));
                    self.ground.field().closed.insert(edge.clone());
                }
                controller.begin(wish(Kind::Failover, &other), false, "ben");
                format!("{routed} vanishes, and ben fails over to {other}")
            }
            4 => {
                new.iter().for_each(|edge| self.service(edge, ServiceAction::Stop));
                controller.begin(wish(Kind::Failover, &other), false, "anna");
                format!("anna stops the services of {other} and moves the route there")
            }
            5 => {
                controller.begin(wish(Kind::Switchover, &other), false, "anna");
                let soon = self.random.percent(50);
                let pause = self.random.milliseconds(0, if soon { 60 } else { 8000 });
                let (ground, judge, number) = (self.ground.clone(), self.judge.clone(), self.judge.begun() + 1);
                self.plots.spawn(async move {
                    while judge.begun() < number {
                        sleep(Duration::from_millis(5)).await;
                    }
                    sleep(pause).await;
                    ground.trace.say("* the target of the switchover dies");
                    new.iter().for_each(|edge| ground.kill(edge));
                });
                format!("anna switches over to {other}, which will die")
            }
            _ => {
                controller.begin(wish(Kind::Switchover, &other), false, "anna");
                let (moves, back, pause) =
                    (controller.moves.clone(), routed.clone(), self.random.milliseconds(500, 12_000));
                let wish = wish(Kind::Switchover, &back);
                controller.asked(async move {
                    sleep(pause).await;
                    let asked = Move { wish, plan: None, why: String::new() };
                    let begun = moves.begin(&asked, "anna").await;
                    begun.map_or_else(|error| error.to_string(), |begun| format!("back: {:?}", begun.operation))
                });
                format!("anna switches over to {other} and back soon")
            }
        }
    }

    fn administrate(&self) -> String {
        let who = self.random.of(&WHO).unwrap_or_default();
        let Some(controller) = self.any_controller() else { return "nobody is there to ask".to_owned() };
        let operation = self.judge.operation().map(|operation| operation.number);
        let last = self.judge.begun();
        match (self.random.below(10), operation) {
            (0, number) => {
                let number = number.unwrap_or(last);
                controller.abort(number, who);
                format!("{who} aborts operation {number} at {}", controller.fqdn)
            }
            (1, number) => {
                let number = number.unwrap_or(last);
                controller.resume(number, who);
                format!("{who} resumes operation {number} at {}", controller.fqdn)
            }
            _ => {
                let kind =
                    self.random.of(&[Kind::Switchover, Kind::Failover, Kind::Failback]).unwrap_or(Kind::Failback);
                let routed = self.judge.route().map(|route| route.pool);
                let mut pools = self.layout.all_pools();
                if self.random.percent(90) {
                    pools.retain(|pool| Some(pool) != routed.as_ref());
                }
                let to = self.random.of(&pools).filter(|_| kind != Kind::Failback);
                let accept = if self.random.percent(80) { ALL.map(str::to_owned).to_vec() } else { Vec::new() };
                let planned = self.random.percent(30);
                let told = format!("{who} wants a {kind} to {to:?} at {}", controller.fqdn);
                controller.begin(Wish { kind, to, accept }, planned, who);
                told
            }
        }
    }

    fn change_services(&self) -> String {
        let edge = self.any_edge();
        let action = self
            .random
            .of(&[ServiceAction::Start, ServiceAction::Stop, ServiceAction::Drain])
            .unwrap_or(ServiceAction::Start);
        self.service(&edge, action);
        format!("{edge}'s service: {action:?}")
    }

    fn publish(&mut self) -> String {
        self.layout.partners = self.random.between(1, 3);
        self.layout.declared = if self.random.percent(70) { self.layout.pools.len() } else { 2 };
        let Some(controller) = self.any_controller() else { return "nobody is there to publish".to_owned() };
        controller.publish(&self.layout, "carla");
        format!("carla publishes {} pools at {}", self.layout.declared, controller.fqdn)
    }

    fn trouble_controllers(&mut self) -> String {
        let number = usize::try_from(self.random.below(self.layout.controllers as u64)).unwrap_or_default();
        let fqdn = Layout::controller(number);
        let Some(controller) = self.controllers.get(&number) else {
            self.start(number);
            return format!("{fqdn} starts");
        };
        match self.random.below(8) {
            5.. => {
                let moment = if self.random.percent(50) { Moment::Before } else { Moment::After };
                let halt = |at: u64| Halt { at, moment, ends: self.random.percent(50) };
                let further = self.random.between(1, 8);
                if self.random.percent(30) {
                    controller.keeper.effects.halts_at(halt(controller.keeper.effects.count() + 1));
                    return format!("{fqdn} is to halt {moment:?} its next drain");
                }
                controller.line.halts_at(halt(controller.line.asked() + further));
                format!("{fqdn} is to halt {moment:?} its {further}th transaction from now on")
            }
            0 | 1 => {
                self.kill(number);
                format!("{fqdn} is killed")
            }
            2 | 3 if controller.process.is_paused() => {
                controller.process.resume();
                format!("{fqdn} goes on")
            }
            2 | 3 => {
                controller.process.pause();
                format!("{fqdn} is paused")
            }
            _ => {
                let by = self.random.of(&[3_600_000, -600_000, 1_000, -5_000]).unwrap_or_default();
                clock::jump(number, by);
                format!("{fqdn}'s clock jumps by {by} ms")
            }
        }
    }

    fn trouble_members(&mut self) -> String {
        let fqdn = self.any_member();
        let Some(process) = self.ground.process(&fqdn) else {
            if self.random.percent(20) {
                self.ground.restore(&fqdn);
                self.ground.start(&fqdn);
                return format!("{fqdn} starts from a backup");
            }
            self.ground.start(&fqdn);
            return format!("{fqdn} starts");
        };
        match self.random.below(7) {
            6 => {
                let mut field = self.ground.field();
                let room = field.full.remove(&fqdn);
                if !room {
                    field.full.insert(fqdn.clone());
                }
                format!("{fqdn}'s disk {}", if room { "has room" } else { "is full" })
            }
            0..3 => {
                self.ground.kill(&fqdn);
                format!("{fqdn} is killed")
            }
            3 => {
                self.ground.back_up(&fqdn);
                format!("{fqdn} is backed up")
            }
            _ if process.is_paused() => {
                process.resume();
                format!("{fqdn} thaws")
            }
            _ => {
                process.pause();
                format!("{fqdn} freezes")
            }
        }
    }

    fn trouble_ways(&self) -> String {
        let edge = self.any_edge();
        let controllers = self.layout.all_controllers();
        let (from, to) = match self.random.below(4) {
            0 if self.layout.witness && self.random.percent(30) => {
                let mut field = self.ground.field();
                let sees = field.blind.remove(WITNESS);
                if !sees {
                    field.blind.insert(WITNESS.to_owned());
                }
                return format!("{WITNESS} {}", if sees { "sees again" } else { "loses its own way out" });
            }
            0 => {
                let mut field = self.ground.field();
                let open = field.closed.remove(&edge);
                if !open {
                    field.closed.insert(edge.clone());
                }
                return format!("{edge} is {}reached from outside", if open { "" } else { "not " });
            }
            1 => (self.random.of(&self.layout.gateways()).unwrap_or_default(), edge),
            2 => (self.random.of(&controllers).unwrap_or_default(), edge),
            _ => (self.random.of(&controllers).unwrap_or_default(), self.any_member()),
        };
        let cut = self.ground.field().is_cut(&from, &to);
        if cut {
            self.ground.join(&from, &to);
        } else {
            self.ground.cut(&from, &to);
        }
        format!("{from} and {to} are {}", if cut { "joined" } else { "cut" })
    }

    fn trouble_names(&self) -> String {
        let mut served = self.names.served();
        match self.random.below(5) {
            0 => {
                served.refuses = !served.refuses;
                format!("the primary {} updates", if served.refuses { "refuses" } else { "takes" })
            }
            1 => {
                drop(served);
                let Some(controller) = self.any_controller() else { return "nobody is there to apply".to_owned() };
                controller.apply("carla");
                format!("carla applies zones at {}", controller.fqdn)
            }
            2 => {
                served.longest = self.random.of(&[50, 500, 20_000]).unwrap_or_default();
                format!("the secondary takes up to {} ms", served.longest)
            }
            _ => {
                let number = usize::try_from(self.random.below(2)).unwrap_or_default();
                served.down[number] = !served.down[number];
                format!("name server {number} is {}", if served.down[number] { "gone" } else { "there" })
            }
        }
    }

    fn trouble_the_store(&self) -> String {
        match self.random.below(3) {
            0 => {
                let Some(controller) = self.any_controller() else { return "nobody is there to be cut off".to_owned() };
                let cut = !controller.line.is_cut();
                controller.line.cut(cut);
                format!("{} {} the store", controller.fqdn, if cut { "loses" } else { "has" })
            }
            1 => {
                self.shelf.becomes(Weather::FAIR);
                "the store is well".to_owned()
            }
            _ => {
                let weather = Weather {
                    slow: self.random.between(3, 400),
                    refused: self.random.between(0, 20),
                    lost: self.random.between(0, 20),
                };
                self.shelf.becomes(weather);
                format!("the store has {weather:?}")
            }
        }
    }
}
