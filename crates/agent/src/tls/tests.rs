//! Who gets through: each role only where it belongs, and no key but the compared one.

use std::path::Path;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::authority::{Authorities, AuthorityError};
use crate::credentials::{install, installed};

const EDGE: &str = "edge1.contoso.test";
const CONTROLLER: &str = "control1.contoso.test";

struct House {
    _folder: TempDir,
    authorities: Authorities,
}

impl House {
    fn new() -> House {
        let folder = tempfile::tempdir().expect("a folder");
        let made = Authorities::make(folder.path()).expect("made");
        let authorities = Authorities::read(folder.path()).expect("read back");
        assert_eq!(authorities.agent.fingerprint(), made.agent.fingerprint());
        assert!(matches!(Authorities::make(folder.path()), Err(AuthorityError::AlreadyThere(_))));
        House { _folder: folder, authorities }
    }

    fn member(&self, fqdn: &str, role: Role) -> (Own, Credentials) {
        let own = Own::draw(fqdn, role).expect("a key");
        let request = own.signing_request().expect("a request");
        let credentials = self.authorities.answer(&request, fqdn, role, own.fingerprint()).expect("signed");
        own.check(&credentials).expect("good");
        (own, credentials)
    }
}

/// What each end sees of the other: the member that accepts, and the one that dials.
async fn handshake(
    server: ServerConfig,
    client: ClientConfig,
    name: &str,
) -> (Result<Shown, String>, Result<Shown, String>) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let accepted = async {
        let mut stream = TlsAcceptor::from(Arc::new(server)).accept(far).await.map_err(|error| error.to_string())?;
        stream.write_all(b"!").await.map_err(|error| error.to_string())?;
        stream.flush().await.map_err(|error| error.to_string())?;
        controller(stream.get_ref().1.peer_certificates()).map_err(|error| error.to_string())
    };
    let dialed = async {
        let mut stream =
            TlsConnector::from(Arc::new(client)).connect(name, near).await.map_err(|error| error.to_string())?;
        // Only now is it known that the other end takes our certificate.
        stream.read_exact(&mut [0]).await.map_err(|error| error.to_string())?;
        shown(stream.get_ref().1.peer_certificates()).map_err(|error| error.to_string())
    };
    tokio::join!(accepted, dialed)
}

#[tokio::test]
async fn controllers_dial_and_members_accept_and_nothing_else() {
    let house = House::new();
    let all = Role::ALL.map(|role| house.member(&format!("{role}.contoso.test"), role));
    for (accepting_own, accepting_credentials) in &all {
        for (dialing_own, dialing_credentials) in &all {
            let server = accepting(accepting_own, &accepting_credentials.agent).expect("good");
            let client = dialing(dialing_own, dialing_credentials, Expect::Enrolled).expect("good");
            let (accepted, dialed) = handshake(server, client, &accepting_own.fqdn).await;
            let may = dialing_own.role == Role::Controller && accepting_own.role != Role::Controller;
            assert_eq!(
                (accepted.is_ok(), dialed.is_ok()),
                (may, may),
                "{dialing_own} dials {accepting_own}: {accepted:?} {dialed:?}"
            );
        }
    }
}

#[tokio::test]
async fn nobody_of_another_installation_gets_through() {
    let (house, other) = (House::new(), House::new());
    let (edge, credentials) = house.member(EDGE, Role::Edge);
    let (stranger, strange) = other.member(CONTROLLER, Role::Controller);
    let server = || accepting(&edge, &credentials.agent).expect("good");
    let client = dialing(&stranger, &strange, Expect::Enrolled).expect("good");
    let (accepted, dialed) = handshake(server(), client, EDGE).await;
    assert!(accepted.is_err() && dialed.is_err());
    // Nor with the other's certificate and our CA beside it.
    let mut mixed = strange.clone();
    mixed.agent.ca = credentials.agent.ca.clone();
    let (accepted, dialed) =
        handshake(server(), dialing(&stranger, &mixed, Expect::Enrolled).expect("good"), EDGE).await;
    assert!(accepted.is_err() && dialed.is_err(), "{accepted:?} {dialed:?}");
}

#[tokio::test]
async fn a_waiting_member_and_its_controller_know_each_other_by_fingerprints() {
    let (house, other) = (House::new(), House::new());
    let edge = Own::draw(EDGE, Role::Edge).expect("a key");
    let ca = house.authorities.agent.fingerprint();
    let (ours, theirs) = (house.member(CONTROLLER, Role::Controller), other.member(CONTROLLER, Role::Controller));
    let gateway = house.member("gateway1.contoso.test", Role::Gateway);
    let mut mixed = theirs.1.clone();
    mixed.agent.ca = ours.1.agent.ca.clone();
    let mixed = (Own::draw(CONTROLLER, Role::Controller).expect("a key"), mixed);
    let known = edge.fingerprint();
    for ((own, credentials), expected, well) in [
        (&ours, known, true),
        (&ours, gateway.0.fingerprint(), false),
        (&theirs, known, false),
        (&gateway, known, false),
    ] {
        let server = waiting(&edge, ca).expect("good");
        let client = dialing(own, credentials, Expect::Waiting(expected)).expect("good");
        let (accepted, dialed) = handshake(server, client, EDGE).await;
        assert_eq!((accepted.is_ok(), dialed.is_ok()), (well, well), "{own}: {accepted:?} {dialed:?}");
        if let Ok(shown) = dialed {
            assert_eq!((shown.fqdn.as_str(), shown.role, shown.fingerprint), (EDGE, Role::Edge, known));
        }
    }
    // The CA's certificate is public: to show it proves nothing.
    assert!(dialing(&mixed.0, &mixed.1, Expect::Waiting(known)).is_err(), "a certificate of another key");
    let borrowed = (
        &theirs.0,
        &Credentials { agent: Issued { ca: ours.1.agent.ca.clone(), ..theirs.1.agent.clone() }, trunk: None },
    );
    let client = dialing(borrowed.0, borrowed.1, Expect::Waiting(known)).expect("good");
    let (accepted, _) = handshake(waiting(&edge, ca).expect("good"), client, EDGE).await;
    assert!(accepted.is_err(), "{accepted:?}");
}

#[test]
fn only_the_enrolled_key_gets_a_certificate() {
    let house = House::new();
    let (edge, thief) = (Own::draw(EDGE, Role::Edge).expect("a key"), Own::draw(EDGE, Role::Edge).expect("a key"));
    let request = thief.signing_request().expect("a request");
    let answer = house.authorities.answer(&request, EDGE, Role::Edge, edge.fingerprint());
    assert!(matches!(answer, Err(AuthorityError::Key { .. })));
    assert!(house.authorities.answer("no request", EDGE, Role::Edge, edge.fingerprint()).is_err());
}

#[test]
fn a_member_takes_no_credentials_but_its_own() {
    let (house, other) = (House::new(), House::new());
    let (edge, good) = house.member(EDGE, Role::Edge);
    let (_, another) = house.member(EDGE, Role::Edge);
    let refused = |credentials: &Credentials| edge.check(credentials).expect_err("refused").to_string();
    assert!(refused(&another).contains("and this member is the edge edge1.contoso.test"));
    let request = edge.signing_request().expect("a request");
    let answer = |fqdn, role| house.authorities.answer(&request, fqdn, role, edge.fingerprint()).expect("signed");
    assert!(refused(&answer("edge2.contoso.test", Role::Edge)).contains("edge2"));
    assert!(refused(&answer(EDGE, Role::Gateway)).contains("the gateway"));
    let ca = other.authorities.agent.certificate().to_owned();
    assert!(
        refused(&Credentials { agent: Issued { ca, ..good.agent.clone() }, trunk: None }).contains("can't be used")
    );
    let empty = Issued { certificate: String::new(), ..good.agent.clone() };
    assert!(refused(&Credentials { agent: empty, trunk: None }).contains("no certificate"));
}

#[test]
fn the_key_stays_and_what_was_installed_is_there_again() {
    let (house, folder) = (House::new(), tempfile::tempdir().expect("a folder"));
    let path: &Path = folder.path();
    let edge = Own::open(path, EDGE, Role::Edge).expect("made");
    assert!(matches!(installed(path), Err(CredentialsError::NotEnrolled(_))));
    let request = edge.signing_request().expect("a request");
    let credentials = house.authorities.answer(&request, EDGE, Role::Edge, edge.fingerprint()).expect("signed");
    install(path, &credentials).expect("installed");
    assert_eq!(installed(path).expect("it is there"), credentials.agent);
    assert_eq!(Own::open(path, EDGE, Role::Edge).expect("read").fingerprint(), edge.fingerprint());
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&path.join("member.key").metadata().expect("there").permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert!(!format!("{edge:?}").contains("KeyPair"));
    // What `[trunk]` would name can be used as it is.
    let trunk = ["trunk-ca.crt", "trunk.crt", "member.key"].map(|name| path.join(name));
    let [ca, certificate, key] = trunk;
    net::trunk::tls::Files { ca, certificate, key }.acceptor().expect("the trunk takes them");
}
