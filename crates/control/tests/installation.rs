//! A whole installation by its commands: a controller, a topology, a member that is enrolled, led, and goes on alone.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::fedge::Programs;
use testkit::place::Place;
use testkit::process::Daemon;

const CONTROLLER: &str = "127.0.5.1:5272";
const DNS: &str = "dns1.contoso.test";
/// Longer than anything takes here that is to come at all.
const PATIENCE: Duration = Duration::from_secs(60);

const TOPOLOGY: &str = r#"
[installation]
name = "Contoso"
[[site]]
name = "Site1"
[[pool]]
fqdn = "pool1.contoso.test"
site = "Site1"
[[edge]]
fqdn = "edge1.contoso.test"
pool = "pool1.contoso.test"
external = ["127.0.6.1"]
internal = ["127.0.6.2"]
[[gateway]]
fqdn = "gateway1.contoso.test"
site = "Site1"
internal = ["127.0.5.3"]
[[dns]]
fqdn = "dns1.contoso.test"
site = "Site1"
internal = ["127.0.5.2"]
[[controller]]
fqdn = "ctl1.contoso.test"
site = "Site1"
internal = ["127.0.5.1"]
[route]
pools = ["pool1.contoso.test"]
[[local]]
domains = ["contoso.test"]
next_hop = "127.0.5.9"
[[partner]]
domains = ["fabrikam.test"]
"#;

/// An installation on the loopback of a place of its own.
struct Installation {
    place: Place,
    folder: tempfile::TempDir,
    programs: Programs,
    /// What new machines are told.
    fingerprint: String,
}

impl Installation {
    /// CAs, a user and a configuration of the controller.
    fn new() -> Installation {
        let programs = Programs::built().expect("fedge is built");
        let place = Place::isolated().expect("root");
        let folder = tempfile::tempdir().expect("a folder");
        let mut made = Installation { place, folder, programs, fingerprint: String::new() };
        let init = good(made.program("fedge-control").arg("init").arg(made.file("ca")));
        made.fingerprint = init.lines().last().expect("it says it").trim().to_owned();
        made.configure("control.toml", ("ctl1.contoso.test", CONTROLLER), ("anna", "token"));
        made
    }

    /// A controller's configuration, with a user whose token lies in that file.
    fn configure(&self, file: &str, (name, listen): (&str, &str), (user, token): (&str, &str)) {
        let made = self.program("fedge-control").args(["token", user, "--role", "administrator"]).output();
        let made = made.expect("it runs");
        std::fs::write(self.file(token), &made.stdout).expect("written");
        let user = String::from_utf8(made.stderr).expect("text");
        let user = user.split("\n\n").next().expect("what to write").to_owned();
        let config = format!(
            "name = \"{name}\"\nstore = \"sqlite:{}\"\nauthorities = \"ca\"\n\
             [api]\nlisten = [\"{listen}\"]\n{user}\n",
            self.file("store.db").display()
        );
        std::fs::write(self.file(file), config).expect("written");
        good(self.program("fedge-control").arg("check").arg(self.file(file)));
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, name: &str) -> Command {
        self.place.command(self.programs.path(name))
    }

    fn start(&self, program: &str, config: &str) -> Daemon {
        let log = self.file(&format!("{program}.log"));
        self.programs.start(program, &self.place, &self.file(config), &log).expect("it starts")
    }

    /// `fedge`, as Anna types it.
    fn fedge(&self, arguments: &[&str]) -> Output {
        self.fedge_of("token", CONTROLLER, arguments).output().expect("it runs")
    }

    /// `fedge`, as somebody else types it, who asks other controllers.
    fn fedge_of(&self, token: &str, controllers: &str, arguments: &[&str]) -> Command {
        let (ca, token) = (self.file("ca/agent-ca.crt"), self.file(token));
        let mut command = self.program("fedge");
        command.env("FEDGE_CONTROLLER", controllers).env("FEDGE_CONTROL_CA", ca).env("FEDGE_TOKEN_FILE", token);
        command.args(arguments);
        command
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.fedge(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Waits until the status says this of the DNS server.
    fn wait_for(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        self.wait_for_at(("token", CONTROLLER), what, is_so);
    }

    /// Waits until another controller says it, too.
    fn wait_for_at(&self, (token, controller): (&str, &str), what: &str, is_so: impl Fn(&Value) -> bool) {
        let began = Instant::now();
        loop {
            let output = self.fedge_of(token, controller, &["status", "--json"]).output().expect("it runs");
            let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let mut members = status["sites"][0]["members"].as_array().into_iter().flatten();
            if members.find(|member| member["fqdn"] == DNS).is_some_and(&is_so) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{what}: {status:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Copies the store while no controller runs, with what is beside its file.
    fn copy_store(&self, from: &str, to: &str) {
        for end in ["", "-wal", "-shm"] {
            let (from, to) = (self.file(&format!("{from}{end}")), self.file(&format!("{to}{end}")));
            let _ = std::fs::remove_file(&to);
            if from.exists() {
                std::fs::copy(from, to).expect("copied");
            }
        }
    }

    /// Enrols the DNS server as docs/enrolment.md says.
    fn enrol(&self) {
        let config = format!(
            "[control]\nlisten = ['127.0.5.2:5271']\nstate = '{}'\n[view]\nlisten = ['127.0.5.2:5353']\n\
             forward = ['127.0.5.8']\n",
            self.file("state").display()
        );
        std::fs::write(self.file("dns.toml"), config).expect("written");
        let mut command = self.program("fedge-dns");
        command.arg("enrol").arg(self.file("dns.toml")).args([DNS, &self.fingerprint]);
        let mut waiting = Ended(command.stdout(Stdio::piped()).spawn().expect("it runs"));
        let lines = BufReader::new(waiting.0.stdout.take().expect("a pipe")).lines();
        let mut lines = lines.map_while(Result::ok);
        let typed = lines.find_map(|line| line.trim().strip_prefix("fedge ").map(str::to_owned)).expect("a command");
        // It listens once it says so.
        lines.find(|line| line.starts_with("Waiting")).expect("it waits");
        let typed: Vec<&str> = typed.split(' ').collect();
        let told = self.done(&typed);
        assert_eq!(told, format!("{DNS} is enrolled; start its daemon now\n"));
        assert!(waiting.0.wait().expect("it is ours").success());
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

fn good(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn write(file: &Path, text: &str) -> String {
    std::fs::write(file, text).expect("written");
    file.display().to_string()
}

#[test]
fn a_member_is_enrolled_led_and_goes_on_without_a_controller() {
    let site = Installation::new();
    let mut control = site.start("fedge-control", "control.toml");
    let file = write(&site.file("topology.toml"), TOPOLOGY);
    assert!(site.done(&["topology", "publish", &file, "--why", "the first"]).starts_with("version 1 is current\n"));
    assert!(site.done(&["topology", "publish", &file]).contains("as it was"));
    site.wait_for("it is not enrolled", |member| member["state"] == "not enrolled");

    site.enrol();
    let dns = site.start("fedge-dns", "dns.toml");
    site.wait_for("it is reached", |member| member["state"] == "reached" && member["version"] == 1);

    // A new topology reaches it.
    let changed = TOPOLOGY.replace("127.0.5.9", "127.0.5.10");
    let file = write(&site.file("topology.toml"), &changed);
    let told = site.done(&["topology", "publish", &file, "--from", "1", "--why", "a new server"]);
    assert_eq!(
        told,
        "version 2 is current\nlocal domain contoso.test: next hop 127.0.5.10:5269 (was 127.0.5.9:5269)\n"
    );
    site.wait_for("it goes by version 2", |member| member["version"] == 2);
    let overtaken = site.fedge(&["topology", "publish", &file, "--from", "1"]);
    assert!(
        String::from_utf8_lossy(&overtaken.stderr).contains("2, which anna published, is current by now"),
        "{overtaken:?}"
    );

    // Without a controller it goes on, and starts from its disk.
    control.signal(Signal::SIGKILL).expect("it runs");
    drop(control);
    assert!(dns.terminate(PATIENCE).expect("it ends").success());
    let began = Instant::now();
    let dns = site.start("fedge-dns", "dns.toml");
    assert!(began.elapsed() < PATIENCE, "it started after {:?}", began.elapsed());
    let log = std::fs::read_to_string(dns.log()).expect("it is there");
    assert!(log.contains("unconfirmed"), "{log}");

    // A controller that comes back finds it.
    let _control = site.start("fedge-control", "control.toml");
    site.wait_for("it is reached again", |member| member["state"] == "reached" && member["version"] == 2);
    let history = site.done(&["topology", "history"]);
    assert!(history.starts_with("*    2") && history.contains("the first"), "{history}");
    let whole = site.done(&["audit", "verify"]);
    assert!(whole.starts_with("4 entries"), "{whole}");
    let trail = site.done(&["audit", "show"]);
    for expected in ["ctl1.contoso.test: found installation", "anna: publish topology", "anna: enrol dns1.contoso.test"]
    {
        assert!(trail.contains(expected), "{trail}");
    }
}

#[test]
fn a_store_from_an_old_backup_is_shown_and_brought_forward() {
    let site = Installation::new();
    let control = site.start("fedge-control", "control.toml");
    let file = write(&site.file("topology.toml"), TOPOLOGY);
    site.done(&["topology", "publish", &file]);
    site.enrol();
    let _dns = site.start("fedge-dns", "dns.toml");
    site.wait_for("it goes by version 1", |member| member["state"] == "reached" && member["version"] == 1);
    let service = site.fedge(&["service", "status"]);
    assert_eq!(service.status.code(), Some(1), "no edge server was enrolled: {service:?}");
    assert_eq!(String::from_utf8_lossy(&service.stdout), "edge1.contoso.test: not enrolled\n");
    let stopped = site.fedge(&["service", "stop", "--server", DNS]);
    assert_eq!(stopped.status.code(), Some(2), "{stopped:?}");
    assert!(String::from_utf8_lossy(&stopped.stderr).contains("only edge servers have a federation service"));
    ended(control);
    site.copy_store("store.db", "backup.db");

    let control = site.start("fedge-control", "control.toml");
    site.wait_for("it is reached again", |member| member["state"] == "reached");
    let changed = write(&site.file("changed.toml"), &TOPOLOGY.replace("127.0.5.9", "127.0.5.10"));
    site.done(&["topology", "publish", &changed]);
    site.wait_for("it goes by version 2", |member| member["version"] == 2);
    assert!(site.done(&["recover"]).contains("no member that is reached knows more than the store"));
    ended(control);
    site.copy_store("backup.db", "store.db");
    let _control = site.start("fedge-control", "control.toml");
    let began = Instant::now();
    let shown = loop {
        let shown = site.fedge(&["recover"]);
        if shown.status.code() == Some(1) {
            break String::from_utf8(shown.stdout).expect("text");
        }
        assert!(began.elapsed() < PATIENCE, "{shown:?}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(shown.contains("dns1.contoso.test") && shown.contains("knows more"), "{shown}");
    assert!(shown.contains("as version 3, with the route on pool1.contoso.test in epoch 2"), "{shown}");
    let done = site.done(&["recover", "--yes", "--topology", &changed, "--why", "restored"]);
    assert!(done.starts_with("version 3 is current, and epoch 2 of the route\n"), "{done}");
    site.wait_for("it goes by version 3", |member| member["version"] == 3 && member["epoch"] == 2);
    assert!(site.done(&["audit", "show"]).contains("anna: recover store"));
}

#[test]
fn of_two_controllers_one_is_killed_and_the_other_goes_on() {
    const OTHER: &str = "127.0.5.4:5272";
    const BERT: (&str, &str) = ("token2", OTHER);
    let site = Installation::new();
    site.configure("control2.toml", ("ctl2.contoso.test", OTHER), ("bert", BERT.0));
    let controller =
        "[[controller]]\nfqdn = \"ctl2.contoso.test\"\nsite = \"Site1\"\ninternal = [\"127.0.5.4\"]\n[route]";
    let document = TOPOLOGY.replace("[route]", controller);
    let file = write(&site.file("topology.toml"), &document);
    let mut one = site.start("fedge-control", "control.toml");
    site.done(&["topology", "publish", &file]);
    site.enrol();
    let _dns = site.start("fedge-dns", "dns.toml");
    let log = site.file("control2.log");
    let _two = site.programs.start("fedge-control", &site.place, &site.file("control2.toml"), &log).expect("it starts");
    let well = |version: u64| {
        move |member: &Value| {
            member["state"] == "reached" && member["version"] == version && member["confirmed"] == true
        }
    };
    site.wait_for("it is reached by one", well(1));
    site.wait_for_at(BERT, "it is reached by the other", well(1));

    // Both publish in the same moment: one wins, and the other is told by whom.
    for round in 1..4 {
        let (hop, other_hop) = (format!("127.0.5.{}", 20 + round), format!("127.0.5.{}", 40 + round));
        let mine = write(&site.file("mine.toml"), &document.replace("127.0.5.9", &hop));
        let other = write(&site.file("other.toml"), &document.replace("127.0.5.9", &other_hop));
        let from = round.to_string();
        let publish = |token, controller, file: &str| {
            let mut command = site.fedge_of(token, controller, &["topology", "publish", file, "--from", &from]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs")
        };
        let both = [publish("token", CONTROLLER, &mine), publish(BERT.0, BERT.1, &other)];
        let both = both.map(|child| child.wait_with_output().expect("it is ours"));
        let won = both.iter().filter(|output| output.status.success()).count();
        assert_eq!(won, 1, "{both:?}");
        let winner = if both[0].status.success() { "anna" } else { "bert" };
        let told = both.iter().find(|output| !output.status.success()).expect("one of them");
        let told = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(told.contains(&format!("{}, which {winner} published, is current by now", round + 1)), "{told}");
        site.wait_for("it goes by what won", well(round + 1));
        site.wait_for_at(BERT, "and the other knows", well(round + 1));
    }

    one.signal(Signal::SIGKILL).expect("it runs");
    drop(one);
    let last = write(&site.file("last.toml"), &document.replace("127.0.5.9", "127.0.5.60"));
    let published = site
        .fedge_of(BERT.0, &format!("{CONTROLLER},{OTHER}"), &["topology", "publish", &last, "--from", "4"])
        .output()
        .expect("it runs");
    assert!(published.status.success(), "the second is asked where the first is dead: {published:?}");
    site.wait_for_at(BERT, "the other leads it", well(5));
    let verified = site.fedge_of(BERT.0, OTHER, &["audit", "verify"]).output().expect("it runs");
    assert!(verified.status.success(), "{verified:?}");
}

fn ended(mut daemon: Daemon) {
    daemon.signal(Signal::SIGTERM).expect("it runs");
    assert!(daemon.terminate(PATIENCE).expect("it ends").success());
}
