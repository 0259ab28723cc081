//! The installation, and two users who say 200 messages a second each way while something is done to it.

use std::time::Duration;

use testkit::client::{Client, Collected, Pardon};
use testkit::lab::installation::{Ground, Installation, StoreKind, members_of};
use testkit::lab::steady::{Tally, steady};
use testkit::lab::{CONTOSO, FABRIKAM, Kind, LabPlan, Peer};
use testkit::place::Place;
use testkit::rig::Lateness;
use testkit::server::Authentication::External;
use tokio::sync::watch;

/// As many messages at once, and so often, each way.
const WAVE: u32 = 20;
const EVERY: Duration = Duration::from_millis(100);
/// So many are said, both ways, before anything is done.
const BEFORE: u32 = 200;
/// Nobody says more than this, whatever is done.
const MOST: u32 = 60_000;
/// What they say before and after something is done, where they talk at a steady pace: load, and nothing is waited for.
const AWHILE: Duration = Duration::from_secs(1);
const PACE: Duration = Duration::from_millis(5);
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// It, with a Prosody inside and an ejabberd outside, and the folder that it lives in.
pub(crate) fn installation() -> (Installation, tempfile::TempDir) {
    installation_on(Ground::loopback(Place::isolated().expect("root")))
}

/// The same on this ground.
pub(crate) fn installation_on(ground: Ground) -> (Installation, tempfile::TempDir) {
    let peer = |kind| Peer { kind, authentication: External };
    let plan = LabPlan::new(peer(Kind::Prosody), &[(FABRIKAM, peer(Kind::Ejabberd))]);
    let folder = tempfile::tempdir().expect("a folder");
    let lab = Installation::start(ground, &plan, StoreKind::Sqlite, folder.path(), &mut |_| {});
    (lab.expect("an installation"), folder)
}

/// A user inside and one outside, between whom streams are up.
async fn acquainted(lab: &Installation) -> [Client; 2] {
    let alice = lab.login(&format!("alice@{CONTOSO}")).await.expect("a login");
    let bob = lab.login(&format!("bob@{FABRIKAM}")).await.expect("a login");
    for (from, to) in [(&alice, &bob), (&bob, &alice)] {
        from.message(to.jid(), "first", "first");
        to.message_with_id("first", PATIENCE).await.expect("the first message");
    }
    [alice, bob]
}

/// Has something done to it under load; nobody notices.
pub(crate) fn amid<T: Send + 'static>(
    what: &str,
    lab: Installation,
    done: impl FnOnce(Installation) -> T + Send + 'static,
) -> T {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(async {
        let [alice, bob] = acquainted(&lab).await;
        let ((ends, over), lateness) = (watch::channel(false), Lateness::watch());
        let (saying, mut said) = watch::channel(0);
        let work = async {
            // Some of the load comes before it.
            said.wait_for(|said| *said >= BEFORE).await.expect("they talk");
            let done = tokio::task::spawn_blocking(move || done(lab)).await.expect("it is done");
            ends.send_replace(true);
            done
        };
        // How many there will be is known only then; what arrives meanwhile waits.
        let (done, from_alice, from_bob) =
            tokio::join!(work, speak(&alice, &bob, over.clone(), &saying), speak(&bob, &alice, over, &saying));
        println!("{what}: {from_alice} and {from_bob} messages were said meanwhile");
        let (at_bob, at_alice) = tokio::join!(
            bob.collect(alice.jid(), 0..from_alice, PATIENCE),
            alice.collect(bob.jid(), 0..from_bob, PATIENCE)
        );
        let (mut at_bob, mut at_alice) = (at_bob.expect("a count"), at_alice.expect("a count"));
        let late_ms = lateness.longest_ms();
        // Alice's server is a Prosody, bob's an ejabberd.
        let crossed = at_bob.forgive_crossing(&mut at_alice, late_ms, &mut Pardon::default())
            + at_alice.forgive_dropping(late_ms);
        println!("{what}: timers were up to {late_ms} ms late; {crossed} crossed a stream's end");
        assert!(is_unnoticed(&at_bob), "{what}; at bob: {at_bob:?}, at alice: {at_alice:?}");
        assert!(is_unnoticed(&at_alice), "{what}; at alice: {at_alice:?}, at bob: {at_bob:?}");
        done
    })
}

/// Has something done to it while two users talk, one message each 5 ms each way; gives what the client of the one outside
/// counted of what was said inside, and the other way round. They stop when it is done and a while is over.
pub(crate) fn talking<T: Send + 'static>(
    lab: Installation,
    done: impl FnOnce(Installation) -> T + Send + 'static,
) -> (T, [Tally; 2]) {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(async {
        let [alice, bob] = acquainted(&lab).await;
        let (ends, over) = watch::channel(false);
        let work = async {
            tokio::time::sleep(AWHILE).await;
            let done = tokio::task::spawn_blocking(move || done(lab)).await.expect("it is done");
            tokio::time::sleep(AWHILE).await;
            ends.send_replace(true);
            done
        };
        let (done, told) = tokio::join!(work, steady([&alice, &bob], PACE, over, PATIENCE / 3));
        (done, told.expect("both hear to the end"))
    })
}

/// Of what is said outside, so much may be gone without a word where streams of an ejabberd end.
// COMPAT(ejabberd 23.01): what it says while it reads our end is gone (docs/limits.md), and these two never pause.
const DROPPED: usize = 40;
/// What crosses the end of a stream comes back; a machine that does much else makes that more.
const CROSSED: usize = 20;

/// Whether what was done to it went by unnoticed, as far as that is ours: nothing is lost or doubled, and hardly anything
/// came back.
pub(crate) fn assert_unnoticed(tallies: &[Tally; 2]) {
    let [outbound, inbound] = tallies;
    println!("said inside: {outbound}; said outside: {inbound}");
    assert!(outbound.lost.is_empty(), "{outbound:?}");
    assert!(inbound.lost.len() <= DROPPED, "{inbound:?}");
    for tally in tallies {
        assert!(tally.doubled == 0 && tally.returned.len() <= CROSSED, "{tally:?}");
    }
}

/// The epochs of the route that members say they go by.
pub(crate) fn epochs(status: &serde_json::Value) -> Vec<u64> {
    members_of(status)
        .filter(|member| member["role"] != "controller")
        .filter_map(|member| member["epoch"].as_u64())
        .collect()
}

/// Says wave after wave until it is over; gives how many were said.
async fn speak(from: &Client, to: &Client, mut over: watch::Receiver<bool>, saying: &watch::Sender<u32>) -> u32 {
    let (mut waves, mut said) = (tokio::time::interval(EVERY), 0);
    while !*over.borrow_and_update() && said < MOST {
        waves.tick().await;
        from.flood(to.jid(), said..said + WAVE, 100, WAVE).await.expect("its server reads");
        said += WAVE;
        saying.send_modify(|all| *all += WAVE);
    }
    said
}

/// Whether all arrived once, in order, and nothing came back.
// COMPAT(Prosody 0.12): when it dials anew, what it says between SASL's success and the features of the new
// stream overtakes what it had queued until then, whoever is at the other end.
fn is_unnoticed(collected: &Collected) -> bool {
    Collected { overtaken: 0, ..collected.clone() }.is_perfect()
}
