//! The other end is away, a partner or the next hop: what is sent is held, and returned when that takes too long.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use testkit::client::Client;
use testkit::lab::FABRIKAM;
use testkit::lab::paced::paced;
use testkit::relay::{Fault, Relay};

use super::rig::{PACE, PATIENCE, Rig, debian};

/// Seconds.
const HOLD: u64 = 3;
const HELD: Duration = Duration::from_secs(HOLD);
/// In which nothing more comes back.
const QUIET: Duration = Duration::from_secs(1);

fn short_hold() -> String {
    format!("[times]\nhold = {HOLD}\n")
}

#[test]
fn both_targets_of_a_partner_are_dead() {
    let rig = Rig::start(&[FABRIKAM], &short_hold());
    let silent = Relay::start(&rig.place, SocketAddr::from(([127, 0, 4, 2], 5269)), rig.server(FABRIKAM));
    let silent = silent.expect("a relay");
    silent.fault(Some(Fault::Silence));
    rig.lab.dns.srv(FABRIKAM, &[(10, 0, 5269, "silent.fabrikam.test"), (20, 0, 5269, "xmpp.fabrikam.test")]);
    rig.lab.dns.addresses("silent.fabrikam.test", &[silent.address().ip()]);
    let refused = rig.place.reject_tcp(&debian(), rig.server(FABRIKAM)).expect("a rule");
    let rig = rig.run(async move |rig| {
        let alice = rig.login("alice@contoso.test").await;
        let bob = rig.login("bob@fabrikam.test").await;
        each_is_returned_once(&alice, bob.jid()).await;
        let counts = "7 = 0 taken + 4 returned + 3 failed + 0 in flight";
        assert_eq!(rig.counts("internal"), counts);
        drop(refused);
        arrives_again(&alice, &bob).await;
        rig
    });
    rig.assert_unnoticed(1);
}

#[test]
fn the_next_hop_is_down_for_longer() {
    let rig = Rig::start(&[FABRIKAM], &short_hold());
    let refused = rig.place.reject_tcp(&debian(), rig.lab.servers[0].plan.s2s()).expect("a rule");
    rig.run(async move |rig| {
        let alice = rig.login("alice@contoso.test").await;
        let bob = rig.login("bob@fabrikam.test").await;
        each_is_returned_once(&bob, alice.jid()).await;
        assert_eq!(rig.counts("external"), "7 = 0 taken + 4 returned + 3 failed + 0 in flight");
        drop(refused);
        arrives_again(&bob, &alice).await;
        rig
    });
}

/// Sends one of every kind into the void. What may come back does so once the hold is over, with the
/// condition that does no harm; what may not, doesn't. Presence is said again later instead.
async fn each_is_returned_once(from: &Client, to: &str) {
    let began = Instant::now();
    from.send(format!(
        "<message to='{to}' id='chat' type='chat'><body>hello</body></message>\
         <message to='{to}' id='none'><body>hello</body></message>\
         <message to='{to}' id='groupchat' type='groupchat'><body>hello</body></message>\
         <message to='{to}' id='error' type='error'><error type='cancel'>\
         <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>\
         <iq to='{to}' id='result' type='result'/>\
         <presence to='{to}' id='presence'/>"
    ));
    let answer = from.ping(to).await.expect("an answer");
    assert_eq!(answer.condition().as_deref(), Some("remote-server-timeout"), "{answer}");
    assert!((HELD..HELD + Duration::from_secs(4)).contains(&began.elapsed()), "{:?}", began.elapsed());
    let mut returned = Vec::new();
    // All of it stood before the ping, and so does what came back of it.
    while let Ok(stanza) = from.next(QUIET).await {
        // Its own server talks to it, too.
        if stanza.from().is_some_and(|sender| sender == to) {
            returned.push((stanza.id().unwrap_or_default().into_owned(), stanza.condition().unwrap_or_default()));
        }
    }
    returned.sort();
    let expected =
        [("chat", "remote-server-timeout"), ("groupchat", "resource-constraint"), ("none", "remote-server-timeout")];
    assert_eq!(returned, expected.map(|(id, condition)| (id.to_owned(), condition.to_owned())));
}

/// What is sent now arrives at last: this hold is shorter than what may pass between two attempts.
async fn arrives_again(from: &Client, to: &Client) {
    let began = Instant::now();
    for number in 0.. {
        let id = format!("again {number}");
        from.message(to.jid(), &id, "hello");
        match to.message_with_id(&id, Duration::from_secs(1)).await {
            Ok(heard) => return assert!(!heard.is_error(), "{heard}"),
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
        }
    }
}

#[test]
fn the_next_hop_is_down_for_a_while() {
    let rig = Rig::start(&[FABRIKAM], "");
    let refused = rig.place.reject_tcp(&debian(), rig.lab.servers[0].plan.s2s()).expect("a rule");
    rig.run(async move |rig| {
        let alice = rig.login("alice@contoso.test").await;
        let bob = rig.login("bob@fabrikam.test").await;
        let up = async {
            let pair = "fabrikam.test -> contoso.test";
            while !rig.streams().iter().any(|line| line.contains("external") && line.contains(pair)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let messages = paced(&bob, &alice, 40, PACE, PATIENCE, up);
        let (paced, ()) = tokio::join!(messages, async {
            tokio::time::sleep(HELD).await;
            drop(refused);
        });
        let paced = paced.expect("both stay logged in");
        assert!(paced.is_perfect(), "{paced:?}");
        assert!(paced.first_delivery().is_some_and(|first| first >= Duration::from_secs(2)), "{paced:?}");
        rig
    });
}
