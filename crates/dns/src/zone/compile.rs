//! From what zones hold to answers that are ready.

use std::collections::{BTreeMap, HashMap};

use super::query::Kind;
use super::sets::{Held, Set, Sets};
use super::wire::{self, Data, Writer};
use super::{NEGATIVE_TTL, Node, Ready};

/// So many aliases one after the other are followed. We publish one.
const ALIASES: usize = 8;

/// The SOA record in negative answers, behind its name.
pub(super) fn behind_name(soa: &Data) -> Box<[u8]> {
    wire::behind_name(Kind::SOA.0, NEGATIVE_TTL, soa).into()
}

/// Every name that exists: with records, or above one that has some (RFC 8020).
pub(super) fn nodes(held: &Held) -> HashMap<Box<[u8]>, Node> {
    let nothing = Sets::new();
    let mut nodes: HashMap<Box<[u8]>, Node> = HashMap::new();
    for (name, sets) in &held.names {
        nodes.insert(name.as_slice().into(), node(held, name, sets));
    }
    for name in held.names.keys() {
        let Some(top) = held.top(name) else { continue };
        let above = wire::labels(name).map(|label| &name[label..]).take_while(|above| above.len() > top.len());
        for above in above {
            nodes.entry(above.into()).or_insert_with(|| node(held, above, &nothing));
        }
    }
    nodes
}

fn node(held: &Held, name: &[u8], sets: &Sets) -> Node {
    let answer = |kind| answer(held, name, kind);
    let plain = sets.keys().map(|kind| (*kind, answer(*kind)));
    let any = sets.keys().next().map_or_else(|| answer(Kind::ANY), |first| answer(*first));
    let Some(alias) = sets.get(&Kind::CNAME) else {
        return Node { sets: plain.collect(), other: answer(Kind::ANY), any };
    };
    let mut kinds: BTreeMap<Kind, Ready> = plain.collect();
    for kind in held.end(alias).into_iter().flat_map(Sets::keys) {
        kinds.insert(*kind, answer(*kind));
    }
    // Whatever it is, the alias itself is said too.
    Node { sets: kinds.into_iter().collect(), other: answer(Kind::ANY), any }
}

/// The answer to a question about a name that exists; for `ANY`, which is no record, that there is none.
fn answer(held: &Held, name: &[u8], kind: Kind) -> Ready {
    let mut writer = Writer::behind(name);
    let (mut counts, mut exists) = ([0; 3], true);
    let mut at = name;
    let mut said: Vec<&Set> = Vec::new();
    for _ in 0..ALIASES {
        let sets = held.names.get(at);
        if let Some(set) = sets.and_then(|sets| sets.get(&kind)) {
            counts[0] += records(&mut writer, at, kind, set);
            said.push(set);
            break;
        }
        if let Some(alias) = sets.and_then(|sets| sets.get(&Kind::CNAME))
            && let Some(target) = alias.target()
        {
            counts[0] += records(&mut writer, at, Kind::CNAME, alias);
            at = target;
            continue;
        }
        // Beyond our zones others know.
        if let Some(top) = held.top(at) {
            exists = at == name || held.exists(at);
            writer.record(top, Kind::SOA.0, NEGATIVE_TTL, &held.tops[top]);
            counts[1] += 1;
        }
        break;
    }
    let lean = writer.bytes.len();
    let mut seen = Vec::new();
    for target in said.into_iter().flat_map(|set| &set.data).filter_map(|data| data.name.as_ref()) {
        if !matches!(kind, Kind::SRV | Kind::NS) || seen.contains(&target) {
            continue;
        }
        seen.push(target);
        let sets = held.names.get(target);
        for kind in [Kind::A, Kind::AAAA] {
            if let Some(set) = sets.and_then(|sets| sets.get(&kind)) {
                counts[2] += records(&mut writer, target, kind, set);
            }
        }
    }
    Ready { exists, records: writer.bytes.into(), counts, lean }
}

fn records(writer: &mut Writer, name: &[u8], kind: Kind, set: &Set) -> u16 {
    for data in &set.data {
        writer.record(name, kind.0, set.ttl, data);
    }
    u16::try_from(set.data.len()).unwrap_or(u16::MAX)
}

impl Set {
    /// Where an alias leads.
    fn target(&self) -> Option<&[u8]> {
        self.data.first().and_then(|data| data.name.as_deref())
    }
}

impl Held {
    /// The top of the zone of ours in which a name lies.
    fn top<'a>(&'a self, name: &[u8]) -> Option<&'a [u8]> {
        let above = wire::labels(name).map(|label| &name[label..]);
        let mut tops = above.filter_map(|above| self.tops.get_key_value(above));
        tops.next().map(|(top, _)| top.as_slice())
    }

    /// Whether a name of ours has records, or one below it.
    fn exists(&self, name: &[u8]) -> bool {
        let is_below = |other: &Vec<u8>| wire::labels(other).any(|label| &other[label..] == name);
        self.names.contains_key(name) || self.names.keys().any(is_below)
    }

    /// What is where an alias leads in the end.
    fn end(&self, alias: &Set) -> Option<&Sets> {
        let mut alias = alias;
        for _ in 0..ALIASES {
            let sets = self.names.get(alias.target()?)?;
            match sets.get(&Kind::CNAME) {
                Some(next) => alias = next,
                None => return Some(sets),
            }
        }
        None
    }
}
