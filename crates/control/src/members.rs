//! Every member kept at what should be: a connection each, by what the store says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use agent::dial::{Connection, DialError, Target};
use agent::keep::{Controller, Seen, Wanted};
use api::agent::Digest;
use api::control::Overview;
use store::{Expect, Keys, StoreError, Transaction};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use topology::document::Member;
use topology::fqdn::Fqdn;

use crate::ahead;
use crate::audit::Deed;
use crate::ledger::Ledger;
use crate::publish::{self, Current};
use crate::records::{self, Enrolled, Head, Secrets};
use crate::status::{Finding, Noticed, overview, plain};
use crate::zones::Zones;

mod handed;

use handed::Handed;

/// Between two looks at the store; hints come sooner.
const LOOK: Duration = Duration::from_secs(5);

/// For so long members are looked at more often after somebody has depended on them.
const CLOSELY: Duration = Duration::from_secs(10);

/// What the store says at one moment.
#[derive(Debug, Clone)]
pub struct Picture {
    /// The installation's id.
    pub installation: String,
    /// Topology and route; nothing before the first topology.
    pub current: Option<Arc<Current>>,
    /// When it was read.
    pub at: Instant,
    /// What dialback keys are made of.
    pub secrets: Arc<Secrets>,
    /// The members that were enrolled, by name.
    pub enrolled: Arc<BTreeMap<String, Enrolled>>,
    /// That the store is behind what members know, in a sentence, where it is.
    pub behind: Option<String>,
    /// Since when the store couldn't be asked, and why; nothing where it could.
    pub blind: Option<(SystemTime, String)>,
}

/// All members, as a controller knows and keeps them.
pub struct Members {
    ledger: Arc<Ledger>,
    controller: Controller,
    installation: String,
    /// What each goes by.
    handed: Handed,
    /// What their zones are like is told with them.
    zones: Arc<Zones>,
    picture: watch::Sender<Picture>,
    kept: Mutex<BTreeMap<String, Keeping>>,
    /// Until when somebody depends on how members are at the moment.
    closely: Mutex<Option<Instant>>,
    /// The store is to be looked at now.
    look: Notify,
    noticed: Mutex<Noticed>,
    store_errors: AtomicU64,
}

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

/// Lets all members go when whoever keeps them ends.
struct Kept<'a>(&'a Members);

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.0.keeping().clear();
    }
}

/// Why a member isn't enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// There is no topology yet, or it isn't in it.
    #[error("there is no member {0} in the topology")]
    NoMember(String),
    /// Controllers know each other by the store.
    #[error("{0} is a controller, and those aren't enrolled: they have copies of the CAs, and the store")]
    Controller(String),
    /// It couldn't be reached, or is another.
    #[error("{0}")]
    Dial(#[from] DialError),
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// Why there is no connection to a member.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// Nobody has compared its key.
    #[error("{0} is not enrolled")]
    Stranger(String),
    /// It couldn't be reached, or is another.
    #[error("{0}")]
    Dial(#[from] DialError),
}

impl Members {
    /// Those of this installation, kept by this controller.
    pub fn new(
        ledger: Arc<Ledger>,
        controller: Controller,
        installation: String,
        secrets: Secrets,
        zones: Arc<Zones>,
    ) -> Members {
        let blind = Some((SystemTime::now(), "the store was not asked yet".to_owned()));
        let picture = watch::Sender::new(Picture {
            installation: installation.clone(),
            current: None,
            at: Instant::now(),
            secrets: Arc::new(secrets),
            enrolled: Arc::default(),
            behind: None,
            blind,
        });
        Members {
            ledger,
            controller,
            handed: Handed::new(installation.clone()),
            installation,
            zones,
            picture,
            kept: Mutex::default(),
            closely: Mutex::default(),
            look: Notify::new(),
            noticed: Mutex::default(),
            store_errors: AtomicU64::new(0),
        }
    }

    /// What the store said last.
    pub fn picture(&self) -> Picture {
        self.picture.borrow().clone()
    }

    /// How a member is seen, where it is kept.
    pub fn seen(&self, fqdn: &str) -> Option<Seen> {
        self.keeping().get(fqdn).map(|keeping| keeping.seen.borrow().clone())
    }

    /// What a member should go by, where it is kept.
    pub fn wanted_head(&self, fqdn: &str) -> Option<api::agent::Head> {
        self.keeping().get(fqdn).map(|keeping| keeping.wanted.borrow().snapshot.head.clone())
    }

    /// Looks at all members more often for a while: a move depends on how they are now.
    pub fn closely(&self) {
        let until = Instant::now() + CLOSELY;
        *self.closely.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        for keeping in self.keeping().values() {
            keeping.wanted.send_if_modified(|wanted| !std::mem::replace(&mut wanted.closely, true));
        }
    }

    /// Looks at the store now, and tells members what is new.
    pub fn look_now(&self) {
        self.look.notify_one();
    }

    /// The controller that keeps them.
    pub fn controller(&self) -> &Controller {
        &self.controller
    }

    /// How often the store couldn't be asked.
    pub fn store_errors(&self) -> u64 {
        self.store_errors.load(Ordering::Relaxed)
    }

    /// How everything is, as this controller tells it; nothing before the first topology.
    pub fn overview(&self) -> Option<Overview> {
        let now = SystemTime::now();
        let seen = |fqdn: &str| self.seen(fqdn);
        let picture = self.picture();
        let (mut overview, mut findings) = overview(&picture, seen, self.controller.fqdn(), now)?;
        let concerns = picture.current.iter().flat_map(|current| self.zones.concerns(current));
        findings.extend(concerns.map(|(at, what)| Finding { at, what: plain(&what), since: None }));
        let mut noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        overview.wrong = noticed.date(findings, now);
        Some(overview)
    }

    /// Keeps all members, for as long as the controller runs.
    pub async fn keep(self: Arc<Members>) {
        let _kept = Kept(&self);
        let mut hints = self.ledger.store().watch(&Keys::All);
        loop {
            match self.look().await {
                Ok(picture) => {
                    self.picture.send_replace(picture);
                }
                Err(error) => {
                    tracing::warn!(%error, "the store can't be asked; members go on as they are");
                    self.store_errors.fetch_add(1, Ordering::Relaxed);
                    self.picture.send_modify(|picture| {
                        let since = picture.blind.as_ref().map_or_else(SystemTime::now, |(since, _)| *since);
                        picture.blind = Some((since, error.to_string()));
                    });
                }
            }
            self.reconcile();
            // So that what is wrong has been so since it began, and not since somebody asked.
            self.overview();
            tokio::select! {
                () = hints.next() => {}
                () = self.look.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Asks the store. The topology is read only where another is current.
    async fn look(&self) -> Result<Picture, StoreError> {
        let at = Instant::now();
        let (head, route) = (records::head(), records::route());
        let hidden = records::secrets();
        let keys = [&head, &route, &hidden].map(|key| Keys::One(key.clone()));
        let keys = [&keys[..], &[Keys::Under(records::members())]].concat();
        let snapshot = self.ledger.read(&keys).await?;
        let version = snapshot.get(&head).map(|entry| records::read::<Head>(&head, entry)).transpose()?;
        let routed = snapshot.get(&route).map(|entry| records::read::<records::Route>(&route, entry)).transpose()?;
        let known = self.picture.borrow().current.clone();
        let current = match (known, version, routed) {
            (Some(known), Some(version), Some(routed)) if known.version == version.version => {
                if known.route == routed {
                    Some(known)
                } else {
                    Some(Arc::new(Current { route: routed, ..(*known).clone() }))
                }
            }
            _ => publish::current(&self.ledger).await?.map(Arc::new),
        };
        let mut secrets: Option<Secrets> =
            snapshot.get(&hidden).map(|entry| records::read(&hidden, entry)).transpose()?;
        if current.as_ref().map(|current| current.version) != version.map(|version| version.version) {
            // The topology is a later one, and what zones are signed with since then came with it.
            secrets = self.ledger.one(&hidden).await?.0;
        }
        let secrets = secrets.map_or_else(|| self.picture.borrow().secrets.clone(), Arc::new);
        let behind =
            current.as_ref().and_then(|current| ahead::behind(&self.installation, current, |fqdn| self.seen(fqdn), at));
        let mut enrolled = BTreeMap::new();
        for (key, entry) in snapshot.entries.iter().filter(|(key, _)| ![&head, &route, &hidden].contains(key)) {
            enrolled.insert(key.last().to_owned(), records::read(key, entry)?);
        }
        Ok(Picture {
            installation: self.installation.clone(),
            current,
            at,
            secrets,
            enrolled: Arc::new(enrolled),
            behind,
            blind: None,
        })
    }

    /// Keeps whom it should, and lets the others go.
    fn reconcile(self: &Arc<Members>) {
        let picture = self.picture();
        let mut kept = self.keeping();
        let mut wanted = self.wanted(&picture);
        kept.retain(|fqdn, keeping| match wanted.remove(fqdn) {
            Some(wanted) => {
                keeping.wanted.send_if_modified(|before| {
                    let changed = *before != wanted;
                    *before = wanted;
                    changed
                });
                true
            }
            None => false,
        });
        for (fqdn, wanted) in wanted {
            let (wanting, wanted) = watch::channel(wanted);
            let (seeing, seen) = watch::channel(Seen::nothing(SystemTime::now()));
            let members = self.clone();
            let keeping = tokio::spawn(async move { members.controller.keep(wanted, seeing).await });
            kept.insert(fqdn, Keeping { wanted: wanting, seen, task: keeping.abort_handle() });
        }
    }

    /// What each enrolled member should be.
    fn wanted(&self, picture: &Picture) -> BTreeMap<String, Wanted> {
        let Some(current) = &picture.current else { return BTreeMap::new() };
        // By a store that is behind, members would be led back.
        let certain = picture.blind.is_none() && picture.behind.is_none();
        let until = *self.closely.lock().unwrap_or_else(PoisonError::into_inner);
        let closely = until.is_some_and(|until| Instant::now() < until);
        let wanted = current.topology.members().filter_map(|member| {
            let key = picture.enrolled.get(member.fqdn.as_str())?.fingerprint.parse().ok()?;
            let wanted = Wanted {
                target: Target::of(member, key),
                snapshot: self.handed.snapshot(current, &picture.secrets, &member.fqdn)?,
                certain,
                closely,
            };
            Some((member.fqdn.to_string(), wanted))
        });
        wanted.collect()
    }

    /// Edge servers and gateways that don't go by what the store says now, its secrets included.
    ///
    /// # Errors
    /// As the store.
    pub async fn lagging(&self) -> Result<Vec<String>, StoreError> {
        // In this order: what zones are signed with came with the topology.
        let current = publish::current(&self.ledger).await?;
        let (secrets, _) = self.ledger.one::<Secrets>(&records::secrets()).await?;
        let (Some(current), Some(secrets)) = (current, secrets) else {
            return Ok(Vec::new());
        };
        let enrolled = self.picture().enrolled;
        let lags = |member: &&Member| {
            let snapshot = self.handed.snapshot(&current, &secrets, &member.fqdn);
            let seen = self.seen(member.fqdn.as_str()).filter(|seen| seen.connected);
            let hello = seen.and_then(|seen| seen.hello).filter(|hello| hello.applied);
            enrolled.contains_key(member.fqdn.as_str())
                && hello.and_then(|hello| hello.have) != snapshot.map(|snapshot| snapshot.head.clone())
        };
        let pools = current.topology.pools.iter().flat_map(|pool| pool.edges.iter().map(|edge| &edge.member));
        Ok(pools.chain(&current.topology.gateways).filter(lags).map(|member| member.fqdn.to_string()).collect())
    }

    /// A connection to a member, beside the one by which it is kept.
    ///
    /// # Errors
    /// When it isn't enrolled, or can't be reached.
    pub async fn dial(&self, member: &Member) -> Result<Connection, ReachError> {
        let picture = self.picture();
        let enrolled = picture.enrolled.get(member.fqdn.as_str());
        let key = enrolled.and_then(|enrolled| enrolled.fingerprint.parse().ok());
        let key = key.ok_or_else(|| ReachError::Stranger(member.fqdn.to_string()))?;
        Ok(self.controller.dialer()?.dial(&Target::of(member, key)).await?)
    }

    /// Enrols a member that waits for it, if it shows the key with this fingerprint, and writes it down.
    ///
    /// # Errors
    /// Why not.
    pub async fn enrol(&self, fqdn: &str, fingerprint: Digest, who: &str) -> Result<(), EnrolError> {
        let current = publish::current(&self.ledger).await?;
        let no_member = || EnrolError::NoMember(fqdn.to_owned());
        let current = current.ok_or_else(no_member)?;
        let name: Fqdn = fqdn.parse().map_err(|_| no_member())?;
        let member = current.topology.members().find(|member| member.fqdn == name).ok_or_else(no_member)?;
        let (secrets, _) = self.ledger.one::<Secrets>(&records::secrets()).await?;
        let secrets = secrets.map_or_else(|| self.picture().secrets, Arc::new);
        let first =
            self.handed.snapshot(&current, &secrets, &name).ok_or_else(|| EnrolError::Controller(fqdn.to_owned()))?;
        let target = Target::of(member, fingerprint);
        let dialer = self.controller.dialer()?;
        // Let go: what comes next is the keeper's.
        drop(dialer.enrol(self.controller.authorities(), &target, &first).await?);
        self.write_down(name.as_str(), fingerprint, who).await?;
        Ok(())
    }

    async fn write_down(&self, fqdn: &str, fingerprint: Digest, who: &str) -> Result<(), StoreError> {
        let key = records::member(fqdn).map_err(|error| StoreError::Refused {
            what: error.to_string(),
            fix: "name the member by its FQDN".to_owned(),
        })?;
        let (before, expect): (Option<Enrolled>, Expect) = self.ledger.one(&key).await?;
        let fresh = Enrolled { fingerprint: fingerprint.to_string(), at: self.ledger.now(), who: who.to_owned() };
        let deed = Deed {
            who: who.to_owned(),
            what: format!("enrol {fqdn}"),
            why: String::new(),
            before: before.map(|before| before.fingerprint).unwrap_or_default(),
            after: fresh.fingerprint.clone(),
        };
        let put = Transaction::new().expect(key.clone(), expect).put(key, records::write(&fresh));
        self.ledger.change(&put, &deed).await
    }

    fn keeping(&self) -> MutexGuard<'_, BTreeMap<String, Keeping>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Members").field("installation", &self.installation).finish_non_exhaustive()
    }
}
