//! The other ends of a face's trunk: who they are over all their connections, and when one is given up.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::connection::{ConnectionError, greet};
use super::wire::{Frame, Hello};
use super::{FrameSender, PeerState, channel};
use crate::bridge::{End, OnDrop};
use crate::hold::PeerId;

/// Without a connection for so long, a member is given up, with what it had in flight.
pub const PATIENCE: Duration = Duration::from_millis(1500);
/// Who is no member any more has so long to finish what is under way between us.
pub const FAREWELL: Duration = Duration::from_secs(30);

/// The members of the trunk that this end has to do with.
pub struct Members {
    end: End,
    own: Mutex<Hello>,
    next: AtomicU32,
    /// All that there ever were: who comes back must be known to have been given up.
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
    /// The number of the connection that is to serve it; that of another ends.
    latest: watch::Sender<u64>,
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
    /// Whether it is a member now.
    belongs: bool,
    /// Counts how often that changed, so that a late look does nothing.
    changes: u64,
}

impl State {
    fn new(peer: PeerId) -> State {
        State { peer, instance: None, connections: 0, given_up: 0, sender: None, belongs: true, changes: 0 }
    }

    /// It becomes a member, or is none any more. Gives the number of the change, if it is one.
    fn becomes(&mut self, member: bool) -> Option<u64> {
        (self.belongs != member).then(|| {
            (self.belongs, self.changes) = (member, self.changes + 1);
            self.changes
        })
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

impl Member {
    fn new(name: &str, peer: PeerId) -> Member {
        Member {
            name: name.to_owned(),
            state: Mutex::new(State::new(peer)),
            turn: tokio::sync::Mutex::default(),
            latest: watch::Sender::new(0),
        }
    }

    fn belongs(&self) -> bool {
        locked(&self.state).belongs
    }

    /// Whatever connection serves it is to end; gives the number of the next one.
    fn supersede(&self) -> u64 {
        self.latest.send_modify(|latest| *latest += 1);
        *self.latest.borrow()
    }
}

impl Members {
    /// Those of these names, none of whom is there yet. `own` is what we say of ourselves.
    pub fn new(end: End, own: Hello, names: &[String]) -> Arc<Members> {
        let members = Members {
            end,
            own: Mutex::new(own),
            next: AtomicU32::new(1),
            known: Mutex::default(),
            routed: Mutex::default(),
        };
        let members = Arc::new(members);
        members.become_those(names);
        members
    }

    /// From now on, these are the members. A new one may come at once. One that is none any more gets nothing new,
    /// is told so, and has [`FAREWELL`] to finish what is under way; what isn't finished by then goes back.
    pub fn become_those(self: &Arc<Self>, names: &[String]) {
        let names: BTreeSet<&String> = names.iter().collect();
        let mut known = locked(&self.known);
        for name in &names {
            let member = known.entry((*name).clone()).or_insert_with(|| Arc::new(Member::new(name, self.fresh())));
            self.change(member, true);
        }
        for member in known.values().filter(|member| !names.contains(&member.name)) {
            self.change(member, false);
        }
        drop(known);
        self.apply_route();
    }

    fn change(self: &Arc<Self>, member: &Arc<Member>, belongs: bool) {
        let mut state = locked(&member.state);
        let Some(change) = state.becomes(belongs) else { return };
        let (peer, sender) = (state.peer, state.sender.clone());
        drop(state);
        self.end.face.holder.retire(peer, !belongs);
        if let Some(sender) = sender {
            sender.frame(Frame::State(if belongs { self.end.state() } else { PeerState::Draining }));
        }
        if belongs {
            return;
        }
        tracing::info!(member = member.name, "no member of the trunk any more; what is under way is finished");
        let (members, member) = (self.clone(), member.clone());
        tokio::spawn(async move {
            tokio::time::sleep(FAREWELL).await;
            if locked(&member.state).changes != change {
                return;
            }
            member.supersede();
            // Nothing of its comes after it was lost.
            let _turn = member.turn.lock().await;
            let mut state = locked(&member.state);
            if state.changes == change {
                let lost = state.give_up(members.fresh());
                members.end.lost(lost, &member.name);
            }
        });
    }

    /// From now on, we take stanzas to these domains, and all who are connected hear so.
    pub fn serve_domains(&self, domains: Vec<String>) {
        let mut own = locked(&self.own);
        if own.serves == domains {
            return;
        }
        own.serves = domains;
        let hello = own.clone();
        drop(own);
        let known = locked(&self.known);
        let senders = known.values().filter_map(|member| locked(&member.state).sender.clone());
        senders.for_each(|sender| sender.frame(Frame::Hello(hello.clone())));
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
        self.end.finish(&self.connected(), PATIENCE).await;
    }

    /// Takes new things again after [`Members::finish`], and tells all who are connected so.
    pub fn resume(&self) {
        self.end.resume(&self.connected());
    }

    fn connected(&self) -> Vec<(PeerId, FrameSender)> {
        let connected = |member: &Arc<Member>| {
            let state = locked(&member.state);
            state.sender.clone().filter(|_| state.belongs).map(|sender| (state.peer, sender))
        };
        locked(&self.known).values().filter_map(connected).collect()
    }

    /// How each of them is.
    pub fn standing(&self) -> Vec<Standing> {
        let routed = locked(&self.routed).clone();
        let known = locked(&self.known);
        let all = known.values().filter(|member| member.belongs());
        all.map(|member| Standing {
            name: member.name.clone(),
            connected: locked(&member.state).sender.is_some(),
            routed: routed.first().is_some_and(|pool| pool.contains(&member.name)),
        })
        .collect()
    }

    /// Whether one of this name is a member now.
    pub fn has(&self, name: &str) -> bool {
        locked(&self.known).get(name).is_some_and(|member| member.belongs())
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
        let known = locked(&self.known).get(&hello.name).cloned();
        let Some(member) = known.filter(|member| member.belongs()) else {
            let expected = "one of those that are members here".to_owned();
            return Err(ConnectionError::Identity { seen: hello.name, expected });
        };
        let mut latest = member.latest.subscribe();
        let this = member.supersede();
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
                _ = latest.wait_for(|latest| *latest != this) => ConnectionError::Closed,
            }
        };
        // However it ends, also with the task that serves it.
        let departing = OnDrop(|| self.departed(member.clone(), connection_number));
        let (error, ()) = tokio::join!(carried, self.end.attach(peer, to_member, from_member));
        tracing::warn!(member = member.name, peer, reason = %error, "the trunk is broken");
        drop(departing);
        Err(error)
    }

    /// What we say of ourselves to whoever has one of these names.
    fn to(&self, names: &[String]) -> Hello {
        let known = locked(&self.known);
        let member = names.iter().find_map(|name| known.get(name));
        let own = locked(&self.own).clone();
        let life = member.map(|member| locked(&member.state).own_life(own.instance));
        Hello { instance: life.unwrap_or(own.instance), ..own }
    }

    /// Finds out whether this is the member that was here before, with all that it had.
    fn arrived(
        &self,
        member: &Member,
        (own, hello): (&Hello, &Hello),
        sender: &FrameSender,
    ) -> Result<(PeerId, u64), ConnectionError> {
        let serves = hello.patterns()?;
        let instance = locked(&self.own).instance;
        let mut state = locked(&member.state);
        if own.instance != state.own_life(instance) || !state.belongs {
            return Err(ConnectionError::GivenUp);
        }
        if let Some(lost) = state.meet(hello.instance, || self.fresh()) {
            self.end.lost(lost, &member.name);
        }
        state.connections += 1;
        state.sender = Some(sender.clone());
        let (peer, connection) = (state.peer, state.connections);
        drop(state);
        self.end.face.holder.named(peer, &member.name);
        self.end.face.holder.serves(peer, serves);
        self.apply_route();
        // They may have changed since we greeted it, when it couldn't be told yet.
        let news = locked(&self.own);
        if news.serves != own.serves {
            sender.frame(Frame::Hello(news.clone()));
        }
        drop(news);
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
