//! Real name servers that take updates or have a zone transferred: Debian's BIND, Knot and PowerDNS, run from unpacked packages.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::Signal;

use crate::packages::Debian;
use crate::place::Place;
use crate::process::Daemon;

mod bind;
mod knot;
mod powerdns;

/// The name of the key that may update.
pub const KEY: &str = "fedge-key";
/// Its secret. It is worth nothing outside a laboratory.
const SECRET: &str = "bGFib3JhdG9yeSBzZWNyZXQgb2YgMzIgYnl0ZXMhISE=";
/// For a name server to be there; a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whose name server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// ISC's.
    Bind,
    /// CZ.NIC's.
    Knot,
    /// PowerDNS' own, with its zones in SQLite. Only as a primary that tells nobody.
    PowerDns,
}

impl Maker {
    /// The Debian packages that it takes.
    pub fn packages(self) -> &'static [&'static str] {
        match self {
            Maker::Bind => &["bind9"],
            Maker::Knot => &["knot"],
            Maker::PowerDns => &["pdns-server", "pdns-backend-sqlite3", "sqlite3"],
        }
    }
}

/// A zone as its administrator set it up for fedge.
#[derive(Debug, Clone)]
pub struct ZonePlan {
    /// Its name, without the dot at the end.
    pub name: String,
    /// Records that stand there from the beginning, as lines of a zone file, beside SOA and NS.
    pub records: Vec<String>,
    /// The names that the key may change, with their types, relative to nothing: without the dot at the end.
    pub ours: Vec<(String, Vec<&'static str>)>,
}

impl ZonePlan {
    /// A zone with nothing in it, in which the key may change these services' and targets' names, and the mark.
    pub fn new(name: &str, services: &[&str], targets: &[&str]) -> ZonePlan {
        let mut ours = vec![(format!("_epoch.{name}"), vec!["TXT"])];
        ours.extend(services.iter().map(|service| (format!("_xmpp-server._tcp.{service}"), vec!["SRV", "CNAME"])));
        for target in targets {
            ours.push(((*target).to_owned(), vec!["A", "AAAA"]));
            ours.push((format!("_5269._tcp.{target}"), vec!["TLSA"]));
        }
        ZonePlan { name: name.to_owned(), records: Vec::new(), ours }
    }

    fn file(&self) -> String {
        let mut text =
            String::from("$TTL 30\n@ IN SOA ns1 hostmaster 1 3600 600 86400 5\n@ IN NS ns1\nns1 IN A 127.0.0.1\n");
        for record in &self.records {
            let _ = writeln!(text, "{record}");
        }
        text
    }
}

/// Which part a name server has.
#[derive(Debug, Clone)]
pub enum Part {
    /// It takes updates, and tells these.
    Primary(Vec<SocketAddr>),
    /// It has its zones transferred from there.
    Secondary(SocketAddr),
}

/// A name server at work. Dropping it ends it.
#[derive(Debug)]
pub struct NameServer {
    maker: Maker,
    place: Place,
    /// Where it answers.
    pub address: SocketAddr,
    folder: PathBuf,
    debian: Debian,
    daemon: Option<Daemon>,
}

impl NameServer {
    /// Starts one in `place`, at an address and port that nobody else has (a BIND on this machine itself: at 127.0.0.1), with its files in `folder`, which must be there.
    ///
    /// # Errors
    /// When it doesn't start; with its log.
    pub fn start(
        maker: Maker,
        place: &Place,
        address: SocketAddr,
        part: &Part,
        zones: &[ZonePlan],
        folder: &Path,
    ) -> anyhow::Result<NameServer> {
        let debian = Debian::unpack(&Debian::usual_folder(), maker.packages(), &mut |_| {})?;
        let folder = folder.canonicalize().with_context(|| format!("no folder {}", folder.display()))?;
        if let Part::Primary(_) = part {
            for zone in zones {
                fs::write(folder.join(format!("{}.zone", zone.name)), zone.file())?;
            }
        }
        write_key(&folder.join("fedge.key"))?;
        let configuration = match maker {
            Maker::Bind => {
                bind::prepare(place, address)?;
                bind::configuration(address, part, zones, &folder)
            }
            Maker::Knot => {
                fs::create_dir(folder.join("db"))?;
                knot::configuration(address, part, zones, &folder)
            }
            Maker::PowerDns => {
                anyhow::ensure!(matches!(part, Part::Primary(others) if others.is_empty()), "PowerDNS is alone here");
                powerdns::configuration(&debian, address, &folder)
            }
        };
        fs::write(folder.join("configuration"), configuration)?;
        if maker == Maker::PowerDns {
            powerdns::prepare(&debian, place, zones, &folder)?;
        }
        let mut server = NameServer { maker, place: place.clone(), address, folder, debian, daemon: None };
        server.begin()?;
        Ok(server)
    }

    /// Starts it again after it was ended.
    ///
    /// # Errors
    /// When it doesn't start; with its log.
    pub fn begin(&mut self) -> anyhow::Result<()> {
        let configuration = self.folder.join("configuration");
        let log = (1..).map(|time| self.folder.join(format!("log.{time}"))).find(|log| !log.exists());
        let (command, ready) = match self.maker {
            Maker::Bind => (bind::command(&self.debian, &self.place, &configuration), "all zones loaded"),
            Maker::Knot => (knot::command(&self.debian, &self.place, &configuration), "server started"),
            Maker::PowerDns => (powerdns::command(&self.debian, &self.place, &self.folder), "Done launching threads"),
        };
        let mut daemon = Daemon::start(&format!("{:?}", self.maker), command, &log.context("no name for a log")?)?;
        daemon.wait_for_line(ready, PATIENCE)?;
        self.daemon = Some(daemon);
        Ok(())
    }

    /// Ends it where it stands.
    pub fn kill(&mut self) {
        self.daemon = None;
    }

    /// Sends it a signal, for tests in which it freezes.
    ///
    /// # Errors
    /// When it doesn't run.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.daemon.as_mut().context("it doesn't run")?.signal(signal)
    }

    /// The key that may update, in a file as `tsig-keygen` writes it.
    pub fn key_file(&self) -> PathBuf {
        self.folder.join("fedge.key")
    }
}

/// The laboratory's key, in a file as `tsig-keygen` writes it.
///
/// # Errors
/// When it can't be written.
pub fn write_key(path: &Path) -> anyhow::Result<()> {
    fs::write(path, format!("key \"{KEY}\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{SECRET}\";\n}};\n"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o640))?;
    Ok(())
}
