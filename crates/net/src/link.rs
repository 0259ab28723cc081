//! A link: the stanzas of one domain pair on their way out, over one dialed stream at a time.
//!
//! Stanzas wait in order while a stream is being dialed, again and again if need be; one that has
//! waited longer than the hold is refused, and goes back to its sender. What is ready is written
//! in one batch; no timer delays it. Whoever gave the stanzas is told when the way is closed, and may
//! have them back while another is looked for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use xmpp::domain::DomainPair;
use xmpp::stanza::StanzaCondition;
use xmpp::stream::{Condition, End, StreamError};

use crate::alarm::Alarm;
use crate::clock::{now, since};
use crate::dial::{self, DialError, Reached};
use crate::face::FaceState;
use crate::links::{Item, Job, Recall, Shared};
use crate::streams::{Command, Registered};
use crate::trunk::Undeliverable;

mod batches;
mod carry;
mod doubt;
mod parting;

/// Between two rounds of dialing: the first pause, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(3));

/// What a link takes from its queue in one turn.
const TOGETHER: usize = 64;

/// When no stream was to be had for so long, the way counts as closed; dialing goes on.
const CLOSED: Duration = Duration::from_secs(2);

/// But not where nothing waits for it, and for so long nobody has given anything or asked for a way.
const WANTED: Duration = Duration::from_secs(60);

/// One link at work.
pub(crate) struct Link {
    face: Arc<FaceState>,
    shared: Arc<Shared>,
    pair: DomainPair,
    queue: mpsc::UnboundedReceiver<Job>,
    /// Whether everything is to be given up.
    given_up: watch::Receiver<bool>,
    /// Taken from the queue, not written yet.
    waiting: VecDeque<Item>,
    /// A stream is up and carries.
    carrying: bool,
    /// Somebody wants to know whether there is a way.
    tried: bool,
    /// Whether it was said last that the way is open; what a link before this one said is not known.
    said_open: bool,
    /// When that is to be said, if no stream is up by then.
    closed_at: Option<Instant>,
    /// Who will give the pair's stanzas to another, and waits for our word.
    recalls: Vec<Recall>,
}

impl Link {
    pub(crate) fn new(
        face: Arc<FaceState>,
        shared: Arc<Shared>,
        pair: DomainPair,
        queue: mpsc::UnboundedReceiver<Job>,
    ) -> Link {
        Link {
            given_up: shared.follow(),
            face,
            shared,
            pair,
            queue,
            waiting: VecDeque::new(),
            carrying: false,
            tried: false,
            said_open: false,
            closed_at: None,
            recalls: Vec::new(),
        }
    }

    /// Brings out what it is given, until there is nothing.
    pub(crate) async fn run(mut self) {
        let mut pause = PAUSE.0;
        while self.has_work() {
            let began = now();
            self.closed_at = Some(began + CLOSED);
            // Boxed, as it takes far more than what a link is that has been idle for long.
            let face = self.face.clone();
            let pair = self.pair.clone();
            let dialing = Box::pin(async move { dial::carry(&face, pair).await.map(Box::new) });
            let dialed = self.meanwhile(dialing).await;
            self.closed_at = None;
            match dialed {
                Some(Ok(reached)) => self.carry(reached).await,
                Some(Err(error)) => self.failed(&error),
                // Who asked was told that there is none so far.
                None => self.tried = false,
            }
            // A stream that ends as soon as it is up is no better than none.
            if since(began) >= PAUSE.1 {
                pause = PAUSE.0;
            } else if !self.waiting.is_empty() {
                self.meanwhile(tokio::time::sleep(pause)).await;
                pause = (pause * 2).min(PAUSE.1);
            }
        }
    }

    /// Carries over one stream after another, as long as the next is up when the last one ends.
    async fn carry(&mut self, reached: Box<Reached>) {
        let mut next = Some(reached);
        self.carrying = true;
        while let Some(reached) = next {
            self.way(true);
            next = carry::carry(self, reached).await;
        }
        self.carrying = false;
        self.answer_recalls();
    }

    /// Whether something waits that isn't about to go another way.
    fn has_more(&self) -> bool {
        let leaves = |peer| self.recalls.iter().any(|recall| recall.peer == peer);
        self.waiting.iter().any(|item| item.origin.is_none_or(|(peer, _)| !leaves(peer)))
    }

    /// Whoever leads the pair's stanzas another way has back what isn't written, and may do so now.
    fn answer_recalls(&mut self) {
        for recall in std::mem::take(&mut self.recalls) {
            self.answer(recall);
        }
    }

    /// Says how the way is: to whoever gave stanzas, when it is closed, and when it isn't any more; to whoever asked.
    fn way(&mut self, is_open: bool) {
        if !is_open || !self.said_open || self.tried {
            self.shared.way(&self.pair, is_open);
        }
        self.said_open = is_open;
        self.tried = false;
    }

    /// Whether anything is to be done; if not, the link is struck out.
    fn has_work(&mut self) -> bool {
        while self.waiting.is_empty() && !self.tried {
            match self.shared.leave(&self.pair, &mut self.queue) {
                Some(job) => self.take(job),
                None => return false,
            }
        }
        true
    }

    /// Takes this, and what is there behind it.
    fn take_all(&mut self, job: Job) {
        self.take(job);
        for _ in 0..TOGETHER {
            let Ok(job) = self.queue.try_recv() else { return };
            self.take(job);
        }
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Carry(item) if self.shared.is_given_up() && item.origin.is_some() => self.refuse(&item, &given_up()),
            Job::Carry(item) => self.waiting.push_back(item),
            Job::Recall(recall) if self.carrying => self.recalls.push(recall),
            Job::Recall(recall) => self.answer(recall),
            Job::Try => self.tried = true,
        }
    }

    fn answer(&mut self, recall: Recall) {
        let theirs = |item: &Item| item.origin.filter(|(origin, _)| *origin == recall.peer).map(|(_, number)| number);
        let first = self.waiting.iter().find_map(theirs);
        if !self.shared.unsent(&recall, &self.pair, first) {
            return;
        }
        let before = self.waiting.len();
        self.waiting.retain(|item| theirs(item).is_none());
        self.shared.count_recalled((before - self.waiting.len()) as u64);
    }

    /// Waits for something, and meanwhile refuses what has waited for longer than the hold. Gives nothing when nobody wants it any
    /// more.
    async fn meanwhile<T>(&mut self, what: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(what);
        let (mut late, mut closed, mut unwanted) = (Alarm::default(), Alarm::default(), Alarm::default());
        let mut wanted = now();
        loop {
            let oldest = self.oldest();
            let until = self.waiting.is_empty().then(|| wanted + WANTED);
            tokio::select! {
                biased;
                result = &mut what => return Some(result),
                Some(job) = self.queue.recv() => {
                    self.take_all(job);
                    wanted = now();
                }
                () = late.until(oldest) => self.refuse_late(),
                () = closed.until(self.closed_at) => {
                    self.closed_at = None;
                    self.way(false);
                }
                () = unwanted.until(until) => return None,
                () = turns_true(&mut self.given_up), if self.waiting.iter().any(|item| item.origin.is_some()) => self.give_up(),
            }
        }
    }

    /// When that which has waited longest has waited too long.
    fn oldest(&self) -> Option<Instant> {
        self.waiting.front().map(|item| item.arrived + self.face.settings.hold.age)
    }

    /// Refuses all for whose outcome somebody waits; errors still go back.
    fn give_up(&mut self) {
        let (theirs, errors): (Vec<_>, _) =
            std::mem::take(&mut self.waiting).into_iter().partition(|item| item.origin.is_some());
        self.waiting = errors.into();
        theirs.iter().for_each(|item| self.refuse(item, &given_up()));
    }

    fn failed(&mut self, error: &DialError) {
        tracing::warn!(
            face = %self.face.face, pair = %self.pair, waiting = self.waiting.len(), lasting = error.is_lasting(), reason = %error,
            "no stream could be dialed"
        );
        if self.tried || !error.is_lasting() {
            self.way(false);
        }
        let why = error.to_undeliverable(&self.pair);
        if error.is_lasting() {
            while let Some(item) = self.next_waiting() {
                self.refuse(&item, &why);
            }
        } else {
            self.refuse_older(&why);
        }
    }

    fn next_waiting(&mut self) -> Option<Item> {
        while self.waiting.is_empty() {
            let job = self.queue.try_recv().ok()?;
            self.take(job);
        }
        self.waiting.pop_front()
    }

    fn refuse_late(&mut self) {
        self.refuse_older(&Undeliverable {
            condition: StanzaCondition::RemoteServerTimeout,
            text: format!("the server of {} did not answer in time", self.pair.to),
        });
    }

    fn refuse_older(&mut self, why: &Undeliverable) {
        let hold = self.face.settings.hold.age;
        while self.waiting.front().is_some_and(|item| since(item.arrived) >= hold) {
            if let Some(item) = self.waiting.pop_front() {
                self.refuse(&item, why);
            }
        }
    }

    fn refuse(&self, item: &Item, why: &Undeliverable) {
        match item.origin {
            Some((peer, number)) => self.shared.refused(peer, &self.pair, number, why),
            None => {
                tracing::debug!(face = %self.face.face, pair = %self.pair, "an error could not be brought to its addressee");
            }
        }
    }
}

/// Why stanzas are given back when the process ends.
fn given_up() -> Undeliverable {
    let text = "the server in between is shutting down".to_owned();
    Undeliverable { condition: StanzaCondition::RemoteServerTimeout, text }
}

/// What a command says on the stream before its end.
pub(crate) fn told(command: Command) -> Option<StreamError> {
    match command {
        Command::Close => None,
        Command::Shutdown(_) | Command::Depart | Command::Leave => {
            Some(StreamError::new(Condition::SystemShutdown, "this server is shutting down"))
        }
    }
}

/// Waits until that is so.
async fn turns_true(what: &mut watch::Receiver<bool>) {
    if what.wait_for(|is| *is).await.is_err() {
        // Nobody is left who could say so.
        std::future::pending::<()>().await;
    }
}

/// One line for the end of each stream.
pub(crate) fn log_end(face: &FaceState, entry: &Registered, end: &std::io::Result<End>) {
    let (age, stanzas) = entry.summary();
    let reason = match end {
        Ok(end) => end.to_string(),
        Err(error) => format!("the connection broke: {error}"),
    };
    tracing::info!(face = %face.face, stream = entry.number(), seconds = age.as_secs(), stanzas, %reason, "stream closed");
}
