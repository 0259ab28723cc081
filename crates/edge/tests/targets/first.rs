//! The partner's first target is bad in some way and the second one good: everything is delivered through the second.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use testkit::lab::FABRIKAM;
use testkit::lab::paced::paced;
use testkit::lab::target::BadTarget;

use super::rig::{PACE, PATIENCE, Rig};

/// As many messages as are sent.
const MESSAGES: usize = 25;
const DISCO: &str = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
/// What a message takes on a busy machine when nothing is in its way: less than waiting once for a silent
/// target, and far less than any of these faults costs other senders that wait, which is 10 s at least.
const PROMPTLY: Duration = Duration::from_millis(1800);
/// What waiting for a silent target may cost once.
const SILENCE: Duration = Duration::from_secs(2);

macro_rules! targets {
    ($($name:ident: $target:ident, $costs:expr;)*) => {
        $(#[test]
        fn $name() {
            through_the_second(BadTarget::$target, $costs);
        })*
    };
}

targets! {
    refused: Refused, Duration::ZERO;
    dropped: Dropped, Duration::ZERO;
    silent: Silent, SILENCE;
    silent_after_tls: SilentAfterTls, SILENCE;
    closes: Closes, Duration::ZERO;
    resets: Resets, Duration::ZERO;
    direct_tls_closes: DirectTlsCloses, Duration::ZERO;
    direct_tls_garbage: DirectTlsGarbage, Duration::ZERO;
    direct_tls_silent: DirectTlsSilent, SILENCE;
    wrong_certificate: WrongCertificate, Duration::ZERO;
    host_unknown: HostUnknown, Duration::ZERO;
    system_shutdown: SystemShutdown, Duration::ZERO;
}

fn through_the_second(target: BadTarget, costs: Duration) {
    let rig = Rig::start(&[FABRIKAM], "");
    let bad = SocketAddr::from(([127, 0, 4, 2], 5269));
    let _standing = target.put_up(&rig.lab.workshop(), FABRIKAM, bad, rig.server(FABRIKAM)).expect("a bad target");
    let rig = rig.run(async move |rig| {
        let alice = rig.login("alice@contoso.test").await;
        let bob = rig.login("bob@fabrikam.test").await;
        let up = rig.internal_stream(FABRIKAM);
        let paced = paced(&alice, &bob, MESSAGES, PACE, PATIENCE, up).await.expect("both stay logged in");
        assert!(paced.is_perfect(), "{paced:?}");
        let took = paced.first_delivery().expect("delivered");
        assert!(took < costs + PROMPTLY, "{took:?}");
        // A link of its own, which profits from what the other one has learnt.
        let began = Instant::now();
        let answer = alice.iq("conference.fabrikam.test", "get", DISCO).await.expect("an answer");
        assert!(!answer.is_error(), "{answer}");
        assert!(began.elapsed() < PROMPTLY, "{:?}", began.elapsed());
        rig
    });
    rig.assert_unnoticed(2);
    let all = MESSAGES + 1;
    assert_eq!(rig.settled_counts("internal"), format!("{all} = {all} taken + 0 returned + 0 failed + 0 in flight"));
}
