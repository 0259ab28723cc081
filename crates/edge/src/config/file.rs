//! The configuration file as it is written: names, defaults, and nothing checked but types.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;
use xmpp::stream::Need;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) socket: Option<PathBuf>,
    #[serde(default)]
    pub(super) log: Log,
    pub(super) external: External,
    pub(super) gateway: Gateway,
    #[serde(default)]
    pub(super) times: Times,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) federation: Federation,
    #[serde(default)]
    pub(super) local: Vec<Spanned<Local>>,
    #[serde(default)]
    pub(super) partner: Vec<Spanned<Partner>>,
}

/// How the log is written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// From which level on.
    pub level: Level,
    /// For whom.
    pub format: Format,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the levels of every log")]
pub enum Level {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For a person.
    #[default]
    Text,
    /// For a program.
    Json,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct External {
    pub(super) listen: Spanned<Vec<SocketAddr>>,
    pub(super) certificates: PathBuf,
    #[serde(default = "system")]
    pub(super) trusted: PathBuf,
    #[serde(default)]
    pub(super) revoked: Vec<PathBuf>,
    pub(super) dialback_secrets: Option<PathBuf>,
    #[serde(default)]
    pub(super) resolvers: Vec<SocketAddr>,
    #[serde(default)]
    pub(super) private_targets: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gateway {
    pub(super) listen: Spanned<Vec<SocketAddr>>,
    pub(super) ca: Option<PathBuf>,
    #[serde(default = "system")]
    pub(super) trusted: PathBuf,
    #[serde(default)]
    pub(super) revoked: Vec<PathBuf>,
    pub(super) dialback_secrets: Option<PathBuf>,
    #[serde(default)]
    pub(super) resolvers: Vec<SocketAddr>,
}

fn system() -> PathBuf {
    PathBuf::from("system")
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Times {
    pub(super) establish: Spanned<u64>,
    pub(super) idle: Spanned<u64>,
    pub(super) keep_alive: Spanned<u64>,
    pub(super) drain: Spanned<u64>,
    pub(super) hold: Spanned<u64>,
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    pub(super) stanza_bytes: Spanned<usize>,
    pub(super) streams: Spanned<usize>,
    pub(super) window_bytes: Spanned<usize>,
}

impl Default for Limits {
    fn default() -> Limits {
        let default = |number| Spanned::new(0..0, number);
        Limits { stanza_bytes: default(262_144), streams: default(15_000), window_bytes: default(1 << 20) }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Federation {
    pub(super) open: bool,
    pub(super) tls: Asked,
    pub(super) external: Asked,
    pub(super) dialback: bool,
}

impl Default for Federation {
    fn default() -> Federation {
        Federation { open: false, tls: Asked(Need::Required), external: Asked(Need::Optional), dialback: true }
    }
}

/// How much something is asked for, in Lync's words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked(pub(super) Need);

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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Local {
    pub(super) domains: Spanned<Vec<Spanned<String>>>,
    pub(super) next_hop: Spanned<String>,
    #[serde(default)]
    pub(super) direct_tls: bool,
    pub(super) tls: Option<Asked>,
    pub(super) external: Option<Asked>,
    pub(super) dialback: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Partner {
    pub(super) domains: Spanned<Vec<Spanned<String>>>,
    pub(super) next_hop: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) direct_tls: bool,
    pub(super) tls: Option<Asked>,
    pub(super) external: Option<Asked>,
    pub(super) dialback: Option<bool>,
}
