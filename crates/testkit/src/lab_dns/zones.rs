//! What the laboratory's DNS knows.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use hickory_proto::rr::{Name, RData};

use super::{Misbehaviour, Question};

/// All names with their records, and what was asked.
#[derive(Debug, Default)]
pub(super) struct Zones {
    /// In canonical order (RFC 4034 §6.1): names stand before those below them. No list is empty.
    names: BTreeMap<Name, Vec<RData>>,
    misbehaviours: BTreeMap<Name, Misbehaviour>,
    /// Who has authority over zones that aren't ours.
    delegations: BTreeMap<Name, Vec<SocketAddr>>,
    pub(super) questions: Vec<Question>,
}

impl Zones {
    pub(super) fn set(&mut self, name: Name, records: Vec<RData>) {
        if records.is_empty() {
            self.names.remove(&name);
        } else {
            self.names.insert(name, records);
        }
    }

    pub(super) fn misbehave(&mut self, name: Name, misbehaviour: Option<Misbehaviour>) {
        match misbehaviour {
            Some(misbehaviour) => self.misbehaviours.insert(name, misbehaviour),
            None => self.misbehaviours.remove(&name),
        };
    }

    pub(super) fn misbehaviour(&self, name: &Name) -> Option<Misbehaviour> {
        self.misbehaviours.get(name).copied()
    }

    pub(super) fn delegate(&mut self, zone: Name, servers: Vec<SocketAddr>) {
        self.delegations.insert(zone, servers);
    }

    /// Who has authority over a name, where it isn't this server.
    pub(super) fn delegated(&self, name: &Name) -> Option<Vec<SocketAddr>> {
        let name = name.to_lowercase();
        let zones = self.delegations.iter().filter(|(zone, _)| zone.zone_of(&name));
        zones.max_by_key(|(zone, _)| zone.num_labels()).map(|(_, servers)| servers.clone())
    }

    pub(super) fn records(&self, name: &Name) -> &[RData] {
        self.names.get(name).map_or(&[], Vec::as_slice)
    }

    /// A name exists when it has records or names below it (RFC 8020).
    pub(super) fn exists(&self, name: &Name) -> bool {
        self.names.range(name..).next().is_some_and(|(next, _)| name.zone_of(next))
    }
}
