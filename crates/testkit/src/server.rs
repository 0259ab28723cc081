//! What a laboratory wants of an XMPP server, whichever it is, and the server when it runs.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use crate::process::Daemon;

/// How long a server may take to start or to end on a machine that does much else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What a Prosody's log says of an end that broke off.
const BROKEN_END: &str = "in field 'shutdown'";

/// What Prosody and ejabberd write into their logs when a stream to another server couldn't be set up.
const GAVE_UP: [&str; 2] =
    ["queued stanzas because of failed outgoing connection to ", "Failed to establish outbound s2s connection "];

/// One XMPP server that serves one domain. Each of its ports is at its own address only, so that many
/// can run side by side.
#[derive(Debug, Clone)]
pub struct ServerPlan {
    /// The domain of its users.
    pub domain: String,
    /// The domain of its chat rooms (XEP-0045), `conference.contoso.test` for instance.
    pub rooms: Option<String>,
    /// Where it listens: for servers on port 5269, for clients on 5222, where plaintext is allowed and STARTTLS offered.
    pub address: IpAddr,
    /// The resolver that it asks, and nobody else.
    pub dns: SocketAddr,
    /// Certificate, chain and key in one PEM file, for both domains.
    pub certificate: PathBuf,
    /// PEM file of the roots that it trusts for other servers.
    pub trusted: PathBuf,
    /// How other servers prove who they are.
    pub authentication: Authentication,
    /// Whether other servers have to come over TLS; not where a proxy ends it in front of it.
    pub tls_required: bool,
    /// A port for direct TLS from other servers (XEP-0368), besides 5269. Prosody then takes clients so, too, on 5223.
    pub direct_tls: Option<u16>,
    /// Names and passwords.
    pub users: Vec<(String, String)>,
    /// The size of stanzas that it takes from clients and servers, in bytes.
    pub stanza_bytes: usize,
    /// Whether it reads slowly from each connection, as Debian configures it, or as fast as it can.
    pub rate_limits: bool,
    /// Whether Prosody sends again what wasn't acknowledged when a stream to another server broke, or returns it.
    pub resends: bool,
    /// Whether its log shows everything.
    pub debug: bool,
}

/// How an XMPP server lets other servers prove who they are. TLS is required in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// By a valid certificate and SASL EXTERNAL only; their certificates are also checked when it dials.
    External,
    /// By dialback (XEP-0220) too: no certificate is needed, a bad one doesn't matter.
    Dialback,
}

impl ServerPlan {
    /// A server for `domain` with the usual settings: EXTERNAL only, rooms at `conference.DOMAIN`, the users
    /// `alice` and `bob` with the password `secret`, stanzas up to 512 KiB, no rate limits.
    pub fn new(domain: &str, address: IpAddr, dns: SocketAddr, certificate: &Path, trusted: &Path) -> ServerPlan {
        let users = ["alice", "bob"].map(|name| (name.to_owned(), String::from("secret")));
        ServerPlan {
            domain: domain.to_owned(),
            rooms: Some(format!("conference.{domain}")),
            address,
            dns,
            certificate: certificate.to_owned(),
            trusted: trusted.to_owned(),
            authentication: Authentication::External,
            tls_required: true,
            direct_tls: None,
            users: users.into(),
            stanza_bytes: 512 * 1024,
            rate_limits: false,
            resends: false,
            debug: false,
        }
    }

    /// Where clients connect.
    pub fn c2s(&self) -> SocketAddr {
        SocketAddr::new(self.address, 5222)
    }

    /// Where other servers connect.
    pub fn s2s(&self) -> SocketAddr {
        SocketAddr::new(self.address, 5269)
    }

    /// Every port on which it listens when it is ready.
    pub(crate) fn ports(&self) -> impl Iterator<Item = SocketAddr> {
        let direct_tls = self.direct_tls.map(|port| SocketAddr::new(self.address, port));
        [self.c2s(), self.s2s()].into_iter().chain(direct_tls)
    }
}

/// A server that runs. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    /// What it was asked to be.
    pub plan: ServerPlan,
    /// Its processes, those first that have to end first.
    pub daemons: Vec<Daemon>,
}

impl Server {
    /// Its log: ejabberd prints little, and writes that itself.
    pub fn log(&self) -> PathBuf {
        let own = self.daemons[0].log();
        let written = own.with_file_name("logs").join("ejabberd.log");
        if written.is_file() { written } else { own.to_owned() }
    }

    /// How often it had something for another server, tried all of that one's SRV targets, as it does, and got no stream: it
    /// gave up, and returned what waited. A Prosody or an ejabberd says so.
    ///
    /// # Errors
    /// When its log can't be read.
    pub fn failed_streams(&self) -> anyhow::Result<usize> {
        let log = self.log();
        let text = fs::read(&log).with_context(|| format!("can't read {}", log.display()))?;
        Ok(failed_streams(&String::from_utf8_lossy(&text)))
    }

    /// Ends it as its administrator would, so that it closes its streams.
    ///
    /// COMPAT(Prosody 0.12.3): where a client leaves just as it ends, its own end breaks off in mod_c2s, and it stays. It is
    /// killed then, and that is told and no error: what was to be seen of it was seen.
    ///
    /// # Errors
    /// With the log, when it had ended before or doesn't end.
    pub fn stop(self) -> anyhow::Result<()> {
        for mut daemon in self.daemons {
            let (log, ran) = (daemon.log().to_owned(), daemon.is_running()?);
            let Err(error) = daemon.terminate(PATIENCE) else { continue };
            let text = fs::read(&log).unwrap_or_default();
            if !ran || !String::from_utf8_lossy(&text).contains(BROKEN_END) {
                return Err(error);
            }
            println!("{}: its own end broke off, so it was killed", log.display());
        }
        Ok(())
    }
}

fn failed_streams(log: &str) -> usize {
    let says_so = |line: &&str| GAVE_UP.iter().any(|words| line.contains(words));
    log.lines().filter(says_so).count()
}

/// Makes a folder for a server to live in, which must not hold an older one's files.
pub(crate) fn fresh_folder(folder: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    let folder = folder.canonicalize()?;
    let used = fs::read_dir(&folder)?.next().is_some();
    anyhow::ensure!(!used, "{} isn't empty: a server needs a folder of its own", folder.display());
    Ok(folder)
}

/// Writes one of a server's files.
pub(crate) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("can't write {}", path.display()))
}

/// An absolute path as text, for a configuration file.
pub(crate) fn text(path: &Path) -> anyhow::Result<String> {
    let path = path.canonicalize().with_context(|| format!("no {}", path.display()))?;
    path.into_os_string().into_string().map_err(|path| anyhow::anyhow!("{} isn't Unicode", path.display()))
}
