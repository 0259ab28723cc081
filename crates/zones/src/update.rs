//! A zone brought from one mark to the next, in one step, by a name server that takes updates.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use tokio::time::timeout;
use topology::records::{Change, Mark, RecordSet};

use crate::ask::{Manner, exchange};
use crate::key::Key;
use crate::message;
use crate::observe::{Marked, mark};
use crate::records::RecordError;
use crate::refusal::{UpdateError, now};

/// For one update and its reply, and for reading back.
const PATIENCE: Duration = Duration::from_secs(5);

/// A zone at the server that takes its updates.
#[derive(Debug, Clone)]
pub struct Primary {
    /// The server.
    pub server: SocketAddr,
    /// The zone, absolute.
    pub zone: String,
    /// What signs.
    pub key: Key,
    /// By how many seconds our clock is taken to be ahead of what it says; a test's.
    pub ahead: i64,
}

/// How a zone came to be as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Updated {
    /// The server said so.
    Done,
    /// Its reply was lost, and reading back showed it.
    ReadBack,
    /// Somebody else had done it already.
    Already,
}

impl Primary {
    /// The server's zone, signed for with this key.
    pub fn new(server: SocketAddr, zone: &str, key: Key) -> Primary {
        Primary { server, zone: zone.to_owned(), key, ahead: 0 }
    }

    /// Makes the changes, where the zone still has the mark `before`, and gives it the mark `after`: all of it or nothing (RFC 2136
    /// §3.7), as long as it fits into one message. Of more, what comes first is made first, and the mark last.
    ///
    /// # Errors
    /// Why it isn't so. Whether an update was made whose reply got lost is read back.
    pub async fn update(
        &self,
        ttl: u32,
        before: Option<&Mark>,
        after: &Mark,
        changes: &[Change],
    ) -> Result<Updated, UpdateError> {
        let mut updated = Updated::Done;
        for message in message::messages(&self.zone, ttl, before, after, changes)? {
            updated = match self.send(message).await {
                Ok(()) => updated,
                Err(Sending::Said(UpdateError::Changed { zone })) => {
                    return match self.mark().await? {
                        Marked::By(found) if found == *after => Ok(Updated::Already),
                        found if found.mark() == before && !matches!(found, Marked::Text(_)) => {
                            Err(UpdateError::Changed { zone })
                        }
                        found => Err(overtaken(zone, before, &found)),
                    };
                }
                Err(Sending::Said(error)) => return Err(error),
                // It may have been made, or not: the mark knows.
                Err(Sending::Lost(error)) => match self.mark().await? {
                    Marked::By(found) if found == *after => Updated::ReadBack,
                    _ => return Err(UpdateError::unreached(self.server, &self.zone, &error)),
                },
            };
        }
        Ok(updated)
    }

    /// Makes changes of sets that have to be what they were, whatever the mark says. What racing controllers are told apart by is
    /// tried with this.
    ///
    /// # Errors
    /// As [`Primary::update`]; nothing is read back.
    pub async fn swap(&self, changes: &[Change]) -> Result<(), UpdateError> {
        self.only(message::swap(&self.zone, changes)?).await
    }

    /// Whether the key may change what it will have to, found out without changing anything: then no secondary is told, and the
    /// change that follows isn't held back. `mark` is what was seen, `there` what stands at our names, `wanted` what should.
    ///
    /// # Errors
    /// Why it may not, or isn't known to.
    pub async fn writable(
        &self,
        mark: Option<&Mark>,
        there: &[RecordSet],
        wanted: &[RecordSet],
    ) -> Result<(), UpdateError> {
        self.only(message::nothing(&self.zone, mark, there.iter().chain(wanted))?).await
    }

    async fn only(&self, message: Message) -> Result<(), UpdateError> {
        match self.send(message).await {
            Ok(()) => Ok(()),
            Err(Sending::Said(error)) => Err(error),
            Err(Sending::Lost(error)) => Err(UpdateError::unreached(self.server, &self.zone, &error)),
        }
    }

    async fn mark(&self) -> Result<Marked, UpdateError> {
        Ok(mark(self.server, &self.zone, Manner::Authority, PATIENCE).await?)
    }

    /// Signs and sends one update, and takes the server's word for it only if it is signed.
    async fn send(&self, mut message: Message) -> Result<(), Sending> {
        let ours = now().saturating_add_signed(self.ahead);
        let unsignable = |_| Sending::Said(RecordError("an update".to_owned()).into());
        let (signature, verifier) = self.key.signer().sign_message(&message, ours).map_err(unsignable)?;
        message.set_signature(signature);
        let bytes = message.to_vec().map_err(unsignable)?;
        let reply = timeout(PATIENCE, exchange(self.server, &bytes)).await;
        let reply = reply.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(Sending::Lost)?;
        let garbage = |_| Sending::Lost(io::ErrorKind::InvalidData.into());
        let said = Message::from_vec(&reply).map_err(garbage)?;
        if said.id != message.id {
            return Err(Sending::Lost(io::ErrorKind::InvalidData.into()));
        }
        let (zone, key) = (&self.zone, &self.key.name);
        if said.metadata.response_code != ResponseCode::NoError {
            return Err(Sending::Said(UpdateError::read(&said, self.server, zone, key, ours)));
        }
        let proven = verifier.is_some_and(|mut verifier| verifier.verify(&reply).is_ok());
        let unproven = || UpdateError::Unproven { server: self.server, zone: zone.clone(), key: key.clone() };
        if proven { Ok(()) } else { Err(Sending::Said(unproven())) }
    }
}

/// How sending fails.
enum Sending {
    /// The server says so.
    Said(UpdateError),
    /// Nobody says anything.
    Lost(io::Error),
}

fn overtaken(zone: String, before: Option<&Mark>, found: &Marked) -> UpdateError {
    let expected = before.map_or_else(|| "no mark".to_owned(), |mark| format!("the mark `{mark}`"));
    UpdateError::Overtaken { zone, expected, found: found.to_string() }
}
