//! Records between how a zone file has them and how they travel.

use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use topology::records::RecordSet;

/// A set that can't travel: it was never checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` can't be written as a record of DNS")]
pub struct RecordError(pub String);

/// An absolute name, read from text.
///
/// # Errors
/// When it is none.
pub fn name(text: &str) -> Result<Name, RecordError> {
    let mut name = Name::from_ascii(text).map_err(|_| RecordError(text.to_owned()))?;
    name.set_fqdn(true);
    Ok(name)
}

/// A type, read from its mnemonic.
///
/// # Errors
/// When there is no such type.
pub fn kind(text: &str) -> Result<RecordType, RecordError> {
    text.parse().map_err(|_| RecordError(text.to_owned()))
}

/// The records of a set.
///
/// # Errors
/// When one of them can't be.
pub fn records(set: &RecordSet) -> Result<Vec<Record>, RecordError> {
    let (name, kind) = (name(&set.name)?, kind(&set.kind)?);
    let record = |value: &String| Ok(Record::from_rdata(name.clone(), set.ttl, data(kind, value)?));
    set.values.iter().map(record).collect()
}

fn data(kind: RecordType, value: &str) -> Result<RData, RecordError> {
    if kind == RecordType::TXT {
        return Ok(RData::TXT(TXT::new(vec![value.trim_matches('"').to_owned()])));
    }
    // What we make is absolute; a text without the dot would be taken relative to nothing.
    RData::try_from_str(kind, value).map_err(|_| RecordError(value.to_owned()))
}

/// Records as sets, those of one name and type together, in the order in which they came.
pub fn sets<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<RecordSet> {
    let mut sets: Vec<RecordSet> = Vec::new();
    for record in records {
        let (name, kind) = (record.name.to_lowercase().to_ascii(), record.record_type().to_string());
        let value = value(&record.data);
        match sets.iter_mut().find(|set| set.name == name && set.kind == kind) {
            Some(set) => {
                set.ttl = set.ttl.min(record.ttl);
                set.values.push(value);
            }
            None => sets.push(RecordSet { name, kind, ttl: record.ttl, values: vec![value] }),
        }
    }
    sets
}

/// As a zone file has it. Only of texts it matters how they are quoted.
fn value(data: &RData) -> String {
    match data {
        RData::TXT(text) => {
            let quoted = text.txt_data.iter().map(|part| {
                let part = String::from_utf8_lossy(part).replace('\\', "\\\\").replace('"', "\\\"");
                format!("\"{part}\"")
            });
            quoted.collect::<Vec<_>>().join(" ")
        }
        RData::TLSA(tlsa) => tlsa.to_string().to_ascii_lowercase(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_out_comes_back() {
        let set = |kind: &str, values: &[&str]| RecordSet {
            name: "_xmpp-server._tcp.contoso.test.".to_owned(),
            kind: kind.to_owned(),
            ttl: 30,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        for set in [
            set("SRV", &["10 0 5269 pool1.contoso.test.", "20 0 5269 pool2.contoso.test."]),
            set("A", &["192.0.2.1"]),
            set("DS", &["55648 13 2 B4C8C1FE2E7477127B27115656AD6256F424625BF5C1E2770CE6D6E37DF61D17"]),
            set("AAAA", &["2001:db8::1"]),
            set("TLSA", &[&format!("3 1 1 {}", "0f".repeat(32)), &format!("2 0 2 {}", "a5".repeat(64))]),
            set("CNAME", &["_xmpp-server._tcp.fed.contoso.test."]),
            set("TXT", &["\"fedge owner=a1 epoch=7 topology=12\""]),
        ] {
            assert_eq!(sets(&records(&set).expect("they can be written")), [set]);
        }
        assert!(records(&set("A", &["pool1"])).is_err());
        assert!(records(&set("NONE", &["pool1"])).is_err());
    }
}
