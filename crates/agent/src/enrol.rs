//! Enrolment of a member: it waits for the controller whose CA it was told, and becomes one of its installation.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::agent::{Credentials, Digest, Hello, Reply, Request, Role, WORDS};
use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::credentials::{self, CredentialsError, Own};
use crate::door::{self, Visitor};
use crate::lines::LineError;
use crate::state::{Kept, State, StateError};
use crate::succession;
use crate::tls;

/// A controller that enrols has everything ready.
const SILENCE: Duration = Duration::from_secs(30);

/// Why a member can't be enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The state folder.
    #[error("{0}")]
    State(#[from] StateError),
    /// Its key, or a name that can't be.
    #[error("{0}")]
    Credentials(#[from] CredentialsError),
    /// Nobody can come.
    #[error("there is no address on which a controller could come; name this machine's internal address")]
    NoDoor,
}

/// A member that waits for its controller. It has the state folder for itself.
pub struct Waiting {
    program: (&'static str, &'static str),
    own: Own,
    ca: Digest,
    folder: PathBuf,
    state: State,
    have: Option<Kept>,
}

/// What to do at a controller's request.
#[derive(Debug)]
enum Step {
    /// Answer.
    Say(Box<Reply>),
    /// Become a member with these, and answer with how that went.
    Take(Box<(Credentials, Kept)>),
}

impl Waiting {
    /// Opens the state folder, and makes the key there unless there is one. `ca` is the fingerprint of the
    /// controllers' CA.
    ///
    /// # Errors
    /// When the folder can't be used.
    pub fn open(
        folder: &Path,
        fqdn: &str,
        role: Role,
        ca: Digest,
        program: (&'static str, &'static str),
    ) -> Result<Waiting, EnrolError> {
        let (state, found) = State::open(folder)?;
        let own = Own::open(folder, fqdn, role)?;
        Ok(Waiting { program, own, ca, folder: folder.to_owned(), state, have: found.snapshot })
    }

    /// The hash of the member's key, which its controller is told.
    pub fn fingerprint(&self) -> Digest {
        self.own.fingerprint()
    }

    /// The command with which the controller's side enrols this member.
    pub fn command(&self) -> String {
        format!("fedge enrol {} {}", self.own.fqdn, self.fingerprint())
    }

    /// Waits on the listeners until a controller has enrolled this member. Everybody else is sent away.
    ///
    /// # Errors
    /// When nobody can come at all.
    pub async fn enrolled(mut self, listeners: Vec<TcpListener>) -> Result<Kept, EnrolError> {
        let config = Arc::new(ArcSwap::from_pointee(tls::waiting(&self.own, self.ca)?));
        let (sender, mut visitors) = mpsc::channel(1);
        let _doors = door::open(listeners, &config, &sender);
        drop(sender);
        while let Some(mut visitor) = visitors.recv().await {
            let (controller, address) = (visitor.controller.clone(), visitor.address);
            let ended = self.session(&mut visitor).await;
            visitor.lines.close().await;
            match ended {
                Ok(kept) => {
                    tracing::info!(controller, %address, installation = kept.head.installation, "enrolled");
                    return Ok(kept);
                }
                Err(reason) => tracing::warn!(controller, %address, %reason, "a controller left without enrolling"),
            }
        }
        Err(EnrolError::NoDoor)
    }

    async fn session(&mut self, visitor: &mut Visitor) -> Result<Kept, LineError> {
        visitor.lines.write(&Reply::Hello(self.hello())).await?;
        loop {
            let reply = match visitor.lines.read(SILENCE).await {
                Ok(request) => match self.step(request) {
                    Step::Say(reply) => *reply,
                    Step::Take(given) => match self.take(&given.0, &given.1) {
                        Ok(()) => {
                            let (version, epoch) = (given.1.head.version, given.1.head.route.epoch);
                            // Whether the controller hears it or not: it finds an enrolled member next time.
                            let _ = visitor.lines.write(&Reply::Applied { version, epoch }).await;
                            return Ok(given.1);
                        }
                        Err(error) => Reply::Refused { why: error.to_string() },
                    },
                },
                Err(LineError::Unreadable(error)) => Reply::Refused { why: LineError::Unreadable(error).to_string() },
                Err(error) => return Err(error),
            };
            visitor.lines.write(&reply).await?;
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            words: WORDS,
            fqdn: self.own.fqdn.clone(),
            role: self.own.role,
            program: self.program.0.to_owned(),
            version: self.program.1.to_owned(),
            have: self.have.as_ref().map(|have| have.head.clone()),
            applied: false,
            confirmed: false,
            certificate: None,
            concerns: Vec::new(),
        }
    }

    /// Decides, and changes nothing.
    fn step(&self, request: Request) -> Step {
        let say = |reply| Step::Say(Box::new(reply));
        let refused = |why: String| say(Reply::Refused { why });
        match request {
            Request::Hello => say(Reply::Hello(self.hello())),
            Request::SigningRequest => match self.own.signing_request() {
                Ok(pem) => say(Reply::SigningRequest { pem }),
                Err(error) => refused(error.to_string()),
            },
            Request::Enrol { credentials, snapshot } => {
                if let Err(error) = self.own.check(&credentials) {
                    return refused(error.to_string());
                }
                let have = self.have.as_ref();
                if let Err(refusal) = succession::accept(&self.own.fqdn, have.map(|have| &have.head), &snapshot.head) {
                    return refused(refusal.to_string());
                }
                match Kept::of(snapshot, have) {
                    Ok(kept) => Step::Take(Box::new((credentials, kept))),
                    Err(incomplete) => refused(incomplete.to_string()),
                }
            }
            Request::Snapshot(_) | Request::Confirm { .. } | Request::Credentials(_) | Request::Local { .. } => {
                refused("this member isn't enrolled yet; `fedge enrol` does that".to_owned())
            }
        }
    }

    /// The credentials last: who has them is enrolled.
    fn take(&mut self, credentials: &Credentials, kept: &Kept) -> Result<(), EnrolError> {
        self.state.keep(kept)?;
        credentials::install(&self.folder, credentials)?;
        Ok(())
    }
}
