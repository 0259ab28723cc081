//! Why there is nowhere to dial, in sentences for whoever looks after fedge or talks to the partner.

use topology::address::Forbidden;
use xmpp::domain::Domain;

/// Why there is nowhere to dial.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The domain says so itself.
    #[error("{0} says in DNS that it does not federate (SRV target `.`)")]
    NotOffered(Domain),
    /// Neither SRV records nor an address.
    #[error(
        "DNS knows no XMPP server of {0}, neither by SRV records nor by an address; if there is one all the same, give this partner a `next_hop`"
    )]
    NoServer(Domain),
    /// SRV records, of which none can be used.
    #[error("the SRV records of {0} name port 0 only; whoever looks after its DNS has to name the real port")]
    NoPort(Domain),
    /// SRV records or a next hop, but no address of any host that they name.
    #[error("DNS has no address of {hosts}, which should serve {of}; whoever looks after that DNS has to add one")]
    NoAddress {
        /// The hosts.
        hosts: String,
        /// The domain, or what else they are for.
        of: String,
    },
    /// Addresses, but none that may be dialed.
    #[error("DNS has no address of {of} that may be dialed: {why}")]
    Forbidden {
        /// The domain.
        of: Domain,
        /// Why one of them may not.
        why: Forbidden,
    },
    /// DNS didn't answer, or with an error.
    #[error(
        "DNS could not be asked for {name}: {why}; it will be asked again, and if it goes on like this, look at the `resolvers`"
    )]
    Failed {
        /// For what.
        name: String,
        /// What went wrong.
        why: String,
    },
}

impl ResolveError {
    /// Whether asking again within seconds is pointless.
    pub fn is_lasting(&self) -> bool {
        !matches!(self, ResolveError::Failed { .. })
    }
}
