//! A break long enough for presence to be refused, real servers at both ends: after it everybody is shown as he is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use testkit::client::{Client, Stanza};
use testkit::lab::split::Split;
use testkit::lab::{CONTOSO, FABRIKAM, Kind, LabPlan, Peer};
use testkit::packages::Debian;
use testkit::place::{self, Place};
use testkit::server::Authentication::External;
use xmpp::jid::bare;

const PATIENCE: Duration = Duration::from_secs(20);
/// How long stanzas are held, so that a break needn't be longer.
const HOLD: &str = "[times]\nhold = 2\n";

#[test]
fn a_break_beyond_the_edge_servers_before_prosody() {
    story(CONTOSO, Kind::Prosody, false);
}

#[test]
fn a_break_beyond_the_edge_servers_before_ejabberd() {
    story(CONTOSO, Kind::Ejabberd, true);
}

#[test]
fn a_break_inside_and_what_prosody_said_meanwhile() {
    story(FABRIKAM, Kind::Prosody, false);
}

#[test]
fn a_break_inside_and_what_ejabberd_said_meanwhile() {
    story(FABRIKAM, Kind::Ejabberd, true);
}

/// What is said at `near` can't be brought to the other side for a while.
fn story(near: &'static str, outside: Kind, talk: bool) {
    let peer = |kind| Peer { kind, authentication: External };
    let mut plan = LabPlan::new(peer(Kind::Prosody), &[(FABRIKAM, peer(outside))]);
    HOLD.clone_into(&mut plan.more);
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::isolated().expect("a namespace");
    let nft = Debian::unpack(&Debian::usual_folder(), place::PACKAGES, &mut |_| {}).expect("Debian's nftables");
    let split = Split::start(place.clone(), &plan, folder.path()).expect("a laboratory");
    let split = place.clone().run(move || async move {
        let far = if near == CONTOSO { FABRIKAM } else { CONTOSO };
        let server = split.servers.iter().find(|server| server.plan.domain == far).expect("its server").plan.s2s();
        a_break(&split, near, far, talk, || place.reject_tcp(&nft, server).expect("a rule")).await;
        split
    });
    split.stop().expect("everything ends well");
}

/// Alice changes how she is shown, Bob leaves, and Carol's request stays one, while the way from them is cut. Then they `talk`,
/// or nobody does.
async fn a_break<T>(split: &Split, near: &str, far: &str, talk: bool, cut: impl FnOnce() -> T) {
    let login =
        async |user: &str, domain: &str| split.login(&format!("{user}@{domain}/{near}")).await.expect("a login");
    let (alice, bob) = (login("alice", near).await, login("bob", near).await);
    let (friend, stranger) = (login("alice", far).await, login("bob", far).await);
    for user in [&alice, &bob] {
        subscribe(&friend, user).await;
        subscribe(user, &friend).await;
        // A server may ask for presence once more after both agreed; the answer is old after the break.
        between(&friend, user, "all is answered").await;
    }
    stranger.presence(bare(alice.jid()), "subscribe");
    alice.wait_for("a request", PATIENCE, |stanza| is(stanza, "subscribe", bare(stranger.jid()))).await.expect("one");

    let broken = cut();
    let left = bob.jid().to_owned();
    bob.close().await.expect("his server lets him go");
    alice.send("<presence><show>dnd</show></presence>");
    alice.send(format!("<presence to='{}'/>", bare(stranger.jid())));
    for other in [&friend, &stranger] {
        let refused = |stanza: &Stanza| is(stanza, "error", bare(other.jid()));
        let error = alice.wait_for("her presence, refused", PATIENCE, refused).await.expect("it comes back");
        assert_eq!(error.condition().as_deref(), Some("resource-constraint"), "{error}");
    }
    drop(broken);

    let mut heard = if talk { talk_again(&alice, &friend).await } else { VecDeque::new() };
    // In whichever order they come, as soon as the pair's stanzas are taken again; if nobody says anything, by trial.
    let mut awaited = vec![("unavailable", left.as_str()), ("", alice.jid())];
    while !awaited.is_empty() {
        let stanza = match heard.pop_front() {
            Some(stanza) => stanza,
            None => friend.next(PATIENCE).await.unwrap_or_else(|error| panic!("still awaited: {awaited:?}: {error}")),
        };
        if let Some(place) = awaited.iter().position(|(kind, from)| is(&stanza, kind, from)) {
            let shown = stanza.tree().child(&stanza.tree().namespace, "show").map(xmpp::xml::tree::Element::text);
            assert!(awaited[place].0 == "unavailable" || shown.as_deref() == Some("dnd"), "{stanza}");
            awaited.remove(place);
        }
    }
    // All was asked, and whatever was answered has come.
    let repair = made_good(split);
    between(&stranger, &alice, "behind it").await;
    let roster =
        stranger.iq(bare(stranger.jid()), "get", "<query xmlns='jabber:iq:roster'/>").await.expect("an answer");
    assert!(roster.to_string().contains("subscribe"), "the request is still open: {roster}");
    // Of Alice, once for her friend and once for the stranger; that Bob left is said, not asked, unless it waited where it was.
    // If the way back took long, something was tried before.
    let (late, asked) = repair;
    assert!(late <= 3 && (2..=4).contains(&asked) && late + asked <= 5, "{repair:?}");
}

/// Until something passes; gives what came besides.
async fn talk_again(alice: &Client, friend: &Client) -> VecDeque<Stanza> {
    let mut besides = VecDeque::new();
    for number in 0..20 {
        alice.message(friend.jid(), &format!("again-{number}"), "again");
        while let Ok(stanza) = friend.next(Duration::from_secs(1)).await {
            if stanza.name() == "message" && !stanza.is_error() {
                return besides;
            }
            besides.push_back(stanza);
        }
    }
    panic!("nothing passes any more");
}

/// Lets `asker` see `asked`.
async fn subscribe(asker: &Client, asked: &Client) {
    asker.presence(bare(asked.jid()), "subscribe");
    asked.wait_for("a request", PATIENCE, |stanza| is(stanza, "subscribe", bare(asker.jid()))).await.expect("one");
    asked.presence(bare(asker.jid()), "subscribed");
    asker.wait_for("presence", PATIENCE, |stanza| is(stanza, "", asked.jid())).await.expect("his presence");
}

/// Something is said by the first and answered by the second: all that either's server sent on before it has come.
async fn between(first: &Client, second: &Client, text: &str) {
    for (from, to) in [(first, second), (second, first)] {
        from.message(to.jid(), text, text);
        to.message_with_id(text, PATIENCE).await.expect("what was said");
    }
}

/// Whether it is presence of that type from there.
fn is(stanza: &Stanza, kind: &str, from: &str) -> bool {
    stanza.name() == "presence"
        && stanza.type_().as_deref().unwrap_or_default() == kind
        && stanza.from().as_deref() == Some(from)
}

/// What was said again and asked, by the logs of all members, once all is said.
fn made_good(split: &Split) -> (u64, u64) {
    let began = Instant::now();
    loop {
        let logs = split.members.values().map(|daemon| std::fs::read_to_string(daemon.log()).expect("a log"));
        let log: String = logs.collect();
        let number = |line: &str, key: &str| line.split(key).nth(1)?.split_whitespace().next()?.parse::<u64>().ok();
        let lines = log.lines().filter_map(|line| Some((number(line, " late=")?, number(line, " asked=")?)));
        if let Some(sum) = lines.reduce(|one, other| (one.0 + other.0, one.1 + other.1)) {
            return sum;
        }
        assert!(began.elapsed() < 2 * PATIENCE, "no word of what was made good");
        std::thread::sleep(Duration::from_millis(50));
    }
}
