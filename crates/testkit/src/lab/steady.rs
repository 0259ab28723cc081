//! Two users who talk at a steady pace, each to the other, while something is done; and what their clients count.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::client::{Client, Stanza};

/// For what is under way at the end.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of what one of them said.
#[derive(Clone, PartialEq, Eq)]
pub struct Tally {
    /// How many were said.
    pub sent: usize,
    /// How many arrived.
    pub delivered: usize,
    /// Which came back, and with which condition.
    pub returned: Vec<(usize, String)>,
    /// Of which nothing was heard.
    pub lost: Vec<usize>,
    /// How often one arrived again.
    pub doubled: usize,
    /// How many arrived after one that was said later.
    pub overtaken: usize,
    /// The longest time without an arrival while they talked.
    pub gap: Duration,
    /// When that was over.
    pub gap_ended: Instant,
}

/// Two users who talk for as long as nobody ends it.
#[derive(Debug)]
pub struct Talk {
    over: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<[Tally; 2]>>,
}

impl Talk {
    /// They begin, one message each `every` so often; what the second says comes second in all that is told.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn begin(clients: [Client; 2], every: Duration) -> Talk {
        let (over, ends) = watch::channel(false);
        let task = tokio::spawn(async move {
            let [one, two] = &clients;
            steady([one, two], every, ends, PATIENCE).await
        });
        Talk { over, task }
    }

    /// They end, and what is under way is waited for.
    ///
    /// # Errors
    /// When a stream of one of the two has ended.
    pub async fn end(self) -> anyhow::Result<[Tally; 2]> {
        self.over.send_replace(true);
        self.task.await?
    }
}

/// One of the two ways.
struct Way<'a> {
    from: &'a Client,
    to: &'a Client,
    prefix: &'static str,
    sent: usize,
    arrived: Vec<bool>,
    returned: Vec<(usize, String)>,
    /// Those of which nothing was heard yet.
    unheard: BTreeSet<usize>,
    /// When something was heard of any of them last.
    news: Instant,
    doubled: usize,
    overtaken: usize,
    /// The latest that arrived.
    last: Option<usize>,
    /// When one arrived last.
    heard: Instant,
    gap: Duration,
    gap_ended: Instant,
}

/// Both talk, one message each `every` so often, until `over` says so; then it is waited until all of it has arrived or come
/// back, or nothing of it has for `patience`. What else arrives at either is dropped. Gives what became of what the first,
/// and of what the second, said.
///
/// # Errors
/// When a stream of one of the two ends.
pub async fn steady(
    [one, two]: [&Client; 2],
    every: Duration,
    mut over: watch::Receiver<bool>,
    patience: Duration,
) -> anyhow::Result<[Tally; 2]> {
    let mut ways = [Way::new(one, two, "one-"), Way::new(two, one, "two-")];
    let mut ticks = interval(every);
    // A pace: whoever was late says what is due, and no more.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut settling = None;
    loop {
        if settling.is_none() && *over.borrow_and_update() {
            settling = Some(Instant::now());
        }
        let talks = settling.is_none();
        if let Some(since) = settling
            && (ways.iter().all(|way| way.news.max(since).elapsed() >= patience) || ways.iter().all(Way::is_settled))
        {
            return Ok(ways.map(Way::tally));
        }
        tokio::select! {
            _ = ticks.tick() => if talks {
                ways.iter_mut().for_each(Way::say);
            },
            stanza = one.next(Duration::MAX) => {
                let stanza = stanza.context("in the middle of what is said")?;
                ways[1].arrives(&stanza, talks);
                ways[0].returns(&stanza);
            }
            stanza = two.next(Duration::MAX) => {
                let stanza = stanza.context("in the middle of what is said")?;
                ways[0].arrives(&stanza, talks);
                ways[1].returns(&stanza);
            }
        }
    }
}

impl<'a> Way<'a> {
    fn new(from: &'a Client, to: &'a Client, prefix: &'static str) -> Way<'a> {
        let now = Instant::now();
        Way {
            from,
            to,
            prefix,
            sent: 0,
            arrived: Vec::new(),
            returned: Vec::new(),
            unheard: BTreeSet::new(),
            news: now,
            doubled: 0,
            overtaken: 0,
            last: None,
            heard: now,
            gap: Duration::ZERO,
            gap_ended: now,
        }
    }

    fn say(&mut self) {
        self.from.message(self.to.jid(), &format!("{}{}", self.prefix, self.sent), "one of many");
        self.unheard.insert(self.sent);
        self.sent += 1;
        self.arrived.push(false);
    }

    fn number(&self, stanza: &Stanza) -> Option<usize> {
        let number = stanza.id()?.strip_prefix(self.prefix)?.parse().ok()?;
        (number < self.sent).then_some(number)
    }

    fn arrives(&mut self, stanza: &Stanza, talks: bool) {
        let Some(number) = self.number(stanza).filter(|_| !stanza.is_error()) else { return };
        if std::mem::replace(&mut self.arrived[number], true) {
            self.doubled += 1;
            return;
        }
        let now = Instant::now();
        self.unheard.remove(&number);
        self.news = now;
        // The first one may have waited for a stream.
        if talks && self.last.is_some() {
            let gap = now.duration_since(self.heard);
            if gap > self.gap {
                (self.gap, self.gap_ended) = (gap, now);
            }
        }
        self.heard = now;
        if self.last.is_some_and(|last| number < last) {
            self.overtaken += 1;
        }
        self.last = self.last.max(Some(number));
    }

    fn returns(&mut self, stanza: &Stanza) {
        if let Some(number) = self.number(stanza).filter(|_| stanza.is_error()) {
            self.unheard.remove(&number);
            self.news = Instant::now();
            self.returned.push((number, stanza.condition().unwrap_or_default()));
        }
    }

    fn is_settled(&self) -> bool {
        self.unheard.is_empty()
    }

    fn tally(self) -> Tally {
        Tally {
            sent: self.sent,
            delivered: self.arrived.iter().filter(|arrived| **arrived).count(),
            lost: self.unheard.into_iter().collect(),
            returned: self.returned,
            doubled: self.doubled,
            overtaken: self.overtaken,
            gap: self.gap,
            gap_ended: self.gap_ended,
        }
    }
}

impl Tally {
    /// Whether all arrived once, and nothing came back.
    pub fn is_perfect(&self) -> bool {
        self.delivered == self.sent && self.returned.is_empty() && self.doubled == 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { sent, delivered, returned, lost, doubled, gap, .. } = self;
        let (returned, lost) = (returned.len(), lost.len());
        write!(f, "{sent} sent, {delivered} delivered, {returned} returned, {lost} lost")?;
        if *doubled > 0 {
            write!(f, ", {doubled} twice")?;
        }
        write!(f, "; longest gap {:.2} s", gap.as_secs_f64())
    }
}

/// The same, and which ones, in runs.
impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}; {} overtaken", self.overtaken)?;
        let mut told: Vec<(&str, RangeInclusive<usize>)> = Vec::new();
        let returned = self.returned.iter().map(|(number, why)| (*number, why.as_str()));
        for (number, what) in self.lost.iter().map(|number| (*number, "lost")).chain(returned) {
            match told.last_mut() {
                Some((last, run)) if *last == what && run.end() + 1 == number => *run = *run.start()..=number,
                _ => told.push((what, number..=number)),
            }
        }
        told.iter().try_for_each(|(what, run)| write!(f, "; {}-{} {what}", run.start(), run.end()))
    }
}
