//! How an update fails, each way with what was seen and what to do.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::tsig::TsigError;

use crate::ask::AskError;
use crate::records::RecordError;

/// Why a zone isn't updated.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The zone isn't as it was when it was looked at.
    #[error(
        "{zone} has changed since it was looked at: where {expected} was, {found} is now; look again (`fedge dns plan`)"
    )]
    Overtaken {
        /// The zone.
        zone: String,
        /// The mark that was there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Names that should be ours aren't as they were when they were looked at.
    #[error("somebody has changed names in {zone} since they were looked at; look again (`fedge dns plan`)")]
    Changed {
        /// The zone.
        zone: String,
    },
    /// REFUSED.
    #[error(
        "{server} refuses the update of {zone} with the key {key} (REFUSED): its policy must let that key change our names \
         and `_epoch.{zone}`; PowerDNS says this to another secret or clock, too (docs/dns-servers.md)"
    )]
    Refused {
        /// The server.
        server: SocketAddr,
        /// The zone.
        zone: String,
        /// The key.
        key: String,
    },
    /// NOTAUTH, BADKEY.
    #[error(
        "{server} doesn't know the key {key} (BADKEY): put the key file into its configuration, under the same name"
    )]
    BadKey {
        /// The server.
        server: SocketAddr,
        /// The key.
        key: String,
    },
    /// NOTAUTH, BADSIG.
    #[error("{server} has another secret or algorithm for the key {key} (BADSIG): bring the same key file to both")]
    BadSignature {
        /// The server.
        server: SocketAddr,
        /// The key.
        key: String,
    },
    /// NOTAUTH, BADTIME.
    #[error(
        "the clock of {server} and ours are too far apart (BADTIME): {}; 300 s are allowed, so set the wrong one right (NTP)",
        apart(*.theirs, *.ours)
    )]
    BadTime {
        /// The server.
        server: SocketAddr,
        /// Its clock: seconds since 1970, where it said so.
        theirs: Option<u64>,
        /// Ours.
        ours: u64,
    },
    /// NOTAUTH or NOTZONE.
    #[error(
        "{server} doesn't take updates of {zone} ({code}): name the server that does as `primary`, the zone as it has it, and \
         let the key {key} update it"
    )]
    NotThere {
        /// The server.
        server: SocketAddr,
        /// The zone.
        zone: String,
        /// The key.
        key: String,
        /// What it said.
        code: ResponseCode,
    },
    /// SERVFAIL.
    #[error(
        "{server} failed with the update of {zone} (SERVFAIL), and didn't apply it: its log says why; it is tried again"
    )]
    Failed {
        /// The server.
        server: SocketAddr,
        /// The zone.
        zone: String,
    },
    /// Anything else.
    #[error("{server} answers the update of {zone} with {code}; does it take updates (RFC 2136)?")]
    Other {
        /// The server.
        server: SocketAddr,
        /// The zone.
        zone: String,
        /// What it said.
        code: ResponseCode,
    },
    /// It says that it is done, and the signature doesn't prove that it was this server.
    #[error("an answer says that {server} updated {zone}, and isn't signed with the key {key}; is somebody between?")]
    Unproven {
        /// The server.
        server: SocketAddr,
        /// The zone.
        zone: String,
        /// The key.
        key: String,
    },
    /// It isn't reached, or says nothing.
    #[error("{server} isn't reached for the update of {zone}: {why}; TCP port {} must be open from here", .server.port())]
    Unreached {
        /// The server.
        server: SocketAddr,
        /// The zone.
        zone: String,
        /// Why.
        why: String,
    },
    /// What is there can't be read back.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// A record can't be.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl UpdateError {
    /// Whether it may be otherwise in a moment without anybody doing something.
    pub fn passes(&self) -> bool {
        matches!(self, UpdateError::Failed { .. } | UpdateError::Unreached { .. } | UpdateError::Ask(_))
    }

    pub(crate) fn unreached(server: SocketAddr, zone: &str, error: &io::Error) -> UpdateError {
        UpdateError::Unreached { server, zone: zone.to_owned(), why: error.to_string() }
    }

    /// What a reply that isn't NOERROR means. Servers needn't sign those, so nothing is read from them but why.
    pub(crate) fn read(reply: &Message, server: SocketAddr, zone: &str, key: &str, ours: u64) -> UpdateError {
        let (zone, key) = (zone.to_owned(), key.to_owned());
        let code = reply.metadata.response_code;
        let tsig = reply.signature.as_ref().map(|record| &record.data);
        match (code, tsig.and_then(|tsig| tsig.error)) {
            (_, Some(TsigError::BadKey)) => UpdateError::BadKey { server, key },
            (_, Some(TsigError::BadSig | TsigError::BadTrunc)) => UpdateError::BadSignature { server, key },
            (_, Some(TsigError::BadTime)) => {
                UpdateError::BadTime { server, theirs: tsig.and_then(|tsig| clock(&tsig.other)), ours }
            }
            (ResponseCode::Refused, _) => UpdateError::Refused { server, zone, key },
            (ResponseCode::NotAuth | ResponseCode::NotZone, _) => UpdateError::NotThere { server, zone, key, code },
            (ResponseCode::ServFail, _) => UpdateError::Failed { server, zone },
            (ResponseCode::NXRRSet | ResponseCode::YXRRSet | ResponseCode::NXDomain | ResponseCode::YXDomain, _) => {
                UpdateError::Changed { zone }
            }
            (code, _) => UpdateError::Other { server, zone, code },
        }
    }
}

/// The server's clock in a reply (RFC 8945 §5.2.3): 48 bits.
fn clock(other: &[u8]) -> Option<u64> {
    let bytes: [u8; 6] = other.try_into().ok()?;
    Some(bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

fn apart(theirs: Option<u64>, ours: u64) -> String {
    match theirs {
        Some(theirs) if theirs >= ours => format!("ours is {} s behind", theirs - ours),
        Some(theirs) => format!("ours is {} s ahead", ours - theirs),
        None => "it doesn't say how far".to_owned(),
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
