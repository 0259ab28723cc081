//! Local domains and partners as administrators write them, in daemons' files and in the topology alike.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Spanned;
use xmpp::stream::Need;

/// `[federation]`: what is demanded unless an entry says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "docs/configuration.md says what each key means")]
pub struct Federation {
    pub open: bool,
    pub tls: Asked,
    pub external: Asked,
    pub dialback: bool,
}

impl Default for Federation {
    fn default() -> Federation {
        Federation { open: false, tls: Asked(Need::Required), external: Asked(Need::Optional), dialback: true }
    }
}

/// How much something is asked for, in Lync's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked(pub Need);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Required,
    Optional,
    NotSupported,
}

impl<'de> Deserialize<'de> for Asked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Asked, D::Error> {
        Ok(Asked(match Word::deserialize(deserializer)? {
            Word::Required => Need::Required,
            Word::Optional => Need::Optional,
            Word::NotSupported => Need::NotSupported,
        }))
    }
}

impl Serialize for Asked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let word = match self.0 {
            Need::Required => Word::Required,
            Need::Optional => Word::Optional,
            Need::NotSupported => Word::NotSupported,
        };
        word.serialize(serializer)
    }
}

impl Default for Entry {
    fn default() -> Entry {
        Entry {
            domains: none(),
            next_hop: None,
            direct_tls: false,
            tls: None,
            external: None,
            dialback: None,
            resend: false,
        }
    }
}

/// Nowhere in the text: the entry doesn't say it.
fn none() -> Spanned<Vec<Spanned<String>>> {
    Spanned::new(0..0, Vec::new())
}

fn no(value: &bool) -> bool {
    !value
}

/// `[[local]]` or `[[partner]]`: domains, how to reach them, and what is demanded of streams with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "docs/configuration.md says what each key means")]
pub struct Entry {
    #[serde(default = "none")]
    pub domains: Spanned<Vec<Spanned<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<Spanned<String>>,
    #[serde(default, skip_serializing_if = "no")]
    pub direct_tls: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Asked>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<Asked>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialback: Option<bool>,
    #[serde(default, skip_serializing_if = "no")]
    pub resend: bool,
}

/// `[[local]]`: domains of our own.
pub type Local = Entry;

/// `[[partner]]`: domains that we federate with.
pub type Partner = Entry;
