//! Dialing: from a domain pair to a stream that is ready, over whichever target answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;
use topology::address::may_dial;
use topology::policy::Refusal;
use xmpp::domain::{Domain, DomainPair};
use xmpp::stanza::StanzaCondition;
use xmpp::stream::{Answer, Condition, Dialed, End, Goal, KeyVerdict, Method, Need, Step, Terms};

use crate::clock::now;
use crate::face::{FaceState, KeyToVerify};
use crate::network::Connected;
use crate::race::{Milestone, race};
use crate::resolve::{ResolveError, Target};
use crate::tls::TlsError;
use crate::transport::Transport;
use crate::trunk::Undeliverable;

/// A dialed stream whose goal is reached.
pub struct Reached {
    /// Its machine.
    pub machine: Dialed,
    /// What its bytes go over.
    pub transport: Transport,
    /// Where.
    pub target: Target,
    /// TLS version and cipher suite.
    pub tls: Option<String>,
    /// What was reached.
    pub milestone: Reach,
}

/// What a dialed stream was to reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Stanzas may be written; how we proved ourselves.
    Ready(Method),
    /// The authoritative server's word on a key.
    Verified(bool),
}

/// Why one target didn't do.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// TCP, or the transport under the stream, failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// TLS failed.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// The stream ended before it was ready.
    #[error("{0}")]
    Ended(End),
    /// It was waited for all this time, and the stream was not ready.
    #[error("no stream was ready within {} s", .0.as_secs())]
    Late(Duration),
    /// The connection led back to this machine.
    #[error("this is an address of this machine")]
    Own,
}

impl AttemptError {
    /// Whether nobody spoke there. One who speaks and says no may serve other domains all the same.
    fn is_silence(&self) -> bool {
        matches!(
            self,
            AttemptError::Io(_)
                | AttemptError::Late(_)
                | AttemptError::Tls(TlsError::Io(_))
                | AttemptError::Ended(End::Vanished | End::Probe)
        )
    }
}

/// Why no stream could be had.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Policy doesn't allow the pair.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// There is nowhere to dial.
    #[error("{0}")]
    Resolve(#[from] ResolveError),
    /// All targets want TLS from the first byte on, and the terms say no TLS.
    #[error(
        "DNS knows only servers of {0} with direct TLS, and its entry says `tls = \"not-supported\"`; change that, or give it a `next_hop`"
    )]
    OnlyDirectTls(Domain),
    /// Each target failed, in its own way.
    #[error("{}", describe(.0))]
    Nobody(Vec<(Target, AttemptError)>),
}

fn describe(failures: &[(Target, AttemptError)]) -> String {
    let each: Vec<_> = failures
        .iter()
        .map(|(target, error)| {
            let tls = if target.direct_tls { " (direct TLS)" } else { "" };
            format!("{} at {}{tls}: {error}", target.host, target.address)
        })
        .collect();
    format!("no server could be reached: {}", each.join("; "))
}

impl DialError {
    /// Whether trying again within seconds is pointless: the peer answered, and said no.
    pub fn is_lasting(&self) -> bool {
        let says_no = |error: &AttemptError| match error {
            AttemptError::Ended(End::PeerError(error) | End::OurError(error)) => matches!(
                error.condition,
                Condition::HostUnknown
                    | Condition::HostGone
                    | Condition::NotAuthorized
                    | Condition::InvalidFrom
                    | Condition::PolicyViolation
                    | Condition::UnsupportedVersion
            ),
            _ => false,
        };
        match self {
            DialError::Refused(_) | DialError::OnlyDirectTls(_) => true,
            DialError::Resolve(error) => error.is_lasting(),
            DialError::Nobody(failures) => !failures.is_empty() && failures.iter().all(|(_, error)| says_no(error)),
        }
    }

    /// What the sender of a stanza is told.
    pub fn to_undeliverable(&self, pair: &DomainPair) -> Undeliverable {
        let (condition, text) = match self {
            DialError::Refused(refusal) => (StanzaCondition::NotAllowed, refusal.to_string()),
            DialError::Resolve(error) if error.is_lasting() => {
                (StanzaCondition::RemoteServerNotFound, format!("{} has no XMPP server that DNS knows of", pair.to))
            }
            error if error.is_lasting() => {
                (StanzaCondition::RemoteServerNotFound, format!("the server of {} refuses this domain", pair.to))
            }
            // Addresses of servers are nothing for users; the log has them.
            _ => (StanzaCondition::RemoteServerTimeout, format!("the server of {} could not be reached", pair.to)),
        };
        Undeliverable { condition, text }
    }
}

/// After so long without a stream or an error, everything is tried again beside what is still being
/// waited for: with what DNS says by then, and on new connections. Who went silent and came back doesn't
/// know the old ones.
const AGAIN: Duration = Duration::from_secs(5);

/// Dials a stream to carry the pair's stanzas.
///
/// # Errors
/// When policy forbids it, DNS knows of no place, or no target could be brought so far.
pub async fn carry(face: &Arc<FaceState>, pair: DomainPair) -> Result<Reached, DialError> {
    let mut rounds = JoinSet::new();
    loop {
        let (of_face, of_pair) = (face.clone(), pair.clone());
        rounds.spawn(async move { dial(&of_face, of_pair, Goal::Carry).await });
        let again = tokio::time::sleep(AGAIN);
        tokio::pin!(again);
        loop {
            tokio::select! {
                Some(ended) = rounds.join_next() => match ended {
                    Ok(Err(_)) | Err(_) if !rounds.is_empty() => {}
                    Ok(result) => return result,
                    Err(panic) => std::panic::resume_unwind(panic.into_panic()),
                },
                () = &mut again => break,
            }
        }
        tracing::info!(face = %face.face, %pair, rounds = rounds.len(), "no target was ready yet; all are dialed again");
    }
}

/// Asks the server of `pair.to` whether it made a key that was shown to `pair.from`.
///
/// # Errors
/// When it couldn't be asked.
async fn verify(face: &Arc<FaceState>, pair: DomainPair, id: String, key: String) -> Result<bool, DialError> {
    let mut reached = dial(face, pair, Goal::Verify { id, key }).await?;
    let Reach::Verified(valid) = reached.milestone else { return Ok(false) };
    // Politely; nothing depends on it.
    reached.machine.close(now(), None);
    while let Some(step) = reached.machine.poll(now()) {
        if let Step::Send(bytes) = step {
            let _ = reached.transport.send(&bytes).await;
        }
    }
    let _ = reached.transport.shutdown().await;
    Ok(valid)
}

/// Asks the authoritative server of a key's `pair.from` whether it made the key (XEP-0220 §2.3).
pub async fn authoritative(face: Arc<FaceState>, question: KeyToVerify) -> Answer {
    let KeyToVerify { pair, id, key } = question;
    let verdict = match verify(&face, pair.reversed(), id, key).await {
        Ok(true) => KeyVerdict::Valid,
        Ok(false) => KeyVerdict::Invalid,
        Err(error) => KeyVerdict::Unreachable(error.to_string()),
    };
    Answer::Key { pair, verdict }
}

async fn dial(face: &Arc<FaceState>, pair: DomainPair, goal: Goal) -> Result<Reached, DialError> {
    let policy = face.policy.load_full();
    // Policy before any look-up.
    let (terms, next_hop) = policy.way_out(face.face, &pair)?;
    let mut targets = match next_hop {
        Some(hop) => face.resolver.host(&hop.host, hop.port, hop.direct_tls).await?,
        None => {
            let guard = |address| if face.guards_targets() { may_dial(address, &face.own_addresses) } else { Ok(()) };
            face.resolver.targets(&pair.to, &guard).await?
        }
    };
    if terms.tls == Need::NotSupported {
        targets.retain(|target| !target.direct_tls);
        if targets.is_empty() {
            return Err(DialError::OnlyDirectTls(pair.to));
        }
    }
    face.dead(|dead, now| dead.sort(&mut targets, now));
    let attempt = |target: Target, milestone: Milestone| {
        let (face, pair, goal) = (face.clone(), pair.clone(), goal.clone());
        async move {
            // The machine's own clock ends a silent stream; this one also a silent TLS handshake.
            let most = face.settings.stream.establish;
            let attempt = attempt(&face, pair, goal, terms, &target, milestone);
            let result = tokio::time::timeout(most, attempt).await.unwrap_or(Err(AttemptError::Late(most)));
            face.dead(|dead, now| match &result {
                Ok(_) => dead.succeeded(&target.address),
                Err(error) if error.is_silence() => dead.failed(target.address, now),
                Err(_) => {}
            });
            result
        }
    };
    // Whoever keeps us waiting comes last in the next round, and for other pairs, unless he succeeds after all.
    let overtaken = |target: &Target| face.dead(|dead, now| dead.failed(target.address, now));
    race(targets, face.settings.pace.clone(), attempt, overtaken).await.map_err(DialError::Nobody)
}

async fn attempt(
    face: &Arc<FaceState>,
    pair: DomainPair,
    goal: Goal,
    terms: Terms,
    target: &Target,
    milestone: Milestone,
) -> Result<Reached, AttemptError> {
    let connected = face.network.connect(face, &pair, target, &milestone).await?;
    face.turns.take(set_up(face, pair, goal, terms, target, connected)).await
}

async fn set_up(
    face: &Arc<FaceState>,
    pair: DomainPair,
    goal: Goal,
    terms: Terms,
    target: &Target,
    Connected { mut transport, secured }: Connected,
) -> Result<Reached, AttemptError> {
    let secure = secured.is_some();
    let mut tls = secured.as_ref().map(ToString::to_string);
    let own_certificate = secured.as_ref().is_some_and(|secured| secured.own_certificate);
    let mut chain = secured.map(|secured| secured.chain).unwrap_or_default();
    let settings = face.settings.stream.clone();
    let mut machine = Dialed::new(now(), pair.clone(), goal, terms, secure, own_certificate, settings);
    loop {
        while let Some(step) = machine.poll(now()) {
            match step {
                Step::Send(bytes) => transport.send(&bytes).await?,
                Step::StartTls => {
                    let (secured, established) =
                        face.tls.dial(transport.into_plain()?, &pair.from, &pair.to, false).await?;
                    let answer = Answer::TlsUp {
                        certificate: !established.chain.is_empty(),
                        own_certificate: established.own_certificate,
                    };
                    tls = Some(established.to_string());
                    chain = established.chain;
                    transport = Transport::Tls(Box::new(secured.into()));
                    machine.answer(now(), answer);
                }
                Step::Ask(question) => {
                    if let Ok(answer) = face.answer(question, &chain) {
                        machine.answer(now(), answer);
                    }
                }
                Step::Ready { method } => {
                    let (target, milestone) = (target.clone(), Reach::Ready(method));
                    return Ok(Reached { machine, transport, target, tls, milestone });
                }
                Step::Verified { valid } => {
                    let (target, milestone) = (target.clone(), Reach::Verified(valid));
                    return Ok(Reached { machine, transport, target, tls, milestone });
                }
                Step::End(end) => {
                    let _ = transport.shutdown().await;
                    return Err(AttemptError::Ended(end));
                }
                // Only accepted streams and those that look take these.
                Step::Looked
                | Step::Taken { .. }
                | Step::Authenticated { .. }
                | Step::Stanza { .. }
                | Step::Return { .. }
                | Step::Discard { .. } => {}
            }
        }
        let deadline = machine.deadline().unwrap_or_else(now);
        match tokio::time::timeout_at(deadline.into(), transport.receive(machine.input())).await {
            Ok(Ok(0)) => machine.eof(),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => machine.tick(now()),
        }
    }
}
