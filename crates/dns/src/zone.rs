//! The zones that fedge-dns has authority for, as a value: whatever can be asked has its answer ready. Made once from a
//! snapshot, then only read, so that every answer comes of one epoch of the route and one version of the topology.

use std::collections::{BTreeMap, HashMap};

use agent::zone_key::{ZoneKey, ZoneKeyError};
use topology::records::{Mark, Published};
use topology::zone::Publisher;

use chain::Chain;
use query::{Kind, Query};
use reply::Reply;

mod answer;
mod chain;
mod compile;
pub mod query;
pub mod rate;
pub mod reply;
pub mod service;
mod sets;
mod sign;
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
    /// The same with signatures, for who wants some, of signed zones and what leads there.
    signed: HashMap<Box<[u8]>, Node>,
    /// For the tops of signed zones.
    denials: HashMap<Box<[u8]>, Denial>,
    /// When signatures were made, in seconds since 1970; nothing where there are none.
    made: Option<u64>,
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

/// What says that a name of a signed zone isn't there.
#[derive(Debug)]
struct Denial {
    /// The signature of the SOA record, behind its name.
    soa: Box<[u8]>,
    /// What proves it.
    chain: Chain,
}

/// The keys of signed zones, by their names.
pub type ZoneKeys = BTreeMap<String, ZoneKey>;

/// With what zones are signed.
#[derive(Debug, Default)]
pub struct Signing {
    /// The keys.
    pub keys: ZoneKeys,
    /// Seconds since 1970.
    pub now: u64,
}

/// What zones hold, before it is signed and made into answers.
struct Gathered<'a> {
    /// With their tops, and no answers yet.
    zones: Zones,
    held: sets::Held,
    /// For the top of each zone that is to be signed, its key.
    keys: Vec<(Vec<u8>, &'a ZoneKey)>,
}

/// Why zones can't be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unserved {
    /// Without the pool that carries the route, federation would end.
    #[error("the route is with {0}, which isn't among the pools that are published")]
    NoPool(String),
    /// Whoever validates would refuse a signed zone without signatures.
    #[error("the zone {0} is to be signed, and has no key")]
    NoKey(String),
    /// A name can't be one in DNS.
    #[error("{0} can't be a zone's name in DNS")]
    NoName(String),
    /// Nothing can be signed.
    #[error(transparent)]
    Key(#[from] ZoneKeyError),
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
    /// What is served while the pool `routed` carries the route.
    ///
    /// # Errors
    /// Why it can't be; then the zones before go on.
    pub fn new(published: &Published, routed: &str, mark: &Mark, signing: &Signing) -> Result<Zones, Unserved> {
        let Gathered { mut zones, mut held, keys } = Zones::gather((published, routed, mark), &signing.keys)?;
        if !keys.is_empty() {
            sign::sign(&mut held, &keys, signing.now)?;
            zones.made = Some(signing.now);
        }
        zones.nodes = compile::nodes(&held, false);
        zones.signed = compile::nodes(&held, true);
        zones.denials = compile::denials(&mut held);
        Ok(zones)
    }

    /// Whether that could be served.
    ///
    /// # Errors
    /// Why it can't be.
    pub fn check(of: (&Published, &str, &Mark), keys: &ZoneKeys) -> Result<(), Unserved> {
        Zones::gather(of, keys).map(drop)
    }

    fn gather<'a>(
        (published, routed, mark): (&Published, &str, &Mark),
        zone_keys: &'a ZoneKeys,
    ) -> Result<Gathered<'a>, Unserved> {
        let contents = published.contents(routed, mark).ok_or_else(|| Unserved::NoPool(routed.to_owned()))?;
        let mut zones = Zones::default();
        let (mut held, mut keys) = (sets::Held::default(), Vec::new());
        for contents in &contents {
            let zone = &contents.zone.name;
            let no_name = || Unserved::NoName(zone.clone());
            let top = wire::name(zone).ok_or_else(no_name)?;
            let Publisher::Embedded { servers, signed } = &contents.zone.publisher else {
                zones.tops.insert(top.into(), Top::Elsewhere);
                continue;
            };
            if *signed {
                let key = zone_keys.get(zone).ok_or_else(|| Unserved::NoKey(zone.clone()))?;
                keys.push((top.clone(), key));
            }
            let serial = contents.mark.serial();
            let soa = sets::soa(zone, servers, serial).ok_or_else(no_name)?;
            zones.tops.insert(top.into(), Top::Served(compile::behind_name(&soa)));
            zones.told.push(Told { name: zone.clone(), serial });
            held.zone(contents, servers, soa, published);
        }
        Ok(Gathered { zones, held, keys })
    }

    /// Whether signatures are to be made anew at `now`, in seconds since 1970.
    pub fn is_due(&self, now: u64) -> bool {
        self.made.is_some_and(|made| sign::is_due(made, now))
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
