//! A simulated controller's connections to members: what `members` and `agent::keep` do, over simulated ways.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use agent::dial::Target;
use agent::keep::{Seen, Step, Wanted, is_awaited, step};
use agent::state::Kept;
use api::agent::{Digest, Head, Route};
use api::local::{Rest, ServiceAction};
use store::{Keys, StoreError};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};
use topology::document::Role;

use super::edge;
use super::ground::Ground;
use super::process::{Halt, Moment, Process};
use crate::ahead;
use crate::ledger::Ledger;
use crate::members::Picture;
use crate::publish::{self, Current};
use crate::records::{self, Secrets};
use crate::route::outside::{Look, Looker};
use crate::route::world::Reach;

/// The installation's id.
pub(super) const INSTALLATION: &str = "contoso-1";

/// As long as the real ones.
const LOOK: Duration = Duration::from_secs(5);
const CLOSE_LOOK: Duration = Duration::from_millis(500);
const CLOSELY: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_secs(30);
const RETRY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(15)];

/// Keeps all members, for one run of a controller.
pub(super) struct Keeper {
    ledger: Arc<Ledger>,
    ground: Ground,
    process: Process,
    own: String,
    picture: watch::Sender<Picture>,
    kept: Mutex<BTreeMap<String, Keeping>>,
    closely: Mutex<Option<Instant>>,
    look: Notify,
    /// What becomes of effects in the store's line is decided there; of those outside, here.
    pub(super) effects: Effects,
}

/// Drains and updates of zones that were asked for, counted, so that the process can end or stand still at each.
#[derive(Debug, Default)]
pub(super) struct Effects(Mutex<(u64, Option<Halt>)>);

/// A member that is kept. Dropping it lets the member go.
struct Keeping {
    wanted: watch::Sender<Wanted>,
    seen: watch::Receiver<Seen>,
    task: AbortHandle,
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Effects {
    /// The process halts at the one with that number.
    pub(super) fn halts_at(&self, halt: Halt) {
        self.held().1 = Some(halt);
    }

    /// It halts nowhere.
    pub(super) fn heal(&self) {
        self.held().1 = None;
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.held().0
    }

    pub(super) fn next(&self) -> u64 {
        let mut held = self.held();
        held.0 += 1;
        held.0
    }

    pub(super) fn halts(&self, process: &Process, number: u64, moment: Moment) -> bool {
        self.held().1.is_some_and(|halt| halt.halts(process, number, moment))
    }

    fn held(&self) -> MutexGuard<'_, (u64, Option<Halt>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper {
    pub(super) fn new(ledger: Arc<Ledger>, ground: Ground, process: Process, own: &str) -> Keeper {
        let secrets = Secrets::default();
        let picture = watch::Sender::new(Picture {
            installation: INSTALLATION.to_owned(),
            current: None,
            at: Instant::now(),
            secrets: Arc::new(secrets),
            enrolled: Arc::default(),
            behind: None,
            blind: Some((UNIX_EPOCH, "the store was not asked yet".to_owned())),
        });
        Keeper {
            ledger,
            ground,
            process,
            own: own.to_owned(),
            picture,
            kept: Mutex::default(),
            closely: Mutex::default(),
            look: Notify::new(),
            effects: Effects::default(),
        }
    }

    fn keeping(&self) -> MutexGuard<'_, BTreeMap<String, Keeping>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps everybody, for as long as it is awaited.
    pub(super) async fn keep(self: Arc<Keeper>) {
        let mut hints = self.ledger.store().watch(&Keys::All);
        loop {
            match self.look_at_the_store().await {
                Ok(picture) => drop(self.picture.send_replace(picture)),
                Err(error) => self.picture.send_modify(|picture| {
                    picture.blind.get_or_insert((UNIX_EPOCH, error.to_string()));
                }),
            }
            self.reconcile();
            tokio::select! {
                biased;
                () = hints.next() => {}
                () = self.look.notified() => {}
                () = sleep(LOOK) => {}
            }
        }
    }

    async fn look_at_the_store(&self) -> Result<Picture, StoreError> {
        let at = Instant::now();
        let (head, route) = (records::head(), records::route());
        let snapshot = self.ledger.read(&[Keys::One(head.clone()), Keys::One(route.clone())]).await?;
        let version = snapshot.get(&head).map(|entry| records::read::<records::Head>(&head, entry)).transpose()?;
        let routed = snapshot.get(&route).map(|entry| records::read::<records::Route>(&route, entry)).transpose()?;
        let known = self.picture.borrow().current.clone();
        let current = match (known, version, routed) {
            (Some(known), Some(version), Some(routed)) if known.version == version.version => {
                let same = known.route == routed;
                Some(if same { known } else { Arc::new(Current { route: routed, ..(*known).clone() }) })
            }
            _ => publish::current(&self.ledger).await?.map(Arc::new),
        };
        let behind =
            current.as_ref().and_then(|current| ahead::behind(INSTALLATION, current, |fqdn| self.seen(fqdn), at));
        let before = self.picture();
        Ok(Picture { current, at, behind, blind: None, ..before })
    }

    fn reconcile(self: &Arc<Keeper>) {
        let picture = self.picture();
        let mut wanted = self.wanted(&picture);
        let mut kept = self.keeping();
        kept.retain(|fqdn, keeping| match wanted.remove(fqdn) {
            Some(wanted) => {
                keeping.wanted.send_if_modified(|before| std::mem::replace(before, wanted.clone()) != wanted);
                true
            }
            None => false,
        });
        for (fqdn, wanted) in wanted {
            let (wanting, wanted) = watch::channel(wanted);
            let (seeing, seen) = watch::channel(Seen::nothing(UNIX_EPOCH));
            let (keeper, member) = (self.clone(), fqdn.clone());
            let task = self.process.spawn(async move { keeper.keep_one(&member, wanted, seeing).await });
            kept.insert(fqdn, Keeping { wanted: wanting, seen, task });
        }
    }

    fn wanted(&self, picture: &Picture) -> BTreeMap<String, Wanted> {
        let Some(current) = &picture.current else { return BTreeMap::new() };
        let certain = picture.blind.is_none() && picture.behind.is_none();
        let until = *self.closely.lock().unwrap_or_else(PoisonError::into_inner);
        let closely = until.is_some_and(|until| Instant::now() < until);
        let led = current.topology.members().filter(|member| member.role != Role::Controller);
        let wanted = led.map(|member| {
            let route = Route { epoch: current.route.epoch, pool: current.route.pool.clone() };
            let document = (current.version, current.document.as_str());
            let fqdn = member.fqdn.to_string();
            let snapshot = Arc::new(Kept::new(INSTALLATION, &fqdn, document, route, String::new()));
            let target = Target::of(member, Digest([0; 32]));
            (fqdn, Wanted { target, snapshot, certain, closely })
        });
        wanted.collect()
    }

    async fn keep_one(&self, fqdn: &str, mut wanted: watch::Receiver<Wanted>, seen: watch::Sender<Seen>) {
        let mut pause = RETRY[0];
        loop {
            wanted.mark_unchanged();
            let problem = match self.ground.talk(&self.own, fqdn).await {
                Ok(()) => {
                    pause = RETRY[0];
                    self.attend(fqdn, &mut wanted, &seen).await
                }
                Err(error) => error,
            };
            seen.send_modify(|seen| (seen.connected, seen.problem) = (false, Some(problem)));
            tokio::select! {
                biased;
                changed = wanted.changed() => if changed.is_err() {
                    return;
                },
                () = sleep(pause) => pause = (2 * pause).min(RETRY[1]),
            }
        }
    }

    /// Attends to a member until it isn't there any more, and says why.
    async fn attend(&self, fqdn: &str, wanted: &mut watch::Receiver<Wanted>, seen: &watch::Sender<Seen>) -> String {
        let mut told = None;
        loop {
            let now = wanted.borrow_and_update().clone();
            let heard = Instant::now();
            let hello = match told.take() {
                Some(hello) => hello,
                None => {
                    if let Err(gone) = self.ground.talk(&self.own, fqdn).await {
                        return gone;
                    }
                    let Some(hello) = self.ground.hello(fqdn) else { return "connection reset".to_owned() };
                    hello
                }
            };
            let step = step(&hello, &now, 0);
            let head = &now.snapshot.head;
            let problem = match &step {
                Step::Look | Step::Renew | Step::Confirm => None,
                Step::Behind(refusal) => Some(refusal.to_string()),
                Step::Send => match self.ground.offer(&self.own, fqdn, head).await {
                    Ok(()) => None,
                    Err(gone) if self.ground.process(fqdn).is_none() => return gone,
                    Err(refused) => Some(refused),
                },
            };
            let Some(hello) = self.ground.hello(fqdn) else { return "connection reset".to_owned() };
            let pause = match (now.closely, &problem) {
                (true, _) => CLOSE_LOOK,
                (false, Some(_)) => AGAIN,
                (false, None) => LOOK,
            };
            let is_well = problem.is_none();
            seen.send_modify(|seen| {
                (seen.hello, seen.heard) = (Some(hello.clone()), Some(heard));
                (seen.connected, seen.problem) = (true, problem);
            });
            let asked = Instant::now();
            if let Err(gone) = self.ground.talk(&self.own, fqdn).await {
                return gone;
            }
            let status = self.ground.status(fqdn);
            let at = UNIX_EPOCH + Duration::from_millis(self.ledger.now());
            seen.send_modify(|seen| (seen.status, seen.asked) = (status.map(|status| (status, at)), Some(asked)));
            tokio::select! {
                biased;
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return "nobody wants anything of it".to_owned();
                    }
                    told = Some(hello).filter(|hello| is_well && is_awaited(hello, &wanted.borrow(), 0));
                }
                () = sleep(pause) => {}
            }
        }
    }
}

impl Reach for Keeper {
    fn picture(&self) -> Picture {
        self.picture.borrow().clone()
    }

    fn seen(&self, fqdn: &str) -> Option<Seen> {
        self.keeping().get(fqdn).map(|keeping| keeping.seen.borrow().clone())
    }

    fn wanted_head(&self, fqdn: &str) -> Option<Head> {
        self.keeping().get(fqdn).map(|keeping| keeping.wanted.borrow().snapshot.head.clone())
    }

    fn closely(&self) {
        *self.closely.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + CLOSELY);
        for keeping in self.keeping().values() {
            keeping.wanted.send_if_modified(|wanted| !std::mem::replace(&mut wanted.closely, true));
        }
    }

    fn look_now(&self) {
        self.look.notify_one();
    }

    fn look(&self, looker: &Looker) -> impl Future<Output = Result<Look, String>> + Send {
        let by = looker.by.fqdn.to_string();
        let picture = self.picture();
        let edge = picture.current.iter().flat_map(|current| &current.topology.pools).flat_map(|pool| &pool.edges);
        let mut edge = edge.filter(|edge| looker.at.is_some_and(|at| edge.external.contains(&at.ip())));
        let edge = edge.next().map(|edge| edge.member.fqdn.to_string());
        let (ground, own) = (self.ground.clone(), self.own.clone());
        self.process.gated(async move {
            match edge {
                Some(edge) => ground.probe(&own, &by, &edge).await,
                None => ground.probe_hop(&own, &by).await,
            }
        })
    }

    fn rest(&self, edge: &str, rest: Rest) -> impl Future<Output = Result<String, String>> + Send {
        let effect = self.effects.next();
        self.effects.halts(&self.process, effect, Moment::Before);
        let (ground, own, edge, process) =
            (self.ground.clone(), self.own.clone(), edge.to_owned(), self.process.clone());
        let halt = self.effects.held().1;
        self.process.gated(async move {
            // What was sent is done, whatever becomes of who sent it.
            let sent =
                tokio::spawn(
                    async move { edge::order(&ground, &own, &edge, (ServiceAction::Drain, Some(rest))).await },
                );
            if let Some(halt) = halt.filter(|halt| halt.moment == Moment::After) {
                sleep(Duration::from_millis(50)).await;
                if halt.halts(&process, effect, Moment::After) {
                    tokio::task::yield_now().await;
                }
            }
            sent.await.unwrap_or_else(|error| Err(error.to_string()))
        })
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("own", &self.own).finish_non_exhaustive()
    }
}
