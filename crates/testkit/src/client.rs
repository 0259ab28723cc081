//! A user's XMPP client: enough of one for tests and the demo to log in, talk and count what arrives.

use std::collections::HashMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use xmpp::jid::domain_of;
use xmpp::xml::write::{escape_attribute, escape_text};

use crate::place::Place;

mod flood;
mod login;
mod room;
mod session;
mod stanza;
#[cfg(test)]
mod tests;

pub use flood::{Collected, Pardon};
pub use login::LoginError;
pub use stanza::Stanza;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A user who is logged in and online. All methods can be used at the same time; what arrives is
/// given to whoever waits for it first. Pings and roster pushes are answered without being asked for.
///
/// It talks plaintext, as nobody but the test itself listens.
#[derive(Debug)]
pub struct Client {
    /// The full JID.
    jid: String,
    to_server: mpsc::UnboundedSender<Bytes>,
    inbox: tokio::sync::Mutex<mpsc::UnboundedReceiver<Stanza>>,
    state: Arc<State>,
    session: JoinHandle<()>,
    ids: AtomicU64,
}

/// What the client shares with its session.
#[derive(Debug, Default)]
struct State {
    /// Who waits for the answer to an iq, by its id; None when none will come any more.
    waiting: Mutex<Option<HashMap<String, oneshot::Sender<Stanza>>>>,
    /// Why the stream ended.
    end: Mutex<Option<String>>,
}

impl Client {
    /// Connects to the server at `address`, logs in as `jid`, a bare or full one, and goes online.
    ///
    /// # Errors
    /// Says at which step it failed, and what the server answered.
    pub async fn login(place: &Place, address: SocketAddr, jid: &str, password: &str) -> Result<Client, LoginError> {
        let logged_in = login::login(place, address, jid, password);
        let (wire, jid) = timeout(PATIENCE, logged_in).await.map_err(|_| LoginError::Silent { address })??;
        let (to_server, from_client) = mpsc::unbounded_channel();
        let (to_client, inbox) = mpsc::unbounded_channel();
        let state = Arc::new(State { waiting: Mutex::new(Some(HashMap::new())), end: Mutex::default() });
        let session = tokio::spawn(session::run(wire, from_client, to_server.downgrade(), to_client, state.clone()));
        let inbox = tokio::sync::Mutex::new(inbox);
        let client = Client { jid, to_server, inbox, state, session, ids: AtomicU64::new(1) };
        client.send("<presence/>");
        Ok(client)
    }

    /// The full JID that the server gave.
    pub fn jid(&self) -> &str {
        &self.jid
    }

    /// Sends a stanza, or several. That the stream has ended shows at the next wait for something.
    pub fn send(&self, xml: impl Into<Bytes>) {
        // A failure has been noted as the stream's end.
        let _ = self.to_server.send(xml.into());
    }

    /// Sends a chat message.
    pub fn message(&self, to: &str, id: &str, body: &str) {
        let (to, id) = (escape_attribute(to), escape_attribute(id));
        self.send(format!("<message to='{to}' id='{id}' type='chat'><body>{}</body></message>", escape_text(body)));
    }

    /// Sends presence of that type (`subscribe`, `subscribed`, `unavailable`, …) to one address.
    pub fn presence(&self, to: &str, kind: &str) {
        self.send(format!("<presence to='{}' type='{}'/>", escape_attribute(to), escape_attribute(kind)));
    }

    /// Sends a request of type `get` or `set` and waits for its answer, of type `result` or `error`.
    ///
    /// # Errors
    /// When no answer comes in time, or the stream ends.
    pub async fn iq(&self, to: &str, kind: &str, payload: &str) -> anyhow::Result<Stanza> {
        let id = format!("iq-{}", self.ids.fetch_add(1, Ordering::Relaxed));
        let (sender, answer) = oneshot::channel();
        match &mut *self.state.waiting() {
            Some(waiting) => drop(waiting.insert(id.clone(), sender)),
            // The stream is over, which is the same to us as if it ended now.
            None => drop(sender),
        }
        let to = escape_attribute(to);
        self.send(format!("<iq to='{to}' id='{id}' type='{kind}'>{payload}</iq>"));
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => bail!("{} waited for an answer of {to}: {}", self.jid, self.state.why()),
            Err(_) => {
                self.state.waiting().as_mut().and_then(|waiting| waiting.remove(&id));
                bail!("{} got no answer of {to} within {PATIENCE:?} to {payload}", self.jid)
            }
        }
    }

    /// Pings (XEP-0199); an error is also an answer.
    ///
    /// # Errors
    /// When no answer comes in time, or the stream ends.
    pub async fn ping(&self, to: &str) -> anyhow::Result<Stanza> {
        self.iq(to, "get", "<ping xmlns='urn:xmpp:ping'/>").await
    }

    /// Answers a request that arrived.
    ///
    /// # Panics
    /// When it isn't an iq, which always has an id and, when it arrives, a sender.
    pub fn answer(&self, request: &Stanza, payload: &str) {
        let (id, from) = (request.id().expect("an iq has an id"), request.from().expect("an iq has a sender"));
        let (id, from) = (escape_attribute(&id), escape_attribute(&from));
        self.send(format!("<iq to='{from}' id='{id}' type='result'>{payload}</iq>"));
    }

    /// The next stanza that arrives, answers to [`Client::iq`] apart.
    ///
    /// # Errors
    /// When none comes in time, or the stream ends.
    pub async fn next(&self, bound: Duration) -> anyhow::Result<Stanza> {
        let next = timeout(bound, async { self.inbox.lock().await.recv().await });
        let next = next.await.with_context(|| format!("{} received nothing within {bound:?}", self.jid))?;
        next.with_context(|| format!("{} waited for a stanza: {}", self.jid, self.state.why()))
    }

    /// The next stanza that is the one waited for; what arrives before it is dropped.
    ///
    /// # Errors
    /// When it doesn't come in time, or the stream ends; says `what` was waited for, and what came.
    pub async fn wait_for(
        &self,
        what: impl Display,
        bound: Duration,
        mut is_it: impl FnMut(&Stanza) -> bool,
    ) -> anyhow::Result<Stanza> {
        let mut others = Vec::new();
        let search = async {
            loop {
                match self.inbox.lock().await.recv().await {
                    Some(stanza) if is_it(&stanza) => return Some(stanza),
                    Some(other) => others.push(other.to_string()),
                    None => return None,
                }
            }
        };
        let why = match timeout(bound, search).await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => self.state.why(),
            Err(_) => format!("it didn't come within {bound:?}"),
        };
        others.truncate(20);
        bail!("{} waited for {what}: {why}; what came instead: [{}]", self.jid, others.join(", "))
    }

    /// The next message with this id, of whatever type.
    ///
    /// # Errors
    /// As [`Client::wait_for`].
    pub async fn message_with_id(&self, id: &str, bound: Duration) -> anyhow::Result<Stanza> {
        let is_it = |stanza: &Stanza| stanza.name() == "message" && stanza.id().as_deref() == Some(id);
        self.wait_for(format_args!("message {id}"), bound, is_it).await
    }

    /// Goes offline, ends the stream, and waits until the server has ended it, too.
    ///
    /// # Errors
    /// When the server doesn't in time, or the stream had ended before.
    pub async fn close(mut self) -> anyhow::Result<()> {
        if let Some(end) = self.state.end() {
            bail!("{} had lost its stream: {end}", self.jid);
        }
        self.send("<presence type='unavailable'/></stream:stream>");
        timeout(PATIENCE, &mut self.session).await.context("the server doesn't end the stream")?.context("the session")
    }

    /// The server on which this user is.
    fn server(&self) -> &str {
        domain_of(&self.jid)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.session.abort();
    }
}

impl State {
    fn waiting(&self) -> MutexGuard<'_, Option<HashMap<String, oneshot::Sender<Stanza>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) -> Option<String> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why nothing comes any more.
    fn why(&self) -> String {
        format!("the stream ended: {}", self.end().as_deref().unwrap_or("nobody said why"))
    }
}
