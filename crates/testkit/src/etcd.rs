//! A real etcd cluster of three: each member on a host of its own, TLS on both sides everywhere.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::packages::Debian;
use crate::place::{Host, Network, Place};
use crate::process::Daemon;

/// How many members there are: one may be missing.
pub const MEMBERS: usize = 3;
const CLIENTS: u16 = 2379;
const PEERS: u16 = 2380;
/// For a member to be there; a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster at work. Dropping it ends everything in it.
#[derive(Debug)]
pub struct Etcd {
    hosts: Vec<Host>,
    members: Vec<Option<Daemon>>,
    /// Where its clients are.
    clients: Host,
    _network: Network,
    debian: Debian,
    folder: PathBuf,
}

impl Etcd {
    /// Builds a cluster up in `folder`, which must be empty, and waits until all members are there.
    ///
    /// # Errors
    /// When something doesn't start; with its log.
    pub fn start(folder: &Path) -> anyhow::Result<Etcd> {
        let debian = Debian::unpack(&Debian::usual_folder(), &["etcd-server", "etcd-client"], &mut |_| {})?;
        let network = Network::new()?;
        let hosts = (0..MEMBERS).map(|_| network.host()).collect::<anyhow::Result<Vec<_>>>()?;
        let clients = network.host()?;
        let folder = folder.canonicalize().with_context(|| format!("no folder {}", folder.display()))?;
        certificates(&folder, &hosts)?;
        let members = (0..MEMBERS).map(|_| None).collect();
        let mut etcd = Etcd { hosts, members, clients, _network: network, debian, folder };
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
        Place::clone(&self.clients)
    }

    /// A line of a shell script where its clients are; `etcdctl` is found.
    pub fn shell(&self, line: &str) -> Command {
        let mut command = self.debian.command(&self.clients, "bin/sh");
        let found = self.debian.path("usr/bin");
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", found.display())).args(["-e", "-c", line]);
        command
    }

    /// A file of its clients': `ca.crt`, `client.crt` or `client.key`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Its endpoints, with commas between.
    pub fn endpoints(&self) -> String {
        let urls: Vec<String> = self.hosts.iter().map(|host| url(host.ipv4(), CLIENTS)).collect();
        urls.join(",")
    }

    /// Starts a member that isn't there.
    ///
    /// # Errors
    /// When the program can't be started.
    pub fn begin(&mut self, index: usize) -> anyhow::Result<()> {
        let (name, host) = (name(index), &self.hosts[index]);
        let everybody: Vec<String> = self
            .hosts
            .iter()
            .enumerate()
            .map(|(at, host)| format!("{}={}", self::name(at), url(host.ipv4(), PEERS)))
            .collect();
        let (clients, peers) = (url(host.ipv4(), CLIENTS), url(host.ipv4(), PEERS));
        let [ca, certificate, key] =
            [self.file("ca.crt"), self.file(&format!("{name}.crt")), self.file(&format!("{name}.key"))];
        let mut command = self.debian.command(host, "usr/bin/etcd");
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
        let at = SocketAddr::from((self.hosts[index].ipv4(), CLIENTS));
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
    /// With what `ip` says when it fails.
    pub fn cut(&self, index: usize, cut: bool) -> anyhow::Result<()> {
        if cut { self.hosts[index].link_down() } else { self.hosts[index].link_up() }
    }
}

fn name(index: usize) -> String {
    format!("etcd{}", index + 1)
}

fn url(host: Ipv4Addr, port: u16) -> String {
    format!("https://{host}:{port}")
}

fn certificates(folder: &Path, hosts: &[Host]) -> anyhow::Result<()> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    fs::write(folder.join("ca.crt"), params.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(params, key);
    let members = hosts.iter().enumerate().map(|(index, host)| (name(index), vec![host.ipv4().to_string()]));
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
