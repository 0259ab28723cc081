//! What a controller and a member's agent say to each other: one JSON line each, and the agent begins.

use serde::{Deserialize, Serialize};

use crate::local;

pub mod content;
mod digest;
mod head;
pub mod view;

pub use digest::{Digest, DigestError};
pub use head::{Head, Route};

/// The version of these words. Both ends say theirs; a controller that is newer goes by the member's.
pub const WORDS: u16 = 1;
/// A line has at most so many bytes, its end included; a snapshot is one line.
pub const LINE: usize = 16 * 1024 * 1024;
/// Where an agent listens, unless the topology says otherwise.
pub const PORT: u16 = 5271;

/// What a member is, as its certificate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// An edge server.
    Edge,
    /// A gateway.
    Gateway,
    /// A DNS server.
    Dns,
    /// Who only looks at edge servers from outside.
    Witness,
    /// A controller: it dials the others, and nobody dials it.
    Controller,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 5] = [Role::Edge, Role::Gateway, Role::Dns, Role::Witness, Role::Controller];

    /// The word for it, in certificates too.
    pub fn word(self) -> &'static str {
        match self {
            Role::Edge => "edge",
            Role::Gateway => "gateway",
            Role::Dns => "dns",
            Role::Witness => "witness",
            Role::Controller => "controller",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// How a member stands: said by its agent first of all, and whenever it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of the words that it knows ([`WORDS`]).
    pub words: u16,
    /// Its FQDN.
    pub fqdn: String,
    /// What it is.
    pub role: Role,
    /// Its program, such as `fedge-edge`.
    pub program: String,
    /// The program's version.
    pub version: String,
    /// The snapshot that it goes by, if it has one.
    pub have: Option<Head>,
    /// Whether it does go by it: one that was kept may have turned out not to work.
    pub applied: bool,
    /// Whether a controller has said since its start that the snapshot's route is the route.
    pub confirmed: bool,
    /// Its certificate, once it is enrolled.
    pub certificate: Option<Validity>,
    /// What somebody should look at, in sentences.
    pub concerns: Vec<String>,
}

/// For how long a certificate is good, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// From when on.
    pub not_before: u64,
    /// Until when.
    pub not_after: u64,
}

impl Validity {
    /// Whether two thirds of it are over, so that a new certificate is due.
    pub fn is_due(self, now: u64) -> bool {
        let life = self.not_after.saturating_sub(self.not_before);
        now >= self.not_after.saturating_sub(life / 3)
    }
}

/// A member's certificates, with what it knows others by. No key is among them: it never leaves its machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// For its agent: whoever dials there checks it.
    pub agent: Issued,
    /// For the trunk, where it has a part in it.
    pub trunk: Option<Issued>,
}

/// A certificate and the CA that others of its kind have theirs of, both PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The member's.
    pub certificate: String,
    /// The CA's.
    pub ca: String,
}

/// What a controller asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// How do you stand? One [`Reply::Hello`].
    Hello,
    /// Go by this: one [`Reply::Applied`], or [`Reply::Missing`].
    Snapshot(Snapshot),
    /// The route is still this: one [`Reply::Applied`].
    Confirm {
        /// Which installation's.
        installation: String,
        /// The route.
        route: Route,
    },
    /// Ask for a certificate: one [`Reply::SigningRequest`].
    SigningRequest,
    /// Here is what you asked for: one [`Reply::Installed`].
    Credentials(Credentials),
    /// You belong to this installation from now on, and go by this: one [`Reply::Applied`]. Only who was told on its
    /// own machine to wait for it takes it.
    Enrol {
        /// Its certificates.
        credentials: Credentials,
        /// Its first snapshot, whole.
        snapshot: Snapshot,
    },
    /// As a local command would ask: [`Reply::Local`] each, then [`Reply::End`].
    Local {
        /// What it would ask.
        request: local::Request,
    },
}

/// A snapshot of what a member needs to know of topology, policy, secrets and route.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Which it is.
    pub head: Head,
    /// What is in it, as [`content`] writes it; nothing for a member that has this content already.
    pub content: Option<String>,
}

// There are secrets in the content.
impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.content.as_ref().map(String::len);
        f.debug_struct("Snapshot").field("head", &self.head).field("content_bytes", &bytes).finish()
    }
}

/// What an agent answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// How it stands.
    Hello(Hello),
    /// It is on disk, and the member goes by it.
    Applied {
        /// The version of the topology.
        version: u64,
        /// The route's epoch.
        epoch: u64,
    },
    /// It doesn't have the content of this snapshot; send it whole.
    Missing {
        /// What it doesn't have.
        content: Digest,
    },
    /// Its request for a certificate.
    SigningRequest {
        /// PKCS #10, PEM.
        pem: String,
    },
    /// The certificate is used from the next connection on.
    Installed(Validity),
    /// What a local command would have got.
    Local {
        /// That.
        reply: local::Reply,
    },
    /// Nothing more comes to the last request.
    End,
    /// It can't be done; everything is as it was.
    Refused {
        /// What was seen, what was expected, what to do.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_certificate_is_due_when_two_thirds_are_over() {
        let validity = Validity { not_before: 1000, not_after: 1300 };
        assert!(!validity.is_due(1000) && !validity.is_due(1199));
        assert!(validity.is_due(1200) && validity.is_due(5000));
        assert!(Validity { not_before: 9, not_after: 3 }.is_due(4), "upside down");
    }

    #[test]
    fn a_snapshot_shows_nothing_of_its_content() {
        let head = Head::testing(7, 3, "pool1.contoso.test");
        let shown = format!("{:?}", Request::Snapshot(Snapshot { head, content: Some("hush".into()) }));
        assert!(!shown.contains("hush") && shown.contains("content_bytes: Some(4)"), "{shown}");
    }

    #[test]
    fn what_is_said_is_one_line_that_can_be_read_back() {
        let head = Head::testing(7, 3, "pool1.contoso.test");
        let local = Request::Local { request: local::Request::Close { stream: 4 } };
        let whole = Request::Snapshot(Snapshot { head: head.clone(), content: Some("{\"a\":\n\"b\"}".into()) });
        let confirm = Request::Confirm { installation: "i".into(), route: head.route.clone() };
        for request in [local, whole, confirm, Request::Hello, Request::SigningRequest] {
            let line = serde_json::to_string(&request).expect("it can be written");
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(serde_json::from_str::<Request>(&line).expect(&line), request);
        }
    }
}
