//! The name servers of a simulation: a primary that compares and sets, a secondary that is late, a zone that somebody changes by
//! hand, and a dns server of ours; and what must be so of whatever they answer.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use topology::records::{Change, Contents, Mark};
use topology::zone::Zone;

use super::ground::Ground;
use super::keeper::Keeper;
use super::layout::NAME_SERVERS;
use super::process::{Moment, Process};
use super::random::Random;
use super::trace::Trace;
use crate::route::operation::Operation;
use crate::zones::testing::changed;
use crate::zones::{Answering, NameServers, Seen, Unwritten};

/// For an answer that doesn't come.
const ANSWER: Duration = Duration::from_secs(4);

/// Copies are the same name servers.
#[derive(Debug, Clone)]
pub(super) struct Names {
    random: Random,
    trace: Trace,
    field: Arc<Mutex<Served>>,
}

/// What they have.
#[derive(Debug, Default)]
pub(super) struct Served {
    /// The primary's, and the secondary's.
    zones: [Seen; 2],
    /// Those that don't answer.
    pub(super) down: [bool; 2],
    /// The primary refuses all updates.
    pub(super) refuses: bool,
    /// How long the secondary takes at most, in milliseconds.
    pub(super) longest: u64,
    /// Of a hundred updates, those that are on their way for a while, and those whose reply is lost.
    pub(super) troubled: u64,
    /// How long the next update is on its way.
    pub(super) delays: Option<Duration>,
}

impl Names {
    pub(super) fn new(random: Random, trace: Trace) -> Names {
        let field = Served { longest: 500, troubled: 5, ..Served::default() };
        Names { random, trace, field: Arc::new(Mutex::new(field)) }
    }

    pub(super) fn served(&self) -> MutexGuard<'_, Served> {
        self.field.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody who knows nothing of marks has both name servers hold this.
    pub(super) fn change_by_hand(&self, contents: &Contents) {
        let mut served = self.served();
        for server in 0..2 {
            if served.zones[server].sets != contents.sets {
                self.trace.say(format_args!("somebody changes the zone on name server {server}: {}", contents.mark));
            }
            served.zones[server] = Seen { mark: None, sets: contents.sets.clone() };
        }
    }

    /// All of them are there, and take what they are told.
    pub(super) fn heal(&self) {
        let mut served = self.served();
        (served.down, served.refuses) = ([false; 2], false);
        drop(served);
        self.follow();
    }

    /// The secondary is told that there is something new.
    fn follow(&self) {
        let names = self.clone();
        let pause = self.random.milliseconds(0, self.served().longest);
        tokio::spawn(async move {
            sleep(pause).await;
            let mut served = names.served();
            if served.down == [false; 2] {
                let (before, after) = (served.zones[1].clone(), served.zones[0].clone());
                if before != after {
                    names.trace.say(format_args!("the secondary has {}", told(&after)));
                }
                if later(&before, &after) {
                    names.trace.wrong(format_args!(
                        "the secondary goes back from {} to {}",
                        told(&before),
                        told(&after)
                    ));
                }
                served.zones[1] = after;
            }
        });
    }

    /// An update comes.
    async fn update(&self, contents: &Contents, before: Option<&Mark>, changes: &[Change]) -> Result<(), Unwritten> {
        // Most come at once; some are on their way for a while.
        let way = if self.random.percent(self.served().troubled) { 3000 } else { 20 };
        let way = self.served().delays.take().unwrap_or_else(|| self.random.milliseconds(0, way));
        sleep(way).await;
        {
            let mut served = self.served();
            if served.down[0] {
                return Err(Unwritten::Refused("nothing came".to_owned()));
            }
            if served.refuses {
                return Err(Unwritten::Refused("REFUSED".to_owned()));
            }
            if served.zones[0].mark.as_ref().map(Result::as_ref) != before.map(Ok) {
                self.trace.say(format_args!("an update comes too late: {}", contents.mark));
                return Err(Unwritten::Overtaken);
            }
            let after = changed(served.zones[0].clone(), changes, &contents.mark);
            self.trace.say(format_args!("the primary has {}", told(&after)));
            if later(&served.zones[0], &after) {
                self.trace.wrong(format_args!("the primary goes back to {}", told(&after)));
            }
            self.judge(&after, contents);
            served.zones[0] = after;
        }
        self.follow();
        let lost = self.random.percent(self.served().troubled);
        if lost {
            sleep(ANSWER).await;
            return Err(Unwritten::Refused("the reply was lost".to_owned()));
        }
        Ok(())
    }

    /// Never an empty set, never one that isn't what its mark says, and all lead to one pool first.
    fn judge(&self, seen: &Seen, contents: &Contents) {
        let says = |set: &topology::records::RecordSet| contents.sets.iter().any(|wanted| wanted.says(set));
        let whole = seen.sets.len() == contents.sets.len() && seen.sets.iter().all(says);
        if !whole
            || seen.sets.is_empty()
            || seen.sets.iter().any(|set| set.values.is_empty())
            || firsts(seen).len() != 1
        {
            self.trace.wrong(format_args!("the zone has {:?} with {}", seen.sets, told(seen)));
        }
    }

    /// The epochs of the marks that they have.
    pub(super) fn epochs(&self) -> Vec<u64> {
        let served = self.served();
        served.zones.iter().filter_map(|seen| Some(seen.mark.as_ref()?.as_ref().ok()?.epoch)).collect()
    }

    /// What is wrong where an operation goes on as if all of them answered it.
    pub(super) fn lag_behind(&self, operation: &Operation) -> Option<String> {
        let served = self.served();
        let is_behind = |seen: &Seen| match &seen.mark {
            Some(Ok(mark)) => mark.epoch < operation.epoch,
            Some(Err(_)) => true,
            None => !firsts(seen).contains(&operation.to),
        };
        let behind = served.zones.iter().any(|seen| !seen.sets.is_empty() && is_behind(seen));
        behind.then(|| format!("operation {} is {}, and DNS has {:?}", operation.number, operation.state, served.zones))
    }
}

/// The targets that come first at some name.
fn firsts(seen: &Seen) -> BTreeSet<String> {
    let services = seen.sets.iter().filter(|set| set.kind == "SRV");
    let firsts = services.filter_map(|set| set.values.iter().find_map(|value| value.strip_prefix("10 0 5269 ")));
    firsts.map(|target| target.trim_end_matches('.').to_owned()).collect()
}

fn told(seen: &Seen) -> String {
    match &seen.mark {
        Some(Ok(mark)) => mark.to_string(),
        other => format!("{other:?}"),
    }
}

/// Whether the first is later than the second.
fn later(one: &Seen, other: &Seen) -> bool {
    match (&one.mark, &other.mark) {
        (Some(Ok(one)), Some(Ok(other))) => !one.is_not_after(other),
        (Some(_), None) => true,
        _ => false,
    }
}

/// One controller's way to them.
#[derive(Debug)]
pub(super) struct Way {
    names: Names,
    ground: Ground,
    process: Process,
    /// Who counts what it does; nobody, of a founder.
    keeper: Option<Arc<Keeper>>,
    own: String,
}

impl Way {
    pub(super) fn new(
        names: &Names,
        ground: &Ground,
        process: &Process,
        keeper: Option<Arc<Keeper>>,
        own: &str,
    ) -> Way {
        Way { names: names.clone(), ground: ground.clone(), process: process.clone(), keeper, own: own.to_owned() }
    }

    async fn seen(&self, server: SocketAddr, contents: Option<&Contents>) -> Result<Seen, String> {
        let Some(number) = NAME_SERVERS.iter().position(|name| server.ip().to_string() == *name) else {
            return self.embedded(contents).await;
        };
        sleep(self.names.random.milliseconds(0, 20)).await;
        if self.names.served().down[number] {
            sleep(ANSWER).await;
            return Err("nothing came".to_owned());
        }
        Ok(self.names.served().zones[number].clone())
    }

    /// A dns server of ours answers by what it goes by; of what isn't current it is enough to know that.
    async fn embedded(&self, contents: Option<&Contents>) -> Result<Seen, String> {
        let dns = "dns1.contoso.test";
        self.ground.talk(&self.own, dns).await?;
        let head = self.ground.field().members.get(dns).and_then(|member| member.applied.clone());
        let (head, contents) = (head.ok_or("it has no snapshot")?, contents.ok_or("nobody asks that")?);
        let owner = contents.mark.owner.clone();
        let mark = Mark { owner, epoch: head.route.epoch, topology: head.version };
        let sets = if mark == contents.mark { contents.sets.clone() } else { Vec::new() };
        Ok(Seen { mark: Some(Ok(mark)), sets })
    }
}

impl NameServers for Way {
    fn mark<'a>(
        &'a self,
        server: SocketAddr,
        _zone: &'a Zone,
    ) -> Answering<'a, Result<Option<Result<Mark, String>>, String>> {
        Box::pin(self.process.gated(async move { Ok(self.seen(server, None).await?.mark) }))
    }

    fn observe<'a>(
        &'a self,
        server: SocketAddr,
        contents: &'a Contents,
        _owned: &'a [String],
    ) -> Answering<'a, Result<Seen, String>> {
        Box::pin(self.process.gated(self.seen(server, Some(contents))))
    }

    fn update<'a>(
        &'a self,
        contents: &'a Contents,
        before: Option<&'a Mark>,
        changes: &'a [Change],
    ) -> Answering<'a, Result<(), Unwritten>> {
        let effect = self.keeper.as_ref().map(|keeper| keeper.effects.next());
        let halts = move |moment| {
            let of = self.keeper.as_ref().zip(effect);
            of.is_some_and(|(keeper, effect)| keeper.effects.halts(&self.process, effect, moment))
        };
        halts(Moment::Before);
        Box::pin(self.process.gated(async move {
            let (names, contents, before, changes) =
                (self.names.clone(), contents.clone(), before.cloned(), changes.to_vec());
            // What was sent is done, whatever becomes of who sent it.
            let sent = tokio::spawn(async move { names.update(&contents, before.as_ref(), &changes).await });
            let done = sent.await.unwrap_or_else(|error| Err(Unwritten::Refused(error.to_string())));
            if halts(Moment::After) {
                tokio::task::yield_now().await;
            }
            done
        }))
    }

    fn writable<'a>(&'a self, _contents: &'a Contents, _seen: &'a Seen) -> Answering<'a, Result<(), String>> {
        Box::pin(self.process.gated(async move {
            sleep(self.names.random.milliseconds(0, 20)).await;
            let served = self.names.served();
            if served.down[0] || served.refuses { Err("REFUSED".to_owned()) } else { Ok(()) }
        }))
    }

    fn lacking(&self, _zone: &Zone) -> Option<String> {
        None
    }
}
