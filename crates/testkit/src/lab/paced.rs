//! Messages at a steady pace, and what became of each, and when.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::time::{interval, timeout};

use crate::client::{Client, Stanza};

/// What became of a message, and how long after it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It arrived.
    Delivered(Duration),
    /// It came back, with this condition.
    Returned(Duration, String),
    /// Nothing was heard of it.
    Unknown,
}

/// What became of messages that were sent one after another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paced {
    /// When each was sent, counted from the first one.
    pub sent: Vec<Duration>,
    /// Of each, in the order in which they were sent.
    pub fates: Vec<Fate>,
    /// In which order they arrived; with every copy.
    pub arrived: Vec<usize>,
}

const PREFIX: &str = "paced-";

/// `from` sends `count` messages to `to`, one at a time, the second once `first_sent` is done, the others
/// `every` so often. Waits until each has arrived or come back, at most for `patience` after the last one.
/// What else arrives at either is dropped.
///
/// # Errors
/// When a stream of one of the two ends.
pub async fn paced(
    from: &Client,
    to: &Client,
    count: usize,
    every: Duration,
    patience: Duration,
    first_sent: impl Future<Output = ()>,
) -> anyhow::Result<Paced> {
    let mut account = Account { began: Instant::now(), paced: Paced::default() };
    account.send(from, to);
    let mut first_sent = std::pin::pin!(first_sent);
    let mut may_go_on = false;
    let mut ticks = interval(every);
    ticks.tick().await;
    loop {
        let all_sent = account.paced.sent.len() == count;
        if all_sent && !account.paced.fates.contains(&Fate::Unknown) {
            return Ok(account.paced);
        }
        let bound = if all_sent { patience } else { Duration::MAX };
        let step = async {
            tokio::select! {
                () = &mut first_sent, if !may_go_on => Step::GoOn,
                _ = ticks.tick(), if may_go_on && !all_sent => Step::Send,
                stanza = to.next(Duration::MAX) => Step::Heard(stanza, false),
                stanza = from.next(Duration::MAX) => Step::Heard(stanza, true),
            }
        };
        match timeout(bound, step).await {
            Ok(Step::GoOn) => {
                may_go_on = true;
                ticks.reset();
            }
            Ok(Step::Send) => account.send(from, to),
            Ok(Step::Heard(stanza, back)) => account.heard(&stanza.context("in the middle of it")?, back),
            Err(_) => return Ok(account.paced),
        }
    }
}

enum Step {
    GoOn,
    Send,
    Heard(anyhow::Result<Stanza>, bool),
}

struct Account {
    began: Instant,
    paced: Paced,
}

impl Account {
    fn send(&mut self, from: &Client, to: &Client) {
        let number = self.paced.sent.len();
        from.message(to.jid(), &format!("{PREFIX}{number}"), "one of many");
        self.paced.sent.push(self.began.elapsed());
        self.paced.fates.push(Fate::Unknown);
    }

    fn heard(&mut self, stanza: &Stanza, back: bool) {
        let number = stanza.id().and_then(|id| id.strip_prefix(PREFIX)?.parse::<usize>().ok());
        let sent = number.and_then(|number| self.paced.sent.get(number).copied());
        let (Some(number), Some(sent)) = (number, sent) else { return };
        let after = self.began.elapsed().saturating_sub(sent);
        match (back, stanza.is_error()) {
            (false, false) => {
                self.paced.arrived.push(number);
                self.paced.fates[number] = Fate::Delivered(after);
            }
            (true, true) => {
                self.paced.fates[number] = Fate::Returned(after, stanza.condition().unwrap_or_default());
            }
            _ => {}
        }
    }
}

impl Paced {
    /// Whether all arrived, each once, in order, and nothing came back.
    pub fn is_perfect(&self) -> bool {
        let delivered = |fate: &Fate| matches!(fate, Fate::Delivered(_));
        self.fates.iter().all(delivered) && self.arrived.iter().copied().eq(0..self.fates.len())
    }

    /// How long after the first message was sent the first one arrived, whichever that was.
    pub fn first_delivery(&self) -> Option<Duration> {
        self.first(|fate| match fate {
            Fate::Delivered(after) => Some(*after),
            _ => None,
        })
    }

    /// How long after the first message was sent the first one came back.
    pub fn first_return(&self) -> Option<Duration> {
        self.first(|fate| match fate {
            Fate::Returned(after, _) => Some(*after),
            _ => None,
        })
    }

    fn first(&self, after: impl Fn(&Fate) -> Option<Duration>) -> Option<Duration> {
        let times = self.sent.iter().zip(&self.fates).filter_map(|(sent, fate)| Some(*sent + after(fate)?));
        times.min()
    }
}

impl fmt::Display for Paced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |is: fn(&Fate) -> bool| self.fates.iter().filter(|fate| is(fate)).count();
        let delivered = count(|fate| matches!(fate, Fate::Delivered(_)));
        let returned = count(|fate| matches!(fate, Fate::Returned(..)));
        write!(f, "{delivered} of {} delivered, {returned} returned", self.fates.len())
    }
}
