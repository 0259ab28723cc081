//! The laboratory's client at real servers: what it says of them must be true, or no other test is.

use std::path::Path;
use std::time::{Duration, Instant};

use testkit::client::{Client, LoginError, Stanza};
use testkit::packages::Debian;
use testkit::pki::{LabCa, Request};
use testkit::place::Place;
use testkit::server::{Authentication, Server, ServerPlan};
use testkit::{ejabberd, jabberd2, prosody};

const ROOMS: &str = "conference.contoso.test";
const SOON: Duration = Duration::from_secs(60);

type Start = fn(&Debian, &Place, ServerPlan, &Path) -> anyhow::Result<Server>;

struct Lab {
    place: Place,
    server: Server,
    _folder: tempfile::TempDir,
}

impl Lab {
    fn new(packages: &[&str], start: Start, rooms: bool) -> Lab {
        let debian = Debian::unpack(&Debian::usual_folder(), packages, &mut |what| println!("{what}"));
        let (debian, place) = (debian.expect("Debian's packages"), Place::isolated().expect("this runs as root"));
        let folder = tempfile::tempdir().expect("a folder");
        let ca = LabCa::new().expect("a key");
        let certificate = ca.issue(&Request::new(&["contoso.test", ROOMS])).expect("ASCII");
        let certificate = certificate.write(folder.path(), "contoso.test").expect("written");
        let trusted = ca.write(folder.path()).expect("written");
        let nowhere = "127.0.9.1:53".parse().expect("an address");
        let address = "127.0.1.1".parse().expect("an address");
        let plan = ServerPlan::new("contoso.test", address, nowhere, &certificate, &trusted);
        // Nothing here depends on how servers authenticate, but jabberd2 knows nothing else.
        let plan =
            ServerPlan { authentication: Authentication::Dialback, rooms: rooms.then(|| ROOMS.to_owned()), ..plan };
        let server = start(&debian, &place, plan, &folder.path().join("server")).expect("it starts");
        Lab { place, server, _folder: folder }
    }

    /// Runs `work` with alice and bob.
    fn with_users<F: Future<Output = ()>>(&self, work: impl FnOnce(Client, Client) -> F + Send + 'static) {
        let (place, at) = (self.place.clone(), self.server.plan.c2s());
        self.place.run(move || async move {
            let login = async |jid| Client::login(&place, at, jid, "secret").await.expect("logged in");
            work(login("alice@contoso.test").await, login("bob@contoso.test/lab").await).await;
        });
    }
}

/// A wrong password is what it is called, and users are who they say.
fn logs_in(lab: &Lab) {
    let (place, at) = (lab.place.clone(), lab.server.plan.c2s());
    let refused = lab.place.run(move || async move {
        Client::login(&place, at, "alice@contoso.test", "guess").await.expect_err("the wrong password")
    });
    assert!(matches!(&refused, LoginError::Refused { condition, .. } if condition == "not-authorized"), "{refused}");
    lab.with_users(async |alice, bob| {
        assert!(alice.jid().starts_with("alice@contoso.test/"), "{}", alice.jid());
        assert_eq!(bob.jid(), "bob@contoso.test/lab");
        alice.close().await.expect("closed");
        bob.close().await.expect("closed");
    });
}

/// Presence of that type whose sender begins so.
fn presence(from: &'static str, kind: Option<&'static str>) -> impl Fn(&Stanza) -> bool {
    move |stanza| {
        let theirs = stanza.from().is_some_and(|sender| sender.starts_with(from));
        stanza.name() == "presence" && theirs && stanza.type_().as_deref() == kind
    }
}

/// Each kind of stanza arrives, and requests are answered.
fn talks(lab: &Lab) {
    lab.with_users(async |alice, bob| {
        alice.message(bob.jid(), "m1", "Grüße & <Küsse>");
        let message = bob.message_with_id("m1", SOON).await.expect("delivered");
        assert_eq!(message.body().as_deref(), Some("Grüße & <Küsse>"));
        assert_eq!(message.from().as_deref(), Some(alice.jid()));
        let pong = alice.ping(bob.jid()).await.expect("an answer");
        assert_eq!((pong.type_().as_deref(), pong.from().as_deref()), (Some("result"), Some(bob.jid())));
        let nobody = alice.ping("alice@contoso.test/nobody").await.expect("an answer");
        assert_eq!(nobody.condition().as_deref(), Some("service-unavailable"), "{nobody}");
        let roster = alice.iq("alice@contoso.test", "get", "<query xmlns='jabber:iq:roster'/>").await;
        assert!(!roster.expect("an answer").is_error());
        alice.presence("bob@contoso.test", "subscribe");
        bob.wait_for("the request", SOON, presence("alice@", Some("subscribe"))).await.expect("delivered");
        bob.presence("alice@contoso.test", "subscribed");
        alice.wait_for("bob's presence", SOON, presence("bob@", None)).await.expect("delivered");
        bob.close().await.expect("closed");
        alice.wait_for("bob's end", SOON, presence("bob@", Some("unavailable"))).await.expect("told");
    });
}

/// As many messages as the tests of federation send, both ways at once, some of them to nobody.
fn counts(lab: &Lab) {
    const MANY: std::ops::Range<u32> = 0..20_000;
    lab.with_users(async |alice, bob| {
        let began = Instant::now();
        let (there, back, arrived, arrived_back) = tokio::join!(
            alice.flood(bob.jid(), MANY, 100, 500),
            bob.flood(alice.jid(), MANY, 100, 500),
            bob.collect("alice@contoso.test", MANY, SOON),
            alice.collect("bob@contoso.test", MANY, SOON),
        );
        there.and(back).expect("sent");
        println!("20,000 messages each way in {:?}", began.elapsed());
        for collected in [arrived, arrived_back] {
            let collected = collected.expect("the streams hold");
            assert!(collected.is_perfect(), "{collected:?}");
        }
        alice.flood("nobody@contoso.test", 0..10, 100, 500).await.expect("sent");
        let returned = alice.collect("nobody@contoso.test", 0..1, Duration::from_secs(2)).await.expect("it holds");
        assert_eq!(returned.returned.len(), 10, "{returned:?}");
    });
}

/// What one says in a room the other one hears.
fn meets(lab: &Lab) {
    lab.with_users(async |alice, bob| {
        let room = &format!("hall@{ROOMS}");
        alice.join_muc(room, "alice").await.expect("entered");
        bob.join_muc(room, "bob").await.expect("entered");
        let taken = alice.join_muc(room, "bob").await.expect_err("the name is taken");
        assert!(taken.to_string().contains("conflict"), "{taken}");
        alice.send(format!("<message to='{room}' id='m2' type='groupchat'><body>Hello</body></message>"));
        let said = |stanza: &Stanza| stanza.body().as_deref() == Some("Hello");
        let heard = bob.wait_for("what alice says", SOON, said).await.expect("delivered");
        assert_eq!(heard.from().as_deref(), Some(&*format!("{room}/alice")));
    });
}

#[test]
fn at_prosody() {
    let lab = Lab::new(prosody::PACKAGES, prosody::start, true);
    for test in [logs_in, talks, counts, meets] {
        test(&lab);
    }
}

#[test]
fn at_ejabberd() {
    let lab = Lab::new(ejabberd::PACKAGES, ejabberd::start, true);
    for test in [logs_in, talks, counts, meets] {
        test(&lab);
    }
}

#[test]
fn at_jabberd2() {
    let lab = Lab::new(jabberd2::PACKAGES, jabberd2::start, false);
    for test in [logs_in, talks, counts] {
        test(&lab);
    }
}
