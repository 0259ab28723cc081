//! One accepted stream at work: carries out what its machine says, and asks for it what it can't know.

use std::collections::VecDeque;
use std::io;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use topology::policy::Policy;
use xmpp::domain::{Domain, DomainPair};
use xmpp::stanza::Stanza;
use xmpp::stream::{Accepted, Answer, End, Question, Step};

use crate::alarm::Alarm;
use crate::clock::{now, since};
use crate::crypto::random_id;
use crate::dial;
use crate::face::FaceState;
use crate::hold::Receipt;
use crate::holder::Coming;
use crate::link::told;
use crate::links::Links;
use crate::socket::Socket;
use crate::streams::{Command, Registered};
use crate::tls::HANDSHAKE_BYTE;
use crate::transport::{READ, Transport};

/// A peer that is about to prove itself while we shut down is given this long: it sends what it has
/// as soon as its stream is open, and would not try elsewhere if we closed it before.
const SETTLE: Duration = Duration::from_secs(1);
/// Stanzas that the holder is given at once.
const TOGETHER: usize = 64;
/// What has lain here for so long is old.
const LAIN: Duration = Duration::from_millis(500);
/// Between two looks whether a peer's system has acknowledged.
const NEXT_LOOK: Duration = Duration::from_millis(10);
/// For a peer to read why its stream was ended.
const LINGER: Duration = Duration::from_secs(1);

/// A connection on which a stream can begin.
pub struct Opened {
    /// What bytes go over.
    pub transport: Transport,
    /// What the peer showed in TLS.
    pub chain: Vec<CertificateDer<'static>>,
}

/// On its way to being one; nothing if the peer left or said nothing. Boxed, for thousands of connections
/// that come no further than this.
pub(super) type Opening = Pin<Box<dyn Future<Output = io::Result<Option<Opened>>> + Send>>;

/// Serves a connection to its end.
///
/// # Errors
/// When it broke, or TLS didn't come up.
pub(super) async fn serve(
    opening: Opening,
    face: Arc<FaceState>,
    links: Links,
    entry: Arc<Registered>,
    mut commands: mpsc::UnboundedReceiver<Command>,
) -> io::Result<End> {
    let (since, turns) = (now(), face.turns.clone());
    let set_up = async {
        let (Some(opened), leaving) = unless_closed(opening, &mut commands).await? else { return Ok(None) };
        let mut driver = Driver::new(since, opened, face, links, entry, commands);
        driver.shutting_down = leaving;
        let mut end = Ok(None);
        while matches!(end, Ok(None)) && driver.proven_at.is_none() {
            end = driver.go_on().await;
        }
        io::Result::Ok(Some((driver, end)))
    };
    // Boxed, for thousands of connections that have been silent for long.
    match Box::pin(turns.take(set_up)).await? {
        Some((driver, end)) => Box::pin(driver.run(end)).await,
        None => Ok(End::Probe),
    }
}

struct Driver {
    face: Arc<FaceState>,
    links: Links,
    entry: Arc<Registered>,
    machine: Accepted,
    transport: Transport,
    /// By when somebody must have proved himself.
    deadline: Instant,
    /// What the peer showed in TLS.
    chain: Vec<CertificateDer<'static>>,
    /// Keys that are being asked about; given up with the stream.
    verifying: JoinSet<Answer>,
    /// By which the pairs were admitted.
    policy: Arc<Policy>,
    proven_at: Option<Instant>,
    /// Since when everything ends, as long as the peer hasn't been told; and by when it is over.
    shutting_down: Option<Leaving>,
    /// When the latest had come that was here at the last look how long something had lain.
    came: Option<Instant>,
    /// When the peer was last heard of for certain, after something had lain here.
    heard: Instant,
    /// The last look found something to read.
    read_some: bool,
    /// The peer has said its last.
    ended: bool,
    /// What the stream is told to do.
    commands: mpsc::UnboundedReceiver<Command>,
    /// Receipts of stanzas that have their outcome.
    settled: mpsc::UnboundedReceiver<RangeInclusive<u64>>,
    /// For `shutting_down`, and for the machine's deadline.
    leaving: Alarm,
    due: Alarm,
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no stream came up in time")
}

/// Our side of a TLS handshake, in bounded time.
async fn secure(
    socket: Socket,
    to: Option<&Domain>,
    face: &FaceState,
    entry: &Registered,
    deadline: Instant,
) -> io::Result<Opened> {
    let handshake = tokio::time::timeout_at(deadline.into(), face.tls.accept(socket, to));
    let (secured, established) =
        handshake.await.map_err(|_| late())?.map_err(|error| io::Error::other(format!("TLS: {error}")))?;
    entry.secured(established.to_string());
    Ok(Opened { transport: Transport::Tls(Box::new(secured.into())), chain: established.chain })
}

/// Tells direct TLS from a stream in clear by the first byte. Nothing if the peer left or said nothing.
pub(super) async fn open(
    socket: TcpStream,
    face: Arc<FaceState>,
    entry: Arc<Registered>,
) -> io::Result<Option<Opened>> {
    socket.set_nodelay(true)?;
    let deadline = now() + face.settings.stream.establish;
    let mut first = [0];
    let said = tokio::time::timeout_at(deadline.into(), socket.peek(&mut first)).await;
    if said.unwrap_or(Ok(0))? == 0 {
        return Ok(None);
    }
    let socket = Socket::from(socket);
    if first[0] == HANDSHAKE_BYTE {
        return Box::pin(secure(socket, None, &face, &entry, deadline)).await.map(Some);
    }
    Ok(Some(Opened { transport: Transport::Plain(socket), chain: Vec::new() }))
}

impl Driver {
    fn new(
        since: Instant,
        Opened { transport, chain }: Opened,
        face: Arc<FaceState>,
        links: Links,
        entry: Arc<Registered>,
        commands: mpsc::UnboundedReceiver<Command>,
    ) -> Box<Driver> {
        let (settings, policy) = (face.settings.stream.clone(), face.policy.load_full());
        let machine = Accepted::new(since, random_id(), transport.is_secure(), !chain.is_empty(), settings);
        Box::new(Driver {
            deadline: since + face.settings.stream.establish,
            settled: face.holder.enter_stream(entry.number()),
            face,
            links,
            entry,
            machine,
            transport,
            chain,
            verifying: JoinSet::new(),
            policy,
            proven_at: None,
            shutting_down: None,
            came: None,
            heard: since,
            read_some: false,
            ended: false,
            commands,
            leaving: Alarm::default(),
            due: Alarm::default(),
        })
    }

    /// Runs the stream to its end, unless it came to it while it was set up.
    async fn run(mut self: Box<Self>, mut end: io::Result<Option<End>>) -> io::Result<End> {
        let end = loop {
            match end.transpose() {
                Some(end) => break end,
                None => end = self.go_on().await,
            }
        };
        self.face.holder.leave_stream(self.entry.number());
        self.show_received();
        match end {
            // It may be in the middle of what it says.
            Ok(End::OurError(_)) => self.transport.finish(LINGER).await,
            Ok(_) => self.transport.end(LINGER).await,
            Err(_) => {}
        }
        end
    }

    /// Does what there is to do, and waits for what comes next; how it ended, once it has.
    async fn go_on(&mut self) -> io::Result<Option<End>> {
        let most = self.face.settings.stream.limits.stanza_bytes + READ;
        self.heed_policy();
        self.show_received();
        let proven = self.proven_at.is_some();
        if let Some(end) = self.steps().await? {
            return Ok(Some(end));
        }
        if self.proven_at.is_some() != proven {
            // It is set up, which whoever waits for that should hear.
            return Ok(None);
        }
        self.show_received();
        // What was read from a peer that doesn't keep it is nowhere else: it leaves this process before more is
        // read. While we read on, whoever writes it to the trunk would wait for this thread. Where there is no more,
        // waiting for it is as good, and wakes nobody.
        if std::mem::take(&mut self.read_some) && !self.machine.counts() && self.transport.has_more().await {
            tokio::task::yield_now().await;
        }
        let deadline = self.machine.deadline();
        // What the machine doesn't look at now is left where it is, so that the peer feels it.
        let most = if self.machine.is_listening(now()) { most } else { READ };
        let may_read = !self.ended && self.machine.input().len() < most;
        let leave = self.shutting_down.map(|leaving| leaving.at(self.proven_at));
        tokio::select! {
            // A peer that never stops sending keeps nothing else from its turn.
            biased;
            Some(receipts) = self.settled.recv() => {
                receipts.for_each(|receipt| self.machine.settled(receipt));
                while let Ok(receipts) = self.settled.try_recv() {
                    receipts.for_each(|receipt| self.machine.settled(receipt));
                }
            }
            // A panic has been told; its key remains without an answer.
            Some(Ok(answer)) = self.verifying.join_next() => self.machine.answer(now(), answer),
            Some(command) = self.commands.recv() => self.told(command),
            () = self.leaving.until(leave) => {
                let over = self.shutting_down.take().and_then(|leaving| leaving.over);
                let why = told(Command::Depart);
                if self.proven_at.is_some() {
                    match over {
                        Some(over) => self.machine.finish(now(), why, Some(over)),
                        None => self.machine.finish_patiently(now(), why),
                    }
                } else {
                    // Nothing can come from it that we would wait for.
                    self.machine.close(now(), why.as_ref());
                    let end = self.steps().await?;
                    return Ok(Some(end.unwrap_or(End::Closed)));
                }
            }
            () = self.due.until(deadline) => {
                // Whether the peer pauses hangs on what has come, however late we look.
                match if may_read { self.read_what_is_there().await? } else { None } {
                    Some(0) => {
                        self.ended = true;
                        self.machine.eof();
                    }
                    Some(_) => self.ask_after_old_data().await?,
                    None => {}
                }
                self.machine.tick(now());
            }
            read = self.transport.receive(self.machine.input()), if may_read => {
                self.read_some = true;
                if read? == 0 {
                    self.ended = true;
                    self.machine.eof();
                } else {
                    self.ask_after_old_data().await?;
                }
            }
        }
        Ok(None)
    }

    /// Reads without waiting; how much there was, if anything, and 0 is the end.
    async fn read_what_is_there(&mut self) -> io::Result<Option<usize>> {
        tokio::select! {
            biased;
            read = self.transport.receive(self.machine.input()) => read.map(Some),
            () = std::future::ready(()) => Ok(None),
        }
    }

    /// What was read may have lain here while we stood still, and another machine may have taken our address over meanwhile.
    /// Its peer was reset then. One that counts has returned what it said, or said it again elsewhere: it must not go on.
    /// So the peer's system has to acknowledge something first. What came from one that doesn't count is better late than lost.
    async fn ask_after_old_data(&mut self) -> io::Result<()> {
        if !self.machine.counts() {
            return Ok(());
        }
        let looked = now();
        // The latest that is here didn't come before what was the latest at some look before.
        if self.came.is_some_and(|came| looked.saturating_duration_since(came) <= LAIN) {
            return Ok(());
        }
        let Some(lain) = self.transport.since_data() else { return Ok(()) };
        self.came = looked.checked_sub(lain);
        if lain <= LAIN || self.came.is_none_or(|came| came <= self.heard) {
            return Ok(());
        }
        let Some(count) = self.machine.recount() else { return Ok(()) };
        let patience = self.face.settings.hold.age;
        self.transport.send_while_taken(&count, patience).await?;
        let began = now();
        loop {
            let Some(standing) = self.transport.standing() else { return Ok(()) };
            if standing.is_quiet() {
                self.heard = now();
                return Ok(());
            }
            if let Some(error) = self.transport.broken() {
                return Err(error);
            }
            if since(began) > patience {
                let why = "what came had lain here, and the peer's system doesn't answer; another machine may have had our address";
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            tokio::time::sleep(NEXT_LOOK).await;
        }
    }

    /// To whoever follows the stream, from here on.
    fn show_received(&mut self) {
        self.entry.trace_received(self.machine.follow(self.entry.is_traced()));
    }

    fn told(&mut self, command: Command) {
        match command {
            Command::Close => self.machine.finish(now(), told(command), None),
            Command::Shutdown(over) => self.shutting_down = Some(Leaving { since: now(), over: Some(over) }),
            Command::Depart => self.shutting_down = Some(Leaving { since: now(), over: None }),
            Command::Leave => self.machine.close(now(), told(command).as_ref()),
        }
    }

    /// Where policy was replaced, each pair is admitted anew.
    fn heed_policy(&mut self) {
        let policy = self.face.policy.load();
        if !Arc::ptr_eq(&self.policy, &policy) {
            self.policy = policy.clone();
            self.machine.admit_anew();
        }
    }

    /// Carries out what the machine says, until it waits for something.
    async fn steps(&mut self) -> io::Result<Option<End>> {
        let mut coming = VecDeque::new();
        let mut at = now();
        while let Some(step) = self.machine.poll(at) {
            let step = match step {
                Step::Stanza { pair, stanza, receipt } => {
                    let receipt = Some(Receipt { stream: self.entry.number(), number: receipt });
                    coming.push_back(Coming { pair, stanza, receipt });
                    if coming.len() < TOGETHER {
                        continue;
                    }
                    None
                }
                other => Some(other),
            };
            self.accept(&mut coming).await;
            at = now();
            let Some(step) = step else { continue };
            match step {
                Step::Send(bytes) => {
                    self.entry.trace_sent(&bytes);
                    // A peer that doesn't read what it is told can't hold a stream open for ever.
                    self.transport.send_while_taken(&bytes, self.face.settings.stream.establish).await?;
                    self.machine.sent(now());
                }
                Step::StartTls => {
                    let socket = std::mem::replace(&mut self.transport, Transport::Gone).into_plain()?;
                    let handshake = secure(socket, self.machine.to(), &self.face, &self.entry, self.deadline);
                    let handshake = Box::pin(handshake);
                    let (Opened { transport, chain }, over) = unless_closed(handshake, &mut self.commands).await?;
                    (self.transport, self.chain) = (transport, chain);
                    self.shutting_down = self.shutting_down.or(over);
                    let answer = Answer::TlsUp { certificate: !self.chain.is_empty(), own_certificate: true };
                    self.machine.answer(now(), answer);
                }
                Step::Ask(question) => self.ask(question),
                Step::Authenticated { pair, method } => {
                    self.entry.authenticated(&pair, method);
                    self.proven_at.get_or_insert_with(now);
                    tracing::info!(face = %self.face.face, stream = self.entry.number(), %pair, %method, "stream authenticated");
                }
                Step::Stanza { .. }
                | Step::Ready { .. }
                | Step::Taken { .. }
                | Step::Verified { .. }
                | Step::Looked => {}
                Step::Return { pair, stanza, receipt } => self.give_back(&pair, stanza, receipt),
                Step::Discard { pair, stanza } => {
                    tracing::debug!(face = %self.face.face, stream = self.entry.number(), %pair, ?stanza, "an error or result could not pass");
                    self.face.holder.turned_back(&pair, &stanza, "it may not pass", false);
                }
                Step::End(end) => return Ok(Some(end)),
            }
        }
        self.accept(&mut coming).await;
        Ok(None)
    }

    /// Gives the holder what has come, before anything that came behind it is heeded.
    async fn accept(&mut self, coming: &mut VecDeque<Coming>) {
        if !coming.is_empty() {
            self.entry.passed(coming.len() as u64);
            self.face.holder.accept(coming).await;
        }
    }

    fn ask(&mut self, question: Question) {
        match self.face.answer(question, &self.chain) {
            Ok(answer) => self.machine.answer(now(), answer),
            Err(key) => drop(self.verifying.spawn(dial::authoritative(self.face.clone(), key))),
        }
    }

    /// Brings an error back to where its stanza came from. Where we may not speak as the domain that
    /// it was for, nobody could be told so; then it is the stream that is told.
    fn give_back(&mut self, pair: &DomainPair, error: Stanza, receipt: u64) {
        let way_out = self.face.policy.load().way_out(self.face.face, pair).map(|_| ());
        let why = match &way_out {
            Ok(()) => "it could not pass; its sender was told why".to_owned(),
            Err(refusal) => refusal.to_string(),
        };
        self.face.holder.turned_back(&pair.reversed(), &error, &why, way_out.is_ok());
        match way_out {
            Ok(()) => {
                self.links.send_back(pair, error);
                self.machine.settled(receipt);
            }
            Err(refusal) => self.machine.close(now(), Some(&refusal.to_stream_error())),
        }
    }
}

/// That a stream is to leave.
#[derive(Debug, Clone, Copy)]
struct Leaving {
    /// Since when.
    since: Instant,
    /// By when everything is over; nothing where it takes as long as it takes.
    over: Option<Instant>,
}

impl Leaving {
    /// When that is begun: whoever has just proven itself is about to say something.
    fn at(self, proven: Option<Instant>) -> Instant {
        let at = proven.unwrap_or(self.since) + SETTLE;
        self.over.map_or(at, |over| at.min(over))
    }
}

/// Does that unless the stream is to be closed meanwhile, when nothing has been accepted on it yet;
/// and that it is to leave, if it was told so.
async fn unless_closed<T>(
    mut what: impl Future<Output = io::Result<T>> + Unpin,
    commands: &mut mpsc::UnboundedReceiver<Command>,
) -> io::Result<(T, Option<Leaving>)> {
    let command = tokio::select! {
        biased;
        done = &mut what => return done.map(|done| (done, None)),
        Some(command) = commands.recv() => command,
    };
    match command {
        Command::Close | Command::Leave => Err(io::Error::other("it was closed before a stream was up")),
        Command::Shutdown(_) | Command::Depart => {
            let over = if let Command::Shutdown(over) = command { Some(over) } else { None };
            let leaving = Leaving { since: now(), over };
            let done = tokio::time::timeout(SETTLE, what).await;
            done.map_err(|_| late())?.map(|done| (done, Some(leaving)))
        }
    }
}
