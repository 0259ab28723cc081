//! The holder: keeps each accepted stanza until its outcome is known, and counts.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::local::Counts;
use tokio::sync::Notify;
use xmpp::domain::DomainPair;
use xmpp::stanza::{Kind, Stanza, StanzaCondition};

use crate::fate::{Fate, Fates};
use crate::trunk::{Crossing, TrunkSender, Undeliverable};

/// Everything that one face accepted and that has no outcome yet.
pub struct Holder {
    pairs: Mutex<HashMap<DomainPair, Arc<Held>>>,
    trunk: TrunkSender,
    /// Bytes of one pair that may be without an outcome.
    window: usize,
    fates: Arc<Fates>,
}

struct Held {
    state: Mutex<State>,
    room: Notify,
}

#[derive(Default)]
struct State {
    last: u64,
    bytes: usize,
    stanzas: VecDeque<(u64, Stanza)>,
    counts: Counts,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Holder {
    /// Nothing held yet. What is accepted goes out on `trunk`.
    pub fn new(trunk: TrunkSender, window: usize, fates: Arc<Fates>) -> Holder {
        Holder { pairs: Mutex::default(), trunk, window, fates }
    }

    /// Takes a stanza and sends it on its way; waits while the pair's window is full.
    pub async fn accept(&self, pair: &DomainPair, stanza: Stanza) {
        let held = self.held(pair);
        loop {
            let room = held.room.notified();
            {
                let mut state = locked(&held.state);
                // One stanza always fits, however large it is.
                if state.bytes == 0 || state.bytes + stanza.bytes().len() <= self.window {
                    return self.take(&mut state, pair, stanza);
                }
            }
            room.await;
        }
    }

    fn take(&self, state: &mut State, pair: &DomainPair, stanza: Stanza) {
        state.last += 1;
        state.bytes += stanza.bytes().len();
        state.counts.accepted += 1;
        self.fates.record(pair, &stanza, Fate::Accepted);
        state.stanzas.push_back((state.last, stanza.clone()));
        // Sent while locked, so that numbers leave in order.
        self.trunk.send(Crossing::Stanza { pair: pair.clone(), number: state.last, settled: 0, stanza });
    }

    /// The pair's stanzas up to this number were taken.
    pub fn taken(&self, pair: &DomainPair, up_to: u64) {
        let held = self.held(pair);
        let mut state = locked(&held.state);
        while let Some((number, stanza)) = state.stanzas.pop_front() {
            if number > up_to {
                state.stanzas.push_front((number, stanza));
                break;
            }
            state.bytes -= stanza.bytes().len();
            state.counts.taken += 1;
            self.fates.record(pair, &stanza, Fate::Taken);
        }
        held.room.notify_waiters();
    }

    /// This stanza can't be delivered. Returns the error that goes back to its sender, if it is one
    /// that may go back.
    pub fn refused(&self, pair: &DomainPair, number: u64, why: &Undeliverable) -> Option<Stanza> {
        let held = self.held(pair);
        let mut state = locked(&held.state);
        let place = state.stanzas.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        let (_, stanza) = state.stanzas.remove(place)?;
        state.bytes -= stanza.bytes().len();
        held.room.notify_waiters();
        let reply = stanza.error_reply(gentle(&stanza, why.condition), &why.text);
        if reply.is_some() {
            state.counts.returned += 1;
            self.fates.record(pair, &stanza, Fate::Returned(why.to_string()));
        } else {
            state.counts.failed += 1;
            self.fates.record(pair, &stanza, Fate::Failed(why.to_string()));
        }
        reply
    }

    /// Turned back before it could be accepted: counted as accepted and returned, or failed.
    pub fn turned_back(&self, pair: &DomainPair, returned: bool) {
        let held = self.held(pair);
        let counts = &mut locked(&held.state).counts;
        counts.accepted += 1;
        *(if returned { &mut counts.returned } else { &mut counts.failed }) += 1;
    }

    /// Waits until everything that was accepted has its outcome.
    pub async fn settled(&self) {
        loop {
            let busy = locked(&self.pairs).values().find(|held| !locked(&held.state).stanzas.is_empty()).cloned();
            let Some(held) = busy else { return };
            let change = held.room.notified();
            if !locked(&held.state).stanzas.is_empty() {
                change.await;
            }
        }
    }

    /// Each pair's counts.
    pub fn counts(&self) -> Vec<(DomainPair, Counts)> {
        let pairs: Vec<_> = locked(&self.pairs).iter().map(|(pair, held)| (pair.clone(), held.clone())).collect();
        let counted = |held: &Held| {
            let state = locked(&held.state);
            Counts { in_flight: state.stanzas.len() as u64, ..state.counts }
        };
        pairs.into_iter().map(|(pair, held)| (pair, counted(&held))).collect()
    }

    /// All pairs' counts in one.
    pub fn total(&self) -> Counts {
        self.counts().iter().fold(Counts::default(), |total, (_, counts)| Counts {
            accepted: total.accepted + counts.accepted,
            taken: total.taken + counts.taken,
            returned: total.returned + counts.returned,
            failed: total.failed + counts.failed,
            in_flight: total.in_flight + counts.in_flight,
        })
    }

    fn held(&self, pair: &DomainPair) -> Arc<Held> {
        let mut pairs = locked(&self.pairs);
        match pairs.get(pair) {
            Some(held) => held.clone(),
            None => {
                let held = Arc::new(Held { state: Mutex::default(), room: Notify::new() });
                pairs.insert(pair.clone(), held.clone());
                held
            }
        }
    }
}

/// The condition that tells of a passing failure without harm: rooms throw out occupants whose
/// presence or groupchat comes back with a remote server not found or timed out.
fn gentle(stanza: &Stanza, condition: StanzaCondition) -> StanzaCondition {
    let concerns_rooms = match stanza.kind() {
        Kind::Presence => true,
        Kind::Message => stanza.type_().as_deref() == Some("groupchat"),
        Kind::Iq => false,
    };
    match condition {
        StanzaCondition::RemoteServerTimeout if concerns_rooms => StanzaCondition::ResourceConstraint,
        condition => condition,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trunk;
    use xmpp::domain::Domain;

    fn pair() -> DomainPair {
        let domain = |text| Domain::parse(text).expect("a domain");
        DomainPair::new(domain("contoso.test"), domain("fabrikam.test"))
    }

    fn stanza(kind: &str) -> Stanza {
        let text = format!("<message type='{kind}' id='1' from='a@contoso.test' to='b@fabrikam.test'/>");
        Stanza::parse(text.as_bytes()).expect("a stanza")
    }

    fn timeout() -> Undeliverable {
        Undeliverable { condition: StanzaCondition::RemoteServerTimeout, text: "nobody answered".into() }
    }

    #[tokio::test]
    async fn each_stanza_has_exactly_one_outcome() {
        let (near, mut far) = trunk::in_memory();
        let holder = Holder::new(near.sender, 1 << 20, Arc::new(Fates::new(100)));
        for kind in ["chat", "chat", "error", "chat"] {
            holder.accept(&pair(), stanza(kind)).await;
        }
        for expected in 1..=4 {
            let Some(Crossing::Stanza { number, .. }) = far.receiver.recv().await else { panic!("a stanza") };
            assert_eq!(number, expected);
        }
        let reply = holder.refused(&pair(), 2, &timeout()).expect("an error");
        assert_eq!(reply.type_().as_deref(), Some("error"));
        assert!(holder.refused(&pair(), 2, &timeout()).is_none(), "a second outcome changes nothing");
        assert!(holder.refused(&pair(), 3, &timeout()).is_none(), "errors don't go back");
        holder.taken(&pair(), 3);
        assert_eq!(holder.total(), Counts { accepted: 4, taken: 1, returned: 1, failed: 1, in_flight: 1 });
    }

    #[tokio::test]
    async fn a_full_window_holds_the_sender_until_there_is_room() {
        let (near, _far) = trunk::in_memory();
        let length = stanza("chat").bytes().len();
        let holder = Arc::new(Holder::new(near.sender, 2 * length, Arc::new(Fates::new(100))));
        holder.accept(&pair(), stanza("chat")).await;
        holder.accept(&pair(), stanza("chat")).await;
        let waiting = tokio::spawn({
            let holder = holder.clone();
            async move { holder.accept(&pair(), stanza("chat")).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(holder.total().accepted, 2);
        holder.taken(&pair(), 1);
        waiting.await.expect("accepted");
        assert_eq!(holder.total().in_flight, 2);
    }
}
