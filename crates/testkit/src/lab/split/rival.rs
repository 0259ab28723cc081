//! What others put where fedge's edge servers are, to compare: HAProxy or xmpp-proxy, for what comes in only.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::packages::Debian;
use crate::place::Place;
use crate::process::Daemon;
use crate::server::Authentication;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A proxy between partners and the internal server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rival {
    /// Debian's HAProxy, which hands on TCP: TLS and XEP-0198 are between the two servers.
    Haproxy,
    /// xmpp-proxy 1.0, which ends TLS and hands on plaintext. It asks for no certificate, so that servers prove
    /// themselves by dialback, and Prosody uses no XEP-0198.
    XmppProxy,
}

/// Where a rival stands.
#[derive(Debug, Clone, Copy)]
pub struct Post<'a> {
    /// Where it runs.
    pub place: &'a Place,
    /// Where it listens there.
    pub listen: SocketAddr,
    /// The one server that it hands on to.
    pub next_hop: SocketAddr,
    /// That server's certificate and key, in one file, for a rival that ends TLS.
    pub certificate: &'a Path,
}

impl Rival {
    /// The Debian packages that it takes.
    pub fn packages(self) -> &'static [&'static str] {
        match self {
            Rival::Haproxy => &["haproxy"],
            Rival::XmppProxy => &[],
        }
    }

    /// How servers prove who they are through it.
    pub fn authentication(self) -> Authentication {
        match self {
            Rival::Haproxy => Authentication::External,
            Rival::XmppProxy => Authentication::Dialback,
        }
    }

    /// Whether the internal server gets streams without TLS from it.
    pub(super) fn ends_tls(self) -> bool {
        self == Rival::XmppProxy
    }

    /// Sees to it that there is one to start.
    ///
    /// # Errors
    /// When it can't be had.
    pub fn provide(self) -> anyhow::Result<()> {
        if self == Rival::Haproxy || xmpp_proxy().exists() {
            return Ok(());
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["install", "--quiet", "xmpp-proxy", "--version=1.0.0", "--root"]).arg(root());
        let installed = command.status().context("can't run cargo")?.success();
        ensure!(installed, "xmpp-proxy can't be built");
        Ok(())
    }

    /// Starts it, with its files in `folder`, and waits until it listens.
    ///
    /// # Errors
    /// With its log, when it doesn't start.
    pub fn start(self, debian: &Debian, post: &Post<'_>, folder: &Path, log: &Path) -> anyhow::Result<Daemon> {
        let Post { place, listen, next_hop, certificate } = *post;
        let config = folder.join(format!("{self}-{}", listen.ip()));
        let command = match self {
            Rival::Haproxy => {
                fs::write(&config, haproxy(listen, next_hop))?;
                let mut command = debian.command(place, "usr/sbin/haproxy");
                // In the foreground.
                command.args(["-db", "-f"]).arg(&config);
                command
            }
            Rival::XmppProxy => {
                fs::write(&config, xmpp_proxy_settings(listen, next_hop, certificate))?;
                let mut command = place.command(xmpp_proxy());
                command.arg(&config);
                command
            }
        };
        let mut daemon = Daemon::start(&self.to_string(), command, log)?;
        daemon.wait_for_listener(listen, PATIENCE)?;
        Ok(daemon)
    }
}

fn haproxy(listen: SocketAddr, next_hop: SocketAddr) -> String {
    format!(
        "defaults\n\tmode tcp\n\ttimeout connect 5s\n\ttimeout client 1h\n\ttimeout server 1h\n\
         listen xmpp\n\tbind {listen}\n\tserver inside {next_hop}\n"
    )
}

fn xmpp_proxy_settings(listen: SocketAddr, next_hop: SocketAddr, certificate: &Path) -> String {
    let certificate = certificate.display();
    format!(
        "listen = [\"{listen}\"]\nc2s_target = \"{next_hop}\"\ns2s_target = \"{next_hop}\"\nproxy = false\n\
         max_stanza_size_bytes = 262144\ntls_key = \"{certificate}\"\ntls_cert = \"{certificate}\"\n"
    )
}

/// Where it is built to.
fn root() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")).join("rivals")
}

fn xmpp_proxy() -> PathBuf {
    root().join("bin/xmpp-proxy")
}

impl fmt::Display for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rival::Haproxy => "haproxy",
            Rival::XmppProxy => "xmpp-proxy",
        })
    }
}

impl FromStr for Rival {
    type Err = String;

    fn from_str(name: &str) -> Result<Rival, String> {
        let all = [Rival::Haproxy, Rival::XmppProxy];
        all.into_iter().find(|rival| rival.to_string() == name).ok_or_else(|| "haproxy or xmpp-proxy".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rival_is_found_by_its_name() {
        for rival in [Rival::Haproxy, Rival::XmppProxy] {
            assert_eq!(rival.to_string().parse(), Ok(rival));
        }
        assert!("nginx".parse::<Rival>().is_err());
    }
}
