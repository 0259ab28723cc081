//! `probe`: how far the servers of a domain can be reached from this daemon; asked, bounded, and shown with an exit status.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use api::local::{AskError, Reply, Request, ask};
use api::probe::{self, LONGEST, Probed, Verdict};
use clap::Args;
use net::face::FaceState;
use net::probe::probe as run;
use tokio::sync::{Semaphore, mpsc};
use topology::face::Face;
use xmpp::domain::Domain;

use crate::ask::{AskFailure, Asked};

/// Probes at once. Each opens several connections to others' servers, which shall not be flooded from here.
const AT_ONCE: usize = 4;
/// Looks at named addresses and at next hops at once, which are a connection or two each. A move of the route has them taken,
/// and must not wait for somebody's probes.
const LOOKS: usize = 16;

/// What is said where no face is.
pub(crate) const NO_FACE: &str =
    "there is no face here from which a server could be reached; ask an edge server or a gateway";

/// Something is bad.
const BAD: u8 = 1;
/// It can't be told.
const TROUBLE: u8 = 2;

/// The probes of a daemon.
#[derive(Debug, Clone)]
pub struct Probes {
    whole: Arc<Semaphore>,
    looks: Arc<Semaphore>,
}

impl Default for Probes {
    fn default() -> Probes {
        Probes { whole: Arc::new(Semaphore::new(AT_ONCE)), looks: Arc::new(Semaphore::new(LOOKS)) }
    }
}

impl Probes {
    /// Probes what is asked for, from the face that leads there. There is one answer; whoever leaves ends it.
    pub(crate) fn begin(&self, faces: &[Arc<FaceState>], request: &probe::Request) -> mpsc::Receiver<Reply> {
        let (sender, replies) = mpsc::channel(1);
        let refuse = |why: String| {
            // There is room, and somebody to take it.
            let _ = sender.try_send(Reply::Refused { why });
        };
        let Some(face) = leading(faces, request).cloned() else {
            refuse(NO_FACE.to_owned());
            return replies;
        };
        let looks = request.at.is_some() || face.face == Face::Internal;
        let (room, most) = if looks { (&self.looks, LOOKS) } else { (&self.whole, AT_ONCE) };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            refuse(format!("{most} probes are under way here already; ask again when one of them has ended"));
            return replies;
        };
        let request = request.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let probed = tokio::select! {
                probed = run(&face, &request) => probed,
                () = sender.closed() => return,
            };
            let reply = match probed {
                Ok(probed) => {
                    tracing::info!(to = probed.to, verdict = %probed.verdict, reached = probed.reached, "probed");
                    Reply::Probed(probed)
                }
                Err(error) => Reply::Refused { why: error.to_string() },
            };
            let _ = sender.try_send(reply);
        });
        replies
    }
}

/// From which face it is probed: next hops from the internal one, unless an address is named; everything else from the
/// external one.
fn leading<'a>(faces: &'a [Arc<FaceState>], request: &probe::Request) -> Option<&'a Arc<FaceState>> {
    let is = |wanted| move |face: &&Arc<FaceState>| face.face == wanted;
    let (external, internal) = (faces.iter().find(is(Face::External)), faces.iter().find(is(Face::Internal)));
    let hop = |face: &&Arc<FaceState>| {
        let local = Domain::parse(&request.to).is_ok_and(|to| face.policy.load().local(&to).is_some());
        local && request.at.is_none()
    };
    internal.filter(hop).or(external).or(internal)
}

/// What is probed, on the command line.
#[derive(Debug, Clone, Args)]
pub struct Probe {
    /// The domain.
    domain: String,
    /// Speak as this domain.
    #[arg(long, value_name = "DOMAIN")]
    from: Option<String>,
    /// Look at this address, instead of where DNS or the configuration leads; nothing is proven there.
    #[arg(long, value_name = "ADDRESS:PORT")]
    at: Option<SocketAddr>,
    /// Begin TLS with the first byte at that address.
    #[arg(long, requires = "at")]
    direct_tls: bool,
    /// For how many seconds at most.
    #[arg(long, value_name = "SECONDS", default_value_t = probe::USUAL, value_parser = clap::value_parser!(u64).range(1..=LONGEST))]
    within: u64,
}

impl From<&Probe> for probe::Request {
    fn from(probe: &Probe) -> probe::Request {
        let Probe { domain, from, at, direct_tls, within } = probe.clone();
        probe::Request { to: domain, from, at, also: Vec::new(), direct_tls, seconds: Some(within) }
    }
}

/// Asks, prints the answer, and gives the exit status.
pub fn tell(probe: &Probe, asked: &Asked) -> ExitCode {
    match told(probe, asked) {
        Ok(probed) if probed.verdict == Verdict::Bad => BAD.into(),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            TROUBLE.into()
        }
    }
}

fn told(probe: &Probe, asked: &Asked) -> Result<Probed, AskFailure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let probed = runtime.block_on(async {
        let mut replies = ask(&asked.socket, &Request::Probe(probe.into())).await?;
        match replies.next().await? {
            Some(Reply::Probed(probed)) => Ok(probed),
            Some(Reply::Refused { why }) => Err(AskFailure::Refused(why)),
            Some(_) => Err(AskFailure::Refused("it answered something else than was asked".to_owned())),
            None => Err(AskFailure::Refused("it ended before it answered".to_owned())),
        }
    })?;
    let text = if asked.json {
        serde_json::to_string(&Reply::Probed(probed.clone())).map_err(AskError::from)? + "\n"
    } else {
        probe::table(&probed)
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(probed)
}
