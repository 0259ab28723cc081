//! An edge server that reaches no gateway refuses partners, and sends those away who are there; another one serves them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use testkit::client::Client;
use testkit::lab::split::{GATEWAYS, Split, TRUNK, edges};
use testkit::lab::{CONTOSO, FABRIKAM, Kind, LabPlan, Peer};
use testkit::packages::Debian;
use testkit::place::{PACKAGES, Place};
use testkit::server::Authentication::External;
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(40);
/// What `status` says while it is so.
const CLOSED: &str = "warning: no gateway is there that takes stanzas, so partners' connections are refused";

/// Starts the laboratory and runs a story in it; a message of the partner has passed.
fn story<F: Future<Output = Split>>(outside: Kind, tell: impl FnOnce(Split, Client, Client) -> F + Send + 'static) {
    let peer = |kind| Peer { kind, authentication: External };
    let partners = [(FABRIKAM, peer(outside))];
    let plan = LabPlan { more: "[times]\nhold = 4\n".to_owned(), ..LabPlan::new(peer(Kind::Prosody), &partners) };
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::isolated().expect("a namespace");
    let split = Split::start(place.clone(), &plan, folder.path()).expect("a laboratory");
    let split = place.run(move || async move {
        let alice = split.login(&format!("alice@{CONTOSO}")).await.expect("a login");
        let bob = split.login(&format!("bob@{FABRIKAM}")).await.expect("a login");
        bob.message(alice.jid(), "first", "first");
        alice.message_with_id("first", PATIENCE).await.expect("the first message");
        tell(split, alice, bob).await
    });
    split.stop().expect("everything ends well");
}

fn entrance(split: &Split, edge: &str) -> SocketAddr {
    SocketAddr::new(split.sites.member(edge).address, 5269)
}

/// Waits until somebody can connect there, or nobody can; gives how long that took.
async fn wait_for(open: bool, at: SocketAddr) -> Duration {
    let began = Instant::now();
    loop {
        let connected = TcpStream::connect(at).await;
        if let Err(error) = &connected {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "{error}");
        }
        if connected.is_ok() == open {
            return began.elapsed();
        }
        assert!(began.elapsed() < PATIENCE, "{at} is open: {}", !open);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the partner has no stream there any more; gives how long that took.
async fn wait_until_left(split: &Split, edge: &str) -> Duration {
    let began = Instant::now();
    while split.ask(edge, &["streams"]).expect("streams").contains("accepted") {
        assert!(began.elapsed() < PATIENCE, "it stays");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    began.elapsed()
}

#[test]
fn nobody_is_let_in_while_no_gateway_is_there() {
    story(Kind::Ejabberd, |mut split, alice, bob| async move {
        let listens = |edge: &&str| split.ask(edge, &["streams"]).expect("streams").contains("accepted");
        let used = edges().find(listens).expect("the partner is at one of them");
        for gateway in GATEWAYS {
            split.kill(gateway);
        }
        for edge in edges() {
            let took = wait_for(false, entrance(&split, edge)).await;
            assert!(took < Duration::from_secs(5), "{edge}: {took:?}");
            assert!(split.ask(edge, &["status"]).expect("a status").contains(CLOSED), "{edge} says so");
            assert_eq!(split.ask(edge, &["health", "--or", "waiting"]).expect("its health"), "waiting\n");
        }
        let took = wait_until_left(&split, used).await;
        assert!(took < Duration::from_secs(8), "{took:?}");

        // One that starts without a gateway begins like that.
        let edge = split.members.remove("edge3").expect("it runs");
        tokio::task::spawn_blocking(move || edge.terminate(PATIENCE)).await.expect("no panic").expect("it ends");
        split.begin("edge3").expect("it starts again");
        assert!(TcpStream::connect(entrance(&split, "edge3")).await.is_err());
        assert!(split.ask("edge3", &["status"]).expect("a status").contains(CLOSED));

        split.begin(GATEWAYS[1]).expect("it starts again");
        for edge in edges() {
            wait_for(true, entrance(&split, edge)).await;
            assert!(!split.ask(edge, &["status"]).expect("a status").contains(CLOSED), "{edge}");
        }
        let log = std::fs::read_to_string(split.folder().join(format!("{used}.log.1"))).expect("a log");
        for line in [
            "no gateway is there; partners' connections are refused until one comes",
            "no gateway is there; partners' streams are ended, so that they go elsewhere",
        ] {
            assert_eq!(log.matches(line).count(), 1, "{line}");
        }
        assert_eq!(log.matches("a gateway is there; partners can connect").count(), 2, "{log}");
        drop((alice, bob));
        split
    });
}

#[test]
fn partners_go_to_an_edge_server_that_has_a_gateway() {
    story(Kind::Prosody, |mut split, alice, bob| async move {
        let listens = |edge: &&str| split.ask(edge, &["streams"]).expect("streams").contains("accepted");
        let used = edges().find(listens).expect("the partner is at one of them");
        let trunk = SocketAddr::new(split.sites.member(used).address, TRUNK);
        Debian::unpack(&Debian::usual_folder(), PACKAGES, &mut |_| {}).expect("a filter's packages");
        let fault = split.sites.member(used).place.reject_tcp(split.debian(), trunk).expect("a filter");
        wait_for(false, entrance(&split, used)).await;
        wait_until_left(&split, used).await;
        for number in 0..10 {
            let id = format!("elsewhere-{number}");
            bob.message(alice.jid(), &id, "still there?");
            alice.message_with_id(&id, PATIENCE).await.expect("it comes by another one");
        }
        drop(fault);
        wait_for(true, entrance(&split, used)).await;
        for gateway in GATEWAYS {
            split.wait_for_trunks(gateway, edges().count()).expect("all trunks are up");
        }
        split
    });
}
