//! All zones as one controller knows and changes them: looked at now and then, and closely while somebody depends on them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use store::StoreError;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use topology::records::{Change, Contents, Mark, RecordSet};
use topology::zone::Publisher;

use super::apply::{self, Applied, ApplyError};
use super::concerns::concerns;
use super::look::{Look, Publishing, Seen, Told};
use super::{NameServers, owned, wanted};
use crate::audit::{Deed, Hash};
use crate::ledger::Ledger;
use crate::publish::Current;
use crate::records::Route;

/// Between two looks while nothing depends on it.
const IDLE: Duration = Duration::from_secs(30);
/// At most so long between two looks at a name server that didn't answer with what it should: what is told of it is to be true.
const WRONG: Duration = Duration::from_secs(5);
/// Between two looks at a name server while something does.
pub const CLOSELY: Duration = Duration::from_millis(500);
/// Of more sets than this, only the mark is asked for as long as it stays the same.
const FEW: usize = 20;
/// But not for longer than this.
const WHOLE: Duration = Duration::from_secs(5);
/// A name server that hasn't answered all questions by then is told not to.
const LONGEST: Duration = Duration::from_secs(10);
/// A change of a zone of which nothing has come by then is begun anew: its mark says whether it was made.
const CHANGED: Duration = Duration::from_secs(60);
/// Whoever asks for a look waits for so long, and goes without those that are slower.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two looks whether all have answered.
const STEP: Duration = Duration::from_millis(25);
/// So long a name server may take until it has followed, before somebody should look at it.
const FOLLOWING: Duration = Duration::from_secs(10);
/// Whether a zone takes updates is tried again after so long.
const WRITABLE: Duration = Duration::from_secs(30);
/// What was refused is tried again after this, then after twice that, and so on.
const AGAIN: Duration = Duration::from_secs(1);
/// But never later than this.
const LATEST: Duration = Duration::from_secs(15);

/// All zones, as one controller knows and changes them.
#[derive(Debug)]
pub struct Zones {
    ledger: Arc<Ledger>,
    installation: String,
    servers: Arc<dyn NameServers>,
    changed: Arc<Notify>,
    known: Mutex<BTreeMap<String, Known>>,
    /// What was wanted last, by what, and since when: it is asked for many times a second.
    wanted: Mutex<Option<(Made, Vec<Contents>, Instant)>>,
}

/// What it hangs on what zones should hold: the document's digest, its version, and the route.
type Made = (Hash, u64, Route);

/// What is known of a zone.
#[derive(Debug, Default)]
struct Known {
    owned: Vec<String>,
    asked: BTreeMap<SocketAddr, Asked<Seen>>,
    /// When all that a name server has was asked for last.
    whole: BTreeMap<SocketAddr, Instant>,
    writable: Asked<()>,
    publishing: Vec<JoinHandle<()>>,
    last: Option<Last>,
}

/// Somebody is asked something, again and again.
#[derive(Debug)]
struct Asked<T> {
    /// When the last question was begun that was answered, and what came of it.
    last: Option<(Instant, Result<T, String>)>,
    running: Option<JoinHandle<()>>,
}

impl<T> Default for Asked<T> {
    fn default() -> Asked<T> {
        Asked { last: None, running: None }
    }
}

impl<T> Asked<T> {
    fn is_due(&self, now: Instant, within: Duration) -> bool {
        let running = self.running.as_ref().is_some_and(|running| !running.is_finished());
        !running && self.last.as_ref().is_none_or(|(at, _)| now.duration_since(*at) >= within)
    }
}

impl Asked<Seen> {
    /// Whether the last answer had this mark.
    fn has_said(&self, mark: &Mark) -> bool {
        let seen = self.last.as_ref().and_then(|(_, said)| said.as_ref().ok());
        seen.and_then(|seen| seen.mark.as_ref()).is_some_and(|said| said.as_ref().is_ok_and(|said| said == mark))
    }
}

/// How the last change of a zone went, or goes.
#[derive(Debug)]
struct Last {
    mark: Mark,
    /// Nothing while it is under way; else when it ended, and why it failed where it did.
    ended: Option<(Instant, Result<(), String>)>,
    /// How many failed one after the other.
    failures: u32,
}

impl Last {
    fn is_due(&self, now: Instant) -> bool {
        let wait = AGAIN.saturating_mul(1 << self.failures.saturating_sub(1).min(8)).min(LATEST);
        self.ended.as_ref().is_some_and(|(at, _)| now.duration_since(*at) >= wait)
    }

    fn told(&self, now: Instant) -> Publishing {
        match &self.ended {
            None => Publishing::Running,
            Some((_, Ok(()))) => Publishing::Done { due: self.is_due(now) },
            Some((_, Err(why))) => Publishing::Failed { why: why.clone(), due: self.is_due(now) },
        }
    }
}

impl Zones {
    /// Those of this installation, at these name servers. `changed` is notified when something that was begun has come to its
    /// end.
    pub fn new(ledger: Arc<Ledger>, installation: &str, servers: Arc<dyn NameServers>, changed: Arc<Notify>) -> Zones {
        Zones {
            ledger,
            installation: installation.to_owned(),
            servers,
            changed,
            known: Mutex::default(),
            wanted: Mutex::default(),
        }
    }

    /// What each zone should hold of ours by what the store says.
    pub fn wanted(&self, current: &Current) -> Vec<Contents> {
        let made = (current.digest, current.version, current.route.clone());
        let mut last = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((by, wanted, _)) if *by == made => wanted.clone(),
            _ => last.insert((made, wanted(current, &self.installation), Instant::now())).1.clone(),
        }
    }

    /// What is known of each zone, without looking.
    pub fn known(&self, current: &Current) -> Vec<Look> {
        let (now, known) = (Instant::now(), self.held());
        let looks = self.wanted(current).into_iter().map(|contents| {
            let Some(known) = known.get(&contents.zone.name) else { return Look::unseen(contents) };
            let servers = contents.zone.publisher.servers();
            let told = servers.into_iter().filter_map(|server| {
                let (at, said) = known.asked.get(&server)?.last.as_ref()?;
                Some((server, Told { said: said.clone(), age: now.duration_since(*at) }))
            });
            let last = known.last.as_ref().filter(|last| last.mark == contents.mark);
            Look {
                told: told.collect(),
                owned: known.owned.clone(),
                writable: self.writable(&contents, known),
                publishing: last.map(|last| last.told(now)).unwrap_or_default(),
                contents,
            }
        });
        looks.collect()
    }

    fn writable(&self, contents: &Contents, known: &Known) -> Option<Result<(), String>> {
        if !takes_updates(contents) {
            return None;
        }
        let lacking = self.servers.lacking(&contents.zone).map(Err);
        lacking.or_else(|| known.writable.last.as_ref().map(|(_, writable)| writable.clone()))
    }

    /// What somebody should look at in zones, each with the zone's name, by what their name servers said last. What one said before
    /// it could know what is wanted now counts for nothing.
    pub fn concerns(&self, current: &Current) -> Vec<(String, String)> {
        let mut looks = self.known(current);
        let last = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let since = last.as_ref().map(|(.., since)| since.elapsed()).unwrap_or_default();
        drop(last);
        let mut all = Vec::new();
        for look in &mut looks {
            look.told.retain(|_, told| told.age + FOLLOWING <= since || told.said.is_err());
            let lacking = self.servers.lacking(&look.contents.zone).filter(|_| takes_updates(&look.contents));
            let zone = look.zone().trim_end_matches('.');
            all.extend(concerns(look, lacking).into_iter().map(|what| (zone.to_owned(), what)));
        }
        all
    }

    /// The same, and asks those whose last answer is older than `within`; what they say is in the next look.
    pub fn look(self: &Arc<Self>, current: &Current, within: Duration) -> Vec<Look> {
        let now = Instant::now();
        for contents in self.wanted(current) {
            for server in contents.zone.publisher.servers() {
                let mut known = self.held();
                let asked = known.entry(contents.zone.name.clone()).or_default().asked.entry(server).or_default();
                let within = if asked.has_said(&contents.mark) { within } else { within.min(WRONG) };
                if asked.is_due(now, within) {
                    asked.running = Some(tokio::spawn(self.clone().ask(server, contents.clone())));
                }
            }
        }
        self.known(current)
    }

    async fn ask(self: Arc<Self>, server: SocketAddr, contents: Contents) {
        let began = Instant::now();
        let zone = contents.zone.name.clone();
        // Where the store can't be asked, what it said before is good enough for looking.
        if let Ok((owned, ..)) = owned::of(&self.ledger, &zone).await {
            self.held().entry(zone.clone()).or_default().owned = owned.names.into_iter().collect();
        }
        let owned = self.held().get(&zone).map(|known| known.owned.clone()).unwrap_or_default();
        let said = timeout(LONGEST, self.said(server, &contents, &owned)).await;
        let said =
            said.unwrap_or_else(|_| Err(format!("it hasn't answered everything within {} s", LONGEST.as_secs())));
        self.held().entry(zone).or_default().asked.entry(server).or_default().last = Some((began, said));
        self.changed.notify_one();
    }

    /// What a name server has of ours. Much of it isn't asked for again while its mark says that it is the same.
    async fn said(&self, server: SocketAddr, contents: &Contents, owned: &[String]) -> Result<Seen, String> {
        let (zone, began) = (&contents.zone, Instant::now());
        let before = self.held().get(&zone.name).and_then(|known| {
            let whole = known.whole.get(&server).filter(|at| began.duration_since(**at) < WHOLE);
            let (_, seen) = whole.and_then(|_| known.asked.get(&server)?.last.as_ref())?;
            seen.clone().ok()
        });
        if let Some(before) = before.filter(|_| contents.sets.len() > FEW)
            && self.servers.mark(server, zone).await? == before.mark
        {
            return Ok(before);
        }
        let seen = self.servers.observe(server, contents, owned).await?;
        self.held().entry(zone.name.clone()).or_default().whole.insert(server, began);
        Ok(seen)
    }

    /// Asks all name servers now, and waits until they have answered, for 3 s at most.
    pub async fn fresh(self: &Arc<Self>, current: &Current) -> Vec<Look> {
        let began = Instant::now();
        loop {
            let looks = self.look(current, began.elapsed());
            if Zones::are_seen(&looks, began.elapsed()) || began.elapsed() >= PATIENCE {
                return looks;
            }
            sleep(STEP).await;
        }
    }

    /// Whether every name server has said what it has to say since then.
    fn are_seen(looks: &[Look], within: Duration) -> bool {
        looks.iter().all(|look| {
            let is_seen = |server| look.told.get(server).is_some_and(|told| told.age <= within);
            look.contents.zone.publisher.servers().iter().all(is_seen)
        })
    }

    /// Whether all name servers have been asked since then, and of zones that take updates it is known whether they do.
    pub fn is_known(&self, current: &Current, since: Instant) -> bool {
        let looks = self.known(current);
        let known = self.held();
        let is_tried = |look: &Look| {
            let last = known.get(look.zone()).and_then(|known| known.writable.last.as_ref());
            // What was refused before may have been mended.
            last.is_some_and(|(at, writable)| writable.is_ok() || *at >= since)
        };
        let needs_no_try = |look: &Look| !takes_updates(&look.contents) || look.source().is_none();
        Zones::are_seen(&looks, since.elapsed()) && looks.iter().all(|look| needs_no_try(look) || is_tried(look))
    }

    /// Tries whether zones take updates, where that wasn't done a while ago; what comes of it is in the next look.
    pub fn try_writing(self: &Arc<Self>, current: &Current) {
        let now = Instant::now();
        for look in self.known(current).into_iter().filter(|look| takes_updates(&look.contents)) {
            let mut known = self.held();
            let writable = &mut known.entry(look.zone().to_owned()).or_default().writable;
            // What was refused may have been mended.
            let within = if matches!(writable.last, Some((_, Err(_)))) { AGAIN } else { WRITABLE };
            let Some(seen) = look.source().cloned().filter(|_| writable.is_due(now, within)) else { continue };
            let zones = self.clone();
            writable.running = Some(tokio::spawn(async move {
                let began = Instant::now();
                let asked = zones.servers.writable(&look.contents, &seen);
                let said = timeout(LONGEST, asked).await;
                let said = said.unwrap_or_else(|_| Err(format!("no answer within {} s", LONGEST.as_secs())));
                zones.held().entry(look.zone().to_owned()).or_default().writable.last = Some((began, said));
                zones.changed.notify_one();
            }));
        }
    }

    /// Has a zone hold what it should, unless that is under way, or failed a moment ago. `who` wants it, and `why`.
    pub fn publish(self: &Arc<Self>, contents: &Contents, who: &str, why: &str) {
        let (zone, now) = (contents.zone.name.clone(), Instant::now());
        let mut known = self.held();
        let at = known.entry(zone.clone()).or_default();
        let same = at.last.as_ref().filter(|last| last.mark == contents.mark);
        if same.is_some_and(|last| !last.is_due(now)) {
            return;
        }
        let failures = same.map_or(0, |last| last.failures);
        at.last = Some(Last { mark: contents.mark.clone(), ended: None, failures });
        at.publishing.retain(|running| !running.is_finished());
        let (zones, contents, who, why) = (self.clone(), contents.clone(), who.to_owned(), why.to_owned());
        at.publishing.push(tokio::spawn(async move {
            let done = timeout(CHANGED, zones.apply(&contents, false, (&who, &why))).await;
            let done = done.map_or_else(
                |_| Err(format!("{zone}: nothing came of a change within {} s", CHANGED.as_secs())),
                |done| done.map_err(|error| error.to_string()),
            );
            if let Err(error) = &done {
                tracing::warn!(zone, error, "a zone can't be changed; it is tried again");
            }
            let mut known = zones.held();
            let last = &mut known.entry(zone).or_default().last;
            if let Some(last) = last.as_mut().filter(|last| last.mark == contents.mark) {
                last.failures = if done.is_ok() { 0 } else { last.failures.saturating_add(1) };
                last.ended = Some((Instant::now(), done.map(|_| ())));
            }
            drop(known);
            zones.changed.notify_one();
        }));
    }

    /// Has a zone hold what it should, and says what was done. Names at which there is something of somebody else are taken
    /// over only where `adopt` says so.
    ///
    /// # Errors
    /// Why not; then it holds what it held, or what somebody else has written.
    pub async fn apply(&self, contents: &Contents, adopt: bool, by: (&str, &str)) -> Result<Applied, ApplyError> {
        apply::apply(&self.ledger, &*self.servers, contents, adopt, by).await
    }

    /// Writes to the audit trail that somebody has had these changes made.
    ///
    /// # Errors
    /// As the store.
    pub async fn note(&self, contents: &Contents, changes: &[Change], by: (&str, &str)) -> Result<(), StoreError> {
        let lines = |of: fn(&Change) -> Option<&RecordSet>| {
            changes.iter().filter_map(of).flat_map(RecordSet::lines).collect::<Vec<_>>().join("\n")
        };
        let deed = Deed {
            who: by.0.to_owned(),
            what: format!("change names in {}", contents.zone.name),
            why: by.1.to_owned(),
            before: lines(Change::before),
            after: lines(Change::after),
        };
        self.ledger.note(&deed).await
    }

    /// Looks at all zones now and then, for as long as the controller runs; `current` says by which topology and route.
    pub async fn keep(self: Arc<Self>, current: impl Fn() -> Option<Arc<Current>>) {
        loop {
            if let Some(current) = current() {
                self.look(&current, IDLE);
                self.forget(&current);
            }
            sleep(AGAIN).await;
        }
    }

    /// What isn't in the topology any more is nobody's concern.
    fn forget(&self, current: &Current) {
        let is_there = |name: &String| current.topology.zones.iter().any(|zone| zone.name == *name);
        self.held().retain(|name, _| is_there(name));
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn takes_updates(contents: &Contents) -> bool {
    matches!(contents.zone.publisher, Publisher::Rfc2136 { .. })
}

#[cfg(test)]
mod tests;
