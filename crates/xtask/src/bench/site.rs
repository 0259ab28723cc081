//! What is measured, at loopback addresses: fedge in one process and in two, one partner's servers behind both.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use testkit::fedge::Programs;
use testkit::lab::CONTOSO;
use testkit::lab::played::Sink;
use testkit::pki::{Issued, LabCa, Request};
use testkit::place::Place;
use testkit::process::Daemon;

/// Below it, there are as many domains as one likes, all with one server.
pub(super) const MANY: &str = "many.test";

/// How fedge is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Both faces in one process.
    One,
    /// A gateway and an edge server.
    Two,
}

impl Shape {
    pub(super) const BOTH: [Shape; 2] = [Shape::One, Shape::Two];

    /// Where contoso's server sends to.
    pub(super) fn internal_face(self) -> SocketAddr {
        at(2, self.host(), 15269)
    }

    fn external_face(self) -> SocketAddr {
        at(3, self.host(), 15269)
    }

    fn host(self) -> u8 {
        match self {
            Shape::One => 1,
            Shape::Two => 2,
        }
    }
}

/// Where the server of a partner is, by its number from 1.
pub(super) fn partner_at(number: u8) -> SocketAddr {
    at(4, number, 15269)
}

fn at(net: u8, host: u8, port: u16) -> SocketAddr {
    ([127, 0, net, host], port).into()
}

/// Everything that runs. Dropping it ends it.
pub(super) struct Site {
    /// The domains that are sent to, and who takes what is sent there.
    pub(super) partners: Vec<(String, Sink)>,
    /// Who takes what is sent to any domain below [`MANY`].
    pub(super) many: Sink,
    /// What proves to be contoso's server.
    pub(super) contosos: Issued,
    daemons: Vec<(Shape, Daemon)>,
}

impl Site {
    /// Starts fedge in both shapes, its files in `folder`, and as many partners.
    pub(super) async fn start(programs: &Programs, partners: usize, folder: &Path) -> anyhow::Result<Site> {
        let ca = LabCa::new()?;
        ca.write(folder)?;
        let contosos = ca.issue(&Request::new(&[CONTOSO]))?;
        contosos.write(&folder.join("certificates"), "contoso")?;
        let mut sinks = Vec::new();
        let mut policy = format!(
            "[[local]]\ndomains = [\"{CONTOSO}\"]\nnext_hop = \"127.0.1.1:15269\"\nexternal = \"required\"\n\n"
        );
        let partner = |domain: &str, address| {
            format!("[[partner]]\ndomains = [\"{domain}\"]\nnext_hop = \"{address}\"\nexternal = \"required\"\n\n")
        };
        for number in 1..=u8::try_from(partners)? {
            let (domain, address) = (format!("partner{number}.test"), partner_at(number));
            let identity = ca.issue(&Request::new(&[&domain]))?;
            policy += &partner(&domain, address);
            sinks.push((domain.clone(), Sink::start(address, &domain, CONTOSO, identity).await?));
        }
        let (below, address) = (format!("*.{MANY}"), at(5, 1, 15269));
        policy += &partner(&below, address);
        let many = Sink::start(address, MANY, CONTOSO, ca.issue(&Request::new(&[&below]))?).await?;
        let trunk = folder.join("trunk").display().to_string();
        programs.run("fedge", &["trunk", "init", &trunk])?;
        for role in ["edge", "gateway"] {
            programs.run("fedge", &["trunk", "member", &trunk, &format!("{role}.{CONTOSO}"), "--as", role])?;
        }
        let start = |program: &str, name: &str, text: String| {
            let config = folder.join(format!("{name}.toml"));
            fs::write(&config, text + &policy)?;
            programs.start(program, &Place::here(), &config, &folder.join(format!("{name}.log")))
        };
        let one = start("fedge-edge", "both", external(Shape::One) + &gateway(Shape::One))?;
        let edge = start("fedge-edge", "edge", external(Shape::Two) + &edge_trunk())?;
        let mut gateway = start("fedge-gateway", "gateway", gateway(Shape::Two) + &gateway_trunk())?;
        gateway.wait_for_line("the trunk is up", Duration::from_secs(30))?;
        let daemons = vec![(Shape::One, one), (Shape::Two, edge), (Shape::Two, gateway)];
        Ok(Site { partners: sinks, many, contosos, daemons })
    }

    /// Gives each process of fedge one processor: in each shape the first one the first, and so on.
    pub(super) fn give_each_a_processor(&self) -> anyhow::Result<()> {
        for shape in Shape::BOTH {
            let ours = self.daemons.iter().filter(|(other, _)| *other == shape);
            for (processor, (_, daemon)) in ours.enumerate() {
                let mut only = CpuSet::new();
                only.set(processor)?;
                for thread in fs::read_dir(format!("/proc/{}/task", daemon.pid()))? {
                    let thread = thread?.file_name().to_string_lossy().parse()?;
                    sched_setaffinity(Pid::from_raw(thread), &only).context("are there two processors?")?;
                }
            }
        }
        Ok(())
    }

    /// How many messages have arrived in all.
    pub(super) fn arrived(&self) -> u64 {
        self.partners.iter().map(|(_, sink)| sink.messages()).sum()
    }

    /// The processor time that each process of fedge in this shape has used so far.
    pub(super) fn processor_times(&self, shape: Shape) -> anyhow::Result<Vec<Duration>> {
        let ours = self.daemons.iter().filter(|(other, _)| *other == shape);
        ours.map(|(_, daemon)| processor_time(&daemon.pid().to_string())).collect()
    }

    /// The processes of fedge in this shape.
    pub(super) fn processes(&self, shape: Shape) -> Vec<u32> {
        self.daemons.iter().filter(|(other, _)| *other == shape).map(|(_, daemon)| daemon.pid()).collect()
    }

    /// Ends fedge as an administrator would, and then its partners.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        for (_, daemon) in self.daemons {
            daemon.terminate(Duration::from_secs(60))?;
        }
        for sink in self.partners.into_iter().map(|(_, sink)| sink).chain([self.many]) {
            sink.stop().await;
        }
        Ok(())
    }
}

/// The processor time that a process has used so far; `self` is this one. By its own clock, which counts in nanoseconds:
/// proc_pid_stat(5) tells it in hundredths of a second, in which a few handshakes are nothing.
pub(super) fn processor_time(process: &str) -> anyhow::Result<Duration> {
    let pid = if process == "self" { Pid::this() } else { Pid::from_raw(process.parse()?) };
    let used = clock_getcpuclockid(pid).and_then(ClockId::now).context("fedge has ended")?;
    Ok(used.into())
}

fn external(shape: Shape) -> String {
    format!(
        "[external]\nlisten = [\"{}\"]\ncertificates = \"certificates\"\n\
         trusted = \"trusted.crt\"\n\n",
        shape.external_face()
    )
}

fn gateway(shape: Shape) -> String {
    format!("[gateway]\nlisten = [\"{}\"]\ntrusted = \"trusted.crt\"\n\n", shape.internal_face())
}

fn trunk_files(role: &str) -> String {
    let name = format!("{role}.{CONTOSO}");
    format!(
        "name = \"{name}\"\nca = \"trunk/ca.crt\"\ncertificate = \"trunk/{name}.crt\"\nkey = \"trunk/{name}.key\"\n"
    )
}

fn edge_trunk() -> String {
    let listen = at(3, 2, 15280);
    format!("[trunk]\nlisten = [\"{listen}\"]\ngateways = [\"gateway.{CONTOSO}\"]\n{}\n", trunk_files("edge"))
}

fn gateway_trunk() -> String {
    let address = at(3, 2, 15280);
    let edges = format!("[{{ name = \"edge.{CONTOSO}\", address = \"{address}\" }}]");
    format!("[trunk]\nroute = \"pool\"\n{}\n[[pool]]\nname = \"pool\"\nedges = {edges}\n\n", trunk_files("gateway"))
}
