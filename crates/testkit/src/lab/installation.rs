//! A laboratory of a whole installation under controllers: two sites, two pools, set up by the commands of its administrator.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::{CONTOSO, LabPlan, Publisher, publish_partners, rooms, settings, start_servers, with_rooms};
use crate::client::Client;
use crate::clock::Clock;
use crate::etcd::{self, Etcd};
use crate::fedge::Programs;
use crate::lab_dns::LabDns;
use crate::name_server::NameServer;
use crate::packages::Debian;
use crate::pki::{LabCa, Request};
use crate::process::Daemon;
use crate::server::Server;

mod ask;
mod enrol;
mod found;
mod ground;
mod names;
mod written;

pub use ask::members_of;
pub use enrol::enrol;
pub use ground::{Ground, Machine};
pub use written::{SITES, many};

/// The controllers.
pub const CONTROLLERS: [&str; 2] = ["ctl1", "ctl2"];
/// The gateways.
pub const GATEWAYS: [&str; 2] = ["gateway1", "gateway2"];
/// What leads the internal server to the gateways.
pub const DNS: &str = "dns1";
/// What partners' resolvers ask where the installation publishes its own names: one in the perimeter of each site.
pub const NAMESERVERS: [&str; 2] = ["ns1", "ns2"];
/// Who looks from a third site, where a test has it come ([`Installation::add_witness`]).
pub const WITNESS: &str = "witness1";
/// The pools and their edge servers.
pub const POOLS: [(&str, [&str; 2]); 2] = [("pool1", ["edge1", "edge2"]), ("pool2", ["edge3", "edge4"])];

/// Longer than anything takes here that is to come at all.
const PATIENCE: Duration = Duration::from_secs(120);
/// How the API is asked: who is at the keyboard.
const ADMINISTRATOR: &str = "anna";

/// Where topology and state live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// In a file, which both controllers use.
    Sqlite,
    /// In an etcd cluster of three.
    Etcd,
}

impl StoreKind {
    /// The Debian packages that it takes.
    pub fn packages(self) -> &'static [&'static str] {
        match self {
            StoreKind::Sqlite => &[],
            StoreKind::Etcd => etcd::PACKAGES,
        }
    }

    /// fedge's programs that know it.
    ///
    /// # Errors
    /// When they can't be built.
    pub fn programs(self) -> anyhow::Result<Programs> {
        match self {
            StoreKind::Sqlite => Programs::built(),
            StoreKind::Etcd => Programs::with_etcd(),
        }
    }
}

/// An installation at work. Dropping it ends everything in it.
#[derive(Debug)]
pub struct Installation {
    /// Where everything is.
    pub ground: Ground,
    /// The DNS that everybody outside asks.
    pub dns: LabDns,
    /// The company's name server, where it publishes by which names the installation is found.
    pub name_server: Option<NameServer>,
    /// The CA that everybody outside trusts.
    pub public_ca: LabCa,
    /// Contoso's server, then the partners'.
    pub servers: Vec<Server>,
    /// Controllers and members by name: those that run.
    pub daemons: BTreeMap<&'static str, Daemon>,
    /// Whose clock isn't the machine's: they go by these as soon as they are started again.
    pub clocks: BTreeMap<&'static str, Clock>,
    /// The store's own servers, where it has any.
    pub etcd: Option<Etcd>,
    /// fedge's programs.
    pub programs: Programs,
    /// What new machines are told of the controllers.
    pub fingerprint: String,
    folder: PathBuf,
}

/// All edge servers.
pub fn edges() -> impl Iterator<Item = &'static str> {
    POOLS.into_iter().flat_map(|(_, edges)| edges)
}

/// All that are enrolled, those first that others find when they start.
pub fn members() -> impl Iterator<Item = &'static str> {
    [DNS].into_iter().chain(edges()).chain(GATEWAYS)
}

/// The name in the topology.
pub fn fqdn(name: &str) -> String {
    format!("{name}.{CONTOSO}")
}

/// Which of fedge's daemons a machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Control,
    Edge,
    Witness,
    Gateway,
    Dns,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Program::Control => "fedge-control",
            Program::Edge | Program::Witness => "fedge-edge",
            Program::Gateway => "fedge-gateway",
            Program::Dns => "fedge-dns",
        }
    }
}

fn program(name: &str) -> Program {
    match name {
        DNS => Program::Dns,
        _ if NAMESERVERS.contains(&name) => Program::Dns,
        WITNESS => Program::Witness,
        _ if CONTROLLERS.contains(&name) => Program::Control,
        _ if GATEWAYS.contains(&name) => Program::Gateway,
        _ => Program::Edge,
    }
}

impl Installation {
    /// Builds everything up in `folder`, which must be empty, and waits until all goes by the topology. What is being
    /// done is told to `say`.
    ///
    /// # Errors
    /// When something doesn't start; with its log.
    pub fn start(
        ground: Ground,
        plan: &LabPlan,
        store: StoreKind,
        folder: &Path,
        say: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Installation> {
        let mut made = Installation::lead(ground, plan, store, store.programs()?, folder, say)?;
        made.serve(plan, say)?;
        Ok(made)
    }

    /// The same without XMPP servers, and with these builds of fedge's programs.
    ///
    /// # Errors
    /// When something doesn't start; with its log.
    pub fn lead(
        ground: Ground,
        plan: &LabPlan,
        store: StoreKind,
        programs: Programs,
        folder: &Path,
        say: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Installation> {
        let folder = folder.canonicalize().with_context(|| format!("no folder {}", folder.display()))?;
        let public_ca = LabCa::new()?;
        public_ca.write(&folder)?;
        public_ca.issue(&Request::new(&with_rooms(CONTOSO)))?.write(&folder.join("certificates"), "contoso")?;
        settings::internal_ca(&folder, &programs)?;
        let dns = LabDns::start(&ground.layout.public_dns.place, ground.layout.public_dns())?;
        publish_partners(&dns, plan, &ground.layout);
        let mut name_server = None;
        let nameservers: &[&str] = match plan.publisher {
            Publisher::Laboratory => {
                publish_pools(&dns, &ground);
                &[]
            }
            Publisher::Embedded => {
                let servers = NAMESERVERS.map(|name| SocketAddr::new(ground.machine(name).external, 53));
                dns.delegate(CONTOSO, &servers);
                &NAMESERVERS
            }
            Publisher::Bind => {
                let server = names::begin(&ground, &folder)?;
                dns.delegate(CONTOSO, &[server.address]);
                name_server = Some(server);
                &[]
            }
        };
        let (servers, daemons, etcd, fingerprint) = (Vec::new(), BTreeMap::new(), None, String::new());
        let clocks = BTreeMap::new();
        let mut made = Installation {
            ground,
            dns,
            name_server,
            public_ca,
            servers,
            daemons,
            clocks,
            etcd,
            programs,
            fingerprint,
            folder,
        };
        made.begin_control(store, say)?;
        made.publish_first(plan, say)?;
        for member in members().chain(nameservers.iter().copied()) {
            say(&format!("enrolling {}", fqdn(member)));
            made.enrol(member)?;
            made.begin(member)?;
        }
        made.wait_until_well()?;
        if plan.publisher == Publisher::Bind {
            let told = made.fedge(&["dns", "apply", "--why", "the first time", "--yes"])?;
            say(&format!("fedge dns apply: {}", told.lines().last().unwrap_or_default()));
        }
        Ok(made)
    }

    /// Starts the XMPP servers.
    fn serve(&mut self, plan: &LabPlan, say: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        let debian = Debian::unpack(&Debian::usual_folder(), &plan.packages(), say)?;
        let (layout, roots) = (&self.ground.layout, self.folder.join("trusted.crt"));
        let inner = self.folder.join("ca/root.crt");
        self.servers = start_servers(&debian, plan, layout, &self.public_ca, [&inner, &roots], &self.folder, say)?;
        Ok(())
    }

    /// CAs, a store, a user, and the controllers.
    fn begin_control(&mut self, store: StoreKind, say: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        let store = match store {
            StoreKind::Sqlite => format!("sqlite:{}", self.folder.join("store.db").display()),
            StoreKind::Etcd => {
                say("starting an etcd of three, with TLS and users");
                let folder = self.folder.join("etcd");
                fs::create_dir(&folder)?;
                let place = self.ground.machine(CONTROLLERS[0]).place.clone();
                let etcd = Etcd::start_at(self.ground.etcd.clone(), place, &folder)?;
                etcd.secure()?;
                self.etcd.insert(etcd).store()
            }
        };
        let told = self.done("fedge-control", &["init", &self.path("control-ca")])?;
        self.fingerprint = told.lines().last().unwrap_or_default().trim().to_owned();
        let token = self.program("fedge-control").args(["token", ADMINISTRATOR, "--role", "administrator"]).output()?;
        fs::write(self.folder.join("token"), &token.stdout)?;
        let user = String::from_utf8(token.stderr)?;
        let user = user.split("\n\n").next().context("what to write for a user")?.to_owned();
        for controller in CONTROLLERS {
            say(&format!("starting the controller {}", fqdn(controller)));
            self.configure(controller, &store, &user)?;
            self.begin(controller)?;
        }
        Ok(())
    }

    fn publish_first(&self, plan: &LabPlan, say: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        let file = self.path("topology.toml");
        let partner = plan.partners.first().context("there is no partner")?.0;
        let first = written::first(&self.ground);
        let told: Vec<&str> = ["topology", "init", &file, "--partner", partner].into_iter().collect();
        self.fedge(&[told, first.iter().map(String::as_str).collect()].concat())?;
        let mut text = written::whole(&fs::read_to_string(&file)?, &self.ground, plan)?;
        text.extend(self.name_server.as_ref().map(names::zone));
        fs::write(&file, text)?;
        self.fedge(&["topology", "check", &file])?;
        let told = self.fedge(&["topology", "publish", &file, "--why", "the first one"])?;
        say(&format!("fedge topology publish: {}", told.lines().next().unwrap_or_default()));
        Ok(())
    }

    /// Enrols a member, for the first time or anew; its daemon must not run.
    ///
    /// # Errors
    /// With what either side said.
    pub fn enrol(&self, member: &'static str) -> anyhow::Result<()> {
        if !self.configuration(member).exists() {
            self.configure(member, "", "")?;
        }
        let mut command = self.ground.machine(member).place.command(self.programs.path(program(member).name()));
        command.arg("enrol").arg(self.configuration(member)).args([&fqdn(member), &self.fingerprint]);
        enrol(command, |typed| self.try_fedge(typed))
    }

    /// Has a witness come in a site of its own, and waits until all is well with it, too.
    ///
    /// # Errors
    /// When it doesn't start; with its log.
    pub fn add_witness(&mut self) -> anyhow::Result<()> {
        self.publish_with(&written::witness(&self.ground), "a witness")?;
        self.enrol(WITNESS)?;
        self.begin(WITNESS)?;
        self.wait_until_well()
    }

    fn configure(&self, name: &str, store: &str, user: &str) -> anyhow::Result<()> {
        fs::create_dir(self.folder.join(name))?;
        fs::write(self.configuration(name), self.written(name, store, user))?;
        Ok(())
    }

    fn written(&self, name: &str, store: &str, user: &str) -> String {
        let text = written::configuration(name, &self.ground, store, user);
        match &self.name_server {
            Some(server) if program(name) == Program::Control => text + &names::key(server),
            _ => text,
        }
    }

    /// The configuration of a machine's daemon.
    fn configuration(&self, name: &str) -> PathBuf {
        self.folder.join(name).join("fedge.toml")
    }

    /// Starts a controller or a member, for the first time or again.
    ///
    /// # Errors
    /// With its log, when it doesn't start.
    pub fn begin(&mut self, name: &'static str) -> anyhow::Result<()> {
        // A log of before would say that it is ready.
        let log = (1..).map(|time| self.folder.join(format!("{name}.log.{time}"))).find(|log| !log.exists());
        let (log, place) = (log.context("no name for a log")?, &self.ground.machine(name).place);
        let (clock, program) = (self.clocks.get(name), program(name).name());
        let daemon = self.programs.start_by(clock, program, place, &self.configuration(name), &log)?;
        self.daemons.insert(name, daemon);
        Ok(())
    }

    /// Kills a controller or a member where it stands.
    pub fn kill(&mut self, name: &str) {
        drop(self.daemons.remove(name));
    }

    /// Ends a controller or a member as its administrator would.
    ///
    /// # Errors
    /// When it had ended before, or doesn't end.
    pub fn end(&mut self, name: &str) -> anyhow::Result<()> {
        let daemon = self.daemons.remove(name).with_context(|| format!("{name} doesn't run"))?;
        let status = daemon.terminate(PATIENCE)?;
        ensure!(status.success(), "{name} ended with {status}");
        Ok(())
    }

    /// How often an XMPP server, inside or outside, couldn't set up a stream at any of another one's SRV targets.
    ///
    /// # Errors
    /// When a log can't be read.
    pub fn failed_streams(&self) -> anyhow::Result<usize> {
        self.servers.iter().map(Server::failed_streams).sum()
    }

    /// Logs a user in at the server of his domain.
    ///
    /// # Errors
    /// When that fails.
    pub async fn login(&self, jid: &str) -> anyhow::Result<Client> {
        let spot = self.ground.layout.server(xmpp::jid::domain_of(jid));
        Ok(Client::login(&spot.place, SocketAddr::new(spot.address, 5222), jid, "secret").await?)
    }

    /// Where everything keeps its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file of it, as text.
    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Ends everything as an administrator would: servers first, then members, then the control plane.
    ///
    /// # Errors
    /// When something had ended before, or doesn't end.
    pub fn stop(mut self) -> anyhow::Result<()> {
        for server in std::mem::take(&mut self.servers) {
            server.stop()?;
        }
        let everybody: Vec<&str> =
            GATEWAYS.into_iter().chain(edges()).chain([DNS, WITNESS]).chain(NAMESERVERS).chain(CONTROLLERS).collect();
        for name in everybody.into_iter().filter(|name| self.daemons.contains_key(name)).collect::<Vec<_>>() {
            self.end(name)?;
        }
        Ok(())
    }
}

/// One SRV target for each pool, the first pool first.
fn publish_pools(dns: &LabDns, ground: &Ground) {
    let pools = POOLS.map(|(pool, edges)| (fqdn(pool), edges));
    for (pool, edges) in &pools {
        dns.addresses(pool, &edges.map(|edge| ground.machine(edge).external));
    }
    let records: Vec<_> = (1..).zip(&pools).map(|(place, (pool, _))| (place * 10, 0, 5269, pool.as_str())).collect();
    for domain in [CONTOSO, &rooms(CONTOSO)] {
        dns.srv(domain, &records);
    }
}
