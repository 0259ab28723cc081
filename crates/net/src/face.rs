//! One face at work: what its streams share, and the answers to their questions.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;
use rustls::pki_types::CertificateDer;
use topology::face::Face;
use topology::policy::Policy;
use xmpp::dialback::Secrets;
use xmpp::domain::{Domain, DomainPair};
use xmpp::stream::{self, Answer, Question};

use crate::clock::now;
use crate::crypto::Sha2;
use crate::dead::Dead;
use crate::hold::Limits;
use crate::holder::Holder;
use crate::judge::Judge;
use crate::network::Network;
use crate::race::Pace;
use crate::resolve::Resolver;
use crate::streams::Streams;
use crate::tls::Tls;
use crate::turns::Turns;

/// The times and sizes of a face.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Those of its streams.
    pub stream: stream::Settings,
    /// How targets are tried.
    pub pace: Pace,
    /// What may be held, and for how long.
    pub hold: Limits,
    /// Accepted streams that may be open at once; what comes beyond is refused.
    pub streams: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            stream: stream::Settings::default(),
            pace: Pace::default(),
            hold: Limits::default(),
            streams: 15_000,
        }
    }
}

/// What the streams of one face share. Policy, judge and secrets can be replaced while they run.
pub struct FaceState {
    /// Which face.
    pub face: Face,
    /// Times and sizes.
    pub settings: Settings,
    /// Who may speak to whom.
    pub policy: Arc<ArcSwap<Policy>>,
    /// Whose certificates count.
    pub judge: Arc<ArcSwap<Judge>>,
    /// What dialback keys are made with.
    pub secrets: Arc<ArcSwap<Secrets>>,
    /// TLS with this face's own certificates.
    pub tls: Tls,
    /// In which streams are set up on both faces.
    pub turns: Turns,
    /// Where domains are.
    pub resolver: Resolver,
    /// By which it reaches them.
    pub network: Arc<dyn Network>,
    /// Our own addresses, never dialed for an outsider.
    pub own_addresses: Vec<IpAddr>,
    /// Whether partners may lie at private or loopback addresses: laboratories only.
    pub private_targets: bool,
    /// The streams that are open, on both faces.
    pub streams: Arc<Streams>,
    /// What came in here and has no outcome yet.
    pub holder: Holder,
    /// Targets that failed lately.
    pub dead: Mutex<Dead>,
}

impl FaceState {
    /// The answer to a question that can be answered at once. `chain` is what the peer showed in
    /// TLS. Nothing for [`Question::VerifyKey`], which takes a stream of its own.
    pub fn answer(&self, question: Question, chain: &[CertificateDer<'static>]) -> Result<Answer, KeyToVerify> {
        Ok(match question {
            Question::Arrive { from, to, .. } => {
                let arrived = self.policy.load().arrive(self.face, from.as_ref(), &to);
                Answer::Arrive(arrived.map_err(|refusal| refusal.to_stream_error()))
            }
            Question::Admit { pair, method, secure } => {
                let policy = self.policy.load();
                let admitted = policy.admit_on(self.face, &pair).map(|permit| permit.terms());
                let admitted = admitted.map_err(|refusal| refusal.to_stream_error());
                Answer::Admit(pair, admitted.and_then(|terms| terms.admits(method, secure)))
            }
            Question::Judge { domain } => Answer::Judged(self.judge(chain, &domain)),
            Question::CheckKey { pair, id, key } => {
                let may = self.policy.load().way_out(self.face, &pair).is_ok();
                let valid = may && self.secrets.load().made(&Sha2, &pair, &id, &key);
                Answer::CheckedKey { pair, id, valid }
            }
            Question::MakeKey { pair, id } => Answer::MadeKey(self.secrets.load().key(&Sha2, &pair, &id)),
            Question::VerifyKey { pair, id, key } => return Err(KeyToVerify { pair, id, key }),
        })
    }

    fn judge(&self, chain: &[CertificateDer<'static>], domain: &Domain) -> Result<(), String> {
        self.judge.load().judge(chain, domain, SystemTime::now()).map_err(|fault| fault.to_string())
    }

    /// Whether DNS is not believed when it leads to where no outsider can be.
    pub fn guards_targets(&self) -> bool {
        self.face == Face::External && !self.private_targets
    }

    /// The targets that failed lately, to look at or change.
    pub fn dead<T>(&self, with: impl FnOnce(&mut Dead, Instant) -> T) -> T {
        with(&mut self.dead.lock().unwrap_or_else(PoisonError::into_inner), now())
    }
}

/// A key that was shown to us, and whom to ask about it: the server of `pair.from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyToVerify {
    /// Who wants to speak to whom.
    pub pair: DomainPair,
    /// The id of the stream on which it was shown.
    pub id: String,
    /// The key.
    pub key: String,
}
