//! A real etcd cluster of three: each member on a host of its own, TLS on both sides everywhere.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::document;
use crate::lab::Spot;
use crate::packages::Debian;
use crate::place::{Network, Place};
use crate::process::Daemon;

/// How many members there are: one may be missing.
pub const MEMBERS: usize = 3;
/// The packages that it takes.
pub const PACKAGES: &[&str] = &["etcd-server", "etcd-client"];
/// Where administrators are told how to set up its users.
const DOCUMENT: &str = "docs/store.md";
/// Where each member takes clients, and the others.
pub const PORTS: [u16; 2] = [CLIENTS, PEERS];
const CLIENTS: u16 = 2379;
const PEERS: u16 = 2380;
/// Some of etcdctl's commands wait for a leader without end.
const SHELL_SECONDS: &str = "30";
/// For a member to be there; a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster at work. Dropping it ends everything in it.
#[derive(Debug)]
pub struct Etcd {
    spots: Vec<Spot>,
    members: Vec<Option<Daemon>>,
    /// Where its clients are.
    clients: Place,
    /// Where each member has a host of its own.
    network: Option<Network>,
    debian: Debian,
    folder: PathBuf,
}

impl Etcd {
    /// Builds a cluster up in `folder`, which must be empty, and waits until all members are there.
    ///
    /// # Errors
    /// When something doesn't start; with its log.
    pub fn start(folder: &Path) -> anyhow::Result<Etcd> {
        let network = Network::new()?;
        let host = || network.host().map(|host| Spot { place: Place::clone(&host), address: host.ipv4().into() });
        let spots = (0..MEMBERS).map(|_| host()).collect::<anyhow::Result<Vec<_>>>()?;
        let clients = host()?.place;
        let etcd = Etcd::start_at(spots, clients, folder)?;
        Ok(Etcd { network: Some(network), ..etcd })
    }

    /// The same with its members there, for clients in `clients`.
    ///
    /// # Errors
    /// When something doesn't start; with its log.
    pub fn start_at(spots: Vec<Spot>, clients: Place, folder: &Path) -> anyhow::Result<Etcd> {
        let debian = Debian::unpack(&Debian::usual_folder(), PACKAGES, &mut |_| {})?;
        let folder = folder.canonicalize().with_context(|| format!("no folder {}", folder.display()))?;
        certificates(&folder, &spots)?;
        let members = (0..MEMBERS).map(|_| None).collect();
        let mut etcd = Etcd { spots, members, clients, network: None, debian, folder };
        for index in 0..MEMBERS {
            etcd.begin(index)?;
        }
        for index in 0..MEMBERS {
            etcd.wait_for(index)?;
        }
        Ok(etcd)
    }

    /// From where its clients reach it.
    pub fn place(&self) -> Place {
        self.clients.clone()
    }

    /// A line of a shell script where its clients are; `etcdctl` is found.
    pub fn shell(&self, line: &str) -> Command {
        let mut command = self.debian.command(&self.clients, "usr/bin/timeout");
        let found = self.debian.path("usr/bin");
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", found.display())).args([SHELL_SECONDS, "sh", "-e", "-c", line]);
        command
    }

    /// A file of its clients': `ca.crt`, `client.crt` or `client.key`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Its endpoints, with commas between.
    pub fn endpoints(&self) -> String {
        let urls: Vec<String> = self.spots.iter().map(|spot| url(spot.address, CLIENTS)).collect();
        urls.join(",")
    }

    /// Starts a member that isn't there.
    ///
    /// # Errors
    /// When the program can't be started.
    pub fn begin(&mut self, index: usize) -> anyhow::Result<()> {
        let (name, spot) = (name(index), &self.spots[index]);
        let everybody: Vec<String> = self
            .spots
            .iter()
            .enumerate()
            .map(|(at, spot)| format!("{}={}", self::name(at), url(spot.address, PEERS)))
            .collect();
        let (clients, peers) = (url(spot.address, CLIENTS), url(spot.address, PEERS));
        let [ca, certificate, key] =
            [self.file("ca.crt"), self.file(&format!("{name}.crt")), self.file(&format!("{name}.key"))];
        let mut command = self.debian.command(&spot.place, "usr/bin/etcd");
        command.args(["--name", &name, "--initial-cluster", &everybody.join(",")]);
        command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.arg("--data-dir").arg(self.folder.join(&name));
        for side in ["", "peer-"] {
            command.arg(format!("--{side}client-cert-auth"));
            command.arg(format!("--{side}trusted-ca-file")).arg(&ca);
            command.arg(format!("--{side}cert-file")).arg(&certificate);
            command.arg(format!("--{side}key-file")).arg(&key);
        }
        let daemon = Daemon::start(&name, command, &self.folder.join(format!("{name}.log")))?;
        self.members[index] = Some(daemon);
        Ok(())
    }

    /// Waits until a member takes clients.
    ///
    /// # Errors
    /// When it doesn't, with its log.
    pub fn wait_for(&mut self, index: usize) -> anyhow::Result<()> {
        let at = SocketAddr::from((self.spots[index].address, CLIENTS));
        let member = self.members[index].as_mut().with_context(|| format!("{} isn't there", name(index)))?;
        member.wait_for_listener(at, PATIENCE)
    }

    /// Kills a member, as a power cut would.
    pub fn kill(&mut self, index: usize) {
        self.members[index] = None;
    }

    /// Freezes a member, or thaws it.
    ///
    /// # Errors
    /// When it isn't there.
    pub fn freeze(&mut self, index: usize, frozen: bool) -> anyhow::Result<()> {
        let member = self.members[index].as_mut().with_context(|| format!("{} isn't there", name(index)))?;
        member.signal(if frozen { Signal::SIGSTOP } else { Signal::SIGCONT })
    }

    /// Pulls a member's cable, or plugs it in again.
    ///
    /// # Errors
    /// With what `ip` says when it fails; or where members have no hosts of their own.
    pub fn cut(&self, index: usize, cut: bool) -> anyhow::Result<()> {
        match (&self.network, self.spots[index].address) {
            (Some(network), IpAddr::V4(address)) => network.plug(address, !cut),
            _ => anyhow::bail!("{} has no host of its own here", name(index)),
        }
    }

    /// Switches authentication on, with a user that may use what is below one prefix, by the commands of docs/store.md.
    ///
    /// # Errors
    /// With what etcdctl says when it fails.
    pub fn secure(&self) -> anyhow::Result<()> {
        for line in [document::lines(DOCUMENT, "sh", "> /")?, document::lines(DOCUMENT, "sh", "etcdctl ")?].concat() {
            // A backup takes something to be in it.
            if !line.contains("snapshot") && !line.contains("sqlite3") {
                self.administer(&line)?;
            }
        }
        Ok(())
    }

    /// Runs a line of docs/store.md here. There is no leader at first, and an answer may be lost: then again.
    ///
    /// # Errors
    /// With what it says when it fails.
    pub fn administer(&self, line: &str) -> anyhow::Result<()> {
        let script = [document::lines(DOCUMENT, "sh", "export ETCD")?, vec![line.to_owned()]].concat().join("\n");
        let (endpoints, folder) = (self.endpoints(), self.file("").display().to_string());
        let one = endpoints.split(',').next().unwrap_or_default();
        let script = script.replace("https://etcd1.contoso.test:2379", one);
        let folders = ["/etc/fedge/etcd/", "/srv/secret/", "/srv/backup/"];
        let script = folders.iter().fold(script, |script, told| script.replace(told, &folder));
        let began = Instant::now();
        loop {
            let output = self.shell(&script).output().context("no shell")?;
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            let done_before = ["already", "user name is empty"].iter().any(|word| told.contains(word));
            if output.status.success() || done_before {
                return Ok(());
            }
            anyhow::ensure!(began.elapsed() < PATIENCE * 2, "{line}: {told}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What a controller's configuration says of it, as the user that [`Etcd::secure`] makes.
    pub fn store(&self) -> String {
        let file = |name: &str| self.file(name).display().to_string();
        format!(
            "etcd:{}?ca={}&certificate={}&key={}&user=fedge&password-file={}",
            self.endpoints(),
            file("ca.crt"),
            file("client.crt"),
            file("client.key"),
            file("password")
        )
    }
}

fn name(index: usize) -> String {
    format!("etcd{}", index + 1)
}

fn url(address: IpAddr, port: u16) -> String {
    format!("https://{}", SocketAddr::new(address, port))
}

fn certificates(folder: &Path, spots: &[Spot]) -> anyhow::Result<()> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    fs::write(folder.join("ca.crt"), params.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(params, key);
    // A member must come from an address in its certificate. To another one on the same loopback, it comes from the first.
    let from = |address: IpAddr| address.is_loopback().then(|| IpAddr::from([127, 0, 0, 1]));
    let names = |spot: &Spot| [spot.address].into_iter().chain(from(spot.address)).map(|address| address.to_string());
    let members = spots.iter().enumerate().map(|(index, spot)| (name(index), names(spot).collect()));
    for (name, names) in members.chain([("client".to_owned(), Vec::new())]) {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        // A common name would be taken for a user.
        params.distinguished_name = rcgen::DistinguishedName::new();
        fs::write(folder.join(format!("{name}.crt")), params.signed_by(&key, &issuer)?.pem())?;
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem())?;
    }
    Ok(())
}
