//! For tests: a view like that of the laboratory, and a generator of bad packets.

use std::sync::Arc;

use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::{Name, RecordType};

use crate::forward::Forwarder;
use crate::service::Served;
use crate::view::{Gateway, Local, Settings, View};

/// What contoso.test would configure, with two gateways, one of them with IPv6.
pub(crate) fn settings() -> Settings {
    let gateway = |name: &str, addresses: &[&str], priority| Gateway {
        name: name.parse().expect("a domain"),
        addresses: addresses.iter().map(|text| text.parse().expect("an address")).collect(),
        port: 5269,
        priority,
        weight: 10,
    };
    let local = |pattern: &str, next_hop: &str| Local {
        pattern: pattern.parse().expect("a pattern"),
        next_hop: next_hop.parse().expect("a next hop"),
    };
    let mut direct = local("direct.contoso.test", "127.0.1.3:5270");
    direct.next_hop.direct_tls = true;
    Settings {
        ttl: 5,
        direct_tls: true,
        gateways: vec![
            gateway("gateway1.contoso.test", &["127.0.2.1", "2001:db8::1"], 10),
            gateway("gateway2.contoso.test", &["127.0.2.2"], 20),
        ],
        locals: vec![
            local("contoso.test", "127.0.1.1:5269"),
            local("*.contoso.test", "xmpp.contoso.test:5299"),
            local("six.contoso.test", "[2001:db8::5]:5269"),
            direct,
        ],
    }
}

pub(crate) fn view() -> View {
    View::new(settings())
}

/// Serves that view to 127.0.0.0/8.
pub(crate) fn served() -> Served {
    let forwarder = Arc::new(Forwarder::new(Vec::new(), 10, Arc::default()));
    Served { view: view(), clients: vec!["127.0.0.0/8".parse().expect("a network")], forwarder }
}

/// Asks for a name in presentation form, without escapes: any other byte stands for itself.
pub(crate) fn question(name: &str, wanted: RecordType) -> Query {
    let labels = name.split('.').filter(|label| !label.is_empty()).map(str::as_bytes);
    let mut name = Name::from_labels(labels).expect("a name");
    name.set_fqdn(true);
    Query::query(name, wanted)
}

pub(crate) fn query(name: &str, wanted: RecordType) -> Message {
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(question(name, wanted));
    query
}

pub(crate) fn with_edns(mut query: Message, size: u16) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(size);
    query.set_edns(edns);
    query
}

pub(crate) fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().expect("a message that can be written")
}

/// Makes bad packets out of good ones; the same from the same seed.
pub(crate) struct Mutator(pub(crate) u64);

impl Mutator {
    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).expect("below a usize")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// One of `seeds` with one to four faults: a changed byte, a count or pointer that lies, bytes
    /// too few, too many, twice or out of place.
    pub(crate) fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(8) {
                0 => bytes.truncate(at),
                1 => bytes.extend((0..self.below(40)).map(|_| self.byte()).collect::<Vec<_>>()),
                2 if !bytes.is_empty() => bytes[at] = 0xc0 | (self.byte() & 0x3f),
                3 if bytes.len() >= 12 => {
                    let count = 4 + self.below(8);
                    bytes[count] = if self.below(2) == 0 { 0xff } else { self.byte() & 3 };
                }
                4 if !bytes.is_empty() => {
                    let other = self.below(bytes.len());
                    let copied = bytes[at.min(other)..at.max(other)].to_vec();
                    bytes.splice(at..at, copied);
                }
                5 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                _ if !bytes.is_empty() => bytes[at] = self.byte(),
                _ => bytes.push(self.byte()),
            }
        }
        bytes
    }
}
