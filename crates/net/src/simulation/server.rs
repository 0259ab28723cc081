//! A simulated XMPP server: accepts streams and notes what comes, dials and floods.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use xmpp::dialback::Secrets;
use xmpp::domain::{Domain, DomainPair};

use super::ledger::{Ledger, Number};
use super::network::{Network, Place, STREAMS, address};
use super::random::Random;
use super::speakers::{Kind, accepting, sending};
use super::talk::{Talk, Turn};
use super::wire::Socket;
use crate::clock::now;

/// What a server doesn't write beyond what the connection takes.
const AHEAD: usize = 4096;
/// A server that hears nothing for so long of what it wrote gives the connection up.
const PATIENCE: Duration = Duration::from_secs(15);

/// One server.
pub(super) struct Server {
    pub(super) place: Place,
    pub(super) domain: Domain,
    pub(super) kind: Kind,
    pub(super) network: Network,
    pub(super) ledger: Ledger,
    pub(super) secrets: Secrets,
    /// Between two reads of what comes.
    pub(super) slowness: Duration,
    /// Whether what a stream's proper end leaves unacknowledged is said anew.
    pub(super) says_anew: bool,
    /// Whether it wants again what it may have had.
    pub(super) resends: bool,
}

/// What a server shall send.
pub(super) struct Task {
    pub(super) to: Vec<Domain>,
    pub(super) stanzas: usize,
    /// Who accepts it; others are tried where one doesn't.
    pub(super) hosts: Vec<Place>,
    /// Between two batches.
    pub(super) pause: Duration,
    pub(super) random: Random,
}

impl Server {
    /// Accepts streams for as long as it is awaited.
    pub(super) async fn accept(self: Arc<Self>) {
        let mut listener = self.network.listen(address(self.place, STREAMS));
        let mut streams = JoinSet::new();
        while let Some(incoming) = listener.recv().await {
            let (server, socket) = (self.clone(), incoming.socket);
            streams.spawn(async move {
                // A connection that broke: nothing that a server does anything about.
                let _ = server.listen(socket).await;
            });
            while streams.try_join_next().is_some() {}
        }
    }

    async fn listen(&self, socket: Socket) -> io::Result<()> {
        let stream = self.ledger.open_receiving();
        let mut speaker = accepting(self.kind, &self.secrets);
        let mut talk = Talk::new(socket);
        loop {
            let acted = speaker.act(&mut talk.out);
            acted.stanzas.iter().for_each(|stanza| self.ledger.received(stream, stanza));
            if acted.over {
                talk.finish().await;
                return Ok(());
            }
            let deadline = speaker.deadline();
            match talk.turn(speaker.input(), deadline).await? {
                Turn::Read => sleep_some(self.slowness).await,
                Turn::Ended => speaker.eof(),
                Turn::Wrote => {}
                Turn::Late => speaker.tick(),
            }
        }
    }

    /// Sends all that it shall, on as many streams as that takes.
    pub(super) async fn send(self: Arc<Self>, mut task: Task) {
        while task.stanzas > 0 {
            for at in 0..task.hosts.len() {
                let host = task.hosts[at];
                let connecting = self.network.connect(self.place, address(host, STREAMS), Some(self.domain.clone()));
                let Ok(Ok(socket)) = timeout(Duration::from_secs(3), connecting).await else { continue };
                let mut sent =
                    Sent { stream: self.ledger.open(self.place, host), unacknowledged: Vec::new(), acknowledged: 0 };
                let proper = self.stream(&mut task, &mut sent, socket).await.unwrap_or_default();
                if proper && self.says_anew && self.kind == Kind::Counting {
                    task.stanzas += sent.unacknowledged.len();
                    self.ledger.disown(sent.unacknowledged);
                }
                break;
            }
            sleep(task.random.milliseconds(50, 400)).await;
        }
    }

    /// Sends on one stream until that ends; whether it ended properly.
    async fn stream(&self, task: &mut Task, sent: &mut Sent, socket: Socket) -> io::Result<bool> {
        let pairs: Vec<_> = task.to.iter().map(|to| DomainPair::new(self.domain.clone(), to.clone())).collect();
        let mut speaker = sending(self.kind, &pairs[0], &self.secrets);
        let mut talk = Talk::new(socket);
        let mut next = now();
        loop {
            let acted = speaker.act(&mut talk.out);
            if let Some(acknowledged) = acted.acknowledged {
                let news = usize::try_from(acknowledged - sent.acknowledged).expect("few");
                sent.acknowledged = acknowledged;
                self.ledger.acknowledged(sent.unacknowledged.drain(..news));
            }
            if acted.over {
                talk.finish().await;
                return Ok(true);
            }
            let may_write = speaker.is_ready() && talk.out.len() < AHEAD;
            if may_write && task.stanzas > 0 && now() >= next {
                let batch = task.random.between(1, 40).min(task.stanzas);
                task.stanzas -= batch;
                for _ in 0..batch {
                    let pair = &pairs[task.random.between(0, pairs.len() - 1)];
                    let (number, text) = self.ledger.write(sent.stream, pair, &mut task.random);
                    sent.unacknowledged.push(number);
                    talk.out.extend_from_slice(&text);
                }
                speaker.wrote(batch as u64);
                next = now() + task.pause;
                continue;
            }
            let knows = matches!(self.kind, Kind::Counting | Kind::Dialback);
            let done = if knows { sent.unacknowledged.is_empty() } else { talk.out.is_empty() };
            if task.stanzas == 0 && done && speaker.is_ready() {
                speaker.close();
                continue;
            }
            let due = (may_write && task.stanzas > 0).then_some(next);
            let late = speaker.deadline().into_iter().chain(due).chain([now() + PATIENCE]).min();
            let patient = now() + PATIENCE;
            match talk.turn(speaker.input(), late).await? {
                Turn::Ended => speaker.eof(),
                Turn::Read | Turn::Wrote => {}
                Turn::Late if now() >= patient => return Ok(false),
                Turn::Late => speaker.tick(),
            }
        }
    }
}

/// What was sent on a stream.
struct Sent {
    stream: usize,
    unacknowledged: Vec<Number>,
    acknowledged: u64,
}

async fn sleep_some(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}
