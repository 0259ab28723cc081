//! Both users speak at a steady pace and listen, also over new sessions when an old one ended.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use xmpp::jid::domain_of;
use xmpp::xml::tree::Element;

use super::account::Account;
use crate::client::{Client, Stanza};

/// Messages that are sent at once.
const BATCH: usize = 20;
/// For a new session to come after one ended.
const PATIENCE: Duration = Duration::from_secs(120);

/// One direction of the flood.
#[derive(Debug, Clone)]
pub(super) struct Talk {
    /// What the ids of its messages begin with.
    pub(super) tag: String,
    /// The full JID of who is spoken to.
    pub(super) to: String,
    account: Arc<Mutex<Account>>,
}

/// A user's present session.
pub(super) type Session = watch::Receiver<Option<Arc<Client>>>;

/// What became of messages outside of the count, by their ids.
pub(super) type Seen = Arc<Mutex<BTreeMap<String, Heard>>>;

/// What was heard of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    Arrived,
    Returned,
}

impl Talk {
    pub(super) fn new(tag: String, to: String, messages: usize) -> Talk {
        Talk { tag, to, account: Arc::new(Mutex::new(Account::new(messages))) }
    }

    pub(super) fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends that many messages, a batch at a time, each once the server has read the one before. What a
    /// server didn't read before the session ended is not sent again, and doesn't count.
    pub(super) async fn speak(self, mut session: Session, messages: usize, per_second: usize) {
        let mut ticks = interval(Duration::from_secs_f64(BATCH as f64 / per_second as f64));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let body = "x".repeat(100);
        for start in (0..messages).step_by(BATCH) {
            ticks.tick().await;
            let present = timeout(PATIENCE, session.wait_for(Option::is_some)).await;
            let Ok(Ok(Some(client))) = present.map(|waited| waited.map(|present| present.clone())) else { return };
            let numbers = start..messages.min(start + BATCH);
            let mut batch = String::new();
            for number in numbers.clone() {
                let (to, tag) = (&self.to, &self.tag);
                write!(batch, "<message to='{to}' id='{tag}{number}' type='chat'><body>{body}</body></message>")
                    .expect("text can be appended to");
                self.account().sent(number);
            }
            client.send(batch);
            let asked = Instant::now();
            if client.ping(domain_of(client.jid())).await.is_ok() {
                let mut account = self.account();
                account.answered(asked);
                account.read(numbers);
            } else {
                // Until there is another one.
                let ended = |now: &Option<Arc<Client>>| now.as_ref().is_none_or(|now| !Arc::ptr_eq(now, &client));
                let _ = timeout(PATIENCE, session.wait_for(ended)).await;
            }
        }
    }

    fn number(&self, id: &str) -> Option<usize> {
        id.strip_prefix(&self.tag)?.parse().ok()
    }
}

/// Enters everything that a user receives, until his session ends.
pub(super) async fn listen(client: Arc<Client>, own: Talk, others: Talk, seen: Seen) {
    while let Ok(stanza) = client.next(Duration::from_secs(3600)).await {
        let Some(id) = stanza.id().map(std::borrow::Cow::into_owned) else { continue };
        if stanza.name() != "message" {
            continue;
        }
        match (stanza.is_error(), own.number(&id), others.number(&id)) {
            (true, Some(number), _) => own.account().returned(number, told(&stanza)),
            (false, _, Some(number)) => others.account().arrived(number, was_stored(&stanza)),
            (error, ..) => {
                let fate = if error { Heard::Returned } else { Heard::Arrived };
                seen.lock().unwrap_or_else(PoisonError::into_inner).insert(id, fate);
            }
        }
    }
}

/// Whether his server kept it for somebody who wasn't there (XEP-0203).
fn was_stored(stanza: &Stanza) -> bool {
    stanza.tree().child("urn:xmpp:delay", "delay").is_some()
}

/// The error's condition, and its text, if it has any.
fn told(stanza: &Stanza) -> String {
    let tree = stanza.tree();
    let error = tree.child(&tree.namespace, "error");
    let text = error.and_then(|error| error.children().find(|child| child.name == "text").map(Element::text));
    let condition = stanza.condition().unwrap_or_default();
    text.map_or(condition.clone(), |text| format!("{condition} ({text})"))
}

/// Waits until a message outside of the count has arrived or come back; nothing when neither happens in time.
pub(super) async fn heard(seen: &Seen, id: &str, bound: Duration) -> Option<Heard> {
    let began = Instant::now();
    loop {
        let heard = seen.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied();
        if heard.is_some() || began.elapsed() > bound {
            return heard;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
