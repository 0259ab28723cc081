//! The two faces of fedge, and the two directions in which stanzas cross it.

use std::fmt;

/// Where a stream is accepted or dialed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Face {
    /// Towards partners.
    External,
    /// Towards our own XMPP servers.
    Internal,
}

impl Face {
    /// The face on which what came in here goes out.
    pub fn opposite(self) -> Face {
        match self {
            Face::External => Face::Internal,
            Face::Internal => Face::External,
        }
    }
}

impl fmt::Display for Face {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Face::External => "external",
            Face::Internal => "internal",
        })
    }
}

/// Which way a domain pair crosses fedge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flow {
    /// From a local domain to a partner: accepted on the internal face, dialed on the external.
    Outbound,
    /// From a partner to a local domain: accepted on the external face, dialed on the internal.
    Inbound,
}

impl Flow {
    /// The face on which such a pair's stanzas come in.
    pub fn accepted_on(self) -> Face {
        match self {
            Flow::Outbound => Face::Internal,
            Flow::Inbound => Face::External,
        }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flow::Outbound => "outbound",
            Flow::Inbound => "inbound",
        })
    }
}
