//! Asking the site's resolvers: one after the other in the configured order, the next one as soon
//! as one keeps silent, and those that were silent lately last.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, OpCode, ResponseCode};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{self, timeout_at};

use crate::cache::{Ask, Cache};
use crate::counts::Counts;

mod exchange;
mod health;

pub use exchange::{Fault, accept};
use health::Health;

/// A resolver that says nothing for this long gets a rival.
const HEAD_START: Duration = Duration::from_millis(400);

/// A question that nobody answered for this long fails; clients ask again after five seconds.
const PATIENCE: Duration = Duration::from_secs(4);

/// The site's resolvers and what they said.
pub struct Forwarder {
    resolvers: Vec<Resolver>,
    cache: Cache,
    counts: Arc<Counts>,
    /// Questions that are being asked: who asks the same waits for the same answer.
    asking: Mutex<HashMap<Ask, watch::Receiver<Option<Arc<Message>>>>>,
}

struct Resolver {
    address: SocketAddr,
    health: Mutex<Health>,
}

impl Forwarder {
    /// Asks `resolvers`, in this order, keeps up to `capacity` answers, and counts.
    pub fn new(resolvers: Vec<SocketAddr>, capacity: u64, counts: Arc<Counts>) -> Forwarder {
        let resolvers = resolvers.into_iter().map(|address| Resolver { address, health: Mutex::default() }).collect();
        Forwarder { resolvers, cache: Cache::new(capacity), counts, asking: Mutex::default() }
    }

    /// What the site's resolvers say to `ask`: SERVFAIL when none says anything that helps.
    pub async fn ask(self: &Arc<Self>, ask: Ask) -> Arc<Message> {
        if let Some(said) = self.cache.get(&ask, Instant::now()) {
            self.counts.cache_hits.grow();
            return said;
        }
        let mut answer = self.join(&ask);
        let said = answer.wait_for(Option::is_some).await.ok().and_then(|said| said.clone());
        said.unwrap_or_else(|| Arc::new(failure(&ask)))
    }

    /// Waits for the question if it is being asked, asks it if not. It goes on also when everybody
    /// who waits has gone: the answer is kept.
    fn join(self: &Arc<Self>, ask: &Ask) -> watch::Receiver<Option<Arc<Message>>> {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = asking.get(ask).filter(|answer| answer.has_changed().is_ok()) {
            return answer.clone();
        }
        let (told, answer) = watch::channel(None);
        asking.insert(ask.clone(), answer.clone());
        let (forwarder, ask) = (self.clone(), ask.clone());
        tokio::spawn(async move {
            forwarder.counts.asked.grow();
            let said = forwarder.ask_resolvers(&ask).await.unwrap_or_else(|| {
                forwarder.counts.unanswered.grow();
                failure(&ask)
            });
            let said = Arc::new(said);
            forwarder.cache.put(ask.clone(), said.clone(), Instant::now());
            forwarder.asking.lock().unwrap_or_else(PoisonError::into_inner).remove(&ask);
            told.send_replace(Some(said));
        });
        answer
    }

    async fn ask_resolvers(&self, ask: &Ask) -> Option<Message> {
        let deadline = time::Instant::now() + PATIENCE;
        let mut waiting = self.order(Instant::now());
        let mut asked: Vec<(usize, Instant)> = Vec::new();
        let mut exchanges = JoinSet::new();
        loop {
            if let Some(next) = waiting.pop_front() {
                let (ask, address) = (ask.clone(), self.resolvers[next].address);
                exchanges.spawn(async move { (next, exchange::exchange(address, &ask).await) });
                asked.push((next, Instant::now()));
            }
            let until = if waiting.is_empty() { deadline } else { deadline.min(time::Instant::now() + HEAD_START) };
            match timeout_at(until, exchanges.join_next()).await {
                Ok(Some(Ok((from, Ok(said))))) => {
                    self.resolvers[from].works();
                    self.silent(asked.into_iter().filter(|(index, _)| *index != from), HEAD_START);
                    return Some(said);
                }
                Ok(Some(Ok((from, Err(fault))))) => {
                    asked.retain(|(index, _)| *index != from);
                    self.resolvers[from].failed(ask, &fault);
                }
                // An exchange that ended by a panic is reported by the runtime.
                Ok(Some(Err(_))) => {}
                Ok(None) => return None,
                Err(_) if time::Instant::now() >= deadline => {
                    self.silent(asked.into_iter(), Duration::ZERO);
                    return None;
                }
                Err(_) => {}
            }
        }
    }

    /// The resolvers in the order in which to ask: those that work as configured, then the dead.
    fn order(&self, now: Instant) -> VecDeque<usize> {
        let dead = |index: &usize| self.resolvers[*index].health().dead_until(now);
        let mut order: Vec<usize> = (0..self.resolvers.len()).collect();
        order.sort_by_key(dead);
        order.into()
    }

    /// Remembers as dead those of `asked` that said nothing for `patience`.
    fn silent(&self, asked: impl Iterator<Item = (usize, Instant)>, patience: Duration) {
        for (index, since) in asked {
            if since.elapsed() >= patience {
                self.resolvers[index].dead(&format_args!("no answer for {} ms", since.elapsed().as_millis()));
            }
        }
    }
}

impl Resolver {
    fn health(&self) -> std::sync::MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn works(&self) {
        if self.health().works() {
            tracing::info!(resolver = %self.address, "the resolver answers again");
        }
    }

    fn dead(&self, why: &dyn std::fmt::Display) {
        if self.health().fails(Instant::now()) {
            tracing::warn!(resolver = %self.address, %why, "the resolver does not answer; asking it last for a while");
        }
    }

    fn failed(&self, ask: &Ask, fault: &Fault) {
        if matches!(fault, Fault::Io(_)) {
            return self.dead(fault);
        }
        // It is there, and can't answer this; it may answer something else.
        tracing::debug!(resolver = %self.address, name = %ask.name, r#type = %ask.wanted, %fault, "no answer");
        self.works();
    }
}

/// What is said when nobody knew.
fn failure(ask: &Ask) -> Message {
    let mut message = Message::error_msg(0, OpCode::Query, ResponseCode::ServFail);
    message.add_query(exchange::question(ask));
    message
}
