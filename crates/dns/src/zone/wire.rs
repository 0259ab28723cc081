//! Names and records as they travel (RFC 1035 §3, §4.1).

use std::collections::HashMap;

/// Where the question's name begins: behind the header.
pub(super) const QUESTION: usize = 12;
/// How far a pointer reaches.
const POINTER_LIMIT: usize = 0x3fff;
/// How long a name may be (RFC 1035 §2.3.4).
pub(super) const LONGEST_NAME: usize = 255;
const CLASS_IN: u16 = 1;

/// A name as zone files have it, in wire form and small letters; nothing where it can't be a name. Topologies have no names
/// with escapes.
pub(super) fn name(text: &str) -> Option<Vec<u8>> {
    let mut wire = Vec::with_capacity(text.len() + 2);
    for label in text.strip_suffix('.').unwrap_or(text).split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        wire.push(length);
        wire.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
    }
    wire.push(0);
    (wire.len() <= LONGEST_NAME).then_some(wire)
}

/// Where a name's labels begin, the root's left out.
pub(super) fn labels(name: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at;
        let length = usize::from(*name.get(begin)?);
        at += length + 1;
        (length > 0).then_some(begin)
    })
}

/// What stands in a record: bytes, a name, bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Data {
    pub(super) before: Vec<u8>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) after: Vec<u8>,
}

impl Data {
    pub(super) fn plain(bytes: Vec<u8>) -> Data {
        Data { before: bytes, name: None, after: Vec::new() }
    }

    pub(super) fn named(before: Vec<u8>, name: Vec<u8>, after: Vec<u8>) -> Data {
        Data { before, name: Some(name), after }
    }

    /// All of it, as it travels.
    pub(super) fn bytes(&self) -> Vec<u8> {
        [&self.before, self.name.as_deref().unwrap_or_default(), &self.after].concat()
    }

    fn len(&self) -> usize {
        self.before.len() + self.name.as_ref().map_or(0, Vec::len) + self.after.len()
    }
}

/// Type, class, TTL, length and data of a record.
pub(super) fn behind_name(kind: u16, ttl: u32, data: &Data) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(10 + data.len());
    bytes.extend(kind.to_be_bytes());
    bytes.extend(CLASS_IN.to_be_bytes());
    bytes.extend(ttl.to_be_bytes());
    bytes.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend(&data.before);
    bytes.extend(data.name.iter().flatten());
    bytes.extend(&data.after);
    bytes
}

/// Writes the records that follow a question. Only the names of records are compressed: some who read SRV records don't
/// expect it in them (RFC 2782), and so that what is said doesn't take on the letters of who asked.
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
    begin: usize,
    /// Where names stand in the message.
    known: HashMap<Vec<u8>, u16>,
}

impl Writer {
    /// Behind a question about `name`.
    pub(super) fn behind(name: &[u8]) -> Writer {
        let mut writer = Writer { bytes: Vec::new(), begin: QUESTION + name.len() + 4, known: HashMap::new() };
        writer.know(name, QUESTION);
        writer
    }

    /// One record at `name`.
    pub(super) fn record(&mut self, name: &[u8], kind: u16, ttl: u32, data: &Data) {
        self.owner(name);
        let at = self.begin + self.bytes.len() + 10 + data.before.len();
        self.bytes.extend(behind_name(kind, ttl, data));
        if let Some(name) = &data.name {
            self.know(name, at);
        }
    }

    fn owner(&mut self, name: &[u8]) {
        for label in labels(name) {
            if let Some(at) = self.known.get(&name[label..]) {
                let pointer = 0xc000 | *at;
                self.bytes.extend(pointer.to_be_bytes());
                return;
            }
            let end = label + 1 + usize::from(name[label]);
            let at = self.begin + self.bytes.len();
            self.point(&name[label..], at);
            self.bytes.extend(&name[label..end]);
        }
        self.bytes.push(0);
    }

    fn know(&mut self, name: &[u8], at: usize) {
        for label in labels(name) {
            self.point(&name[label..], at + label);
        }
    }

    fn point(&mut self, name: &[u8], at: usize) {
        if let Some(at) = u16::try_from(at).ok().filter(|at| usize::from(*at) <= POINTER_LIMIT) {
            self.known.entry(name.to_vec()).or_insert(at);
        }
    }
}
