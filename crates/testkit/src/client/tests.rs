//! Clients talk through a small server of ours; real servers have their own tests.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Client, LoginError};
use crate::place::Place;

mod server;

const LONG: Duration = Duration::from_secs(30);

struct Lab {
    place: Place,
}

impl Lab {
    fn new(mechanism: &'static str) -> Lab {
        let place = Place::isolated().expect("a place");
        server::start(&place, mechanism);
        Lab { place }
    }

    async fn login(&self, user: &str) -> Client {
        let jid = format!("{user}@contoso.test");
        Client::login(&self.place, server::ADDRESS, &jid, "secret").await.expect("a login")
    }
}

#[tokio::test]
async fn two_users_talk() {
    let lab = Lab::new("PLAIN");
    let (romeo, juliet) = (lab.login("romeo").await, lab.login("juliet").await);
    assert_eq!(romeo.jid(), "romeo@contoso.test/lab");
    romeo.message(juliet.jid(), "a'b", "Wherefore <art> thou & \"Romeo\"?");
    let message = juliet.message_with_id("a'b", LONG).await.expect("it arrives");
    assert_eq!(message.body().as_deref(), Some("Wherefore <art> thou & \"Romeo\"?"));
    assert_eq!(message.from().as_deref(), Some(romeo.jid()));
    romeo.presence("juliet@contoso.test", "subscribe");
    let presence = juliet.next(LONG).await.expect("it arrives");
    assert_eq!((presence.name(), presence.type_().as_deref()), ("presence", Some("subscribe")));
    // What nobody asked for isn't mistaken for an answer.
    juliet.send(format!("<iq to='{}' id='iq-1' type='result'/>", romeo.jid()));
    assert_eq!(romeo.next(LONG).await.expect("it arrives").id().as_deref(), Some("iq-1"));
    romeo.close().await.expect("a clean end");
}

#[tokio::test]
async fn requests_are_answered() {
    let lab = Lab::new("PLAIN");
    let (romeo, juliet) = (lab.login("romeo").await, lab.login("juliet").await);
    let pong = romeo.ping(juliet.jid()).await.expect("an answer");
    assert_eq!((pong.type_().as_deref(), pong.from().as_deref()), (Some("result"), Some(juliet.jid())));
    let (answer, ()) = tokio::join!(romeo.iq(juliet.jid(), "get", "<query xmlns='jabber:iq:version'/>"), async {
        let request = juliet.next(LONG).await.expect("it arrives");
        juliet.answer(&request, "<query xmlns='jabber:iq:version'><name>lab</name></query>");
    });
    let answer = answer.expect("an answer").tree();
    let query = answer.child("jabber:iq:version", "query").expect("a version");
    assert_eq!(query.child("jabber:iq:version", "name").expect("a name").text(), "lab");
    let error = romeo.ping("nobody@contoso.test").await.expect("an answer");
    assert_eq!((error.is_error(), error.condition().as_deref()), (true, Some("service-unavailable")));
}

#[tokio::test]
async fn messages_are_counted_in_both_directions_at_once() {
    let lab = Lab::new("PLAIN");
    let (romeo, juliet) = (lab.login("romeo").await, lab.login("juliet").await);
    const MANY: std::ops::Range<u32> = 0..20_000;
    let began = std::time::Instant::now();
    let (sent, sent_back, got, got_back) = tokio::join!(
        romeo.flood(juliet.jid(), MANY, 100, 500),
        juliet.flood("romeo@contoso.test", MANY, 100, 500),
        juliet.collect("romeo@contoso.test", MANY, LONG),
        romeo.collect(juliet.jid(), MANY, LONG),
    );
    sent.and(sent_back).expect("all sent");
    println!("20,000 messages each way in {:?}", began.elapsed());
    for got in [got, got_back] {
        let got = got.expect("collected");
        assert!(got.is_perfect() && got.arrived == 20_000, "{got:?}");
    }
}

#[tokio::test]
async fn what_does_not_arrive_is_missing_and_what_comes_back_is_counted() {
    let lab = Lab::new("PLAIN");
    let (romeo, juliet) = (lab.login("romeo").await, lab.login("juliet").await);
    juliet.flood("nobody@contoso.test", 0..3, 10, 2).await.expect("sent");
    let returned = juliet.collect("nobody@contoso.test", 0..1, Duration::from_millis(100)).await.expect("collected");
    assert_eq!(returned.returned, [0, 1, 2].map(|number| (number, "service-unavailable".to_owned())));
    assert_eq!(returned.missing, [0]);
    romeo.flood(juliet.jid(), 5..7, 10, 2).await.expect("sent");
    let got = juliet.collect(romeo.jid(), 5..9, Duration::from_secs(1)).await.expect("collected");
    assert_eq!((got.arrived, got.missing), (2, vec![7, 8]));
}

#[tokio::test]
async fn a_refused_login_says_what_the_server_answered() {
    let lab = Lab::new("PLAIN");
    let wrong = Client::login(&lab.place, server::ADDRESS, "romeo@contoso.test", "guess").await;
    let Err(LoginError::Refused { step: "SASL PLAIN", condition, answer }) = wrong else { panic!("{wrong:?}") };
    assert_eq!(condition, "not-authorized");
    assert!(answer.starts_with("<failure"), "{answer}");

    let lab = Lab::new("SCRAM-SHA-1");
    let unknown = Client::login(&lab.place, server::ADDRESS, "romeo@contoso.test", "secret").await;
    let Err(LoginError::NoPlain { offered }) = unknown else { panic!("{unknown:?}") };
    assert_eq!(offered, "SCRAM-SHA-1");

    let nowhere: SocketAddr = "127.0.1.2:5222".parse().expect("an address");
    let nobody = Client::login(&lab.place, nowhere, "romeo@contoso.test", "secret").await;
    assert!(matches!(nobody, Err(LoginError::Connection { address, .. }) if address == nowhere), "{nobody:?}");
}

#[tokio::test]
async fn a_login_that_the_server_stumbles_at_is_tried_again() {
    let lab = Lab::new("PLAIN");
    assert_eq!(lab.login("late").await.jid(), "late@contoso.test/lab");
}

#[tokio::test]
async fn the_end_of_a_stream_is_told_to_whoever_waits() {
    let lab = Lab::new("PLAIN");
    let (romeo, juliet) = (lab.login("romeo").await, lab.login("juliet").await);
    let nothing = juliet.next(Duration::from_millis(50)).await.expect_err("nothing was sent");
    assert!(nothing.to_string().contains("received nothing within 50ms"), "{nothing}");
    let (answer, ()) = tokio::join!(romeo.iq(juliet.jid(), "get", "<query xmlns='jabber:iq:version'/>"), async {
        juliet.next(LONG).await.expect("the request");
        romeo.send("<message to='crash.test'/>");
    });
    let later = romeo.ping(juliet.jid()).await;
    for error in
        [answer.expect_err("it ended"), later.expect_err("it ended"), romeo.next(LONG).await.expect_err("it ended")]
    {
        assert!(error.to_string().contains("internal-server-error"), "{error}");
    }
    let close = romeo.close().await.expect_err("it had ended").to_string();
    assert!(close.contains("internal-server-error"), "{close}");
    let is_it = |_: &super::Stanza| false;
    juliet.message("juliet@contoso.test", "other", "To herself");
    let other = juliet.wait_for("Godot", Duration::from_millis(200), is_it).await.expect_err("nobody comes");
    assert!(other.to_string().contains("Godot") && other.to_string().contains("id='other'"), "{other}");
}
