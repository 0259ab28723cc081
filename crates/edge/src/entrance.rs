//! The external face as the entrance to the inside: open while a gateway can be given what partners say, not much longer.
//!
//! A partner's server that is refused tries the next edge server; one whose stanzas are taken and go nowhere
//! waits with them. So nothing is accepted where no gateway is, and after a while those who are here are sent away.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use daemon::life;
use daemon::settings::FaceConfig;
use net::serve::Served;
use net::streams::{Command, Direction};
use net::trunk::members::PATIENCE;

/// Before listening is tried again, where that failed.
const AGAIN: Duration = Duration::from_secs(1);

/// What has to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
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
        Gate { open: false, alone: Some(now), left: true, not_before: now, leave }
    }

    /// A gateway can be given stanzas, or none.
    fn served(&mut self, now: Instant, served: bool) {
        match (served, self.alone) {
            (true, _) => self.alone = None,
            (false, None) => (self.alone, self.left) = (Some(now), false),
            (false, Some(_)) => {}
        }
    }

    /// It couldn't be opened.
    fn failed(&mut self, now: Instant) {
        (self.open, self.not_before) = (false, now + AGAIN);
    }

    /// What is to be done next, and when.
    fn next(&self) -> Option<(Instant, Change)> {
        match self.alone {
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

/// The entrance of an edge server that has its gateways on the trunk.
#[derive(Debug)]
pub struct Entrance {
    listen: Vec<SocketAddr>,
    /// Those of them that may be another machine's now.
    shared: Vec<SocketAddr>,
    open: Arc<AtomicBool>,
}

impl Entrance {
    /// Closed, at the addresses of this face; whether it is open can be seen from outside.
    pub fn new(face: &FaceConfig) -> (Entrance, Arc<AtomicBool>) {
        let open = Arc::new(AtomicBool::new(false));
        (Entrance { listen: face.listen.clone(), shared: face.shared.clone(), open: open.clone() }, open)
    }

    /// Opens and closes it as gateways come and go, for as long as it is awaited.
    pub async fn keep(self, external: &mut Served) -> Infallible {
        let mut served = external.end.face.holder.served();
        // What came in is held for so long. Ended before that, a stream would take back what may still go on its way.
        let mut gate = Gate::new(Instant::now(), external.end.face.settings.hold.age);
        loop {
            gate.served(Instant::now(), *served.borrow_and_update());
            while let Some(change) = gate.due(Instant::now()) {
                self.change(change, external, &mut gate).await;
            }
            let next = gate.next().map(|(at, _)| at);
            tokio::select! {
                // The holder is in the face that we have.
                _ = served.changed() => {}
                () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now).into()), if next.is_some() => {}
            }
        }
    }

    async fn change(&self, change: Change, external: &mut Served, gate: &mut Gate) {
        match change {
            Change::Open => match life::listen(&self.listen, &self.shared) {
                Ok(listeners) => {
                    tracing::info!("a gateway is there; partners can connect");
                    life::accept(external, listeners);
                }
                Err(error) => {
                    tracing::error!(%error, "a gateway is there, and partners can't connect; it is tried again");
                    gate.failed(Instant::now());
                }
            },
            Change::Close => {
                external.stop_accepting().await;
                tracing::warn!("no gateway is there; partners' connections are refused until one comes");
            }
            Change::Leave => {
                external.end.face.streams.command_all(Direction::Accepted, Command::Leave);
                tracing::warn!("no gateway is there; partners' streams are ended, so that they go elsewhere");
            }
        }
        self.open.store(gate.open, Ordering::Relaxed);
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
}
