//! Presence that a break kept back, as a machine: what is to be said and asked after it, so that nobody stays shown wrongly.
//!
//! What is refused in a break is remembered by sender and addressee, the newest of each:
//! - `unavailable`, a probe, what a room tells an occupant, and what one resource or a room is told: they are said
//!   again, as they are still so;
//! - a user's presence to a contact: his server is asked for it in the contact's name, by a probe of our own
//!   (RFC 6121 §4.3), as what it was then may be old by now.
//!
//! It is all said, paced, as soon as the pair's stanzas are taken again. Where none is sent that could show it, one
//! thing remembered is tried now and then. No I/O, and no clock: it is then what it was told last.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use xmpp::domain::DomainPair;
use xmpp::jid::bare;
use xmpp::stanza::{Kind, Stanza};
use xmpp::xml::write::escape_attribute;

use super::returned::is_state;

#[cfg(test)]
mod tests;

/// What is remembered of one pair.
const MOST: usize = 10_000;
/// What is remembered of all pairs of a face, in bytes.
const MOST_BYTES: usize = 16 << 20;
/// What an entry takes besides its text, roughly.
const ENTRY: usize = 128;
/// How long something is remembered.
const AGE: Duration = Duration::from_secs(3600);
/// How often it is looked for what is older.
const SWEEP: Duration = Duration::from_secs(60);
/// Between two things said of one pair: 50 a second.
const PACE: Duration = Duration::from_millis(20);
/// Between two things said of all pairs: 500 a second. All of them may be for servers that have just come back.
const PACE_OF_ALL: Duration = Duration::from_millis(2);
/// What may be made up for at once, when time jumps.
const BURST: Duration = Duration::from_secs(1);
/// Between two trials in a break: the first pause, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(900));
/// How long the answer to a probe of our own is waited for.
const ANSWER: Duration = Duration::from_secs(30);

/// What is to be said.
#[derive(Debug)]
pub(super) enum Said {
    /// Once more to its addressee.
    Late(DomainPair, Stanza),
    /// Back towards the sender's server: the pair is that of the way there.
    Probe(DomainPair, Stanza),
    /// Nothing; all was said.
    Done(DomainPair, Repair),
}

/// What was done after a break, or during it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repair {
    /// Stanzas that were said once more.
    pub late: u64,
    /// Users whose servers were asked, once for each contact.
    pub asked: u64,
    /// What was too much, or too old, to be remembered.
    pub forgotten: u64,
}

/// What one face remembers.
#[derive(Debug, Default)]
pub(super) struct Presence {
    now: Option<Instant>,
    links: HashMap<DomainPair, Memory>,
    bytes: usize,
    /// When the next thing may be said of any pair.
    next: Option<Instant>,
}

/// In the order in which it is said: what is said again comes first, as answers to probes are newer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    /// The sender's server is asked; else the stanza is said again.
    ask: bool,
    from: String,
    to: String,
}

#[derive(Debug)]
struct Kept {
    since: Instant,
    /// Nothing for a question.
    stanza: Option<Stanza>,
    bytes: usize,
}

#[derive(Debug)]
struct Memory {
    entries: BTreeMap<Key, Kept>,
    bytes: usize,
    /// Whom we asked about whom, and until when an answer is expected.
    asked: HashMap<(String, String), Instant>,
    /// The pair's stanzas are taken again.
    again: bool,
    /// When the next thing may be said.
    next: Instant,
    /// Between trials.
    pause: Duration,
    /// The last trial, and since when that was remembered.
    tried: Option<(Key, Instant)>,
    swept: Instant,
    repair: Repair,
}

impl Presence {
    /// A stanza comes in. Whether it only answers a question of our own and shall go no further: a user who is
    /// asked about somebody who isn't subscribed says `unsubscribed` (RFC 6121 §4.3.2), and that would undo
    /// this one's request for a subscription.
    pub(super) fn comes_in(&mut self, now: Instant, pair: &DomainPair, stanza: &Stanza) -> bool {
        self.now = Some(now);
        stanza.kind() == Kind::Presence && self.links.get_mut(pair).is_some_and(|memory| memory.answers(stanza))
    }

    /// A pair's stanza was taken. What was said before it by the same to the same isn't so any more.
    pub(super) fn taken(&mut self, pair: &DomainPair, stanza: &Stanza) {
        if let (Some(now), Some(memory)) = (self.now, self.links.get_mut(pair)) {
            memory.taken(now);
            memory.supersede(stanza);
        }
    }

    /// A stanza can't be delivered now.
    pub(super) fn refused(&mut self, pair: &DomainPair, stanza: &Stanza) {
        let Some(now) = self.now else { return };
        if let Some(memory) = self.links.get_mut(pair) {
            memory.broken(now);
            memory.supersede(stanza);
        }
        let Some(key) = key(stanza) else { return };
        let stanza = (!key.ask).then(|| stanza.clone());
        let text = stanza.as_ref().map_or(0, |stanza| stanza.bytes().len());
        let bytes = ENTRY + key.from.len() + key.to.len() + text;
        let memory = self.links.entry(pair.clone()).or_insert_with(|| Memory::new(now));
        if memory.entries.contains_key(&key) {
            return;
        }
        if memory.entries.len() >= MOST || self.bytes + bytes > MOST_BYTES {
            memory.repair.forgotten += 1;
            return;
        }
        self.bytes += bytes;
        memory.keep(now, key, stanza, bytes);
    }

    /// Time passes; gives what is to be said now.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<Said> {
        self.now = Some(now);
        let (mut said, next) = (Vec::new(), self.next.max(now.checked_sub(BURST)).unwrap_or(now));
        let most = if now >= next { 1 + (now - next).as_millis() / PACE_OF_ALL.as_millis() } else { 0 };
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let mut left = most;
        // Who has waited longest comes first.
        let mut links: Vec<_> = self.links.iter_mut().collect();
        links.sort_unstable_by(|(one, of_one), (other, of_other)| (of_one.next, one).cmp(&(of_other.next, other)));
        for (pair, memory) in links {
            memory.tick(now, pair, &mut left, &mut said);
            if memory.repair != Repair::default() && memory.nothing_to_say(now) {
                said.push(Said::Done(pair.clone(), std::mem::take(&mut memory.repair)));
            }
        }
        self.next = Some(next + PACE_OF_ALL * (most - left));
        // Where an answer to a question of ours may still come, it has to be known as one.
        self.links.retain(|_, memory| !memory.nothing_to_say(now) || !memory.asked.is_empty());
        self.bytes = self.links.values().map(|memory| memory.bytes).sum();
        said
    }
}

impl Memory {
    fn new(now: Instant) -> Memory {
        Memory {
            entries: BTreeMap::new(),
            bytes: 0,
            asked: HashMap::new(),
            again: false,
            next: now + PAUSE.0,
            pause: PAUSE.0,
            tried: None,
            swept: now,
            repair: Repair::default(),
        }
    }

    /// Whether it answers a question of our own, and nothing else.
    fn answers(&mut self, stanza: &Stanza) -> bool {
        let (Some(from), Some(to)) = (stanza.from(), stanza.to()) else { return false };
        let asked = (bare(&from).to_owned(), bare(&to).to_owned());
        match stanza.type_().as_deref() {
            Some("unsubscribed") => self.asked.remove(&asked).is_some(),
            None | Some("unavailable") => {
                self.asked.remove(&asked);
                false
            }
            Some(_) => false,
        }
    }

    /// Forgets what was to be said again and is older than this. Who is online still wants to know what he asked.
    fn supersede(&mut self, stanza: &Stanza) {
        let (Kind::Presence, Some(from), Some(to)) = (stanza.kind(), stanza.from(), stanza.to()) else { return };
        let here = match stanza.type_().as_deref() {
            None => true,
            Some("unavailable" | "probe") => false,
            Some(_) => return,
        };
        let key = Key { ask: false, from: from.into_owned(), to: to.into_owned() };
        let asks = |kept: &Kept| kept.stanza.as_ref().is_some_and(|kept| kept.type_().as_deref() == Some("probe"));
        if self.entries.get(&key).is_some_and(|kept| !(here && asks(kept)))
            && let Some(kept) = self.entries.remove(&key)
        {
            self.bytes -= kept.bytes;
        }
    }

    fn keep(&mut self, now: Instant, key: Key, stanza: Option<Stanza>, bytes: usize) {
        let tried = self.tried.take_if(|(tried, _)| *tried == key);
        let since = tried.map_or(now, |(_, since)| since);
        self.bytes += bytes;
        self.entries.insert(key, Kept { since, stanza, bytes });
    }

    fn taken(&mut self, now: Instant) {
        if !self.again {
            (self.again, self.next, self.pause) = (true, now, PAUSE.0);
        }
    }

    fn broken(&mut self, now: Instant) {
        if self.again {
            (self.again, self.next) = (false, now + self.pause);
        }
    }

    /// Says what is due, and no more than is `left`.
    fn tick(&mut self, now: Instant, pair: &DomainPair, left: &mut u32, said: &mut Vec<Said>) {
        if now >= self.swept + SWEEP {
            self.swept = now;
            let before = self.entries.len();
            self.entries.retain(|_, kept| now < kept.since + AGE);
            self.bytes = self.entries.values().map(|kept| kept.bytes).sum();
            self.repair.forgotten += (before - self.entries.len()) as u64;
        }
        self.asked.retain(|_, until| now < *until);
        if self.again {
            if *left > 0 {
                // Not before its turn: who waits stays before those who don't.
                self.next = self.next.max(now.checked_sub(BURST).unwrap_or(self.next));
            }
            while *left > 0 && now >= self.next && self.say(now, pair, said) {
                self.next += PACE;
                *left -= 1;
            }
        } else if *left > 0 && now >= self.next && self.say(now, pair, said) {
            *left -= 1;
            self.pause = (self.pause * 2).min(PAUSE.1);
            self.next = now + self.pause;
        }
    }

    /// Says the next thing; whether there was one.
    fn say(&mut self, now: Instant, pair: &DomainPair, said: &mut Vec<Said>) -> bool {
        let Some((key, kept)) = self.entries.pop_first() else { return false };
        self.bytes -= kept.bytes;
        match kept.stanza {
            Some(stanza) => {
                self.repair.late += 1;
                said.push(Said::Late(pair.clone(), stanza));
            }
            None => {
                self.repair.asked += 1;
                self.asked.insert((key.from.clone(), key.to.clone()), now + ANSWER);
                said.extend(probe(&key.to, &key.from).map(|probe| Said::Probe(pair.reversed(), probe)));
            }
        }
        self.tried = (!self.again).then_some((key, kept.since));
        true
    }

    /// Whether nothing is left, and nothing comes back of what was tried last.
    fn nothing_to_say(&self, now: Instant) -> bool {
        self.entries.is_empty() && (self.again || now >= self.next)
    }
}

/// As what a refused stanza is remembered, if at all.
fn key(stanza: &Stanza) -> Option<Key> {
    if stanza.kind() != Kind::Presence {
        return None;
    }
    let (from, to) = (stanza.from()?, stanza.to()?);
    let of_resource = bare(&from) != from;
    let ask = match stanza.type_().as_deref() {
        // A server that says it of a user as a whole answers a question of before.
        Some("unavailable") if of_resource => false,
        Some("probe") => false,
        None if is_state(stanza) => false,
        None if of_resource && from.contains('@') && to.contains('@') && bare(&to) == to => true,
        // Subscriptions, and entries to rooms, are for their senders to see to.
        _ => return None,
    };
    let from = if ask { bare(&from).to_owned() } else { from.into_owned() };
    Some(Key { ask, from, to: to.into_owned() })
}

/// Asks in the name of `from` how it stands with `to`.
fn probe(from: &str, to: &str) -> Option<Stanza> {
    let (from, to) = (escape_attribute(from), escape_attribute(to));
    Stanza::parse(format!("<presence type='probe' from='{from}' to='{to}'/>").as_bytes()).ok()
}
