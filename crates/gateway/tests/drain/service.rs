//! The federation service of edge servers is stopped, started and drained, and the edge servers run on.

use std::net::{SocketAddr, TcpStream};

use testkit::lab::Kind;
use testkit::lab::split::{GATEWAYS, POOLS, edges};

use crate::rig::{IN, OUT, Talk, talk};

/// How the service of an edge server is, and what its last drain says: finished, returned, left.
fn parse(told: &str) -> (String, Option<[u64; 3]>) {
    let state = told.strip_prefix("the federation service is ").and_then(|rest| rest.split([',', '\n']).next());
    let last = told.lines().find_map(|line| line.strip_prefix("its last drain took "));
    let last = last.and_then(|last| last.split_once(": ")).map(|(_, counts)| {
        let mut counts = counts.split(", ").map(|count| count.split(' ').next().and_then(|count| count.parse().ok()));
        [(); 3].map(|()| counts.next().flatten().expect("a count"))
    });
    (state.unwrap_or_else(|| panic!("{told}")).to_owned(), last)
}

impl Talk {
    /// Has something done with a service amid the talk; gives how it is then. Its drain returned and left none.
    async fn order(&mut self, edge: &'static str, action: &'static str) -> String {
        let ask = self.split.asker();
        let told = self.amid(&format!("{action} of {edge}"), move || ask(edge, &["service", action])).await;
        let (state, last) = parse(&told.expect("it is done"));
        let [finished, returned, left] = last.expect("it has drained");
        assert_eq!((returned, left), (0, 0), "{edge} finished {finished}");
        state
    }

    /// Asks until the answer will do.
    async fn until(&self, member: &str, arguments: &[&str], will_do: impl Fn(&str) -> bool) {
        let began = std::time::Instant::now();
        loop {
            let told = self.split.ask(member, arguments).expect("an answer");
            if will_do(&told) {
                return;
            }
            assert!(began.elapsed().as_secs() < 30, "{member} says {told}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    fn takes_partners(&self, edge: &str) -> bool {
        TcpStream::connect(SocketAddr::new(self.split.sites.member(edge).address, 5269)).is_ok()
    }
}

fn nobody_notices(inside: Kind, outside: Kind) {
    talk(inside, outside, async |talk| {
        let pool = POOLS[0].1;
        let one = talk.listener(edges(), IN);
        let other = *pool.iter().find(|edge| **edge != one).expect("it has two");

        assert_eq!(talk.order(one, "stop").await, "stopped");
        assert!(!talk.takes_partners(one));
        assert_eq!(talk.split.ask(one, &["health", "--or", "stopped"]).expect("it will do").trim(), "stopped");
        let told = talk.split.ask(one, &["status"]).expect("it answers");
        assert!(told.contains("streams: 0 accepted, 0 dialed") && told.contains("or the daemon is"), "{told}");
        for gateway in GATEWAYS {
            assert!(told.contains(&format!("trunk to {gateway}.contoso.test: connected")), "{told}");
        }

        // It serves again: where the other stops, everything goes by it.
        let (state, _) = parse(&talk.split.ask(one, &["service", "start"]).expect("done"));
        assert_eq!(state, "running");
        talk.until(one, &["health", "--or", "waiting"], |told| told.trim() == "ready").await;
        assert!(talk.takes_partners(one));
        assert_eq!(talk.order(other, "stop").await, "stopped");
        for (direction, pair) in [("accepted", IN), ("dialed", OUT)] {
            let streams: Vec<_> = edges().map(|edge| talk.split.ask(edge, &["streams"])).collect();
            assert!(talk.has(one, direction, pair), "{pair} isn't by {one}: {streams:?}");
        }

        // A drain ends by itself, and whoever is left meanwhile is of the other pool.
        assert_eq!(talk.order(one, "drain").await, "running");
        talk.until(one, &["health", "--or", "waiting"], |told| told.trim() == "ready").await;
        assert!(talk.takes_partners(one));

        // Nothing is kept here of a stop, and the next start ends it.
        let daemon = talk.split.members.remove(other).expect("it runs");
        daemon.terminate(std::time::Duration::from_secs(60)).expect("there is nothing to finish");
        talk.split.begin(other).expect("it starts again");
        assert_eq!(parse(&talk.split.ask(other, &["service", "status"]).expect("an answer")).0, "running");
        talk.until(other, &["health", "--or", "waiting"], |told| told.trim() == "ready").await;
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
