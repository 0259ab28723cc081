//! The systemd units fit the daemons and the examples, and fedge-edge tells the service manager what units wait for.

use std::fs;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use edge::config::{Configured, Inward};
use net::face::Settings;
use testkit::fedge::Programs;
use testkit::place::Place;
use testkit::process::Daemon;

use super::commands::parses;
use super::reading::{read, workspace};
use super::site::Site;

const PATIENCE: Duration = Duration::from_secs(60);

/// The values of a setting, in order.
fn values(unit: &str, setting: &str) -> Vec<String> {
    let start = format!("{setting}=");
    unit.lines().filter_map(|line| line.strip_prefix(&start)).map(str::to_owned).collect()
}

fn value(unit: &str, setting: &str) -> String {
    let mut values = values(unit, setting);
    assert_eq!(values.len(), 1, "{setting}");
    values.remove(0)
}

fn number(unit: &str, setting: &str) -> u64 {
    value(unit, setting).parse().unwrap_or_else(|_| panic!("{setting} is no number"))
}

#[test]
fn what_units_run_exists() {
    let site = Site::empty();
    for (program, config) in [
        ("fedge-edge", "edge.toml"),
        ("fedge-gateway", "gateway.toml"),
        ("fedge-dns", "dns.toml"),
        ("fedge-control", "control.toml"),
    ] {
        let unit = read(format!("packaging/systemd/{program}.service"));
        assert_eq!(value(&unit, "Type"), "notify");
        assert_eq!(value(&unit, "ExecStart"), format!("/usr/local/bin/{program} run /etc/fedge/{config}"));
        let reload = values(&unit, "ExecReload");
        assert_eq!(
            reload,
            [format!("/usr/local/bin/{program} check /etc/fedge/{config}"), "/bin/kill -HUP $MAINPID".into()]
        );
        for line in [value(&unit, "ExecStart"), reload[0].clone()] {
            parses(&site, &line).unwrap_or_else(|fault| panic!("{line}: {fault}"));
        }
    }
}

#[test]
fn what_keepalived_runs_exists_and_is_what_is_documented() {
    let site = Site::empty();
    let configuration = read("packaging/keepalived/gateways.conf");
    let script = configuration.lines().find_map(|line| line.trim().strip_prefix("script \""));
    let script = script.and_then(|rest| rest.strip_suffix('"')).expect("it has one");
    parses(&site, script).unwrap_or_else(|fault| panic!("{script}: {fault}"));
    let documented = read("docs/keepalived.md");
    let command = script.rsplit('/').next().unwrap_or_default();
    assert!(documented.contains(&format!("\n{command}\n")), "docs/keepalived.md: no `{command}`");
    for line in configuration.lines().filter_map(|line| line.trim().strip_prefix("notify_fault \"")) {
        let program = line.split(' ').next().unwrap_or_default();
        let named = program.rsplit('/').next().unwrap_or_default();
        let installed = format!("install -m 755 packaging/keepalived/{named} {program}");
        assert!(documented.contains(&installed), "docs/keepalived.md: no `{installed}`");
        assert!(workspace().join("packaging/keepalived").join(named).exists(), "no packaging/keepalived/{named}");
    }
    for shared in configuration.lines().filter_map(|line| line.trim().strip_suffix("/32 dev eth0")) {
        assert!(documented.contains(&format!("addresses = [\"{shared}\"]")), "docs/keepalived.md: no {shared}");
    }
}

/// Whether the unit gives the daemon what it may need by its configuration.
fn leaves_room(program: &str, listen: usize, settings: &Settings, socket: Option<&Path>) {
    let unit = read(format!("packaging/systemd/{program}.service"));
    let drain = settings.stream.drain + Duration::from_secs(28);
    assert!(Duration::from_secs(number(&unit, "TimeoutStopSec")) > drain, "{program} would be killed while it drains");
    let streams = u64::try_from(2 * listen * settings.streams).expect("not that many");
    assert!(number(&unit, "LimitNOFILE") > streams, "{program}: {streams} streams need as many descriptors");
    let folder = Path::new("/run").join(value(&unit, "RuntimeDirectory"));
    assert_eq!(socket.and_then(Path::parent), Some(folder.as_path()));
}

#[test]
fn units_leave_room_for_what_the_examples_allow() {
    let example = |name: &str| workspace().join("docs/examples").join(name);
    for name in ["edge.toml", "edge-trunk.toml"] {
        let configured = Configured::read(&example(name)).expect("the example is good");
        let Configured::Edge(config) = configured else { panic!("{name} is an edge server's") };
        let inward = match &config.inward {
            Inward::Gateway { face, .. } => face.listen.len(),
            Inward::Trunk { course, .. } => course.trunk.len(),
            // The agent, and the trunk as controllers say.
            Inward::Control(control) => 2 * control.listen.len(),
        };
        let listen = config.external.listen.len() + inward;
        leaves_room("fedge-edge", listen, &config.settings, config.socket.as_deref());
    }
    let config = gateway::config::Config::read(&example("gateway.toml")).expect("the example is good");
    leaves_room("fedge-gateway", config.face.listen.len(), &config.settings, config.socket.as_deref());
}

/// The next thing that the daemon has told the service manager, if there is one. It is looked for and not waited for:
/// a `recv` with a time-out fails wherever the process is stopped and continued meanwhile (signal(7)), and doesn't see
/// that the daemon has ended.
fn told(manager: &UnixDatagram) -> io::Result<Option<String>> {
    let mut bytes = [0; 4096];
    match manager.recv(&mut bytes) {
        Ok(length) => Ok(Some(String::from_utf8_lossy(&bytes[..length]).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

#[test]
fn the_service_manager_is_told() {
    let site = Site::new();
    let example = read("docs/examples/edge.toml");
    let loopback = example
        .replace("\"192.0.2.10:5269\", \"[2001:db8::10]:5269\"", "\"127.0.3.1:5269\", \"[::1]:5269\"")
        .replace("10.0.0.10:5269", "127.0.2.1:5269")
        .replace("/run/fedge-edge/socket", "socket");
    fs::write(site.path("edge.toml"), loopback).expect("written");
    let manager = UnixDatagram::bind(site.path("notify")).expect("a socket");
    manager.set_nonblocking(true).expect("it is a socket");
    let place = Place::isolated().expect("this runs as root");
    let programs = Programs::built().expect("fedge's programs can be built");
    let mut command = place.command(programs.path("fedge-edge"));
    command.arg("run").arg(site.path("edge.toml")).env("NOTIFY_SOCKET", site.path("notify"));
    command.env("SSL_CERT_FILE", site.path("system.crt"));
    let mut daemon = Daemon::start("fedge-edge", command, &site.path("log")).expect("it starts");
    let ready = daemon.wait_for("a word to the service manager", PATIENCE, || Ok(told(&manager)?));
    assert_eq!(ready.expect("it tells in time").trim(), "READY=1");
    assert!(site.path("socket").exists(), "it is ready when it can be asked");
    let ended = daemon.terminate(PATIENCE).expect("it ends");
    assert!(ended.success(), "{ended}");
    let stopping = told(&manager).expect("it can be read").expect("it told before it ended");
    assert_eq!(stopping.trim(), "STOPPING=1");
    assert!(!site.path("socket").exists(), "it takes its socket away");
}
