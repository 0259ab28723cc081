//! The zones that fedge-dns has authority for, as a value: whatever can be asked has its answer ready. Made once from a
//! snapshot, then only read, so that every answer comes of one epoch of the route and one version of the topology.

use std::collections::HashMap;

use topology::records::{Mark, Published};
use topology::zone::Publisher;

use query::{Kind, Query};
use reply::Reply;

mod answer;
mod compile;
pub mod query;
pub mod rate;
pub mod reply;
pub mod service;
mod sets;
#[cfg(test)]
mod tests;
mod wire;

/// Seconds that resolvers may keep it that there is nothing (RFC 2308): so soon a name that was forgotten is found.
pub const NEGATIVE_TTL: u32 = 5;
/// Seconds that resolvers may keep which servers have authority, and where those are.
const SERVERS_TTL: u32 = 3600;

/// All zones with what they hold.
#[derive(Debug, Default)]
pub struct Zones {
    /// By names in wire form and small letters.
    nodes: HashMap<Box<[u8]>, Node>,
    /// The tops of zones.
    tops: HashMap<Box<[u8]>, Top>,
    told: Vec<Told>,
}

/// A zone that is served, in the words of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its name.
    pub name: String,
    /// Its serial.
    pub serial: u32,
}

/// A name that exists.
#[derive(Debug)]
struct Node {
    /// For each type that has records there, and that one's answer.
    sets: Vec<(Kind, Ready)>,
    /// For any other type.
    other: Ready,
    /// For all types at once: one of them (RFC 8482 §4.1).
    any: Ready,
}

/// The top of a zone.
#[derive(Debug)]
enum Top {
    /// Of ours. Holds the SOA record behind its name, which says for how long there is nothing.
    Served(Box<[u8]>),
    /// Others have authority there, so names below are nothing for us even where they are below a zone of ours.
    Elsewhere,
}

/// An answer but for the header and the question: names point into a question of known length.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ready {
    /// Whether the name exists to which aliases lead.
    exists: bool,
    /// The records.
    records: Box<[u8]>,
    /// How many there are in the sections of answers, authority and additional records.
    counts: [u16; 3],
    /// How long the records are without the additional ones.
    lean: usize,
}

impl Zones {
    /// What is served while the pool `routed` carries the route. Nothing where there is no such pool.
    pub fn new(published: &Published, routed: &str, mark: &Mark) -> Option<Zones> {
        let contents = published.contents(routed, mark)?;
        let mut zones = Zones::default();
        let mut held = sets::Held::default();
        for contents in &contents {
            let top = wire::name(&contents.zone.name)?;
            let Publisher::Embedded { servers } = &contents.zone.publisher else {
                zones.tops.insert(top.into(), Top::Elsewhere);
                continue;
            };
            let serial = contents.mark.serial();
            let soa = sets::soa(&contents.zone.name, servers, serial)?;
            zones.tops.insert(top.into(), Top::Served(compile::behind_name(&soa)));
            zones.told.push(Told { name: contents.zone.name.clone(), serial });
            held.zone(contents, servers, soa, published);
        }
        zones.nodes = compile::nodes(&held);
        Some(zones)
    }

    /// Which zones are served.
    pub fn told(&self) -> &[Told] {
        &self.told
    }

    /// What is said to a query.
    pub fn answer<'a>(&'a self, query: &Query<'_>) -> Reply<'a> {
        answer::answer(self, query)
    }
}
