//! The API as programs use it: over TLS, by tokens and certificates, and by those who may not.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use agent::authority::Authorities;
use agent::keep::Controller;
use api::client::{Client, ClientError};
use api::control::{AuditEntry, AuditVerified};
use arc_swap::ArcSwap;
use control::access::{Role, Token, User, Users};
use control::audit::Deed;
use control::http::{self, Tls};
use control::ledger::Ledger;
use control::members::Members;
use control::records::Secrets;
use control::route;
use control::web::{self, Office};
use control::zones::Zones;
use control::zones::planned::Names;
use control::zones::servers::Keyed;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use store::Memory;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A controller's API on a port of this machine, and who may use it.
struct Served {
    address: SocketAddr,
    ledger: Arc<Ledger>,
    folder: tempfile::TempDir,
    _tasks: JoinSet<()>,
}

async fn served() -> Served {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let ca_key = KeyPair::generate().expect("a key");
    let ca_made = ca.self_signed(&ca_key).expect("a CA");
    std::fs::write(folder.path().join("ca.crt"), ca_made.pem()).expect("written");
    let key = KeyPair::generate().expect("a key");
    let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let own = own.signed_by(&key, &Issuer::new(ca, ca_key)).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let tls = Tls::new(vec![own.der().clone()], key).expect("they belong together");

    let mut users = Vec::new();
    for (name, role) in [("vera", Role::Viewer), ("olga", Role::Operator)] {
        let token = Token::draw().expect("randomness");
        std::fs::write(folder.path().join(name), token.reveal()).expect("written");
        users.push(User { name: name.to_owned(), role, proof: token.proof() });
    }
    let store = Arc::new(Memory::new());
    let ledger = Arc::new(Ledger::new(store, "ctl1.contoso.test", 1, || 1_000).expect("a name"));
    let authorities = Authorities::make(&folder.path().join("authorities")).expect("CAs");
    let controller = Controller::new(authorities, "ctl1.contoso.test").expect("a name");
    let secrets = Secrets::default();
    let mut tasks = JoinSet::new();
    let (keyed, nudge) = (Arc::new(Keyed::new(Vec::new())), Arc::<tokio::sync::Notify>::default());
    let zones = Arc::new(Zones::new(ledger.clone(), "contoso-1", keyed, nudge.clone()));
    let members = Arc::new(Members::new(ledger.clone(), controller, "one".to_owned(), secrets, zones.clone()));
    let moves = route::open(&ledger, &members, &zones, ("ctl1.contoso.test", 1), nudge, &mut tasks);
    let office = Office {
        ledger: ledger.clone(),
        names: Names::new(members.clone(), zones),
        members,
        moves: Arc::new(moves),
        users: Arc::new(ArcSwap::from_pointee(Users::new(users))),
        answers: Arc::default(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tasks.spawn(http::serve(listener, tls, web::router(office)));
    Served { address, ledger, folder, _tasks: tasks }
}

impl Served {
    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn client(&self, token: &Path) -> Client {
        let controller = self.address.to_string().parse().expect("a controller");
        Client::new(vec![controller], &self.file("ca.crt"), token).expect("the files are good")
    }
}

fn deed(what: &str) -> Deed {
    let text = str::to_owned;
    Deed { who: text("olga"), what: text(what), why: text("why"), before: text("before"), after: text("after") }
}

#[tokio::test]
async fn the_trail_is_shown_and_verified() {
    let served = served().await;
    for what in ["one", "two", "three"] {
        served.ledger.note(&deed(what)).await.expect("it is written down");
    }
    let client = served.client(&served.file("vera"));
    let entries: Vec<AuditEntry> = client.get("/v1/audit?from=2&count=10").await.expect("an answer");
    assert_eq!(entries.iter().map(|entry| entry.what.as_str()).collect::<Vec<_>>(), ["two", "three"]);
    let verified: AuditVerified = client.get("/v1/audit/verified").await.expect("an answer");
    assert_eq!((verified.entries, verified.broken), (3, None));
    assert_eq!(verified.hash, entries[1].hash);
}

#[tokio::test]
async fn who_is_not_known_gets_nothing() {
    let served = served().await;
    std::fs::write(served.file("mallory"), "fedge_guessed").expect("written");
    let denied = served.client(&served.file("mallory")).get::<Vec<AuditEntry>>("/v1/audit").await;
    let Err(ClientError::Problem(problem)) = denied else { panic!("{denied:?}") };
    assert_eq!(problem.code, "who");
    let nowhere = served.client(&served.file("vera")).get::<Vec<AuditEntry>>("/v2/audit").await;
    assert!(matches!(nowhere, Err(ClientError::Problem(problem)) if problem.code == "not-found"));
}

#[tokio::test]
async fn another_controller_is_asked_when_one_is_dead() {
    let served = served().await;
    let dead = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let controllers = [dead, served.address].map(|address| address.to_string().parse().expect("a controller"));
    let client = Client::new(controllers.into(), &served.file("ca.crt"), &served.file("vera")).expect("good files");
    client.get::<AuditVerified>("/v1/audit/verified").await.expect("the second answers");
    let dead = dead.to_string().parse().expect("a controller");
    let client = Client::new(vec![dead], &served.file("ca.crt"), &served.file("vera")).expect("good files");
    let nobody = client.get::<AuditVerified>("/v1/audit/verified").await;
    assert!(matches!(nobody, Err(ClientError::Unreachable(_))), "{nobody:?}");
}

#[tokio::test]
async fn no_token_goes_to_somebody_else() {
    let (served, stranger) = (served().await, served_by_a_stranger().await);
    let client = Client::new(vec![stranger], &served.file("ca.crt"), &served.file("vera")).expect("good files");
    let refused = client.get::<AuditVerified>("/v1/audit/verified").await;
    assert!(matches!(refused, Err(ClientError::Unreachable(_))), "{refused:?}");
}

async fn served_by_a_stranger() -> api::client::Controller {
    let stranger = served().await;
    let address = stranger.address.to_string().parse().expect("a controller");
    // It goes on to the end of the test.
    std::mem::forget(stranger);
    address
}

#[tokio::test]
async fn whoever_speaks_no_tls_or_nothing_harms_nobody() {
    let served = served().await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(served.address).await.expect("it listens"));
    }
    let mut plain = TcpStream::connect(served.address).await.expect("it listens");
    plain.write_all(b"GET /v1/audit HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("written");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "nothing is told without TLS");
    served.client(&served.file("olga")).get::<AuditVerified>("/v1/audit/verified").await.expect("an answer");
}

#[test]
fn the_description_is_the_committed_one() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    if std::env::var_os("FEDGE_WRITE_DESCRIPTION").is_some() {
        std::fs::write(&file, web::description()).expect("written");
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == web::description(),
        "docs/openapi.json isn't what the handlers say; FEDGE_WRITE_DESCRIPTION=1 cargo test -p control --test web writes it"
    );
}
