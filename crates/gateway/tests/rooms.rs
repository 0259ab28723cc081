//! Rooms on both sides, each with an occupant from the other: they stay in them while members come, go and are killed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use testkit::client::{Client, Stanza};
use testkit::lab::split::{GATEWAYS, Split, edges};
use testkit::lab::{CONTOSO, FABRIKAM, Kind, LabPlan, Peer};
use testkit::place::Place;
use testkit::server::Authentication::External;

const PATIENCE: Duration = Duration::from_secs(30);
/// Messages that each says to a room while something happens.
const MESSAGES: usize = 60;
/// Between two of them.
const PACE: Duration = Duration::from_millis(40);
/// When it happens.
const SOON: Duration = Duration::from_millis(700);
/// Without news for so long, what is missing is lost or returned.
const SILENCE: Duration = Duration::from_secs(7);

/// A room with an occupant of its own server, and a guest from the other side.
struct Room {
    name: String,
    host: Client,
    guest: Client,
}

/// What one of them saw.
#[derive(Debug, Default)]
struct Seen {
    messages: BTreeSet<String>,
    /// Of his own.
    returned: Vec<String>,
    /// By which words the guest, or the host, left.
    left: Vec<String>,
}

impl Room {
    async fn open(split: &Split, at: &str, from: &str) -> Room {
        let name = format!("room@conference.{at}");
        let host = split.login(&format!("bob@{at}/host")).await.expect("a login");
        let guest = split.login(&format!("alice@{from}/guest")).await.expect("a login");
        host.join_muc(&name, "host").await.expect("it's his room");
        guest.join_muc(&name, "guest").await.expect("the room is open");
        Room { name, host, guest }
    }

    fn say(&self, client: &Client, id: &str) {
        client.send(format!("<message to='{}' id='{id}' type='groupchat'><body>{id}</body></message>", self.name));
    }

    /// Both talk; gives what each saw: first the host.
    async fn talk(&self, round: &str) -> [Seen; 2] {
        let speak = async |client: &Client, who: &str| {
            for number in 0..MESSAGES {
                self.say(client, &format!("{round}-{who}-{number}"));
                tokio::time::sleep(PACE).await;
            }
        };
        let (host, guest, (), ()) = tokio::join!(
            self.watch(&self.host, round),
            self.watch(&self.guest, round),
            speak(&self.host, "host"),
            speak(&self.guest, "guest")
        );
        [host, guest]
    }

    /// Collects until all has come, or nothing new comes.
    async fn watch(&self, client: &Client, round: &str) -> Seen {
        let mut seen = Seen::default();
        while seen.messages.len() < 2 * MESSAGES {
            let Ok(stanza) = client.next(SILENCE).await else { break };
            match stanza.name() {
                "message" if stanza.is_error() => seen.returned.push(stanza.to_string()),
                "message" => seen.messages.extend(stanza.body().filter(|body| body.starts_with(round))),
                "presence" if self.is_leaving(&stanza) => seen.left.push(stanza.to_string()),
                _ => {}
            }
        }
        seen
    }

    fn is_leaving(&self, presence: &Stanza) -> bool {
        let of_room = presence.from().is_some_and(|from| from.starts_with(&self.name));
        of_room && matches!(presence.type_().as_deref(), Some("unavailable" | "error"))
    }

    /// Each is heard by the other, without anybody having left.
    async fn still_there(&self, round: &str) {
        for (speaker, listener, who) in [(&self.guest, &self.host, "guest"), (&self.host, &self.guest, "host")] {
            for number in 0.. {
                let id = format!("{round}-still-{who}-{number}");
                self.say(speaker, &id);
                let heard = |stanza: &Stanza| {
                    assert!(stanza.name() != "presence" || !self.is_leaving(stanza), "{}, {who}: {stanza}", self.name);
                    stanza.name() == "message" && !stanza.is_error() && stanza.body().as_deref() == Some(&id)
                };
                if listener.wait_for("a message", Duration::from_secs(2), heard).await.is_ok() {
                    break;
                }
                assert!(number < 15, "{}: {who} isn't heard any more", self.name);
            }
        }
    }
}

/// A laboratory with both rooms. Prosody returns what isn't acknowledged when its stream breaks, and its rooms throw
/// out whoever something comes back from; one that `resends` doesn't.
fn story<F: Future<Output = (Split, [Room; 2])>>(
    outside: Kind,
    resends: bool,
    tell: impl FnOnce(Split, [Room; 2]) -> F + Send + 'static,
) {
    let peer = |kind| Peer { kind, authentication: External };
    let plan = LabPlan { resends, ..LabPlan::new(peer(Kind::Prosody), &[(FABRIKAM, peer(outside))]) };
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::isolated().expect("a namespace");
    let split = Split::start(place.clone(), &plan, folder.path()).expect("a laboratory");
    let split = place.run(move || async move {
        let rooms = [Room::open(&split, CONTOSO, FABRIKAM).await, Room::open(&split, FABRIKAM, CONTOSO).await];
        all_is_taken(&split).await;
        let (split, rooms) = tell(split, rooms).await;
        for Room { host, guest, .. } in rooms {
            for client in [guest, host] {
                client.close().await.expect("its server lets it go");
            }
        }
        // A Prosody 0.12 that resends hangs when it is stopped before all is acknowledged.
        all_is_taken(&split).await;
        split
    });
    split.stop().expect("everything ends well");
}

/// Talk in both rooms, and `event` in the middle of it. Nobody leaves; all is heard if `whole`.
async fn round(rooms: &[Room; 2], name: &str, whole: bool, event: impl Future<Output = ()>) {
    let soon = async {
        tokio::time::sleep(SOON).await;
        event.await;
    };
    let (inside, outside, ()) = tokio::join!(rooms[0].talk(name), rooms[1].talk(name), soon);
    for (room, seen) in rooms.iter().zip([inside, outside]) {
        for (who, seen) in ["host", "guest"].iter().zip(&seen) {
            println!(
                "{name}, {}: {who} heard {} of {}, {} returned, left {:?}",
                room.name,
                seen.messages.len(),
                2 * MESSAGES,
                seen.returned.len(),
                seen.left
            );
        }
        for seen in seen {
            assert!(seen.left.is_empty(), "{name}, {}: {:?}", room.name, seen.left);
            assert!(
                !whole || seen.messages.len() == 2 * MESSAGES,
                "{name}, {}: heard {} of {}, returned {:?}",
                room.name,
                seen.messages.len(),
                2 * MESSAGES,
                seen.returned
            );
        }
        room.still_there(name).await;
    }
}

/// Which of `members` has a stream of that kind for that pair.
fn carrier(split: &Split, members: impl IntoIterator<Item = &'static str>, way: &str, pair: &str) -> &'static str {
    let carries = |member: &&'static str| {
        let streams = split.ask(member, &["streams"]).expect("streams");
        streams.lines().any(|line| line.contains(way) && line.contains(pair))
    };
    let running = members.into_iter().filter(|member| split.members.contains_key(member));
    running.into_iter().find(carries).unwrap_or_else(|| panic!("nobody has {pair} {way}"))
}

/// Until nobody has anything in flight.
async fn all_is_taken(split: &Split) {
    for member in split.members.keys() {
        let began = Instant::now();
        while !split.ask(member, &["status"]).expect("a status").contains("+ 0 in flight") {
            assert!(began.elapsed() < PATIENCE, "{member} never gets rid of what it has");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn gateways() -> impl Iterator<Item = &'static str> {
    GATEWAYS.into_iter()
}

async fn drain(split: &mut Split, member: &'static str) {
    let daemon = split.members.remove(member).expect("it runs");
    let drained = tokio::task::spawn_blocking(move || daemon.terminate(Duration::from_secs(60)));
    drained.await.expect("no panic").expect("it ends by itself");
}

const OUT_OF: &str = "conference.contoso.test -> fabrikam.test";
const FROM: &str = "conference.fabrikam.test -> contoso.test";

fn drained_and_moved(outside: Kind) {
    story(outside, false, |mut split, rooms| async move {
        let edge = carrier(&split, edges(), "dialed", OUT_OF);
        round(&rooms, "drain-edge", true, drain(&mut split, edge)).await;
        round(&rooms, "move", true, async { split.route("pool2").expect("the route moves") }).await;
        let gateway = carrier(&split, gateways(), "accepted", OUT_OF);
        round(&rooms, "drain-gateway", true, drain(&mut split, gateway)).await;
        (split, rooms)
    });
}

fn killed_edges(outside: Kind) {
    story(outside, outside == Kind::Prosody, |mut split, rooms| async move {
        let edge = carrier(&split, edges(), "dialed", OUT_OF);
        round(&rooms, "kill-edge", false, async { split.kill(edge) }).await;
        let edge = carrier(&split, edges(), "accepted", FROM);
        round(&rooms, "kill-other-edge", false, async { split.kill(edge) }).await;
        (split, rooms)
    });
}

fn killed_gateway(outside: Kind) {
    story(outside, true, |mut split, rooms| async move {
        let gateway = carrier(&split, gateways(), "accepted", OUT_OF);
        round(&rooms, "kill-gateway", false, async { split.kill(gateway) }).await;
        (split, rooms)
    });
}

#[test]
fn drains_and_moves_leave_everybody_in_with_prosody_outside() {
    drained_and_moved(Kind::Prosody);
}

#[test]
fn drains_and_moves_leave_everybody_in_with_ejabberd_outside() {
    drained_and_moved(Kind::Ejabberd);
}

#[test]
fn killed_edge_servers_leave_everybody_in_with_prosody_outside() {
    killed_edges(Kind::Prosody);
}

#[test]
fn killed_edge_servers_leave_everybody_in_with_ejabberd_outside() {
    killed_edges(Kind::Ejabberd);
}

#[test]
fn a_killed_gateway_leaves_everybody_in_with_prosody_outside() {
    killed_gateway(Kind::Prosody);
}

#[test]
fn a_killed_gateway_leaves_everybody_in_with_ejabberd_outside() {
    killed_gateway(Kind::Ejabberd);
}
