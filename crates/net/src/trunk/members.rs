//! The other ends of a face's trunk: who they are over all their connections, and when one is given up.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use topology::partner::Pattern;

use super::connection::{ConnectionError, greet};
use super::wire::{Hello, WireError};
use super::{FrameSender, channel};
use crate::bridge::End;
use crate::hold::PeerId;

/// Without a connection for so long, a member is given up, with what it had in flight.
pub const PATIENCE: Duration = Duration::from_millis(1500);

/// The members of the trunk that this end has to do with.
pub struct Members {
    end: End,
    own: Hello,
    next: AtomicU32,
    known: Mutex<BTreeMap<String, Arc<Member>>>,
    /// Pool by pool, the names of those that carry the route and of those that do when they can't; none for all.
    routed: Mutex<Vec<Vec<String>>>,
}

/// A member, whether it is there or not.
struct Member {
    name: String,
    state: Mutex<State>,
    /// Held by the connection that serves it: there is one at a time.
    turn: tokio::sync::Mutex<()>,
    /// Tells the connection that serves it to end, since a newer one has come.
    superseded: Notify,
}

struct State {
    peer: PeerId,
    /// Which life of the member `peer` stands for; none before the first.
    instance: Option<u64>,
    /// Counts connections, so that a late look at an old one does nothing.
    connections: u64,
    /// How often it was given up. To a member that doesn't know that it was, as it was frozen meanwhile, we are
    /// another life of ours each time: it must not send again what we have forgotten to have.
    given_up: u64,
    /// By which it is told things, while it is connected.
    sender: Option<FrameSender>,
}

impl State {
    fn new(peer: PeerId) -> State {
        State { peer, instance: None, connections: 0, given_up: 0, sender: None }
    }

    /// As which life of ours, whose number is `own`, the member is to know us.
    fn own_life(&self, own: u64) -> u64 {
        own.wrapping_add(self.given_up)
    }

    /// Forgets it; whoever comes is a `fresh` peer. Gives the peer that is lost.
    fn give_up(&mut self, fresh: PeerId) -> PeerId {
        self.instance = None;
        self.given_up += 1;
        std::mem::replace(&mut self.peer, fresh)
    }

    /// The member is there, in this life of its own. Gives the peer that is lost, when it was another life before;
    /// who comes then is a `fresh` one.
    fn meet(&mut self, instance: u64, fresh: impl FnOnce() -> PeerId) -> Option<PeerId> {
        let before = self.instance.replace(instance);
        before.filter(|before| *before != instance).map(|_| std::mem::replace(&mut self.peer, fresh()))
    }
}

/// How a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// Whether it is connected.
    pub connected: bool,
    /// Whether it is one of those that carry the route.
    pub routed: bool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Members {
    /// Those of these names, none of whom is there yet. `own` is what we say of ourselves.
    pub fn new(end: End, own: Hello, names: &[String]) -> Arc<Members> {
        let members = Members { end, own, next: AtomicU32::new(1), known: Mutex::default(), routed: Mutex::default() };
        for name in names {
            let member = Member {
                name: name.clone(),
                state: Mutex::new(State::new(members.fresh())),
                turn: tokio::sync::Mutex::default(),
                superseded: Notify::new(),
            };
            locked(&members.known).insert(name.clone(), Arc::new(member));
        }
        Arc::new(members)
    }

    fn fresh(&self) -> PeerId {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Who carries the route from now on, pool by pool: the next one as long as nobody of the former
    /// can. None named means all.
    pub fn route(&self, pools: Vec<Vec<String>>) {
        *locked(&self.routed) = pools;
        self.apply_route();
    }

    fn apply_route(&self) {
        let known = locked(&self.known);
        let routed = locked(&self.routed);
        let peer = |name: &String| known.get(name).map(|member| locked(&member.state).peer);
        self.end.face.holder.route(routed.iter().map(|pool| pool.iter().filter_map(peer).collect()).collect());
    }

    /// Tells all who are connected that we take nothing new, and waits until they have heard that and all that
    /// was said before, or have had the time to.
    pub async fn finish(&self) {
        let connected = |member: &Arc<Member>| {
            let state = locked(&member.state);
            state.sender.clone().map(|sender| (state.peer, sender))
        };
        let connected: Vec<_> = locked(&self.known).values().filter_map(connected).collect();
        self.end.finish(&connected, PATIENCE).await;
    }

    /// How each of them is.
    pub fn standing(&self) -> Vec<Standing> {
        let routed = locked(&self.routed).clone();
        let mut all: Vec<_> = locked(&self.known)
            .values()
            .map(|member| Standing {
                name: member.name.clone(),
                connected: locked(&member.state).sender.is_some(),
                routed: routed.first().is_some_and(|pool| pool.contains(&member.name)),
            })
            .collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// Serves a member over a connection until that ends. `names` are those that its certificate
    /// gives it; it must be one of them, and one that we know.
    ///
    /// # Errors
    /// Why it ended; it always does.
    pub async fn serve<S: AsyncRead + AsyncWrite>(
        self: &Arc<Self>,
        stream: S,
        names: &[String],
    ) -> Result<Infallible, ConnectionError> {
        let own = self.to(names);
        let (connection, hello) = greet(stream, &own).await?;
        if !names.contains(&hello.name) {
            return Err(ConnectionError::Identity { seen: hello.name, expected: names.join(" or ") });
        }
        let member = locked(&self.known).get(&hello.name).cloned();
        let Some(member) = member else {
            let expected = "one of those that are configured here".to_owned();
            return Err(ConnectionError::Identity { seen: hello.name, expected });
        };
        member.superseded.notify_waiters();
        let _turn = member.turn.lock().await;
        let (to_member, outgoing) = channel();
        let (peer, connection_number) = self.arrived(&member, (&own, &hello), &to_member)?;
        tracing::info!(member = member.name, peer, "the trunk is up");
        let (incoming, from_member) = channel();
        // With its end, the frames from the member end, and so does what is attached to them.
        let carried = async {
            tokio::select! {
                biased;
                error = connection.carry(outgoing, incoming) => error,
                () = member.superseded.notified() => ConnectionError::Closed,
            }
        };
        let (error, ()) = tokio::join!(carried, self.end.attach(peer, to_member, from_member));
        tracing::warn!(member = member.name, peer, reason = %error, "the trunk is broken");
        self.departed(member.clone(), connection_number);
        Err(error)
    }

    /// What we say of ourselves to whoever has one of these names.
    fn to(&self, names: &[String]) -> Hello {
        let known = locked(&self.known);
        let member = names.iter().find_map(|name| known.get(name));
        let life = member.map(|member| locked(&member.state).own_life(self.own.instance));
        Hello { instance: life.unwrap_or(self.own.instance), ..self.own.clone() }
    }

    /// Finds out whether this is the member that was here before, with all that it had.
    fn arrived(
        &self,
        member: &Member,
        (own, hello): (&Hello, &Hello),
        sender: &FrameSender,
    ) -> Result<(PeerId, u64), ConnectionError> {
        let serves: Result<Vec<Pattern>, _> = hello.serves.iter().map(|domain| domain.parse()).collect();
        let serves = serves.map_err(|_| WireError::new("it serves what is no domain"))?;
        let mut state = locked(&member.state);
        if own.instance != state.own_life(self.own.instance) {
            return Err(ConnectionError::GivenUp);
        }
        if let Some(lost) = state.meet(hello.instance, || self.fresh()) {
            self.end.lost(lost, &member.name);
        }
        state.connections += 1;
        state.sender = Some(sender.clone());
        let (peer, connection) = (state.peer, state.connections);
        drop(state);
        self.end.face.holder.serves(peer, serves);
        self.apply_route();
        Ok((peer, connection))
    }

    /// Its connection is gone; if no other comes soon, so is the member.
    fn departed(self: &Arc<Self>, member: Arc<Member>, connection: u64) {
        locked(&member.state).sender = None;
        let members = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            let mut state = locked(&member.state);
            if state.connections == connection {
                tracing::warn!(member = member.name, "the member is given up; what it had in flight goes back");
                let lost = state.give_up(members.fresh());
                members.end.lost(lost, &member.name);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A member of one side and of the other, and what each calls itself.
    const LIVES: [u64; 2] = [40, 50];

    /// Both meet again; gives whether each takes the other for another life.
    fn meet(sides: &mut [State; 2]) -> [bool; 2] {
        let lives = [0, 1].map(|side| sides[side].own_life(LIVES[side]));
        [0, 1].map(|side| sides[side].meet(lives[1 - side], || 100).is_some())
    }

    #[test]
    fn whoever_comes_back_in_time_goes_on() {
        let mut sides = [State::new(1), State::new(2)];
        assert_eq!(meet(&mut sides), [false; 2]);
        assert_eq!(meet(&mut sides), [false; 2]);
        assert_eq!([sides[0].peer, sides[1].peer], [1, 2]);
    }

    #[test]
    fn whoever_was_given_up_without_knowing_it_forgets_too() {
        let mut sides = [State::new(1), State::new(2)];
        meet(&mut sides);
        assert_eq!(sides[0].give_up(3), 1);
        // The first one has begun anew already; the other must not go on with what it had in flight.
        assert_eq!(meet(&mut sides), [false, true]);
        assert_eq!([sides[0].peer, sides[1].peer], [3, 100]);
        assert_eq!(meet(&mut sides), [false; 2]);
    }

    #[test]
    fn when_both_gave_up_both_begin_anew() {
        let mut sides = [State::new(1), State::new(2)];
        meet(&mut sides);
        assert_eq!([0, 1].map(|side: usize| sides[side].give_up(3)), [1, 2]);
        assert_eq!(meet(&mut sides), [false; 2]);
        assert_eq!([sides[0].peer, sides[1].peer], [3, 3]);
    }
}
