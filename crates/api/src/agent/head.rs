//! What tells one snapshot from another.

use serde::{Deserialize, Serialize};

use super::Digest;

/// Which snapshot it is. Small, so that a changed route needs no more than this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The id of the installation, drawn when its store was made.
    pub installation: String,
    /// The FQDN of the member that it is for.
    pub member: String,
    /// The version of the topology. It only grows.
    pub version: u64,
    /// The hash of the topology document as published: what tells two topologies of one version apart.
    pub topology: Digest,
    /// The federation route.
    pub route: Route,
    /// The hash of the snapshot's content.
    pub content: Digest,
}

/// The federation route, as far as members need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// It grows by one with every change of the route.
    pub epoch: u64,
    /// The FQDN of the pool that carries it.
    pub pool: String,
}

#[cfg(test)]
impl Head {
    pub(super) fn testing(version: u64, epoch: u64, pool: &str) -> Head {
        Head {
            installation: "i".into(),
            member: "edge1.contoso.test".into(),
            version,
            topology: Digest([1; 32]),
            route: Route { epoch, pool: pool.into() },
            content: Digest([2; 32]),
        }
    }
}
