//! What an answer about a zone costs `fedge-dns`, in processor time, beside two name servers that do nothing else.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use testkit::fedge::{self, Programs};
use testkit::lab::installation::{Ground, Installation, NAMESERVERS, POOLS, StoreKind, fqdn};
use testkit::lab::{CONTOSO, FABRIKAM, Kind, LabPlan, Peer, Publisher};
use testkit::packages::Debian;
use testkit::place::Place;
use testkit::process::Daemon;
use testkit::server::Authentication::External;

/// For a name server to be there.
const PATIENCE: Duration = Duration::from_secs(60);
const PACKAGES: [&str; 4] = ["knot", "knot-dnsutils", "nsd", "dnsperf"];
/// Where the others listen, in a network of their own.
const OTHERS: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 13, 1)), 53);

/// How it is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Rounds of each, in turn; one more to warm up isn't counted.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long a round takes, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

/// A name server and what it did.
struct Measured {
    name: &'static str,
    address: SocketAddr,
    daemon: Daemon,
    /// Processor time for each answer, in microseconds.
    rounds: Vec<f64>,
}

/// Measures, and prints a table for docs/performance.md.
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    ensure!(options.rounds > 0 && options.seconds > 0, "at least one round of one second");
    println!("building fedge-dns as it is released, and the rest of an installation as it is");
    let (release, programs) = (fedge::released("dns", "fedge-dns")?, Programs::built()?);
    let debian = Debian::unpack(&Debian::usual_folder(), &PACKAGES, &mut |what| println!("  {what}"))?;
    let folder = tempfile::Builder::new().prefix("fedge-bench-").tempdir()?;
    let peer = Peer { kind: Kind::Prosody, authentication: External };
    let plan = LabPlan { publisher: Publisher::Embedded, ..LabPlan::new(peer, &[(FABRIKAM, peer)]) };
    let place = Place::isolated()?;
    let ground = Ground::loopback(place.clone());
    let address = SocketAddr::new(ground.machine(NAMESERVERS[0]).external, 53);
    let mut lab = Installation::lead(ground, &plan, StoreKind::Sqlite, programs, folder.path(), &mut |_| {})?;
    // One of the two name servers goes on as it is released, without a limit, on one processor.
    lab.end(NAMESERVERS[0])?;
    let config = lab.folder().join(NAMESERVERS[0]).join("fedge.toml");
    let text = fs::read_to_string(&config)?.replace("[zones]", "[zones]\nresponses_per_second = 0");
    fs::write(&config, text.replace("level = \"debug\"", "level = \"info\""))?;
    let mut measured = vec![Measured {
        name: "fedge-dns",
        address,
        daemon: start("fedge-dns", pinned(&place, &release).arg("run").arg(&config), folder.path(), "serves zones")?,
        rounds: Vec::new(),
    }];
    fs::write(folder.path().join("zone"), zone(&debian, &place, address)?)?;
    for (number, maker) in (1..).zip(["Knot", "NSD"]) {
        let mut at = OTHERS;
        at.set_port(OTHERS.port() + number);
        let daemon = other(maker, &debian, &place, at, folder.path())?;
        measured.push(Measured { name: maker, address: at, daemon, rounds: Vec::new() });
    }
    fs::write(folder.path().join("questions"), questions())?;
    for round in 0..=options.rounds {
        for server in &mut measured {
            let (rate, cost) = server.round(&debian, &place, folder.path(), options.seconds)?;
            println!("{}: {rate:.0}/s, {cost:.2} µs of a processor for each", server.name);
            if round > 0 {
                server.rounds.push(cost);
            }
        }
    }
    println!("\n| | processor time for an answer | a processor is full with |\n|---|---|---|");
    for server in measured {
        let mut costs = server.rounds;
        costs.sort_by(f64::total_cmp);
        let [low, middle, high] = [0, 1, 2].map(|part| costs[(costs.len() - 1) * part / 2]);
        let full = 1e6 / middle;
        println!("| {} | {middle:.2} µs ({low:.2} to {high:.2}) | {full:.0} a second |", server.name);
        server.daemon.terminate(PATIENCE)?;
    }
    lab.stop()
}

impl Measured {
    /// Asks for so long, from the other processor: answers in a second, and what each cost.
    fn round(&self, debian: &Debian, place: &Place, folder: &Path, seconds: u64) -> anyhow::Result<(f64, f64)> {
        let before = self.processor_time()?;
        let mut command = debian.command(place, "usr/bin/taskset");
        command.args(["-c", "1"]).arg(debian.path("usr/bin/dnsperf"));
        command.args(["-s", &self.address.ip().to_string(), "-p", &self.address.port().to_string()]);
        command.arg("-d").arg(folder.join("questions")).args(["-l", &seconds.to_string(), "-c", "8", "-q", "200"]);
        let told = output(&mut command)?;
        let used = self.processor_time()?.saturating_sub(before);
        let number = |what: &str| -> anyhow::Result<f64> {
            let line = told.lines().find_map(|line| line.trim().strip_prefix(what));
            let word = line.and_then(|line| line.split_whitespace().next());
            word.with_context(|| format!("dnsperf says no {what}\n{told}"))?.parse().context("a number")
        };
        let (completed, lost) = (number("Queries completed:")?, number("Queries lost:")?);
        ensure!(lost < completed / 1000.0, "{} left {lost} of {completed} unanswered", self.name);
        Ok((number("Queries per second:")?, used.as_secs_f64() * 1e6 / completed))
    }

    /// Of all its processes: NSD has some.
    fn processor_time(&self) -> anyhow::Result<Duration> {
        let mut sum = Duration::ZERO;
        let mut processes = vec![self.daemon.pid().to_string()];
        while let Some(process) = processes.pop() {
            for thread in fs::read_dir(format!("/proc/{process}/task"))? {
                let thread = thread?.path();
                // In nanoseconds, where proc_pid_stat(5) has hundredths of a second.
                let told = fs::read_to_string(thread.join("schedstat"))?;
                let ran = told.split_whitespace().next().context("nothing in it")?;
                sum += Duration::from_nanos(ran.parse()?);
                let children = fs::read_to_string(thread.join("children"))?;
                processes.extend(children.split_whitespace().map(str::to_owned));
            }
        }
        Ok(sum)
    }
}

/// A program on the first processor.
fn pinned(place: &Place, program: &Path) -> Command {
    let mut command = place.command("taskset");
    command.args(["-c", "0"]).arg(program);
    command
}

fn start(name: &str, command: &mut Command, folder: &Path, ready: &str) -> anyhow::Result<Daemon> {
    let command = std::mem::replace(command, Command::new("true"));
    let mut daemon = Daemon::start(name, command, &folder.join(format!("{name}.log")))?;
    daemon.wait_for_line(ready, PATIENCE)?;
    Ok(daemon)
}

/// Knot or NSD with the same zone, with one worker.
fn other(maker: &str, debian: &Debian, place: &Place, at: SocketAddr, folder: &Path) -> anyhow::Result<Daemon> {
    let (ip, port, here) = (at.ip(), at.port(), folder.display());
    let (program, text, ready) = if maker == "Knot" {
        let text = format!(
            "server:\n    listen: {ip}@{port}\n    rundir: {here}\n    udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n\
             log:\n  - target: stderr\n    any: info\ndatabase:\n    storage: {here}/knot-db\n\
             zone:\n  - domain: {CONTOSO}\n    file: {here}/zone\n    zonefile-load: whole\n    journal-content: none\n"
        );
        ("usr/sbin/knotd", text, "server started")
    } else {
        let text = format!(
            "server:\n  ip-address: {ip}@{port}\n  username: \"\"\n  chroot: \"\"\n  zonesdir: {here}\n  database: \"\"\n  \
             pidfile: {here}/nsd.pid\n  xfrdfile: {here}/xfrd.state\n  xfrdir: {here}\n  zonelistfile: {here}/zone.list\n  \
             server-count: 1\n  rrl-ratelimit: 0\n  rrl-whitelist-ratelimit: 0\n  verbosity: 1\n\
             remote-control:\n  control-enable: no\nzone:\n  name: {CONTOSO}\n  zonefile: zone\n"
        );
        ("usr/sbin/nsd", text, "started")
    };
    let config = folder.join(format!("{maker}.conf"));
    fs::write(&config, text)?;
    let mut command = debian.command(place, "usr/bin/taskset");
    command.args(["-c", "0"]).arg(debian.path(program));
    if maker == "NSD" {
        command.arg("-d");
    }
    start(maker, command.arg("-c").arg(config), folder, ready)
}

/// What partners' resolvers ask: mostly for the service and where pools are, now and then for what isn't there.
fn questions() -> String {
    let mut text = String::new();
    for number in 0..20 {
        let _ = writeln!(text, "_xmpp-server._tcp.{CONTOSO} SRV");
        for pool in POOLS.iter().map(|(pool, _)| fqdn(pool)) {
            let _ = writeln!(text, "{pool} A\n{pool} AAAA");
        }
        let _ = writeln!(text, "_epoch.{CONTOSO} TXT\nnobody{number}.{CONTOSO} A");
    }
    text
}

/// The zone as fedge-dns says it, as others read it.
fn zone(debian: &Debian, place: &Place, server: SocketAddr) -> anyhow::Result<String> {
    let mut text = String::from("$TTL 30\n");
    let mut names = vec![(CONTOSO.to_owned(), "SOA"), (CONTOSO.to_owned(), "NS"), (format!("_epoch.{CONTOSO}"), "TXT")];
    names.push((format!("_xmpp-server._tcp.{CONTOSO}"), "SRV"));
    names.extend(NAMESERVERS.iter().map(|name| (fqdn(name), "A")));
    names.extend(POOLS.iter().map(|(pool, _)| (fqdn(pool), "A")));
    for (name, kind) in names {
        let mut command = debian.command(place, "usr/bin/kdig");
        command.args([&format!("@{}", server.ip()), &name, kind, "+noall", "+answer"]);
        let said = output(&mut command)?;
        ensure!(!said.trim().is_empty(), "fedge-dns says nothing to {name} {kind}");
        let _ = writeln!(text, "{said}");
    }
    Ok(text)
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("can't run {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(said)
}
