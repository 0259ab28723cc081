//! Accepting: from a listening socket to stanzas in the holder.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use topology::policy::Policy;
use xmpp::domain::Domain;
use xmpp::stream::{Accepted, Answer, End, Step};

use crate::crypto::random_id;
use crate::dial;
use crate::face::FaceState;
use crate::hold::Receipt;
use crate::link::{log_end, told, until};
use crate::links::Links;
use crate::streams::{Command, Direction, Ending, Registered};
use crate::tls::HANDSHAKE_BYTE;
use crate::transport::{READ, Transport};

/// Accepts streams until `stop` says so. `links` take the errors that go back to senders.
pub async fn serve(
    listener: TcpListener,
    face: Arc<FaceState>,
    links: Links,
    places: Arc<Semaphore>,
    mut stop: tokio::sync::watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            // Only once nobody waits to be accepted: closing the listener would reset those.
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((socket, peer)) => {
                // Refused at once: a sender's server then tries its next target.
                let Ok(place) = places.clone().try_acquire_owned() else {
                    tracing::warn!(face = %face.face, %peer, most = face.settings.streams, "too many streams; one was refused");
                    refuse(&socket);
                    continue;
                };
                let (face, links) = (face.clone(), links.clone());
                tokio::spawn(async move {
                    run(socket, peer, face, links).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(face = %face.face, %error, "a connection could not be accepted");
                // Out of descriptors, most likely: some will be free again soon.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Closes with RST, so that the peer doesn't take it for a stream that was served.
fn refuse(socket: &TcpStream) {
    let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

async fn run(socket: TcpStream, peer: SocketAddr, face: Arc<FaceState>, links: Links) {
    let (entry, commands) = face.streams.enter(face.face, Direction::Accepted, peer);
    tracing::debug!(face = %face.face, stream = entry.number(), %peer, "connection accepted");
    let end = match Driver::open(socket, &face, &entry).await {
        Ok(Some(mut driver)) => {
            let settled = face.holder.enter_stream(entry.number());
            let end = driver.drive(&face, &links, &entry, commands, settled).await;
            face.holder.leave_stream(entry.number());
            let _ = driver.transport.shutdown().await;
            end
        }
        Ok(None) => Ok(End::Probe),
        Err(error) => Err(error),
    };
    // A probe is not worth a line: monitoring and some servers connect every few seconds.
    if !matches!(end, Ok(End::Probe)) {
        log_end(&face, &entry, end);
    }
}

struct Driver {
    machine: Accepted,
    transport: Transport,
    /// What the peer showed in TLS.
    chain: Vec<CertificateDer<'static>>,
    /// By which the pairs were admitted.
    policy: Arc<Policy>,
}

fn late() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "nothing was said, or no TLS came up, in time")
}

/// Our side of a TLS handshake, in bounded time.
async fn secure(
    socket: TcpStream,
    to: Option<&Domain>,
    face: &FaceState,
    entry: &Registered,
) -> std::io::Result<(Transport, Vec<CertificateDer<'static>>)> {
    let handshake = tokio::time::timeout(face.settings.stream.establish, face.tls.accept(socket, to));
    let (secured, established) =
        handshake.await.map_err(|_| late())?.map_err(|error| std::io::Error::other(format!("TLS: {error}")))?;
    entry.secured(established.to_string());
    Ok((Transport::Tls(Box::new(secured.into())), established.chain))
}

impl Driver {
    /// Tells direct TLS from a stream in clear by the first byte. Nothing if the peer left.
    async fn open(socket: TcpStream, face: &Arc<FaceState>, entry: &Registered) -> std::io::Result<Option<Driver>> {
        socket.set_nodelay(true)?;
        let establish = face.settings.stream.establish;
        let opened = Instant::now();
        let mut first = [0];
        let count = tokio::time::timeout(establish, socket.peek(&mut first)).await.map_err(|_| late())??;
        if count == 0 {
            return Ok(None);
        }
        let (settings, policy) = (face.settings.stream.clone(), face.policy.load_full());
        if first[0] != HANDSHAKE_BYTE {
            let machine = Accepted::new(opened, random_id(), false, false, settings);
            return Ok(Some(Driver { machine, transport: Transport::Plain(socket), chain: Vec::new(), policy }));
        }
        let (transport, chain) = secure(socket, None, face, entry).await?;
        let machine = Accepted::new(opened, random_id(), true, !chain.is_empty(), settings);
        Ok(Some(Driver { machine, transport, chain, policy }))
    }

    async fn drive(
        &mut self,
        face: &Arc<FaceState>,
        links: &Links,
        entry: &Registered,
        mut commands: mpsc::UnboundedReceiver<Command>,
        mut settled: mpsc::UnboundedReceiver<u64>,
    ) -> std::io::Result<End> {
        let (answers, mut answered) = mpsc::unbounded_channel();
        let most = face.settings.stream.limits.stanza_bytes + READ;
        let mut ended = false;
        let mut ending = Ending::default();
        loop {
            self.heed_policy(face);
            entry.trace_received(self.machine.follow(entry.is_traced()));
            if let Some(end) = self.steps(face, links, entry, &answers).await? {
                return Ok(end);
            }
            // What the peer counts on is told first; nothing new is looked at until then.
            if let Some(command) = ending.due(!self.machine.is_unsettled(), Instant::now()) {
                self.machine.close(Instant::now(), told(command).as_ref());
                continue;
            }
            let deadline = self.machine.deadline().into_iter().chain(ending.until()).min();
            // What the machine doesn't look at now is left where it is, so that the peer feels it.
            let may_read = !ended && ending.until().is_none() && self.machine.input().len() < most;
            tokio::select! {
                read = self.transport.receive(self.machine.input()), if may_read => if read? == 0 {
                    ended = true;
                    self.machine.eof();
                },
                Some(receipt) = settled.recv() => {
                    self.machine.settled(receipt);
                    while let Ok(receipt) = settled.try_recv() {
                        self.machine.settled(receipt);
                    }
                }
                Some(answer) = answered.recv() => self.machine.answer(Instant::now(), answer),
                Some(command) = commands.recv(), if ending.is_open() => {
                    ending = Ending::Told(command, Instant::now() + face.settings.stream.drain);
                }
                () = until(deadline) => self.machine.tick(Instant::now()),
            }
        }
    }

    /// Where policy was replaced, each pair is admitted anew.
    fn heed_policy(&mut self, face: &FaceState) {
        let policy = face.policy.load();
        if !Arc::ptr_eq(&self.policy, &policy) {
            self.policy = policy.clone();
            self.machine.admit_anew();
        }
    }

    /// Carries out what the machine says, until it waits for something.
    async fn steps(
        &mut self,
        face: &Arc<FaceState>,
        links: &Links,
        entry: &Registered,
        answers: &mpsc::UnboundedSender<Answer>,
    ) -> std::io::Result<Option<End>> {
        while let Some(step) = self.machine.poll(Instant::now()) {
            match step {
                Step::Send(bytes) => {
                    entry.trace_sent(&bytes);
                    // A peer that doesn't read what it is told can't hold a stream open for ever.
                    let most = face.settings.stream.establish;
                    let sent = tokio::time::timeout(most, self.transport.send(&bytes)).await;
                    sent.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
                    self.machine.sent(Instant::now());
                }
                Step::StartTls => {
                    let socket = std::mem::replace(&mut self.transport, Transport::Gone).into_plain()?;
                    (self.transport, self.chain) = secure(socket, self.machine.to(), face, entry).await?;
                    let answer = Answer::TlsUp { certificate: !self.chain.is_empty(), own_certificate: true };
                    self.machine.answer(Instant::now(), answer);
                }
                Step::Ask(question) => match face.answer(question, &self.chain) {
                    Ok(answer) => self.machine.answer(Instant::now(), answer),
                    Err(key) => {
                        let (face, answers) = (face.clone(), answers.clone());
                        // The stream may be gone when the answer comes; then nobody needs it.
                        tokio::spawn(async move { answers.send(dial::authoritative(face, key).await) });
                    }
                },
                Step::Authenticated { pair, method } => {
                    entry.authenticated(&pair, method);
                    tracing::info!(face = %face.face, stream = entry.number(), %pair, %method, "stream authenticated");
                }
                Step::Ready { .. } | Step::Taken { .. } | Step::Verified { .. } => {}
                Step::Stanza { pair, stanza, receipt } => {
                    entry.passed(1);
                    let receipt = receipt.map(|number| Receipt { stream: entry.number(), number });
                    face.holder.accept(&pair, stanza, receipt).await;
                }
                Step::Return { pair, stanza } => {
                    face.holder.turned_back(&pair.reversed(), true);
                    links.send_back(pair, stanza);
                }
                Step::Discard { pair, stanza } => {
                    tracing::debug!(face = %face.face, stream = entry.number(), %pair, ?stanza, "an error or result could not pass");
                    face.holder.turned_back(&pair, false);
                }
                Step::End(end) => return Ok(Some(end)),
            }
        }
        Ok(None)
    }
}
