//! A controller that keeps a member at what should be: one standing connection, one step after the other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use api::agent::Hello;
use api::local;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::authority::Authorities;
use crate::dial::{Connection, DialError, Dialer, Target};
use crate::serve::unix;
use crate::state::Kept;
use crate::succession::{self, Refusal};

/// Between two looks at a member that is as it should be, and between two questions how it is; well within what it allows
/// somebody to be silent.
const LOOK: Duration = Duration::from_secs(5);
/// The same while somebody depends on it.
const CLOSE_LOOK: Duration = Duration::from_millis(500);
/// Before a member that refused is asked again; as good.
const AGAIN: Duration = Duration::from_secs(30);
/// Before a member that wasn't there is dialed again, at first and at most.
const RETRY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(15)];

/// What a member should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Which member, and where.
    pub target: Target,
    /// What it should go by.
    pub snapshot: Arc<Kept>,
    /// Whether the store has said lately that this is so. Otherwise the member is only looked at: a controller that can't
    /// see the store doesn't know whether the route has moved.
    pub certain: bool,
    /// Whether somebody depends on how the member is at this moment, so that it is looked at more often.
    pub closely: bool,
}

/// What comes next with a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing: we don't know what it should be.
    Look,
    /// Nothing: it knows better than our store, which is behind.
    Behind(Refusal),
    /// Its certificate is due.
    Renew,
    /// It doesn't go by what it should.
    Send,
    /// It does; say that the route is still this.
    Confirm,
}

/// Decides it from how the member stands. `now` is in seconds since 1970.
pub fn step(hello: &Hello, wanted: &Wanted, now: u64) -> Step {
    if !wanted.certain {
        return Step::Look;
    }
    let head = &wanted.snapshot.head;
    if let Err(refusal) = succession::accept(&hello.fqdn, hello.have.as_ref(), head) {
        return Step::Behind(refusal);
    }
    if hello.certificate.is_some_and(|certificate| certificate.is_due(now)) {
        return Step::Renew;
    }
    if hello.have.as_ref() == Some(head) && hello.applied { Step::Confirm } else { Step::Send }
}

/// How a member is seen from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// How it stood when it was last heard, if ever.
    pub hello: Option<Hello>,
    /// When that was.
    pub heard: Option<Instant>,
    /// Whether there is a connection.
    pub connected: bool,
    /// What is wrong between it and us, in a sentence.
    pub problem: Option<String>,
    /// Since when it is connected, or not.
    pub since: SystemTime,
    /// What it said when it was last asked how it is, and when that was.
    pub status: Option<(local::Status, SystemTime)>,
    /// When it was asked that, if it has answered.
    pub asked: Option<Instant>,
}

impl Seen {
    /// Nothing yet.
    pub fn nothing(now: SystemTime) -> Seen {
        Seen { hello: None, heard: None, connected: false, problem: None, since: now, status: None, asked: None }
    }

    fn becomes(&mut self, connected: bool, problem: Option<String>) {
        if self.connected != connected {
            (self.connected, self.since) = (connected, SystemTime::now());
        }
        self.problem = problem;
    }
}

/// A controller, with what it knows members by.
pub struct Controller {
    authorities: Authorities,
    fqdn: String,
    dialer: Mutex<Arc<Dialer>>,
    applied: AtomicU64,
    refused: AtomicU64,
}

impl Controller {
    /// With that name.
    ///
    /// # Errors
    /// When the name can't stand in a certificate.
    pub fn new(authorities: Authorities, fqdn: &str) -> Result<Controller, DialError> {
        let dialer = Mutex::new(Arc::new(Dialer::new(&authorities, fqdn)?));
        Ok(Controller {
            authorities,
            fqdn: fqdn.to_owned(),
            dialer,
            applied: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// Its name.
    pub fn fqdn(&self) -> &str {
        &self.fqdn
    }

    /// How many snapshots members went by that this controller sent, and how often a member refused what it was told.
    pub fn counts(&self) -> (u64, u64) {
        (self.applied.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }

    /// The CAs.
    pub fn authorities(&self) -> &Authorities {
        &self.authorities
    }

    /// What dials, with a certificate that is good for long enough.
    ///
    /// # Errors
    /// When no new one can be made.
    pub fn dialer(&self) -> Result<Arc<Dialer>, DialError> {
        let mut dialer = self.dialer.lock().unwrap_or_else(PoisonError::into_inner);
        if dialer.is_due(SystemTime::now()) {
            *dialer = Arc::new(Dialer::new(&self.authorities, &self.fqdn)?);
        }
        Ok(dialer.clone())
    }

    /// Keeps a member at what is wanted, until nobody wants anything of it any more.
    pub async fn keep(&self, mut wanted: watch::Receiver<Wanted>, seen: watch::Sender<Seen>) {
        let mut pause = RETRY[0];
        loop {
            let target = wanted.borrow_and_update().target.clone();
            let dialed = match self.dialer() {
                Ok(dialer) => dialer.dial(&target).await,
                Err(error) => Err(error),
            };
            let error = match dialed {
                Ok(connection) => {
                    tracing::info!(member = target.fqdn, address = %connection.address(), "a member is there");
                    pause = RETRY[0];
                    self.attend(connection, &target, &mut wanted, &seen).await
                }
                Err(error) => Some(error),
            };
            let problem = error.map(|error| error.to_string());
            if let Some(problem) = problem.clone()
                && seen.borrow().problem.as_ref() != Some(&problem)
            {
                // One line for each new reason, not for each attempt.
                tracing::warn!(member = target.fqdn, problem, "no connection to a member");
            }
            seen.send_modify(|seen| seen.becomes(false, problem));
            tokio::select! {
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = tokio::time::sleep(pause) => pause = (2 * pause).min(RETRY[1]),
            }
        }
    }

    /// Attends to a member for as long as it is there and at that place; says why it isn't any more.
    async fn attend(
        &self,
        mut connection: Connection,
        target: &Target,
        wanted: &mut watch::Receiver<Wanted>,
        seen: &watch::Sender<Seen>,
    ) -> Option<DialError> {
        // A new connection has just said how it stands.
        let mut is_told = true;
        loop {
            let now = wanted.borrow_and_update().clone();
            if now.target != *target {
                return None;
            }
            let heard = Instant::now();
            if !is_told && let Err(error) = connection.refresh().await {
                return Some(error);
            }
            let (step, problem) = match self.take(&mut connection, &now).await {
                Ok(step) => (Some(step), None),
                // It is there, and says what is wrong.
                Err(error @ DialError::Refused { .. }) => {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    (None, Some(error.to_string()))
                }
                Err(error) => return Some(error),
            };
            let problem = match &step {
                Some(Step::Behind(refusal)) => Some(refusal.to_string()),
                _ => problem,
            };
            if let Some(problem) = problem.clone()
                && seen.borrow().problem.as_ref() != Some(&problem)
            {
                tracing::warn!(member = target.fqdn, problem, "a member isn't as it should be");
            }
            let pause = match (now.closely, &problem) {
                (true, _) => CLOSE_LOOK,
                (false, Some(_)) => AGAIN,
                (false, None) => LOOK,
            };
            seen.send_modify(|seen| {
                (seen.hello, seen.heard) = (Some(connection.hello().clone()), Some(heard));
                seen.becomes(true, problem);
            });
            if step == Some(Step::Renew) {
                is_told = true;
                continue;
            }
            let is_well = step.is_some_and(|step| !matches!(step, Step::Behind(_)));
            is_told = match wait(&mut connection, pause, wanted, seen).await {
                Ok(Woke::InTime) => false,
                Ok(Woke::ByWish) => {
                    is_well && is_awaited(connection.hello(), &wanted.borrow(), unix(SystemTime::now()))
                }
                // The next look at it says so.
                Ok(Woke::Unwanted) => return None,
                Err(error) => return Some(error),
            };
        }
    }

    /// Takes the next step, and says which it was.
    async fn take(&self, connection: &mut Connection, wanted: &Wanted) -> Result<Step, DialError> {
        let step = step(connection.hello(), wanted, unix(SystemTime::now()));
        let head = &wanted.snapshot.head;
        match &step {
            Step::Look | Step::Behind(_) => {}
            Step::Renew => drop(connection.renew(&self.authorities, wanted.target.key).await?),
            Step::Send => {
                connection.snapshot(&wanted.snapshot).await?;
                self.applied.fetch_add(1, Ordering::Relaxed);
            }
            Step::Confirm => connection.confirm(&head.installation, &head.route).await?,
        }
        Ok(step)
    }
}

/// Whether a member is sent something without being asked first how it stands: somebody depends on how soon it has that, and
/// its answer says as much. Where another controller was faster, it refuses what is older, and goes by what is the same.
/// `hello` is how it stood last, `now` in seconds since 1970.
pub fn is_awaited(hello: &Hello, wanted: &Wanted, now: u64) -> bool {
    wanted.closely && step(hello, wanted, now) == Step::Send
}

/// Why a wait has ended.
enum Woke {
    InTime,
    /// Something else is wanted.
    ByWish,
    /// Nobody wants anything any more.
    Unwanted,
}

/// Waits for so long, or until something else is wanted, and asks meanwhile how the member is. Whoever answers that slowly
/// holds up nothing.
async fn wait(
    connection: &mut Connection,
    pause: Duration,
    wanted: &mut watch::Receiver<Wanted>,
    seen: &watch::Sender<Seen>,
) -> Result<Woke, DialError> {
    let until = Instant::now() + pause;
    while Instant::now() < until {
        let next = until.min(Instant::now() + LOOK);
        let asked = Instant::now();
        connection.local(local::Request::Status).await?;
        let looked = async {
            if let Some(status) = status(connection).await? {
                seen.send_modify(|seen| {
                    (seen.status, seen.asked) = (Some((status, SystemTime::now())), Some(asked));
                });
            }
            std::future::pending::<Result<(), DialError>>().await
        };
        tokio::select! {
            changed = wanted.changed() => return Ok(if changed.is_ok() { Woke::ByWish } else { Woke::Unwanted }),
            looked = timeout_at(next, looked) => if let Ok(Err(error)) = looked {
                return Err(error);
            },
        }
    }
    Ok(Woke::InTime)
}

/// What it says to the question how it is; nothing, where it doesn't know the question.
async fn status(connection: &mut Connection) -> Result<Option<local::Status>, DialError> {
    let mut status = None;
    loop {
        match connection.next().await {
            Ok(Some(local::Reply::Status(said))) => status = Some(said),
            Ok(Some(_)) | Err(DialError::Refused { .. }) => {}
            Ok(None) => return Ok(status),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use api::agent::{Role, Route, Validity, WORDS};

    use super::*;
    use crate::sha256;

    const NOW: u64 = 2_000_000_000;

    fn wanted(version: u64, epoch: u64) -> Wanted {
        let route = Route { epoch, pool: "pool1.contoso.test".to_owned() };
        let document = format!("topology {version}");
        let snapshot = Kept::new("contoso-1", "edge1.contoso.test", (version, &document), route, document.clone());
        let (fqdn, role, key) = (snapshot.head.member.clone(), Role::Edge, sha256(b"key"));
        let target = Target { fqdn, role, addresses: Vec::new(), key };
        Wanted { target, snapshot: Arc::new(snapshot), certain: true, closely: false }
    }

    fn hello(have: Option<&Wanted>) -> Hello {
        Hello {
            words: WORDS,
            fqdn: "edge1.contoso.test".to_owned(),
            role: Role::Edge,
            program: "fedge-edge".to_owned(),
            version: "0.1.0".to_owned(),
            have: have.map(|have| have.snapshot.head.clone()),
            applied: have.is_some(),
            confirmed: false,
            certificate: Some(Validity { not_before: NOW, not_after: NOW + 900 }),
            concerns: Vec::new(),
        }
    }

    #[test]
    fn a_member_is_brought_to_what_should_be_and_then_told_that_it_is_so() {
        let now = wanted(3, 2);
        assert_eq!(step(&hello(None), &now, NOW), Step::Send);
        assert_eq!(step(&hello(Some(&wanted(2, 2))), &now, NOW), Step::Send);
        assert_eq!(step(&hello(Some(&now)), &now, NOW), Step::Confirm);
        let failed = Hello { applied: false, ..hello(Some(&now)) };
        assert_eq!(step(&failed, &now, NOW), Step::Send, "it was kept, and couldn't be applied");
        assert_eq!(step(&hello(Some(&now)), &now, NOW + 600), Step::Renew);
    }

    #[test]
    fn only_who_is_waited_for_is_sent_something_unasked() {
        let (before, now) = (hello(Some(&wanted(3, 1))), Wanted { closely: true, ..wanted(3, 2) });
        assert!(is_awaited(&before, &now, NOW));
        assert!(!is_awaited(&before, &wanted(3, 2), NOW), "nobody waits");
        assert!(!is_awaited(&hello(Some(&now)), &now, NOW), "it has that");
        assert!(!is_awaited(&before, &Wanted { certain: false, ..now }, NOW), "who doesn't know");
    }

    #[test]
    fn nothing_is_done_by_who_does_not_know() {
        let blind = Wanted { certain: false, ..wanted(3, 2) };
        assert_eq!(step(&hello(None), &blind, NOW + 600), Step::Look);
        // A store from a backup: its members are ahead.
        let behind = step(&hello(Some(&wanted(3, 5))), &wanted(4, 4), NOW + 600);
        assert_eq!(behind, Step::Behind(Refusal::Epoch { have: 5, offered: 4 }));
    }
}
