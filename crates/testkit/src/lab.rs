//! A laboratory: contoso.test with its XMPP server behind fedge, and partners outside, all of it real.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::Signal;

use crate::client::Client;
use crate::fedge::Programs;
use crate::lab_dns::LabDns;
use crate::packages::Debian;
use crate::pki::{LabCa, Request};
use crate::place::Place;
use crate::process::Daemon;
use crate::server::{Authentication, Server, ServerPlan};
use crate::{ejabberd, jabberd2, prosody};

pub mod border;
pub mod installation;
mod layout;
pub mod paced;
pub mod played;
mod settings;
pub mod split;
pub mod steady;
pub mod target;

pub use layout::{Layout, Spot};
use target::Workshop;

/// The organisation that runs fedge.
pub const CONTOSO: &str = "contoso.test";
/// A partner.
pub const FABRIKAM: &str = "fabrikam.test";
/// A partner.
pub const TAILSPIN: &str = "tailspin.test";
/// A partner.
pub const WOODGROVE: &str = "woodgrove.test";

/// How long a daemon of ours may take to end on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where servers take direct TLS on a port of its own.
const DIRECT_TLS: u16 = 5270;

/// Servers that a laboratory can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are their own names")]
pub enum Kind {
    Prosody,
    Ejabberd,
    Jabberd2,
}

impl Kind {
    /// The Debian packages that it takes.
    pub fn packages(self) -> &'static [&'static str] {
        match self {
            Kind::Prosody => prosody::PACKAGES,
            Kind::Ejabberd => ejabberd::PACKAGES,
            Kind::Jabberd2 => jabberd2::PACKAGES,
        }
    }

    fn start(self, debian: &Debian, place: &Place, plan: ServerPlan, folder: &Path) -> anyhow::Result<Server> {
        match self {
            Kind::Prosody => prosody::start(debian, place, plan, folder),
            Kind::Ejabberd => ejabberd::start(debian, place, plan, folder),
            Kind::Jabberd2 => jabberd2::start(debian, place, plan, folder),
        }
    }
}

/// A server and how it lets others prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// What runs there.
    pub kind: Kind,
    /// Certificates only, or dialback.
    pub authentication: Authentication,
}

/// What a laboratory consists of.
#[derive(Debug, Clone)]
pub struct LabPlan {
    /// Contoso's server, behind fedge. With [`Authentication::Dialback`], fedge has no internal CA.
    pub inside: Peer,
    /// The partners by domain: [`FABRIKAM`], [`TAILSPIN`], [`WOODGROVE`].
    pub partners: Vec<(&'static str, Peer)>,
    /// Whether DNS tells only of direct TLS, everywhere; else only of STARTTLS outside, and of both inside.
    pub direct_tls: bool,
    /// More lines for fedge-edge's configuration, sections of it.
    pub more: String,
    /// Whether Prosodys send again what wasn't acknowledged when a stream between servers broke.
    pub resends: bool,
    /// Whether servers log everything.
    pub debug: bool,
    /// Whether contoso's server takes streams without TLS, from a proxy that ended it.
    pub plain_inside: bool,
    /// Who publishes by which names a whole installation is found.
    pub publisher: Publisher,
}

/// Who publishes by which names a whole installation is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Publisher {
    /// The laboratory, once and for all; it isn't the installation's business.
    #[default]
    Laboratory,
    /// The installation's own dns servers in the perimeter.
    Embedded,
    /// The company's name server, a BIND that takes the installation's updates.
    Bind,
}

impl LabPlan {
    /// This server inside and these partners outside, over STARTTLS.
    pub fn new(inside: Peer, partners: &[(&'static str, Peer)]) -> LabPlan {
        let (partners, more, publisher) = (partners.to_vec(), String::new(), Publisher::default());
        LabPlan {
            inside,
            partners,
            direct_tls: false,
            more,
            resends: false,
            debug: false,
            plain_inside: false,
            publisher,
        }
    }

    /// The Debian packages that it takes.
    pub fn packages(&self) -> Vec<&'static str> {
        let mut kinds = vec![self.inside.kind];
        kinds.extend(self.partners.iter().map(|(_, peer)| peer.kind));
        kinds.into_iter().flat_map(Kind::packages).copied().collect()
    }
}

/// A laboratory at work. Dropping it ends everything in it.
#[derive(Debug)]
pub struct Lab {
    /// Where everything is.
    pub layout: Layout,
    /// The DNS that everybody outside asks.
    pub dns: LabDns,
    /// The CA that everybody outside trusts.
    pub public_ca: LabCa,
    /// Contoso's server, then the partners'.
    pub servers: Vec<Server>,
    /// The daemon.
    pub fedge_edge: Daemon,
    /// The internal view.
    pub fedge_dns: Daemon,
    /// fedge's programs.
    pub programs: Programs,
    folder: PathBuf,
}

impl Lab {
    /// Builds everything up at loopback addresses of `place`, in `folder`, which must be empty, and waits
    /// until it is ready. What is being done is told to `say`.
    ///
    /// # Errors
    /// When something doesn't start; with its log.
    pub fn start(place: Place, plan: &LabPlan, folder: &Path, say: &mut dyn FnMut(&str)) -> anyhow::Result<Lab> {
        Lab::start_at(Layout::loopback(place), plan, folder, say)
    }

    /// The same wherever `layout` says.
    ///
    /// # Errors
    /// When something doesn't start; with its log.
    pub fn start_at(layout: Layout, plan: &LabPlan, folder: &Path, say: &mut dyn FnMut(&str)) -> anyhow::Result<Lab> {
        let debian = Debian::unpack(&Debian::usual_folder(), &plan.packages(), say)?;
        let programs = Programs::built()?;
        let folder = folder.canonicalize().with_context(|| format!("no folder {}", folder.display()))?;
        let public_ca = LabCa::new()?;
        let roots = public_ca.write(&folder)?;
        say("starting the public DNS, and fedge-dns for inside");
        let dns = LabDns::start(&layout.public_dns.place, layout.public_dns())?;
        publish(&dns, plan, &layout);
        let settings = settings::write(plan, &layout, &folder, &public_ca, &programs)?;
        let fedge_dns = programs.start("fedge-dns", &layout.fedge, &settings.dns, &folder.join("fedge-dns.log"))?;
        say("starting fedge-edge with its gateway");
        let fedge_edge = programs.start("fedge-edge", &layout.fedge, &settings.edge, &folder.join("fedge-edge.log"))?;
        let root = settings.internal_root.as_deref().unwrap_or(&roots);
        let servers = start_servers(&debian, plan, &layout, &public_ca, [root, &roots], &folder, say)?;
        Ok(Lab { layout, dns, public_ca, servers, fedge_edge, fedge_dns, programs, folder })
    }

    /// Checks that nobody listens where the laboratory will, which only matters on the machine's own
    /// loopback.
    ///
    /// # Errors
    /// The first address that is taken.
    pub fn check_free(place: &Place, plan: &LabPlan) -> anyhow::Result<()> {
        let layout = Layout::loopback(place.clone());
        let at = SocketAddr::new;
        let mut addresses = vec![at(layout.internal_face, 5269), at(layout.external_face, 5269)];
        addresses.extend([layout.public_dns(), layout.internal_dns]);
        addresses.extend(of_servers(plan, &layout));
        check_free(place, addresses)
    }

    /// Logs a user in at the server of his domain.
    ///
    /// # Errors
    /// When that fails.
    pub async fn login(&self, jid: &str) -> anyhow::Result<Client> {
        let domain = xmpp::jid::domain_of(jid);
        let spot = self.layout.server(domain);
        Ok(Client::login(&spot.place, SocketAddr::new(spot.address, 5222), jid, "secret").await?)
    }

    /// Runs a local command of fedge-edge, such as `status`.
    ///
    /// # Errors
    /// When it fails.
    pub fn ask(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let socket = self.socket().display().to_string();
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--socket", &socket]).collect();
        self.programs.run("fedge-edge", &arguments)
    }

    /// What a bad target is made with here.
    pub fn workshop(&self) -> Workshop<'_> {
        Workshop { place: &self.layout.fedge, dns: &self.dns, ca: &self.public_ca, folder: &self.folder }
    }

    /// Kills fedge-edge, as if its machine had lost its power.
    ///
    /// # Errors
    /// When it had ended before.
    pub fn kill_edge(&mut self) -> anyhow::Result<()> {
        self.fedge_edge.signal(Signal::SIGKILL)?;
        self.edge_ended()
    }

    /// Restarts fedge-edge in the same configuration: as an administrator would if it runs, and if it
    /// doesn't, it is just started.
    ///
    /// # Errors
    /// With its log, when it doesn't end or start.
    pub fn restart_edge(&mut self) -> anyhow::Result<()> {
        if self.fedge_edge.is_running()? {
            self.fedge_edge.signal(Signal::SIGTERM)?;
            self.edge_ended()?;
        }
        // A log of its own, in which nothing says yet that it is ready.
        let log = self.fedge_edge.log().with_added_extension("again");
        self.fedge_edge =
            self.programs.start("fedge-edge", &self.layout.fedge, &self.folder.join("edge.toml"), &log)?;
        Ok(())
    }

    fn edge_ended(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.fedge_edge.is_running()? {
            anyhow::ensure!(began.elapsed() < PATIENCE, "fedge-edge doesn't end");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Where fedge-edge answers local commands.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// Where everything keeps its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends everything as an administrator would: servers first, then fedge, each with its farewell.
    ///
    /// # Errors
    /// When something had ended before, or doesn't end.
    pub fn stop(self) -> anyhow::Result<()> {
        for server in self.servers {
            server.stop()?;
        }
        self.fedge_edge.terminate(PATIENCE)?;
        self.fedge_dns.terminate(PATIENCE)?;
        Ok(())
    }
}

/// Contoso's server, which trusts the first of `roots`, then the partners', which trust the second.
fn start_servers(
    debian: &Debian,
    plan: &LabPlan,
    layout: &Layout,
    public_ca: &LabCa,
    roots: [&Path; 2],
    folder: &Path,
    say: &mut dyn FnMut(&str),
) -> anyhow::Result<Vec<Server>> {
    let mut servers = Vec::new();
    for (index, (domain, peer)) in everybody(plan).into_iter().enumerate() {
        say(&format!("starting {:?} for {domain}", peer.kind));
        let issued = match peer.authentication {
            Authentication::External => public_ca.issue(&Request::new(&with_rooms(domain)))?,
            // Nobody looks at it.
            Authentication::Dialback => Request::new(&with_rooms(domain)).self_signed()?,
        };
        let certificate = issued.write(folder, domain)?;
        let (resolver, trusted) = match index {
            0 => (layout.internal_dns, roots[0]),
            _ => (layout.public_dns(), roots[1]),
        };
        let spot = layout.server(domain);
        let mut server = ServerPlan::new(domain, spot.address, resolver, &certificate, trusted);
        server.authentication = peer.authentication;
        server.direct_tls = Some(DIRECT_TLS);
        if peer.kind == Kind::Jabberd2 {
            (server.rooms, server.direct_tls) = (None, None);
        }
        (server.resends, server.debug) = (plan.resends, plan.debug);
        server.tls_required = index > 0 || !plan.plain_inside;
        servers.push(peer.kind.start(debian, &spot.place, server, &folder.join(format!("{domain}.d")))?);
    }
    Ok(servers)
}

fn everybody(plan: &LabPlan) -> Vec<(&'static str, Peer)> {
    [(CONTOSO, plan.inside)].into_iter().chain(plan.partners.iter().copied()).collect()
}

/// Where the servers of a plan listen.
fn of_servers(plan: &LabPlan, layout: &Layout) -> Vec<SocketAddr> {
    let servers = everybody(plan).into_iter().map(|(domain, _)| layout.server(domain).address);
    servers.flat_map(|address| [5222, 5223, 5269, DIRECT_TLS].map(|port| SocketAddr::new(address, port))).collect()
}

/// Checks that nobody in `place` listens at any of `addresses`.
fn check_free(place: &Place, addresses: Vec<SocketAddr>) -> anyhow::Result<()> {
    place.enter(move || {
        for address in addresses {
            std::net::TcpListener::bind(address).with_context(|| {
                format!("{address} is needed, and something on this machine listens there or on all addresses; stop it for the while")
            })?;
        }
        Ok(())
    })
}

/// Where the server of a domain is in a laboratory on a loopback.
pub fn address_of(domain: &str) -> IpAddr {
    Layout::loopback(Place::here()).server(domain).address
}

fn rooms(domain: &str) -> String {
    format!("conference.{domain}")
}

/// A domain, and that of its rooms.
fn with_rooms(domain: &str) -> [&str; 2] {
    // Leaked: a handful of names for the life of a test.
    [domain, rooms(domain).leak()]
}

fn publish(dns: &LabDns, plan: &LabPlan, layout: &Layout) {
    publish_server(dns, plan, CONTOSO, "edge.contoso.test", layout.external_face, 5269);
    publish_partners(dns, plan, layout);
}

fn publish_partners(dns: &LabDns, plan: &LabPlan, layout: &Layout) {
    for (domain, _) in &plan.partners {
        publish_server(dns, plan, domain, &format!("xmpp.{domain}"), layout.server(domain).address, DIRECT_TLS);
    }
}

fn publish_server(dns: &LabDns, plan: &LabPlan, domain: &str, host: &str, address: IpAddr, direct_port: u16) {
    dns.addresses(host, &[address]);
    for domain in [domain, &rooms(domain)] {
        if plan.direct_tls {
            dns.direct_tls_srv(domain, &[(10, 0, direct_port, host)]);
        } else {
            dns.srv(domain, &[(10, 0, 5269, host)]);
        }
    }
}
