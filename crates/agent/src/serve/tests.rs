//! What comes to an agent's door that isn't a controller, and what a controller must not say.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::authority::Authorities;
use crate::dial::{DialError, Dialer, Target};
use crate::tls::Expect;

const EDGE: &str = "edge1.contoso.test";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A daemon that does what it is told, and may be told not to.
#[derive(Default)]
struct Daemon {
    refuses: AtomicBool,
    fails: AtomicBool,
    applied: StdMutex<Vec<(u64, u64)>>,
}

impl Daemon {
    fn applied(&self) -> Vec<(u64, u64)> {
        self.applied.lock().expect("no panic").clone()
    }
}

impl Member for Daemon {
    fn check(&self, snapshot: &Kept) -> Result<(), String> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err(format!("{} bytes can't be understood", snapshot.content.len()));
        }
        Ok(())
    }

    async fn apply(&self, snapshot: Arc<Kept>) -> Result<(), String> {
        if self.fails.load(Ordering::Relaxed) {
            return Err("no port is free".to_owned());
        }
        self.applied.lock().expect("no panic").push((snapshot.head.version, snapshot.head.route.epoch));
        Ok(())
    }

    fn ask(&self, request: local::Request) -> mpsc::Receiver<local::Reply> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let endless = matches!(request, local::Request::Trace { .. });
            while sender.send(local::Reply::Done { what: "said".to_owned() }).await.is_ok() && endless {}
        });
        receiver
    }
}

struct House {
    folder: TempDir,
    authorities: Authorities,
    edge: Own,
}

impl House {
    /// With an edge server whose certificate was made at that time.
    fn new(made: SystemTime) -> House {
        let folder = tempfile::tempdir().expect("a folder");
        let authorities = Authorities::make(&folder.path().join("ca")).expect("made");
        let state = folder.path().join("state");
        std::fs::create_dir(&state).expect("made");
        let edge = Own::open(&state, EDGE, Role::Edge).expect("a key");
        let request = edge.signing_request().expect("a request");
        let signed = authorities.answer_at(&request, EDGE, Role::Edge, edge.fingerprint(), made).expect("signed");
        credentials::install(&state, &signed).expect("installed");
        House { folder, authorities, edge }
    }

    async fn serve(&self) -> (Served, Target) {
        let agent = Agent::open(&self.folder.path().join("state"), Role::Edge, ("fedge-edge", "1")).expect("enrolled");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (agent, daemon) = (Arc::new(agent), Arc::new(Daemon::default()));
        let serving = serve(vec![listener], agent.clone(), daemon.clone());
        let target =
            Target { fqdn: EDGE.into(), role: Role::Edge, addresses: vec![address], key: self.edge.fingerprint() };
        (Served { agent, daemon, _serving: serving }, target)
    }

    fn dialer(&self) -> Dialer {
        Dialer::new(&self.authorities, "control1.contoso.test").expect("a controller")
    }

    /// A connection on which anything can be said.
    async fn raw(&self, target: &Target, role: Role) -> std::io::Result<BufReader<TlsStream<TcpStream>>> {
        let own = Own::draw("other.contoso.test", role).expect("a key");
        let request = own.signing_request().expect("a request");
        let credentials = self.authorities.answer(&request, &own.fqdn, role, own.fingerprint()).expect("signed");
        let config = tls::dialing(&own, &credentials, Expect::Enrolled).expect("good");
        let socket = TcpStream::connect(target.addresses[0]).await?;
        let name = rustls_pki_types::ServerName::try_from(EDGE).expect("a name");
        Ok(BufReader::new(TlsConnector::from(Arc::new(config)).connect(name, socket).await?))
    }
}

struct Served {
    agent: Arc<Agent>,
    daemon: Arc<Daemon>,
    _serving: Serving,
}

fn kept(version: u64, epoch: u64) -> Kept {
    let route = Route { epoch, pool: "pool1.contoso.test".to_owned() };
    Kept::new("contoso-1", EDGE, (version, &format!("topology {version}")), route, "{\"secrets\":[]}".to_owned())
}

async fn line(stream: &mut BufReader<TlsStream<TcpStream>>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).await.expect("a line");
    line
}

#[tokio::test]
async fn strangers_are_sent_away_and_keep_nobody_out() {
    let house = House::new(SystemTime::now());
    let (served, target) = house.serve().await;
    let address = target.addresses[0];
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(address).await.expect("it listens"));
    }
    for said in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"{\"hello\":null}\n", &[0x16, 3, 1, 0xff, 0xff, 1], &[0; 20_000]] {
        let mut socket = TcpStream::connect(address).await.expect("it listens");
        let _ = socket.write_all(said).await;
        let _ = socket.shutdown().await;
        let mut heard = Vec::new();
        let _ = socket.read_to_end(&mut heard).await;
        assert!(!heard.contains(&b'{'), "nothing is said to strangers: {heard:?}");
    }
    // Who has a certificate of ours, but not a controller's, gets no word out either.
    for role in [Role::Edge, Role::Gateway, Role::Dns, Role::Witness] {
        let mut heard = Vec::new();
        if let Ok(mut stream) = house.raw(&target, role).await {
            let _ = stream.read_to_end(&mut heard).await;
        }
        assert!(heard.is_empty(), "{role}: {heard:?}");
    }
    let mut connection = house.dialer().dial(&target).await.expect("a controller comes in beside them");
    connection.snapshot(&kept(1, 1)).await.expect("taken");
    assert_eq!(served.daemon.applied(), [(1, 1)]);
    // Who says nothing is sent away.
    for mut socket in silent {
        let _ = tokio::time::timeout(6 * PATIENCE, socket.read(&mut [0])).await.expect("sent away");
    }
}

const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_what_follows_is_answered() {
    let house = House::new(SystemTime::now());
    let (_served, target) = house.serve().await;
    let mut stream = house.raw(&target, Role::Controller).await.expect("a controller");
    assert!(line(&mut stream).await.starts_with("{\"hello\":"));
    let deep = "[".repeat(50_000);
    let bad =
        ["", "no JSON", "\"shout\"", "{\"confirm\":{}}", "{\"snapshot\":{\"head\":null}}", "null", "\u{0}", &deep];
    for said in bad {
        stream.write_all(format!("{said}\n").as_bytes()).await.expect("it is open");
        stream.flush().await.expect("it is open");
        let answer = line(&mut stream).await;
        assert!(
            answer.starts_with("{\"refused\":{\"why\":\"what the other end said can't be read"),
            "{said}: {answer}"
        );
    }
    stream.write_all(b"\xff\xfe\n\"hello\"\n").await.expect("it is open");
    stream.flush().await.expect("it is open");
    assert!(line(&mut stream).await.starts_with("{\"refused\":"));
    assert!(line(&mut stream).await.starts_with("{\"hello\":"));
    // An endless line ends it.
    let much = vec![b' '; 1 << 20];
    let written = async {
        for _ in 0..17 {
            stream.write_all(&much).await?;
        }
        stream.read_u8().await
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), written).await.expect("it is closed").is_err());
    house.dialer().dial(&target).await.expect("others are served");
}

#[tokio::test]
async fn a_snapshot_is_kept_only_if_the_daemon_can_go_by_it_and_tried_again_if_it_failed() {
    let house = House::new(SystemTime::now());
    let (served, target) = house.serve().await;
    let mut connection = house.dialer().dial(&target).await.expect("a controller");
    served.daemon.refuses.store(true, Ordering::Relaxed);
    let refused = connection.snapshot(&kept(1, 1)).await.expect_err("refused");
    assert!(refused.to_string().contains("14 bytes can't be understood"), "{refused}");
    assert_eq!(served.agent.snapshot(), None);
    served.daemon.refuses.store(false, Ordering::Relaxed);
    served.daemon.fails.store(true, Ordering::Relaxed);
    let refused = connection.snapshot(&kept(1, 1)).await.expect_err("refused");
    assert!(refused.to_string().contains("no port is free"), "{refused}");
    assert!(!served.agent.is_confirmed());
    let head = kept(1, 1).head;
    let refused = connection.confirm(&head.installation, &head.route).await.expect_err("it doesn't go by it");
    assert!(refused.to_string().contains("could not be applied; send it again"), "{refused}");
    assert!(!connection.refresh().await.expect("it answers").applied);
    served.daemon.fails.store(false, Ordering::Relaxed);
    for _ in 0..3 {
        connection.snapshot(&kept(1, 1)).await.expect("taken");
    }
    assert_eq!(served.daemon.applied(), [(1, 1)], "once, and the same again changes nothing");
    assert!(served.agent.is_confirmed());
    let mut torn = kept(2, 1);
    torn.content = "{\"secrets\":[1]}".to_owned();
    torn.head.content = Digest([3; 32]);
    let refused = connection.snapshot(&torn).await.expect_err("refused");
    assert!(refused.to_string().contains("should have the hash"), "{refused}");
    // The same disk, and no room on it.
    let in_the_way = house.folder.path().join("state/snapshot.new");
    std::fs::create_dir(&in_the_way).expect("made");
    let refused = connection.snapshot(&kept(2, 2)).await.expect_err("refused");
    assert!(refused.to_string().contains("the disk have room"), "{refused}");
    assert_eq!(served.agent.snapshot().expect("the one before").head, kept(1, 1).head);
    std::fs::remove_dir(in_the_way).expect("it is there");
    connection.snapshot(&kept(2, 2)).await.expect("taken");
    assert_eq!(served.daemon.applied(), [(1, 1), (2, 2)]);
}

#[tokio::test]
async fn what_local_commands_ask_can_be_asked_and_left() {
    let house = House::new(SystemTime::now());
    let (_served, target) = house.serve().await;
    let mut connection = house.dialer().dial(&target).await.expect("a controller");
    let said = local::Reply::Done { what: "said".to_owned() };
    connection.local(local::Request::Status).await.expect("asked");
    assert_eq!(connection.next().await.expect("an answer"), Some(said.clone()));
    assert_eq!(connection.next().await.expect("and its end"), None);
    connection.local(local::Request::Trace { stream: 1 }).await.expect("asked");
    for _ in 0..10 {
        assert_eq!(connection.next().await.expect("an answer"), Some(said.clone()));
    }
    // Whoever asks for something else has heard enough, and what was on its way is no answer to that.
    connection.local(local::Request::Status).await.expect("asked");
    assert_eq!(connection.next().await.expect("an answer"), Some(said));
    assert_eq!(connection.next().await.expect("and its end"), None);
    connection.local(local::Request::Trace { stream: 1 }).await.expect("asked");
    connection.refresh().await.expect("and so on");
    assert_eq!(connection.next().await.expect("nothing was asked"), None);
}

#[tokio::test]
async fn an_expired_certificate_is_said_plainly_and_keeps_nothing_from_starting() {
    let house = House::new(SystemTime::now() - 91 * DAY);
    let (served, target) = house.serve().await;
    assert!(served.agent.concerns().iter().any(|concern| concern.contains("has expired; enrol it anew")));
    let error = house.dialer().dial(&target).await.err().expect("no connection");
    assert!(error.to_string().contains("the member's certificate has expired; run its command `enrol`"), "{error}");
}

#[tokio::test]
async fn a_certificate_is_renewed_when_due_and_used_from_the_next_connection_on() {
    let house = House::new(SystemTime::now() - 80 * DAY);
    let (served, target) = house.serve().await;
    assert!(served.agent.concerns().iter().any(|concern| concern.contains("no controller has renewed it")));
    let (dialer, now) = (house.dialer(), SystemTime::now());
    let mut connection = dialer.dial(&target).await.expect("it is good still");
    assert_eq!(connection.renew_if_due(&house.authorities, target.key, now - 30 * DAY).await.expect("asked"), None);
    let renewed = connection.renew_if_due(&house.authorities, target.key, now).await.expect("asked").expect("renewed");
    assert!(renewed.not_after > unix(now + 89 * DAY) && !renewed.is_due(unix(now)));
    assert_eq!(served.agent.certificate(), renewed);
    connection.refresh().await.expect("this connection goes on");
    drop(connection);
    let connection = dialer.dial(&target).await.expect("the next one");
    assert_eq!(connection.hello().certificate, Some(renewed));
    assert!(!connection.hello().concerns.iter().any(|concern| concern.contains("certificate")));
    // Nobody gets a certificate in its name with another key.
    let mut connection = connection;
    let refused = connection.renew(&house.authorities, Digest([7; 32])).await.expect_err("another key");
    assert!(matches!(refused, DialError::Authority { .. }), "{refused}");
}

#[tokio::test]
async fn who_shows_another_key_than_the_enrolled_one_is_a_stranger() {
    let house = House::new(SystemTime::now());
    let (_served, target) = house.serve().await;
    let dialer = house.dialer();
    let dial = async |target: &Target| dialer.dial(target).await.err().expect("no connection").to_string();
    let key = Digest([7; 32]);
    assert!(dial(&Target { key, ..target.clone() }).await.contains("if the machine was set up anew, enrol it anew"));
    assert!(
        dial(&Target { role: Role::Gateway, ..target.clone() }).await.contains("the edge edge1.contoso.test is there")
    );
    let another = Target { fqdn: "edge2.contoso.test".to_owned(), ..target.clone() };
    assert!(dial(&another).await.contains("or is another"));
    let began = Instant::now();
    let nowhere = Target { addresses: Vec::new(), ..target };
    assert!(dial(&nowhere).await.contains("the topology names no address"));
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_member_that_claims_to_be_more_than_its_certificate_says_is_left() {
    let house = House::new(SystemTime::now());
    let issued = credentials::installed(&house.folder.path().join("state")).expect("enrolled");
    let config = tls::accepting(&house.edge, &issued).expect("good");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let target =
        Target { fqdn: EDGE.into(), role: Role::Edge, addresses: vec![address], key: house.edge.fingerprint() };
    // An edge server in a stranger's hands would like a controller's certificate.
    let stranger = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.expect("somebody comes");
        let mut stream = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(socket).await.expect("a controller");
        let hello = Hello {
            words: WORDS,
            fqdn: "control1.contoso.test".to_owned(),
            role: Role::Controller,
            program: "fedge-edge".to_owned(),
            version: "1".to_owned(),
            have: None,
            applied: false,
            confirmed: false,
            certificate: None,
            concerns: Vec::new(),
        };
        let line = serde_json::to_string(&Reply::Hello(hello)).expect("it can be written") + "\n";
        stream.write_all(line.as_bytes()).await.expect("it is open");
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let error = house.dialer().dial(&target).await.err().expect("no connection");
    assert!(error.to_string().contains("as the controller control1.contoso.test"), "{error}");
    stranger.await.expect("no panic");
}
