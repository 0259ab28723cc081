//! A link over one stream: writes what waits, tells what the peer has taken of it, and looks for another
//! stream when it may be gone.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use topology::policy::Policy;
use xmpp::stanza::StanzaCondition;
use xmpp::stream::{Dialed, End, Step};

use super::batches::Batches;
use super::doubt::{Doubt, LOOK, Patience, Watch};
use super::parting::{Known, Next, Parting};
use super::{Link, PAUSE, log_end, told, turns_true};
use crate::alarm::Alarm;
use crate::clock::{now, since};
use crate::dial::{self, DialError, Reach, Reached};
use crate::hold::PeerId;
use crate::links::Item;
use crate::streams::{Command, Direction, Ending, Registered};
use crate::transport::{Moved, Output, Transport};
use crate::trunk::Undeliverable;

/// Bytes that are written at once.
const BATCH: usize = 128 * 1024;
/// For a peer to answer our end while there is more to bring out, or to take it.
const FAREWELL: Duration = Duration::from_secs(5);
/// For a peer to be heard again once another stream to it is up: retries take a second.
const GRACE: Duration = Duration::from_millis(1500);
/// Between two looks at what the kernel of a peer that can't tell has acknowledged.
const ARRIVE: Duration = Duration::from_millis(20);
/// What may stand between stanzas and says nothing (RFC 6120 §4.6.1).
const NOTHING: &[u8] = b" ";
/// A target that may be gone for so long has another one tried beside it.
const BESIDE: Duration = Duration::from_secs(3);

/// Carries the link's stanzas for as long as the stream lives, and gives the one that is to be used
/// next, if it was looked for already. What surely never left waits again. What else was written and
/// the peer didn't take, as far as it could tell, goes back: it may have been delivered, so it isn't
/// sent again unless policy says so.
pub(super) async fn carry(link: &mut Link, reached: Box<Reached>) -> Option<Box<Reached>> {
    let Reached { machine, transport, target, tls, milestone } = *reached;
    let (entry, mut commands) = link.face.streams.enter(link.face.face, Direction::Dialed, target.address);
    if let Some(tls) = &tls {
        entry.secured(tls.clone());
    }
    let Reach::Ready(method) = milestone else { return None };
    entry.authenticated(&link.pair, method);
    tracing::info!(
        face = %link.face.face, stream = entry.number(), pair = %link.pair, peer = %target.address, host = target.host,
        tls = tls.as_deref().unwrap_or("none"), %method, "stream dialed"
    );
    let settings = &link.face.settings;
    let patience = Patience { kernel: settings.hold.age, server: settings.stream.establish.max(settings.hold.age) };
    let mut carrying = Carrying {
        machine,
        transport,
        entry,
        written: VecDeque::new(),
        batches: Batches::default(),
        taken: 0,
        believed: 0,
        output: Output::default(),
        leaving: 0,
        watch: Watch::new(patience),
        doubt: Doubt::None,
        target: target.address,
        beside_at: None,
        beside: JoinSet::new(),
        next: None,
        ending: Ending::default(),
        farewell: None,
        parting: Parting::default(),
        replaced: false,
        policy: link.face.policy.load_full(),
        sounded: None,
    };
    let end = carrying.run(link, &mut commands).await;
    carrying.show_received();
    carrying.parting.end();
    carrying.arrive(link);
    if carrying.give_back(link) {
        // At once: what the kernel still sends would come twice.
        carrying.transport = Transport::Gone;
    } else if end.is_ok() {
        carrying.transport.end(FAREWELL).await;
    }
    log_end(&link.face, &carrying.entry, &end);
    carrying.next.map(|(reached, _)| reached)
}

struct Carrying {
    machine: Dialed,
    transport: Transport,
    entry: Registered,
    /// What was written and isn't taken yet.
    written: VecDeque<Item>,
    /// Where in the connection it lies.
    batches: Batches,
    /// How many were taken in all.
    taken: u64,
    /// How many a peer that can't tell is believed to have taken, where its kernel has acknowledged them.
    believed: u64,
    output: Output,
    /// Stanzas in it.
    leaving: u64,
    watch: Watch,
    doubt: Doubt,
    target: SocketAddr,
    /// When another stream is dialed beside this one, as it may lead nowhere.
    beside_at: Option<Instant>,
    /// That being done.
    beside: JoinSet<Result<Reached, DialError>>,
    /// The one that was, and when it takes this one's place.
    next: Option<(Box<Reached>, Instant)>,
    ending: Ending,
    /// Until when the peer may answer our end, as there is more to bring out.
    farewell: Option<Instant>,
    /// Who leads the pair another way may have to wait; nothing is believed while the peer's end will tell.
    parting: Parting,
    /// Another way was found for what comes after that which is written.
    replaced: bool,
    /// By which the stream was dialed.
    policy: Arc<Policy>,
    /// What had left when somebody asked whether there is a way, as long as nobody can say, and when that was.
    sounded: Option<(u64, Instant)>,
}

/// What is waited for, each thing by itself.
#[derive(Default)]
struct Alarms {
    farewell: Alarm,
    machine: Alarm,
    next: Alarm,
    oldest: Alarm,
    arrive: Alarm,
    parting: Alarm,
}

impl Carrying {
    async fn run(
        &mut self,
        link: &mut Link,
        commands: &mut tokio::sync::mpsc::UnboundedReceiver<Command>,
    ) -> io::Result<End> {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut alarms = Alarms::default();
        loop {
            // Before the machine's steps: with what has just left, it may have something to ask.
            self.sent();
            self.show_received();
            if let Some(end) = self.steps(link) {
                self.transport.send_while_taken(&self.output.bytes, FAREWELL).await?;
                return Ok(end);
            }
            self.show_received();
            self.heed_policy(link);
            if self.gives_way(link)? {
                return Err(io::Error::other("another way to the peer was found, and this one leads nowhere"));
            }
            if self.parts(link) {
                continue;
            }
            if let Some(command) = self.ending.due(self.written.is_empty(), now()) {
                self.machine.close(now(), told(command).as_ref());
                continue;
            }
            self.sound(link);
            if !self.is_awaited(link) {
                self.watch.rest();
            }
            let may_write = self.ending.is_open() && !self.machine.is_closing() && self.doubt == Doubt::None;
            // In one piece with a question that the machine has just asked.
            if may_write && self.leaving == 0 && self.output.is_whole() && !link.waiting.is_empty() {
                self.write(link);
            }
            let has_more = self.machine.is_closing() && (link.has_more() || link.tried);
            self.farewell = has_more.then(|| self.farewell.unwrap_or_else(|| now() + FAREWELL));
            let deadline = self.machine.deadline().into_iter().chain(self.ending.until()).min();
            let oldest = link.oldest();
            let arrive = self.look_after(link).map(|pause| now() + pause);
            let parting = self.parting.until(now()).filter(|_| !link.recalls.is_empty());
            let somebody_waits = self.written.iter().any(|item| item.origin.is_some());
            tokio::select! {
                biased;
                Some(command) = commands.recv(), if self.ending.is_open() => self.end_with(link, command),
                () = turns_true(&mut link.given_up), if somebody_waits => return Ok(End::Closed),
                () = alarms.farewell.until(self.farewell) => return Ok(End::Closed),
                () = alarms.machine.until(deadline) => self.machine.tick(now()),
                _ = look.tick(), if self.is_awaited(link) || self.doubt != Doubt::None => self.look(link)?,
                Some(dialed) = self.beside.join_next() => if let Ok(Ok(reached)) = dialed {
                    // Where the line is back, the peer will be heard on this stream, too.
                    self.next = Some((Box::new(reached), now() + GRACE));
                },
                () = alarms.next.until(self.next.as_ref().map(|(_, at)| *at)) => {
                    self.look(link)?;
                    if self.doubt.is_serious() {
                        return Err(io::Error::other("the peer is silent, and another stream to it came up"));
                    }
                }
                moved = self.transport.exchange(self.machine.input(), &mut self.output) => match moved? {
                    Moved::In(0) => self.machine.eof(),
                    Moved::In(_) => {
                        self.watch.heard();
                        if self.doubt != Doubt::None {
                            self.look(link)?;
                        }
                    }
                    Moved::Out => {}
                },
                Some(job) = link.queue.recv() => link.take_all(job),
                () = alarms.oldest.until(oldest) => link.refuse_late(),
                () = alarms.arrive.until(arrive) => {}
                () = alarms.parting.until(parting) => {}
            }
            self.arrive(link);
        }
    }

    /// To whoever follows the stream, from here on.
    fn show_received(&mut self) {
        self.entry.trace_received(self.machine.follow(self.entry.is_traced()));
    }

    /// Carries out what the machine says, until it waits for something.
    fn steps(&mut self, link: &Link) -> Option<End> {
        while let Some(step) = self.machine.poll(now()) {
            match step {
                Step::Send(bytes) => {
                    self.entry.trace_sent(&bytes);
                    self.output.bytes.extend_from_slice(&bytes);
                }
                Step::Ask(question) => {
                    if let Ok(answer) = link.face.answer(question, &[]) {
                        self.machine.answer(now(), answer);
                    }
                }
                Step::Taken { stanzas } if self.machine.tells() => self.settle(link, stanzas),
                Step::Taken { stanzas } => self.believed = stanzas,
                Step::End(end) => return Some(end),
                // Only while a stream is set up, or on accepted ones.
                Step::StartTls
                | Step::Authenticated { .. }
                | Step::Ready { .. }
                | Step::Verified { .. }
                | Step::Looked
                | Step::Stanza { .. }
                | Step::Return { .. }
                | Step::Discard { .. } => {}
            }
        }
        None
    }

    /// Where policy was replaced and forbids the pair now, the stream ends; what waits is refused by the
    /// next attempt to dial.
    fn heed_policy(&mut self, link: &Link) {
        let policy = link.face.policy.load();
        if !Arc::ptr_eq(&self.policy, &policy) {
            self.policy = policy.clone();
            if self.policy.way_out(link.face.face, &link.pair).is_err() && self.ending.is_open() {
                self.end_with(link, Command::Close);
            }
        }
    }

    /// Those who lead the pair another way may do so when nothing of it can be overtaken any more. One that can't tell what it
    /// has taken is asked by our end: its own comes behind all that it has read. Whether our side has ended for that just now.
    fn parts(&mut self, link: &mut Link) -> bool {
        if link.recalls.is_empty() {
            return false;
        }
        let known =
            Known { is_open: self.is_open(), has_told: self.machine.has_told(), is_silent: self.doubt.is_serious() };
        let next = self.parting.next(now(), known);
        match next {
            Next::Part => {
                self.machine.part(now());
                self.parting.begin(now());
            }
            Next::Wait => {}
            Next::Go => link.answer_recalls(),
        }
        next == Next::Part
    }

    /// Writes no more; our side ends once the peer has taken everything, or has had the time to.
    fn end_with(&mut self, link: &Link, command: Command) {
        self.ending = Ending::Told(command, now() + link.face.settings.stream.drain);
    }

    /// Puts what waits into one piece, to be written.
    fn write(&mut self, link: &mut Link) {
        let begins = self.transport.written();
        let before = self.written.len();
        while self.output.bytes.len() < BATCH {
            let Some(item) = link.next_waiting() else { break };
            self.entry.trace_sent(item.stanza.bytes());
            self.output.bytes.extend_from_slice(item.stanza.bytes());
            self.written.push_back(item);
        }
        let stanzas = self.written.len() - before;
        self.batches.wrote(stanzas, begins);
        self.leaving = stanzas as u64;
        if let Some(question) = self.machine.sending(now(), self.leaving) {
            self.entry.trace_sent(&question);
            self.output.bytes.extend_from_slice(&question);
        }
    }

    /// The machine asks about what has been written, once it is.
    fn sent(&mut self) {
        if self.leaving > 0 && self.output.is_out() {
            let stanzas = std::mem::take(&mut self.leaving);
            self.entry.passed(stanzas);
            self.parting.moved(now());
            self.batches.out(self.transport.written());
            self.machine.sent(now(), stanzas);
        }
    }

    /// A peer that can't tell has taken what its kernel acknowledged.
    fn arrive(&mut self, link: &Link) {
        if self.believed > self.taken && self.parting.until(now()).is_none() {
            let arrived = match self.transport.standing() {
                Some(standing) => self.batches.arrived(standing.acknowledged.saturating_sub(1)) as u64,
                None => u64::MAX,
            };
            if arrived > 0 {
                self.parting.moved(now());
            }
            self.settle(link, self.believed.min(self.taken.saturating_add(arrived)));
        }
    }

    /// Whether something was written that the peer hasn't taken.
    fn is_open(&self) -> bool {
        !self.written.is_empty() || !self.output.is_out()
    }

    /// Whether what is written is given up, as another way was found and this one is silent. That is looked at once more: the
    /// line may be back since the last look. Then the peer's system has what the next stream would overtake, and nothing of it
    /// has to go back, unless the peer falls silent again.
    fn gives_way(&mut self, link: &mut Link) -> io::Result<bool> {
        if link.recalls.iter().any(|recall| recall.give_up) {
            self.replaced = true;
            self.look(link)?;
            if self.doubt.is_serious() {
                return Ok(true);
            }
            link.recalls.iter_mut().for_each(|recall| recall.give_up = false);
        }
        self.replaced &= !self.written.is_empty();
        Ok(self.replaced && self.doubt.is_serious())
    }

    /// Whether the peer owes something: a word about what it was given, its end to somebody who leads the pair elsewhere, or a
    /// sign of life to somebody who asks.
    fn is_awaited(&self, link: &Link) -> bool {
        self.is_open() || !link.recalls.is_empty() || self.sounded.is_some()
    }

    /// Somebody may want to know whether there is a way to the peer. A line that has died while nothing was said looks as it did
    /// before: there is a way once the peer's system has acknowledged something that left after the question. Who asks while our
    /// side has ended is answered by the next stream.
    fn sound(&mut self, link: &mut Link) {
        if (!link.tried && self.sounded.is_none()) || self.machine.is_closing() {
            return;
        }
        if link.tried && self.doubt.is_serious() {
            return link.way(false);
        }
        let standing = self.transport.standing();
        let acknowledged = standing.map_or(u64::MAX, |standing| standing.acknowledged.saturating_sub(1));
        match self.sounded {
            Some((left, _)) if acknowledged > left => self.sounded = None,
            Some(_) => return,
            None if standing.is_some() => {
                let left = self.transport.written().saturating_sub(standing.map_or(0, |standing| standing.unsent));
                self.sounded = Some((left, now()));
                if self.output.is_out() {
                    self.entry.trace_sent(NOTHING);
                    self.output.bytes.extend_from_slice(NOTHING);
                }
                return;
            }
            None => {}
        }
        if link.tried {
            link.way(true);
        }
    }

    /// When to look again what the peer's system has acknowledged, where somebody waits for that: seldom, once it takes long.
    fn look_after(&self, link: &Link) -> Option<Duration> {
        let sounded = self.sounded.filter(|_| link.tried).map(|(_, at)| ARRIVE.max(since(at) / 2));
        let arriving = (self.believed > self.taken).then_some(ARRIVE);
        arriving.into_iter().chain(sounded).min()
    }

    /// Looks whether the peer is still there. Where that is unsure nothing more is written, so that it can
    /// go another way, and another stream is dialed.
    fn look(&mut self, link: &mut Link) -> io::Result<()> {
        let now = now();
        let standing = self.transport.standing();
        let doubt = self.watch.look(now, self.is_awaited(link), standing);
        if self.output.is_out() && !self.machine.is_closing() && self.watch.nudges(now, standing) {
            self.entry.trace_sent(NOTHING);
            self.output.bytes.extend_from_slice(NOTHING);
        }
        let (is_clear, was_clear) = (!doubt.is_serious(), !self.doubt.is_serious());
        self.doubt = doubt;
        if is_clear != was_clear {
            let (stream, pair) = (self.entry.number(), &link.pair);
            let text =
                if is_clear { "the peer is heard again" } else { "the peer is silent; another way is looked for" };
            tracing::info!(face = %link.face.face, stream, %pair, open = self.written.len(), "{text}");
            link.way(is_clear);
            self.beside_at = (!is_clear).then(|| now + BESIDE);
            self.beside.abort_all();
            self.next = None;
        }
        // Somebody who only asked is told, and nothing hangs on it.
        let is_needed = self.is_open() || !link.recalls.is_empty() || !link.waiting.is_empty();
        if doubt == Doubt::Hopeless && is_needed {
            let text = "the peer has been silent for too long while something was on its way to it";
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        let is_due = is_needed && self.beside_at.is_some_and(|at| now >= at);
        if is_due && self.beside.is_empty() && self.next.is_none() {
            self.beside_at = Some(now + PAUSE.1);
            link.face.dead(|dead, now| dead.failed(self.target, now));
            let (face, pair) = (link.face.clone(), link.pair.clone());
            self.beside.spawn(async move { dial::carry(&face, pair).await });
        }
        Ok(())
    }

    /// The peer has taken so many in all: each of those who gave them is told up to where.
    fn settle(&mut self, link: &Link, stanzas: u64) {
        let news = usize::try_from(stanzas.saturating_sub(self.taken)).unwrap_or(usize::MAX).min(self.written.len());
        self.taken = stanzas;
        self.batches.settled(news);
        // Rarely more than one gateway has stanzas of one pair.
        let (mut up_to, mut given): (Vec<(PeerId, u64)>, u64) = (Vec::new(), 0);
        for (peer, number) in self.written.drain(..news).filter_map(|item| item.origin) {
            given += 1;
            match up_to.iter_mut().find(|(other, _)| *other == peer) {
                Some((_, last)) => *last = number,
                None => up_to.push((peer, number)),
            }
        }
        link.shared.count_taken(given);
        for (peer, number) in up_to {
            link.shared.taken(peer, &link.pair, number);
        }
    }

    /// What was written and isn't taken: what surely never left waits again, and so do answers and errors, and all of it
    /// where policy says so; the rest goes back. Whether the connection was made to take back what hasn't arrived yet;
    /// then it ends without a word.
    fn give_back(&mut self, link: &mut Link) -> bool {
        let sent = self.transport.standing().map(|standing| self.transport.written().saturating_sub(standing.unsent));
        let never_left = match sent {
            _ if self.policy.resends(&link.pair) => self.written.len(),
            Some(sent) => self.batches.never_left(sent),
            None => 0,
        };
        let again = self.written.split_off(self.written.len() - never_left);
        let take_back = !again.is_empty() || self.next.is_some() || self.replaced;
        if take_back {
            self.transport.take_back();
        }
        let why = Undeliverable {
            condition: StanzaCondition::RemoteServerTimeout,
            text: format!(
                "the stream to {} ended before its server had taken this; it may have been delivered",
                link.pair.to
            ),
        };
        // Who asked something shall have his answer, and ignores a second one. An error that came twice is a
        // lesser evil than a stanza whose sender never learns that it was lost.
        let (answers, others): (Vec<Item>, Vec<Item>) =
            self.written.drain(..).partition(|item| item.origin.is_none() || item.stanza.is_answer());
        others.iter().for_each(|item| link.refuse(item, &why));
        answers.into_iter().chain(again).rev().for_each(|item| link.waiting.push_front(item));
        take_back
    }
}
