//! What servers said and heard, stanza by stanza: the only account that fedge has no part in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use xmpp::domain::DomainPair;
use xmpp::stanza::Stanza;

use super::network::Place;
use super::random::Random;

/// No stanza here is smaller, and none larger.
pub(super) const LEAST: usize = 120;
pub(super) const MOST: usize = 3000;

/// A stanza's place in the ledger, which is also its id.
pub(super) type Number = usize;

/// A gateway or an edge server from one start to its end: where it is, and which start this was.
pub(super) type Life = (Place, u64);

/// A stanza that a server wrote.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) pair: DomainPair,
    /// On which stream.
    pub(super) stream: usize,
    /// Results may not be returned.
    pub(super) is_result: bool,
    /// The sender was told that it is taken.
    pub(super) acknowledged: bool,
    /// The sender takes it as not delivered, since its stream ended properly without an acknowledgement.
    pub(super) disowned: bool,
    /// On which stream it came to its addressee, and as which of all that came to anybody.
    pub(super) delivered: Vec<(usize, usize)>,
    /// How often its sender got an error for it.
    pub(super) returned: usize,
}

/// A stream on which a server sent.
#[derive(Debug)]
pub(super) struct Stream {
    /// The server.
    pub(super) from: Place,
    /// Whom it was opened to.
    pub(super) to: Life,
}

#[derive(Default)]
pub(super) struct Book {
    pub(super) entries: Vec<Entry>,
    pub(super) streams: Vec<Stream>,
    received: usize,
    receiving: usize,
    /// Which life of those who are served there it is now.
    pub(super) lives: BTreeMap<Place, u64>,
    /// What never may be, as soon as it is seen.
    pub(super) wrong: Vec<String>,
}

/// Shared by all servers. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<Book>>);

impl Ledger {
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().expect("nobody panics under it")
    }

    /// A stream on which a server will send.
    pub(super) fn open(&self, from: Place, to: Place) -> usize {
        let mut book = self.book();
        let life = book.lives.get(&to).copied().unwrap_or_default();
        book.streams.push(Stream { from, to: (to, life) });
        book.streams.len() - 1
    }

    /// A stream on which a server will receive.
    pub(super) fn open_receiving(&self) -> usize {
        let mut book = self.book();
        book.receiving += 1;
        book.receiving
    }

    /// A new stanza that is about to be written.
    pub(super) fn write(&self, stream: usize, pair: &DomainPair, random: &mut Random) -> (Number, Bytes) {
        let mut book = self.book();
        let number = book.entries.len();
        let is_result = random.percent(5);
        let (name, kind) = if is_result { ("iq", "result") } else { ("message", "chat") };
        let filling = if random.percent(90) { random.between(40, 300) } else { random.between(300, MOST - 200) };
        let (from, to) = (&pair.from, &pair.to);
        let body = "x".repeat(filling);
        let text = format!(
            "<{name} type='{kind}' id='{number}' from='alice@{from}' to='bob@{to}/here'><body>{body}</body></{name}>"
        );
        assert!((LEAST..=MOST).contains(&text.len()), "{text}");
        book.entries.push(Entry {
            pair: pair.clone(),
            stream,
            is_result,
            acknowledged: false,
            disowned: false,
            delivered: Vec::new(),
            returned: 0,
        });
        (number, text.into())
    }

    /// The sender's peer says that these are taken.
    pub(super) fn acknowledged(&self, numbers: impl IntoIterator<Item = Number>) {
        let mut book = self.book();
        for number in numbers {
            book.entries[number].acknowledged = true;
        }
    }

    /// The stream ended properly, and these weren't acknowledged on it.
    pub(super) fn disown(&self, numbers: impl IntoIterator<Item = Number>) {
        let mut book = self.book();
        for number in numbers {
            book.entries[number].disowned = true;
        }
    }

    /// A server got a stanza.
    pub(super) fn received(&self, stream: usize, stanza: &Stanza) {
        let mut book = self.book();
        book.received += 1;
        let order = book.received;
        let is_error = stanza.type_().as_deref() == Some("error");
        let Some(number) = stanza.id().and_then(|id| id.parse::<Number>().ok()) else {
            return book.wrong.push(format!("{stanza:?} came, which nobody wrote"));
        };
        let (from, to) = (stanza.from().unwrap_or_default().into_owned(), stanza.to().unwrap_or_default().into_owned());
        let entry = &mut book.entries[number];
        let (sender, receiver) = (format!("alice@{}", entry.pair.from), format!("bob@{}/here", entry.pair.to));
        let expected = if is_error { (&receiver, &sender) } else { (&sender, &receiver) };
        let right = (&from, &to) == expected;
        if is_error {
            entry.returned += 1;
        } else {
            entry.delivered.push((stream, order));
        }
        if !right {
            book.wrong.push(format!("{number} came from {from} to {to}"));
        }
    }
}
