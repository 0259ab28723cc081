//! A partner who is away for a while: what is sent meanwhile is held, and delivered when he is back.

use std::net::SocketAddr;
use std::time::Duration;

use testkit::client::Client;
use testkit::lab::paced::{Paced, paced};
use testkit::lab::{FABRIKAM, TAILSPIN, WOODGROVE};
use testkit::relay::{Fault, Relay};

use super::rig::{PATIENCE, Rig, debian};

/// Half of the time for which fedge holds stanzas.
const AWAY: Duration = Duration::from_secs(10);
/// When the held ones must have been delivered.
const BACK: Duration = Duration::from_secs(18);
const MESSAGES: usize = 12;
const SECOND: Duration = Duration::from_secs(1);

/// Each partner is away in a way of his own: the first one's host says so, the second one's packets
/// vanish, the third one's server takes connections and is silent, and these never come to life again.
#[test]
fn held_and_delivered() {
    let rig = Rig::start(&[FABRIKAM, TAILSPIN, WOODGROVE], "");
    let debian = debian();
    let refused = rig.place.reject_tcp(&debian, rig.server(FABRIKAM)).expect("a rule");
    let dropped = rig.place.drop_tcp(&debian, rig.server(TAILSPIN)).expect("a rule");
    let silent = Relay::start(&rig.place, SocketAddr::from(([127, 0, 6, 2], 5269)), rig.server(WOODGROVE));
    let silent = silent.expect("a relay");
    silent.fault(Some(Fault::Silence));
    rig.lab.dns.srv(WOODGROVE, &[(10, 0, 5269, "relay.woodgrove.test")]);
    rig.lab.dns.addresses("relay.woodgrove.test", &[silent.address().ip()]);
    let rig = rig.run(async move |rig| {
        let (fabrikam, tailspin, woodgrove, ()) = tokio::join!(
            // Senders of their own, so that each gets what comes back for him.
            messages(&rig, FABRIKAM),
            messages(&rig, TAILSPIN),
            messages(&rig, WOODGROVE),
            async {
                tokio::time::sleep(AWAY).await;
                drop((refused, dropped));
                silent.fault(None);
            }
        );
        for (partner, paced) in [(FABRIKAM, fabrikam), (TAILSPIN, tailspin), (WOODGROVE, woodgrove)] {
            assert!(paced.is_perfect(), "{partner}: {paced:?}");
            let first = paced.first_delivery().expect("delivered");
            assert!((AWAY..BACK).contains(&(first + SECOND)), "{partner}: {first:?}");
        }
        rig
    });
    rig.assert_unnoticed(3);
}

async fn messages(rig: &Rig, partner: &str) -> Paced {
    let alice: Client = rig.login("alice@contoso.test").await;
    let bob = rig.login(&format!("bob@{partner}")).await;
    let up = rig.internal_stream(partner);
    paced(&alice, &bob, MESSAGES, SECOND, PATIENCE, up).await.expect("both stay logged in")
}
