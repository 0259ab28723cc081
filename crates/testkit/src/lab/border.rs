//! fedge-edge alone: with the DNS and the CA of a laboratory, between servers that a test plays itself.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::Signal;

use super::{CONTOSO, FABRIKAM, TAILSPIN, WOODGROVE};
use crate::fedge::Programs;
use crate::lab_dns::LabDns;
use crate::pki::{Issued, LabCa, Request};
use crate::place::Place;
use crate::process::Daemon;

/// fedge towards partners.
pub const EXTERNAL: SocketAddr = at(3, 5269);
/// fedge towards contoso's server.
pub const INTERNAL: SocketAddr = at(2, 5269);
/// Contoso's server.
pub const NEXT_HOP: SocketAddr = at(1, 5269);
/// The DNS that fedge asks.
const DNS: SocketAddr = at(9, 53);

/// Longer than anything takes here that is to come at all.
const PATIENCE: Duration = Duration::from_secs(30);

const fn at(host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, host, 1)), port)
}

/// Where DNS says that a partner's server is.
pub fn server_of(partner: &str) -> SocketAddr {
    match partner {
        FABRIKAM => at(4, 5269),
        TAILSPIN => at(5, 5269),
        WOODGROVE => at(6, 5269),
        _ => at(7, 5269),
    }
}

/// What fedge-edge is told at a [`Border`].
#[derive(Debug, Clone)]
pub struct BorderPlan {
    /// What stands in `[federation]`, line by line.
    pub federation: String,
    /// What stands in `[[local]]` of contoso.test besides its domains and its next hop.
    pub local: String,
    /// The partners: domain, and what stands in `[[partner]]` besides.
    pub partners: Vec<(String, String)>,
    /// More sections.
    pub more: String,
    /// What stands in `[log]`.
    pub log: String,
    /// What stands in `[external]` besides.
    pub external: String,
}

impl Default for BorderPlan {
    /// fabrikam.test and whatever is below it as partner; everything else as fedge has it by default.
    fn default() -> BorderPlan {
        BorderPlan {
            federation: String::new(),
            local: String::new(),
            partners: vec![(FABRIKAM.to_owned(), String::new())],
            more: String::new(),
            external: String::new(),
            log: "level = \"debug\"".to_owned(),
        }
    }
}

/// fedge-edge at work between contoso.test and its partners, which the test has to play. Dropping it
/// ends everything.
#[derive(Debug)]
pub struct Border {
    /// Where everything runs.
    pub place: Place,
    /// The DNS that fedge asks.
    pub dns: LabDns,
    /// The CA that both of fedge's faces trust.
    pub ca: LabCa,
    /// The daemon.
    pub fedge_edge: Daemon,
    /// fedge's programs.
    pub programs: Programs,
    folder: PathBuf,
}

impl Border {
    /// Starts fedge-edge in a network of its own with its files in `folder`, which may have what its
    /// configuration names besides.
    ///
    /// # Errors
    /// When something doesn't start; with its log.
    pub fn start(plan: &BorderPlan, folder: &Path) -> anyhow::Result<Border> {
        let (place, programs, ca) = (Place::isolated()?, Programs::built()?, LabCa::new()?);
        let folder = folder.canonicalize().with_context(|| format!("no folder {}", folder.display()))?;
        ca.write(&folder)?;
        ca.issue(&Request::new(&[CONTOSO]))?.write(&folder.join("certificates"), "contoso")?;
        let internal_ca = folder.join("ca").display().to_string();
        programs.run("fedge", &["ca", "init", &internal_ca, "--local", CONTOSO])?;
        let dns = LabDns::start(&place, DNS)?;
        for (domain, _) in plan.partners.iter().filter(|(domain, _)| !domain.starts_with('*')) {
            let (host, address) = (format!("xmpp.{domain}"), server_of(domain));
            dns.srv(domain, &[(10, 0, address.port(), &host)]);
            dns.addresses(&host, &[address.ip()]);
        }
        let config = folder.join("edge.toml");
        fs::write(&config, plan.text()).context("can't write edge.toml")?;
        let fedge_edge = programs.start("fedge-edge", &place, &config, &folder.join("fedge-edge.log"))?;
        Ok(Border { place, dns, ca, fedge_edge, programs, folder })
    }

    /// Starts another fedge-edge with the same configuration, for when the first has ended.
    ///
    /// # Errors
    /// With its log, when it doesn't start.
    pub fn start_another(&self, log: &str) -> anyhow::Result<Daemon> {
        self.programs.start("fedge-edge", &self.place, &self.config(), &self.folder.join(log))
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("edge.toml")
    }

    /// Where fedge-edge has its files: `certificates`, `ca`, `trusted.crt`, `socket`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes another configuration, which fedge-edge doesn't look at by itself.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn configure(&self, plan: &BorderPlan) -> anyhow::Result<()> {
        fs::write(self.config(), plan.text()).context("can't write edge.toml")
    }

    /// Tells fedge-edge to read its files again (SIGHUP), waits until it did, and gives what it logged about that.
    ///
    /// # Errors
    /// When it ended, or says nothing.
    pub fn reload(&mut self) -> anyhow::Result<String> {
        let before = self.log()?.len();
        self.fedge_edge.signal(Signal::SIGHUP)?;
        self.logged_since(before, &["were read again; other", "everything stays as it was"])
    }

    /// Waits until one of these is in a line that fedge-edge logs from there on, and gives that line.
    ///
    /// # Errors
    /// When it ended, or none comes.
    pub fn logged_since(&mut self, begin: usize, needles: &[&str]) -> anyhow::Result<String> {
        let log = self.fedge_edge.log().to_owned();
        self.fedge_edge.wait_for(&format!("one of {needles:?}"), PATIENCE, || {
            let text = fs::read_to_string(&log)?;
            let lines = text[begin..].split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let found = lines.into_iter().find(|line| needles.iter().any(|needle| line.contains(needle)));
            Ok(found.map(str::to_owned))
        })
    }

    /// Runs a local command of fedge-edge, such as `status`.
    ///
    /// # Errors
    /// When it fails.
    pub fn ask(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let socket = self.folder.join("socket").display().to_string();
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--socket", &socket]).collect();
        self.programs.run("fedge-edge", &arguments)
    }

    /// A certificate that both faces accept for `domain`.
    ///
    /// # Errors
    /// When the name isn't ASCII.
    pub fn issue(&self, domain: &str) -> anyhow::Result<Issued> {
        self.ca.issue(&Request::new(&[domain]))
    }

    /// What fedge-edge has logged.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.fedge_edge.log())?)
    }

    /// Ends fedge-edge as its administrator would.
    ///
    /// # Errors
    /// With its log, when it had ended before, doesn't end, or ends badly.
    pub fn stop(self) -> anyhow::Result<()> {
        let status = self.fedge_edge.terminate(Duration::from_secs(60))?;
        anyhow::ensure!(status.success(), "fedge-edge ended with {status}");
        Ok(())
    }
}

impl BorderPlan {
    /// With another partner, and what stands in its `[[partner]]` besides the domain.
    #[must_use]
    pub fn partner(mut self, domain: &str, terms: &str) -> BorderPlan {
        self.partners.push((domain.to_owned(), terms.to_owned()));
        self
    }

    /// The configuration file.
    pub fn text(&self) -> String {
        let mut text = format!(
            r#"socket = "socket"

[log]
{}

[external]
listen = ["{EXTERNAL}"]
certificates = "certificates"
trusted = "trusted.crt"
resolvers = ["{DNS}"]
# Everybody in this laboratory is at a loopback address.
private_targets = true
{}

[gateway]
listen = ["{INTERNAL}"]
trusted = "trusted.crt"
ca = "ca"

[federation]
{}

[[local]]
domains = ["{CONTOSO}"]
next_hop = "{NEXT_HOP}"
{}
"#,
            self.log, self.external, self.federation, self.local
        );
        for (domain, terms) in &self.partners {
            let _ = writeln!(text, "[[partner]]\ndomains = [\"{domain}\"]\n{terms}\n");
        }
        text + &self.more
    }
}
