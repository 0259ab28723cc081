//! A gateway, then an edge server, ends.

use std::time::Duration;

use testkit::lab::Kind;
use testkit::lab::split::{GATEWAYS, edges};

use crate::rig::{IN, MESSAGES, OUT, talk};

fn nobody_notices(inside: Kind, outside: Kind) {
    talk(inside, outside, async |talk| {
        for round in 0..2 {
            let victim = match round {
                0 => talk.listener(GATEWAYS.into_iter(), OUT),
                _ => talk.listener(edges(), IN),
            };
            let member = talk.split.members.remove(victim).expect("it runs");
            let ended = talk.amid(&format!("{victim} ends"), || member.terminate(Duration::from_secs(60))).await;
            ended.expect("it ends by itself");
            let log = std::fs::read_to_string(talk.split.folder().join(format!("{victim}.log.1"))).expect("a log");
            let account = log.lines().rfind(|line| line.contains("stanzas that came in")).expect("an account");
            let count = account.split_once("accepted=").and_then(|(_, rest)| rest.split(' ').next());
            let count: u32 = count.and_then(|count| count.parse().ok()).expect("a count");
            // With the first message; an edge server has that of the first round, too.
            assert!(count > 1 + round * MESSAGES, "it carried a part of it: {account}");
            talk.split.begin(victim).expect("it starts again");
            for gateway in GATEWAYS {
                talk.split.wait_for_trunks(gateway, edges().count()).expect("its trunks are up");
            }
        }
    });
}

#[test]
fn nobody_notices_with_prosody_inside_and_outside() {
    nobody_notices(Kind::Prosody, Kind::Prosody);
}

#[test]
fn nobody_notices_with_prosody_inside_and_ejabberd_outside() {
    nobody_notices(Kind::Prosody, Kind::Ejabberd);
}

#[test]
fn nobody_notices_with_ejabberd_inside_and_prosody_outside() {
    nobody_notices(Kind::Ejabberd, Kind::Prosody);
}

#[test]
fn nobody_notices_with_ejabberd_inside_and_outside() {
    nobody_notices(Kind::Ejabberd, Kind::Ejabberd);
}
