//! Two sessions, and one message each way: what became of each.

use std::time::Duration;

use tokio::time::Instant;
use xmpp::jid::bare;
use xmpp::xml::Verbatim;
use xmpp::xml::tree::Element;
use xmpp::xml::write::escape_attribute;

use super::login::{Session, random};
use super::report::Outcome;
use super::trouble::Trouble;
use super::wire::{plain, stanza_error, tree};

/// A farewell may take so long.
const FAREWELL: Duration = Duration::from_secs(1);

/// One message, on its way.
struct Sent {
    /// Full JIDs.
    from: String,
    to: String,
    id: String,
    body: String,
    at: Instant,
    outcome: Option<Outcome>,
}

impl Sent {
    fn new(from: &Session, to: &Session) -> Sent {
        let id = random();
        let body = format!("A test of fedge's, {id}; it needs no answer.");
        Sent { from: from.jid.clone(), to: to.jid.clone(), id, body, at: Instant::now(), outcome: None }
    }

    /// Servers keep no copy of it, and show it to no other session of the account (XEP-0334, XEP-0280).
    fn xml(&self) -> String {
        format!(
            "<message to='{}' id='{}' type='chat'><body>{}</body><no-store xmlns='urn:xmpp:hints'/>\
             <no-copy xmlns='urn:xmpp:hints'/><private xmlns='urn:xmpp:carbons:2'/></message>",
            escape_attribute(&self.to),
            self.id,
            self.body
        )
    }

    fn is_in(&self, stanza: &Verbatim) -> bool {
        stanza.name() == "message" && stanza.id().as_deref() == Some(&self.id)
    }

    /// It came to whom it was for, from whom it was, as it was.
    fn arrived(&mut self, stanza: &Verbatim, content: &Element) {
        let from = stanza.from().is_some_and(|from| bare(&from).eq_ignore_ascii_case(bare(&self.from)));
        let body = content.children().find(|child| child.name == "body").map(Element::text);
        if self.is_in(stanza) && from && stanza.type_().as_deref() != Some("error") && body.as_ref() == Some(&self.body)
        {
            let ms = self.ms();
            self.outcome.get_or_insert(Outcome::Arrived { ms });
        }
    }

    /// It came back to its sender.
    fn returned(&mut self, stanza: &Verbatim, content: &Element) {
        if self.is_in(stanza) && stanza.type_().as_deref() == Some("error") {
            let (condition, text) = stanza_error(content);
            let condition = condition.unwrap_or_else(|| "no condition".to_owned());
            let (ms, text) = (self.ms(), text.map(|text| plain(text.trim())));
            self.outcome.get_or_insert(Outcome::Returned { ms, condition, text });
        }
    }

    fn ms(&self) -> u64 {
        u64::try_from(self.at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A session with the message that it sends.
struct Side {
    session: Session,
    /// Why its stream ended.
    ended: Option<String>,
}

impl Side {
    async fn send(&mut self, xml: &str) {
        if let Err(trouble) = self.session.wire.write(xml).await {
            self.ended.get_or_insert(trouble.to_string());
        }
    }

    /// What comes next; nothing any more where the stream has ended.
    async fn next(&mut self) -> Result<Verbatim, Trouble> {
        match self.ended {
            None => self.session.wire.element().await,
            Some(_) => std::future::pending().await,
        }
    }

    /// Answers requests, so that the server takes the session for alive; of them only pings (XEP-0199) are fulfilled.
    async fn answer(&mut self, request: &Verbatim, content: &Element) {
        let (Some(id), Some("get" | "set")) = (request.id(), request.type_().as_deref()) else { return };
        let to = request.from().map(|from| format!(" to='{}'", escape_attribute(&from))).unwrap_or_default();
        let (kind, what) = match content.child("urn:xmpp:ping", "ping") {
            Some(_) => ("result", ""),
            None => (
                "error",
                "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
            ),
        };
        self.send(&format!("<iq{to} id='{}' type='{kind}'>{what}</iq>", escape_attribute(&id))).await;
    }

    async fn farewell(mut self) {
        if self.ended.is_none() {
            let _ = tokio::time::timeout(FAREWELL, async {
                self.session.wire.write("</stream:stream>").await?;
                // Whatever still comes is nobody's.
                while self.session.wire.element().await.is_ok() {}
                Ok::<(), Trouble>(())
            })
            .await;
        }
    }
}

/// Sends a message from each to the other, and waits for both, no longer than `within`. The first is what became of the
/// one from `from`.
pub(super) async fn exchange(from: Session, to: Session, within: Duration) -> [Outcome; 2] {
    let mut sent = [Sent::new(&from, &to), Sent::new(&to, &from)];
    let mut sides = [from, to].map(|session| Side { session, ended: None });
    for (side, sent) in sides.iter_mut().zip(&sent) {
        side.send(&sent.xml()).await;
    }
    let until = Instant::now() + within;
    while sent.iter().any(|sent| sent.outcome.is_none()) && sides.iter().any(|side| side.ended.is_none()) {
        let [one, other] = &mut sides;
        let (index, came) = tokio::select! {
            came = one.next() => (0, came),
            came = other.next() => (1, came),
            () = tokio::time::sleep_until(until) => break,
        };
        let came = came.and_then(|stanza| Ok((tree(&stanza)?, stanza)));
        match came {
            Ok((content, stanza)) => {
                sent[1 - index].arrived(&stanza, &content);
                sent[index].returned(&stanza, &content);
                if stanza.name() == "iq" {
                    sides[index].answer(&stanza, &content).await;
                }
            }
            Err(trouble) => sides[index].ended = Some(trouble.to_string()),
        }
    }
    let outcomes = [0, 1].map(|index| {
        let nothing = || match [&sides[index], &sides[1 - index]].into_iter().find_map(|side| {
            let why = side.ended.as_ref()?;
            Some(format!("the stream of {} ended: {why}", bare(&side.session.jid)))
        }) {
            Some(what) => Outcome::Unknown { what },
            None => Outcome::Nothing { seconds: within.as_secs() },
        };
        sent[index].outcome.clone().unwrap_or_else(nothing)
    });
    let [one, other] = sides;
    tokio::join!(one.farewell(), other.farewell());
    outcomes
}

#[cfg(test)]
mod tests;
