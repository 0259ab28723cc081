//! What each member goes by: made once for as long as neither topology nor secrets change, however often it is asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use agent::sha256;
use agent::state::Kept as Snapshot;
use api::agent::content::Secret;
use api::agent::{Digest, Head, Role, Route, view};
use topology::fqdn::Fqdn;

use crate::audit::Hash;
use crate::publish::Current;
use crate::records::Secrets;

/// The snapshots of one installation's members.
pub(super) struct Handed {
    installation: String,
    made: Mutex<Option<Made>>,
}

/// Those that were made of one topology and these secrets.
struct Made {
    version: u64,
    document: Hash,
    secrets: Secrets,
    /// The document's hash, as members know it.
    topology: Digest,
    /// The latest of each, by name.
    snapshots: BTreeMap<String, Arc<Snapshot>>,
}

impl Handed {
    pub(super) fn new(installation: String) -> Handed {
        Handed { installation, made: Mutex::default() }
    }

    /// What a member goes by; nothing for a controller, or who isn't a member. Where only the route moved, its content is
    /// the same as before, and where nothing did, it is the very same.
    pub(super) fn snapshot(&self, current: &Current, secrets: &Secrets, fqdn: &Fqdn) -> Option<Arc<Snapshot>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let made = match made.take().filter(|made| made.is_of(current, secrets)) {
            Some(fitting) => made.insert(fitting),
            None => made.insert(Made::of(current, secrets)),
        };
        let route = Route { epoch: current.route.epoch, pool: current.route.pool.clone() };
        let before = made.snapshots.get(fqdn.as_str());
        if let Some(same) = before.filter(|before| before.head.route == route) {
            return Some(same.clone());
        }
        let (content, hash) = match before {
            Some(before) => (before.content.clone(), before.head.content),
            None => {
                let content = content(current, secrets, fqdn)?;
                let hash = sha256(content.as_bytes());
                (content, hash)
            }
        };
        let head = Head {
            installation: self.installation.clone(),
            member: fqdn.to_string(),
            version: current.version,
            topology: made.topology,
            route,
            content: hash,
        };
        let snapshot = Arc::new(Snapshot { head, content });
        made.snapshots.insert(fqdn.to_string(), snapshot.clone());
        Some(snapshot)
    }
}

impl Made {
    fn of(current: &Current, secrets: &Secrets) -> Made {
        Made {
            version: current.version,
            document: current.digest,
            secrets: secrets.clone(),
            topology: sha256(current.document.as_bytes()),
            snapshots: BTreeMap::new(),
        }
    }

    fn is_of(&self, current: &Current, secrets: &Secrets) -> bool {
        (self.version, self.document) == (current.version, current.digest) && self.secrets == *secrets
    }
}

/// What a member needs to know, as it travels.
fn content(current: &Current, secrets: &Secrets, fqdn: &Fqdn) -> Option<String> {
    let member = current.topology.members().find(|member| member.fqdn == *fqdn)?;
    let dialback = match Role::from(member.role) {
        Role::Gateway => &secrets.internal,
        Role::Edge | Role::Dns | Role::Witness | Role::Controller => &secrets.external,
    };
    let dialback: Vec<Secret> = dialback.iter().cloned().map(Secret::new).collect();
    let handed = view::Secrets { dialback: &dialback, zones: &secrets.zone_keys() };
    view::view(&current.topology, &handed, fqdn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ahead::tests::{DOCUMENT, by};

    fn secrets(external: &str) -> Secrets {
        Secrets { external: vec![external.to_owned()], internal: vec!["inside".to_owned()], ..Secrets::default() }
    }

    fn fqdn(name: &str) -> Fqdn {
        format!("{name}.contoso.test").parse().expect("a name")
    }

    #[test]
    fn what_has_not_changed_is_not_made_again() {
        let (handed, (edge, gateway)) = (Handed::new("contoso-1".to_owned()), (fqdn("edge1"), fqdn("gateway1")));
        let get = |current: &Current, secrets: &Secrets, fqdn: &Fqdn| handed.snapshot(current, secrets, fqdn);
        let (first, ours) = (by(DOCUMENT, 3, 1), secrets("a"));
        let made = get(&first, &ours, &edge).expect("a member");
        assert!(Arc::ptr_eq(&made, &get(&first, &ours, &edge).expect("a member")));
        assert!(made.content.contains("\"a\"") && !made.content.contains("inside"));
        let inside = get(&first, &ours, &gateway).expect("a member");
        assert!(inside.content.contains("inside"));
        assert_eq!(get(&first, &ours, &fqdn("ctl1")), None, "controllers have the store");
        assert_eq!(get(&first, &ours, &fqdn("edge9")), None);

        // Only the route, and back to what was made before it.
        let moved = get(&by(DOCUMENT, 3, 2), &ours, &edge).expect("a member");
        assert_eq!((moved.head.route.epoch, &moved.content), (2, &made.content));
        let expected = Route { epoch: 2, pool: "pool1.contoso.test".to_owned() };
        assert_eq!(*moved, Snapshot::new("contoso-1", edge.as_str(), (3, DOCUMENT), expected, made.content.clone()));
        assert!(Arc::ptr_eq(&inside, &get(&first, &ours, &gateway).expect("a member")));
    }

    #[test]
    fn nobody_is_handed_what_was_made_of_something_else() {
        let (handed, edge) = (Handed::new("contoso-1".to_owned()), fqdn("edge1"));
        let other = DOCUMENT.replace("10.1.0.10", "10.1.0.99");
        // The last: two stores that counted apart, as after a backup.
        for (version, document, external) in
            [(3, DOCUMENT, "a"), (3, DOCUMENT, "b"), (4, &other, "b"), (5, &other, "b"), (5, DOCUMENT, "b")]
        {
            let (now, ours) = (by(document, version, 1), secrets(external));
            let seen = handed.snapshot(&now, &ours, &edge).expect("a member");
            assert_eq!(Some(seen), Handed::new("contoso-1".to_owned()).snapshot(&now, &ours, &edge));
        }
    }
}
