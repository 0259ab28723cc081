//! From what zones hold to answers that are ready.

use std::collections::{BTreeMap, HashMap};

use super::chain::Chain;
use super::query::Kind;
use super::sets::{Held, Set, Sets};
use super::wire::{self, Data, Writer};
use super::{Denial, NEGATIVE_TTL, Node, Ready};

/// So many aliases one after the other are followed. We publish one.
const ALIASES: usize = 8;

/// The SOA record in negative answers, behind its name.
pub(super) fn behind_name(soa: &Data) -> Box<[u8]> {
    wire::behind_name(Kind::SOA.0, NEGATIVE_TTL, soa).into()
}

/// For the top of each signed zone, what proves that names aren't there.
pub(super) fn denials(held: &mut Held) -> HashMap<Box<[u8]>, Denial> {
    let chains = std::mem::take(&mut held.chains);
    let denial = |(top, chain): (Vec<u8>, Chain)| {
        let set = |name: &[u8], kind: Kind| held.names.get(name).and_then(|sets| sets.get(&kind));
        let proof = |name: &[u8]| {
            let set = set(name, Kind::NSEC)?;
            Some([wire::behind_name(Kind::NSEC.0, set.ttl, set.data.first()?).into(), signature(set)?])
        };
        let soa = set(&top, Kind::SOA).and_then(signature)?;
        Some((top.into(), Denial { soa, chain: chain.proven(proof) }))
    };
    chains.into_iter().filter_map(denial).collect()
}

/// The signature of a set, behind its name.
fn signature(set: &Set) -> Option<Box<[u8]>> {
    set.signature.as_ref().map(|signature| wire::behind_name(Kind::RRSIG.0, set.ttl, signature).into())
}

/// Every name that exists: with records, or above one that has some (RFC 8020). With `signed`, only those in whose answers
/// there may be signatures, and with them.
pub(super) fn nodes(held: &Held, signed: bool) -> HashMap<Box<[u8]>, Node> {
    let nothing = Sets::new();
    let mut nodes: HashMap<Box<[u8]>, Node> = HashMap::new();
    if signed && held.chains.is_empty() {
        return nodes;
    }
    for (name, sets) in &held.names {
        let in_signed = || held.top(name).is_some_and(|top| held.chains.contains_key(top));
        // An alias may lead into a signed zone.
        if !signed || sets.contains_key(&Kind::CNAME) || in_signed() {
            nodes.insert(name.as_slice().into(), node(held, name, sets, signed));
        }
    }
    for name in held.names.keys() {
        let Some(top) = held.top(name).filter(|top| !signed || held.chains.contains_key(*top)) else { continue };
        let above = wire::labels(name).map(|label| &name[label..]).take_while(|above| above.len() > top.len());
        for above in above {
            nodes.entry(above.into()).or_insert_with(|| node(held, above, &nothing, signed));
        }
    }
    nodes
}

fn node(held: &Held, name: &[u8], sets: &Sets, signed: bool) -> Node {
    let answer = |kind| answer(held, name, kind, signed);
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
fn answer(held: &Held, name: &[u8], kind: Kind, signed: bool) -> Ready {
    let mut writer = Writer::behind(name);
    let (mut counts, mut exists) = ([0; 3], true);
    let mut at = name;
    let mut said: Vec<&Set> = Vec::new();
    for _ in 0..ALIASES {
        let sets = held.names.get(at);
        if let Some(set) = sets.and_then(|sets| sets.get(&kind)) {
            counts[0] += records(&mut writer, at, (kind, set), signed);
            said.push(set);
            break;
        }
        if let Some(alias) = sets.and_then(|sets| sets.get(&Kind::CNAME))
            && let Some(target) = alias.target()
        {
            counts[0] += records(&mut writer, at, (Kind::CNAME, alias), signed);
            at = target;
            continue;
        }
        // Beyond our zones others know.
        if let Some(top) = held.top(at) {
            exists = at == name || held.exists(at);
            counts[1] += nothing(held, (top, at), exists, (&mut writer, signed));
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
                counts[2] += records(&mut writer, target, (kind, set), signed);
            }
        }
    }
    Ready { exists, records: writer.bytes.into(), counts, lean }
}

fn records(writer: &mut Writer, name: &[u8], (kind, set): (Kind, &Set), signed: bool) -> u16 {
    for data in &set.data {
        writer.record(name, kind.0, set.ttl, data);
    }
    let signature = set.signature.as_ref().filter(|_| signed);
    if let Some(signature) = signature {
        writer.record(name, Kind::RRSIG.0, set.ttl, signature);
    }
    u16::try_from(set.data.len() + usize::from(signature.is_some())).unwrap_or(u16::MAX)
}

/// That `name`, in the zone `top`, has nothing of what is asked for, or isn't there; with what proves it.
fn nothing(held: &Held, (top, name): (&[u8], &[u8]), exists: bool, (writer, signed): (&mut Writer, bool)) -> u16 {
    let chain = held.chains.get(top).filter(|_| signed);
    let links = match chain {
        None => [None; 2],
        Some(chain) if exists => [chain.at(name), None],
        Some(chain) => {
            let above = wire::labels(name).skip(1).map(|label| &name[label..]).find(|above| held.exists(above));
            chain.nothing(name, above.unwrap_or(top))
        }
    };
    let links = links.iter().flatten().map(|link| (&*link.name, Kind::NSEC));
    let mut count = 0;
    for (name, kind) in std::iter::once((top, Kind::SOA)).chain(links) {
        if let Some(set) = held.names.get(name).and_then(|sets| sets.get(&kind)) {
            count += records(writer, name, (kind, set), signed);
        }
    }
    count
}

impl Set {
    /// Where an alias leads.
    fn target(&self) -> Option<&[u8]> {
        self.data.first().and_then(|data| data.name.as_deref())
    }
}

impl Held {
    /// The top of the zone of ours in which a name lies.
    pub(super) fn top<'a>(&'a self, name: &[u8]) -> Option<&'a [u8]> {
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
