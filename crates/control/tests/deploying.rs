//! docs/deploying.md, followed to the letter: each command on the machine that it names, on networks that were empty before.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::document::{Block, blocks, text};
use testkit::fedge::Programs;
use testkit::lab::installation::enrol;
use testkit::pki::{LabCa, Request};
use testkit::place::{Network, Place};
use testkit::process::Daemon;

const DOCUMENT: &str = "docs/deploying.md";
/// What the document's table says of machines, as networks and addresses.
const MACHINES: [(&str, &[&str]); 5] = [
    ("ctl1", &["10.0.0.5/8"]),
    ("gateway1", &["10.0.0.10/8"]),
    ("dns1", &["10.0.0.11/8"]),
    ("edge1", &["10.1.0.10/8", "192.0.2.10/24"]),
    ("edge2", &["10.2.0.10/8", "198.51.100.10/24"]),
];
/// Numbers for users that nobody has.
const USERS: u32 = 64_000;
/// Whoever systemd takes for `DynamicUser=`.
const SOMEBODY: u32 = 64_999;
/// The user `nobody`.
const NOBODY: u32 = 65_534;
/// Longer than anything takes here that is to come at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine on which nothing is yet but what the document takes for granted.
struct Machine {
    place: Place,
    /// What stands for its `/`.
    root: PathBuf,
    /// What was exported in the administrator's shell.
    exported: Vec<String>,
    /// The users that were added, and numbers that stand for them.
    users: BTreeMap<String, u32>,
    daemons: Vec<Daemon>,
}

struct Site {
    _network: Network,
    machines: BTreeMap<&'static str, Machine>,
    programs: Programs,
    /// What `fedge-control init` printed.
    fingerprint: String,
}

impl Site {
    fn new(folder: &Path) -> Site {
        let programs = Programs::built().expect("fedge is built");
        let network = Network::new().expect("root");
        let public_ca = LabCa::new().expect("a key");
        let certificate = public_ca.issue(&Request::new(&["contoso.test"])).expect("ASCII");
        let mut machines = BTreeMap::new();
        for (name, addresses) in MACHINES {
            let host = network.host().expect("a host");
            for address in addresses {
                host.ip(&format!("address add {address} dev eth0")).expect("it can have it");
            }
            let root = folder.join(name);
            for made in ["etc/fedge", "etc/systemd/system", "var/lib", "run", "mnt/offline"] {
                std::fs::create_dir_all(root.join(made)).expect("made");
            }
            let mut allowed = host.command("/bin/sh");
            // As systemd lets a unit have the port of DNS.
            allowed.args(["-c", "echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start"]);
            assert!(allowed.status().expect("a shell").success());
            certificate.write_apart(&root.join("etc/fedge/certificates"), "contoso").expect("written");
            std::fs::write(root.join("etc/fedge/internal-servers.crt"), public_ca.pem()).expect("written");
            let users = BTreeMap::from([("nobody".to_owned(), NOBODY)]);
            let place = Place::clone(&host);
            let machine = Machine { place, root, exported: Vec::new(), users, daemons: Vec::new() };
            machines.insert(name, machine);
        }
        Site { _network: network, machines, programs, fingerprint: String::new() }
    }

    fn machine(&mut self, name: &str) -> &mut Machine {
        self.machines
            .get_mut(name)
            .unwrap_or_else(|| panic!("{DOCUMENT} names {name}, which is no machine in its table"))
    }

    /// A line as a shell on that machine runs it.
    fn shell(&mut self, on: &str, line: &str) -> Command {
        let programs = self.programs.path("fedge").parent().expect("a folder").display().to_string();
        // Local commands look for the socket in its usual place.
        let local = ["health", "status"].into_iter().find_map(|command| line.strip_suffix(command)).map(str::trim);
        let line = match local {
            Some(daemon) if daemon != "fedge" => format!("{line} --socket /run/{daemon}/socket"),
            _ => line.to_owned(),
        };
        let machine = self.machine(on);
        let script = [machine.exported.clone(), vec![machine.here(&machine.with_users(&line))]].concat().join("\n");
        let mut command = machine.place.command("/bin/sh");
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .args(["-e", "-c", &script])
            .env("PATH", format!("{programs}:{path}"))
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        command
    }

    /// Runs a line of the document.
    fn run(&mut self, on: &str, line: &str) {
        let told = |output: &std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();
        if line.starts_with("export ") {
            let machine = self.machine(on);
            let exported = machine.here(line);
            machine.exported.push(exported);
        } else if let Some((_, user)) = line.strip_prefix("useradd ").and_then(|line| line.rsplit_once(' ')) {
            let users = &mut self.machine(on).users;
            users.insert(user.to_owned(), USERS + u32::try_from(users.len()).expect("few"));
        } else if let Some(unit) = line.strip_prefix("systemctl enable --now ") {
            self.start(on, unit);
        } else if line.contains(" enrol /etc/") {
            let line = line.replace("CONTROL-CA", &self.fingerprint);
            let command = self.shell(on, &line);
            // What it prints is what the document has the administrator type next.
            enrol(command, |typed| Ok(self.shell("ctl1", &format!("fedge {}", typed.join(" "))).output()?))
                .unwrap_or_else(|error| panic!("{line}: {error:#}"));
        } else if line.starts_with("fedge enrol ") {
            assert!(line.ends_with(" FINGERPRINT"), "it was typed already: {line}");
        } else {
            let began = Instant::now();
            loop {
                let output = self.shell(on, line).output().expect("a shell");
                // What a status says may take a few seconds to be so.
                let may_wait = line.contains("status") || line.contains("health");
                if output.status.success() {
                    self.learn(line, &String::from_utf8_lossy(&output.stdout));
                    return;
                }
                let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), told(&output));
                assert!(may_wait && began.elapsed() < PATIENCE, "{on}: {line}: {said}");
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }

    fn learn(&mut self, line: &str, told: &str) {
        if line.starts_with("fedge-control init ") {
            told.lines().last().unwrap_or_default().trim().clone_into(&mut self.fingerprint);
        }
        if line == "fedge-gateway status" {
            for edge in ["edge1", "edge2"] {
                assert!(told.contains(&format!("trunk to {edge}.contoso.test: connected")), "{told}");
            }
            assert!(told.contains("the route is on pool1.contoso.test"), "{told}");
        }
    }

    /// Runs what a unit runs, as whom it runs it, with its folders.
    fn start(&mut self, on: &str, unit: &str) {
        let programs = self.programs.path("fedge").parent().expect("a folder").to_owned();
        let machine = self.machine(on);
        let unit_file = machine.root.join(format!("etc/systemd/system/{unit}.service"));
        let unit_file = std::fs::read_to_string(unit_file).expect("it was installed");
        let value = |key: &str| unit_file.lines().find_map(|line| line.strip_prefix(key));
        let run = value("ExecStart=/usr/local/bin/").expect("a command");
        let user = value("User=").map_or(SOMEBODY, |user| *machine.users.get(user).expect("it was added"));
        for (key, at) in [("StateDirectory=", "var/lib"), ("RuntimeDirectory=", "run")] {
            value(key).into_iter().for_each(|name| given(&machine.root.join(at).join(name), user));
        }
        let mut command = machine.place.command("setpriv");
        let (program, arguments) = run.split_once(' ').expect("with arguments");
        let user = user.to_string();
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]).arg(programs.join(program));
        command.args(machine.here(arguments).split(' '));
        let ready = if unit == "fedge-dns" { "serves the internal view" } else { "is ready" };
        let mut daemon = Daemon::start(unit, command, &machine.root.join(format!("{unit}.log"))).expect("it starts");
        daemon.wait_for_line(ready, PATIENCE).expect("it gets ready");
        machine.daemons.push(daemon);
    }
}

/// A folder as systemd gives it to a unit's user: with all that is in it, where it was somebody else's.
fn given(folder: &Path, user: u32) {
    std::fs::create_dir_all(folder).expect("made");
    if std::fs::metadata(folder).expect("it is there").uid() != user {
        let given = Command::new("chown").arg("-R").arg(format!("{user}:{user}")).arg(folder).status();
        assert!(given.expect("coreutils").success());
    }
}

impl Machine {
    /// A line in which users are the numbers that stand for them.
    fn with_users(&self, line: &str) -> String {
        self.users.iter().fold(line.to_owned(), |line, (user, number)| {
            let as_them = format!("setpriv --reuid {number} --regid {number} --clear-groups ");
            line.replace(&format!("runuser -u {user} -- "), &as_them)
                .replace(&format!("chown -R {user}: "), &format!("chown -R {number}:{number} "))
                .replace(&format!("chgrp -R {user} "), &format!("chgrp -R {number} "))
        })
    }

    /// A text with this machine's folders in it.
    fn here(&self, text: &str) -> String {
        let root = self.root.display();
        ["/etc/fedge", "/etc/systemd", "/var/lib/", "/run/fedge", "/mnt/"]
            .iter()
            .fold(text.to_owned(), |text, path| text.replace(path, &format!("{root}{path}")))
    }

    /// Writes what a block of the document has for a file, or appends it.
    fn write(&self, place: &str, content: &str) {
        let (file, before) = match place.strip_prefix(">> ") {
            Some(file) => (self.here(file), std::fs::read_to_string(self.here(file)).expect("it is there")),
            None => (self.here(place), String::new()),
        };
        std::fs::write(file, before + &self.here(content)).expect("written");
    }
}

#[test]
fn the_document_leads_from_nothing_to_two_pools() {
    let folder = tempfile::tempdir().expect("a folder");
    // Others than root have to get through it.
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("root");
    let mut site = Site::new(&folder.path().canonicalize().expect("it is there"));
    let mut commands = 0;
    for Block { kind, text, .. } in blocks(&text(DOCUMENT).expect("the document")) {
        let words: Vec<&str> = kind.splitn(3, ' ').collect();
        match words[..] {
            ["sh", machine] => {
                for line in text.lines() {
                    site.run(machine, line);
                    commands += 1;
                }
            }
            ["toml", machine, place] => site.machine(machine).write(place, &text),
            _ => panic!("{DOCUMENT}: what is a block of `{kind}`?"),
        }
    }
    assert!(commands > 30, "only {commands} commands");
    // In the order in which connections go, so that nobody waits for who has gone.
    for name in ["gateway1", "edge1", "edge2", "dns1", "ctl1"] {
        for daemon in std::mem::take(&mut site.machine(name).daemons) {
            assert!(daemon.terminate(PATIENCE).expect("it ends").success(), "{name}");
        }
    }
}
