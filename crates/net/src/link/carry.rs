//! A link over one stream: writes what waits, and tells what the peer has taken of it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use topology::policy::Policy;
use xmpp::stanza::StanzaCondition;
use xmpp::stream::{Dialed, End, Step};

use super::{Link, log_end, told, until};
use crate::dial::{Reach, Reached};
use crate::hold::PeerId;
use crate::links::Item;
use crate::streams::{Command, Direction, Ending, Registered};
use crate::transport::Transport;
use crate::trunk::Undeliverable;

/// Bytes that are written at once.
const BATCH: usize = 128 * 1024;
/// For a peer to answer our end while there is more to bring out, or to take it.
const FAREWELL: Duration = Duration::from_secs(5);

/// Carries the link's stanzas for as long as the stream lives. What was written and that the peer
/// didn't take, as far as it could tell, goes back: it may have been delivered, so it isn't sent again.
pub(super) async fn carry(link: &mut Link, reached: Reached) {
    let Reached { machine, transport, target, tls, milestone } = reached;
    let (entry, mut commands) = link.face.streams.enter(link.face.face, Direction::Dialed, target.address);
    if let Some(tls) = &tls {
        entry.secured(tls.clone());
    }
    let Reach::Ready(method) = milestone else { return };
    entry.authenticated(&link.pair, method);
    tracing::info!(
        face = %link.face.face, stream = entry.number(), pair = %link.pair, peer = %target.address, host = target.host,
        tls = tls.as_deref().unwrap_or("none"), %method, "stream dialed"
    );
    let written = VecDeque::new();
    let policy = link.face.policy.load_full();
    let (batch, taken, ending) = (BytesMut::new(), 0, Ending::default());
    let mut carrying = Carrying { machine, transport, entry, written, taken, batch, ending, farewell: None, policy };
    let end = carrying.run(link, &mut commands).await;
    carrying.show_received();
    if end.is_ok() {
        carrying.transport.end(FAREWELL).await;
    }
    let why = Undeliverable {
        condition: StanzaCondition::RemoteServerTimeout,
        text: format!(
            "the stream to {} ended before its server had taken this; it may have been delivered",
            link.pair.to
        ),
    };
    carrying.written.iter().for_each(|item| link.refuse(item, &why));
    log_end(&link.face, &carrying.entry, &end);
}

struct Carrying {
    machine: Dialed,
    transport: Transport,
    entry: Registered,
    /// What was written and isn't taken yet.
    written: VecDeque<Item>,
    /// How many were taken in all.
    taken: u64,
    batch: BytesMut,
    ending: Ending,
    /// Until when the peer may answer our end, as there is more to bring out.
    farewell: Option<Instant>,
    /// By which the stream was dialed.
    policy: Arc<Policy>,
}

impl Carrying {
    async fn run(
        &mut self,
        link: &mut Link,
        commands: &mut tokio::sync::mpsc::UnboundedReceiver<Command>,
    ) -> io::Result<End> {
        loop {
            self.show_received();
            if let Some(end) = self.steps(link).await? {
                return Ok(end);
            }
            self.show_received();
            self.heed_policy(link);
            if let Some(command) = self.ending.due(self.written.is_empty(), Instant::now()) {
                self.machine.close(Instant::now(), told(command).as_ref());
                continue;
            }
            let may_write = self.ending.is_open() && !self.machine.is_closing();
            if self.machine.is_closing() && !link.waiting.is_empty() {
                self.farewell.get_or_insert_with(|| Instant::now() + FAREWELL);
            }
            let deadline = self.machine.deadline().into_iter().chain(self.ending.until()).min();
            let (shared, oldest) = (link.shared.clone(), link.oldest());
            let awaited = self.is_awaited();
            tokio::select! {
                biased;
                read = self.transport.receive(self.machine.input()) => if read? == 0 {
                    self.machine.eof();
                },
                Some(command) = commands.recv(), if self.ending.is_open() => self.end_with(link, command),
                () = shared.given_up(), if awaited => return Ok(End::Closed),
                () = std::future::ready(()), if may_write && !link.waiting.is_empty() => {
                    let stanzas = self.write(link).await?;
                    self.machine.sent(Instant::now(), stanzas);
                }
                Some(job) = link.queue.recv() => link.take(job),
                () = until(oldest), if !may_write => link.refuse_late(),
                () = until(self.farewell) => return Ok(End::Closed),
                () = until(deadline) => self.machine.tick(Instant::now()),
            }
        }
    }

    /// To whoever follows the stream, from here on.
    fn show_received(&mut self) {
        self.entry.trace_received(self.machine.follow(self.entry.is_traced()));
    }

    /// Carries out what the machine says, until it waits for something.
    async fn steps(&mut self, link: &Link) -> io::Result<Option<End>> {
        while let Some(step) = self.machine.poll(Instant::now()) {
            match step {
                Step::Send(bytes) => {
                    self.entry.trace_sent(&bytes);
                    self.transport.send_while_taken(&bytes, link.face.settings.stream.establish).await?;
                }
                Step::Ask(question) => {
                    if let Ok(answer) = link.face.answer(question, &[]) {
                        self.machine.answer(Instant::now(), answer);
                    }
                }
                Step::Taken { stanzas } => self.settle(link, stanzas),
                Step::End(end) => return Ok(Some(end)),
                // Only while a stream is set up, or on accepted ones.
                Step::StartTls
                | Step::Authenticated { .. }
                | Step::Ready { .. }
                | Step::Verified { .. }
                | Step::Stanza { .. }
                | Step::Return { .. }
                | Step::Discard { .. } => {}
            }
        }
        Ok(None)
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

    /// Writes no more; our side ends once the peer has taken everything, or has had the time to.
    fn end_with(&mut self, link: &Link, command: Command) {
        self.ending = Ending::Told(command, Instant::now() + link.face.settings.stream.drain);
    }

    /// Writes what waits, in one piece; gives how many stanzas that were.
    async fn write(&mut self, link: &mut Link) -> io::Result<u64> {
        self.batch.clear();
        let before = self.written.len();
        while self.batch.len() < BATCH {
            let Some(item) = link.next_waiting() else { break };
            self.entry.trace_sent(item.stanza.bytes());
            self.batch.extend_from_slice(item.stanza.bytes());
            self.written.push_back(item);
        }
        let stanzas = (self.written.len() - before) as u64;
        let (shared, patience) = (link.shared.clone(), link.face.settings.stream.establish);
        // Errors that go back are brought out until the very end.
        let awaited = self.is_awaited();
        tokio::select! {
            biased;
            sent = link.meanwhile(self.transport.send_while_taken(&self.batch, patience)) => sent?,
            () = shared.given_up(), if awaited => return Err(io::Error::other("this server is shutting down")),
        }
        self.entry.passed(stanzas);
        Ok(stanzas)
    }

    /// Whether somebody waits for the outcome of what was written.
    fn is_awaited(&self) -> bool {
        self.written.iter().any(|item| item.origin.is_some())
    }

    /// The peer has taken so many in all: each of those who gave them is told up to where.
    fn settle(&mut self, link: &Link, stanzas: u64) {
        let news = usize::try_from(stanzas.saturating_sub(self.taken)).unwrap_or(usize::MAX).min(self.written.len());
        self.taken = stanzas;
        // Rarely more than one gateway has stanzas of one pair.
        let mut up_to: Vec<(PeerId, u64)> = Vec::new();
        for (peer, number) in self.written.drain(..news).filter_map(|item| item.origin) {
            match up_to.iter_mut().find(|(other, _)| *other == peer) {
                Some((_, last)) => *last = number,
                None => up_to.push((peer, number)),
            }
        }
        for (peer, number) in up_to {
            link.shared.taken(peer, &link.pair, number);
        }
    }
}
