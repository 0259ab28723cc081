//! One target probed: a stream is set up as far as it shall be, and each stage is written down on the way.

use std::time::{Duration, Instant, SystemTime};

use api::probe::{self, Name, Stage, Verdict};
use rustls_pki_types::CertificateDer;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use topology::address::may_look;
use xmpp::domain::{Domain, DomainPair};
use xmpp::stream::{Answer, Condition, Dialed, End, Goal, Method, Need, Phase, Question, Settings, Step};

use super::facts::{FIRST, Finding, Scene, Trouble, Whose, milliseconds};
use super::{certificate, offers, trouble};
use crate::clock::{now, since};
use crate::face::FaceState;
use crate::judge::CertificateFault;
use crate::resolve::Target;
use crate::tls::{Established, TlsError};
use crate::transport::Transport;

/// For a stage, unless less is left in all.
const STAGE: Duration = Duration::from_secs(5);
/// For what a peer said before the connection broke to be read.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// For the peer to answer our end of the stream.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a target is probed for.
#[derive(Debug, Clone)]
pub(super) struct Errand {
    pub(super) scene: Scene,
    pub(super) pair: DomainPair,
    pub(super) goal: Goal,
    /// Whether somebody named the address, instead of DNS or the configuration.
    pub(super) named: bool,
    /// Whether it is for one of the further domains that it is looked for.
    pub(super) beside: bool,
    pub(super) until: Instant,
}

/// A target while it is probed, and what was seen of it.
struct Attempt<'a> {
    face: &'a FaceState,
    errand: &'a Errand,
    stages: Vec<Stage>,
    /// When the current stage began.
    began: Instant,
    tls: Option<probe::Tls>,
    chain: Vec<CertificateDer<'static>>,
    certificate: Option<probe::Certificate>,
    offers: Option<probe::Offers>,
    round_trip: Option<Duration>,
    /// The peer's first words on the current layer.
    first: Vec<u8>,
}

/// Probes it.
pub(super) async fn attempt(face: &FaceState, errand: &Errand, target: &Target) -> probe::Target {
    let mut attempt = Attempt {
        face,
        errand,
        stages: Vec::new(),
        began: now(),
        tls: None,
        chain: Vec::new(),
        certificate: None,
        offers: None,
        round_trip: None,
        first: Vec::new(),
    };
    let reached = match attempt.run(target).await {
        Ok(()) => true,
        Err((stage, trouble)) => {
            attempt.failed(stage, trouble::explain(stage, &trouble, &errand.scene));
            false
        }
    };
    attempt.finished(target, reached)
}

pub(super) type Failed = (Name, Trouble);

impl Attempt<'_> {
    async fn run(&mut self, target: &Target) -> Result<(), Failed> {
        let socket = self.connect(target).await?;
        let mut transport = Transport::Plain(socket.into());
        if target.direct_tls {
            transport = self.secure(transport).await?;
        }
        let settings = Settings { establish: Duration::from_secs(3600), ..self.face.settings.stream.clone() };
        let own_certificate = self.tls.as_ref().is_some_and(|tls| tls.shown);
        let Errand { scene, pair, goal, .. } = self.errand;
        let (pair, goal) = (pair.clone(), goal.clone());
        let mut machine = Dialed::new(now(), pair, goal, scene.terms, target.direct_tls, own_certificate, settings);
        let ended = self.talk(&mut machine, &mut transport).await;
        if let Ok(()) = &ended {
            let _ = timeout(FAREWELL.min(self.left()), farewell(&mut machine, &mut transport)).await;
        }
        transport.end(FAREWELL.min(self.left())).await;
        ended
    }

    async fn connect(&mut self, target: &Target) -> Result<TcpStream, Failed> {
        let failed = |trouble| (Name::Tcp, trouble);
        // On either face: whoever may have something looked at shall not look into this machine.
        if self.errand.named && !self.face.private_targets {
            may_look(target.address.ip()).map_err(|why| failed(Trouble::Forbidden(why)))?;
        }
        let span = self.patience();
        let connected = timeout(span, TcpStream::connect(target.address)).await;
        let socket =
            connected.map_err(|_| failed(Trouble::Silent(span)))?.map_err(|error| failed(Trouble::Io(error)))?;
        // The kernel reaches itself by one address. The peer's isn't asked for: it may have reset the connection already.
        let own = socket.local_addr().is_ok_and(|near| near.ip() == target.address.ip());
        if self.face.guards_targets() && self.errand.scene.whose == Whose::Partner && own {
            return Err(failed(Trouble::Own));
        }
        // Latency is what is told.
        let _ = socket.set_nodelay(true);
        self.round_trip = Some(since(self.began));
        self.note(Name::Tcp, Finding::good("it takes the connection"));
        Ok(socket)
    }

    /// TLS comes up, and its certificate is judged.
    async fn secure(&mut self, transport: Transport) -> Result<Transport, Failed> {
        let failed = |trouble| (Name::Tls, trouble);
        let socket = transport.into_plain().map_err(|error| failed(Trouble::Io(error)))?;
        let Errand { scene, pair, goal, .. } = self.errand;
        let span = self.patience();
        let tls = &self.face.tls;
        let shaken = async {
            match goal {
                Goal::Look { named: false } => tls.look(socket, &pair.to, scene.direct_tls).await,
                _ => tls.dial(socket, &pair.from, &pair.to, scene.direct_tls).await,
            }
        };
        let (stream, established) = timeout(span, shaken)
            .await
            .map_err(|_| failed(Trouble::Silent(span)))?
            .map_err(|error| failed(Trouble::Tls(error)))?;
        self.settled(established);
        self.first.clear();
        Ok(Transport::Tls(Box::new(stream.into())))
    }

    fn settled(&mut self, established: Established) {
        let Established { chain, own_certificate: shown, version, cipher } = established;
        let ours = if shown { "; our certificate was asked for and shown" } else { "" };
        self.note(Name::Tls, Finding::good(format!("{version} is up{ours}")));
        self.tls = Some(probe::Tls { version: version.to_owned(), cipher, shown });
        let at = SystemTime::now();
        let judged: Result<(), CertificateFault> = self.face.judge.load().judge(&chain, &self.errand.scene.to, at);
        self.certificate = certificate::shown(&chain, &judged, at);
        self.chain = chain;
        self.note(Name::Certificate, certificate::finding(self.certificate.as_ref(), &judged, &self.errand.scene, at));
    }

    async fn talk(&mut self, machine: &mut Dialed, transport: &mut Transport) -> Result<(), Failed> {
        // A peer that ends a stream with an error may be gone before it hears our end: its reason is what counts.
        let mut broken = None;
        loop {
            let mut phase = machine.phase();
            while let Some(step) = machine.poll(now()) {
                self.passed(&mut phase, machine, transport.is_secure());
                let stage = stage(phase, transport.is_secure());
                match step {
                    Step::Send(bytes) if broken.is_none() => {
                        let sent = timeout(self.patience(), transport.send(&bytes)).await;
                        broken = sent.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())).err();
                    }
                    Step::Send(_) => {}
                    Step::StartTls => {
                        let plain = std::mem::replace(transport, Transport::Gone);
                        *transport = self.secure(plain).await?;
                        let shown = self.tls.as_ref().is_some_and(|tls| tls.shown);
                        let certificate = !self.chain.is_empty();
                        machine.answer(now(), Answer::TlsUp { certificate, own_certificate: shown });
                        phase = machine.phase();
                    }
                    Step::Ask(question) => {
                        if let Ok(answer) = self.answer(question) {
                            machine.answer(now(), answer);
                        }
                        phase = machine.phase();
                    }
                    Step::Looked => {
                        self.offered(machine, transport.is_secure());
                        return Ok(());
                    }
                    Step::Ready { method } => {
                        self.proven(method, machine);
                        return Ok(());
                    }
                    Step::End(end) => return self.ended(stage, end, machine),
                    // Others than those that are dialed to carry or to look take these.
                    Step::Verified { .. }
                    | Step::Taken { .. }
                    | Step::Authenticated { .. }
                    | Step::Stanza { .. }
                    | Step::Return { .. }
                    | Step::Discard { .. } => {}
                }
            }
            self.passed(&mut phase, machine, transport.is_secure());
            let stage = stage(phase, transport.is_secure());
            // A peer may need all the time that there is to verify a key.
            let span = match stage {
                _ if broken.is_some() => LAST_WORDS,
                Name::Dialback => self.left(),
                _ => self.patience(),
            };
            let known = machine.input().len();
            let received = timeout(span, transport.receive(machine.input())).await;
            match (received, broken.take()) {
                (Ok(Err(error)), _) | (Ok(Ok(0)) | Err(_), Some(error)) => return Err(broke(stage, error)),
                (Ok(Ok(0)), None) => machine.eof(),
                (Ok(Ok(_)), error) => {
                    broken = error;
                    let room = FIRST.saturating_sub(self.first.len());
                    self.first.extend(machine.input().iter().skip(known).take(room));
                }
                (Err(_), None) => return Err((stage, Trouble::Silent(span))),
            }
        }
    }

    fn answer(&self, question: Question) -> Result<Answer, crate::face::KeyToVerify> {
        self.face.answer(question, &self.chain)
    }

    /// Writes down what lies between the phase before and the one that the machine is in now.
    fn passed(&mut self, before: &mut Phase, machine: &Dialed, secure: bool) {
        let phase = machine.phase();
        let came = |phase| !matches!(phase, Phase::Header | Phase::Features);
        if came(phase) && !came(*before) {
            // Also where it then ends because of what they say.
            self.offered(machine, secure);
        }
        if *before != Phase::Dialback && phase == Phase::Dialback {
            match machine.external_refused() {
                Some(why) => self.refused(why),
                None => {
                    let finding = offers::why_not_external(self.offers.as_ref(), self.tls.as_ref(), &self.errand.scene);
                    self.note(Name::External, finding);
                }
            }
        }
        *before = phase;
    }

    /// The features came.
    fn offered(&mut self, machine: &Dialed, secure: bool) {
        let stage = if secure { Name::Features } else { Name::Header };
        if self.has(stage) {
            return;
        }
        let scene = &self.errand.scene;
        // None from a peer that knows no features, being older than XMPP 1.0.
        let offered = machine.offers().cloned().unwrap_or_default();
        let told = offers::told(&offered, machine.speaks_dialback());
        if !secure && offered.starttls && scene.terms.tls != Need::NotSupported {
            self.note(Name::Header, Finding::good("it speaks XMPP between servers, and offers STARTTLS"));
            return;
        }
        if !secure {
            self.note(Name::Header, Finding::good("it speaks XMPP between servers"));
            let finding = offers::no_tls(scene);
            self.note(Name::Tls, finding);
        }
        let finding = offers::finding(&told, self.tls.as_ref().is_some_and(|tls| tls.shown), scene);
        self.offers = Some(told);
        self.note(Name::Features, finding);
    }

    /// The peer refused our certificate, and dialback is tried.
    fn refused(&mut self, why: &str) {
        // The peer's own words are among it.
        let why: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let finding = Finding::warning(why.clone());
        self.note(Name::External, trouble::refused_certificate(finding, &why, &self.errand.scene));
    }

    fn proven(&mut self, method: Method, machine: &Dialed) {
        let us = self.errand.scene.us();
        match method {
            Method::External => {
                self.note(Name::External, Finding::good(format!("it takes our certificate for {us}")));
                if let (Some(offers), Some(now)) = (&mut self.offers, machine.offers()) {
                    offers.stream_management |= now.stream_management;
                    offers.max_bytes = offers.max_bytes.or(now.max_bytes);
                    offers.idle_seconds = offers.idle_seconds.or(now.idle_seconds);
                }
            }
            Method::Dialback => {
                self.note(Name::Dialback, Finding::good(format!("it has verified our key for {us}")));
            }
        }
    }

    fn ended(&mut self, stage: Name, end: End, machine: &Dialed) -> Result<(), Failed> {
        let ours = matches!(&end, End::OurError(error) if error.condition == Condition::PolicyViolation);
        match stage {
            // The certificate was judged, and that is what it ended for.
            Name::Certificate if self.has(Name::Certificate) => {
                return Err((Name::Certificate, Trouble::Ended(end, Vec::new())));
            }
            // What is offered came, and there is nothing in it that we could prove ourselves by.
            Name::Features if ours && machine.offers().is_some() => {
                self.offered(machine, true);
                return Err((Name::External, Trouble::Ended(end, Vec::new())));
            }
            _ => {}
        }
        Err((stage, Trouble::Ended(end, std::mem::take(&mut self.first))))
    }

    fn has(&self, name: Name) -> bool {
        self.stages.iter().any(|stage| stage.name == name)
    }

    /// Writes down a stage, which took as long as it is since the one before. The first word on each counts.
    fn note(&mut self, name: Name, finding: Finding) {
        if !self.has(name) {
            self.stages.push(finding.stage(name, since(self.began)));
            self.began = now();
        }
    }

    /// Writes down at which stage it failed, also where something good of it was written down before.
    fn failed(&mut self, name: Name, finding: Finding) {
        match self.stages.iter().position(|stage| stage.name == name) {
            // What was said of it already is why.
            Some(index) if self.stages[index].verdict == Verdict::Bad => {}
            Some(index) => {
                let took = Duration::from_millis(self.stages[index].ms) + since(self.began);
                self.stages[index] = finding.stage(name, took);
            }
            None => self.note(name, finding),
        }
    }

    fn left(&self) -> Duration {
        self.errand.until.saturating_duration_since(now())
    }

    fn patience(&self) -> Duration {
        STAGE.min(self.left())
    }

    fn finished(mut self, target: &Target, reached: bool) -> probe::Target {
        let looks = self.errand.scene.looks;
        for name in [Name::Header, Name::Tls, Name::Certificate, Name::Features, Name::External, Name::Dialback] {
            let header = name == Name::Header && target.direct_tls;
            if self.has(name) || header {
                continue;
            }
            let why = match name {
                Name::External | Name::Dialback if looks => "it was only looked at",
                Name::Dialback if reached => "it isn't needed",
                _ => "it wasn't come to",
            };
            self.stages.push(Finding::skipped(why).stage(name, Duration::ZERO));
        }
        self.stages.sort_by_key(|stage| stage.name);
        let verdict = Verdict::worst(self.stages.iter().map(|stage| stage.verdict));
        probe::Target {
            domain: self.errand.beside.then(|| self.errand.scene.to.to_string()),
            host: target.host.clone(),
            address: target.address.to_string(),
            direct_tls: target.direct_tls,
            verdict,
            // Who is only looked at is seen to the end also where nobody would be let in, or would come in.
            reached: reached && verdict < Verdict::Bad,
            stages: self.stages,
            tls: self.tls,
            certificate: self.certificate,
            offers: self.offers,
            round_trip_ms: self.round_trip.map(milliseconds),
        }
    }
}

/// What it means that a connection broke. In TLS 1.3 a peer that refuses our certificate says so when the handshake is over
/// for us already.
pub(super) fn broke(stage: Name, error: std::io::Error) -> Failed {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some();
    if tls { (Name::Tls, Trouble::Tls(TlsError::from_io(error))) } else { (stage, Trouble::Io(error)) }
}

/// Which stage a stream is at.
fn stage(phase: Phase, secure: bool) -> Name {
    match phase {
        Phase::Header | Phase::Features if secure => Name::Features,
        Phase::Header | Phase::Features => Name::Header,
        Phase::StartTls => Name::Tls,
        Phase::Certificate => Name::Certificate,
        Phase::External => Name::External,
        Phase::Dialback | Phase::Verify | Phase::Ready => Name::Dialback,
    }
}

/// Ends the stream, as anybody would who has nothing to say.
async fn farewell(machine: &mut Dialed, transport: &mut Transport) -> std::io::Result<()> {
    machine.close(now(), None);
    loop {
        while let Some(step) = machine.poll(now()) {
            match step {
                Step::Send(bytes) => transport.send(&bytes).await?,
                Step::End(_) => return transport.shutdown().await,
                _ => {}
            }
        }
        if transport.receive(machine.input()).await? == 0 {
            machine.eof();
        }
    }
}

/// The pair that a machine goes by, where nobody is named: its header says only `to`.
pub(super) fn pair(from: Option<&Domain>, to: &Domain) -> DomainPair {
    DomainPair::new(from.unwrap_or(to).clone(), to.clone())
}
