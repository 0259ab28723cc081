//! Two users who talk without a pause, on servers of some kinds, and what becomes of what they say.

use std::ops::Range;
use std::time::Duration;

use testkit::client::{Client, Collected, Pardon};
use testkit::lab::split::Split;
use testkit::lab::{CONTOSO, FABRIKAM, Kind, LabPlan, Peer};
use testkit::place::Place;
use testkit::rig::Lateness;
use testkit::server::Authentication::External;
use tokio::sync::watch;

/// Messages each way, amid which one thing is done.
pub(crate) const MESSAGES: u32 = 4000;
/// As many at once, and so often, until it is done: what a busy pair of domains says.
const WAVE: u32 = 20;
const EVERY: Duration = Duration::from_millis(100);
/// It is begun after so many, and so many are said like that after it, too.
const AMID: u32 = 100;
/// As many at once of those that are left then.
const REST: u32 = 200;
const PATIENCE: Duration = Duration::from_secs(40);

/// The pairs that they speak as.
pub(crate) const OUT: &str = "contoso.test -> fabrikam.test";
pub(crate) const IN: &str = "fabrikam.test -> contoso.test";

/// Alice inside and bob outside.
pub(crate) struct Talk {
    pub(crate) split: Split,
    alice: Client,
    bob: Client,
    /// What runs at contoso and at fabrikam.
    kinds: (Kind, Kind),
    /// How often they said that many messages.
    rounds: u32,
    pardon: Pardon,
}

/// Has two users on servers of these kinds do `work` in a laboratory.
pub(crate) fn talk(inside: Kind, outside: Kind, work: impl AsyncFnOnce(&mut Talk) + Send + 'static) {
    let peer = |kind| Peer { kind, authentication: External };
    let plan = LabPlan::new(peer(inside), &[(FABRIKAM, peer(outside))]);
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::isolated().expect("a namespace");
    let split = Split::start(place.clone(), &plan, folder.path()).expect("a laboratory");
    let split = place.run(move || async move {
        let alice = split.login(&format!("alice@{CONTOSO}")).await.expect("a login");
        let bob = split.login(&format!("bob@{FABRIKAM}")).await.expect("a login");
        // The streams are up before anything is done to them.
        for (from, to) in [(&alice, &bob), (&bob, &alice)] {
            from.message(to.jid(), "first", "first");
            to.message_with_id("first", PATIENCE).await.expect("the first message");
        }
        let mut talk = Talk { split, alice, bob, kinds: (inside, outside), rounds: 0, pardon: Pardon::default() };
        work(&mut talk).await;
        talk.split
    });
    split.stop().expect("everything ends well");
}

impl Talk {
    /// Both talk, and `what` is done amid that; nobody notices. Gives what came of it.
    pub(crate) async fn amid<T: Send + 'static>(&mut self, what: &str, done: impl FnOnce() -> T + Send + 'static) -> T {
        let numbers = self.rounds * MESSAGES..(self.rounds + 1) * MESSAGES;
        self.rounds += 1;
        let (course, mut follow) = watch::channel(Course::Before);
        let done = async {
            follow.wait_for(|course| *course == Course::Amid).await.expect("it comes to that");
            let done = tokio::task::spawn_blocking(done).await.expect("no panic");
            course.send_replace(Course::After);
            done
        };
        let (alice, bob, lateness) = (&self.alice, &self.bob, Lateness::watch());
        let (mut at_bob, mut at_alice, (), (), done) = tokio::join!(
            hear(bob, alice, numbers.clone()),
            hear(alice, bob, numbers.clone()),
            speak(alice, bob, numbers.clone(), &course),
            speak(bob, alice, numbers.clone(), &course),
            done,
        );
        let late_ms = lateness.longest_ms();
        let (inside, outside) = self.kinds;
        let crossed = forgive(&mut at_bob, &mut at_alice, inside, late_ms, &mut self.pardon);
        let crossed = crossed + forgive(&mut at_alice, &mut at_bob, outside, late_ms, &mut self.pardon);
        println!("{what}: timers were up to {late_ms} ms late; {crossed} crossed a stream's end");
        assert!(is_unnoticed(&at_bob, inside), "{what}; at bob: {at_bob:?}, at alice: {at_alice:?}");
        assert!(is_unnoticed(&at_alice, outside), "{what}; at alice: {at_alice:?}, at bob: {at_bob:?}");
        done
    }

    /// Whether this member has a stream, accepted or dialed, on which a pair speaks.
    pub(crate) fn has(&self, member: &str, direction: &str, pair: &str) -> bool {
        let streams = self.split.ask(member, &["streams"]).expect("streams");
        streams.lines().any(|line| line.contains(direction) && line.contains(pair))
    }

    /// Which of `members` has accepted the stream on which a pair speaks.
    pub(crate) fn listener(&self, mut members: impl Iterator<Item = &'static str>, pair: &str) -> &'static str {
        members.find(|member| self.has(member, "accepted", pair)).expect("somebody listens to it")
    }
}

/// How far what is done is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Before,
    Amid,
    After,
}

/// Says them all, a wave at a time as long as that goes on which is done amid them.
async fn speak(from: &Client, to: &Client, numbers: Range<u32>, course: &watch::Sender<Course>) {
    let mut waves = tokio::time::interval(EVERY);
    let (mut next, mut done) = (numbers.start, None);
    while next < numbers.end && done.is_none_or(|done| next < done + AMID) {
        waves.tick().await;
        let wave = next..numbers.end.min(next + WAVE);
        next = wave.end;
        from.flood(to.jid(), wave, 100, WAVE).await.expect("its server reads");
        if next >= numbers.start + AMID {
            course.send_if_modified(|course| {
                let is_time = *course == Course::Before;
                if is_time {
                    *course = Course::Amid;
                }
                is_time
            });
        }
        if done.is_none() && *course.borrow() == Course::After {
            done = Some(next);
        }
    }
    from.flood(to.jid(), next..numbers.end, 100, REST).await.expect("its server reads");
}

/// What the sender's server said just then comes back by itself or is gone, depending on what runs there.
fn forgive(heard: &mut Collected, sender: &mut Collected, kind: Kind, late_ms: u64, pardon: &mut Pardon) -> usize {
    match kind {
        Kind::Ejabberd => heard.forgive_dropping(late_ms),
        _ => heard.forgive_crossing(sender, late_ms, pardon),
    }
}

async fn hear(at: &Client, from: &Client, numbers: Range<u32>) -> Collected {
    at.collect(from.jid(), numbers, PATIENCE).await.expect("a count")
}

/// Whether all that `sender` had arrived once, in order, and nothing came back to its receiver.
// COMPAT(Prosody 0.12): when it dials anew, what it says between SASL's success and the features of the new
// stream overtakes what it had queued until then, whoever is at the other end.
fn is_unnoticed(collected: &Collected, sender: Kind) -> bool {
    let Collected { overtaken, .. } = collected;
    let overtaken = if sender == Kind::Prosody { 0 } else { *overtaken };
    Collected { overtaken, ..collected.clone() }.is_perfect()
}
