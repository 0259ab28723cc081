//! A laboratory with gateways inside and pools of edge servers outside, each a process of its own.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::{CONTOSO, LabPlan, Layout, publish_partners, rooms, settings, start_servers, with_rooms};
use crate::client::Client;
use crate::fedge::Programs;
use crate::lab_dns::LabDns;
use crate::packages::Debian;
use crate::pki::{LabCa, Request};
use crate::place::Place;
use crate::process::Daemon;
use crate::server::Server;

/// The gateways.
pub const GATEWAYS: [&str; 2] = ["gateway1", "gateway2"];
/// The pools and their edge servers.
pub const POOLS: [(&str, &[&str]); 2] = [("pool1", &["edge1", "edge2"]), ("pool2", &["edge3"])];
/// Where edge servers take trunks.
const TRUNK: u16 = 5280;

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
    fedge_dns: Daemon,
    programs: Programs,
    folder: PathBuf,
}

fn edges() -> impl Iterator<Item = &'static str> {
    POOLS.iter().flat_map(|(_, edges)| edges.iter().copied())
}

/// The address of a gateway's internal, or an edge server's external face.
fn address(member: &str) -> IpAddr {
    let number = member.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(1);
    IpAddr::from([127, 0, if member.starts_with("gateway") { 2 } else { 3 }, number])
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
        let layout = Layout::loopback(place);
        let debian = Debian::unpack(&Debian::usual_folder(), &plan.packages(), &mut |_| {})?;
        let programs = Programs::built()?;
        let folder = folder.canonicalize().with_context(|| format!("no folder {}", folder.display()))?;
        let public_ca = LabCa::new()?;
        let roots = public_ca.write(&folder)?;
        let dns = LabDns::start(&layout.public_dns.place, layout.public_dns())?;
        publish_partners(&dns, plan, &layout);
        publish_pools(&dns);
        fs::create_dir_all(folder.join("certificates"))?;
        let ours = public_ca.issue(&Request::new(&with_rooms(CONTOSO)))?;
        ours.write(&folder.join("certificates"), "contoso")?;
        fs::write(folder.join("dialback"), "the secret that all edge servers share\n")?;
        fs::write(folder.join("dialback-inside"), "the secret that all gateways share\n")?;
        let root = settings::internal_ca(&folder, &programs)?.join("root.crt");
        write_trunk(&folder, &programs)?;
        for edge in edges() {
            fs::write(folder.join(format!("{edge}.toml")), edge_settings(edge, plan, &layout))?;
        }
        for gateway in GATEWAYS {
            fs::write(folder.join(format!("{gateway}.toml")), gateway_settings(gateway, plan, &layout))?;
        }
        fs::write(folder.join("dns.toml"), dns_settings(&layout))?;
        let log = folder.join("fedge-dns.log");
        let fedge_dns = programs.start("fedge-dns", &layout.fedge, &folder.join("dns.toml"), &log)?;
        let servers = start_servers(&debian, plan, &layout, &public_ca, [&root, &roots], &folder, &mut |_| {})?;
        let members = BTreeMap::new();
        let mut split = Split { layout, dns, servers, members, fedge_dns, programs, folder };
        for member in edges().chain(GATEWAYS) {
            split.begin(member)?;
        }
        for gateway in GATEWAYS {
            split.wait_for_trunks(gateway, edges().count())?;
        }
        Ok(split)
    }

    /// Starts a gateway or an edge server, for the first time or again.
    ///
    /// # Errors
    /// With its log, when it doesn't start.
    pub fn begin(&mut self, member: &'static str) -> anyhow::Result<()> {
        let log = self.folder.join(format!("{member}.log"));
        // A log of before would say that it is ready.
        let log = (1..).map(|time| log.with_added_extension(time.to_string())).find(|log| !log.exists());
        let config = self.folder.join(format!("{member}.toml"));
        let log = log.context("no name for a log")?;
        let daemon = self.programs.start(program(member), &self.layout.fedge, &config, &log)?;
        self.members.insert(member, daemon);
        Ok(())
    }

    /// Kills a member where it stands.
    pub fn kill(&mut self, member: &str) {
        drop(self.members.remove(member));
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
        self.fedge_dns.terminate(Duration::from_secs(60))?;
        Ok(())
    }
}

fn ask(programs: &Programs, folder: &Path, member: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let socket = folder.join(format!("{member}.sock")).display().to_string();
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--socket", &socket]).collect();
    programs.run(program(member), &arguments)
}

/// One SRV target for each pool, the first pool first.
fn publish_pools(dns: &LabDns) {
    let mut records = Vec::new();
    for (index, (pool, edges)) in (0..).zip(POOLS) {
        let host: &str = format!("{pool}.{CONTOSO}").leak();
        let addresses: Vec<IpAddr> = edges.iter().map(|edge| address(edge)).collect();
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

fn edge_settings(edge: &str, plan: &LabPlan, layout: &Layout) -> String {
    let (address, dns) = (address(edge), layout.public_dns());
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

fn gateway_settings(gateway: &str, plan: &LabPlan, layout: &Layout) -> String {
    let mut text = format!(
        "socket = \"{gateway}.sock\"\n[log]\nlevel = \"debug\"\n\n[gateway]\nlisten = [\"{}:5269\"]\n\
         trusted = \"trusted.crt\"\nca = \"ca\"\ndialback_secrets = \"dialback-inside\"\n\n[trunk]\nroute = \"{}\"\n{}\n",
        address(gateway),
        POOLS[0].0,
        trunk_files(gateway)
    );
    for (pool, edges) in POOLS {
        let edge = |edge: &&str| format!("{{ name = \"{edge}.{CONTOSO}\", address = \"{}:{TRUNK}\" }}", address(edge));
        let edges: Vec<String> = edges.iter().map(edge).collect();
        text.push_str(&format!("[[pool]]\nname = \"{pool}\"\nedges = [{}]\n\n", edges.join(", ")));
    }
    text + &policy(plan, &format!("next_hop = \"{}:5269\"\n", layout.inside.address))
}

fn dns_settings(layout: &Layout) -> String {
    let mut text =
        format!("[view]\nlisten = [\"{}\"]\nforward = [\"{}\"]\nttl = 1\n\n", layout.internal_dns, layout.public_dns());
    for gateway in GATEWAYS {
        text.push_str(&format!(
            "[[gateway]]\nname = \"{gateway}.{CONTOSO}\"\naddresses = [\"{}\"]\n\n",
            address(gateway)
        ));
    }
    let (rooms, inside) = (rooms(CONTOSO), layout.inside.address);
    text + &format!("[[local]]\ndomains = [\"{CONTOSO}\", \"{rooms}\"]\nnext_hop = \"{inside}:5269\"\n")
}
