//! What a prober sees, before anything is decided about it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use api::probe::Name;
use topology::address::Forbidden;
use xmpp::domain::Domain;
use xmpp::stream::{End, StreamError, Terms};

use crate::tls::TlsError;

/// Bytes of a peer's first words that are kept, to tell which protocol it speaks.
pub(super) const FIRST: usize = 256;

/// Whose server is probed: that decides who can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// A partner's.
    Partner,
    /// An edge server of ours, as it is seen from outside.
    Own,
    /// A server of ours, behind the gateway.
    NextHop,
}

/// What has to be known to judge what was seen.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) to: Domain,
    /// As whom it is spoken; nobody where it is only looked.
    pub(super) from: Option<Domain>,
    pub(super) whose: Whose,
    pub(super) address: SocketAddr,
    pub(super) direct_tls: bool,
    /// What is demanded of the stream.
    pub(super) terms: Terms,
    /// Nothing is proven.
    pub(super) looks: bool,
}

/// Why a target wasn't brought further.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It isn't dialed.
    Forbidden(Forbidden),
    /// The connection led back to this machine.
    Own,
    /// The connection couldn't be made, or broke.
    Io(io::Error),
    /// Nothing came for so long.
    Silent(Duration),
    /// The stream ended, and after these first words of the peer.
    Ended(End, Vec<u8>),
    /// TLS failed.
    Tls(TlsError),
}

/// What is said of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) verdict: api::probe::Verdict,
    pub(super) seen: String,
    pub(super) cause: Option<String>,
    pub(super) fix: Option<String>,
}

impl Finding {
    pub(super) fn of(verdict: api::probe::Verdict, seen: impl Into<String>) -> Finding {
        Finding { verdict, seen: seen.into(), cause: None, fix: None }
    }

    pub(super) fn good(seen: impl Into<String>) -> Finding {
        Finding::of(api::probe::Verdict::Good, seen)
    }

    pub(super) fn skipped(seen: impl Into<String>) -> Finding {
        Finding::of(api::probe::Verdict::Skipped, seen)
    }

    pub(super) fn warning(seen: impl Into<String>) -> Finding {
        Finding::of(api::probe::Verdict::Warning, seen)
    }

    pub(super) fn bad(seen: impl Into<String>) -> Finding {
        Finding::of(api::probe::Verdict::Bad, seen)
    }

    #[must_use]
    pub(super) fn because(mut self, cause: impl Into<String>) -> Finding {
        self.cause = Some(cause.into());
        self
    }

    #[must_use]
    pub(super) fn mend(mut self, fix: impl Into<String>) -> Finding {
        self.fix = Some(fix.into());
        self
    }

    /// As a stage that took so long.
    pub(super) fn stage(self, name: Name, took: Duration) -> api::probe::Stage {
        let Finding { verdict, seen, cause, fix } = self;
        api::probe::Stage { name, verdict, seen, cause, fix, ms: milliseconds(took) }
    }
}

pub(super) fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Scene {
    /// What to have done, by whom.
    pub(super) fn have(&self, what: &str) -> String {
        match self.whose {
            Whose::Partner => format!("ask the administrators of {} to {what}", self.to),
            Whose::Own => format!("on the edge server at {}: {what}", self.address.ip()),
            Whose::NextHop => format!("on the server of {}: {what}", self.to),
        }
    }

    /// As whom we speak, in a sentence.
    pub(super) fn us(&self) -> String {
        self.from.as_ref().map_or_else(|| "this fedge".to_owned(), ToString::to_string)
    }
}

/// The stream error by which a peer, or we, ended a stream.
pub(super) fn error(end: &End) -> Option<(&StreamError, bool)> {
    match end {
        End::PeerError(error) => Some((error, true)),
        End::OurError(error) => Some((error, false)),
        _ => None,
    }
}

/// Which protocol these first words are of, where it isn't XMPP between servers.
pub(super) fn protocol(first: &[u8]) -> Option<&'static str> {
    let text = first.trim_ascii_start();
    let begins = |words: &str| text.get(..words.len()).is_some_and(|some| some.eq_ignore_ascii_case(words.as_bytes()));
    let has = |words: &str| text.windows(words.len()).any(|some| some == words.as_bytes());
    match text {
        [0x15 | 0x16, 0x03, ..] => Some("TLS"),
        _ if begins("HTTP/") => Some("HTTP"),
        _ if begins("<!DOCTYPE") || begins("<html") => Some("HTTP"),
        _ if begins("SSH-") => Some("SSH"),
        _ if begins("220") => Some("SMTP or FTP"),
        _ if begins("+OK") => Some("POP3"),
        _ if begins("* OK") => Some("IMAP"),
        _ if has("jabber:client") => Some("XMPP for clients"),
        _ => None,
    }
}
