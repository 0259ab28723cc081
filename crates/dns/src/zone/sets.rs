//! What zones hold, set by set: what is published, and what a server that has authority says of itself.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use topology::records::{Contents, Published, RecordSet};
use topology::tlsa::Tlsa;
use topology::zone::NameServer;

use super::chain::Chain;
use super::query::Kind;
use super::wire::{self, Data};
use super::{NEGATIVE_TTL, SERVERS_TTL};

/// Of the SOA record (RFC 1035 §3.3.13). Nobody transfers our zones, so nobody goes by these.
const REFRESH: u32 = 3600;
const RETRY: u32 = 600;
const EXPIRE: u32 = 86400;
/// The longest piece of a text (RFC 1035 §3.3).
const PIECE: usize = 255;

/// All records of one type at one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) ttl: u32,
    pub(super) data: Vec<Data>,
    /// The data of its RRSIG record, where its zone is signed.
    pub(super) signature: Option<Data>,
}

impl Set {
    /// One without a signature.
    pub(super) fn of(ttl: u32, data: Vec<Data>) -> Set {
        Set { ttl, data, signature: None }
    }
}

/// The sets at a name.
pub(super) type Sets = BTreeMap<Kind, Set>;

/// What all zones hold.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// By names in wire form.
    pub(super) names: BTreeMap<Vec<u8>, Sets>,
    /// For the top of each zone, its SOA record.
    pub(super) tops: BTreeMap<Vec<u8>, Data>,
    /// For the top of each signed zone, its names in their order.
    pub(super) chains: BTreeMap<Vec<u8>, Chain>,
}

impl Held {
    /// Takes in a zone. What can't be in DNS, such as a name that is too long, isn't.
    pub(super) fn zone(&mut self, contents: &Contents, servers: &[NameServer], soa: Data, published: &Published) {
        let Some(top) = wire::name(&contents.zone.name) else { return };
        for set in contents.all() {
            self.add(&set);
        }
        for server in servers {
            let name = format!("{}.", server.fqdn);
            self.extend(
                &top,
                Kind::NS,
                SERVERS_TTL,
                wire::name(&name).map(|name| Data::named(Vec::new(), name, Vec::new())),
            );
            if published.zone_of(&name) != Some(&contents.zone) {
                continue;
            }
            let Some(at) = wire::name(&name) else { continue };
            for address in &server.addresses {
                let (kind, data) = match address {
                    IpAddr::V4(v4) => (Kind::A, v4.octets().to_vec()),
                    IpAddr::V6(v6) => (Kind::AAAA, v6.octets().to_vec()),
                };
                self.extend(&at, kind, SERVERS_TTL, Some(Data::plain(data)));
            }
        }
        self.extend(&top, Kind::SOA, NEGATIVE_TTL, Some(soa.clone()));
        self.tops.insert(top, soa);
    }

    fn add(&mut self, set: &RecordSet) {
        let Some(name) = wire::name(&set.name) else { return };
        for value in &set.values {
            let Some((kind, data)) = read(&set.kind, value) else { continue };
            self.extend(&name, kind, set.ttl, Some(data));
        }
    }

    /// One record more; of two TTLs of one set the shorter counts (RFC 2181 §5.2).
    fn extend(&mut self, name: &[u8], kind: Kind, ttl: u32, data: Option<Data>) {
        let Some(data) = data else { return };
        let set = self.names.entry(name.to_vec()).or_default();
        let set = set.entry(kind).or_insert_with(|| Set::of(ttl, Vec::new()));
        set.ttl = set.ttl.min(ttl);
        if !set.data.contains(&data) {
            set.data.push(data);
        }
    }
}

/// The SOA record of a zone: its first server stands for all, which are alike.
pub(super) fn soa(zone: &str, servers: &[NameServer], serial: u32) -> Option<Data> {
    let primary = wire::name(servers.first()?.fqdn.as_str())?;
    // In a zone whose name is too long for that, the mailbox is the root's: nobody's.
    let mut after = wire::name(&format!("hostmaster.{zone}")).unwrap_or_else(|| vec![0]);
    for number in [serial, REFRESH, RETRY, EXPIRE, NEGATIVE_TTL] {
        after.extend(number.to_be_bytes());
    }
    Some(Data::named(Vec::new(), primary, after))
}

/// A value as zone files have it; nothing for what we never publish.
fn read(kind: &str, value: &str) -> Option<(Kind, Data)> {
    Some(match kind {
        "A" => (Kind::A, Data::plain(value.parse::<Ipv4Addr>().ok()?.octets().to_vec())),
        "AAAA" => (Kind::AAAA, Data::plain(value.parse::<Ipv6Addr>().ok()?.octets().to_vec())),
        "CNAME" => (Kind::CNAME, Data::named(Vec::new(), wire::name(value)?, Vec::new())),
        "TXT" => {
            let text = value.strip_prefix('"')?.strip_suffix('"')?;
            let pieces = text.as_bytes().chunks(PIECE);
            let piece = |piece: &[u8]| [&[u8::try_from(piece.len()).unwrap_or(u8::MAX)], piece].concat();
            (Kind::TXT, Data::plain(pieces.flat_map(piece).collect()))
        }
        "TLSA" => (Kind::TLSA, Data::plain(value.parse::<Tlsa>().ok()?.to_bytes())),
        "SRV" => {
            let mut words = value.split(' ');
            let mut numbers = Vec::new();
            for _ in 0..3 {
                numbers.extend(words.next()?.parse::<u16>().ok()?.to_be_bytes());
            }
            (Kind::SRV, Data::named(numbers, wire::name(words.next()?)?, Vec::new()))
        }
        _ => return None,
    })
}
