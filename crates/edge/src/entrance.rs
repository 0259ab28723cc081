//! What can be dialed of an edge server, as the entrance to the inside: open while its service runs and a gateway can be
//! given what partners say, not much longer.
//!
//! A partner's server that is refused tries the next edge server; one whose stanzas are taken and go nowhere
//! waits with them. So nothing is accepted where no gateway is, and after a while those who are here are sent away.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use daemon::life;
use daemon::settings::FaceConfig;
use net::serve::Served;
use net::streams::{Command, Direction};
use net::trunk::members::PATIENCE;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Before listening is tried again, where that failed.
const AGAIN: Duration = Duration::from_secs(1);

/// What has to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Accept connections.
    Open,
    /// Refuse them.
    Close,
    /// End the streams that partners have opened.
    Leave,
}

/// When the entrance opens and closes.
#[derive(Debug)]
struct Gate {
    open: bool,
    /// Whether the service runs; it is closed for whoever drains it.
    runs: bool,
    /// Since when there is no gateway, if there is none.
    alone: Option<Instant>,
    /// Since then, partners have been sent elsewhere, or there were none.
    left: bool,
    /// When it may be opened at the earliest.
    not_before: Instant,
    /// Without a gateway for so long, partners are sent elsewhere.
    leave: Duration,
}

impl Gate {
    /// No gateway has come yet.
    fn new(now: Instant, leave: Duration) -> Gate {
        Gate { open: false, runs: true, alone: Some(now), left: true, not_before: now, leave }
    }

    /// A gateway can be given stanzas, or none.
    fn served(&mut self, now: Instant, served: bool) {
        match (served, self.alone) {
            (true, _) => self.alone = None,
            (false, None) => (self.alone, self.left) = (Some(now), !self.runs),
            (false, Some(_)) => {}
        }
    }

    /// The service runs, or is closed from now on, and partners are on their way elsewhere.
    fn runs(&mut self, runs: bool) {
        self.runs = runs;
        if !runs {
            (self.open, self.left) = (false, true);
        }
    }

    /// It couldn't be opened.
    fn failed(&mut self, now: Instant) {
        (self.open, self.not_before) = (false, now + AGAIN);
    }

    /// What is to be done next, and when.
    fn next(&self) -> Option<(Instant, Change)> {
        match self.alone {
            _ if !self.runs => None,
            None => (!self.open).then_some((self.not_before, Change::Open)),
            Some(since) if self.open => Some((since + PATIENCE, Change::Close)),
            Some(since) => (!self.left).then_some((since + self.leave, Change::Leave)),
        }
    }

    /// What is to be done now.
    fn due(&mut self, now: Instant) -> Option<Change> {
        let (_, change) = self.next().filter(|(at, _)| now >= *at)?;
        match change {
            Change::Open => self.open = true,
            Change::Close => self.open = false,
            Change::Leave => self.left = true,
        }
        Some(change)
    }
}

/// Where a face can be dialed.
#[derive(Debug)]
pub(crate) struct Door {
    listen: Vec<SocketAddr>,
    /// Those of them that may be another machine's now.
    shared: Vec<SocketAddr>,
}

impl Door {
    /// That of a face with this configuration.
    pub(crate) fn of(face: &FaceConfig) -> Door {
        Door { listen: face.listen.clone(), shared: face.shared.clone() }
    }

    /// Listens there.
    ///
    /// # Errors
    /// With the first address on which that fails.
    pub(crate) fn listen(&self) -> Result<Vec<TcpListener>, life::ListenError> {
        life::listen(&self.listen, &self.shared)
    }
}

/// The entrance: the doors of all faces of the process, which open and close together.
#[derive(Debug)]
pub(crate) struct Entrance {
    doors: Vec<Door>,
    gate: Gate,
    /// Whether a gateway can be given stanzas; nothing where the gateway is in this process.
    gateways: Option<watch::Receiver<bool>>,
    open: Arc<AtomicBool>,
}

impl Entrance {
    /// Of an edge server that has its gateways on the trunk: closed, until the first comes.
    pub(crate) fn for_gateways(doors: Vec<Door>, external: &Served) -> Entrance {
        let face = &external.end.face;
        // What came in is held for so long. Ended before that, a stream would take back what may still go on its way.
        let gate = Gate::new(Instant::now(), face.settings.hold.age);
        Entrance { doors, gate, gateways: Some(face.holder.served()), open: Arc::default() }
    }

    /// Of a process with both faces: closed; it can be opened at once.
    pub(crate) fn of_both(doors: Vec<Door>) -> Entrance {
        let mut gate = Gate::new(Instant::now(), Duration::MAX);
        gate.served(Instant::now(), true);
        Entrance { doors, gate, gateways: None, open: Arc::default() }
    }

    /// Whether it is open, as can be seen from outside.
    pub(crate) fn is_open(&self) -> Arc<AtomicBool> {
        self.open.clone()
    }

    /// The service runs, or is closed from now on. Who closes it ends what is accepted.
    pub(crate) fn runs(&mut self, runs: bool) {
        self.gate.runs(runs);
        self.open.store(self.gate.open, Ordering::Relaxed);
    }

    /// Waits until something is to be done; it is to be done then. As gateways come and go, so does what is due.
    pub(crate) async fn next(&mut self) -> Change {
        loop {
            if let Some(gateways) = &mut self.gateways {
                let served = *gateways.borrow_and_update();
                self.gate.served(Instant::now(), served);
            }
            if let Some(change) = self.gate.due(Instant::now()) {
                return change;
            }
            let next = self.gate.next().map(|(at, _)| at);
            let gateways = async {
                match &mut self.gateways {
                    // The holder is in the face that is served.
                    Some(gateways) => drop(gateways.changed().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = gateways => {}
                () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now).into()), if next.is_some() => {}
            }
        }
    }

    /// Does it, with the faces in the order of their doors.
    pub(crate) async fn change(&mut self, change: Change, at_work: &mut [Served]) {
        match change {
            Change::Open => match self.doors.iter().map(Door::listen).collect::<Result<Vec<_>, _>>() {
                Ok(listeners) => {
                    if self.gateways.is_some() {
                        tracing::info!("a gateway is there; partners can connect");
                    }
                    for (served, listeners) in at_work.iter_mut().zip(listeners) {
                        life::accept(served, listeners);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "partners can't connect, and should; it is tried again");
                    self.gate.failed(Instant::now());
                }
            },
            Change::Close => {
                for served in at_work.iter_mut() {
                    served.stop_accepting().await;
                }
                tracing::warn!("no gateway is there; partners' connections are refused until one comes");
            }
            Change::Leave => {
                for served in at_work.iter() {
                    served.end.face.streams.command_all(Direction::Accepted, Command::Leave);
                }
                tracing::warn!("no gateway is there; partners' streams are ended, so that they go elsewhere");
            }
        }
        self.open.store(self.gate.open, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAVE: Duration = Duration::from_secs(20);

    #[test]
    fn it_opens_with_the_first_gateway_and_closes_some_time_after_the_last() {
        let began = Instant::now();
        let mut gate = Gate::new(began, LEAVE);
        assert_eq!(gate.due(began + LEAVE), None, "nobody is here who could be sent away");
        gate.served(began, true);
        assert_eq!((gate.due(began), gate.due(began)), (Some(Change::Open), None));
        gate.served(began, false);
        assert_eq!(gate.next(), Some((began + PATIENCE, Change::Close)));
        assert_eq!((gate.due(began), gate.due(began + PATIENCE)), (None, Some(Change::Close)));
        gate.served(began + PATIENCE, false);
        assert_eq!((gate.due(began + PATIENCE), gate.due(began + LEAVE)), (None, Some(Change::Leave)));
        assert_eq!(gate.next(), None, "once");
        gate.served(began + 2 * LEAVE, true);
        assert_eq!(gate.due(began + 2 * LEAVE), Some(Change::Open));
    }

    #[test]
    fn a_gateway_that_is_soon_back_changes_nothing_and_one_that_is_late_keeps_the_streams() {
        let began = Instant::now();
        let mut gate = Gate::new(began, LEAVE);
        gate.served(began, true);
        gate.due(began);
        gate.served(began, false);
        gate.served(began + PATIENCE / 2, true);
        assert_eq!(gate.due(began + 2 * LEAVE), None);
        gate.served(began, false);
        assert_eq!(gate.due(began + PATIENCE), Some(Change::Close));
        gate.served(began + PATIENCE, true);
        assert_eq!((gate.due(began + 2 * LEAVE), gate.next()), (Some(Change::Open), None));
    }

    #[test]
    fn what_can_not_be_opened_is_tried_again() {
        let began = Instant::now();
        let mut gate = Gate::new(began, LEAVE);
        gate.served(began, true);
        assert_eq!(gate.due(began), Some(Change::Open));
        gate.failed(began);
        assert_eq!((gate.due(began), gate.due(began + AGAIN)), (None, Some(Change::Open)));
    }

    #[test]
    fn a_closed_service_opens_for_no_gateway_and_sends_nobody_away_twice() {
        let began = Instant::now();
        let mut gate = Gate::new(began, LEAVE);
        gate.served(began, true);
        assert_eq!(gate.due(began), Some(Change::Open));
        gate.runs(false);
        assert_eq!((gate.due(began), gate.next()), (None, None), "who closes it ends what was accepted");
        gate.served(began, false);
        assert_eq!(gate.due(began + 2 * LEAVE), None);
        gate.runs(true);
        assert_eq!(gate.due(began + 2 * LEAVE), None, "there is no gateway");
        gate.served(began + 2 * LEAVE, true);
        assert_eq!(gate.due(began + 2 * LEAVE), Some(Change::Open));
    }
}
