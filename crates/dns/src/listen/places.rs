//! Places for TCP connections: so many for all, and fewer for one client; and which one goes where another comes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

/// All places of an address that is listened on.
#[derive(Debug, Clone)]
pub(super) struct Places(Arc<Mutex<Taken>>);

/// Which are taken.
#[derive(Debug)]
struct Taken {
    /// How many there are.
    most: usize,
    /// How many one client may have.
    each: usize,
    next: u64,
    open: HashMap<u64, Open>,
}

/// A connection.
#[derive(Debug)]
struct Open {
    client: u128,
    /// Queries that have come and aren't answered.
    queries: usize,
    /// Since when there is none.
    idle: Instant,
    /// Dropped, it tells the connection that its place is gone.
    _keep: oneshot::Sender<()>,
}

/// The place of one connection, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    places: Places,
}

impl Places {
    pub(super) fn new(most: usize, each: usize) -> Places {
        Places(Arc::new(Mutex::new(Taken { most, each, next: 0, open: HashMap::new() })))
    }

    /// A place for this client, with what ends when it is needed for another. Where there is none, the connection makes room that
    /// has been idle for longest: of this client, where that one has too many, else of all. Nothing where none is idle.
    pub(super) fn enter(&self, client: u128, now: Instant) -> Option<(Place, oneshot::Receiver<()>)> {
        let mut taken = self.taken();
        let of_client = taken.open.values().filter(|open| open.client == client).count();
        if of_client >= taken.each {
            taken.make_room(|open| open.client == client)?;
        } else if taken.open.len() >= taken.most {
            taken.make_room(|_| true)?;
        }
        let (keep, lost) = oneshot::channel();
        let number = taken.next;
        taken.next += 1;
        taken.open.insert(number, Open { client, queries: 0, idle: now, _keep: keep });
        drop(taken);
        Some((Place { number, places: self.clone() }, lost))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Ends the connection that has been idle for longest of those.
    fn make_room(&mut self, which: impl Fn(&Open) -> bool) -> Option<()> {
        let idle = self.open.iter().filter(|(_, open)| open.queries == 0 && which(open));
        // Of two that are alike the one that came first.
        let (number, _) = idle.min_by_key(|(number, open)| (open.idle, **number))?;
        let number = *number;
        self.open.remove(&number).map(drop)
    }
}

impl Place {
    /// A query has come.
    pub(super) fn asked(&self) {
        if let Some(open) = self.places.taken().open.get_mut(&self.number) {
            open.queries += 1;
        }
    }

    /// One has been answered.
    pub(super) fn answered(&self, now: Instant) {
        if let Some(open) = self.places.taken().open.get_mut(&self.number) {
            open.queries = open.queries.saturating_sub(1);
            open.idle = now;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;

    type Entered = (Place, oneshot::Receiver<()>);

    /// Places for four, two for each client, at moments of whole seconds.
    struct Rig {
        places: Places,
        began: Instant,
    }

    impl Rig {
        fn new() -> Rig {
            Rig { places: Places::new(4, 2), began: Instant::now() }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.began + Duration::from_secs(seconds)
        }

        fn enter(&self, client: u128, seconds: u64) -> Option<Entered> {
            self.places.enter(client, self.at(seconds))
        }

        fn entered(&self, client: u128, seconds: u64) -> Entered {
            self.enter(client, seconds).expect("a place")
        }
    }

    fn is_lost((_, lost): &mut Entered) -> bool {
        lost.try_recv() == Err(TryRecvError::Closed)
    }

    #[test]
    fn of_one_client_the_connection_goes_that_was_idle_for_longest() {
        let rig = Rig::new();
        let (mut other, mut one, mut two) = (rig.entered(7, 0), rig.entered(1, 1), rig.entered(1, 2));
        one.0.asked();
        one.0.answered(rig.at(3));
        let mut three = rig.entered(1, 4);
        assert!(is_lost(&mut two) && !is_lost(&mut one) && !is_lost(&mut three) && !is_lost(&mut other));
        // It leaves what isn't its place any more.
        drop(two);
        assert!(!is_lost(&mut rig.entered(8, 5)));
        let mut four = rig.entered(1, 6);
        assert!(is_lost(&mut one) && !is_lost(&mut three) && !is_lost(&mut four));
    }

    #[test]
    fn who_is_being_answered_stays_and_the_next_is_turned_away() {
        let rig = Rig::new();
        let (mut one, mut two) = (rig.entered(1, 0), rig.entered(1, 1));
        one.0.asked();
        two.0.asked();
        two.0.asked();
        two.0.answered(rig.at(2));
        assert!(rig.enter(1, 3).is_none());
        assert!(rig.enter(2, 3).is_some(), "that is nothing to others");
        one.0.answered(rig.at(4));
        assert!(rig.enter(1, 5).is_some() && is_lost(&mut one) && !is_lost(&mut two));
    }

    #[test]
    fn where_all_places_are_taken_the_oldest_idle_one_of_all_goes() {
        let rig = Rig::new();
        let mut all: Vec<Entered> = (0..4).map(|number| rig.entered(number.into(), number)).collect();
        all[0].0.asked();
        let fifth = rig.entered(9, 5);
        assert_eq!(all.iter_mut().map(is_lost).collect::<Vec<_>>(), [false, true, false, false]);
        for (place, _) in &all[2..] {
            place.asked();
        }
        fifth.0.asked();
        assert!(rig.enter(10, 6).is_none());
        drop(fifth);
        assert!(rig.enter(10, 7).is_some());
    }
}
