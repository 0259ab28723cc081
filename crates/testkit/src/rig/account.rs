//! What became of the numbered messages of one direction, as seen at the clients.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Most of the disordered that are named.
const NAMED: usize = 5;

/// The account of one direction while it goes on.
#[derive(Debug)]
pub(super) struct Account {
    messages: Vec<Message>,
    doubled: usize,
    overtaken: usize,
    /// The longest time that one of them was on its way.
    overtaken_age: Duration,
    /// The first few of them, and which had come before.
    first_overtaken: Vec<[usize; 2]>,
    highest: Option<usize>,
    /// The one that arrived last.
    last: Option<usize>,
    /// How often one arrived after one with a higher number that came right before.
    steps_back: usize,
    stored: usize,
    /// When the speaker asked his own server something, and how long it took to answer.
    waits: Vec<(Instant, Duration)>,
    /// When something was last heard of any of them.
    pub(super) news: Instant,
}

#[derive(Debug, Clone, Default)]
struct Message {
    /// When it was given to its server.
    sent: Option<Instant>,
    /// Whether its server answered something that was said after it.
    read: bool,
    arrived: Option<Instant>,
    returned: Option<(Instant, String)>,
}

/// What became of the messages of one direction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Those that the sender's server has read.
    pub sent: usize,
    /// Those of them that arrived.
    pub arrived: usize,
    /// Those of them that came back, whether or not they arrived.
    pub returned: usize,
    /// Those of them that came back although they arrived.
    pub returned_though_arrived: usize,
    /// Those of them that neither arrived nor came back.
    pub lost: usize,
    /// How often a message arrived that had arrived before.
    pub doubled: usize,
    /// Those that arrived after one with a higher number, but for those that had come back before: of them the
    /// sender knows.
    pub disordered: usize,
    /// For how long one of these was on its way at most, in milliseconds: a server that disorders its queue when
    /// it connects anew does so within a moment, a member that comes back brings what is old.
    #[serde(default)]
    pub disordered_age_ms: u64,
    /// How often the numbers went back: once for each time that a queue was overtaken as a whole, but often where
    /// two ways brought messages of one pair at once.
    #[serde(default)]
    pub steps_back: usize,
    /// How often the sender's server set up a stream for the pair from the fault on. A Prosody writes what
    /// is said while it does so before what had waited, and so steps back once.
    #[serde(default)]
    pub streams: usize,
    /// Those that the addressee's server kept until he was logged in again, and brought then, with its stamp
    /// (XEP-0203). They are late by its doing, and not counted as disordered.
    #[serde(default)]
    pub stored: usize,
    /// The numbers of the first few, each with the one that had come before.
    #[serde(default)]
    pub disordered_first: Vec<[usize; 2]>,
    /// The longest time without any arrival from the fault on, in milliseconds, while there was
    /// something to arrive; nothing when nothing arrived any more.
    pub pause_ms: Option<u64>,
    /// For how long the addressee's own server let him wait for an answer, from the fault on, in milliseconds. It brings him
    /// nothing meanwhile, from wherever.
    #[serde(default)]
    pub server_ms: u64,
    /// For how many stanzas of its streams that broke the sender's server, if it is a Prosody, had seen no
    /// acknowledgement. It returns the last 500 of them, and drops the others.
    pub unacknowledged: usize,
    /// With which errors messages came back, and how many.
    pub errors: BTreeMap<String, usize>,
    /// Where the lost ones were lost, as far as anybody can tell.
    pub lost_at: BTreeMap<String, usize>,
    /// Whose loss they are: [`FEDGE`](super::FEDGE)'s, or of which of the others.
    #[serde(default)]
    pub lost_by: BTreeMap<String, usize>,
    /// What the sender's server wrote to its log about its streams that ended or failed.
    #[serde(default)]
    pub server_said: Vec<String>,
    /// The ids of the first few lost ones.
    pub lost_ids: Vec<String>,
}

impl Account {
    pub(super) fn new(messages: usize) -> Account {
        Account {
            messages: vec![Message::default(); messages],
            doubled: 0,
            overtaken: 0,
            overtaken_age: Duration::ZERO,
            first_overtaken: Vec::new(),
            highest: None,
            last: None,
            steps_back: 0,
            stored: 0,
            waits: Vec::new(),
            news: Instant::now(),
        }
    }

    pub(super) fn sent(&mut self, number: usize) {
        self.messages[number].sent = Some(Instant::now());
    }

    pub(super) fn read(&mut self, numbers: std::ops::Range<usize>) {
        self.messages[numbers].iter_mut().for_each(|message| message.read = true);
    }

    /// The speaker's server has answered what he asked then.
    pub(super) fn answered(&mut self, asked: Instant) {
        self.waits.push((asked, asked.elapsed()));
    }

    /// For how long it let him wait at most, from then on.
    pub(super) fn longest_wait(&self, from: Instant) -> Duration {
        let later = self.waits.iter().map(|(asked, wait)| (*asked + *wait).saturating_duration_since(from).min(*wait));
        later.max().unwrap_or_default()
    }

    /// How many its server has read.
    pub(super) fn progress(&self) -> usize {
        self.messages.iter().filter(|message| message.read).count()
    }

    /// One arrived; `stored` by the addressee's server until now, or straight.
    pub(super) fn arrived(&mut self, number: usize, stored: bool) {
        let Some(message) = self.messages.get_mut(number) else { return };
        self.news = Instant::now();
        if message.arrived.is_some() {
            self.doubled += 1;
            return;
        }
        message.arrived = Some(self.news);
        self.stored += usize::from(stored);
        if stored || message.returned.is_some() {
            return;
        }
        self.steps_back += usize::from(self.last.is_some_and(|last| last > number));
        self.last = Some(number);
        if let Some(highest) = self.highest.filter(|highest| *highest > number) {
            self.overtaken += 1;
            if self.first_overtaken.len() < NAMED {
                self.first_overtaken.push([number, highest]);
            }
            let age = message.sent.map(|sent| self.news.duration_since(sent)).unwrap_or_default();
            self.overtaken_age = self.overtaken_age.max(age);
        }
        self.highest = self.highest.max(Some(number));
    }

    pub(super) fn returned(&mut self, number: usize, error: String) {
        let Some(message) = self.messages.get_mut(number) else { return };
        self.news = Instant::now();
        message.returned.get_or_insert((self.news, error));
    }

    /// Those of which nothing was heard.
    pub(super) fn lost(&self) -> impl Iterator<Item = usize> {
        let unheard = |message: &Message| message.read && message.arrived.is_none() && message.returned.is_none();
        self.messages.iter().enumerate().filter(move |(_, message)| unheard(message)).map(|(number, _)| number)
    }

    pub(super) fn outcome(&self, fault: Instant) -> Outcome {
        let sent: Vec<&Message> = self.messages.iter().filter(|message| message.read).collect();
        let count = |is: fn(&Message) -> bool| sent.iter().filter(|message| is(message)).count();
        let mut errors = BTreeMap::new();
        for (_, error) in sent.iter().filter_map(|message| message.returned.as_ref()) {
            *errors.entry(error.clone()).or_default() += 1;
        }
        Outcome {
            sent: sent.len(),
            arrived: count(|message| message.arrived.is_some()),
            returned: count(|message| message.returned.is_some()),
            returned_though_arrived: count(|message| message.returned.is_some() && message.arrived.is_some()),
            lost: self.lost().count(),
            doubled: self.doubled,
            disordered: self.overtaken,
            steps_back: self.steps_back,
            stored: self.stored,
            disordered_age_ms: milliseconds(self.overtaken_age),
            disordered_first: self.first_overtaken.clone(),
            pause_ms: self.pause(fault).map(milliseconds),
            errors,
            ..Outcome::default()
        }
    }

    /// What was returned before it arrived says nothing about when others arrived again.
    fn pause(&self, fault: Instant) -> Option<Duration> {
        let in_time = |message: &Message| {
            let arrived = message.arrived?;
            let late = message.returned.as_ref().is_some_and(|(returned, _)| *returned < arrived);
            (!late && arrived >= fault).then_some(arrived)
        };
        let mut arrivals: Vec<Instant> = self.messages.iter().filter_map(in_time).collect();
        arrivals.sort_unstable();
        let sent_later = |message: &Message| message.sent.is_some_and(|sent| sent > fault);
        let flows_again = self.messages.iter().any(|message| sent_later(message) && message.arrived.is_some());
        if !flows_again && self.messages.iter().any(sent_later) {
            return None;
        }
        let before = [fault].into_iter().chain(arrivals.iter().copied());
        before.zip(&arrivals).map(|(before, after)| after.duration_since(before)).max().or(Some(Duration::ZERO))
    }
}

pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_in_its_column() {
        let began = Instant::now();
        let mut account = Account::new(7);
        (0..7).for_each(|number| account.sent(number));
        account.read(0..6);
        assert_eq!(account.progress(), 6);
        for number in [0, 2, 1, 2] {
            account.arrived(number, false);
        }
        account.returned(3, "gone".into());
        account.returned(3, "gone again".into());
        account.returned(1, "gone".into());
        let outcome = account.outcome(began);
        let expected = Outcome {
            sent: 6,
            arrived: 3,
            returned: 2,
            returned_though_arrived: 1,
            lost: 2,
            doubled: 1,
            disordered: 1,
            steps_back: 1,
            disordered_first: vec![[1, 2]],
            pause_ms: Some(0),
            errors: BTreeMap::from([("gone".into(), 2)]),
            ..Outcome::default()
        };
        assert_eq!(outcome, expected);
        assert_eq!(account.lost().collect::<Vec<_>>(), [4, 5], "the last one was never read by its own server");
    }

    #[test]
    fn a_queue_that_is_overtaken_steps_back_once_and_what_was_stored_or_returned_is_not_disordered() {
        let mut account = Account::new(8);
        (0..8).for_each(|number| account.sent(number));
        account.read(0..8);
        for number in [0, 4, 5, 1, 2, 6] {
            account.arrived(number, false);
        }
        account.arrived(3, true);
        account.arrived(7, false);
        let outcome = account.outcome(Instant::now());
        assert_eq!((outcome.disordered, outcome.steps_back, outcome.stored, outcome.arrived), (2, 1, 1, 8));
        let mut account = Account::new(2);
        account.returned(0, "gone".into());
        [1, 0].into_iter().for_each(|number| account.arrived(number, false));
        assert_eq!(account.outcome(Instant::now()).disordered, 0);
    }

    #[test]
    fn when_nothing_arrives_any_more_there_is_no_pause_but_an_end() {
        let mut account = Account::new(2);
        account.sent(0);
        account.arrived(0, false);
        let fault = Instant::now();
        account.sent(1);
        assert_eq!(account.outcome(fault).pause_ms, None);
        account.arrived(1, false);
        assert!(account.outcome(fault).pause_ms.is_some());
    }
}
