//! What lies in the store: where, and in which form.

use std::collections::BTreeMap;

use api::agent::content::Secret;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store::{Entry, Key, StoreError};

use crate::audit::Hash;

/// Which installation this is; made once and never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installation {
    /// Random, so that no member takes anything from another installation.
    pub id: String,
    /// When it was founded: milliseconds since 1970.
    pub at: u64,
}

/// Which version of the topology is the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its number.
    pub version: u64,
}

/// A version of the topology. The document itself lies in pieces at its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// SHA-256 of the document.
    pub document: Hash,
    /// When it was published: milliseconds since 1970.
    pub at: u64,
    /// By whom.
    pub who: String,
    /// Why.
    pub why: String,
}

/// The federation route. Its epoch only grows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// It grows by one with every change.
    pub epoch: u64,
    /// The pool that carries federation.
    pub pool: String,
    /// The pool that did before.
    pub previous: Option<String>,
    /// The operation that moves it, or that moved it and isn't over.
    #[serde(default)]
    pub operation: Option<u64>,
}

/// The number of the last operation that was begun.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operations {
    /// 0 before the first.
    pub last: u64,
}

/// A member that was enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The fingerprint of its key.
    pub fingerprint: String,
    /// When: milliseconds since 1970.
    pub at: u64,
    /// By whom.
    pub who: String,
}

/// Edge servers whose services are being stopped or drained by a controller, and until when that may take: milliseconds since
/// 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing(pub BTreeMap<String, u64>);

/// What nobody but members may know. Of what dialback keys are made of, on each face, the first makes them, and all verify them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// Shared by all edge servers.
    pub external: Vec<String>,
    /// Shared by all gateways.
    pub internal: Vec<String>,
    /// Whether the last of each is a new one that makes no keys yet.
    #[serde(default)]
    pub waiting: bool,
    /// The private keys of zones that are signed, or were, by the zones' names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub zones: BTreeMap<String, String>,
}

impl Secrets {
    /// The private keys of zones, so that they can't be shown.
    pub fn zone_keys(&self) -> BTreeMap<String, Secret> {
        self.zones.iter().map(|(zone, key)| (zone.clone(), Secret::new(key.clone()))).collect()
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// Where the secrets lie.
pub fn secrets() -> Key {
    fixed("secrets")
}

/// Where it lies whose services are being closed.
pub fn services() -> Key {
    fixed("service/closing")
}

/// Where a member's enrolment lies.
///
/// # Errors
/// When that is no member's name.
pub fn member(fqdn: &str) -> Result<Key, store::KeyError> {
    members().below(fqdn)
}

/// Where the installation lies.
pub fn installation() -> Key {
    fixed("installation")
}

/// Where the current version's number lies.
pub fn head() -> Key {
    fixed("topology/head")
}

/// Where a version lies.
pub fn version(version: u64) -> Key {
    fixed(&format!("topology/version/{version:010}"))
}

/// Below which all versions lie.
pub fn versions() -> Key {
    fixed("topology/version")
}

/// Where a piece of a document lies.
pub fn piece(document: &Hash, number: usize) -> Key {
    fixed(&format!("document/{document}/{number:04}"))
}

/// Below which a document's pieces lie.
pub fn pieces(document: &Hash) -> Key {
    fixed(&format!("document/{document}"))
}

/// Where the route lies.
pub fn route() -> Key {
    fixed("route/federation")
}

/// Where the number of the last operation lies.
pub fn operations_head() -> Key {
    fixed("operation/head")
}

/// Where an operation lies.
pub fn operation(number: u64) -> Key {
    fixed(&format!("operation/entry/{number:010}"))
}

/// Below which all operations lie.
pub fn operations() -> Key {
    fixed("operation/entry")
}

/// Below which members lie.
pub fn members() -> Key {
    fixed("member")
}

/// Where the end of the audit trail lies.
pub fn audit_head() -> Key {
    fixed("audit/head")
}

/// Below which it lies what is ours in each zone of DNS.
pub fn zones() -> Key {
    fixed("zone")
}

/// Where it lies what is ours in this zone.
///
/// # Errors
/// When its name can't be part of a key.
pub fn zone(name: &str) -> Result<Key, StoreError> {
    zones().below(name.trim_end_matches('.')).map_err(|error| StoreError::Refused {
        what: error.to_string(),
        fix: "name the zone in the topology as DNS has it".to_owned(),
    })
}

/// Where an entry of the audit trail lies.
pub fn audit(number: u64) -> Key {
    fixed(&format!("audit/entry/{number:012}"))
}

/// Below which the audit trail's entries lie.
pub fn audits() -> Key {
    fixed("audit/entry")
}

fn fixed(text: &str) -> Key {
    text.parse().expect("digits, letters and slashes make a key")
}

/// As it is put into the store.
pub fn write(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("records have no maps with other keys than text")
}

/// As it was put into the store.
///
/// # Errors
/// [`StoreError::Damaged`], when somebody else wrote there.
pub fn read<R: DeserializeOwned>(key: &Key, entry: &Entry) -> Result<R, StoreError> {
    serde_json::from_slice(&entry.value).map_err(|error| StoreError::Damaged {
        what: format!("what lies at {key} can't be read ({error})"),
        fix: "has a newer fedge-control written it, or something else? Bring it back from a backup".to_owned(),
    })
}
