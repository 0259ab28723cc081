//! A member's life: enrolled, told what to go by, restarted without anybody, renewed; and whom it turns away.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use agent::authority::Authorities;
use agent::dial::{DialError, Dialer, Target};
use agent::enrol::Waiting;
use agent::keep::{Controller, Seen, Wanted};
use agent::serve::{Agent, AgentError, Member, Serving, serve};
use agent::state::Kept;
use api::agent::{Digest, Role, Route};
use api::local;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

const GATEWAY: &str = "gateway1.contoso.test";
const PROGRAM: (&str, &str) = ("fedge-gateway", "0.1.0");

/// Keeps what it applied, and whom it still owes an answer: it says how it is to who doesn't wait too long.
#[derive(Default)]
struct Daemon(Mutex<Vec<Arc<Kept>>>, Mutex<Vec<mpsc::Sender<local::Reply>>>, AtomicBool);

impl Member for Daemon {
    fn check(&self, _snapshot: &Kept) -> Result<(), String> {
        Ok(())
    }

    async fn apply(&self, snapshot: Arc<Kept>) -> Result<(), String> {
        self.0.lock().expect("no panic").push(snapshot);
        Ok(())
    }

    fn ask(&self, _request: local::Request) -> mpsc::Receiver<local::Reply> {
        let (sender, receiver) = mpsc::channel(1);
        if self.2.load(Ordering::Relaxed) {
            self.1.lock().expect("no panic").push(sender);
        } else {
            sender.try_send(local::Reply::Status(status())).expect("there is room");
        }
        receiver
    }
}

fn status() -> local::Status {
    local::Status {
        program: PROGRAM.0.to_owned(),
        version: PROGRAM.1.to_owned(),
        up_seconds: 7,
        now: None,
        log_level: "info".to_owned(),
        faces: Vec::new(),
        route: None,
        led: None,
        members: Vec::new(),
        concerns: vec!["it is cold".to_owned()],
        service: None,
        partners: 3,
        certificates: Vec::new(),
        uncovered: Vec::new(),
    }
}

/// An installation with one controller, and the machine of a member to be.
struct Installation {
    folder: TempDir,
    id: &'static str,
    authorities: Authorities,
    dialer: Dialer,
}

impl Installation {
    fn new(id: &'static str) -> Installation {
        let folder = tempfile::tempdir().expect("a folder");
        let authorities = Authorities::make(&folder.path().join("ca")).expect("made");
        let dialer = Dialer::new(&authorities, "control1.contoso.test").expect("a controller");
        Installation { folder, id, authorities, dialer }
    }

    fn ca(&self) -> Digest {
        self.authorities.agent.fingerprint()
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn snapshot(&self, version: u64, epoch: u64, content: &str) -> Kept {
        let route = Route { epoch, pool: format!("pool{}.contoso.test", epoch % 2) };
        Kept::new(self.id, GATEWAY, (version, &format!("topology {version}")), route, content.to_owned())
    }
}

fn target(address: SocketAddr, key: Digest) -> Target {
    Target { fqdn: GATEWAY.to_owned(), role: Role::Gateway, addresses: vec![address], key }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

fn waiting(state: &Path, ca: Digest) -> Waiting {
    Waiting::open(state, GATEWAY, Role::Gateway, ca, PROGRAM).expect("it can wait")
}

async fn started(state: &Path) -> (Arc<Agent>, Arc<Daemon>, SocketAddr, Serving) {
    let agent = Arc::new(Agent::open(state, Role::Gateway, PROGRAM).expect("it was enrolled"));
    let ((listener, address), daemon) = (listener().await, Arc::new(Daemon::default()));
    let serving = serve(vec![listener], agent.clone(), daemon.clone());
    (agent, daemon, address, serving)
}

async fn enrolled(installation: &Installation, first: &Kept) -> Digest {
    let waiting = waiting(&installation.state(), installation.ca());
    let ((listener, address), key) = (listener().await, waiting.fingerprint());
    assert_eq!(waiting.command(), format!("fedge enrol {GATEWAY} {key}"));
    let member = tokio::spawn(waiting.enrolled(vec![listener]));
    let to = target(address, key);
    installation.dialer.enrol(&installation.authorities, &to, first).await.expect("enrolled");
    assert_eq!(member.await.expect("no panic").expect("enrolled"), *first);
    key
}

#[tokio::test]
async fn a_member_is_enrolled_goes_forward_only_and_starts_without_anybody() {
    let installation = Installation::new("contoso-1");
    let first = installation.snapshot(1, 1, "{\"pools\":1}");
    let key = enrolled(&installation, &first).await;

    let (agent, daemon, address, serving) = started(&installation.state()).await;
    assert_eq!(agent.snapshot().as_deref(), Some(&first));
    assert!(!agent.is_confirmed(), "nobody has said that the route is still this");
    let mut connection = installation.dialer.dial(&target(address, key)).await.expect("a controller");
    assert_eq!((connection.hello().have.as_ref(), connection.hello().confirmed), (Some(&first.head), false));
    connection.confirm(installation.id, &first.head.route).await.expect("it is");
    assert!(agent.is_confirmed());

    // Only the route moves: nothing but the head travels. Then the topology.
    let moved = installation.snapshot(1, 2, "{\"pools\":1}");
    let grown = installation.snapshot(2, 2, "{\"pools\":2}");
    for snapshot in [&moved, &grown] {
        connection.snapshot(snapshot).await.expect("taken");
        assert_eq!(agent.snapshot().as_deref(), Some(snapshot));
    }
    assert_eq!(daemon.0.lock().expect("no panic").len(), 2);

    // Never back, and nobody else's.
    let other = Installation::new("tailspin-1");
    for (back, why) in [
        (&moved, "version 1 of the topology is older than version 2"),
        (&installation.snapshot(3, 1, "{}"), "epoch 1 of the route is older than epoch 2"),
        (&other.snapshot(9, 9, "{}"), "a member of the installation contoso-1"),
    ] {
        let refused = connection.snapshot(back).await.expect_err(why).to_string();
        assert!(refused.contains(why), "{refused}");
    }
    let refused = connection.confirm(installation.id, &first.head.route).await.expect_err("a late controller");
    assert!(refused.to_string().contains("the controller is late"), "{refused}");
    let stranger = other.dialer.dial(&target(address, key)).await.err().expect("no connection");
    assert!(matches!(stranger, DialError::Handshake { .. }), "{stranger}");
    assert_eq!(agent.snapshot().as_deref(), Some(&grown));

    // Without a controller it starts from its disk, and doesn't claim to know the route.
    drop(connection);
    drop(serving);
    drop(agent);
    let began = Instant::now();
    let (agent, _daemon, address, _serving) = reopened(&installation.state()).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(agent.snapshot().as_deref(), Some(&grown));
    assert!(!agent.is_confirmed());
    assert!(agent.concerns().iter().any(|concern| concern.contains("unconfirmed")), "{:?}", agent.concerns());

    // Two controllers; the certificate is renewed by one of them.
    let second = Dialer::new(&installation.authorities, "control2.contoso.test").expect("a controller");
    let to = target(address, key);
    let mut one = installation.dialer.dial(&to).await.expect("a controller");
    let mut two = second.dial(&to).await.expect("another");
    let before = std::fs::read_to_string(installation.state().join("agent.crt")).expect("it is there");
    one.renew(&installation.authorities, key).await.expect("renewed");
    assert_ne!(std::fs::read_to_string(installation.state().join("agent.crt")).expect("it is there"), before);
    two.confirm(installation.id, &grown.head.route).await.expect("it is");
    assert!(one.refresh().await.expect("it answers").confirmed);
    second.dial(&to).await.expect("with the new certificate");
}

/// The lock is given back when the last task of the agent has ended.
async fn reopened(state: &Path) -> (Arc<Agent>, Arc<Daemon>, SocketAddr, Serving) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match Agent::open(state, Role::Gateway, PROGRAM) {
            Err(AgentError::State(error)) if Instant::now() < deadline => {
                tracing::debug!(%error, "still open");
                tokio::task::yield_now().await;
            }
            other => {
                drop(other.expect("it can be opened"));
                return started(state).await;
            }
        }
    }
}

#[tokio::test]
async fn only_the_controller_that_was_named_enrols_and_only_the_machine_that_was_compared() {
    let (installation, other) = (Installation::new("contoso-1"), Installation::new("tailspin-1"));
    let first = installation.snapshot(1, 1, "{}");
    let waiting = waiting(&installation.state(), installation.ca());
    let ((listener, address), key) = (listener().await, waiting.fingerprint());
    let member = tokio::spawn(waiting.enrolled(vec![listener]));
    let to = target(address, key);

    let strange = other.dialer.enrol(&other.authorities, &to, &other.snapshot(1, 1, "{}")).await;
    let strange = strange.err().expect("another installation").to_string();
    assert!(strange.contains("waits for one with another fingerprint"), "{strange}");
    let mistyped = Target { key: Digest([1; 32]), ..to.clone() };
    let mistyped = installation.dialer.enrol(&installation.authorities, &mistyped, &first).await;
    let mistyped = mistyped.err().expect("another key").to_string();
    assert!(mistyped.contains("compare the fingerprint again"), "{mistyped}");
    let early = installation.dialer.dial(&to).await.err().expect("not enrolled").to_string();
    assert!(early.contains("it waits to be enrolled"), "{early}");
    let elsewhere = Target { role: Role::Edge, ..to.clone() };
    let elsewhere = installation.dialer.enrol(&installation.authorities, &elsewhere, &first).await;
    assert!(matches!(elsewhere.err(), Some(DialError::Stranger { .. })));
    let mut for_another = first.clone();
    for_another.head.member = "gateway2.contoso.test".to_owned();
    let refused = installation.dialer.enrol(&installation.authorities, &to, &for_another).await;
    assert!(refused.err().expect("refused").to_string().contains("this snapshot is for gateway2"));
    assert!(!member.is_finished(), "it still waits");

    installation.dialer.enrol(&installation.authorities, &to, &first).await.expect("enrolled");
    member.await.expect("no panic").expect("enrolled");
    // Whoever runs the command again, because the answer got lost, finds it done.
    let (_agent, _daemon, address, _serving) = reopened(&installation.state()).await;
    let again = installation.dialer.enrol(&installation.authorities, &target(address, key), &first).await;
    assert!(again.expect("done already").hello().certificate.is_some());
}

#[tokio::test]
async fn a_member_of_one_installation_is_not_enrolled_into_another_by_mistake() {
    let (installation, other) = (Installation::new("contoso-1"), Installation::new("tailspin-1"));
    enrolled(&installation, &installation.snapshot(3, 2, "{}")).await;
    let waiting = waiting(&installation.state(), other.ca());
    let ((listener, address), key) = (listener().await, waiting.fingerprint());
    let member = tokio::spawn(waiting.enrolled(vec![listener]));
    let refused = other.dialer.enrol(&other.authorities, &target(address, key), &other.snapshot(9, 9, "{}")).await;
    let refused = refused.err().expect("refused").to_string();
    assert!(refused.contains("empty its state folder and enrol it anew"), "{refused}");
    member.abort();
}

#[tokio::test]
async fn a_state_folder_belongs_to_one_role() {
    let installation = Installation::new("contoso-1");
    enrolled(&installation, &installation.snapshot(1, 1, "{}")).await;
    let wrong = Agent::open(&installation.state(), Role::Edge, ("fedge-edge", "0.1.0")).err().expect("a gateway's");
    assert!(matches!(wrong, AgentError::Role { .. }), "{wrong}");
    let never = tempfile::tempdir().expect("a folder");
    let never = Agent::open(never.path(), Role::Edge, ("fedge-edge", "0.1.0")).err().expect("nobody's");
    assert!(never.to_string().contains("never enrolled"), "{never}");
}

#[tokio::test]
async fn a_member_whose_certificate_expired_is_enrolled_again_with_the_same_key() {
    let installation = Installation::new("contoso-1");
    let key = enrolled(&installation, &installation.snapshot(3, 2, "{}")).await;
    let before = std::fs::read_to_string(installation.state().join("agent.crt")).expect("it is there");
    assert_eq!(enrolled(&installation, &installation.snapshot(4, 2, "{}")).await, key);
    assert_ne!(std::fs::read_to_string(installation.state().join("agent.crt")).expect("it is there"), before);
    let (agent, _daemon, _address, _serving) = reopened(&installation.state()).await;
    assert_eq!(agent.snapshot().as_deref(), Some(&installation.snapshot(4, 2, "{}")));
}

/// A controller that keeps the member, and how it sees it.
struct Keeping {
    wanted: watch::Sender<Wanted>,
    seen: watch::Receiver<Seen>,
    task: tokio::task::JoinHandle<()>,
}

impl Keeping {
    fn begin(installation: &Installation, name: &str, wanted: Wanted) -> Keeping {
        let authorities = Authorities::read(&installation.folder.path().join("ca")).expect("a copy of the CAs");
        let controller = Controller::new(authorities, name).expect("a controller");
        let (wanted, receiver) = watch::channel(wanted);
        let (sender, seen) = watch::channel(Seen::nothing(SystemTime::now()));
        let task = tokio::spawn(async move { controller.keep(receiver, sender).await });
        Keeping { wanted, seen, task }
    }

    async fn sees(&mut self, what: &str, seen: impl Fn(&Seen) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(60), self.seen.wait_for(|now| seen(now))).await;
        waited.unwrap_or_else(|_| panic!("never: {what}")).expect("it is kept");
    }

    async fn sees_problem(&mut self, words: &str) {
        self.sees(words, |seen| seen.problem.as_ref().is_some_and(|problem| problem.contains(words))).await;
    }

    async fn sees_confirmed(&mut self, version: u64) {
        let good = |seen: &Seen| {
            let hello = seen.hello.as_ref().filter(|_| seen.connected && seen.problem.is_none());
            hello
                .is_some_and(|hello| hello.confirmed && hello.have.as_ref().is_some_and(|head| head.version == version))
        };
        self.sees("it goes by what it should", good).await;
    }
}

#[tokio::test]
async fn controllers_keep_a_member_at_what_should_be() {
    let installation = Installation::new("contoso-1");
    let snapshot = |version| Arc::new(installation.snapshot(version, 1, &format!("{version}")));
    let key = enrolled(&installation, &snapshot(1)).await;
    let (agent, daemon, address, serving) = started(&installation.state()).await;
    let wanted = Wanted { target: target(address, key), snapshot: snapshot(1), certain: true, closely: false };
    let mut one = Keeping::begin(&installation, "control1.contoso.test", wanted.clone());
    let mut two = Keeping::begin(&installation, "control2.contoso.test", wanted);
    one.sees_confirmed(1).await;
    two.sees_confirmed(1).await;

    // One knows of a new version before the other, who is behind until it knows, too.
    one.wanted.send_modify(|wanted| wanted.snapshot = snapshot(2));
    one.sees_confirmed(2).await;
    assert_eq!(agent.snapshot().as_deref(), Some(&*snapshot(2)));
    two.sees_problem("version 1 of the topology is older than version 2").await;
    two.wanted.send_modify(|wanted| wanted.snapshot = snapshot(2));
    two.sees_confirmed(2).await;
    assert_eq!(daemon.0.lock().expect("no panic").len(), 1, "it came once");

    // The member starts again, at another address, and who can't see the store doesn't confirm anything.
    drop((serving, agent));
    one.sees("it is gone", |seen| !seen.connected).await;
    one.wanted.send_modify(|wanted| wanted.certain = false);
    two.wanted.send_modify(|wanted| wanted.certain = false);
    let (agent, _daemon, address, _serving) = reopened(&installation.state()).await;
    one.wanted.send_modify(|wanted| wanted.target.addresses = vec![address]);
    one.sees("it is back", |seen| seen.connected).await;
    assert!(!agent.is_confirmed());
    one.wanted.send_modify(|wanted| wanted.certain = true);
    one.sees_confirmed(2).await;

    // A place where somebody else is.
    one.wanted.send_modify(|wanted| wanted.target.key = Digest([5; 32]));
    one.sees_problem("enrol it anew").await;
    drop(one.wanted);
    one.task.await.expect("it ends when nobody wants anything");
}

#[tokio::test]
async fn a_member_is_asked_how_it_is_and_holds_up_nothing_when_it_does_not_answer() {
    let installation = Installation::new("contoso-1");
    let snapshot = |version| Arc::new(installation.snapshot(version, 1, &format!("{version}")));
    let key = enrolled(&installation, &snapshot(1)).await;
    let (_agent, daemon, address, _serving) = started(&installation.state()).await;
    let wanted = Wanted { target: target(address, key), snapshot: snapshot(1), certain: true, closely: false };
    let mut one = Keeping::begin(&installation, "control1.contoso.test", wanted);
    one.sees("how it is", |seen| seen.status.as_ref().is_some_and(|(said, _)| *said == status())).await;

    daemon.2.store(true, Ordering::Relaxed);
    for version in 2..5 {
        let owed = daemon.1.lock().expect("no panic").len();
        let asked = async {
            while daemon.1.lock().expect("no panic").len() == owed {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), asked).await.expect("it is asked again and again");
        let began = Instant::now();
        one.wanted.send_modify(|wanted| wanted.snapshot = snapshot(version));
        one.sees_confirmed(version).await;
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    }
    // What it was asked long ago is no answer to what it is asked now.
    for owed in daemon.1.lock().expect("no panic").drain(..) {
        let _ = owed.try_send(local::Reply::Status(local::Status { up_seconds: 1, ..status() }));
    }
    daemon.2.store(false, Ordering::Relaxed);
    let before = SystemTime::now();
    let fresh = |seen: &Seen| seen.status.as_ref().is_some_and(|(said, at)| *at > before && *said == status());
    one.sees("how it is now", fresh).await;
    assert!(one.seen.borrow().connected && one.seen.borrow().problem.is_none());
}

#[tokio::test]
async fn a_large_snapshot_travels_once() {
    let installation = Installation::new("contoso-1");
    // Ten times what 10,000 partners need.
    let large = "[[partner]]\ndomains = [\"fabrikam.test\"]\n".repeat(180_000);
    let first = installation.snapshot(1, 1, "");
    let key = enrolled(&installation, &first).await;
    let (agent, _daemon, address, _serving) = started(&installation.state()).await;
    let to = target(address, key);
    let mut connection = installation.dialer.dial(&to).await.expect("a controller");
    connection.snapshot(&installation.snapshot(2, 1, &large)).await.expect("taken");
    // Only the route moves: the content stays at home, or the empty one here would be refused.
    let moved = installation.snapshot(2, 2, &large);
    let head_only = Kept { head: moved.head.clone(), content: String::new() };
    connection.snapshot(&head_only).await.expect("taken");
    assert_eq!(agent.snapshot().as_deref(), Some(&moved));
    // Nobody takes more than a line of 16 MiB, and who would say more is told so.
    let larger = installation.snapshot(3, 2, &large.repeat(3));
    let error = connection.snapshot(&larger).await.expect_err("it is too large").to_string();
    assert!(error.contains("more than any member takes"), "{error}");
    assert_eq!(agent.snapshot().as_deref(), Some(&moved));
}
