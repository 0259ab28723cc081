//! A laboratory with gateways inside and pools of edge servers outside, each a process of its own.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::{
    CONTOSO, Kind, LabPlan, Layout, Spot, everybody, publish_partners, rooms, settings, start_servers, with_rooms,
};
use crate::client::Client;
use crate::fedge::Programs;
use crate::lab_dns::LabDns;
use crate::packages::Debian;
use crate::pki::{LabCa, Request};
use crate::place::Place;
use crate::process::Daemon;
use crate::server::Server;

mod asked;
pub mod keepalived;
mod rival;
mod sites;

pub use rival::{Post, Rival};
pub use sites::Sites;

/// The gateways.
pub const GATEWAYS: [&str; 2] = ["gateway1", "gateway2"];
/// The pools and their edge servers.
pub const POOLS: [(&str, &[&str]); 2] = [("pool1", &["edge1", "edge2"]), ("pool2", &["edge3"])];
/// Where edge servers take trunks.
pub const TRUNK: u16 = 5280;

/// A laboratory at work. Dropping it ends everything in it.
#[derive(Debug)]
pub struct Split {
    /// Where everything is.
    pub layout: Layout,
    /// The DNS that everybody outside asks.
    pub dns: LabDns,
    /// Contoso's server, then the partners'.
    pub servers: Vec<Server>,
    /// Gateways and edge servers by name: those that run.
    pub members: BTreeMap<&'static str, Daemon>,
    /// Where the members are.
    pub sites: Sites,
    /// What stands in the place of fedge's members, where it isn't fedge.
    rival: Option<Rival>,
    fedge_dns: Option<Daemon>,
    programs: Programs,
    debian: Debian,
    /// What runs at each of `servers`.
    kinds: Vec<Kind>,
    folder: PathBuf,
}

/// All edge servers.
pub fn edges() -> impl Iterator<Item = &'static str> {
    POOLS.iter().flat_map(|(_, edges)| edges.iter().copied())
}

fn program(member: &str) -> &'static str {
    if member.starts_with("gateway") { "fedge-gateway" } else { "fedge-edge" }
}

impl Split {
    /// Builds everything up at loopback addresses of `place`, in `folder`, which must be empty, and
    /// waits until it is ready and every trunk is up. The route is on the first pool.
    ///
    /// # Errors
    /// When something doesn't start; with its log.
    pub fn start(place: Place, plan: &LabPlan, folder: &Path) -> anyhow::Result<Split> {
        Split::start_at(Sites::loopback(place), plan, folder, Programs::built()?)
    }

    /// The same wherever `sites` says, with these builds of fedge's programs.
    ///
    /// # Errors
    /// When something doesn't start; with its log.
    pub fn start_at(sites: Sites, plan: &LabPlan, folder: &Path, programs: Programs) -> anyhow::Result<Split> {
        let layout = sites.layout.clone();
        let debian = Debian::unpack(&Debian::usual_folder(), &plan.packages(), &mut |_| {})?;
        let folder = folder.canonicalize().with_context(|| format!("no folder {}", folder.display()))?;
        let public_ca = LabCa::new()?;
        let roots = public_ca.write(&folder)?;
        let dns = LabDns::start(&layout.public_dns.place, layout.public_dns())?;
        publish_partners(&dns, plan, &layout);
        publish_pools(&dns, &sites, usize::MAX);
        fs::create_dir_all(folder.join("certificates"))?;
        let ours = public_ca.issue(&Request::new(&with_rooms(CONTOSO)))?;
        ours.write(&folder.join("certificates"), "contoso")?;
        fs::write(folder.join("dialback"), "the secret that all edge servers share\n")?;
        fs::write(folder.join("dialback-inside"), "the secret that all gateways share\n")?;
        let root = settings::internal_ca(&folder, &programs)?.join("root.crt");
        write_trunk(&folder, &programs)?;
        for edge in edges() {
            fs::write(folder.join(format!("{edge}.toml")), edge_settings(edge, plan, &sites))?;
        }
        for gateway in GATEWAYS {
            fs::write(folder.join(format!("{gateway}.toml")), gateway_settings(gateway, plan, &sites))?;
        }
        fs::write(folder.join("dns.toml"), dns_settings(&sites))?;
        let log = folder.join("fedge-dns.log");
        let fedge_dns = programs.start("fedge-dns", &layout.fedge, &folder.join("dns.toml"), &log)?;
        let servers = start_servers(&debian, plan, &layout, &public_ca, [&root, &roots], &folder, &mut |_| {})?;
        let members = BTreeMap::new();
        let kinds = everybody(plan).into_iter().map(|(_, peer)| peer.kind).collect();
        let (rival, fedge_dns) = (None, Some(fedge_dns));
        let mut split =
            Split { layout, dns, servers, members, sites, rival, fedge_dns, programs, debian, kinds, folder };
        for member in split.everybody() {
            split.begin(member)?;
        }
        for gateway in GATEWAYS {
            split.wait_for_trunks(gateway, edges().count())?;
        }
        Ok(split)
    }

    /// The same with a rival at the first edge server of each pool, one SRV target each. What goes out goes
    /// straight to the partners.
    ///
    /// # Errors
    /// When something doesn't start; with its log.
    pub fn start_rival(
        sites: Sites,
        plan: &LabPlan,
        folder: &Path,
        programs: Programs,
        rival: Rival,
    ) -> anyhow::Result<Split> {
        let layout = Layout { internal_dns: sites.layout.public_dns(), ..sites.layout.clone() };
        let packages: Vec<&str> = plan.packages().into_iter().chain(rival.packages().iter().copied()).collect();
        let debian = Debian::unpack(&Debian::usual_folder(), &packages, &mut |_| {})?;
        rival.provide()?;
        let folder = folder.canonicalize().with_context(|| format!("no folder {}", folder.display()))?;
        let public_ca = LabCa::new()?;
        let roots = public_ca.write(&folder)?;
        let dns = LabDns::start(&layout.public_dns.place, layout.public_dns())?;
        publish_partners(&dns, plan, &layout);
        publish_pools(&dns, &sites, 1);
        let plan = &LabPlan { plain_inside: rival.ends_tls(), ..plan.clone() };
        let servers = start_servers(&debian, plan, &layout, &public_ca, [&roots, &roots], &folder, &mut |_| {})?;
        let (members, rival, fedge_dns) = (BTreeMap::new(), Some(rival), None);
        let kinds = everybody(plan).into_iter().map(|(_, peer)| peer.kind).collect();
        let mut split =
            Split { layout, dns, servers, members, sites, rival, fedge_dns, programs, debian, kinds, folder };
        for member in split.everybody() {
            split.begin(member)?;
        }
        Ok(split)
    }

    /// All members that there are when all is well.
    pub fn everybody(&self) -> Vec<&'static str> {
        match self.rival {
            Some(_) => POOLS.iter().map(|(_, edges)| edges[0]).collect(),
            None => edges().chain(GATEWAYS).collect(),
        }
    }

    /// What stands in the place of fedge's members, where it isn't fedge.
    pub fn rival(&self) -> Option<Rival> {
        self.rival
    }

    /// Starts a gateway or an edge server, for the first time or again.
    ///
    /// # Errors
    /// With its log, when it doesn't start.
    pub fn begin(&mut self, member: &'static str) -> anyhow::Result<()> {
        let log = self.folder.join(format!("{member}.log"));
        // A log of before would say that it is ready.
        let log = (1..).map(|time| log.with_added_extension(time.to_string())).find(|log| !log.exists());
        let log = log.context("no name for a log")?;
        let Spot { place, address } = self.sites.member(member);
        let daemon = match self.rival {
            Some(rival) => {
                let (at, certificate) = (|ip| SocketAddr::new(ip, 5269), self.folder.join(format!("{CONTOSO}.pem")));
                let (listen, next_hop) = (at(*address), at(self.layout.inside.address));
                let post = Post { place, listen, next_hop, certificate: &certificate };
                rival.start(&self.debian, &post, &self.folder, &log)?
            }
            None => self.programs.start(program(member), place, &self.folder.join(format!("{member}.toml")), &log)?,
        };
        self.members.insert(member, daemon);
        Ok(())
    }

    /// Kills a member where it stands.
    pub fn kill(&mut self, member: &str) {
        drop(self.members.remove(member));
    }

    /// Kills the server of a domain and everything that it knew, and starts it again after `pause`.
    ///
    /// # Errors
    /// With its log, when it doesn't start again.
    ///
    /// # Panics
    /// When the domain has no server here, which is a mistake in a test.
    pub fn replace_server(&mut self, domain: &str, pause: Duration) -> anyhow::Result<()> {
        let index = self.servers.iter().position(|server| server.plan.domain == domain).expect("a domain of the plan");
        let killed = self.servers.remove(index);
        let plan = killed.plan.clone();
        drop(killed);
        std::thread::sleep(pause);
        let name = |life: &u32| self.folder.join(format!("{domain}.d{life}"));
        let folder = (2..).map(|life| name(&life)).find(|folder| !folder.exists()).context("no name for a folder")?;
        let place = self.layout.server(domain).place.clone();
        self.servers.insert(index, self.kinds[index].start(&self.debian, &place, plan, &folder)?);
        Ok(())
    }

    /// The packages that it runs from.
    pub fn debian(&self) -> &Debian {
        &self.debian
    }

    /// Where everything keeps its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Waits until a gateway has that many trunks up.
    ///
    /// # Errors
    /// When that doesn't come about.
    pub fn wait_for_trunks(&mut self, gateway: &'static str, trunks: usize) -> anyhow::Result<()> {
        let (programs, folder) = (self.programs.clone(), self.folder.clone());
        let daemon = self.members.get_mut(gateway).context("this gateway doesn't run")?;
        daemon.wait_for("its trunks", Duration::from_secs(30), || {
            let status = ask(&programs, &folder, gateway, &["status"])?;
            Ok((status.matches(": connected").count() == trunks).then_some(()))
        })
    }

    /// Runs a local command of a member, such as `status`.
    ///
    /// # Errors
    /// When it fails.
    pub fn ask(&self, member: &str, arguments: &[&str]) -> anyhow::Result<String> {
        ask(&self.programs, &self.folder, member, arguments)
    }

    /// The same from another thread, while this one does something else.
    pub fn asker(&self) -> impl Fn(&str, &[&str]) -> anyhow::Result<String> + Send + use<> {
        let (programs, folder) = (self.programs.clone(), self.folder.clone());
        move |member, arguments| ask(&programs, &folder, member, arguments)
    }

    /// What became of the stanzas with this id and of this pair, as far as this member of fedge knows, in words.
    ///
    /// # Errors
    /// When it doesn't answer.
    pub fn fates(&self, member: &str, id: &str, (from, to): (&str, &str)) -> anyhow::Result<Vec<String>> {
        if self.rival.is_some() {
            return Ok(Vec::new());
        }
        asked::fates(&self.folder.join(format!("{member}.sock")), id, (from, to))
            .with_context(|| format!("{member} doesn't say what became of a stanza"))
    }

    /// Whether any member of fedge has stanzas without an outcome, or errors on their way.
    ///
    /// # Errors
    /// When one doesn't answer.
    pub fn holds_anything(&self) -> anyhow::Result<bool> {
        for member in self.members.keys().filter(|_| self.rival.is_none()) {
            let status = self.ask(member, &["status"])?;
            let in_flight = |line: &str| line.contains(" in flight") && !line.contains(" 0 in flight");
            if status.lines().any(|line| in_flight(line) || line.contains("errors on their way")) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes a pool carry the route, at every gateway that runs.
    ///
    /// # Errors
    /// When a gateway refuses.
    pub fn route(&self, pool: &str) -> anyhow::Result<()> {
        for gateway in GATEWAYS.iter().filter(|gateway| self.members.contains_key(**gateway)) {
            self.ask(gateway, &["route", pool])?;
        }
        Ok(())
    }

    /// Logs a user in at the server of his domain.
    ///
    /// # Errors
    /// When that fails.
    pub async fn login(&self, jid: &str) -> anyhow::Result<Client> {
        let spot = self.layout.server(xmpp::jid::domain_of(jid));
        Ok(Client::login(&spot.place, SocketAddr::new(spot.address, 5222), jid, "secret").await?)
    }

    /// Ends everything as an administrator would.
    ///
    /// # Errors
    /// When something had ended before, or doesn't end.
    pub fn stop(self) -> anyhow::Result<()> {
        for server in self.servers {
            server.stop()?;
        }
        for (_, member) in self.members {
            member.terminate(Duration::from_secs(60))?;
        }
        self.fedge_dns.map(|dns| dns.terminate(Duration::from_secs(60))).transpose()?;
        Ok(())
    }
}

fn ask(programs: &Programs, folder: &Path, member: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let socket = folder.join(format!("{member}.sock")).display().to_string();
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--socket", &socket]).collect();
    programs.run(program(member), &arguments)
}

/// One SRV target for each pool, the first pool first, with so many of its edge servers at most.
fn publish_pools(dns: &LabDns, sites: &Sites, most: usize) {
    let mut records = Vec::new();
    for (index, (pool, edges)) in (0..).zip(POOLS) {
        let host: &str = format!("{pool}.{CONTOSO}").leak();
        let addresses: Vec<IpAddr> = edges.iter().take(most).map(|edge| sites.member(edge).address).collect();
        dns.addresses(host, &addresses);
        records.push((10 + index, 0, 5269, host));
    }
    for domain in [CONTOSO, &rooms(CONTOSO)] {
        dns.srv(domain, &records);
    }
}

fn write_trunk(folder: &Path, programs: &Programs) -> anyhow::Result<()> {
    let trunk = folder.join("trunk").display().to_string();
    programs.run("fedge", &["trunk", "init", &trunk])?;
    for (members, role) in [(edges().collect::<Vec<_>>(), "edge"), (GATEWAYS.to_vec(), "gateway")] {
        for member in members {
            programs.run("fedge", &["trunk", "member", &trunk, &format!("{member}.{CONTOSO}"), "--as", role])?;
        }
    }
    Ok(())
}

fn trunk_files(member: &str) -> String {
    format!(
        "name = \"{member}.{CONTOSO}\"\nca = \"trunk/ca.crt\"\ncertificate = \"trunk/{member}.{CONTOSO}.crt\"\n\
         key = \"trunk/{member}.{CONTOSO}.key\"\n"
    )
}

fn policy(plan: &LabPlan, next_hop: &str) -> String {
    let local = settings::terms(plan.inside);
    let mut text = format!("[[local]]\ndomains = [\"{CONTOSO}\", \"{}\"]\n{next_hop}{local}\n", rooms(CONTOSO));
    for (domain, peer) in &plan.partners {
        let terms = settings::terms(*peer);
        text.push_str(&format!("[[partner]]\ndomains = [\"{domain}\", \"{}\"]\n{terms}\n", rooms(domain)));
    }
    text + &plan.more
}

fn edge_settings(edge: &str, plan: &LabPlan, sites: &Sites) -> String {
    let (address, dns) = (sites.member(edge).address, sites.layout.public_dns());
    let gateways: Vec<String> = GATEWAYS.iter().map(|gateway| format!("\"{gateway}.{CONTOSO}\"")).collect();
    format!(
        "socket = \"{edge}.sock\"\n[log]\nlevel = \"debug\"\n\n[external]\nlisten = [\"{address}:5269\"]\n\
         certificates = \"certificates\"\ntrusted = \"trusted.crt\"\nresolvers = [\"{dns}\"]\n\
         dialback_secrets = \"dialback\"\nprivate_targets = true\n\n[trunk]\nlisten = [\"{address}:{TRUNK}\"]\n\
         gateways = [{}]\n{}\n{}",
        gateways.join(", "),
        trunk_files(edge),
        policy(plan, "")
    )
}

fn gateway_settings(gateway: &str, plan: &LabPlan, sites: &Sites) -> String {
    let shared: Vec<String> =
        GATEWAYS.iter().filter_map(|gateway| Some(format!("\"{}:5269\"", sites.shared(gateway)?))).collect();
    let shared = if shared.is_empty() { String::new() } else { format!("shared = [{}]\n", shared.join(", ")) };
    let mut text = format!(
        "socket = \"{gateway}.sock\"\n[log]\nlevel = \"debug\"\n\n[gateway]\nlisten = [\"{}:5269\"]\n{shared}\
         trusted = \"trusted.crt\"\nca = \"ca\"\ndialback_secrets = \"dialback-inside\"\n\n[trunk]\nroute = \"{}\"\n{}\n",
        sites.member(gateway).address,
        POOLS[0].0,
        trunk_files(gateway)
    );
    for (pool, edges) in POOLS {
        let edge = |edge: &&str| {
            format!("{{ name = \"{edge}.{CONTOSO}\", address = \"{}:{TRUNK}\" }}", sites.member(edge).address)
        };
        let edges: Vec<String> = edges.iter().map(edge).collect();
        text.push_str(&format!("[[pool]]\nname = \"{pool}\"\nedges = [{}]\n\n", edges.join(", ")));
    }
    text + &policy(plan, &format!("next_hop = \"{}:5269\"\n", sites.layout.inside.address))
}

fn dns_settings(sites: &Sites) -> String {
    let layout = &sites.layout;
    let mut text =
        format!("[view]\nlisten = [\"{}\"]\nforward = [\"{}\"]\nttl = 1\n\n", layout.internal_dns, layout.public_dns());
    for gateway in GATEWAYS {
        text.push_str(&format!(
            "[[gateway]]\nname = \"{gateway}.{CONTOSO}\"\naddresses = [\"{}\"]\n\n",
            sites.shared(gateway).unwrap_or(sites.member(gateway).address)
        ));
    }
    let (rooms, inside) = (rooms(CONTOSO), layout.inside.address);
    text + &format!("[[local]]\ndomains = [\"{CONTOSO}\", \"{rooms}\"]\nnext_hop = \"{inside}:5269\"\n")
}
