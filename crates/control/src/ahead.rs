//! Members that know more than the store: then the store was restored from an old backup, or is another one.

use std::collections::BTreeSet;

use agent::keep::Seen;
use api::agent::Head;
use tokio::time::Instant;
use topology::document::{Role, Topology};

use crate::publish::Current;

/// A member, and what it goes by, as it said itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Its name.
    pub fqdn: String,
    /// What it is.
    pub role: Role,
    /// What it goes by.
    pub have: Head,
}

/// What the members of an installation go by that are there now. Of those who said it after `before`, where that is given,
/// nothing follows for what was read before.
pub fn heard(
    (installation, topology): (&str, &Topology),
    seen: impl Fn(&str) -> Option<Seen>,
    before: Option<Instant>,
) -> Vec<Heard> {
    let everybody = everybody(topology, seen, before);
    everybody.into_iter().filter(|heard| heard.have.installation == installation).collect()
}

/// The same, and those that belong to another installation.
pub fn everybody(topology: &Topology, seen: impl Fn(&str) -> Option<Seen>, before: Option<Instant>) -> Vec<Heard> {
    let heard = topology.members().filter_map(|member| {
        let seen = seen(member.fqdn.as_str()).filter(|seen| seen.connected)?;
        if before.is_some_and(|before| seen.heard.is_none_or(|heard| heard >= before)) {
            return None;
        }
        Some(Heard { fqdn: member.fqdn.to_string(), role: member.role, have: seen.hello?.have? })
    });
    heard.collect()
}

/// Those who know a later topology or route than the store says is current, or another one under the same number.
pub fn ahead(current: &Current, heard: Vec<Heard>) -> Vec<Heard> {
    let is_ahead = |heard: &Heard| knows_more(&heard.have, current);
    let believed = believed(heard.clone());
    if believed.iter().any(is_ahead) { heard.into_iter().filter(is_ahead).collect() } else { Vec::new() }
}

/// Those whose word counts: where members inside are there, edge servers and witnesses aren't asked. They stand in the
/// perimeter, or further out, and one in a stranger's hands must not stop the control plane.
pub fn believed(heard: Vec<Heard>) -> Vec<Heard> {
    let is_inside = |heard: &Heard| !matches!(heard.role, Role::Edge | Role::Witness);
    if heard.iter().any(is_inside) { heard.into_iter().filter(is_inside).collect() } else { heard }
}

/// Whether who has this knows more than the store.
pub fn knows_more(have: &Head, current: &Current) -> bool {
    let (version, route) = (current.version, &current.route);
    have.version > version
        || (have.version == version && have.topology.0 != *current.digest.as_bytes())
        || have.route.epoch > route.epoch
        || (have.route.epoch == route.epoch && have.route.pool != route.pool)
}

/// That the store was behind what members had said before it was read at `at`, in a sentence; nothing where it wasn't.
pub fn behind(
    installation: &str,
    current: &Current,
    seen: impl Fn(&str) -> Option<Seen>,
    at: Instant,
) -> Option<String> {
    let ahead = ahead(current, heard((installation, &current.topology), seen, Some(at)));
    (!ahead.is_empty()).then(|| told(current, &ahead))
}

fn told(current: &Current, ahead: &[Heard]) -> String {
    let names: BTreeSet<&str> = ahead.iter().map(|heard| heard.fqdn.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    format!(
        "the store is behind: it has version {} of the topology and epoch {} of the route, and {} went by later ones; was it \
         restored from a backup? Nothing is changed until `fedge recover` has brought it forward",
        current.version,
        current.route.epoch,
        names.join(", ")
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use api::agent::{Digest, Route};

    use super::*;
    use crate::audit::Hash;
    use crate::records;

    pub(crate) const DOCUMENT: &str = include_str!("../../../docs/examples/topology.toml");

    /// What the store says, by the example of a topology.
    pub(crate) fn current(version: u64, epoch: u64) -> Current {
        by(DOCUMENT, version, epoch)
    }

    /// The same by a document.
    pub(crate) fn by(document: &str, version: u64, epoch: u64) -> Current {
        let topology = Topology::read("topology.toml", document).expect("it is good");
        let pool = topology.route[0].to_string();
        Current {
            version,
            digest: Hash::of(document.as_bytes()),
            document: document.to_owned(),
            topology,
            route: records::Route { epoch, pool, previous: None, operation: None },
        }
    }

    /// What a member goes by after that.
    pub(crate) fn head(current: &Current, fqdn: &str) -> Head {
        Head {
            installation: "contoso-1".to_owned(),
            member: fqdn.to_owned(),
            version: current.version,
            topology: Digest(*current.digest.as_bytes()),
            route: Route { epoch: current.route.epoch, pool: current.route.pool.clone() },
            content: Digest([7; 32]),
        }
    }

    fn member(role: Role, fqdn: &str, have: Head) -> Heard {
        Heard { fqdn: fqdn.to_owned(), role, have }
    }

    #[test]
    fn who_knows_more_is_found_in_topology_and_route() {
        let (old, new) = (current(3, 2), current(4, 2));
        let names = |have: Head| ahead(&old, vec![member(Role::Gateway, "gateway1", have)]).len();
        assert_eq!(names(head(&old, "gateway1")), 0);
        assert_eq!(names(head(&current(2, 1), "gateway1")), 0);
        assert_eq!(names(head(&new, "gateway1")), 1);
        assert_eq!(names(head(&current(3, 3), "gateway1")), 1);
        assert_eq!(names(Head { topology: Digest([1; 32]), ..head(&old, "gateway1") }), 1, "another topology");
        let elsewhere = Route { epoch: 2, pool: "pool9.contoso.test".to_owned() };
        assert_eq!(names(Head { route: elsewhere, ..head(&old, "gateway1") }), 1, "another route");
        // Older in one and newer in the other.
        assert_eq!(names(head(&current(2, 3), "gateway1")), 1);
    }

    #[test]
    fn the_perimeter_alone_is_not_believed_against_the_inside() {
        let old = current(3, 2);
        let edge = member(Role::Edge, "edge1", head(&current(u64::MAX, u64::MAX), "edge1"));
        let gateway = |current: &Current| member(Role::Gateway, "gateway1", head(current, "gateway1"));
        assert_eq!(ahead(&old, vec![edge.clone()]).len(), 1, "nobody says otherwise");
        assert_eq!(ahead(&old, vec![edge.clone(), gateway(&old)]), []);
        let witness = member(Role::Witness, "witness1", head(&current(u64::MAX, u64::MAX), "witness1"));
        assert_eq!(ahead(&old, vec![witness, gateway(&old)]), [], "a witness is further out still");
        let both = ahead(&old, vec![edge, gateway(&current(4, 2))]);
        assert_eq!(both.len(), 2);
        let told = told(&old, &both);
        assert!(told.contains("version 3 of the topology and epoch 2 of the route, and edge1, gateway1"), "{told}");
    }
}
