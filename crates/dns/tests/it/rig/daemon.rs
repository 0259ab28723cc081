//! The daemon under test, with its log.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::{PATIENCE, eventually};

/// A daemon that runs. Dropped, it ends.
pub(crate) struct Daemon {
    process: Child,
    log: Arc<Mutex<Vec<Value>>>,
    folder: TempDir,
    /// Its first address.
    pub(crate) address: SocketAddr,
}

/// What most tests put into the file; `forward` are addresses.
fn usual(forward: &[SocketAddr], view: &str) -> String {
    let forward: Vec<String> = forward.iter().map(ToString::to_string).collect();
    format!(
        r#"
[log]
level = "debug"
format = "json"
[view]
listen = ["127.0.0.1:0"]
forward = {forward:?}
{view}
[[gateway]]
name = "gateway1.contoso.test"
addresses = ["127.0.2.1", "2001:db8::1"]
priority = 10
[[gateway]]
name = "gateway2.contoso.test"
addresses = ["127.0.2.2"]
priority = 20
[[local]]
domains = ["contoso.test", "*.contoso.test"]
next_hop = "127.0.1.1:5269"
"#
    )
}

impl Daemon {
    /// Forwards to `resolvers`.
    pub(crate) fn forwarding(resolvers: &[&super::Resolver]) -> Daemon {
        let addresses: Vec<SocketAddr> = resolvers.iter().map(|resolver| resolver.address).collect();
        Daemon::with(&addresses, "")
    }

    /// Forwards to `forward`, with more lines in `[view]`.
    pub(crate) fn with(forward: &[SocketAddr], view: &str) -> Daemon {
        Daemon::start(&usual(forward, view), None)
    }

    /// Runs on a configuration, and tells a socket what it would tell systemd.
    pub(crate) fn start(config: &str, notify: Option<&std::path::Path>) -> Daemon {
        Daemon::start_saying(config, notify, "serves the internal view")
    }

    /// The same; its first address is in the line of the log that begins with `what`.
    pub(crate) fn start_saying(config: &str, notify: Option<&std::path::Path>, what: &str) -> Daemon {
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("dns.toml");
        std::fs::write(&file, config).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_fedge-dns"));
        command.arg("run").arg(&file).stderr(Stdio::piped());
        if let Some(socket) = notify {
            command.env("NOTIFY_SOCKET", socket);
        }
        let mut process = command.spawn().expect("the binary runs");
        let log: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (lines, stderr) = (log.clone(), process.stderr.take().expect("it is piped"));
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                lines.lock().expect("no test thread panicked").push(line);
            }
        });
        let address = ([127, 0, 0, 1], 0).into();
        let mut daemon = Daemon { process, log, folder, address };
        daemon.address = daemon.addresses(what)[0];
        daemon
    }

    /// The line of the log whose message begins with `message`.
    pub(crate) fn line(&self, message: &str) -> Value {
        eventually(message, || {
            let log = self.log.lock().expect("no test thread panicked");
            log.iter().find(|line| line["message"].as_str().is_some_and(|said| said.starts_with(message))).cloned()
        })
    }

    /// The addresses that the first line with this message names.
    pub(crate) fn addresses(&self, message: &str) -> Vec<SocketAddr> {
        let line = self.line(message);
        let listen = line["listen"].as_str().expect("the addresses").trim_matches(['[', ']']);
        listen.split(", ").map(|address| address.parse().expect("an address")).collect()
    }

    /// Everything that was logged so far.
    pub(crate) fn log(&self) -> Vec<Value> {
        self.log.lock().expect("no test thread panicked").clone()
    }

    /// Changes what is in the file, and says so.
    pub(crate) fn reload(&self, change: impl Fn(&str) -> String) {
        let file = self.folder.path().join("dns.toml");
        let config = std::fs::read_to_string(&file).expect("readable");
        std::fs::write(&file, change(&config)).expect("written");
        self.signal(Signal::SIGHUP);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("it runs");
    }

    /// Waits until it has ended.
    pub(crate) fn ended(&mut self) -> std::process::ExitStatus {
        let start = std::time::Instant::now();
        eventually("the end", || {
            assert!(start.elapsed() < PATIENCE, "it does not end");
            self.process.try_wait().expect("it is ours")
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            for line in self.log() {
                eprintln!("{line}");
            }
        }
    }
}
