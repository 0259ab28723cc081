//! A DNS server under controllers: enrolled by its command, led by snapshots, and started again without anybody.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use agent::authority::Authorities;
use agent::dial::{Connection, DialError, Dialer, Target};
use agent::sha256;
use agent::state::Kept;
use api::agent::{Digest, Role, Route};
use api::local::{Reply, Request};
use hickory_proto::rr::RecordType as T;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::rig::{Daemon, Resolver, ask, eventually};

const FQDN: &str = "dns1.contoso.test";
const PARTNER: &str = "_xmpp-server._tcp.fabrikam.test.";

/// A controller, and the machine of a DNS server.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    authorities: Authorities,
    dialer: Dialer,
    pub(crate) runtime: tokio::runtime::Runtime,
    resolver: Resolver,
}

impl Site {
    pub(crate) fn new() -> Site {
        let folder = TempDir::new().expect("a folder");
        let authorities = Authorities::make(&folder.path().join("ca")).expect("made");
        let dialer = Dialer::new(&authorities, "control1.contoso.test").expect("a controller");
        let runtime = tokio::runtime::Runtime::new().expect("threads");
        Site { folder, authorities, dialer, runtime, resolver: Resolver::silent() }
    }

    fn config(&self) -> String {
        let (state, forward) = (self.folder.path().join("state"), self.resolver.address.to_string());
        format!(
            "[log]\nlevel = 'debug'\nformat = 'json'\n[control]\nlisten = ['127.0.0.1:0']\nstate = {state:?}\n\
             [view]\nlisten = ['127.0.0.1:0']\nforward = [{forward:?}]\n"
        )
    }

    /// Follows what the command says, as an administrator would.
    fn enrol(&self, first: &Kept) -> Digest {
        self.enrol_by(&self.config(), first)
    }

    /// The same with another configuration.
    pub(crate) fn enrol_by(&self, config: &str, first: &Kept) -> Digest {
        let file = self.folder.path().join("dns.toml");
        std::fs::write(&file, config).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_fedge-dns"));
        command.arg("enrol").arg(&file).arg("DNS1.Contoso.test.").arg(self.authorities.agent.fingerprint().to_string());
        let mut waiting = Ended(command.stdout(Stdio::piped()).spawn().expect("the binary runs"));
        let mut lines = BufReader::new(waiting.0.stdout.take().expect("it is piped")).lines();
        let mut line = || lines.next().expect("one more line").expect("text");
        assert_eq!(line(), "The key of the dns dns1.contoso.test has the fingerprint");
        let key: Digest = line().trim().parse().expect("a fingerprint");
        line();
        assert_eq!(line().trim(), format!("fedge enrol {FQDN} {key}"));
        let address = line().strip_prefix("Waiting for a controller at ").expect("where").parse().expect("an address");
        let to = target(address, key);
        let enrolled = self.dialer.enrol(&self.authorities, &to, first);
        self.runtime.block_on(enrolled).expect("enrolled");
        assert_eq!(line(), "Enrolled, with version 1 of the topology and epoch 1 of the route. Start fedge-dns now.");
        assert!(waiting.0.wait().expect("it is ours").success());
        key
    }

    pub(crate) fn dial(&self, daemon: &Daemon, key: Digest) -> Result<Connection, DialError> {
        let address = daemon.line("controllers may come")["address"].as_str().expect("where").parse();
        self.runtime.block_on(self.dialer.dial(&target(address.expect("an address"), key)))
    }
}

/// A process that is ended with its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn target(address: SocketAddr, key: Digest) -> Target {
    Target { fqdn: FQDN.to_owned(), role: Role::Dns, addresses: vec![address], key }
}

fn snapshot(version: u64, epoch: u64, gateway: &str) -> Kept {
    let content = format!(
        "[[gateway]]\nfqdn = '{gateway}'\naddresses = ['127.0.2.1']\npriority = 10\n\
         [[local]]\ndomains = ['contoso.test']\nnext_hop = '127.0.1.1'\n"
    );
    let route = Route { epoch, pool: "pool1.contoso.test".to_owned() };
    Kept::new("contoso-1", FQDN, (version, &format!("topology {version}")), route, content)
}

fn leads_to(daemon: &Daemon, gateway: &str) -> bool {
    let answers = ask(daemon.address, PARTNER, T::SRV).answers;
    answers.len() == 1 && answers[0].data.to_string().ends_with(&format!("{gateway}."))
}

#[test]
fn it_is_enrolled_led_and_started_again_without_a_controller() {
    let site = Site::new();
    let key = site.enrol(&snapshot(1, 1, "gateway1.contoso.test"));
    let mut daemon = Daemon::start(&site.config(), None);
    assert!(leads_to(&daemon, "gateway1.contoso.test"));
    let mut connection = site.dial(&daemon, key).expect("a controller");
    assert!(!connection.hello().confirmed);

    site.runtime.block_on(async {
        connection.snapshot(&snapshot(2, 1, "gateway2.contoso.test")).await.expect("taken");
        assert!(leads_to(&daemon, "gateway2.contoso.test"), "from the moment on that it says so");
        let mut bad = snapshot(3, 1, "gateway3.contoso.test");
        bad.content = bad.content.replace("127.0.2.1", "0.0.0.0");
        bad.head.content = sha256(bad.content.as_bytes());
        let refused = connection.snapshot(&bad).await.expect_err("nobody is there").to_string();
        assert!(refused.contains("no gateway can be reached at 0.0.0.0"), "{refused}");
        let refused = connection.snapshot(&snapshot(1, 1, "gateway1.contoso.test")).await.expect_err("it is old");
        assert!(refused.to_string().contains("is older than version 2"), "{refused}");
        connection.local(Request::Status).await.expect("asked");
        match connection.next().await.expect("an answer") {
            Some(Reply::Status(status)) => {
                assert_eq!((status.program.as_str(), status.concerns.len()), ("fedge-dns", 0));
            }
            other => panic!("{other:?}"),
        }
    });
    assert!(leads_to(&daemon, "gateway2.contoso.test"));

    // The file is read again, and names lead where controllers said.
    daemon.reload(|config| config.replace("[view]", "[view]\nttl = 9"));
    daemon.line("serves the internal view as configured now");
    assert_eq!(ask(daemon.address, PARTNER, T::SRV).answers[0].ttl, 9);
    assert!(leads_to(&daemon, "gateway2.contoso.test"));

    // Killed, with nobody there: it starts from its disk.
    daemon.signal(Signal::SIGKILL);
    daemon.ended();
    let began = Instant::now();
    let daemon = Daemon::start(&site.config(), None);
    assert!(leads_to(&daemon, "gateway2.contoso.test"));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let connection = site.dial(&daemon, key).expect("a controller");
    assert!(!connection.hello().confirmed);
    assert_eq!(connection.hello().have, Some(snapshot(2, 1, "gateway2.contoso.test").head));
}

#[test]
fn a_snapshot_that_is_lost_is_waited_for() {
    let site = Site::new();
    let key = site.enrol(&snapshot(1, 1, "gateway1.contoso.test"));
    std::fs::write(site.folder.path().join("state/snapshot"), "torn").expect("written");
    let (config, agent) = (site.config(), free_address());
    let config = config.replacen("127.0.0.1:0", &agent.to_string(), 1);
    // It says what it serves only once it has something to serve.
    let starting = std::thread::spawn(move || Daemon::start(&config, None));
    let sent = eventually("the agent", || {
        let dialed = site.runtime.block_on(site.dialer.dial(&target(agent, key))).ok();
        let mut connection = dialed?;
        assert_eq!(connection.hello().have, None);
        assert!(connection.hello().concerns[0].contains("isn't what was written"), "{:?}", connection.hello());
        Some(site.runtime.block_on(connection.snapshot(&snapshot(1, 1, "gateway1.contoso.test"))))
    });
    sent.expect("taken");
    assert!(leads_to(&starting.join().expect("no panic"), "gateway1.contoso.test"));
}

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}

#[test]
fn who_was_never_enrolled_is_told_so() {
    let site = Site::new();
    let file = site.folder.path().join("dns.toml");
    std::fs::write(&file, site.config()).expect("written");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fedge-dns"));
        command.args(arguments).output().expect("the binary runs")
    };
    let path = file.to_str().expect("text");
    let ran = run(&["run", path]);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(said.contains("this member was never enrolled; its command `enrol` does that"), "{said}");
    std::fs::write(&file, site.config().replace("[control]", "[uncontrolled]")).expect("written");
    let ca = site.authorities.agent.fingerprint().to_string();
    let ran = run(&["enrol", path, FQDN, &ca]);
    assert_eq!(ran.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("there is no [control]"));
    assert_eq!(run(&["enrol", path, FQDN, "1234"]).status.code(), Some(64), "a fingerprint that isn't whole");
}
