//! The sections as they are written: names, defaults, and nothing checked but types.

use std::net::SocketAddr;

use serde::Deserialize;
use toml::Spanned;

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
