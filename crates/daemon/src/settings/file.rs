//! The sections as they are written: names, defaults, and nothing checked but types.

use std::net::SocketAddr;

use serde::Deserialize;
use toml::Spanned;
use xmpp::stream::Need;

/// `[metrics]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "docs/configuration.md says what each key means")]
pub struct Metrics {
    pub listen: Spanned<Vec<SocketAddr>>,
}

/// `[times]`, in seconds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "docs/configuration.md says what each key means")]
pub struct Times {
    pub establish: Spanned<u64>,
    pub idle: Spanned<u64>,
    pub keep_alive: Spanned<u64>,
    pub drain: Spanned<u64>,
    pub hold: Spanned<u64>,
}

impl Default for Times {
    fn default() -> Times {
        let default = |seconds| Spanned::new(0..0, seconds);
        Times {
            establish: default(60),
            idle: default(3600),
            keep_alive: default(300),
            drain: default(30),
            hold: default(20),
        }
    }
}

/// `[limits]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "docs/configuration.md says what each key means")]
pub struct Limits {
    pub stanza_bytes: Spanned<usize>,
    pub streams: Spanned<usize>,
    pub window_bytes: Spanned<usize>,
}

impl Default for Limits {
    fn default() -> Limits {
        let default = |number| Spanned::new(0..0, number);
        Limits { stanza_bytes: default(262_144), streams: default(15_000), window_bytes: default(1 << 20) }
    }
}

/// `[federation]`: what is demanded unless an entry says otherwise.
#[derive(Debug, Deserialize)]
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
#[derive(Debug, Clone, Copy)]
pub struct Asked(pub Need);

impl<'de> Deserialize<'de> for Asked {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Asked, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum Word {
            Required,
            Optional,
            NotSupported,
        }
        Ok(Asked(match Word::deserialize(deserializer)? {
            Word::Required => Need::Required,
            Word::Optional => Need::Optional,
            Word::NotSupported => Need::NotSupported,
        }))
    }
}

/// `[[local]]`: domains of our own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "docs/configuration.md says what each key means")]
pub struct Local {
    pub domains: Spanned<Vec<Spanned<String>>>,
    pub next_hop: Option<Spanned<String>>,
    #[serde(default)]
    pub direct_tls: bool,
    pub tls: Option<Asked>,
    pub external: Option<Asked>,
    pub dialback: Option<bool>,
    #[serde(default)]
    pub resend: bool,
}

/// `[[partner]]`: domains that we federate with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "docs/configuration.md says what each key means")]
pub struct Partner {
    pub domains: Spanned<Vec<Spanned<String>>>,
    pub next_hop: Option<Spanned<String>>,
    #[serde(default)]
    pub direct_tls: bool,
    pub tls: Option<Asked>,
    pub external: Option<Asked>,
    pub dialback: Option<bool>,
    #[serde(default)]
    pub resend: bool,
}
