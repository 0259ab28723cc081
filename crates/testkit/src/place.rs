//! Where a laboratory's servers and clients run: this machine's network, or namespaces made for one test.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use nix::sched::{CloneFlags, setns, unshare};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};

mod background;
mod faults;
mod network;
mod table;
#[cfg(test)]
mod tests;
mod watch;

pub(crate) use background::Background;
pub use faults::{Fault, PACKAGES};
pub use network::{Host, Network};
pub use watch::Watch;

/// A network to run things in. Copies are the same place; an isolated one vanishes, with all that
/// is configured in it, when the last copy is dropped and the last process in it has ended.
#[derive(Debug, Clone)]
pub struct Place {
    /// None is the machine's own network.
    namespace: Option<Arc<File>>,
    /// What stands in `/etc/resolv.conf` for commands.
    resolv_conf: Option<Arc<tempfile::TempPath>>,
}

impl Place {
    /// The network of this machine itself, for what has to be reachable from outside of the process.
    pub fn here() -> Place {
        Place { namespace: None, resolv_conf: None }
    }

    /// Whether it is the network of this machine itself.
    pub fn is_here(&self) -> bool {
        self.namespace.is_none()
    }

    /// A network of its own in which nothing exists but the loopback, so that all of 127.0.0.0/8 and
    /// every port are free.
    ///
    /// # Errors
    /// When this process may not make namespaces (it has to be root's), or `ip` isn't installed.
    pub fn isolated() -> anyhow::Result<Place> {
        let place = Place { namespace: Some(Arc::new(new_namespace()?)), resolv_conf: None };
        place.ip("link set lo up")?;
        Ok(place)
    }

    /// The same network, but programs that `command` starts there find `servers` in
    /// `/etc/resolv.conf`, which must exist on this machine. What the process itself resolves doesn't change.
    ///
    /// # Errors
    /// When the file that takes its place can't be written.
    pub fn with_resolvers(&self, servers: &[IpAddr]) -> anyhow::Result<Place> {
        let lines: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
        let file = tempfile::Builder::new().prefix("resolv.conf.").tempfile()?.into_temp_path();
        std::fs::write(&file, lines).context("can't write a resolv.conf")?;
        // Servers that gave up root's rights have to read it.
        std::fs::set_permissions(&file, Permissions::from_mode(0o644))?;
        Ok(Place { resolv_conf: Some(Arc::new(file)), ..self.clone() })
    }

    /// Runs `program` in this place; arguments, environment and working directory can be set as
    /// usual, and the process that is started is the program itself. Start it while the place lives.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut line: Vec<OsString> = Vec::new();
        if let Some(path) = self.path() {
            let mut net = OsString::from("--net=");
            net.push(path);
            line.extend(["nsenter".into(), net, "--".into()]);
        }
        if let Some(resolv_conf) = &self.resolv_conf {
            // Not in a mount namespace kept for later: entering one would lose the working directory.
            let script = r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#;
            line.extend(["unshare", "--mount", "--propagation=private", "--", "sh", "-c", script].map(Into::into));
            line.push(resolv_conf.as_os_str().to_owned());
        }
        line.push(program.as_ref().to_owned());
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]);
        command
    }

    /// Does `work` on a thread inside this place; sockets and threads that it makes stay there.
    ///
    /// # Panics
    /// When `work` does.
    pub fn enter<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let place = self.clone();
        let thread = std::thread::spawn(move || {
            place.enter_thread();
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Runs `work` in a tokio runtime of which every thread is inside this place.
    ///
    /// # Panics
    /// When `work` does.
    pub fn run<F, T>(&self, work: impl FnOnce() -> F + Send + 'static) -> T
    where
        F: Future<Output = T>,
        T: Send + 'static,
    {
        // Threads are in the namespace of the thread that starts them.
        self.enter(move || tokio::runtime::Runtime::new().expect("threads can be started").block_on(work()))
    }

    /// A TCP connection from here, for the runtime that awaits it.
    ///
    /// # Errors
    /// As connecting in general.
    pub async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        self.tcp_socket(to)?.connect(to).await
    }

    /// Listens on TCP here, for the runtime in which it is called.
    ///
    /// # Errors
    /// As listening in general.
    pub fn listen(&self, at: SocketAddr) -> io::Result<TcpListener> {
        let socket = self.tcp_socket(at)?;
        socket.set_reuseaddr(true)?;
        socket.bind(at)?;
        socket.listen(1024)
    }

    /// A UDP socket here, for the runtime in which it is called.
    ///
    /// # Errors
    /// As binding in general.
    pub fn bind_udp(&self, at: SocketAddr) -> io::Result<UdpSocket> {
        let socket = self.enter(move || std::net::UdpSocket::bind(at))?;
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket)
    }

    /// A TCP socket here for addresses of the family of `address`, neither bound nor connected.
    ///
    /// # Errors
    /// When this process has too many files open.
    pub fn tcp_socket(&self, address: SocketAddr) -> io::Result<TcpSocket> {
        self.enter(move || if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() })
    }

    /// Runs `ip` here with these words.
    ///
    /// # Errors
    /// When it isn't installed, or with what it says when it fails.
    pub fn ip(&self, words: &str) -> anyhow::Result<()> {
        // nsenter would say the same of a missing program, but less clearly.
        let ip =
            ["/sbin/ip", "/usr/sbin/ip", "/bin/ip", "/usr/bin/ip"].into_iter().find(|ip| PathBuf::from(ip).exists());
        let ip = ip.context("no `ip` on this machine: install iproute2")?;
        run(self.command(ip).args(words.split_whitespace())).with_context(|| format!("ip {words}"))
    }

    /// Moves this thread here, for good.
    fn enter_thread(&self) {
        if let Some(namespace) = &self.namespace {
            setns(&**namespace, CloneFlags::CLONE_NEWNET).expect("whoever made a namespace may enter it");
        }
    }

    /// Where other programs find the namespace.
    fn path(&self) -> Option<PathBuf> {
        let namespace = self.namespace.as_ref()?;
        Some(format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd()).into())
    }
}

fn new_namespace() -> anyhow::Result<File> {
    // On a thread of its own, whose namespace nobody needs afterwards.
    let made = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).context("can't make a network namespace: this has to run as root")?;
        File::open("/proc/thread-self/ns/net").context("can't open the namespace that was just made")
    });
    made.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Runs a command to its end.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("can't start {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
