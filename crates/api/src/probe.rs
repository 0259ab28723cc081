//! What a prober is asked and what it answers: each stage on the way to a domain's servers, with verdict, cause and fix.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use topology::tlsa::Tlsa;
use utoipa::ToSchema;

mod table;

pub use table::table;

/// For all of it, in seconds, where nobody says.
pub const USUAL: u64 = 10;
/// The longest that can be asked for, in seconds.
pub const LONGEST: u64 = 60;
/// A named address is looked at for so many domains at once, at most.
pub const TOGETHER: usize = 20;

/// Which domain's servers are probed, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ProbeRequest)]
pub struct Request {
    /// The domain to reach: a partner's, or a local one.
    pub to: String,
    /// The domain as which it is spoken; the first local one where it isn't given and a partner is probed.
    #[serde(default)]
    pub from: Option<String>,
    /// This address instead of what DNS or the configuration says. Nothing is proven there: it is only looked at.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub at: Option<SocketAddr>,
    /// More domains that the same server should have a certificate for: `at` is looked at once for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// Whether TLS begins with the first byte at `at` (XEP-0368).
    #[serde(default)]
    pub direct_tls: bool,
    /// Seconds for all of it, from 1 to 60; 10 where it isn't given.
    #[serde(default)]
    pub seconds: Option<u64>,
}

impl Request {
    /// As far as a stream to that domain can be set up, as an edge server or a gateway does it.
    pub fn to(domain: impl Into<String>) -> Request {
        Request { to: domain.into(), from: None, at: None, also: Vec::new(), direct_tls: false, seconds: None }
    }

    /// A look at an address, where a server of that domain should be.
    pub fn at(domain: impl Into<String>, address: SocketAddr) -> Request {
        Request { at: Some(address), ..Request::to(domain) }
    }
}

/// What the control plane is asked to have probed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ProbeWanted)]
pub struct Wanted {
    /// The domain to reach: a partner's, or a local one.
    pub domain: String,
    /// From where: a pool, an edge server or a gateway. All edge servers of the pool that carries the route where it isn't
    /// given.
    #[serde(default)]
    pub via: Option<String>,
    /// The local domain as which it is spoken; from a gateway, the partner.
    #[serde(default)]
    pub local: Option<String>,
    /// This address instead of what DNS or the policy says. Nothing is proven there: it is only looked at.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub at: Option<SocketAddr>,
    /// Whether TLS begins with the first byte at `at` (XEP-0368).
    #[serde(default)]
    pub direct_tls: bool,
    /// Seconds for each server's probe, from 1 to 60; 10 where it isn't given.
    #[serde(default)]
    pub seconds: Option<u64>,
}

/// What one server has probed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProbedBy {
    /// The edge server or gateway.
    pub server: String,
    /// What came of it.
    pub probed: Option<Probed>,
    /// Why nothing did, in a sentence.
    pub why: Option<String>,
}

/// What came of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Probed {
    /// The domain that was to be reached.
    pub to: String,
    /// The domain as which it was spoken, where one was named.
    pub from: Option<String>,
    /// From which face: `external` or `internal`.
    pub face: String,
    /// The worst of all stages.
    pub verdict: Verdict,
    /// Whether at least one target was brought as far as it was to be, and nothing of it is bad; of each domain, where it is
    /// looked for several.
    pub reached: bool,
    /// What comes before any target: policy and DNS.
    pub stages: Vec<Stage>,
    /// Each target, in the order in which they are tried.
    pub targets: Vec<Target>,
    /// Milliseconds for all of it.
    pub ms: u64,
}

impl From<&Wanted> for Request {
    fn from(wanted: &Wanted) -> Request {
        let Wanted { domain, local, at, direct_tls, seconds, via: _ } = wanted.clone();
        Request { to: domain, from: local, at, also: Vec::new(), direct_tls, seconds }
    }
}

impl Probed {
    /// All stages, in their order.
    pub fn all(&self) -> impl Iterator<Item = &Stage> {
        self.stages.iter().chain(self.targets.iter().flat_map(|target| &target.stages))
    }

    /// What is wrong, one sentence each, worst first; empty where all is well.
    pub fn faults(&self) -> Vec<String> {
        let mut bad: Vec<&Stage> = self.all().filter(|stage| stage.verdict >= Verdict::Warning).collect();
        bad.sort_by_key(|stage| std::cmp::Reverse(stage.verdict));
        bad.into_iter().map(|stage| stage.seen.clone()).collect()
    }
}

/// An address that was probed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ProbeTarget)]
pub struct Target {
    /// For which domain it was looked at, where that is another than `to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The host's name, or its address where it has none.
    pub host: String,
    /// Where.
    pub address: String,
    /// Whether TLS begins with the first byte.
    pub direct_tls: bool,
    /// The worst of its stages.
    pub verdict: Verdict,
    /// Whether it was brought as far as it was to be, and nothing of it is bad.
    pub reached: bool,
    /// Its stages, in order.
    pub stages: Vec<Stage>,
    /// What TLS settled.
    pub tls: Option<Tls>,
    /// The certificate that it showed.
    pub certificate: Option<Certificate>,
    /// What it offers in its last features before anything is proven.
    pub offers: Option<Offers>,
    /// Milliseconds for a packet there and back, as TCP's connection took.
    pub round_trip_ms: Option<u64>,
}

/// A stage on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ProbeStage)]
pub struct Stage {
    /// Which.
    pub name: Name,
    /// How it went.
    pub verdict: Verdict,
    /// What was seen, in a sentence.
    pub seen: String,
    /// The most likely cause, where it isn't good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What to do, where something can be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// How many milliseconds it took.
    pub ms: u64,
}

/// The stages, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[schema(as = ProbeName)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// Whether the pair may pass.
    Policy,
    /// Where the domain's servers are.
    Resolve,
    /// A connection.
    Tcp,
    /// The peer's stream header, and what it offers in clear.
    Header,
    /// TLS, by STARTTLS or from the first byte on.
    Tls,
    /// Whom the certificate speaks for.
    Certificate,
    /// What is offered once TLS is up.
    Features,
    /// Our proof by certificate (SASL EXTERNAL).
    External,
    /// Our proof by DNS.
    Dialback,
}

impl Name {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Name::Policy => "policy",
            Name::Resolve => "resolve",
            Name::Tcp => "tcp",
            Name::Header => "header",
            Name::Tls => "tls",
            Name::Certificate => "certificate",
            Name::Features => "features",
            Name::External => "external",
            Name::Dialback => "dialback",
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

/// How a stage went, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[schema(as = ProbeVerdict)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It wasn't come to, or wasn't needed.
    Skipped,
    /// As it should be.
    Good,
    /// It works, and somebody should look at it.
    Warning,
    /// It doesn't work.
    Bad,
}

impl Verdict {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Skipped => "skipped",
            Verdict::Good => "good",
            Verdict::Warning => "warning",
            Verdict::Bad => "bad",
        }
    }

    /// The worst of them; skipped where there are none.
    pub fn worst(all: impl IntoIterator<Item = Verdict>) -> Verdict {
        all.into_iter().max().unwrap_or(Verdict::Skipped)
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

/// What TLS settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ProbeTls)]
pub struct Tls {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The cipher suite by its IANA name.
    pub cipher: String,
    /// Whether the peer asked for our certificate, and we had one to show.
    pub shown: bool,
}

/// A certificate that was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ProbeCertificate)]
pub struct Certificate {
    /// The names that can speak for a domain.
    pub names: Vec<String>,
    /// Who issued it.
    pub issuer: String,
    /// From when it is valid: seconds since 1970.
    pub not_before: u64,
    /// When it expires: seconds since 1970.
    pub not_after: u64,
    /// In how many days that is; negative where it has expired.
    pub days: i64,
    /// What it may be used for, by extended key usage: `serverAuth`, `clientAuth`, others by number; empty where it says
    /// nothing, which is everything.
    pub usages: Vec<String>,
    /// How many certificates were shown, this one included.
    pub chain: u64,
    /// Why it doesn't prove whose it is; nothing where it does.
    pub fault: Option<String>,
    /// The TLSA records (RFC 6698) that fit it and the CAs that were shown with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub tlsa: Vec<Tlsa>,
}

/// What a peer offers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ProbeOffers)]
pub struct Offers {
    /// SASL mechanisms.
    pub mechanisms: Vec<String>,
    /// Whether it declares dialback, among the features or in its header.
    pub dialback: bool,
    /// Whether it counts stanzas (XEP-0198); most say so only to who has proven himself.
    pub stream_management: bool,
    /// The largest stanza that it takes, in bytes (XEP-0478), where it says.
    pub max_bytes: Option<u64>,
    /// After how many seconds without a word it closes (XEP-0478), where it says.
    pub idle_seconds: Option<u64>,
}
