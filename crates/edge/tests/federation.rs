//! Federation between stock servers through fedge: each way of proving and of TLS, on both faces, in full flood both ways.

use std::time::{Duration, Instant};

use testkit::lab::{CONTOSO, FABRIKAM, Kind, Lab, LabPlan, Peer, WOODGROVE};
use testkit::place::Place;
use testkit::server::Authentication::{self, Dialback, External};

/// Messages each way.
const MESSAGES: u32 = 20_000;
const PATIENCE: Duration = Duration::from_secs(120);
const DIRECT_TLS: bool = true;
const STARTTLS: bool = false;

/// One test for each line: what runs inside and how it proves itself and lets fedge prove itself, the
/// same outside, and what TLS DNS tells of.
macro_rules! matrix {
    ($($name:ident: $inside:ident $inside_by:ident, $outside:ident $outside_by:ident, $tls:ident;)*) => {
        $(#[test]
        fn $name() {
            let inside = Peer { kind: Kind::$inside, authentication: $inside_by };
            let outside = Peer { kind: Kind::$outside, authentication: $outside_by };
            exchange(inside, outside, $tls);
        })*
    };
}

matrix! {
    certificate_certificate_starttls_ejabberd: Prosody External, Ejabberd External, STARTTLS;
    certificate_certificate_direct_ejabberd: Prosody External, Ejabberd External, DIRECT_TLS;
    certificate_dialback_starttls_ejabberd: Prosody External, Ejabberd Dialback, STARTTLS;
    certificate_dialback_direct_ejabberd: Prosody External, Ejabberd Dialback, DIRECT_TLS;
    dialback_certificate_starttls_ejabberd: Prosody Dialback, Ejabberd External, STARTTLS;
    dialback_certificate_direct_ejabberd: Prosody Dialback, Ejabberd External, DIRECT_TLS;
    dialback_dialback_starttls_ejabberd: Prosody Dialback, Ejabberd Dialback, STARTTLS;
    dialback_dialback_direct_ejabberd: Prosody Dialback, Ejabberd Dialback, DIRECT_TLS;
    certificate_certificate_starttls_prosody: Prosody External, Prosody External, STARTTLS;
    certificate_certificate_direct_prosody: Prosody External, Prosody External, DIRECT_TLS;
    certificate_dialback_starttls_prosody: Prosody External, Prosody Dialback, STARTTLS;
    certificate_dialback_direct_prosody: Prosody External, Prosody Dialback, DIRECT_TLS;
    dialback_certificate_starttls_prosody: Prosody Dialback, Prosody External, STARTTLS;
    dialback_certificate_direct_prosody: Prosody Dialback, Prosody External, DIRECT_TLS;
    dialback_dialback_starttls_prosody: Prosody Dialback, Prosody Dialback, STARTTLS;
    dialback_dialback_direct_prosody: Prosody Dialback, Prosody Dialback, DIRECT_TLS;
    ejabberd_inside_by_certificate: Ejabberd External, Prosody External, STARTTLS;
    ejabberd_inside_by_dialback: Ejabberd Dialback, Prosody Dialback, DIRECT_TLS;
}

fn method(authentication: Authentication) -> &'static str {
    match authentication {
        External => "EXTERNAL",
        Dialback => "dialback",
    }
}

fn exchange(inside: Peer, outside: Peer, direct_tls: bool) {
    let plan = LabPlan { direct_tls, ..LabPlan::new(inside, &[(FABRIKAM, outside)]) };
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::isolated().expect("a namespace");
    let lab = Lab::start(place.clone(), &plan, folder.path(), &mut |_| {}).expect("a laboratory");
    let lab = place.run(move || async move {
        flood_both_ways(&lab, FABRIKAM, [inside, outside], MESSAGES).await;
        lab
    });
    // By the road that this test is about, and no other.
    let streams = lab.ask(&["streams"]).expect("streams");
    for (face, peer) in [("internal", inside), ("external", outside)] {
        let lines: Vec<_> = streams.lines().filter(|line| line.contains(face)).collect();
        assert_eq!(lines.len(), 2, "one stream each way:\n{streams}");
        let way = format!("({})", method(peer.authentication));
        assert!(lines.iter().all(|line| line.contains(&way) && line.contains("TLSv1.3")), "{way}:\n{streams}");
    }
    for peer in [inside, outside] {
        let messages = MESSAGES + u32::from(disorders_its_queue(peer));
        wait_for(&lab, &format!("{messages} = {messages} taken + 0 returned + 0 failed + 0 in flight"));
    }
    lab.stop().expect("everything ends well");
}

/// Waits until `status` says so: clients have a stanza before fedge hears that their server does.
fn wait_for(lab: &Lab, counts: &str) {
    let began = Instant::now();
    loop {
        let status = lab.ask(&["status"]).expect("a status");
        if status.contains(counts) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{counts}:\n{status}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

async fn flood_both_ways(lab: &Lab, partner: &str, peers: [Peer; 2], messages: u32) {
    let alice = lab.login(&format!("alice@{CONTOSO}")).await.expect("a login");
    let bob = lab.login(&format!("bob@{partner}")).await.expect("a login");
    for (peer, from, to) in [(peers[0], &alice, &bob), (peers[1], &bob, &alice)] {
        if disorders_its_queue(peer) {
            from.message(to.jid(), "first", "first");
            to.message_with_id("first", PATIENCE).await.expect("the first message");
        }
    }
    let numbers = 0..messages;
    let (sent, replied, at_bob, at_alice) = tokio::join!(
        alice.flood(bob.jid(), numbers.clone(), 100, 1000),
        bob.flood(alice.jid(), numbers.clone(), 100, 1000),
        bob.collect(alice.jid(), numbers.clone(), PATIENCE),
        alice.collect(bob.jid(), numbers.clone(), PATIENCE),
    );
    sent.expect("alice could send");
    replied.expect("bob could send");
    for collected in [at_bob, at_alice] {
        let collected = collected.expect("all arrived");
        assert!(collected.is_perfect(), "{collected:?}");
    }
}

/// Prosody 0.12.3 writes what comes between SASL's success and the features of the new stream before
/// what it had queued until then (mod_s2s: `make_authenticated` and `mark_connected`), also without
/// fedge. No receiver can know; so its stream is up before the order counts.
fn disorders_its_queue(peer: Peer) -> bool {
    peer == Peer { kind: Kind::Prosody, authentication: External }
}

#[test]
fn jabberd2_as_a_partner() {
    let inside = Peer { kind: Kind::Prosody, authentication: External };
    let jabberd2 = Peer { kind: Kind::Jabberd2, authentication: Dialback };
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::isolated().expect("a namespace");
    let plan = LabPlan::new(inside, &[(WOODGROVE, jabberd2)]);
    let lab = Lab::start(place.clone(), &plan, folder.path(), &mut |_| {}).expect("a laboratory");
    let lab = place.run(move || async move {
        flood_both_ways(&lab, WOODGROVE, [inside, jabberd2], 1000).await;
        lab
    });
    lab.stop().expect("everything ends well");
}
