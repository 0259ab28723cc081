//! Many numbered messages, and the account of those that arrived.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::timeout;
use xmpp::xml::write::escape_attribute;

use super::{Client, Stanza};

/// What became of numbered messages, as their receiver sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// How many different ones arrived.
    pub arrived: usize,
    /// How many arrived after one with a higher number.
    pub overtaken: usize,
    /// Which didn't arrive.
    pub missing: Vec<u32>,
    /// Which arrived again, once for every time.
    pub duplicates: Vec<u32>,
    /// Which of the messages that the receiver itself had sent the other way came back meanwhile, and
    /// with which error condition.
    pub returned: Vec<(u32, String)>,
}

/// With more than this, a machine has so much to do that a word is heard long after it was said, in milliseconds.
const BUSY_MS: u64 = 50;
/// What an ejabberd says at once, at most, as the tests have it speak.
const AT_ONCE: usize = 40;

/// Once in a test it may have been Prosody's process alone that was late, which no timer of ours shows.
#[derive(Debug, Default)]
pub struct Pardon {
    granted: bool,
}

impl Pardon {
    /// Whether so many messages may have crossed a stream's end without anything that shows why.
    fn is_granted(&mut self, messages: usize) -> bool {
        messages <= AT_ONCE && !std::mem::replace(&mut self.granted, true)
    }
}

impl Collected {
    /// Takes out of both counts what is missing here because the sender's Prosody returned it to them by itself, where
    /// the machine was that late, or there is a `pardon`. Gives how many that were.
    // COMPAT(Prosody 0.12): when it reads a stream's end, it returns what it has just said on it. Ends are said in pauses,
    // and a busy machine brings them after the pause.
    pub fn forgive_crossing(&mut self, sender: &mut Collected, late_ms: u64, pardon: &mut Pardon) -> usize {
        if self.missing.is_empty() || (late_ms < BUSY_MS && !pardon.is_granted(self.missing.len())) {
            return 0;
        }
        let (missing, returned) = (&mut self.missing, &mut sender.returned);
        let before = missing.len();
        returned.retain(|(number, condition)| {
            let place = missing.iter().position(|missing| missing == number);
            let crossed = place.filter(|_| condition == "recipient-unavailable").map(|place| missing.remove(place));
            crossed.is_none()
        });
        before - missing.len()
    }

    /// Takes out what is missing here of an ejabberd that was told a stream's end while it spoke, where the machine was that
    /// late. Gives how many that were; never more than it says at once.
    // COMPAT(ejabberd 23.01): what it is saying while it reads a stream's end may be gone without a word. All that was read of
    // it was brought on, wherever that was looked into.
    pub fn forgive_dropping(&mut self, late_ms: u64) -> usize {
        if late_ms < BUSY_MS || self.missing.len() > AT_ONCE {
            return 0;
        }
        std::mem::take(&mut self.missing).len()
    }

    /// Whether all arrived, each once, in order, and nothing came back.
    pub fn is_perfect(&self) -> bool {
        self.overtaken == 0 && self.missing.is_empty() && self.duplicates.is_empty() && self.returned.is_empty()
    }
}

impl Client {
    /// Sends a message for each of `numbers` with a body of `body_bytes`, never more than `window`
    /// ahead of what the own server has read, and returns when it has read them all.
    ///
    /// # Errors
    /// When the server stops reading, or the stream ends.
    pub async fn flood(&self, to: &str, numbers: Range<u32>, body_bytes: usize, window: u32) -> anyhow::Result<()> {
        let to = escape_attribute(to);
        let body = "x".repeat(body_bytes);
        let mut next = numbers.start;
        while next < numbers.end {
            let end = numbers.end.min(next.saturating_add(window.max(1)));
            let mut batch = String::new();
            for number in next..end {
                let id = PREFIX;
                write!(batch, "<message to='{to}' id='{id}{number}' type='chat'><body>{body}</body></message>")
                    .expect("text can be appended to");
            }
            self.send(batch);
            // Its own server handles what a client sends in order, so this answer stands for all before it.
            self.ping(self.server())
                .await
                .with_context(|| format!("after the first {} messages", end - numbers.start))?;
            next = end;
        }
        Ok(())
    }

    /// Receives messages that `from`, a bare or full JID, sends by [`Client::flood`], until all of
    /// `numbers` have arrived, or nothing of them did for as long as `patience`. Other stanzas are dropped.
    ///
    /// # Errors
    /// When the stream ends.
    pub async fn collect(&self, from: &str, numbers: Range<u32>, patience: Duration) -> anyhow::Result<Collected> {
        let mut account = Account::new(numbers);
        // Held all the time, so that nobody else takes what belongs here.
        let mut inbox = self.inbox.lock().await;
        while account.open > 0 {
            match timeout(patience, account.next(&mut inbox, from)).await {
                Ok(true) => {}
                Ok(false) => bail!("{} was collecting messages of {from}: {}", self.jid(), self.state.why()),
                Err(_) => return Ok(account.close()),
            }
        }
        // Whatever the server had for us by now, copies of the last one for instance, stands before its answer.
        self.ping(self.server()).await?;
        while let Ok(stanza) = inbox.try_recv() {
            account.enter(&stanza, from);
        }
        Ok(account.close())
    }
}

/// What begins the id of a numbered message.
const PREFIX: &str = "flood-";

struct Account {
    collected: Collected,
    first: u32,
    /// Which have arrived.
    seen: Vec<bool>,
    /// How many haven't.
    open: usize,
    highest: Option<u32>,
}

impl Account {
    fn new(numbers: Range<u32>) -> Account {
        let open = numbers.len();
        Account { collected: Collected::default(), first: numbers.start, seen: vec![false; open], open, highest: None }
    }

    /// Waits for one that counts. False is the stream's end.
    async fn next(&mut self, inbox: &mut tokio::sync::mpsc::UnboundedReceiver<Stanza>, from: &str) -> bool {
        while let Some(stanza) = inbox.recv().await {
            if self.enter(&stanza, from) {
                return true;
            }
        }
        false
    }

    /// Whether it counts.
    fn enter(&mut self, stanza: &Stanza, from: &str) -> bool {
        let id = stanza.id();
        let Some(number) = id.as_deref().and_then(|id| id.strip_prefix(PREFIX)?.parse::<u32>().ok()) else {
            return false;
        };
        let theirs = stanza.from().is_some_and(|sender| is_at(&sender, from));
        if stanza.name() != "message" || !theirs {
            return false;
        }
        if stanza.is_error() {
            self.collected.returned.push((number, stanza.condition().unwrap_or_default()));
            return true;
        }
        let place = number.checked_sub(self.first).and_then(|place| self.seen.get_mut(place as usize));
        let Some(seen) = place else { return false };
        if std::mem::replace(seen, true) {
            self.collected.duplicates.push(number);
        } else {
            self.open -= 1;
            self.collected.overtaken += usize::from(self.highest > Some(number));
            self.highest = self.highest.max(Some(number));
        }
        true
    }

    fn close(self) -> Collected {
        let arrived = self.seen.len() - self.open;
        let missing = (self.first..).zip(&self.seen).filter(|(_, seen)| !**seen).map(|(number, _)| number).collect();
        Collected { arrived, missing, ..self.collected }
    }
}

/// Whether `jid` is `of`, or one of its resources.
fn is_at(jid: &str, of: &str) -> bool {
    jid.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use xmpp::xml::Verbatim;

    use super::super::Stanza;
    use super::{Account, Collected};

    fn message(attributes: &str, content: &str) -> Stanza {
        let xml = format!("<message xmlns='jabber:client' {attributes}>{content}</message>");
        Stanza(Verbatim::parse(xml.as_bytes()).expect("a message"))
    }

    #[test]
    fn each_message_is_accounted_for() {
        let mut account = Account::new(10..16);
        let juliet = "juliet@fabrikam.test";
        for number in [10, 12, 11, 12, 14, 12, 16, 9] {
            account.enter(&message(&format!("from='{juliet}/balcony' id='flood-{number}'"), ""), juliet);
        }
        let others = ["from='juliet@fabrikam.testing' id='flood-13'", "from='romeo@contoso.test' id='flood-13'"];
        let nothing = ["from='juliet@fabrikam.test' id='13'", "from='juliet@fabrikam.test'", "id='flood-13'"];
        for other in others.into_iter().chain(nothing) {
            assert!(!account.enter(&message(other, ""), juliet), "{other}");
        }
        let error = "<error type='wait'>\
            <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>Later</text>\
            <resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
        assert!(account.enter(&message(&format!("from='{juliet}' id='flood-7' type='error'"), error), juliet));
        assert_eq!(account.open, 2);
        let expected = Collected {
            arrived: 4,
            overtaken: 1,
            missing: vec![13, 15],
            duplicates: vec![12, 12],
            returned: vec![(7, "resource-constraint".to_owned())],
        };
        assert_eq!(account.close(), expected);
    }

    #[test]
    fn only_what_arrived_once_and_in_order_is_perfect() {
        let perfect = Collected { arrived: 3, ..Collected::default() };
        assert!(perfect.is_perfect());
        assert!(!Collected { overtaken: 1, ..perfect.clone() }.is_perfect());
        assert!(!Collected { missing: vec![2], ..perfect.clone() }.is_perfect());
        assert!(!Collected { duplicates: vec![2], ..perfect.clone() }.is_perfect());
        assert!(!Collected { returned: vec![(2, String::new())], ..perfect }.is_perfect());
    }
}
